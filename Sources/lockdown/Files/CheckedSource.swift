import Compiler
import Diagnostics
import SideThread

/// A policy that is asked about and not compiled.
enum CheckedSource {
  static func name(_ path: String) -> String { path == "-" ? "<stdin>" : path }

  /// Reads and checks; findings are told, and the policy is nil if it has errors.
  static func read(_ path: String) throws(FileError) -> CheckedPolicy {
    let checked = try check(path)
    if checked.policy == nil { report(checked.diagnostics, checked.sources) }
    return checked
  }

  /// Two of them, side by side.
  static func read(_ first: String, _ second: String) throws(FileError) -> (CheckedPolicy, CheckedPolicy) {
    let beside = SideThread { Result { () throws(FileError) in try check(second) } }
    let one = try check(first)
    let other = try beside.wait().get()
    for checked in [one, other] where checked.policy == nil { report(checked.diagnostics, checked.sources) }
    return (one, other)
  }

  private static func check(_ path: String) throws(FileError) -> CheckedPolicy {
    PolicyCompiler.check(path: name(path), bytes: try bytes(path), reader: FileSystemReader())
  }

  /// The bytes of a policy; a bundle holds what was compiled, and not what it means.
  static func bytes(_ path: String) throws(FileError) -> [UInt8] {
    let bytes = try FileBytes.read(path)
    if bytes.starts(with: bundleMagic) {
      throw FileError("`\(path)` is a bundle: give the policy that it was compiled from, a `.cos` file")
    }
    return bytes
  }

  static func report(_ diagnostics: DiagnosticList, _ sources: SourceFiles) {
    let renderer = PlainRenderer(files: sources, isColored: Terminal.hasColor)
    printError(renderer.render(diagnostics.all))
  }

  /// The first bytes of every bundle (docs/bundle-format.md).
  private static let bundleMagic: [UInt8] = [0x89, 0x4c, 0x4b, 0x44]
}
