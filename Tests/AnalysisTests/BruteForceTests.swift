import Diagnostics
import PolicyModel
import PolicySamples
import Testing

@testable import Analysis

/// A packet as plain values, judged by a plain first-match loop: the oracle knows no boxes.
struct Packet {
  var family: Families
  var number: UInt8
  /// Nil: a later fragment, or a protocol without ports.
  var port: UInt16?
  var source: UInt32
  var input: String
  var state: ConntrackStates
  var isDNAT: Bool
  var user: UInt32?
  var mark: UInt32 = 0
  /// Nil: no connection.
  var connectionMark: UInt32?
  /// Nil: not TCP, or a later fragment.
  var flags: UInt8?
  var dscp: UInt8 = 0
  var hour: UInt32 = 43_200
  var isFragment = false
  var isSpoofed = false
  /// Dynamic sets that hold its source.
  var sets: Set<String> = []
  /// Control groups for which a clause holds.
  var groups: Set<ControlGroup> = []

  /// Of its connection: an established one has seen a reply, and is in the table.
  var status: ConntrackStatus {
    let known: ConntrackStatus = state == .established ? [.seenReply, .confirmed] : []
    return isDNAT ? known.union(.dnat) : known
  }

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
    case .status(let asked): return !status.isDisjoint(with: asked) != match.isNegated
    case .addresses(_, let addresses):
      func isIn(_ addresses: AddressSet, _ sets: [String]) -> Bool {
        let isKnown =
          family == .ipv4
          ? addresses.ipv4.contains { $0.lower <= source && source <= $0.upper }
          : addresses.ipv6.contains { $0.lower <= UInt128(source) && UInt128(source) <= $0.upper }
        return isKnown || sets.contains(where: self.sets.contains)
      }
      func isIn(_ tree: AddressTree) -> Bool {
        switch tree {
        case .list(let match): meets(Match(.addresses(.source, match)))
        case .union(let parts): parts.contains(where: isIn)
        case .difference(let included, let excepted): isIn(included) && !isIn(excepted)
        }
      }
      if let tree = addresses.tree { return isIn(tree) != match.isNegated }
      let isExcepted = addresses.exception.map { isIn($0.addresses, $0.sets) } ?? false
      return (isIn(addresses.addresses, addresses.sets) && !isExcepted) != match.isNegated
    case .interfaces(_, let patterns):
      let holds = patterns.contains { $0.isPrefix ? input.hasPrefix($0.name) : input == $0.name }
      return holds != match.isNegated
    case .user(let ranges):
      let holds = user.map { id in ranges.contains { $0.lower <= id && id <= $0.upper } } ?? false
      return holds != match.isNegated
    case .mark(let kind, let values):
      let value = kind == .mark ? mark : connectionMark
      let holds = value.map { mark in
        values.ranges.contains { $0.lower <= mark & values.mask && mark & values.mask <= $0.upper }
      }
      return (holds ?? false) != match.isNegated
    case .tcpFlags(let value, let mask):
      guard number == 6 else { return false }
      return (flags.map { $0 & mask.rawValue == value.rawValue } ?? false) != match.isNegated
    case .dscp(let codes):
      return codes.contains { $0.lower <= dscp && dscp <= $0.upper } != match.isNegated
    case .hours(let hours):
      return hours.start < hours.end
        ? hours.start <= hour && hour < hours.end : hour >= hours.start || hour < hours.end
    case .fragment: return isFragment != match.isNegated
    case .spoofed: return (isSpoofed && input != "lo") != match.isNegated
    case .controlGroups(let groups): return !self.groups.isDisjoint(with: groups)
    case .group, .icmp, .linkAddresses, .timeToLive, .length, .packetTypes, .days, .ipsec: return false
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
          case .marks(let ranges): meets(Match(.mark(.mark, MarkValues(ranges))))
          }
        }
      }
    }
    return entry?.verdict ?? map.otherwise
  }

  /// What a rule makes of it.
  mutating func apply(_ rule: Rule) {
    let changes = rule.changes
    if changes.restoresMark, let connectionMark { mark = connectionMark }
    if let value = changes.connectionMark, connectionMark != nil { connectionMark = value }
    if let value = changes.dscp { dscp = value }
    if let value = changes.mark { mark = value }
    if changes.savesMark, connectionMark != nil { connectionMark = mark }
  }

  /// The same packet as a box of one point.
  var box: PacketBox {
    func point(_ value: UInt128) -> IntervalSet<UInt128> { IntervalSet([AddressRange(value, value)]) }
    var box = PacketBox(all: family)
    box[.transportProtocol] = point(UInt128(number))
    box[.destinationPort] = point(port.map { UInt128($0) } ?? PacketBox.absentPort)
    box[.sourcePort] = point(isFragment ? PacketBox.absentPort : 9)
    box[.icmp] = point(isFragment ? PacketBox.absentPort : 0x800)
    box[.sourceAddress] = point(UInt128(source))
    box[.state] = point(UInt128(PacketBox.states.firstIndex(of: state) ?? 0))
    let bits = PacketBox.statusBits.enumerated().filter { status.contains($0.element) }
    box[.status] = point(bits.reduce(0) { $0 | 1 << UInt128($1.offset) })
    box[.user] = point(user.map { UInt128($0) } ?? PacketBox.absentID)
    box.mark = MarkSet(MarkValues([AddressRange(mark, mark)]))
    box.connectionMark = connectionMark.map { MarkSet(MarkValues([AddressRange($0, $0)])) } ?? .absent
    box[.tcpFlags] = point(flags.map { UInt128($0) } ?? PacketBox.absentFlags)
    box[.dscp] = point(UInt128(dscp))
    box[.hour] = point(UInt128(hour))
    box[.fragment] = point(isFragment ? 1 : 0)
    box[.spoofed] = point(isSpoofed ? 1 : 0)
    for set in ["s", "t"] { box.memberships[Membership(set: set, side: .source)] = sets.contains(set) }
    for group in randomGroups { box.controlGroups[group] = groups.contains(group) }
    box.inputInterface = .exactly(input)
    return box
  }
}

