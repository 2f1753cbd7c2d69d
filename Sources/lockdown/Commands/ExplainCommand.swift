import Analysis
import ArgumentParser
import CanonicalJSON
import Compiler
import Diagnostics
import PolicyModel

struct ExplainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain",
    abstract: "Follow one packet through a policy, rule by rule.",
    discussion: """
      The packet is written as a place and clauses of a rule: `input tcp 22 from 1.2.3.4 in eth0`. What is left open is \
      chosen: a packet that opens a flow, with usual values. Rules that the packet does not meet are not shown. Of a \
      bundle, the rules are read back from its messages to the kernel.

      Exit codes: 0 explained, 1 there is no such packet or the policy has errors, 2 could not tell, 3 could not run.
      """)

  @Argument(
    help: ArgumentHelp(
      "The policy, a bundle, an .nft or iptables-save file, or live; - is standard input.",
      valueName: "policy"))
  var policy: String

  @Argument(help: ArgumentHelp("A place and what the packet is like.", valueName: "packet"))
  var packet: String

  @Option(help: ArgumentHelp("How to print: text or json.", valueName: "format"))
  var format = OutputFormat.text

  func run() throws {
    try NoAnswer.answering(in: format.document) { try answer() }
  }

  private func answer() throws {
    let read = try KernelSource.read(policy)
    let loaded = try read.contents.map { try KernelSource.toldPolicy(policy, $0) }
    let bytes = read.bytes
    let answered =
      try (loaded ?? BundleFile.policy(bytes, path: policy)).map { PolicyCompiler.explain(packet, of: $0) }
      ?? PolicyCompiler.explain(
        packet, of: CheckedSource.name(policy), bytes: bytes, reader: FileSystemReader())
    guard let path = answered.answer else {
      throw NoAnswer([(CheckedSource.name(policy), answered.sources, answered.diagnostics)])
    }
    func place(_ span: SourceSpan?) -> String? {
      guard let span else { return nil }
      let file = answered.sources[span.source]
      return "\(file.path):\(file.position(of: span.start).line)"
    }
    switch format {
    case .text:
      var lines = ["\(path.hook.rawValue): \(path.packet)"]
      for step in path.steps {
        let rule =
          step.ruleID.map { $0 == step.text ? $0 : "\($0): \(step.text)" } ?? "\(step.chain): \(step.text)"
        lines.append("  \(place(step.span).map { "\($0): " } ?? "")\(rule)")
        lines.append("    \(step.effect)")
      }
      if path.steps.isEmpty { lines.append("  no chain of this policy is on the way") }
      lines.append(path.outcome)
      StandardOutput.write(lines.joined(separator: "\n") + "\n")
    case .json:
      let steps = path.steps.map { step -> JSONValue in
        .object([
          .init("chain", .string(step.chain)), .init("effect", .string(step.effect)),
          .init("line", place(step.span).map(JSONValue.string) ?? .null),
          .init("rule", step.ruleID.map(JSONValue.string) ?? .null), .init("text", .string(step.text)),
        ])
      }
      StandardOutput.write(
        .object([
          .init("not-looked-at", JSONValue(loaded?.leftOut ?? [])), .init("outcome", .string(path.outcome)),
          .init("packet", .string(path.packet)),
          .init("place", .string(path.hook.rawValue)), .init("steps", .array(steps)),
        ]))
    }
    if !path.isKnown { throw ExitCode(2) }
  }
}
