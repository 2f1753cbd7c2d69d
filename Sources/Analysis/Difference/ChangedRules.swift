import PolicyModel

/// The rules that two firewalls do not have in common, where all else about them is the same.
///
/// A packet that meets the guard of none of them meets the same rules in both, one after the other. So only packets of
/// those guards need to be compared, as long as no rule changes packets on their way.
enum ChangedRules {
  /// Beyond it the guards are many, and whole firewalls are compared as fast.
  private static let limit = 64

  /// Labels as in a meaning of both firewalls; nil: they differ in more than a few rules.
  ///
  /// - Parameter telling: what of a rule counts beside what it does with packets.
  static func labels(
    _ old: Firewall?, _ new: Firewall?, telling: (Rule) -> String = { _ in "" }
  ) -> Set<UInt32>? {
    guard let old, let new, isPlain(old), isPlain(new), old.baseChains.count == new.baseChains.count,
      zip(old.baseChains, new.baseChains).allSatisfy(isAlike)
    else { return nil }
    // Label 0 is none; the rules of the new one stand behind those of the old one.
    let (before, after) = (starts(of: old, from: 1), starts(of: new, from: 1 + old.ruleCount))
    var labels: Set<UInt32> = []
    func compare(_ first: [Rule], _ firstStart: Int, _ second: [Rule], _ secondStart: Int) -> Bool {
      let (left, right) = changes(first, second, telling)
      guard labels.count + left.count + right.count <= limit else { return false }
      labels.formUnion(left.map { UInt32(firstStart + $0) })
      labels.formUnion(right.map { UInt32(secondStart + $0) })
      return true
    }
    for (index, chain) in old.baseChains.enumerated()
    where !compare(chain.rules, before.base[index], new.baseChains[index].rules, after.base[index]) {
      return nil
    }
    for name in Set(before.regular.keys).union(after.regular.keys).sorted() {
      let (first, second) = (before.regular[name], after.regular[name])
      let (left, right) = (
        first.map { old.regularChains[$0.index] }, second.map { new.regularChains[$0.index] }
      )
      if let left, let right, left.policy != right.policy { return nil }
      guard compare(left?.rules ?? [], first?.start ?? 0, right?.rules ?? [], second?.start ?? 0) else {
        return nil
      }
    }
    return labels
  }

  private static func isPlain(_ firewall: Firewall) -> Bool {
    !firewall.containsRule { rule in
      if case .translate = rule.verdict { return true }
      return rule.verdict == .notrack || !rule.changes.isEmpty || rule.unreadable != nil
    }
  }

  private static func isAlike(_ a: BaseChain, _ b: BaseChain) -> Bool {
    a.place == b.place && a.hook == b.hook && a.isNAT == b.isNAT && a.priority == b.priority
      && a.policy == b.policy && a.devices == b.devices && a.families == b.families
  }

  /// The label of the first rule of each chain.
  private static func starts(
    of firewall: Firewall, from first: Int
  ) -> (base: [Int], regular: [String: (index: Int, start: Int)]) {
    var next = first
    var base: [Int] = []
    for chain in firewall.baseChains {
      base.append(next)
      next += chain.rules.count
    }
    var regular: [String: (index: Int, start: Int)] = [:]
    for (index, chain) in firewall.regularChains.enumerated() {
      regular[chain.name] = (index, next)
      next += chain.rules.count
    }
    return (base, regular)
  }

  // MARK: Lists

  /// The places of the rules outside of a common part of both lists: what stands alike at both ends, and in between the
  /// longest ascending row of rules whose text each list has once.
  private static func changes(
    _ old: [Rule], _ new: [Rule], _ telling: (Rule) -> String
  ) -> (old: [Int], new: [Int]) {
    func isSame(_ a: Rule, _ b: Rule) -> Bool {
      Self.isSame(a, b) && (!a.isEnabled || telling(a) == telling(b))
    }
    var start = 0
    while start < min(old.count, new.count), isSame(old[start], new[start]) { start += 1 }
    var (oldEnd, newEnd) = (old.count, new.count)
    while oldEnd > start, newEnd > start, isSame(old[oldEnd - 1], new[newEnd - 1]) {
      oldEnd -= 1
      newEnd -= 1
    }
    if start == oldEnd || start == newEnd { return (Array(start..<oldEnd), Array(start..<newEnd)) }
    // Negative: the text stands twice.
    var places: [String: Int] = [:]
    for index in start..<newEnd { places[new[index].text] = places[new[index].text] == nil ? index : -1 }
    var pairs: [(old: Int, new: Int)] = []
    for index in start..<oldEnd {
      guard let place = places[old[index].text], place >= 0, isSame(old[index], new[place]) else { continue }
      // A text that the old list has twice is paired once.
      places[old[index].text] = -1
      pairs.append((index, place))
    }
    let common = longestRow(pairs.map(\.new)).map { pairs[$0] }
    let (kept, other) = (Set(common.map(\.old)), Set(common.map(\.new)))
    return ((start..<oldEnd).filter { !kept.contains($0) }, (start..<newEnd).filter { !other.contains($0) })
  }

  /// Places of a longest ascending part of numbers that are all different, in their order.
  private static func longestRow(_ numbers: [Int]) -> [Int] {
    // By length less one, the place of the smallest number that ends such a part.
    var ends: [Int] = []
    var previous = [Int](repeating: -1, count: numbers.count)
    for (place, number) in numbers.enumerated() {
      var (low, high) = (0, ends.count)
      while low < high {
        let middle = (low + high) / 2
        if numbers[ends[middle]] < number { low = middle + 1 } else { high = middle }
      }
      if low > 0 { previous[place] = ends[low - 1] }
      if low == ends.count { ends.append(place) } else { ends[low] = place }
    }
    var row: [Int] = []
    var next = ends.last ?? -1
    while next >= 0 {
      row.append(next)
      next = previous[next]
    }
    return row.reversed()
  }

  /// Whether two rules do the same with every packet that comes to them. How they are named and what they tell counts
  /// for nothing.
  private static func isSame(_ a: Rule, _ b: Rule) -> Bool {
    guard a.isEnabled == b.isEnabled else { return false }
    return !a.isEnabled
      || a.families == b.families && a.verdict == b.verdict && a.connections == b.connections
        && a.limit == b.limit && a.quota == b.quota && a.room == b.room && a.changes == b.changes
        && a.matches == b.matches
  }

  // MARK: Touched rules

  /// Of some rules, the ids of those that packets may meet which meet changed rules; others are met by the same packets
  /// in both.
  static func touched(_ ids: Set<String>, _ old: Firewall?, _ new: Firewall?) -> Set<String> {
    guard !ids.isEmpty, let labels = labels(old, new, telling: { ids.contains($0.id) ? $0.id : "" }) else {
      return ids
    }
    var result: Set<String> = []
    for family in [Families.ipv4, .ipv6] where !labels.isEmpty {
      let meaning = Meaning(family, [old, new], regions: [], isLabelled: false)
      let scope = meaning.restrict(to: labels)
      for firewall in meaning.firewalls {
        let rules = firewall.baseChains.flatMap(\.rules) + firewall.regularChains.values.flatMap(\.rules)
        for rule in rules where ids.contains(rule.rule.id) && !result.contains(rule.rule.id) {
          let condition = meaning.diagram.condition(rule.condition)
          if meaning.diagram.and(scope, condition) != Diagram.isFalse { result.insert(rule.rule.id) }
        }
      }
      if meaning.diagram.isExhausted { return ids }
    }
    return result
  }
}
