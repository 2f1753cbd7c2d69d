import Diagnostics
import PolicyModel
import Testing

@testable import Analysis

private let source = SourceID(0)

private func span(_ index: Int) -> SourceSpan { SourceSpan(source, index * 10, index * 10 + 5) }

private func tcp(_ port: UInt16) -> Match {
  Match(.ports(.destination, protocols: [6], PortSet([AddressRange(port, port)])))
}

private func rule(_ id: String, _ verdict: Verdict, _ matches: Match..., limit: Limit? = nil) -> Rule {
  var rule = Rule(id: id, name: nil, text: "accept \(id)", verdict: verdict, span: span(id.count))
  rule.matches = matches
  rule.limit = limit
  return rule
}

private let slow = Limit(isOver: false, rate: Rate(amount: 10, isBytes: false, seconds: 60), burst: 5)

private func region(_ hook: Hook, _ text: String, _ matches: Match...) -> Region {
  Region(
    hook: hook, families: .both, matches: matches, hasStateClause: false, includesLoopback: false,
    text: text, span: span(90))
}

private func policy(input: [Rule], output: [Rule] = [], outputPolicy: ChainPolicy = .accept) -> HostPolicy {
  var policy = HostPolicy(name: "test", target: Target(kernel: KernelVersion(6, 1)), span: span(0))
  policy.firewall = Firewall(
    baseChains: [
      BaseChain(hook: .input, priority: -5, policy: .drop, rules: input, span: span(1)),
      BaseChain(hook: .output, priority: -5, policy: outputPolicy, rules: output, span: span(2)),
    ], span: span(1))
  return policy
}

private func proved(_ policy: HostPolicy) -> (summary: ProofSummary, diagnostics: [Diagnostic]) {
  var diagnostics = DiagnosticList()
  var policy = policy
  let summary = Analysis.prove(&policy, diagnostics: &diagnostics)
  return (summary, diagnostics.all)
}

@Test func managementIsProvedWhenOpeningPacketsAndRepliesPass() {
  var subject = policy(input: [rule("input/ssh", .accept, tcp(22))])
  subject.management = .regions([region(.input, "tcp 22", tcp(22))])
  let result = proved(subject)
  #expect(result.summary.isManagementProved)
  #expect(result.summary.limitedManagement.isEmpty)
  #expect(result.diagnostics.isEmpty)
}

/// A chain of one device says nothing about the packets of others.
@Test func ingressCountsForItsDevicesOnly() throws {
  var subject = policy(input: [rule("input/ssh", .accept, tcp(22))])
  let drop = rule("ingress/closing", .drop)
  subject.firewall?.baseChains.append(
    BaseChain(
      hook: .ingress, priority: -5, policy: .drop, devices: ["eth0", "eth2"], rules: [drop], span: span(3)))
  func interface(_ name: String) -> Match { Match(.interfaces(.input, [InterfacePattern(name)])) }
  func findings(_ name: String, _ outcome: Statement.Outcome) -> [DiagnosticID] {
    subject.management = .none
    subject.expectations = [
      Statement(
        name: nil, body: .packets(region(.input, "tcp 22", tcp(22), interface(name)), .plain, outcome),
        text: "tcp 22", span: span(4))
    ]
    return proved(subject).diagnostics.map(\.id)
  }
  #expect(findings("eth0", .drop) == [])
  #expect(findings("eth2", .drop) == [])
  #expect(findings("eth1", .accept) == [])
  #expect(findings("eth0", .accept) == [.expectFailed])
  #expect(findings("eth1", .drop) == [.expectFailed])
  subject.expectations = []
  subject.management = .regions([region(.input, "tcp 22", tcp(22))])
  #expect(proved(subject).diagnostics.map(\.id) == [.managementUnreachable])
}

@Test func managementUpToALimitIsProvedAndListed() {
  var subject = policy(input: [rule("input/ssh", .accept, tcp(22), limit: slow)])
  subject.management = .regions([region(.input, "tcp 22", tcp(22))])
  let result = proved(subject)
  #expect(result.summary.isManagementProved)
  #expect(result.summary.limitedManagement == ["tcp 22"])
}

@Test func managementBehindADropIsAnErrorWithAPacket() throws {
  let inside = Match(
    .addresses(.source, AddressMatch(addresses: AddressSet(ipv4: [IPv4Range(0x0a00_0000, 0x0aff_ffff)]))))
  var subject = policy(input: [rule("input/blocked", .drop, inside), rule("input/ssh", .accept, tcp(22))])
  subject.management = .regions([region(.input, "tcp 22", tcp(22))])
  let result = proved(subject)
  #expect(!result.summary.isManagementProved)
  let finding = try #require(result.diagnostics.first)
  #expect(finding.id == .managementUnreachable)
  #expect(finding.help.contains { $0.contains("tcp from 10.0.0.1") && $0.contains("port 22") })
  #expect(finding.related.first?.message == "`input/blocked` decides here")
}

@Test func managementWhoseRepliesAreDroppedIsAnError() {
  let onlyNew = rule("output/new", .accept, Match(.states(.new)))
  var subject = policy(
    input: [rule("input/ssh", .accept, tcp(22))], output: [onlyNew], outputPolicy: .drop)
  subject.management = .regions([region(.input, "tcp 22", tcp(22))])
  let result = proved(subject)
  #expect(result.diagnostics.map(\.id) == [.managementUnreachable])
}

@Test func aClosedInputWithoutManagementIsAWarningAndNotProved() {
  let result = proved(policy(input: []))
  #expect(result.diagnostics.map(\.id) == [.managementMissing])
  #expect(result.diagnostics.map(\.severity) == [.warning])
  #expect(!result.summary.isManagementProved)
}

