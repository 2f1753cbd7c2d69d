import Analysis
import ArgumentParser
import CanonicalJSON
import Compiler

struct CheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "Check policies: everything a compile would refuse, and nothing written.")

  @Argument(help: ArgumentHelp("The policies; - is standard input.", valueName: "file"))
  var files: [String]

  @Option(help: ArgumentHelp("How to print: text or json.", valueName: "format"))
  var format = OutputFormat.text

  func run() throws {
    var isClean = true
    var results: [JSONValue] = []
    for file in files {
      let compilation = try CompileRun.run(file)
      isClean = isClean && compilation.policy != nil
      switch format {
      case .text:
        CompileRun.report(compilation)
        if let policy = compilation.policy {
          let proved = policy.proofs.provedStatements
          let suffix = proved == 0 ? "" : ", " + CompileRun.counted(proved, "statement") + " proved"
          StandardOutput.write("\(file): ok\(suffix)\n")
        }
      case .json:
        results.append(
          .object([
            .init("file", .string(file)), .init("findings", CompileRun.findings(compilation)),
            .init("policy", compilation.policy.map { CompileSummary($0).json } ?? .null),
          ]))
      }
    }
    if format == .json { StandardOutput.write(.array(results)) }
    if !isClean { throw ExitCode(1) }
  }
}