/// What a packet may meet: every choice of every limiter, tried one after the other.
///
/// Nil: `notrack` takes the packet out of tracking, so that one of its state does not exist.
func outcomes(
  _ packet: Packet, _ chains: [BaseChain], _ regular: [RegularChain]
) -> Set<ChainPolicy>? {
  typealias Outcome = Set<ChainPolicy>?
  guard let chain = chains.first else { return [.accept] }
  let user = packet.user
  func end(_ policy: ChainPolicy, _ packet: Packet) -> Outcome {
    var next = packet
    next.user = user
    return policy == .accept ? outcomes(next, Array(chains.dropFirst()), regular) : [policy]
  }
  /// A chain, and what its end is for a packet: the policy of a pair of zones, or what is behind the jump.
  func enter(_ name: String, _ packet: Packet, behind: (Packet) -> Outcome) -> Outcome {
    guard let chain = regular.first(where: { $0.name == name }) else { return [] }
    return decide(chain.rules[...], packet) { packet in
      chain.policy.map { end($0, packet) } ?? behind(packet)
    }
  }
  func either(_ a: Outcome, _ b: Outcome) -> Outcome {
    a == nil && b == nil ? nil : (a ?? []).union(b ?? [])
  }
  func decide(_ rules: ArraySlice<Rule>, _ packet: Packet, behind: (Packet) -> Outcome) -> Outcome {
    for (index, rule) in zip(rules.indices, rules) {
      guard rule.families.contains(packet.family), rule.matches.allSatisfy(packet.meets) else { continue }
      let rest = rules[(index + 1)...]
      var changed = packet
      changed.apply(rule)
      let reached: Outcome
      var verdict = rule.verdict
      if case .dispatch(let map) = verdict { verdict = packet.verdict(of: map) ?? .continue }
      switch verdict {
      case .continue, .dispatch: reached = decide(rest, changed, behind: behind)
      case .notrack:
        let isUntracked = packet.state == .untracked
        reached = isUntracked ? decide(rest, changed, behind: behind) : nil
      case .accept, .translate: reached = end(.accept, changed)
      case .drop: reached = [.drop]
      case .reject: reached = [.reject]
      case .return: reached = behind(changed)
      case .jump(let name): reached = enter(name, changed) { decide(rest, $0, behind: behind) }
      case .goto(let name): reached = enter(name, changed, behind: behind)
      }
      return !rule.isLimiting ? reached : either(reached, decide(rest, packet, behind: behind))
    }
    return behind(packet)
  }
  var seen = packet
  // The socket that it is for is found behind prerouting.
  if chain.hook == .prerouting { seen.user = nil }
  return decide(chain.rules[...], seen) { end(chain.policy, $0) }
}

