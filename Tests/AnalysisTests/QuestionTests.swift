import PolicyModel
import Testing

@testable import Analysis

private func policy(_ rules: [Rule]) -> HostPolicy {
  var policy = HostPolicy(name: "test", target: Target(kernel: KernelVersion(6, 1)), span: nowhere)
  policy.firewall = Firewall(
    baseChains: [BaseChain(hook: .input, priority: 0, policy: .drop, rules: rules, span: nowhere)],
    span: nowhere)
  return policy
}

private func tcp(_ port: UInt16) -> Match {
  Match(.ports(.destination, protocols: [6], PortSet([AddressRange(port, port)])))
}

/// As a rule comes that was read back: without a text.
private func rule(_ id: Int, _ matches: [Match], _ change: (inout Rule) -> Void = { _ in }) -> Rule {
  var rule = Rule(id: "input/\(id)", name: nil, text: "", verdict: .accept, span: nowhere)
  rule.matches = matches
  change(&rule)
  return rule
}

private func answer(
  _ matches: [Match], _ outcome: Statement.Outcome, _ mode: Statement.Mode = .plain, of policy: HostPolicy
) throws -> PacketAnswer {
  let region = Region(
    hook: .input, families: .both, matches: matches, hasStateClause: false, includesLoopback: false,
    text: "region", span: nowhere)
  let statement = Statement(
    name: nil, body: .packets(region, mode, outcome), text: "region", span: nowhere)
  return try #require(Analysis.answer(statement, for: policy))
}

/// What is certain is answered, whatever a rule does that nobody can read.
@Test func certainAnswersBesideUnreadableRules() throws {
  let policy = policy([
    rule(0, [tcp(80)]) { $0.unreadable = "flags of a kind" }, rule(1, [tcp(22)]),
  ])
  let all = Match(.protocols([6]))
  let unreadable = try answer([tcp(80)], .accept, of: policy)
  #expect(unreadable.holds == nil)
  #expect(unreadable.reason?.contains("cannot be read") ?? false)
  #expect(unreadable.share == nil && unreadable.yes == nil && unreadable.no == nil)
  let open = try answer([tcp(22)], .accept, of: policy)
  #expect(open.holds == true && open.share == .every)
  // Most ports are closed for certain, and one is open.
  let every = try answer([all], .accept, of: policy)
  #expect(every.holds == false && every.share == .some)
  #expect(every.yes?.rule?.id == "input/1")
  #expect(every.no.map { !$0.packet.contains("port 80 ") } ?? false)
  #expect(try answer([all], .accept, .may, of: policy).holds == true)
  #expect(try answer([tcp(80)], .accept, .may, of: policy).holds == nil)
  #expect(try answer([all], .drop, of: policy).holds == false)
}

/// Limits of rules that were read back are compared by what they say.
@Test func limitsOfRulesWithoutTextAreCompared() {
  func limited(_ amount: UInt64, _ seconds: UInt64) -> HostPolicy {
    policy([
      rule(0, [tcp(22)]) {
        $0.limit = Limit(
          isOver: false, rate: Rate(amount: amount, isBytes: false, seconds: seconds), burst: 5)
      }
    ])
  }
  func directions(_ old: HostPolicy, _ new: HostPolicy) -> Set<PacketDifference.Direction> {
    Set(PacketDifference(from: old, to: new).changes.map(\.direction))
  }
  #expect(directions(limited(10, 1), limited(20, 1)) == [.widened])
  #expect(directions(limited(10, 1), limited(9, 1)) == [.narrowed])
  // The kernel counts the time that a packet takes.
  #expect(directions(limited(10, 1), limited(600, 60)) == [])
  #expect(directions(limited(1, 3600), limited(24, 86_400)) == [])
  #expect(directions(limited(10, 1), limited(601, 60)) == [.widened])
}