@Test func aConsoleOnlyHostIsProved() {
  var subject = policy(input: [])
  subject.management = .none
  #expect(proved(subject).summary.isManagementProved)
  #expect(proved(subject).diagnostics.isEmpty)
}

@Test(
  "each outcome is judged by its quantifier",
  arguments: [
    (22, Statement.Mode.plain, Statement.Outcome.accept, true), (22, .always, .accept, true),
    (22, .sometimes, .accept, false), (22, .plain, .drop, false),
    (80, .plain, .accept, true), (80, .always, .accept, false), (80, .sometimes, .accept, true),
    (80, .may, .accept, true),
    (25, .plain, .accept, false), (25, .may, .accept, false), (25, .plain, .drop, true),
    (25, .plain, .reject, false),
    (113, .plain, .reject, true), (113, .plain, .drop, true),
  ])
func outcomes(port: UInt16, mode: Statement.Mode, outcome: Statement.Outcome, holds: Bool) {
  var subject = policy(input: [
    rule("input/ssh", .accept, tcp(22)), rule("input/web", .accept, tcp(80), limit: slow),
    rule("input/ident", .reject(.tcpReset), tcp(113)),
  ])
  subject.management = .none
  subject.expectations = [
    Statement(
      name: nil, body: .packets(region(.input, "tcp \(port)", tcp(port)), mode, outcome), text: "",
      span: span(50))
  ]
  let result = proved(subject)
  #expect(result.diagnostics.map(\.id) == (holds ? [] : [.expectFailed]))
  #expect(result.summary.provedStatements == (holds ? 1 : 0))
}

@Test func anEmptyRegionProvesNothing() {
  var subject = policy(input: [])
  subject.management = .none
  subject.expectations = [
    Statement(
      name: nil, body: .packets(region(.input, "tcp", tcp(1), tcp(2)), .plain, .drop), text: "",
      span: span(50))
  ]
  #expect(proved(subject).diagnostics.map(\.id) == [.expectEmptyRegion])
}

/// What is new has no reply yet, and what is untracked no mark of a connection.
@Test func statesSayWhatAConnectionIs() {
  let marked = Match(.mark(.connmark, MarkValues([AddressRange(1, 1)])))
  let cases: [(matches: [Match], isEmpty: Bool)] = [
    ([Match(.states(.untracked)), marked], true), ([Match(.states(.new)), marked], false),
    ([Match(.states(.invalid)), Match(.status(.confirmed))], true),
    ([Match(.states(.new)), Match(.status([.seenReply, .expected]))], true),
    ([Match(.states(.established)), Match(.status(.seenReply), isNegated: true)], true),
    ([Match(.states(.related)), Match(.status(.expected))], false),
  ]
  for (matches, isEmpty) in cases {
    var subject = policy(input: [])
    subject.management = .none
    var asked = region(.input, "x")
    (asked.matches, asked.hasStateClause) = (matches, true)
    subject.expectations = [
      Statement(name: nil, body: .packets(asked, .plain, .drop), text: "", span: span(50))
    ]
    let ids = proved(subject).diagnostics.map(\.id)
    #expect(ids == (isEmpty ? [.expectEmptyRegion] : []), "\(matches)")
  }
}

@Test func whatIsTranslatedSaysSoBehindIt() {
  var subject = policy(input: [rule("input/published", .accept, Match(.status(.dnat)))])
  let nat = BaseChain(
    name: "nat.prerouting", hook: .prerouting, isNAT: true, priority: -105, policy: .accept,
    rules: [
      rule(
        "nat.prerouting/web",
        .translate(
          .destinationByPort([
            PortTarget(port: 80, address: .ipv4(IPv4Range(0x0a00_0001, 0x0a00_0001)), targetPort: 8080)
          ])), tcp(80))
    ], span: nowhere)
  subject.firewall?.baseChains.insert(nat, at: 0)
  subject.management = .none
  subject.expectations = [
    Statement(
      name: nil, body: .packets(region(.input, "tcp 80 new", tcp(80), Match(.states(.new))), .may, .accept),
      text: "", span: span(50))
  ]
  #expect(proved(subject).diagnostics.isEmpty)
}

@Test func openingsAreThoseOfTheChainWhateverIsTranslated() {
  var subject = policy(input: [rule("input/ssh", .accept, tcp(22))])
  let nat = BaseChain(
    name: "nat.prerouting", hook: .prerouting, isNAT: true, priority: -105, policy: .accept,
    rules: [rule("nat.prerouting/web", .translate(.redirect(8080)), tcp(80))], span: nowhere)
  subject.firewall?.baseChains.insert(nat, at: 0)
  subject.management = .none
  let openings = proved(subject).summary.openings
  #expect(openings.filter { $0.hook == .input }.map(\.ruleID) == ["input/ssh"])
}

@Test func openingsNameTheRulesThatAcceptNewFlows() {
  var subject = policy(input: [
    rule("input/replies", .accept, Match(.states([.established, .related]))),
    rule("input/loopback", .accept, Match(.interfaces(.input, [InterfacePattern("lo")]))),
    rule("input/ssh", .accept, tcp(22)), rule("input/again", .accept, tcp(22)),
  ])
  subject.management = .none
  let openings = proved(subject).summary.openings
  #expect(openings.filter { $0.hook == .input }.map(\.ruleID) == ["input/ssh"])
  #expect(openings.filter { $0.hook == .output }.map(\.text) == ["everything else"])
}