extension Packet {
  /// Whether a chain of input can see it: IPv4 is whole there, and both families where a rule asks for connections.
  func comes(to chain: BaseChain, _ regular: [RegularChain]) -> Bool {
    func isOfConnections(_ match: Match) -> Bool {
      switch match.condition {
      case .states, .status, .mark(.connmark, _): true
      default: false
      }
    }
    let rules = chain.rules + regular.flatMap(\.rules)
    let isTracked = rules.contains { rule in
      rule.families.contains(family)
        && (rule.connections != nil || rule.changes.connectionMark != nil || rule.changes.savesMark
          || rule.changes.restoresMark || rule.matches.contains(where: isOfConnections))
    }
    return !isFragment || family == .ipv6 && !isTracked
  }
}

private let source = SourceID(0)
let nowhere = SourceSpan(source, 0, 0)

/// One below another, and one apart from both.
let randomGroups = [ControlGroup("a"), ControlGroup("a/b"), ControlGroup("c")]

func randomMatch(_ random: inout some RandomNumberGenerator) -> Match {
  let isNegated = Bool.random(using: &random)
  let condition: Match.Condition
  switch Int.random(in: 0..<15, using: &random) {
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
  case 3:
    condition = .status(
      [.dnat, .seenReply, .expected, [.dnat, .confirmed]].randomElement(using: &random) ?? .dnat)
  case 4:
    let low = UInt32.random(in: 0...3, using: &random)
    let known = AddressSet(
      ipv4: [IPv4Range(low, low + 1)], ipv6: [IPv6Range(UInt128(low), UInt128(low) + 2)])
    var match = AddressMatch(addresses: known)
    if Bool.random(using: &random) {
      match.sets = [["s"], ["t"], ["s", "t"]].randomElement(using: &random) ?? ["s"]
      if Bool.random(using: &random) { match.addresses = AddressSet() }
    }
    if Int.random(in: 0..<3, using: &random) == 0 {
      var exception = AddressMatch.Exception()
      exception.sets = ["s", "t"].filter { !match.sets.contains($0) }
      if Bool.random(using: &random) {
        exception.addresses = known
        match.addresses = AddressSet()
      }
      match.exception = exception
    }
    if !match.isStatic, Int.random(in: 0..<3, using: &random) == 0 {
      let other = AddressMatch(
        addresses: AddressSet(ipv4: [IPv4Range(1, 2)], ipv6: [IPv6Range(0, 1)]),
        sets: Bool.random(using: &random) ? ["t"] : [])
      match = AddressMatch(
        Bool.random(using: &random)
          ? .difference(.list(match), .list(other))
          : .union([.list(other), .difference(.list(match), .list(other))]))
    }
    condition = .addresses(.source, match)
  case 5:
    condition = .interfaces(
      .input,
      [InterfacePattern("eth", isPrefix: true), InterfacePattern("eth1"), InterfacePattern("lo")].shuffled(
        using: &random
      ).suffix(2).sorted())
  case 6: condition = .user([AddressRange(0, UInt32.random(in: 0...1, using: &random))])
  case 7, 8:
    let mask: UInt32 = [.max, 0x4000, 0x5, 0].randomElement(using: &random) ?? .max
    let value = ([0, 1, 5, 0x4000] as [UInt32]).map { $0 & mask }.randomElement(using: &random) ?? 0
    condition = .mark(
      Bool.random(using: &random) ? .mark : .connmark,
      mask == .max
        ? MarkValues([AddressRange(value, value + UInt32.random(in: 0...9, using: &random))])
        : MarkValues([AddressRange(value, value)], mask: mask))
  case 9:
    let mask: UInt8 = [0x17, 0x02, 0xff].randomElement(using: &random) ?? 0x17
    condition = .tcpFlags(value: TCPFlags(rawValue: 0x02 & mask), mask: TCPFlags(rawValue: mask))
  case 10: condition = .dscp([AddressRange(0, UInt8.random(in: 0...10, using: &random))])
  case 11: return Match(.hours(Hours(start: 79_200, end: Bool.random(using: &random) ? 0 : 21_600)))
  case 12: condition = .fragment
  case 13: condition = .spoofed
  case 14:
    let groups = randomGroups.shuffled(using: &random).prefix(Int.random(in: 1...2, using: &random))
    return Match(.controlGroups(Array(groups).merged))
  default:
    condition = .services([
      Service(protocolNumber: 1, ports: nil),
      Service(protocolNumber: 6, ports: PortSet([AddressRange(2, 3)])),
    ])
  }
  return Match(condition, isNegated: isNegated)
}

