import ArgumentParser
import BundleFormat
import Compiler
import Glibc

struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Prove that this host is what a policy says, or show what it does otherwise.",
    discussion: """
      Nothing is changed. The applier reads back all that the policy says: rules, sets and counters of its tables, \
      sysctls, mounts, modules and what is sealed. Where rules differ, the kernel's are asked what they mean: packets by \
      region, with an example and the line that decides. A host that `lockdown open` has opened is one that differs, and \
      until when is said. The label of the kernel's policy only names it.

      Exit codes: 0 the host is the policy; 1 it differs, or the policy has errors; 2 could not tell, or it is the policy \
      but for what this host has not, each named; 3 could not run.
      """)

  @Argument(
    help: ArgumentHelp(
      "The policy, a bundle or the directory of a compile; - is standard input.", valueName: "source"))
  var source: String

  @Option(
    help: ArgumentHelp(
      "Which tables count: own, those of the applier; host, all of them: what another one drops, too.",
      valueName: "tables"))
  var scope = TableScope.own

  @Option(
    help: ArgumentHelp(
      "Look at these alone: firewall, sysctl, mounts; commas between them.", valueName: "domains"))
  var only: String?

  @Option(help: ArgumentHelp("How to print: text or json.", valueName: "format"))
  var format = OutputFormat.text

  private static let domains = ["firewall", "sysctl", "mounts"]

  private var asked: [String] { only.map { $0.split(separator: ",").map(String.init) } ?? [] }

  func validate() throws {
    if let only, asked.isEmpty || !asked.allSatisfy(Self.domains.contains) {
      throw ValidationError("`\(only)` is no list of firewall, sysctl and mounts")
    }
    if scope == .host, !asked.isEmpty, !asked.contains("firewall") {
      throw ValidationError("--scope is about the firewall, which --only leaves out")
    }
  }

  func run() throws {
    try NoAnswer.answering(in: format.document) { try answer() }
  }

  private func answer() throws {
    let policy = try VerifiedPolicy(source)
    let now = Clock.now()
    let check = try HostCheck(of: policy.bundle, domains: asked)
    // Equal bytes are equal rules; other tables are no part of them.
    let asksMeaning = check.firewall == .different || scope == .host && check.firewall != .none
    let meaning = asksMeaning ? try LiveMeaning(policy.compared, scope) : nil
    let report = VerifyReport(policy: policy, check: check, meaning: meaning, now: now)
    switch format {
    case .text: StandardOutput.write(report.text)
    case .json: StandardOutput.write(report.json)
    }
    if report.exitCode != 0 { throw ExitCode(report.exitCode) }
  }
}
