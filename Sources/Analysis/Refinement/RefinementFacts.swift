import Diagnostics
import PolicyModel

extension HostPolicy {
  /// Whether any rule gives packets other addresses.
  var isTranslating: Bool { firewall?.baseChains.contains(where: \.isNAT) ?? false }

  /// Hook, priority and number of rules of each.
  var translatingChains: [[Int]] {
    (firewall?.baseChains ?? []).filter(\.isNAT).map { chain in
      [Hook.allCases.firstIndex(of: chain.hook) ?? 0, Int(chain.priority), chain.rules.count]
    }
  }

  /// The rules of all nat chains and of the chains that these lead to.
  var translations: [Rule] { rules(of: \.isNAT) }

  /// Those of chains before connection tracking, which alone may untrack.
  var rulesBeforeTracking: [Rule] {
    rules { $0.priority < -200 && ($0.hook == .prerouting || $0.hook == .output) }
  }

  /// The rules of a path up to the last one of a kind or that leads to one, with those of all chains they lead to;
  /// none where there is no such rule.
  func rules(upToLast isMeant: (Rule) -> Bool, along hook: Hook) -> [Rule] {
    func below(_ rule: Rule) -> [Rule] {
      var rules: [Rule] = []
      var seen: Set<String> = []
      var waiting = rule.isEnabled ? rule.verdict.targets : []
      while let name = waiting.popLast() {
        guard seen.insert(name).inserted else { continue }
        let found = firewall?.regularChains.first { $0.name == name }?.rules ?? []
        rules += found
        waiting += found.filter(\.isEnabled).flatMap(\.verdict.targets)
      }
      return rules
    }
    let chains = firewall?.baseChains ?? []
    let all = hook.path.flatMap { hook in
      chains.filter { $0.hook == hook }.sorted { $0.priority < $1.priority }.flatMap(\.rules)
    }
    guard let last = all.lastIndex(where: { isMeant($0) || below($0).contains(where: isMeant) }) else {
      return []
    }
    return all[...last].flatMap { [$0] + below($0) }
  }

  func rules(of chains: (BaseChain) -> Bool) -> [Rule] {
    guard let firewall else { return [] }
    var rules = firewall.baseChains.filter(chains).flatMap(\.rules)
    var seen: Set<String> = []
    var next = 0
    while next < rules.count {
      for name in rules[next].verdict.targets where seen.insert(name).inserted {
        rules += firewall.regularChains.first { $0.name == name }?.rules ?? []
      }
      next += 1
    }
    return rules
  }

  /// Of the last chain of a place's own hook.
  func chainSpan(_ hook: Hook) -> SourceSpan? {
    (firewall?.baseChains ?? []).filter { $0.hook == hook }.max { $0.priority < $1.priority }?.span
  }
}

extension Region {
  /// All packets of the clauses, in every state and on every interface.
  var allBoxes: [PacketBox] {
    [Families.ipv4, .ipv6].filter { families.contains($0) }.flatMap {
      Guard(matches: matches, family: $0).boxes
    }
  }
}

extension Rule {
  /// Whether another rule does the same to the same packets.
  func isTheSame(as other: Rule) -> Bool {
    families == other.families && matches == other.matches && connections == other.connections
      && limit == other.limit && quota == other.quota && room == other.room && verdict == other.verdict
      && changes == other.changes
      && isEnabled == other.isEnabled && unreadable == nil && other.unreadable == nil
  }

  /// Dynamic and external sets that it looks up.
  var askedSets: [String] {
    matches.flatMap { match -> [String] in
      guard case .addresses(_, let addresses) = match.condition else { return [] }
      return addresses.allSets
    }
  }

  var allBoxes: [PacketBox] {
    [Families.ipv4, .ipv6].filter { families.contains($0) }.flatMap {
      Guard(matches: matches, family: $0).boxes
    }
  }
}

extension Rule {
  /// Whether no packet is what it asks for, wherever it stands.
  package var neverMatches: Bool { allBoxes.isEmpty }
}

extension PacketBox {
  /// Those that no translation has changed.
  var untranslated: PacketBox {
    let translated = Self.statusBits.indices.filter {
      [ConntrackStatus.dnat, .snat].contains(Self.statusBits[$0])
    }
    let plain = (0..<(1 << Self.statusBits.count)).filter { bits in
      translated.allSatisfy { bits >> $0 & 1 == 0 }
    }
    return narrowed(.status, IntervalSet(plain.map { AddressRange(UInt128($0), UInt128($0)) }))
  }
}