func randomMap(_ random: inout some RandomNumberGenerator, _ targets: [String]) -> VerdictMap {
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
  let marks: [VerdictMap.Part] = [
    .marks([AddressRange(0, 0)]), .marks([AddressRange(1, 4), AddressRange(0x4001, 0x4001)]),
    .marks([AddressRange(0x4000, 0x4000), AddressRange(0x8000_0000, .max)]),
  ]
  var fields: [(VerdictMap.Field, [VerdictMap.Part])] = [
    (.port(6), ports), (.address(.source), addresses), (.interface(.input), names), (.mark, marks),
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

func randomRules(
  _ random: inout some RandomNumberGenerator, place: String, targets: [String]
) -> [Rule] {
  let verdicts: [Verdict] =
    [.accept, .accept, .drop, .reject(.automatic), .return, .continue, .continue, .notrack]
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
    if Int.random(in: 0..<3, using: &random) == 0 {
      rule.changes.mark = [nil, 0, 5].randomElement(using: &random) ?? nil
      rule.changes.connectionMark = [nil, 1].randomElement(using: &random) ?? nil
      rule.changes.dscp = [nil, 3].randomElement(using: &random) ?? nil
      rule.changes.restoresMark = Int.random(in: 0..<8, using: &random) == 0
      rule.changes.savesMark = Int.random(in: 0..<8, using: &random) == 0
    }
    if Int.random(in: 0..<4, using: &random) == 0 {
      if Bool.random(using: &random) {
        rule.limit = Limit(isOver: false, rate: Rate(amount: 1, isBytes: false, seconds: 1), burst: 5)
      } else {
        rule.connections = ConnectionLimit(isOver: true, count: 4, key: AddressKey(side: .source))
      }
    }
    return rule
  }
}

func randomChain(_ random: inout some RandomNumberGenerator) -> BaseChain {
  let policies: [ChainPolicy] = [.accept, .drop, .reject]
  return BaseChain(
    hook: .input, priority: -5, policy: policies.randomElement(using: &random) ?? .drop,
    rules: randomRules(&random, place: "input", targets: regularNames), span: nowhere)
}

let regularNames = ["a", "b", "c"]

/// Each leads to the ones behind it only.
func randomRegularChains(_ random: inout some RandomNumberGenerator) -> [RegularChain] {
  regularNames.indices.map { index in
    let rules = randomRules(
      &random, place: regularNames[index], targets: Array(regularNames[(index + 1)...]))
    return RegularChain(name: regularNames[index], rules: rules, span: nowhere)
  }
}

func randomPacket(_ random: inout some RandomNumberGenerator) -> Packet {
  let state = [ConntrackStates.new, .established, .invalid, .untracked].randomElement(using: &random) ?? .new
  let hasEntry = state == .new || state == .established
  let (isDNAT, user): (Bool, UInt32?) =
    [(false, nil), (hasEntry, 0 as UInt32?), (false, 7)].randomElement(using: &random) ?? (false, nil)
  var packet = Packet(
    family: Bool.random(using: &random) ? .ipv4 : .ipv6,
    number: [1, 6, 6, 17].randomElement(using: &random) ?? 6,
    port: [nil, 1, 2, 3, 5].randomElement(using: &random) ?? nil,
    source: [0, 2, 4, 9].randomElement(using: &random) ?? 0,
    input: ["eth", "eth0", "eth1", "lo"].randomElement(using: &random) ?? "lo", state: state, isDNAT: isDNAT,
    user: user)
  packet.mark = [0, 1, 5, 0x4000, 0x4001, .max].randomElement(using: &random) ?? 0
  if hasEntry { packet.connectionMark = [0, 1, 5, 0x4000].randomElement(using: &random) }
  packet.isFragment = packet.port == nil && Bool.random(using: &random)
  if packet.number == 6, packet.port != nil {
    packet.flags = [0x02, 0x12, 0x10, 0].randomElement(using: &random)
  }
  packet.dscp = [0, 3, 8, 63].randomElement(using: &random) ?? 0
  packet.hour = [0, 21_599, 21_600, 79_199, 79_200, 86_399].randomElement(using: &random) ?? 0
  packet.isSpoofed = Bool.random(using: &random)
  packet.sets = Set(["s", "t"].filter { _ in Bool.random(using: &random) })
  let groups = [[], [0], [1], [0, 1], [2]].randomElement(using: &random) ?? []
  packet.groups = Set(groups.map { randomGroups[$0] })
  return packet
}

/// splitmix64, so that a failure can be repeated.
struct Seeded: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}

/// All that an outcome may be; nil: there is no such packet.
func leaves(_ number: UInt32, _ table: OutcomeTable) -> Set<ChainPolicy>? {
  let outcome = table[number]
  switch outcome.kind {
  case .accept: return [.accept]
  case .drop: return [.drop]
  case .reject: return [.reject]
  case .impossible: return nil
  case .branch: return leaves(outcome.first, table)?.union(leaves(outcome.second, table) ?? [])
  case .pass, .returned, .miss, .effect: return []
  }
}

