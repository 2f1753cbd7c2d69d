import Diagnostics
import PolicyModel
import Testing

@testable import Analysis

/// A packet as plain values, judged by a plain first-match loop: the oracle knows no boxes.
private struct Packet {
  var family: Families
  var number: UInt8
  /// Nil: a later fragment, or a protocol without ports.
  var port: UInt16?
  var source: UInt32
  var input: String
  var state: ConntrackStates
  var isDNAT: Bool
  var user: UInt32?

  func meets(_ match: Match) -> Bool {
    switch match.condition {
    case .protocols(let numbers): return numbers.contains(number) != match.isNegated
    case .ports(_, let protocols, let ports):
      guard protocols.contains(number) else { return false }
      return (port.map { ports.contains($0) } ?? false) != match.isNegated
    case .services(let services):
      let holds = services.contains { service in
        guard service.protocolNumber == number else { return false }
        guard let ports = service.ports else { return true }
        return port.map { ports.contains($0) } ?? false
      }
      return holds != match.isNegated
    case .states(let states): return states.contains(state) != match.isNegated
    case .status(let status): return (isDNAT && status.contains(.dnat)) != match.isNegated
    case .addresses(_, let addresses):
      let holds =
        family == .ipv4
        ? addresses.addresses.ipv4.contains { $0.lower <= source && source <= $0.upper }
        : addresses.addresses.ipv6.contains { $0.lower <= UInt128(source) && UInt128(source) <= $0.upper }
      return holds != match.isNegated
    case .interfaces(_, let patterns):
      let holds = patterns.contains { $0.isPrefix ? input.hasPrefix($0.name) : input == $0.name }
      return holds != match.isNegated
    case .user(let ranges):
      let holds = user.map { id in ranges.contains { $0.lower <= id && id <= $0.upper } } ?? false
      return holds != match.isNegated
    case .group, .icmp: return false
    }
  }

  /// The verdict of a map; nil: a field is missing.
  func verdict(of map: VerdictMap) -> Verdict? {
    for case .port(let protocolNumber) in map.fields {
      guard number == protocolNumber, port != nil else { return nil }
    }
    let entry = map.entries.first { entry in
      entry.keys.contains { key in
        key.allSatisfy { part in
          switch part {
          case .ports(let ports): port.map { ports.contains($0) } ?? false
          case .addresses(let set): meets(Match(.addresses(.source, AddressMatch(addresses: set))))
          case .interfaces(let patterns): meets(Match(.interfaces(.input, patterns)))
          }
        }
      }
    }
    return entry?.verdict ?? map.otherwise
  }

  /// The same packet as a box of one point.
  var box: PacketBox {
    func point(_ value: UInt128) -> IntervalSet<UInt128> { IntervalSet([AddressRange(value, value)]) }
    var box = PacketBox(all: family)
    box[.transportProtocol] = point(UInt128(number))
    box[.destinationPort] = point(port.map { UInt128($0) } ?? PacketBox.absentPort)
    box[.sourceAddress] = point(UInt128(source))
    box[.state] = point(UInt128(PacketBox.states.firstIndex(of: state) ?? 0))
    box[.status] = point(isDNAT ? 1 << 5 : 0)
    box[.user] = point(user.map { UInt128($0) } ?? PacketBox.absentID)
    box.inputInterface = .exactly(input)
    return box
  }
}

