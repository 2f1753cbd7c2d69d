import Analysis
import ArgumentParser
import CanonicalJSON
import Compiler
import Diagnostics

struct CheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "Check policies: everything a compile would refuse, and nothing written.")

  @Argument(help: ArgumentHelp("The policies; - is standard input.", valueName: "file"))
  var files: [String]

  enum Format: String, CaseIterable, ExpressibleByArgument {
    case text
    case json
    /// SARIF 2.1.0, for code hosts and editors.
    case sarif
  }

  @Option(help: ArgumentHelp("How to print: text, json or sarif.", valueName: "format"))
  var format = Format.text

  @Option(
    help: ArgumentHelp(
      "The day to judge exceptions on, YYYY-MM-DD; today (UTC), if not given.", valueName: "date"))
  var asOf: String?

  func validate() throws {
    if let asOf, Expiry.Day(asOf) == nil { throw ValidationError("`\(asOf)` is no day: write YYYY-MM-DD") }
  }

  func run() throws {
    let day = asOf.flatMap(Expiry.Day.init) ?? Expiry.Day(Clock.today())
    // The worst wins (DESIGN §8): what could not be read, then what has errors.
    var code: Int32 = 0
    var results: [JSONValue] = []
    var inputs: [SARIFRenderer.Input] = []
    for file in files {
      var compilation = CompileRun.run(file, judgedOn: day, lints: true)
      if compilation.policy != nil {
        for finding in compilation.lint { compilation.diagnostics.report(finding) }
        compilation.diagnostics.sortByPlace()
      }
      code = max(code, CompileRun.exitCode(compilation))
      switch format {
      case .text:
        CompileRun.report(compilation)
        if let policy = compilation.policy {
          let proved = policy.proofs.provedStatements
          let suffix = proved == 0 ? "" : ", " + CompileRun.counted(proved, "statement") + " proved"
          let gaps = policy.notEnforced.map { "  not enforced: \($0)\n" }
          StandardOutput.write("\(file): ok\(suffix)\n" + gaps.joined())
        }
      case .json:
        results.append(
          .object([
            .init("file", .string(file)), .init("findings", CompileRun.findings(compilation)),
            .init("policy", compilation.policy.map { CompileSummary($0).json } ?? .null),
          ]))
      case .sarif:
        inputs.append(
          SARIFRenderer.Input(
            path: file == "-" ? "<stdin>" : file, files: compilation.sources,
            diagnostics: compilation.diagnostics.all))
      }
    }
    switch format {
    case .text: break
    case .json: StandardOutput.write(.array(results))
    case .sarif:
      var renderer = SARIFRenderer(version: Version.text, exitCode: code)
      for input in inputs { renderer.add(input) }
      StandardOutput.write(renderer.log())
    }
    if code != 0 { throw ExitCode(code) }
  }
}
