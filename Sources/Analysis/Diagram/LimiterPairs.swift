import PolicyModel

/// Which limiters of two policies are one and the same: those that say the same, of rules with one id, and of the
/// others the first with the first, the second with the second. Two limiters of one policy are never one, whatever they
/// say: what one lets by, the other has not counted.
struct LimiterPairs {
  struct Key: Hashable {
    var policy: Int
    var rule: String
    var words: String
  }

  /// By limiter of the second policy, the id of its like in the first one.
  private var partners: [Key: String] = [:]

  init(_ firewalls: [Firewall?], _ family: Families) {
    guard firewalls.count == 2 else { return }
    let (old, new) = (Self.limiters(firewalls[0], family), Self.limiters(firewalls[1], family))
    for (words, later) in new {
      guard let earlier = old[words] else { continue }
      let (known, named) = (Set(earlier), Set(later))
      for id in later where known.contains(id) { partners[Key(policy: 1, rule: id, words: words)] = id }
      for (first, second) in zip(earlier.filter { !named.contains($0) }, later.filter { !known.contains($0) })
      {
        partners[Key(policy: 1, rule: second, words: words)] = first
      }
    }
  }

  /// By what they say, the ids of the rules, each once and in their order.
  private static func limiters(_ firewall: Firewall?, _ family: Families) -> [String: [String]] {
    var result: [String: [String]] = [:]
    var seen: Set<Key> = []
    firewall?.forEachRule { rule in
      guard rule.isLimiting, rule.isEnabled, rule.families.contains(family) else { return }
      for limiter in rule.limiting(in: family).limiters {
        let words = Meaning.count(of: limiter.withinLimit ?? limiter)
        guard seen.insert(Key(policy: 0, rule: rule.id, words: words)).inserted else { continue }
        result[words, default: []].append(rule.id)
      }
    }
    return result
  }

  func key(_ policy: Int, _ rule: Rule) -> Key {
    let own = Key(policy: policy, rule: rule.id, words: Meaning.count(of: rule))
    return partners[own].map { Key(policy: 0, rule: $0, words: own.words) } ?? own
  }
}
