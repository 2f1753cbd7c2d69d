import Diagnostics
import PolicyModel

/// Which limiters of two policies the same packets ask. One that counts together what two count apart lets by less: what
/// a packet meets is the same, and how often is not.
package struct LimiterSharing: Sendable {
  /// One limiter of one side, and those of the other that its packets ask.
  package struct Finding: Sendable {
    /// Whether the new side counts apart.
    package var isApart: Bool
    /// Whether all of them say the same.
    package var isAlike: Bool
    /// What the one says.
    package var words: String
    package var together: PacketDifference.RuleReference
    package var apart: [PacketDifference.RuleReference]
  }

  /// A limiter, in both families and all places.
  private struct Limiter: Hashable {
    var rule: String
    /// One rule may have several, one of each kind.
    var kind: Int
  }

  private struct Pair: Hashable {
    var old: UInt32
    var new: UInt32
  }

  /// By limiter of one side, those of the other, each once.
  private var apart: [Limiter: [Limiter]] = [:]
  private var together: [Limiter: [Limiter]] = [:]
  private var order: (old: [Limiter], new: [Limiter]) = ([], [])
  private var rules: (old: [Limiter: Rule], new: [Limiter: Rule]) = ([:], [:])

  init() {}

  /// Whether both have limiters, and not the same.
  static func mayDiffer(_ old: Firewall?, _ new: Firewall?) -> Bool {
    func limiting(_ firewall: Firewall?) -> [Rule] {
      var rules: [Rule] = []
      firewall?.forEachRule { if $0.isLimiting, $0.isEnabled { rules.append($0) } }
      return rules
    }
    let (before, after) = (limiting(old), limiting(new))
    guard !before.isEmpty, !after.isEmpty else { return false }
    return before.count != after.count
      || !zip(before, after).allSatisfy { $0.id == $1.id && $0.isTheSame(as: $1) }
  }

  /// Adds what the packets of two paths ask.
  mutating func relate(_ old: Diagram.Reference, _ new: Diagram.Reference, _ meaning: Meaning) {
    let limiters = meaning.limiters
    var walk = Walk(limiters: limiters)
    // Where both are the same, their limiters are.
    _ = meaning.diagram.combine(old, new, meaning.diagram.newOperation()) { table, before, after in
      walk.relate(before, after, table)
      return OutcomeTable.isFalse
    }
    for pair in walk.pairs {
      guard let before = limiters[Int(pair.old)]?.rule(of: 0),
        let after = limiters[Int(pair.new)]?.rule(of: 1)
      else { continue }
      add(before, after)
    }
  }

  private mutating func add(_ before: Rule, _ after: Rule) {
    let (old, new) = (
      Limiter(rule: before.id, kind: before.limiterKind), Limiter(rule: after.id, kind: after.limiterKind)
    )
    if rules.old.updateValue(before, forKey: old) == nil { order.old.append(old) }
    if rules.new.updateValue(after, forKey: new) == nil { order.new.append(new) }
    if !apart[old, default: []].contains(new) { apart[old, default: []].append(new) }
    if !together[new, default: []].contains(old) { together[new, default: []].append(old) }
  }

  /// The pairs of one family, by oracle.
  private struct Walk {
    let limiters: [Meaning.Limiter?]
    var pairs: [Pair] = []
    private var seen: Set<Pair> = []
    private var known: Set<Pair> = []

    init(limiters: [Meaning.Limiter?]) { self.limiters = limiters }

    mutating func relate(_ old: UInt32, _ new: UInt32, _ table: OutcomeTable) {
      guard seen.insert(Pair(old: old, new: new)).inserted else { return }
      let (a, b) = (table[old], table[new])
      guard a.kind == .branch, b.kind == .branch, let here = limiter(a.detail), let there = limiter(b.detail)
      else { return }
      // One that stands before others on one side alone.
      if a.detail != b.detail, table.asks(a.detail, new) {
        relate(old, b.first, table)
        relate(old, b.second, table)
      } else if a.detail != b.detail, table.asks(b.detail, old) {
        relate(a.first, new, table)
        relate(a.second, new, table)
      } else {
        if here.rule.limiterKind == there.rule.limiterKind,
          known.insert(Pair(old: a.detail, new: b.detail)).inserted
        {
          pairs.append(Pair(old: a.detail, new: b.detail))
        }
        relate(a.first, b.first, table)
        relate(a.second, b.second, table)
      }
    }

    private func limiter(_ oracle: UInt32) -> Meaning.Limiter? {
      Oracle.isUnknown(oracle) ? nil : limiters[Int(oracle)]
    }
  }

  // MARK: Findings

  /// Those of the new side that count apart first.
  var findings: [Finding] {
    func finding(
      _ one: Limiter, _ others: [Limiter], isApart: Bool, _ own: [Limiter: Rule], _ other: [Limiter: Rule]
    ) -> Finding? {
      guard others.count > 1, let rule = own[one] else { return nil }
      let rules = others.compactMap { other[$0] }
      let words = Meaning.count(of: rule)
      return Finding(
        isApart: isApart, isAlike: rules.allSatisfy { Meaning.count(of: $0) == words },
        words: Meaning.words(of: rule), together: PacketDifference.RuleReference(rule),
        apart: rules.map(PacketDifference.RuleReference.init))
    }
    return order.old.compactMap { finding($0, apart[$0] ?? [], isApart: true, rules.old, rules.new) }
      + order.new.compactMap { finding($0, together[$0] ?? [], isApart: false, rules.new, rules.old) }
  }
}

extension PacketDifference.RuleReference {
  init(_ rule: Rule) { self.init(id: rule.id, text: rule.text, span: rule.span) }
}

extension Rule {
  /// Of a rule with one limiter.
  fileprivate var limiterKind: Int { connections != nil ? 0 : limit != nil ? 1 : quota != nil ? 2 : 3 }
}
