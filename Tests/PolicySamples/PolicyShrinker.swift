package import PolicyModel

/// Makes a policy that shows a fault smaller for as long as it still shows it.
package enum PolicyShrinker {
  /// - Parameter isFailing: whether a policy shows the fault, and the same one. It may be asked about policies that a
  ///   checker would refuse.
  package static func shrink(
    _ policy: HostPolicy, while isFailing: (HostPolicy) throws -> Bool
  ) rethrows -> HostPolicy {
    var smallest = policy
    var hasShrunk = true
    while hasShrunk {
      hasShrunk = false
      for reduce in reductions(of: smallest) {
        var smaller = smallest
        // A reduction names its place by index, which an earlier one may have moved.
        guard reduce(&smaller), try isFailing(smaller) else { continue }
        smallest = smaller
        hasShrunk = true
      }
    }
    return smallest
  }

  /// The same with several policies, each in its turn, until none of them can do with less.
  package static func shrink(
    _ policies: [HostPolicy], while isFailing: ([HostPolicy]) -> Bool
  ) -> [HostPolicy] {
    var smallest = policies
    var size = Int.max
    while true {
      for index in smallest.indices {
        smallest[index] = shrink(smallest[index]) { smaller in
          var policies = smallest
          policies[index] = smaller
          return isFailing(policies)
        }
      }
      let parts = smallest.map { "\($0.firewall.map { "\($0)" } ?? "")".utf8.count }.reduce(0, +)
      guard parts < size else { return smallest }
      size = parts
    }
  }

  /// Takes something away; false: there is nothing to take.
  typealias Reduction = (inout HostPolicy) -> Bool

  /// The larger ones first. From the end of each list, so that what is left keeps its place.
  private static func reductions(of policy: HostPolicy) -> [Reduction] {
    guard let firewall = policy.firewall else { return [] }
    var reductions: [Reduction] = []
    func add(_ reduction: @escaping Reduction) { reductions.append(reduction) }
    for index in firewall.baseChains.indices.reversed() where firewall.baseChains.count > 1 {
      add { policy in
        guard var chains = policy.firewall?.baseChains, chains.count > 1, index < chains.count else {
          return false
        }
        chains.remove(at: index)
        policy.firewall?.baseChains = chains
        return true
      }
    }
    for chain in firewall.regularChains {
      add { policy in removeChain(chain.name, &policy) }
      add { policy in
        guard let index = policy.firewall?.regularChains.firstIndex(where: { $0.name == chain.name }),
          policy.firewall?.regularChains[index].policy != nil
        else { return false }
        policy.firewall?.regularChains[index].policy = nil
        return true
      }
    }
    for (place, chain) in firewall.baseChains.enumerated() {
      for half in [0..<(chain.rules.count / 2), (chain.rules.count / 2)..<chain.rules.count]
      where half.count > 1 {
        add { $0.firewall?.baseChains.edit(place) { $0.rules.cut(half) } ?? false }
      }
      if chain.devices.count > 1 {
        add { $0.firewall?.baseChains.edit(place) { $0.devices.cut(1..<chain.devices.count) } ?? false }
      }
      for index in chain.rules.indices.reversed() {
        add { $0.firewall?.baseChains.edit(place) { $0.rules.cut(index..<(index + 1)) } ?? false }
        for reduction in ruleReductions(of: chain.rules[index]) {
          add { policy in
            policy.firewall?.baseChains.edit(place) { $0.rules.edit(chain.rules[index].id, reduction) }
              ?? false
          }
        }
      }
    }
    for (place, chain) in firewall.regularChains.enumerated() {
      for index in chain.rules.indices.reversed() {
        add { $0.firewall?.regularChains.edit(place) { $0.rules.cut(index..<(index + 1)) } ?? false }
        for reduction in ruleReductions(of: chain.rules[index]) {
          add { policy in
            policy.firewall?.regularChains.edit(place) { $0.rules.edit(chain.rules[index].id, reduction) }
              ?? false
          }
        }
      }
    }
    for index in policy.addressSets.indices.reversed() {
      add { $0.addressSets.cut(index..<(index + 1)) }
    }
    for index in policy.dynamicSets.indices.reversed() {
      add { $0.dynamicSets.cut(index..<(index + 1)) }
    }
    return reductions
  }

  /// Without the chain and what leads to it.
  private static func removeChain(_ name: String, _ policy: inout HostPolicy) -> Bool {
    guard var firewall = policy.firewall,
      let index = firewall.regularChains.firstIndex(where: { $0.name == name })
    else { return false }
    firewall.regularChains.remove(at: index)
    func withoutJumps(_ rules: [Rule]) -> [Rule] {
      rules.map { rule in
        var rule = rule
        if rule.verdict.targets.contains(name) { rule.verdict = .continue }
        return rule
      }
    }
    for index in firewall.baseChains.indices {
      firewall.baseChains[index].rules = withoutJumps(firewall.baseChains[index].rules)
    }
    for index in firewall.regularChains.indices {
      firewall.regularChains[index].rules = withoutJumps(firewall.regularChains[index].rules)
    }
    policy.firewall = firewall
    return true
  }

  private typealias RuleReduction = (inout Rule) -> Bool

  private static func ruleReductions(of rule: Rule) -> [RuleReduction] {
    func clear<Value>(_ path: WritableKeyPath<Rule, Value?>) -> RuleReduction {
      { rule in
        guard rule[keyPath: path] != nil else { return false }
        rule[keyPath: path] = nil
        return true
      }
    }
    func set<Value: Equatable>(_ path: WritableKeyPath<Rule, Value>, _ value: Value) -> RuleReduction {
      { rule in
        guard rule[keyPath: path] != value else { return false }
        rule[keyPath: path] = value
        return true
      }
    }
    var reductions: [RuleReduction] = [
      set(\.matches, []), set(\.changes, Changes()), clear(\.connections), clear(\.limit), clear(\.quota),
      clear(\.counter), clear(\.log), clear(\.comment), set(\.verdict, .continue),
      set(\.changes.restoresMark, false), clear(\.changes.connectionMark), clear(\.changes.dscp),
      clear(\.changes.mark), clear(\.changes.segmentSize), set(\.changes.savesMark, false),
    ]
    if let key = rule.limit?.key {
      reductions.append { rule in
        guard rule.limit?.key == key else { return false }
        rule.limit?.key = nil
        return true
      }
    }
    if let key = rule.connections?.key {
      reductions.append { rule in
        guard rule.connections?.key == key else { return false }
        rule.connections?.key = nil
        return true
      }
    }
    if let log = rule.log {
      let plain = Log(prefix: log.prefix)
      reductions.append { rule in
        guard rule.log == log, log != plain else { return false }
        rule.log = plain
        return true
      }
    }
    for index in rule.changes.setUpdates.indices.reversed() {
      reductions.append { $0.changes.setUpdates.cut(index..<(index + 1)) }
    }
    if case .dispatch(let map) = rule.verdict {
      for index in map.entries.indices.reversed() {
        reductions.append { rule in
          guard case .dispatch(var map) = rule.verdict, map.entries.count > 1 else { return false }
          guard map.entries.cut(index..<(index + 1)) else { return false }
          rule.verdict = .dispatch(map)
          return true
        }
      }
    }
    for index in rule.matches.indices.reversed() {
      reductions.append { $0.matches.cut(index..<(index + 1)) }
      for smaller in items(of: rule.matches[index]) {
        reductions.append { rule in
          guard index < rule.matches.count, rule.matches[index] == smaller.before else { return false }
          rule.matches[index] = smaller.after
          return true
        }
      }
    }
    reductions.append(set(\.families, .both))
    return reductions
  }

  private static func parts(of tree: AddressTree) -> [AddressTree] {
    switch tree {
    case .list: []
    case .union(let parts): parts
    case .difference(let a, let b): [a, b]
    }
  }

  /// The clause with a part of its list.
  private static func items(of match: Match) -> [(before: Match, after: Match)] {
    var results: [Match.Condition] = []
    /// Without each one of them.
    func shorter<Item>(_ list: [Item], _ condition: ([Item]) -> Match.Condition) {
      guard list.count > 1 else { return }
      for index in list.indices {
        var rest = list
        rest.remove(at: index)
        results.append(condition(rest))
      }
    }
    switch match.condition {
    case .protocols(let numbers): shorter(numbers) { .protocols($0) }
    case .ports(let side, let protocols, let ports):
      shorter(protocols) { .ports(side, protocols: $0, ports) }
      shorter(ports.ranges) { .ports(side, protocols: protocols, PortSet($0)) }
    case .icmp(let family, let types): shorter(types) { .icmp(family, $0) }
    case .services(let services): shorter(services) { .services($0) }
    case .interfaces(let side, let patterns): shorter(patterns) { .interfaces(side, $0) }
    case .user(let ids): shorter(ids) { .user($0) }
    case .group(let ids): shorter(ids) { .group($0) }
    case .mark(let kind, let values):
      shorter(values.ranges) { .mark(kind, MarkValues($0, mask: values.mask)) }
    case .linkAddresses(let side, let addresses): shorter(addresses) { .linkAddresses(side, $0) }
    case .dscp(let values): shorter(values) { .dscp($0) }
    case .timeToLive(let values): shorter(values) { .timeToLive($0) }
    case .length(let values): shorter(values) { .length($0) }
    case .controlGroups(let groups): shorter(groups) { .controlGroups($0) }
    case .addresses(let side, let list) where list.tree != nil:
      if let tree = list.tree {
        for part in parts(of: tree) {
          var smaller = AddressMatch(part)
          if case .list(let plain) = part { smaller = plain }
          results.append(.addresses(side, smaller))
        }
      }
    case .addresses(let side, let list):
      func with(_ change: (inout AddressMatch) -> Void) {
        var list = list
        // Without its name it is what the rule itself holds.
        list.name = nil
        change(&list)
        results.append(.addresses(side, list))
      }
      if list.exception != nil { with { $0.exception = nil } }
      shorter(list.specials) { specials in
        .addresses(
          side,
          {
            var shorter = list
            shorter.specials = specials
            return shorter
          }())
      }
      shorter(list.sets) { sets in
        .addresses(
          side,
          {
            var shorter = list
            shorter.sets = sets
            return shorter
          }())
      }
      if !list.addresses.ipv4.isEmpty, !list.addresses.ipv6.isEmpty {
        with { $0.addresses = AddressSet(ipv4: list.addresses.ipv4) }
        with { $0.addresses = AddressSet(ipv6: list.addresses.ipv6) }
      }
      if list.addresses.ipv4.count > 1 {
        with { $0.addresses = AddressSet(ipv4: [list.addresses.ipv4[0]], ipv6: list.addresses.ipv6) }
      }
      if list.addresses.ipv6.count > 1 {
        with { $0.addresses = AddressSet(ipv4: list.addresses.ipv4, ipv6: [list.addresses.ipv6[0]]) }
      }
    case .states, .status, .tcpFlags, .packetTypes, .hours, .days, .fragment, .spoofed, .ipsec: break
    }
    var smaller = results.map { (match, Match($0, isNegated: match.isNegated)) }
    if match.isNegated { smaller.append((match, Match(match.condition))) }
    return smaller
  }
}

extension Array {
  /// False: it is not there.
  fileprivate mutating func cut(_ range: Range<Int>) -> Bool {
    guard !range.isEmpty, range.upperBound <= count else { return false }
    removeSubrange(range)
    return true
  }

  fileprivate mutating func edit(_ index: Int, _ change: (inout Element) -> Bool) -> Bool {
    index < count ? change(&self[index]) : false
  }
}

extension [Rule] {
  fileprivate mutating func edit(_ id: String, _ change: (inout Rule) -> Bool) -> Bool {
    guard let index = firstIndex(where: { $0.id == id }) else { return false }
    return change(&self[index])
  }
}