/// One firewall's diagram in one family.
private final class Judge {
  private let meaning: Meaning
  private let path: Diagram.Reference

  init(
    _ family: Families, _ chains: [BaseChain], _ regular: [RegularChain], region: [PacketBox] = [],
    attempt: Attempt = Attempt()
  ) {
    let firewall = Firewall(baseChains: chains, regularChains: regular, span: nowhere)
    meaning = Meaning(family, [firewall], regions: [region], isLabelled: false, attempt: attempt)
    path = meaning.path(0, chains.indices.map { Meaning.Step.chain($0) })
  }

  var isExhausted: Bool { meaning.diagram.isExhausted }

  func outcome(_ box: PacketBox) -> Set<ChainPolicy>? {
    leaves(meaning.outcome(of: box, on: path), meaning.diagram.outcomes)
  }

  /// All that the region's packets may meet.
  var acceptances: Set<UInt8> {
    let packets = meaning.region(0)
    let outcomes = meaning.diagram.choose(packets, path, Diagram.impossible)
    let all = meaning.diagram.terminals(outcomes).map {
      meaning.diagram.outcomes.acceptances(Diagram.outcome($0)).rawValue
    }
    return Set(all.filter { $0 != 0 })
  }

  private var accepted: Diagram.Reference {
    meaning.diagram.map(path, meaning.diagram.newOperation()) { table, number in
      table[number].kind == .accept ? OutcomeTable.isTrue : OutcomeTable.isFalse
    }
  }

  /// Whether what is accepted is the region.
  var acceptsTheRegion: Bool {
    let region = meaning.region(0)
    return accepted == region
  }

  var acceptedPackets: PacketBox? { meaning.representative(of: accepted, at: .input) }
}

/// A chain of prerouting now and then, which may change what the other one sees.
func randomPath(_ random: inout some RandomNumberGenerator) -> [BaseChain] {
  let chain = randomChain(&random)
  guard Int.random(in: 0..<3, using: &random) == 0 else { return [chain] }
  var first = randomChain(&random)
  first.hook = .prerouting
  return [first, chain]
}

@Test("diagrams agree with a packet-by-packet loop", arguments: batches(100))
func diagramsAgreeWithBruteForce(batch: Int) throws {
  for seed in (batch * 40)..<(batch * 40 + 40) {
    var random = Seeded(state: UInt64(seed))
    let chains = randomPath(&random)
    var regular = randomRegularChains(&random)
    // As a pair of zones has.
    for index in regular.indices where Int.random(in: 0..<4, using: &random) == 0 {
      regular[index].policy = [.accept, .drop, .reject].randomElement(using: &random)
    }
    // In either order of the fields; what takes more nodes than a try has, is tried with all.
    func judge(_ family: Families) -> Judge {
      let judge = Judge(family, chains, regular, attempt: Attempt.all()[seed % 2])
      return judge.isExhausted ? Judge(family, chains, regular) : judge
    }
    let (ipv4, ipv6) = (judge(.ipv4), judge(.ipv6))
    try #require(!ipv4.isExhausted && !ipv6.isExhausted)
    for _ in 0..<30 {
      let packet = randomPacket(&random)
      let found = (packet.family == .ipv4 ? ipv4 : ipv6).outcome(packet.box)
      let expected = outcomes(packet, chains, regular)
      #expect(found == expected, "seed \(seed): \(packet)")
    }
  }
}

