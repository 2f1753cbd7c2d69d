import ArgumentParser
import CanonicalJSON
import Compiler
import Diagnostics
import PolicyModel

struct TestCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "test",
    abstract: "Ask of a policy, a bundle or a kernel what files expect.",
    discussion: """
      A file is a fragment with statements under `expect`, in its own words and those of the policy that is asked, or a \
      whole policy with what it expects and guarantees: so a running kernel can be held to the policy that it should have. \
      Each statement that does not hold is shown with a packet and the rule that decides about it.

      Exit codes: 0 all hold, 1 one does not or a file has errors, 2 could not tell, 3 could not run.
      """)

  @Argument(help: ArgumentHelp("Files of expectations; - is standard input.", valueName: "file"))
  var files: [String]

  @Option(
    help: ArgumentHelp(
      "The policy, a bundle, an .nft or iptables-save file, or live, that is asked.", valueName: "source"))
  var against: String

  @Option(help: ArgumentHelp("How to print: text or json.", valueName: "format"))
  var format = OutputFormat.text

  @Flag(help: "Also list the rules that decide about no packet of an expectation.")
  var coverage = false

  func validate() throws {
    if (files + [against]).count(where: { $0 == "-" }) > 1 {
      throw ValidationError("only one of the files can be standard input")
    }
  }

  func run() throws {
    try NoAnswer.answering(in: format.document) { try answer() }
  }

  private func answer() throws {
    // A kernel's rules are read first: a namespace of its own is made only while there is one thread.
    let opened = try CheckedSource.Opened(against)
    var tests: [ExpectationFile] = []
    for file in files {
      tests.append(
        PolicyCompiler.expectations(
          path: CheckedSource.name(file), bytes: try FileBytes.readSource(file), of: opened.policy,
          reader: FileSystemReader()))
    }
    let asked = try opened.checked(like: tests.lazy.compactMap(\.expectations?.policy).first)
    guard let source = asked.compared else { throw NoAnswer([asked].compactMap(\.failed)) }
    let run = Terminal.whileAnnouncing("testing") { [tests] in
      var tests = tests
      let run = ExpectationRun(&tests, of: source, withCoverage: coverage)
      return (run, tests)
    }
    guard let result = run.0 else { throw NoAnswer(run.1.map { ($0.name, $0.sources, $0.diagnostics) }) }
    for test in run.1 where !test.diagnostics.all.isEmpty {
      CheckedSource.report(test.diagnostics, test.sources)
    }
    let report = ExpectationReport(
      result, of: (CheckedSource.name(against), asked.sources), leavingOut: source.leftOut)
    switch format {
    case .text: StandardOutput.write(report.text)
    case .json: StandardOutput.write(report.json)
    }
    if result.exitCode != 0 { throw ExitCode(result.exitCode) }
  }
}
