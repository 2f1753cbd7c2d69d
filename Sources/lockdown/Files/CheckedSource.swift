import ArgumentParser
import Compiler
import Diagnostics
import PolicyModel
import SideThread

/// A policy or a bundle that is asked about and not compiled.
struct CheckedSource {
  var sources: SourceFiles
  /// Nil: it has errors.
  var compared: ComparedSource?
  /// Its errors; nil: it has none.
  var failed: (path: String, sources: SourceFiles, diagnostics: DiagnosticList)?

  static func name(_ path: String) -> String { path == "-" ? "<stdin>" : path }

  /// Reads and checks two of them, side by side. A bundle's chains and sets get the names that the
  /// other side gives them.
  ///
  /// - Parameter scope: the tables that are read of a kernel, and of a file that one has loaded.
  static func read(
    _ first: String, _ second: String, _ scope: TableScope = .host
  ) throws -> (CheckedSource, CheckedSource) {
    // What is loaded in a namespace of its own goes first: a process makes one only while it has one thread.
    let opened = try (Opened(first, scope), Opened(second, scope))
    let room = HeapRoom.take(forInputOf: max(opened.0.bytes.count, opened.1.bytes.count))
    let beside = SideThread { [opened] in opened.1.read() }
    let one = opened.0.read()
    let other = beside.wait()
    room?.wait()
    return (try one.source(like: other.policy), try other.source(like: one.policy))
  }

  /// Reads and checks one.
  static func read(_ path: String) throws -> CheckedSource { try Opened(path).checked() }

  /// One that was read, so that another can be before it is checked.
  struct Opened: Sendable {
    private let path: String
    /// Nil: it is a file.
    private let contents: KernelSource.Contents?
    fileprivate let bytes: [UInt8]

    /// Rules of a kernel are loaded now: a process makes a namespace only while it has one thread.
    init(_ path: String, _ scope: TableScope = .host) throws {
      self.path = path
      let read = try KernelSource.read(path, scope)
      (contents, bytes) = (read.contents, read.bytes)
    }

    /// Nil: it is no policy.
    var policy: (path: String, bytes: [UInt8])? {
      contents == nil && !BundleFile.isBundle(bytes) ? (CheckedSource.name(path), bytes) : nil
    }

    /// - Parameter other: gives chains and sets their names, where a source has none of the language.
    func checked(like other: HostPolicy? = nil) throws -> CheckedSource {
      guard let contents else { return try read().source(like: other) }
      let lifted = try KernelSource.toldPolicy(path, contents, like: other)
      return CheckedSource(sources: lifted.sources, compared: .lifted(lifted))
    }

    fileprivate func read() -> Read { contents.map { Read.kernel(path, $0) } ?? Read(path, bytes) }
  }

  static func report(_ diagnostics: DiagnosticList, _ sources: SourceFiles) {
    let renderer = PlainRenderer(files: sources, isColored: Terminal.hasColor)
    printRendered(renderer.render(diagnostics.all))
  }

  /// A file as it was read: a policy is checked then, a bundle when the other side is known.
  fileprivate enum Read {
    case policy(String, CheckedPolicy)
    case bundle(String, [UInt8])
    case kernel(String, KernelSource.Contents)

    init(_ path: String, _ bytes: [UInt8]) {
      self =
        BundleFile.isBundle(bytes)
        ? .bundle(path, bytes)
        : .policy(
          CheckedSource.name(path),
          PolicyCompiler.check(path: CheckedSource.name(path), bytes: bytes, reader: FileSystemReader()))
    }

    /// - Parameter other: gives chains and sets their names.
    func source(like other: HostPolicy?) throws -> CheckedSource {
      switch self {
      case .policy(let path, let checked):
        return CheckedSource(
          sources: checked.sources, compared: checked.policy.map { .policy($0) },
          failed: checked.policy == nil ? (path, checked.sources, checked.diagnostics) : nil)
      case .bundle(let path, let bytes):
        let bundle = try BundleFile.policy(bytes, path: path, like: other)
        return CheckedSource(sources: bundle.sources, compared: .lifted(bundle))
      case .kernel(let name, let contents):
        let lifted = try KernelSource.policy(name, contents, like: other)
        return CheckedSource(sources: lifted.sources, compared: .lifted(lifted))
      }
    }

    var policy: HostPolicy? {
      if case .policy(_, let checked) = self { checked.policy } else { nil }
    }
  }
}