/// So many rules that overlap, that a list is made in halves and their halves.
@Test("long lists agree with a packet-by-packet loop", arguments: batches(8))
func longListsAgreeWithBruteForce(seed: Int) throws {
  var random = Seeded(state: UInt64(seed) &+ 15_000_000)
  func ports() -> PortSet {
    let low = UInt16.random(in: 1...90, using: &random)
    return PortSet([AddressRange(low, low + UInt16.random(in: 0...(seed < 4 ? 2 : 40), using: &random))])
  }
  let verdicts: [Verdict] = [.accept, .drop, .reject(.automatic), .return, .continue]
  let rules = (0..<400).map { index in
    var rule = Rule(
      id: "input/r\(index)", name: nil, text: "", verdict: verdicts.randomElement(using: &random) ?? .drop,
      span: nowhere)
    if Int.random(in: 0..<4, using: &random) > 0 {
      rule.matches.append(Match(.ports(.destination, protocols: [6, 17], ports())))
    }
    if Int.random(in: 0..<4, using: &random) > 0 {
      let low = UInt32.random(in: 0...90, using: &random)
      let high = low + UInt32.random(in: 0...40, using: &random)
      let addresses = AddressSet(
        ipv4: [IPv4Range(low, high)], ipv6: [IPv6Range(UInt128(low), UInt128(high))])
      rule.matches.append(
        Match(
          .addresses(.source, AddressMatch(addresses: addresses)),
          isNegated: Int.random(in: 0..<8, using: &random) == 0))
    }
    if rule.matches.isEmpty {
      rule.matches.append(
        Match(
          .services([
            Service(protocolNumber: 1, ports: nil), Service(protocolNumber: 6, ports: ports()),
            Service(protocolNumber: 17, ports: ports()),
          ])))
    }
    if Int.random(in: 0..<30, using: &random) == 0 {
      rule.limit = Limit(isOver: false, rate: Rate(amount: 1, isBytes: false, seconds: 1), burst: 5)
    }
    return rule
  }
  let chain = BaseChain(hook: .input, priority: -5, policy: .reject, rules: rules, span: nowhere)
  let (ipv4, ipv6) = (Judge(.ipv4, [chain], []), Judge(.ipv6, [chain], []))
  try #require(!ipv4.isExhausted && !ipv6.isExhausted)
  for _ in 0..<400 {
    var packet = randomPacket(&random)
    packet.isFragment = false
    packet.port = UInt16.random(in: 1...130, using: &random)
    packet.source = UInt32.random(in: 0...140, using: &random)
    if packet.number == 1 { packet.port = nil }
    let found = (packet.family == .ipv4 ? ipv4 : ipv6).outcome(packet.box)
    #expect(found == outcomes(packet, [chain], []), "seed \(seed): \(packet)")
  }
}

/// Two spellings of the meaning of clauses: sets of boxes and conditions of a diagram.
@Test("a clause is the same as boxes and as a condition", arguments: batches(100))
func clausesAsBoxesAndAsConditions(batch: Int) {
  for seed in (batch * 20)..<(batch * 20 + 20) {
    var random = Seeded(state: UInt64(seed) &+ 3_000_000)
    let matches = (0..<Int.random(in: 1...3, using: &random)).map { _ in randomMatch(&random) }
    for family in [Families.ipv4, .ipv6] {
      let boxes = Guard(matches: matches, family: family).boxes
      var rule = Rule(id: "r", name: nil, text: "", verdict: .accept, span: nowhere)
      rule.matches = matches
      let chain = BaseChain(hook: .input, priority: 0, policy: .drop, rules: [rule], span: nowhere)
      let judge = Judge(family, [chain], [], region: boxes)
      #expect(judge.acceptsTheRegion, "\(matches)")
      let isNothing = boxes.allSatisfy(\.isEmpty)
      guard let box = judge.acceptedPackets else {
        #expect(isNothing, "\(matches)")
        continue
      }
      let isInside = boxes.contains { $0.intersection(box) != nil }
      #expect(isInside, "\(matches)")
      #expect(judge.outcome(box) == [.accept], "\(matches)")
    }
  }
}

/// Alterations on the way through two chains: what the first one sets or copies, the second one sees.
@Test func marksAreCarriedFromChainToChain() {
  func chain(_ hook: Hook, _ policy: ChainPolicy, _ rules: [Rule]) -> BaseChain {
    BaseChain(hook: hook, priority: -5, policy: policy, rules: rules, span: nowhere)
  }
  func rule(_ verdict: Verdict, _ matches: Match..., change: (inout Changes) -> Void = { _ in }) -> Rule {
    var rule = Rule(id: "r", name: nil, text: "", verdict: verdict, span: nowhere)
    rule.matches = matches
    change(&rule.changes)
    return rule
  }
  let web = Match(.ports(.destination, protocols: [6], PortSet([AddressRange(80, 80)])))
  let isMarked = Match(.mark(.mark, MarkValues([AddressRange(0x10, 0x10)], mask: 0xf0)))
  let region = Guard(matches: [web], family: .ipv4).boxes
  let (always, never) = (Acceptances.always.rawValue, Acceptances.never.rawValue)
  func acceptances(_ chains: [BaseChain], of region: [PacketBox]) -> Set<UInt8> {
    Judge(.ipv4, chains, [], region: region).acceptances
  }
  let setting = chain(.prerouting, .accept, [rule(.continue, web) { $0.mark = 0x15 }])
  let asking = chain(.input, .drop, [rule(.accept, isMarked)])
  #expect(acceptances([setting, asking], of: region) == [always])
  #expect(acceptances([asking], of: region) == [always, never])
  // A copied mark is that of the connection.
  let restoring = chain(.prerouting, .accept, [rule(.continue) { $0.restoresMark = true }])
  #expect(acceptances([restoring, asking], of: region) == [always, never])
  let isOfMarked = Match(.mark(.connmark, MarkValues([AddressRange(0x15, 0x15)])))
  #expect(
    acceptances([restoring, asking], of: Guard(matches: [web, isOfMarked], family: .ipv4).boxes) == [always])
}