/// What a packet may meet: every choice of every limiter, tried one after the other.
private func outcomes(_ packet: Packet, _ chain: BaseChain, _ regular: [RegularChain]) -> Set<ChainPolicy> {
  /// A chain, and what its end is for a packet: the policy of a pair of zones, or what is behind the jump.
  func enter(_ name: String, behind: () -> Set<ChainPolicy>) -> Set<ChainPolicy> {
    guard let chain = regular.first(where: { $0.name == name }) else { return [] }
    return decide(chain.rules[...]) { chain.policy.map { [$0] } ?? behind() }
  }
  func decide(_ rules: ArraySlice<Rule>, end: () -> Set<ChainPolicy>) -> Set<ChainPolicy> {
    for (index, rule) in zip(rules.indices, rules) {
      guard rule.families.contains(packet.family), rule.matches.allSatisfy(packet.meets) else { continue }
      let rest = rules[(index + 1)...]
      let reached: Set<ChainPolicy>
      var verdict = rule.verdict
      if case .dispatch(let map) = verdict { verdict = packet.verdict(of: map) ?? .continue }
      switch verdict {
      case .continue, .dispatch: continue
      case .accept, .translate: reached = [.accept]
      case .drop: reached = [.drop]
      case .reject: reached = [.reject]
      case .return: reached = end()
      case .jump(let name): reached = enter(name) { decide(rest, end: end) }
      case .goto(let name): reached = enter(name, behind: end)
      }
      return rule.limit == nil ? reached : reached.union(decide(rest, end: end))
    }
    return end()
  }
  return decide(chain.rules[...]) { [chain.policy] }
}

private let source = SourceID(0)
private let nowhere = SourceSpan(source, 0, 0)

private func randomMatch(_ random: inout some RandomNumberGenerator) -> Match {
  let isNegated = Bool.random(using: &random)
  let condition: Match.Condition
  switch Int.random(in: 0..<8, using: &random) {
  case 0: condition = .protocols([[6], [17], [6, 17], [1]].randomElement(using: &random) ?? [6])
  case 1:
    let low = UInt16.random(in: 1...4, using: &random)
    condition = .ports(
      .destination, protocols: Bool.random(using: &random) ? [6] : [6, 17],
      PortSet([AddressRange(low, low + UInt16.random(in: 0...2, using: &random))]))
  case 2:
    condition = .states(
      [[.new], [.established, .related], [.invalid], [.untracked, .new]].randomElement(using: &random) ?? .new
    )
  case 3: condition = .status(.dnat)
  case 4:
    let low = UInt32.random(in: 0...3, using: &random)
    condition = .addresses(
      .source,
      AddressMatch(
        addresses: AddressSet(
          ipv4: [IPv4Range(low, low + 1)], ipv6: [IPv6Range(UInt128(low), UInt128(low) + 2)])))
  case 5:
    condition = .interfaces(
      .input,
      [InterfacePattern("eth", isPrefix: true), InterfacePattern("eth1"), InterfacePattern("lo")].shuffled(
        using: &random
      ).suffix(2).sorted())
  case 6: condition = .user([AddressRange(0, UInt32.random(in: 0...1, using: &random))])
  default:
    condition = .services([
      Service(protocolNumber: 1, ports: nil),
      Service(protocolNumber: 6, ports: PortSet([AddressRange(2, 3)])),
    ])
  }
  return Match(condition, isNegated: isNegated)
}

private func randomMap(_ random: inout some RandomNumberGenerator, _ targets: [String]) -> VerdictMap {
  let ports: [VerdictMap.Part] = [
    .ports(PortSet([AddressRange(1, 1)])), .ports(PortSet([AddressRange(2, 3)])),
    .ports(PortSet([AddressRange(5, 9)])),
  ]
  let addresses: [VerdictMap.Part] = [
    .addresses(AddressSet(ipv4: [IPv4Range(0, 1)])), .addresses(AddressSet(ipv6: [IPv6Range(2, 4)])),
    .addresses(AddressSet(ipv4: [IPv4Range(4, 9)], ipv6: [IPv6Range(0, 0)])),
  ]
  let names: [VerdictMap.Part] = [
    .interfaces([InterfacePattern("eth1")]), .interfaces([InterfacePattern("lo")]),
    .interfaces([InterfacePattern("eth0"), InterfacePattern("eth00", isPrefix: true)]),
  ]
  var fields: [(VerdictMap.Field, [VerdictMap.Part])] = [
    (.port(6), ports), (.address(.source), addresses), (.interface(.input), names),
  ].shuffled(using: &random)
  fields = Array(fields.prefix(Int.random(in: 1...2, using: &random)))
  let verdicts: [Verdict] =
    [.accept, .drop, .return, .continue] + targets.flatMap { [.jump($0), .goto($0)] }
  let entries = fields[0].1.map { part in
    VerdictMap.Entry(
      keys: [[part] + fields.dropFirst().map { $0.1.randomElement(using: &random) ?? ports[0] }],
      verdict: verdicts.randomElement(using: &random) ?? .drop)
  }
  return VerdictMap(
    fields: fields.map(\.0), entries: entries,
    otherwise: verdicts.randomElement(using: &random) ?? .drop)
}

