internal import PolicyModel

/// A rule in one form, whoever has written it: what a policy says, and what was read back from the kernel's programs.
///
/// Equal shapes mean the same. Where they are not equal, nothing is said.
struct RuleShape: Equatable {
  private let families: Families
  private let matches: [Match]
  private let connections: ConnectionLimit?
  private let limit: Limit?
  private let quota: Quota?
  private let changes: Changes
  private let counter: Counter?
  private let log: Log?
  private let verdict: Verdict

  init(_ rule: Rule) {
    families = rule.families
    matches = Self.normal(rule.matches, rule.families)
    var (connections, limit, changes) = (rule.connections, rule.limit?.normal, rule.changes)
    let (connectionKey, limitKey) = (connections?.key, limit?.key)
    connections?.key = Self.normal(connectionKey, families)
    limit?.key = Self.normal(limitKey, families)
    changes.setUpdates = changes.setUpdates.map { [families] in Self.normal($0, families) }
    (self.connections, self.limit, self.changes) = (connections, limit, changes)
    quota = rule.quota
    counter = rule.counter
    log = rule.log?.normal
    verdict = rule.verdict
  }

  static func normal(_ update: PolicyModel.SetUpdate, _ families: Families) -> PolicyModel.SetUpdate {
    var update = update
    update.key = normal(update.key, families) ?? update.key
    return update
  }

  /// Without the bits that count in the other family.
  private static func normal(_ key: AddressKey?, _ families: Families) -> AddressKey? {
    guard var key else { return nil }
    if !families.contains(.ipv4) { key.ipv4Bits = 32 }
    if !families.contains(.ipv6) { key.ipv6Bits = 128 }
    return key
  }

  // MARK: Matches

  private static func normal(_ matches: [Match], _ families: Families) -> [Match] {
    var result: [Match] = []
    for match in matches {
      let match = normal(match, families)
      // A range is compared bound by bound.
      if let index = result.firstIndex(where: { both($0, match) != nil }),
        let joined = both(result[index], match)
      {
        result[index] = joined
      } else {
        result.append(match)
      }
    }
    // What asks for a part of a transport header asks for its protocol.
    let implied = result.compactMap(protocols)
    result.removeAll { match in
      guard case .protocols(let listed) = match.condition, !match.isNegated else { return false }
      return implied.contains(listed)
    }
    return result.sorted { rank($0.condition) < rank($1.condition) }
  }

  /// The protocols that a condition on a header is about.
  private static func protocols(_ match: Match) -> [UInt8]? {
    switch match.condition {
    case .ports(_, let protocols, _): protocols
    case .icmp(let family, _): [family.protocolNumber]
    case .tcpFlags: [6]
    default: nil
    }
  }

  private static func normal(_ match: Match, _ families: Families) -> Match {
    var match = match
    switch match.condition {
    case .services(let services):
      guard let first = services.first, !match.isNegated,
        services.allSatisfy({ $0.families.isSuperset(of: families) && $0.ports == first.ports })
      else { break }
      let protocols = services.map(\.protocolNumber)
      match.condition =
        first.ports.map { .ports(.destination, protocols: protocols, $0) } ?? .protocols(protocols)
    case .addresses(let side, var addresses):
      guard addresses.tree == nil, addresses.exception == nil else { break }
      addresses.name = nil
      if !families.contains(.ipv6), !addresses.addresses.ipv6.isEmpty {
        addresses.addresses = AddressSet(ipv4: addresses.addresses.ipv4)
      }
      if !families.contains(.ipv4), !addresses.addresses.ipv4.isEmpty {
        addresses.addresses = AddressSet(ipv6: addresses.addresses.ipv6)
      }
      match.condition = .addresses(side, addresses)
    case .icmp(let family, let types): match.condition = .icmp(family, Set(types).sorted())
    case .interfaces(let side, let patterns):
      // IFNAMSIZ: no name is longer.
      match.condition = .interfaces(
        side,
        Set(
          patterns.map { pattern in
            pattern.name.utf8.count >= 15 ? InterfacePattern(pattern.name) : pattern
          }
        ).sorted())
    default: break
    }
    return match
  }

  /// One match for both; nil: there is none, or they are about other things.
  private static func both(_ a: Match, _ b: Match) -> Match? {
    guard !a.isNegated, !b.isNegated else { return nil }
    switch (a.condition, b.condition) {
    case (.ports(let side, let protocols, let first), .ports(let other, let others, let second))
    where side == other && protocols == others:
      return Match(.ports(side, protocols: protocols, first.intersection(second)))
    case (.length(let first), .length(let second)): return Match(.length(common(first, second)))
    case (.timeToLive(let first), .timeToLive(let second)): return Match(.timeToLive(common(first, second)))
    case (.dscp(let first), .dscp(let second)): return Match(.dscp(common(first, second)))
    case (.user(let first), .user(let second)): return Match(.user(common(first, second)))
    case (.group(let first), .group(let second)): return Match(.group(common(first, second)))
    case (.mark(let kind, let first), .mark(let other, let second))
    where kind == other && first.mask == .max && second.mask == .max:
      return Match(.mark(kind, MarkValues(common(first.ranges, second.ranges))))
    case (.addresses(let side, let first), .addresses(let other, let second))
    where side == other && first.isStatic && second.isStatic:
      let addresses = AddressSet(
        ipv4: common(first.addresses.ipv4, second.addresses.ipv4),
        ipv6: common(first.addresses.ipv6, second.addresses.ipv6))
      return Match(.addresses(side, AddressMatch(addresses: addresses)))
    default: return nil
    }
  }

  private static func common<Value>(
    _ first: [AddressRange<Value>], _ second: [AddressRange<Value>]
  ) -> [AddressRange<Value>] {
    IntervalSet(first).intersection(IntervalSet(second)).ranges
  }

  /// An order for comparing; the one that matters is that of asking, of which a packet sees nothing.
  ///
  /// Written out here too, for what is checked by it shares no table with the lowering.
  private static func rank(_ condition: Match.Condition) -> Int {
    switch condition {
    case .protocols: 0
    case .ports(.source, _, _): 1
    case .ports(.destination, _, _): 2
    case .icmp: 3
    case .services: 4
    case .states: 5
    case .addresses(.source, _): 6
    case .addresses(.destination, _): 7
    case .interfaces(.input, _): 8
    case .interfaces(.output, _): 9
    case .user: 10
    case .group: 11
    case .controlGroups: 12
    case .mark(.connmark, _): 13
    case .days: 14
    case .dscp: 15
    case .tcpFlags: 16
    case .fragment: 17
    case .hours: 18
    case .ipsec: 19
    case .length: 20
    case .mark(.mark, _): 21
    case .spoofed: 22
    case .status: 23
    case .timeToLive: 24
    case .packetTypes: 25
    case .linkAddresses(.destination, _): 26
    case .linkAddresses(.source, _): 27
    }
  }
}

extension Limit {
  /// The kernel takes 5 for a burst of no packets (NFT_LIMIT_PKT_BURST_DEFAULT).
  fileprivate var normal: Limit {
    var limit = self
    if limit.burst == 0, !limit.rate.isBytes { limit.burst = 5 }
    return limit
  }
}

extension Log {
  /// A log without a level has level 4, warning.
  var normal: Log {
    var log = self
    if log.level == 4 { log.level = nil }
    return log
  }
}
