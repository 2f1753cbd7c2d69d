import ArgumentParser
import Compiler
import Diagnostics

struct AuditCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "audit",
    abstract: "Hold a policy to a benchmark, control by control.",
    discussion: """
      A benchmark is a file of controls with what each asks of any policy, such as those of policies/benchmarks. For each \
      control the report says pass, fail, not applicable because of something, or could not tell, with the reason; about \
      packets with one that shows it and the rule that decides. What is stronger than asked passes. What a policy does \
      not say passes only where the kernel's own value is known and does.

      Exit codes: 0 nothing of the kind that --fail-on names, 1 a control fails or a file has errors, 2 could not tell, 3 \
      could not run.
      """)

  enum Format: String, CaseIterable, ExpressibleByArgument {
    case text
    case json
    /// SARIF 2.1.0, for code hosts and editors.
    case sarif
  }

  @Argument(
    help: ArgumentHelp(
      "The policy, a bundle, an .nft or iptables-save file, or live; - is standard input.",
      valueName: "policy"))
  var policy: String

  @Option(help: ArgumentHelp("The benchmark.", valueName: "benchmark"))
  var against: String

  @Option(help: ArgumentHelp("How to print: text, json or sarif.", valueName: "format"))
  var format = Format.text

  @Option(
    help: ArgumentHelp(
      "What counts: fail, a control that fails; any, also one of which it could not be told; none.",
      valueName: "what"))
  var failOn = AuditReport.Threshold.any

  func validate() throws {
    if policy == "-", against == "-" { throw ValidationError("only one of the two can be standard input") }
  }

  func run() throws {
    try NoAnswer.answering(in: format == .json ? .json : format == .sarif ? .sarif : nil) { try answer() }
  }

  private func answer() throws {
    let asked = try CheckedSource.read(policy)
    let read = PolicyCompiler.benchmark(
      path: CheckedSource.name(against), bytes: try FileBytes.readSource(against), reader: FileSystemReader())
    guard let source = asked.compared, let benchmark = read.benchmark else {
      throw NoAnswer([asked].compactMap(\.failed) + [(against, read.sources, read.diagnostics)])
    }
    if !read.diagnostics.all.isEmpty { CheckedSource.report(read.diagnostics, read.sources) }
    var diagnostics = DiagnosticList()
    let audit = Terminal.whileAnnouncing("auditing") {
      Audit(of: source, against: benchmark, diagnostics: &diagnostics)
    }
    guard let audit else {
      throw NoAnswer([(against, read.sources, diagnostics)])
    }
    let report = AuditReport(
      audit, of: (CheckedSource.name(policy), asked.sources), against: (against, read.sources),
      leavingOut: source.leftOut)
    let code = report.exitCode(failingOn: failOn)
    switch format {
    case .text: StandardOutput.write(report.text)
    case .json: StandardOutput.write(report.json)
    case .sarif: StandardOutput.write(report.sarif(version: Version.text, exitCode: code))
    }
    if code != 0 { throw ExitCode(code) }
  }
}

extension AuditReport.Threshold: ExpressibleByArgument {}