private func randomRules(
  _ random: inout some RandomNumberGenerator, place: String, targets: [String]
) -> [Rule] {
  let verdicts: [Verdict] =
    [.accept, .accept, .drop, .reject(.automatic), .return, .continue]
    + targets.flatMap { [.jump($0), .goto($0)] } + [.dispatch(randomMap(&random, targets))]
  return (0..<Int.random(in: 0...6, using: &random)).map { index in
    var rule = Rule(
      id: "\(place)/r\(index)", name: nil, text: "",
      verdict: verdicts.randomElement(using: &random) ?? .drop, span: nowhere)
    rule.families = [Families.both, .both, .ipv4, .ipv6].randomElement(using: &random) ?? .both
    if case .dispatch = rule.verdict {
      rule.families = .both
      return rule
    }
    rule.matches = (0..<Int.random(in: 0...3, using: &random)).map { _ in randomMatch(&random) }
    if Int.random(in: 0..<4, using: &random) == 0 {
      rule.limit = Limit(isOver: false, rate: Rate(amount: 1, isBytes: false, seconds: 1), burst: 5)
    }
    return rule
  }
}

private func randomChain(_ random: inout some RandomNumberGenerator) -> BaseChain {
  let policies: [ChainPolicy] = [.accept, .drop, .reject]
  return BaseChain(
    hook: .input, priority: -5, policy: policies.randomElement(using: &random) ?? .drop,
    rules: randomRules(&random, place: "input", targets: regularNames), span: nowhere)
}

private let regularNames = ["a", "b", "c"]

/// Each leads to the ones behind it only.
private func randomRegularChains(_ random: inout some RandomNumberGenerator) -> [RegularChain] {
  regularNames.indices.map { index in
    let rules = randomRules(
      &random, place: regularNames[index], targets: Array(regularNames[(index + 1)...]))
    return RegularChain(name: regularNames[index], rules: rules, span: nowhere)
  }
}

private let packets: [Packet] = {
  var all: [Packet] = []
  for family in [Families.ipv4, .ipv6] {
    for number: UInt8 in [1, 6, 17] {
      for port: UInt16? in [nil, 1, 2, 3, 5] {
        for address: UInt32 in [0, 2, 4, 9] {
          for input in ["eth", "eth0", "eth1", "lo"] {
            for state in [ConntrackStates.new, .established, .invalid] {
              for (isDNAT, user) in [(false, nil), (true, 0 as UInt32?), (false, 7)] {
                all.append(
                  Packet(
                    family: family, number: number, port: port, source: address, input: input, state: state,
                    isDNAT: isDNAT, user: user))
              }
            }
          }
        }
      }
    }
  }
  return all
}()

/// splitmix64, so that a failure can be repeated.
private struct Seeded: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}

