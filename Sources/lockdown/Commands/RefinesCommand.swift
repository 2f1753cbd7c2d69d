import ArgumentParser
import CanonicalJSON
import Compiler

struct RefinesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "refines",
    abstract: "Tell whether a policy permits no more than another.",
    discussion: """
      A policy refines another if it accepts no packet more often, and none of its settings is weaker or of unknown \
      order. What it permits beyond the other is shown as by `diff`, with an example and the rules that decide on both \
      sides.

      Exit codes: 0 it refines the other, 1 it does not, 2 could not tell, 3 could not run, or one of them has errors.
      """)

  @Argument(
    help: ArgumentHelp(
      "The policy or bundle that should permit less; - is standard input.", valueName: "policy"))
  var policy: String

  @Argument(help: ArgumentHelp("The policy or bundle that it is held to.", valueName: "other"))
  var other: String

  @Option(help: ArgumentHelp("How to print: text or json.", valueName: "format"))
  var format = OutputFormat.text

  func validate() throws {
    if policy == "-", other == "-" { throw ValidationError("only one of the two can be standard input") }
  }

  func run() throws {
    try NoAnswer.answering(in: format.document) { try answer() }
  }

  private func answer() throws {
    let (wider, narrower) = try CheckedSource.read(other, policy)
    guard let base = wider.compared, let asked = narrower.compared else {
      throw NoAnswer([wider, narrower].compactMap(\.failed), code: 3)
    }
    let comparison = Terminal.whileAnnouncing("comparing") {
      PolicyComparison(from: base, to: asked, listsInFull: format == .json).widening
    }
    let (name, otherName) = (CheckedSource.name(policy), CheckedSource.name(other))
    let report = ComparisonReport(
      comparison, old: (otherName, wider.sources), new: (name, narrower.sources))
    switch format {
    case .text:
      let headline =
        switch comparison.refines {
        case true?: "\(name) refines \(otherName): it permits no more"
        case false?: "\(name) does not refine \(otherName): old is \(otherName), new is \(name)"
        case nil: "could not tell whether \(name) refines \(otherName)"
        }
      StandardOutput.write(headline + "\n" + (comparison.refines == true ? "" : "\n" + report.text))
    case .json:
      StandardOutput.write(
        .object([
          .init("beyond", report.json), .init("other", .string(otherName)), .init("policy", .string(name)),
          .init("refines", comparison.refines.map(JSONValue.bool) ?? .null),
        ]))
    }
    let code: Int32 = comparison.refines.map { $0 ? 0 : 1 } ?? 2
    if code != 0 { throw ExitCode(code) }
  }
}