// MARK: Refinement

private func host(_ chain: BaseChain, _ regular: [RegularChain]) -> HostPolicy {
  var policy = HostPolicy(name: "test", target: Target(kernel: KernelVersion(6, 1)), span: nowhere)
  policy.firewall = Firewall(baseChains: [chain], regularChains: regular, span: nowhere)
  return policy
}

/// Without what changes packets: the refinement of policies that do is refused or walked the same way, and "no such
/// packet" has no rank.
func plain(_ rules: [Rule]) -> [Rule] {
  rules.map { rule in
    var rule = rule
    rule.changes = Changes()
    if rule.verdict == .notrack { rule.verdict = .continue }
    return rule
  }
}

func plainChain(_ random: inout some RandomNumberGenerator) -> BaseChain {
  var chain = randomChain(&random)
  chain.rules = plain(chain.rules)
  return chain
}

func plainRegularChains(_ random: inout some RandomNumberGenerator) -> [RegularChain] {
  randomRegularChains(&random).map { chain in
    RegularChain(name: chain.name, rules: plain(chain.rules), span: nowhere)
  }
}

/// Rules added, taken out and changed, and now and then another policy.
func edited(_ chain: BaseChain, _ random: inout some RandomNumberGenerator) -> BaseChain {
  var chain = chain
  for index in 0..<Int.random(in: 1...2, using: &random) {
    let place = Int.random(in: 0...chain.rules.count, using: &random)
    switch Int.random(in: 0..<5, using: &random) {
    case 0, 1:
      if var rule = plain(randomRules(&random, place: "input", targets: regularNames)).first {
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
        chain.rules[place].connections = rule.connections
      }
    default: chain.policy = [.accept, .drop, .reject].randomElement(using: &random) ?? .drop
    }
  }
  return chain
}

/// Nil: there is no such packet.
func rank(_ outcomes: Set<ChainPolicy>?) -> Int {
  guard let outcomes else { return -1 }
  return outcomes == [.accept] ? 2 : outcomes.contains(.accept) ? 1 : 0
}

private func findings(_ policy: HostPolicy, from base: HostPolicy) -> [DiagnosticID] {
  var policy = policy
  var diagnostics = DiagnosticList()
  Refinement.check(&policy, from: base, diagnostics: &diagnostics)
  return diagnostics.all.map(\.id).filter { $0 != .extendsNoEffect }
}

private func outcomes(_ packet: Packet, of policy: HostPolicy) -> Set<ChainPolicy>? {
  outcomes(packet, policy.firewall?.baseChains ?? [], policy.firewall?.regularChains ?? [])
}

private func comes(_ packet: Packet, to policy: HostPolicy) -> Bool {
  policy.firewall?.baseChains.first.map { packet.comes(to: $0, policy.firewall?.regularChains ?? []) } ?? true
}

/// Records policies that break a law, made smaller first.
private func record(
  _ policies: [HostPolicy], seed: Int, sourceLocation: SourceLocation = #_sourceLocation,
  while isFailing: ([HostPolicy]) -> Bool
) {
  var lines = ["seed \(seed)"]
  for policy in PolicyShrinker.shrink(policies, while: isFailing) {
    lines.append("---")
    for chain in policy.firewall?.baseChains ?? [] {
      lines.append("\(chain.hook) \(chain.policy): \(chain.rules)")
    }
    for chain in policy.firewall?.regularChains ?? [] { lines.append("\(chain.name): \(chain.rules)") }
  }
  Issue.record("\(lines.joined(separator: "\n"))", sourceLocation: sourceLocation)
}

@Test("no packet is accepted that the base refuses, unless it is reported", arguments: batches(300))
func refinementIsSound(seed: Int) throws {
  var random = Seeded(state: UInt64(seed) &+ 7_000_000)
  let chain = plainChain(&random)
  let regular = plainRegularChains(&random)
  let base = host(chain, regular)
  #expect(findings(base, from: base) == [], "a policy refines itself")
  let child = host(edited(chain, &random), regular)
  let packets = (0..<200).map { _ in randomPacket(&random) }
  func isFailing(_ policies: [HostPolicy]) -> Bool {
    let (base, child) = (policies[0], policies[1])
    let wider = packets.first { packet in
      policies.contains { comes(packet, to: $0) }
        && rank(outcomes(packet, of: child)) > rank(outcomes(packet, of: base))
    }
    return wider != nil && !findings(child, from: base).contains(.extendsWidened)
  }
  if isFailing([base, child]) { record([base, child], seed: seed, while: isFailing) }
}