@Test("the symbolic walk agrees with a packet-by-packet loop", arguments: 0..<300)
func walkAgreesWithBruteForce(seed: Int) throws {
  var random = Seeded(state: UInt64(seed))
  let chain = randomChain(&random)
  var regular = randomRegularChains(&random)
  // As a pair of zones has.
  for index in regular.indices where Int.random(in: 0..<4, using: &random) == 0 {
    regular[index].policy = [.accept, .drop, .reject].randomElement(using: &random)
  }
  let fates = try #require(
    Walk.fates(of: [PacketBox(all: .ipv4), PacketBox(all: .ipv6)], along: [chain], through: regular))
  for packet in packets.shuffled(using: &random).prefix(60) {
    let hits = fates.filter { $0.box.intersection(packet.box) != nil }
    // Fates are disjoint and cover everything.
    try #require(hits.count == 1, "\(packet)")
    let expected = outcomes(packet, chain, regular)
    let acceptance: Fate.Acceptance =
      expected == [.accept] ? .always : expected.contains(.accept) ? .sometimes : .never
    #expect(hits[0].acceptance == acceptance, "\(packet) under \(chain.rules) with \(regular)")
    if acceptance == .never { #expect(hits[0].isRejected == (expected == [.reject])) }
  }
}

// MARK: Refinement

private func host(_ chain: BaseChain, _ regular: [RegularChain]) -> HostPolicy {
  var policy = HostPolicy(name: "test", target: Target(kernel: KernelVersion(6, 1)), span: nowhere)
  policy.firewall = Firewall(baseChains: [chain], regularChains: regular, span: nowhere)
  return policy
}

/// Rules added, taken out and changed, and now and then another policy.
private func edited(_ chain: BaseChain, _ random: inout some RandomNumberGenerator) -> BaseChain {
  var chain = chain
  for index in 0..<Int.random(in: 1...2, using: &random) {
    let place = Int.random(in: 0...chain.rules.count, using: &random)
    switch Int.random(in: 0..<5, using: &random) {
    case 0, 1:
      if var rule = randomRules(&random, place: "input", targets: regularNames).first {
        rule.id = "input/new\(index)"
        chain.rules.insert(rule, at: place)
      }
    case 2: if place < chain.rules.count { chain.rules.remove(at: place) }
    case 3:
      if place < chain.rules.count, let rule = randomRules(&random, place: "input", targets: []).first {
        // A verdict map has no clauses of its own.
        if case .dispatch = chain.rules[place].verdict { continue }
        chain.rules[place].matches = rule.matches
        chain.rules[place].limit = rule.limit
      }
    default: chain.policy = [.accept, .drop, .reject].randomElement(using: &random) ?? .drop
    }
  }
  return chain
}

private func rank(_ outcomes: Set<ChainPolicy>) -> Int {
  outcomes == [.accept] ? 2 : outcomes.contains(.accept) ? 1 : 0
}

private func findings(_ policy: HostPolicy, from base: HostPolicy) -> [DiagnosticID] {
  var policy = policy
  var diagnostics = DiagnosticList()
  Refinement.check(&policy, from: base, diagnostics: &diagnostics)
  return diagnostics.all.map(\.id).filter { $0 != .extendsNoEffect }
}

@Test("no packet is accepted that the base refuses, unless it is reported", arguments: 0..<300)
func refinementIsSound(seed: Int) throws {
  var random = Seeded(state: UInt64(seed) &+ 7_000_000)
  let chain = randomChain(&random)
  let regular = randomRegularChains(&random)
  let base = host(chain, regular)
  #expect(findings(base, from: base) == [], "a policy refines itself")
  let child = edited(chain, &random)
  let found = findings(host(child, regular), from: base)
  for packet in packets.shuffled(using: &random).prefix(200) {
    let (before, after) = (rank(outcomes(packet, chain, regular)), rank(outcomes(packet, child, regular)))
    guard after > before else { continue }
    #expect(found.contains(.extendsWidened), "\(packet) is accepted by \(child) and not by \(chain)")
    break
  }
}

