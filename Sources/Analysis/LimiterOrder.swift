import PolicyModel

/// Which of two outcomes accepts no more often, limiter by limiter.
struct LimiterOrder {
  var table: OutcomeTable
  /// By oracle.
  let limiters: [Meaning.Limiter?]
  private var memo: [Pair: Bool] = [:]

  private struct Pair: Hashable {
    var left: UInt32
    var right: UInt32
  }

  /// Whether limiters of two rules are compared by what they say, and not only those of one rule.
  private let comparesRules: Bool

  init(_ table: OutcomeTable, _ limiters: [Meaning.Limiter?], comparesRules: Bool = false) {
    self.table = table
    self.limiters = limiters
    self.comparesRules = comparesRules
  }

  /// Whether whatever the limiters of both answer, what the left one accepts the right one accepts.
  ///
  /// The same rule's limiter answers both alike, or, where it is stricter on the left, lets by no more there. Of
  /// limiters that are asked in another order nothing is known: which one is asked first decides which packets the
  /// second one sees.
  mutating func isAtMost(_ left: UInt32, _ right: UInt32) -> Bool {
    let (here, there) = (table.acceptances(left), table.acceptances(right))
    if here.isSubset(of: .never) || there.isSubset(of: .always) { return true }
    if there == .never || here == .always { return false }
    if let known = memo[Pair(left: left, right: right)] { return known }
    let result = compare(left, right)
    memo[Pair(left: left, right: right)] = result
    return result
  }

  private mutating func compare(_ left: UInt32, _ right: UInt32) -> Bool {
    if table.isUnknown(left) || table.isUnknown(right) { return false }
    let (a, b) = (table[left], table[right])
    // INVARIANT: each that is neither never nor always accepted is a branch.
    guard a.kind == .branch, b.kind == .branch, let here = limiters[Int(a.detail)],
      let there = limiters[Int(b.detail)]
    else { return false }
    if a.detail == b.detail || comparesRules || here.rule.id == there.rule.id {
      guard let order = a.detail == b.detail ? .equal : Self.order(here.rule, there.rule) else {
        return false
      }
      guard isAtMost(a.first, b.first), isAtMost(a.second, b.second) else { return false }
      switch order {
      case .equal: return true
      // Met by fewer packets: some that meet it on the right only.
      case .fewer: return isAtMost(a.second, b.first)
      case .more: return isAtMost(a.first, b.second)
      }
    }
    if !asks(right, a.detail, here.rule) { return isAtMost(a.first, right) && isAtMost(a.second, right) }
    if !asks(left, b.detail, there.rule) { return isAtMost(left, b.first) && isAtMost(left, b.second) }
    return false
  }

  private func asks(_ number: UInt32, _ oracle: UInt32, _ rule: Rule) -> Bool {
    let outcome = table[number]
    guard outcome.kind == .branch else { return false }
    return outcome.detail == oracle || limiters[Int(outcome.detail)]?.rule.id == rule.id
      || asks(outcome.first, oracle, rule) || asks(outcome.second, oracle, rule)
  }

  private enum Order {
    case equal
    case fewer
    case more
  }

  /// How many packets meet one limiter, beside another. Of limiters that are written otherwise, only rates, bursts,
  /// numbers of connections and quotas are compared, and of the same keys.
  private static func order(_ a: Rule, _ b: Rule) -> Order? {
    let orders = [
      order(a.connections, b.connections), order(a.limit, b.limit), order(a.quota, b.quota),
      a.room == b.room ? .equal : nil,
    ]
    if orders.allSatisfy({ $0 == .equal }) { return .equal }
    if orders.allSatisfy({ $0 == .equal || $0 == .fewer }) { return .fewer }
    if orders.allSatisfy({ $0 == .equal || $0 == .more }) { return .more }
    return nil
  }

  private static func order(_ a: ConnectionLimit?, _ b: ConnectionLimit?) -> Order? {
    guard let a, let b else { return a == nil && b == nil ? .equal : nil }
    if a == b { return .equal }
    guard a.key == b.key, a.isOver == b.isOver else { return nil }
    return (a.count <= b.count) != a.isOver ? .fewer : .more
  }

  private static func order(_ a: Limit?, _ b: Limit?) -> Order? {
    guard let a, let b else { return a == nil && b == nil ? .equal : nil }
    if a == b { return .equal }
    guard a.key == b.key, a.shared == b.shared, a.isOver == b.isOver, a.rate.isBytes == b.rate.isBytes else {
      return nil
    }
    let (left, leftOverflow) = a.rate.amount.multipliedReportingOverflow(by: b.rate.seconds)
    let (right, rightOverflow) = b.rate.amount.multipliedReportingOverflow(by: a.rate.seconds)
    guard !leftOverflow, !rightOverflow else { return nil }
    // To the kernel, which counts the time that a packet takes, 10 a second are 600 a minute.
    if left == right, a.burst == b.burst, !a.rate.isBytes { return .equal }
    // Within a lower rate are fewer packets, and over it more.
    if left <= right, a.burst <= b.burst { return a.isOver ? .more : .fewer }
    if left >= right, a.burst >= b.burst { return a.isOver ? .fewer : .more }
    return nil
  }

  private static func order(_ a: Quota?, _ b: Quota?) -> Order? {
    guard let a, let b else { return a == nil && b == nil ? .equal : nil }
    if a == b { return .equal }
    guard a.isOver == b.isOver, a.shared == b.shared else { return nil }
    return (a.bytes <= b.bytes) != a.isOver ? .fewer : .more
  }
}
