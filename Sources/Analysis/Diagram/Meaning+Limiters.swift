import PolicyModel

/// What a limiter says.
extension Meaning {
  /// What a rule does with what its limiters let by.
  func limited(_ policy: Int, _ rule: Rule, _ hit: Diagram.Reference) -> Diagram.Reference {
    guard rule.isLimiting else { return hit }
    var hit = hit
    guard limiterPairs != nil else { return diagram.branch(oracle(policy, rule), hit, Diagram.pass) }
    for limiter in rule.limiting(in: family).limiters.reversed() {
      // What is over a limit is what is not within it.
      hit =
        limiter.withinLimit.map { diagram.branch(oracle(policy, $0), Diagram.pass, hit) }
        ?? diagram.branch(oracle(policy, limiter), hit, Diagram.pass)
    }
    return hit
  }

  private static func per(_ key: AddressKey?) -> String {
    key.map { " per \($0.side.rawValue)/\($0.ipv4Bits):\($0.ipv6Bits)" } ?? ""
  }

  /// What rules share is not what one of them has.
  private static func of(_ shared: String?) -> String { shared.map { " of `\($0)`" } ?? "" }

  /// All that a rule says about how often it is met, in its own words.
  static func words(of rule: Rule) -> String {
    var words: [String] = []
    if let limiter = rule.connections {
      words.append(
        "connections \(limiter.isOver ? "over" : "up to") \(limiter.count)" + Self.per(limiter.key))
    }
    if let limit = rule.limit {
      let unit = [1: "second", 60: "minute", 3600: "hour"][limit.rate.seconds] ?? "day"
      let (over, bytes) = (limit.isOver ? "over " : "", limit.rate.isBytes ? "bytes" : "")
      words.append(
        "limit \(over)\(limit.rate.amount)\(bytes)/\(unit) burst \(limit.burst)" + Self.per(limit.key)
          + Self.of(limit.shared))
    }
    if let quota = rule.quota {
      words.append("quota \(quota.isOver ? "over " : "")\(quota.bytes)bytes" + Self.of(quota.shared))
    }
    if let set = rule.room { words.append("room in \(set)") }
    return words.joined(separator: ", ")
  }

  /// The same for all rules that the kernel meets as often. It counts the time that a packet takes, which is the unit by
  /// the rate (`nft_limit_init`): 10 packets a second are 600 a minute. Of bytes the unit is also how many may come at
  /// once, and a limit for each key is kept as long as it says.
  static func count(of rule: Rule) -> String {
    guard let limit = rule.limit, limit.key == nil, !limit.rate.isBytes, limit.rate.amount > 0 else {
      return words(of: rule)
    }
    var rest = rule
    rest.limit = nil
    var (amount, seconds) = (limit.rate.amount, limit.rate.seconds)
    while seconds > 0 { (amount, seconds) = (seconds, amount % seconds) }
    let rate = "\(limit.rate.amount / amount) in \(limit.rate.seconds / amount)s burst \(limit.burst)"
    return "\(words(of: rest)) limit \(limit.isOver ? "over " : "")\(rate)" + Self.of(limit.shared)
  }
}

extension Rule {
  /// Without the bits of addresses that count in the other family.
  func limiting(in family: Families) -> Rule {
    func own(_ key: AddressKey?) -> AddressKey? {
      guard var key else { return nil }
      if family == .ipv4 { key.ipv6Bits = 128 } else { key.ipv4Bits = 32 }
      return key
    }
    guard connections?.key != nil || limit?.key != nil else { return self }
    var rule = self
    rule.connections?.key = own(connections?.key)
    rule.limit?.key = own(limit?.key)
    return rule
  }

  /// The rule with one of its limiters alone, in the order in which they are asked.
  var limiters: [Rule] {
    var rules: [Rule] = []
    if connections != nil {
      var rule = self
      (rule.limit, rule.quota, rule.room) = (nil, nil, nil)
      rules.append(rule)
    }
    if limit != nil {
      var rule = self
      (rule.connections, rule.quota, rule.room) = (nil, nil, nil)
      rules.append(rule)
    }
    if quota != nil {
      var rule = self
      (rule.connections, rule.limit, rule.room) = (nil, nil, nil)
      rules.append(rule)
    }
    if room != nil {
      var rule = self
      (rule.connections, rule.limit, rule.quota) = (nil, nil, nil)
      rules.append(rule)
    }
    return rules
  }

  /// Of a rule with one limiter, which holds for what is over it, the same with the limiter turned round; else nil.
  var withinLimit: Rule? {
    guard room == nil, [connections != nil, limit != nil, quota != nil].count(where: \.self) == 1 else {
      return nil
    }
    guard connections?.isOver ?? limit?.isOver ?? quota?.isOver ?? false else { return nil }
    var rule = self
    rule.connections?.isOver = false
    rule.limit?.isOver = false
    rule.quota?.isOver = false
    return rule
  }
}
