import PolicyModel
import Testing

@testable import Analysis

/// A rule about sources and ports of TCP, and the packets of a small domain that it is about.
private struct SmallRule {
  let rule: Rule
  let accepts: Bool
  /// Nil: any.
  let sources: Set<UInt32>?
  let ports: Set<UInt16>?

  init(_ id: Int, _ random: inout some RandomNumberGenerator) {
    func list<Value: FixedWidthInteger>(_: Value.Type) -> Set<Value>? {
      guard Int.random(in: 0..<3, using: &random) > 0 else { return nil }
      let first = Value.random(in: 0...5, using: &random)
      return Set(first...Value.random(in: first...6, using: &random))
    }
    accepts = Bool.random(using: &random)
    sources = list(UInt32.self)
    ports = list(UInt16.self)
    var rule = Rule(
      id: "input/\(id)", name: nil, text: "\(id)",
      verdict: accepts ? .accept : [.drop, .reject(.automatic)][id % 2],
      span: nowhere)
    if let sources {
      let addresses = AddressSet(
        ipv4: sources.map { IPv4Range($0, $0) }, ipv6: sources.map { IPv6Range(UInt128($0), UInt128($0)) })
      rule.matches.append(Match(.addresses(.source, AddressMatch(addresses: addresses))))
    }
    if let ports {
      let set = PortSet(ports.map { AddressRange($0, $0) })
      rule.matches.append(Match(.ports(.destination, protocols: [6], set)))
    }
    self.rule = rule
  }

  struct Packet: Hashable {
    var source: UInt32
    /// Nil: not TCP.
    var port: UInt16?
  }

  /// Up to 7, which no rule names.
  static let packets: [Packet] = (0...7).flatMap { source in
    [Packet(source: source, port: nil)] + (0...7).map { Packet(source: source, port: $0) }
  }

  func meets(_ packet: Packet) -> Bool {
    (sources?.contains(packet.source) ?? true)
      && (ports.map { ports in packet.port.map { ports.contains($0) } ?? false } ?? true)
  }

  /// Whether the order of both can hardly be meant, as `docs/diagnostics.md` has it.
  func isDoubtful(before later: SmallRule) -> Bool {
    func overlaps<Value>(_ a: Set<Value>?, _ b: Set<Value>?) -> Bool {
      guard let a, let b else { return false }
      return !a.isDisjoint(with: b) && !a.isSubset(of: b) && !b.isSubset(of: a)
    }
    return overlaps(sources, later.sources) || overlaps(ports, later.ports)
      || accepts && !later.accepts && sources == nil && later.sources != nil
  }
}

@Test("conflicts are those of all packets of a small domain", arguments: batches(40))
func conflictsAreRight(batch: Int) {
  for seed in (batch * 10)..<(batch * 10 + 10) {
    var random = Seeded(state: UInt64(seed) &+ 31_000_000)
    let rules = (0..<Int.random(in: 2...7, using: &random)).map { SmallRule($0, &random) }
    let chain = BaseChain(
      hook: .input, priority: -5, policy: .drop, rules: rules.map(\.rule), span: nowhere)
    let firewall = Firewall(baseChains: [chain], span: nowhere)
    let meanings = [Families.ipv4, .ipv6].map {
      Meaning($0, [firewall], regions: Lint.regions(nowhere), isLabelled: true)
    }

    func decides(_ packet: SmallRule.Packet, without left: Int? = nil) -> Int? {
      rules.indices.first { $0 != left && rules[$0].meets(packet) }
    }
    var wanted: [String: [String]] = [:]
    for later in rules.indices {
      for earlier in 0..<later where rules[earlier].accepts != rules[later].accepts {
        let (first, second) = (rules[earlier], rules[later])
        guard first.isDoubtful(before: second),
          SmallRule.packets.contains(where: {
            decides($0) == earlier && decides($0, without: earlier) == later
          }),
          SmallRule.packets.contains(where: { first.meets($0) && !second.meets($0) }),
          SmallRule.packets.contains(where: { second.meets($0) && !first.meets($0) })
        else { continue }
        wanted[second.rule.id, default: []].append(first.rule.id)
      }
    }
    let found = Lint.conflicts(meanings, chain: 0) ?? []
    let pairs = Dictionary(found.map { ($0.rule.id, $0.earlier.map(\.id)) }) { first, _ in first }
    #expect(pairs == wanted, "seed \(seed)")
    for conflict in found {
      let box = conflict.example
      let isTCP = box[.transportProtocol].ranges.first?.lower == 6
      let packet = SmallRule.Packet(
        source: UInt32(min(7, box[.sourceAddress].ranges.first?.lower ?? 7)),
        port: isTCP ? UInt16(min(7, box[.destinationPort].ranges.first?.lower ?? 7)) : nil)
      let place = rules.firstIndex { $0.rule.id == conflict.rule.id }
      let first = rules.firstIndex { $0.rule.id == conflict.earlier.first?.id }
      #expect(decides(packet) == first && decides(packet, without: first) == place, "seed \(seed): \(packet)")
    }
  }
}
