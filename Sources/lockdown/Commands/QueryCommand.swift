import Analysis
import ArgumentParser
import CanonicalJSON
import Compiler
import Diagnostics
import PolicyModel

struct QueryCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "query",
    abstract: "Decide a statement about a policy, with packets that show it.",
    discussion: """
      The statement is written as under `expect`: `input accept tcp 8080 from 10.0.0.0/8`, `forward drop to $admin`, \
      `sysctl kernel.kptr_restrict at least 1`. Definitions and zones are those of the policy. Without a state it is \
      about packets that open a flow. A bundle is asked what its messages to the kernel mean; it holds no definitions.

      Exit codes: 0 holds, 1 does not hold or the policy has errors, 2 could not tell, 3 could not run, or the statement has errors.
      """)

  @Argument(
    help: ArgumentHelp(
      "The policy, a bundle, an .nft or iptables-save file, or live; - is standard input.",
      valueName: "policy"))
  var policy: String

  @Argument(help: ArgumentHelp("What to decide.", valueName: "statement"))
  var statement: String

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
      try (loaded ?? BundleFile.policy(bytes, path: policy)).map { PolicyCompiler.query(statement, of: $0) }
      ?? PolicyCompiler.query(
        statement, of: CheckedSource.name(policy), bytes: bytes, reader: FileSystemReader())
    guard let answer = answered.answer else {
      // A statement that is none does not fail to hold.
      let errors = answered.diagnostics.all.filter { $0.severity == .error }
      let isUnasked = errors.allSatisfy {
        $0.span.map { answered.sources[$0.source].path == PolicyCompiler.questionName } ?? false
      }
      throw NoAnswer(
        [(CheckedSource.name(policy), answered.sources, answered.diagnostics)], code: isUnasked ? 3 : 1)
    }
    let report = QueryReport(answer: answer, sources: answered.sources, leftOut: loaded?.leftOut ?? [])
    switch format {
    case .text: StandardOutput.write(report.text)
    case .json: StandardOutput.write(report.json)
    }
    let code: Int32 = report.holds.map { $0 ? 0 : 1 } ?? 2
    if code != 0 { throw ExitCode(code) }
  }
}
