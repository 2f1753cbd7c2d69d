import ArgumentParser
import CanonicalJSON
import Diagnostics
import PolicyChecker

struct FormatCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fmt",
    abstract: "Write policies in their one layout.",
    discussion: """
      Indentation, spaces and quotes are put in order; comments, blank lines, the order of keys and the line breaks \
      inside brackets stay as they are, and so does the meaning. Files are replaced in place, each whole or not at \
      all, and named; nothing is written while any of them has errors of syntax. Standard input is printed formatted.

      Exit codes: 0 done, or nothing to do; 1 errors of syntax, or with --check or --diff a file that is not in its \
      layout; 3 a file that cannot be read or written.
      """)

  @Argument(help: ArgumentHelp("The policies and fragments; - is standard input.", valueName: "file"))
  var files: [String]

  @Flag(help: "Write nothing; name the files that are not in their layout, and exit with 1 if there are any.")
  var check = false

  @Flag(help: "Write nothing; print what would change as a unified diff, and exit with 1 if anything would.")
  var diff = false

  @Option(help: ArgumentHelp("How to print: text or json.", valueName: "format"))
  var format = OutputFormat.text

  /// One file, read and formatted.
  private struct Result {
    var path: String
    var sources = SourceFiles()
    var diagnostics = DiagnosticList()
    var bytes: [UInt8]
    /// Nil if it was refused.
    var formatted: [UInt8]?

    var name: String { path == "-" ? "<stdin>" : path }
    var isChanged: Bool { formatted.map { $0 != bytes } ?? false }

    init(_ path: String) throws {
      self.path = path
      bytes = try FileBytes.readSource(path)
      let file = sources.add(path: name, bytes: bytes)
      do throws(PolicyFormatter.UnfaithfulError) {
        formatted = try PolicyFormatter.format(file, diagnostics: &diagnostics)
      } catch {
        throw FileError("`\(name)` cannot be formatted without changing what it says; nothing is written")
      }
    }

    var difference: String {
      let lines = LineDifference(from: bytes, to: formatted ?? bytes)
      return String(decoding: lines.unified(oldName: name, newName: name), as: UTF8.self)
    }
  }

  func validate() throws {
    if files.count(where: { $0 == "-" }) > 1 { throw ValidationError("standard input can be read once") }
  }

  func run() throws {
    let results = try files.map(Result.init)
    let isRefused = results.contains { $0.formatted == nil }
    let isWriting = !check && !diff && !isRefused
    if isWriting {
      for result in results where result.path != "-" && result.isChanged {
        try ReplacedFile.write(result.path, result.formatted ?? [])
      }
    }
    switch format {
    case .text: printText(results, isWriting: isWriting)
    case .json: StandardOutput.write(.array(results.map(json)))
    }
    if isRefused || !isWriting && results.contains(where: \.isChanged) { throw ExitCode(1) }
  }

  private func printText(_ results: [Result], isWriting: Bool) {
    for result in results {
      CompileRun.report(result.diagnostics, in: result.sources)
      if diff {
        // For whoever applies it: the bytes of the file.
        StandardOutput.write(Array(result.difference.utf8))
      } else if isWriting, result.path == "-" {
        StandardOutput.write(result.formatted ?? [])
      } else if isWriting || check, result.isChanged {
        StandardOutput.write(result.name + "\n")
      }
    }
  }

  private func json(_ result: Result) -> JSONValue {
    .object([
      .init("file", .string(result.path)),
      .init("findings", CompileRun.findings(result.diagnostics, in: result.sources)),
      .init("changed", result.formatted == nil ? .null : .bool(result.isChanged)),
      .init(
        "text",
        result.path == "-"
          ? result.formatted.map { .string(String(decoding: $0, as: UTF8.self)) } ?? .null : .null),
      .init("diff", diff ? .string(result.difference) : .null),
    ])
  }
}
