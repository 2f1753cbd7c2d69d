import PolicyModel
import Testing

@testable import Analysis

/// What becomes of a packet that nobody accepts, by a plain loop over the rules.
private indirect enum Fate: Equatable {
  case end(ChainPolicy)
  case asked(Limiter, within: Fate, over: Fate)

  /// A limiter of one rule of one policy.
  struct Limiter: Equatable {
    var rule: String
    /// What it counts, however that is written.
    var count: String
  }

  static func of(_ packet: Packet, _ rules: ArraySlice<Rule>, _ end: ChainPolicy) -> Fate {
    guard let rule = rules.first else { return .end(end) }
    let rest = of(packet, rules.dropFirst(), end)
    guard rule.families.contains(packet.family), rule.matches.allSatisfy(packet.meets) else { return rest }
    var fate: Fate =
      switch rule.verdict {
      case .drop: .end(.drop)
      case .reject: .end(.reject)
      default: rest
      }
    // Asked first are connections, so from behind.
    if let limit = rule.limit {
      let rate = Double(limit.rate.amount) / Double(limit.rate.seconds)
      fate = ask(rule, "\(rate) a second", limit.isOver, fate, rest)
    }
    if let limit = rule.connections { fate = ask(rule, "\(limit.count) open", limit.isOver, fate, rest) }
    return fate
  }

  private static func ask(_ rule: Rule, _ count: String, _ isOver: Bool, _ met: Fate, _ rest: Fate) -> Fate {
    if met == rest { return rest }
    let limiter = Limiter(rule: rule.id, count: count)
    return .asked(limiter, within: isOver ? rest : met, over: isOver ? met : rest)
  }

  /// Whether nobody can tell them apart.
  func isLike(_ other: Fate) -> Bool {
    switch (self, other) {
    case (.end(let own), .end(let other)): own == other
    case (.asked(let own, let within, let over), .asked(let other, let otherWithin, let otherOver)):
      own.count == other.count && within.isLike(otherWithin) && over.isLike(otherOver)
    default: false
    }
  }
}

private func refusals(_ random: inout some RandomNumberGenerator) -> BaseChain {
  var chain = BaseChain(
    hook: .input, priority: -5, policy: Bool.random(using: &random) ? .drop : .reject, rules: [],
    span: nowhere)
  chain.rules = (0..<Int.random(in: 0...4, using: &random)).map { refusal("\($0)", &random) }
  return chain
}

private func refusal(_ id: String, _ random: inout some RandomNumberGenerator) -> Rule {
  var rule = Rule(
    id: "input/\(id)", name: nil, text: "",
    verdict: [.drop, .reject(.automatic), .continue].randomElement(using: &random) ?? .drop, span: nowhere)
  rule.matches = (0..<Int.random(in: 0...1, using: &random)).map { _ in randomMatch(&random) }
  if Int.random(in: 0..<3, using: &random) > 0 {
    let (amount, seconds) = [(10, 1), (600, 60), (20, 1)].randomElement(using: &random) ?? (10, 1)
    rule.limit = Limit(
      isOver: Bool.random(using: &random),
      rate: Rate(amount: UInt64(amount), isBytes: false, seconds: UInt64(seconds)), burst: 5)
  }
  if Int.random(in: 0..<4, using: &random) == 0 {
    rule.connections = ConnectionLimit(
      isOver: Bool.random(using: &random), count: UInt32.random(in: 1...2, using: &random))
  }
  return rule
}

@Test("what limits do between refusals is what a packet-by-packet loop says", arguments: batches(40))
func limitsBetweenRefusals(batch: Int) {
  var counts = (same: 0, visible: 0)
  for seed in (batch * 20)..<(batch * 20 + 20) {
    var random = Seeded(state: UInt64(seed) &+ 41_000_000)
    let old = refusals(&random)
    var new = old
    for _ in 0..<Int.random(in: 0...2, using: &random) {
      switch Int.random(in: 0..<4, using: &random) {
      case 0 where !new.rules.isEmpty:
        let place = new.rules.indices.randomElement(using: &random) ?? 0
        new.rules[place].limit = refusal("x", &random).limit
      case 1 where !new.rules.isEmpty: new.rules.removeLast()
      case 2: new.policy = new.policy == .drop ? .reject : .drop
      default: new.rules.insert(refusal("new\(new.rules.count)", &random), at: 0)
      }
    }
    let meanings = [Families.ipv4, .ipv6].map {
      Refusals($0, old, new)
    }
    for packet in (0..<40).map({ _ in randomPacket(&random) }) {
      let before = Fate.of(packet, old.rules[...], old.policy)
      let after = Fate.of(packet, new.rules[...], new.policy)
      let direction = meanings[packet.family == .ipv4 ? 0 : 1].direction(of: packet.box)
      #expect(direction == (before.isLike(after) ? nil : .visible), "seed \(seed): \(packet) \(old) \(new)")
      if direction == nil { counts.same += 1 } else { counts.visible += 1 }
    }
  }
  // Of a thousand batches one has no change that is seen.
  #expect(counts.same > 0 && (counts.visible > 0 || batch >= 40))
}

private struct Refusals {
  private let meaning: Meaning
  private let before: Diagram.Reference
  private let after: Diagram.Reference

  init(_ family: Families, _ old: BaseChain, _ new: BaseChain) {
    meaning = Meaning(
      family, [old, new].map { Firewall(baseChains: [$0], span: nowhere) }, regions: [], isLabelled: false,
      comparesLimiters: true)
    before = meaning.path(0, [.chain(0)])
    after = meaning.path(1, [.chain(0)])
  }

  func direction(of box: PacketBox) -> PacketDifference.Direction? {
    var comparer = OutcomeComparer(meaning)
    return comparer.verdict(
      meaning.outcome(of: box, on: before), meaning.outcome(of: box, on: after), meaning.diagram.outcomes)
  }
}
