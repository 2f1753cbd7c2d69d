import CanonicalJSON
import Compiler
import Diagnostics
import SideThread

/// One file through the compiler, and its findings told.
enum CompileRun {
  /// Reads and compiles; a file that cannot be read is a finding too.
  ///
  /// - Parameters:
  ///   - day: Exceptions whose end is past are errors then.
  ///   - lints: As ``PolicyCompiler/compile(path:bytes:reader:lints:take:)`` asks.
  ///   - take: As that calls it.
  static func run(
    _ path: String, judgedOn day: Expiry.Day? = nil, lints: Bool = false,
    take: (@Sendable (CompiledPolicy.OutputFile) -> Void)? = nil
  ) -> Compilation {
    var compilation = read(path, lints, take)
    guard let day, let policy = compilation.policy?.policy else { return compilation }
    for finding in Expiry.judge(policy, on: day) { compilation.diagnostics.report(finding) }
    compilation.diagnostics.sortByPlace()
    if compilation.diagnostics.hasErrors { compilation.policy = nil }
    return compilation
  }

  private static func read(
    _ path: String, _ lints: Bool, _ take: (@Sendable (CompiledPolicy.OutputFile) -> Void)?
  ) -> Compilation {
    do throws(FileError) {
      return run(path, try FileBytes.readSource(path), lints: lints, take: take)
    } catch {
      var diagnostics = DiagnosticList()
      diagnostics.report(Diagnostic(.fileUnreadable, at: nil, "\(error)"))
      return Compilation(sources: SourceFiles(), diagnostics: diagnostics, policy: nil)
    }
  }

  /// Compiles a file that was read.
  static func run(
    _ path: String, _ bytes: [UInt8], lints: Bool = false,
    take: (@Sendable (CompiledPolicy.OutputFile) -> Void)? = nil
  ) -> Compilation {
    let name = path == "-" ? "<stdin>" : path
    let room = HeapRoom.take(forInputOf: bytes.count)
    let compilation = Terminal.whileAnnouncing("compiling \(name)") {
      PolicyCompiler.compile(path: name, bytes: bytes, reader: FileSystemReader(), lints: lints, take: take)
    }
    room?.wait()
    return compilation
  }

  /// 3 where a file could not be read, 1 for errors in a policy (DESIGN §8).
  static func exitCode(_ compilation: Compilation) -> Int32 {
    if compilation.diagnostics.all.contains(where: { $0.id == .fileUnreadable }) { return 3 }
    return compilation.policy == nil ? 1 : 0
  }

  /// Findings to standard error, with a closing count where there are errors.
  static func report(_ compilation: Compilation) { report(compilation.diagnostics, in: compilation.sources) }

  static func report(_ diagnostics: DiagnosticList, in sources: SourceFiles) {
    let all = diagnostics.all
    guard !all.isEmpty else { return }
    let renderer = PlainRenderer(files: sources, isColored: Terminal.hasColor)
    printRendered(renderer.render(all))
    let errors = all.count { $0.severity == .error }
    let warnings = all.count { $0.severity == .warning }
    if errors > 0 {
      printError("lockdown: " + counted(errors, "error") + ", " + counted(warnings, "warning"))
    }
  }

  static func findings(_ compilation: Compilation) -> JSONValue {
    findings(compilation.diagnostics, in: compilation.sources)
  }

  static func findings(_ diagnostics: DiagnosticList, in sources: SourceFiles) -> JSONValue {
    JSONRenderer(files: sources).render(diagnostics.all)
  }

  static func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }
}
