import ArgumentParser
import Compiler

struct DiffCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "diff",
    abstract: "Show what a change of a policy really opens and closes.",
    discussion: """
      Compares what two policies or bundles mean, not how they are written: packets by region with an example and the rules that \
      decide on both sides, then sysctls, mounts, modules, kernel parameters and system calls. Policies that mean the \
      same are told so in one line. Of a bundle, the rules are read back from its messages to the kernel. \
      Rules that nft or iptables-restore read are told by their first words, and loaded by these in a network namespace \
      of their own; `live` is the rules of this one.

      Exit codes: 0 nothing of the kind that --fail-on names, 1 something, 2 could not tell, 3 could not run.
      """)

  enum Format: String, CaseIterable, ExpressibleByArgument {
    case text
    case json
    case markdown
    /// SARIF 2.1.0, for code hosts and editors.
    case sarif
  }

  @Argument(
    help: ArgumentHelp(
      "The policy as it was, a bundle, an .nft or iptables-save file, or live; - is standard input.",
      valueName: "old"))
  var old: String

  @Argument(help: ArgumentHelp("The policy as it is, or another of these.", valueName: "new"))
  var new: String

  @Option(help: ArgumentHelp("How to print: text, json, markdown or sarif.", valueName: "format"))
  var format = Format.text

  @Option(
    help: ArgumentHelp(
      "Which changes count: widen, what may be weaker; observe, also what can be seen; any.",
      valueName: "what"))
  var failOn = ComparisonReport.Threshold.any

  @Option(
    help: ArgumentHelp(
      "Which tables count of a kernel, an .nft or iptables-save file: own, those of the applier; host, all of them.",
      valueName: "tables"))
  var scope = TableScope.host

  @Option(
    help: ArgumentHelp(
      "Also write an example of each changed packet to this file (pcapng), with what changes for it.",
      valueName: "file"))
  var pcap: String?

  func validate() throws {
    if old == "-", new == "-" { throw ValidationError("only one of the two can be standard input") }
  }

  func run() throws {
    try NoAnswer.answering(in: format == .json ? .json : format == .sarif ? .sarif : nil) { try answer() }
  }

  private func answer() throws {
    let (before, after) = try CheckedSource.read(old, new, scope)
    guard let first = before.compared, let second = after.compared else {
      throw NoAnswer([before, after].compactMap(\.failed))
    }
    let comparison = Terminal.whileAnnouncing("comparing") {
      PolicyComparison(from: first, to: second, listsInFull: format == .json)
    }
    let report = ComparisonReport(
      comparison, old: (CheckedSource.name(old), before.sources),
      new: (CheckedSource.name(new), after.sources))
    if let pcap {
      var capture = CaptureFile(version: Version.text)
      for (packet, comment) in report.samples { capture.add(packet, comment: comment) }
      try ReplacedFile.writeOrCreate(pcap, capture.contents)
    }
    let code = report.exitCode(failingOn: failOn)
    switch format {
    case .text: StandardOutput.write(report.text)
    case .json: StandardOutput.write(report.json)
    case .markdown: StandardOutput.write(report.markdown)
    case .sarif: StandardOutput.write(report.sarif(version: Version.text, exitCode: code))
    }
    if code != 0 { throw ExitCode(code) }
  }
}

extension ComparisonReport.Threshold: ExpressibleByArgument {}
