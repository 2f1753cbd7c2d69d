import ArgumentParser
import Compiler

struct DiffCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "diff",
    abstract: "Show what a change of a policy really opens and closes.",
    discussion: """
      Compares what two policies mean, not how they are written: packets by region with an example and the rules that \
      decide on both sides, then sysctls, mounts, modules, kernel parameters and system calls. Policies that mean the \
      same are told so in one line.

      Exit codes: 0 nothing of the kind that --fail-on names, 1 something, 2 could not tell, 3 could not run.
      """)

  enum Format: String, CaseIterable, ExpressibleByArgument {
    case text
    case json
    case markdown
  }

  @Argument(help: ArgumentHelp("The policy as it was; - is standard input.", valueName: "old"))
  var old: String

  @Argument(help: ArgumentHelp("The policy as it is.", valueName: "new"))
  var new: String

  @Option(help: ArgumentHelp("How to print: text, json or markdown.", valueName: "format"))
  var format = Format.text

  @Option(
    help: ArgumentHelp(
      "Which changes count: widen, what may be weaker; observe, also what can be seen; any.",
      valueName: "what"))
  var failOn = ComparisonReport.Threshold.any

  func validate() throws {
    if old == "-", new == "-" { throw ValidationError("only one of the two can be standard input") }
  }

  func run() throws {
    let before = try CheckedSource.read(old)
    let after = try CheckedSource.read(new)
    guard let first = before.policy, let second = after.policy else { throw ExitCode(1) }
    let comparison = Terminal.whileAnnouncing("comparing") {
      PolicyComparison(from: first, to: second, listsInFull: format == .json)
    }
    let report = ComparisonReport(
      comparison, old: (CheckedSource.name(old), before.sources),
      new: (CheckedSource.name(new), after.sources))
    switch format {
    case .text: StandardOutput.write(report.text)
    case .json: StandardOutput.write(report.json)
    case .markdown: StandardOutput.write(report.markdown)
    }
    let code = report.exitCode(failingOn: failOn)
    if code != 0 { throw ExitCode(code) }
  }
}

extension ComparisonReport.Threshold: ExpressibleByArgument {}
