import CanonicalJSON
import Compiler
import Diagnostics

/// One file through the compiler, and its findings told.
enum CompileRun {
  static func run(_ path: String) throws(FileError) -> Compilation {
    PolicyCompiler.compile(path: path == "-" ? "<stdin>" : path, bytes: try FileBytes.read(path))
  }

  /// Findings to standard error, with a closing count where there are errors.
  static func report(_ compilation: Compilation) {
    let all = compilation.diagnostics.all
    guard !all.isEmpty else { return }
    let renderer = PlainRenderer(files: compilation.sources, isColored: Terminal.hasColor)
    printError(renderer.render(all))
    let errors = all.count { $0.severity == .error }
    let warnings = all.count { $0.severity == .warning }
    if errors > 0 {
      printError("lockdown: " + counted(errors, "error") + ", " + counted(warnings, "warning"))
    }
  }

  static func findings(_ compilation: Compilation) -> JSONValue {
    JSONRenderer(files: compilation.sources).render(compilation.diagnostics.all)
  }

  static func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }
}