@Test("what is delegated or loosened is permitted, and nothing else", arguments: 0..<200)
func permittedRegions(seed: Int) throws {
  var random = Seeded(state: UInt64(seed) &+ 9_000_000)
  var chain = randomChain(&random)
  chain.rules.removeAll { $0.limit != nil }
  let regular = randomRegularChains(&random).map { chain in
    RegularChain(name: chain.name, rules: chain.rules.filter { $0.limit == nil }, span: nowhere)
  }
  var child = edited(chain, &random)
  child.rules.removeAll { $0.limit != nil }
  let matches = (0..<Int.random(in: 0...2, using: &random)).map { _ in randomMatch(&random) }
  let region = Region(
    hook: .input, families: .both, matches: matches, hasStateClause: true, includesLoopback: true,
    text: "region",
    span: nowhere)
  var base = host(chain, regular)
  var policy = host(child, regular)
  if Bool.random(using: &random) {
    base.delegations = [
      Statement(
        name: nil, body: .packets(region, .plain, .accept), text: "input accept region", span: nowhere)
    ]
  } else {
    policy.exceptions = [
      PolicyException(
        target: .packets(region), text: "input accept region", because: "", owner: "", until: "never",
        policy: "test",
        file: "", span: nowhere)
    ]
  }
  let found = findings(policy, from: base)
  for packet in packets.shuffled(using: &random).prefix(300) {
    let isWider = rank(outcomes(packet, child, regular)) > rank(outcomes(packet, chain, regular))
    guard isWider, !matches.allSatisfy(packet.meets) else { continue }
    #expect(found.contains(.extendsWidened), "\(packet) is not in \(matches)")
    break
  }
  // With a permission for everything nothing is wider.
  if matches.isEmpty { #expect(!found.contains(.extendsWidened)) }
}

@Test("more drops are never wider", arguments: 0..<100)
func insertedDrops(seed: Int) {
  var random = Seeded(state: UInt64(seed) &+ 11_000_000)
  var chain = randomChain(&random)
  // Fewer packets at a limiter are more for the others, which counts as a change.
  chain.rules.removeAll { $0.limit != nil }
  let regular = randomRegularChains(&random).map { chain in
    RegularChain(name: chain.name, rules: chain.rules.filter { $0.limit == nil }, span: nowhere)
  }
  var child = chain
  for index in 0..<3 {
    guard var rule = randomRules(&random, place: "input", targets: []).first else { continue }
    rule.id = "input/new\(index)"
    rule.verdict = .drop
    rule.limit = nil
    child.rules.insert(rule, at: Int.random(in: 0...child.rules.count, using: &random))
  }
  #expect(findings(host(child, regular), from: host(chain, regular)) == [])
}

/// A grandchild that refines its base, which refines the root, refines the root.
@Test("refinement is transitive", arguments: 0..<300)
func refinementIsTransitive(seed: Int) {
  var random = Seeded(state: UInt64(seed) &+ 13_000_000)
  let root = randomChain(&random)
  let regular = randomRegularChains(&random)
  let middle = edited(root, &random)
  let last = edited(middle, &random)
  let policies = [root, middle, last].map { host($0, regular) }
  guard findings(policies[1], from: policies[0]).isEmpty, findings(policies[2], from: policies[1]).isEmpty
  else {
    return
  }
  #expect(findings(policies[2], from: policies[0]).isEmpty, "\(root) \(middle) \(last)")
}

/// A field of a rule that lets packets past must be part of the comparison: a new one is judged here first.
@Test func everyFieldOfARuleIsJudged() {
  let rule = Rule(id: "input/x", name: nil, text: "", verdict: .accept, span: nowhere)
  let judged = ["families", "matches", "limit", "quota", "verdict", "isEnabled"]
  let visible = [
    "id", "name", "text", "counter", "log", "comment", "owner", "because", "until", "controls", "origin",
    "span",
  ]
  let fields = Mirror(reflecting: rule).children.compactMap(\.label)
  #expect(
    Set(fields) == Set(judged + visible), "say whether it counts, and compare it in Refinement if it does")
}