@Test("what is delegated or loosened is permitted, and nothing else", arguments: batches(200))
func permittedRegions(seed: Int) throws {
  var random = Seeded(state: UInt64(seed) &+ 9_000_000)
  var chain = plainChain(&random)
  chain.rules.removeAll(where: \.isLimiting)
  let regular = plainRegularChains(&random).map { chain in
    RegularChain(name: chain.name, rules: chain.rules.filter { !$0.isLimiting }, span: nowhere)
  }
  var child = edited(chain, &random)
  child.rules.removeAll(where: \.isLimiting)
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
  for packet in (0..<300).map({ _ in randomPacket(&random) }) {
    let isWider = rank(outcomes(packet, [child], regular)) > rank(outcomes(packet, [chain], regular))
    guard isWider, !matches.allSatisfy(packet.meets),
      [base, policy].contains(where: { comes(packet, to: $0) })
    else { continue }
    #expect(
      found.contains(.extendsWidened),
      "\(packet) is not in \(matches): \(child) over \(chain) with \(regular)")
    break
  }
  // With a permission for everything nothing is wider.
  if matches.isEmpty { #expect(!found.contains(.extendsWidened)) }
}

@Test("more drops are never wider", arguments: batches(100))
func insertedDrops(seed: Int) {
  var random = Seeded(state: UInt64(seed) &+ 11_000_000)
  var chain = plainChain(&random)
  // Fewer packets at a limiter are more for the others, which counts as a change.
  chain.rules.removeAll(where: \.isLimiting)
  let regular = plainRegularChains(&random).map { chain in
    RegularChain(name: chain.name, rules: chain.rules.filter { !$0.isLimiting }, span: nowhere)
  }
  var child = chain
  for index in 0..<3 {
    guard var rule = randomRules(&random, place: "input", targets: []).first else { continue }
    rule.id = "input/new\(index)"
    rule.verdict = .drop
    rule.limit = nil
    rule.connections = nil
    child.rules.insert(rule, at: Int.random(in: 0...child.rules.count, using: &random))
  }
  #expect(findings(host(child, regular), from: host(chain, regular)) == [])
}

/// A grandchild that refines its base, which refines the root, refines the root.
@Test("refinement is transitive", arguments: batches(300))
func refinementIsTransitive(seed: Int) {
  var random = Seeded(state: UInt64(seed) &+ 13_000_000)
  let root = plainChain(&random)
  let regular = plainRegularChains(&random)
  let middle = edited(root, &random)
  let last = edited(middle, &random)
  func isFailing(_ policies: [HostPolicy]) -> Bool {
    // Where two have no fragments the third one's count, for it puts none together.
    let meetWhole = policies.map { policy in
      [Families.ipv4, .ipv6].map { policy.firewall?.meetsWhole(.input, $0) }
    }
    return Set(meetWhole).count == 1
      && findings(policies[1], from: policies[0]).isEmpty && findings(policies[2], from: policies[1]).isEmpty
      && !findings(policies[2], from: policies[0]).isEmpty
  }
  let policies = [root, middle, last].map { host($0, regular) }
  if isFailing(policies) { record(policies, seed: seed, while: isFailing) }
}

/// A field of a rule that lets packets past must be part of the comparison: a new one is judged here first, in
/// `ChangedRules` too.
@Test func everyFieldOfARuleIsJudged() {
  let rule = Rule(id: "input/x", name: nil, text: "", verdict: .accept, span: nowhere)
  let judged = [
    "families", "matches", "connections", "limit", "quota", "room", "changes", "verdict", "isEnabled",
    "unreadable",
  ]
  let visible = [
    "id", "name", "text", "counter", "log", "comment", "owner", "because", "until", "controls", "origin",
    "span",
    // Why it is not enabled.
    "hasEmptyList",
    // Which doubt about packets another one is: of a rule that cannot be read, and nobody says more.
    "unreadProgram", "unreadWhole",
  ]
  let fields = Mirror(reflecting: rule).children.compactMap(\.label)
  #expect(
    Set(fields) == Set(judged + visible),
    "say whether it counts, and compare it in Refinement and ChangedRules if it does")
}
