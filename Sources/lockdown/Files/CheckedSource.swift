import Compiler
import Diagnostics

/// A policy that is asked about and not compiled.
enum CheckedSource {
  static func name(_ path: String) -> String { path == "-" ? "<stdin>" : path }

  /// Reads and checks; findings are told, and the policy is nil if it has errors.
  static func read(_ path: String) throws(FileError) -> CheckedPolicy {
    let bytes = try bytes(path)
    let checked = PolicyCompiler.check(path: name(path), bytes: bytes, reader: FileSystemReader())
    if checked.policy == nil { report(checked.diagnostics, checked.sources) }
    return checked
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
