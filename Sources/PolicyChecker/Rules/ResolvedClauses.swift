import Diagnostics
import PolicyModel
import PolicySyntax

/// The clauses of one rule or region with their names resolved.
struct ResolvedClauses {
  var families: Families = .both
  var matches: [Match] = []
  var connections: ConnectionLimit?
  var limit: Limit?
  var quota: Quota?
  var changes = Changes()
  var counter: Counter?
  var log: Spanned<LogSyntax>?
  var with: Spanned<RejectKind>?
  var hasStateClause = false
  /// `in lo` or `out lo`.
  var namesLoopback = false
  /// Spans of clauses that can never hold because a definition is empty (LANGUAGE.md §4.8).
  var neverHolds: [SourceSpan] = []
  /// Spans of clauses that always hold because a definition is empty.
  var alwaysHolds: [SourceSpan] = []
  /// Spans of clauses that always hold because a definition holds every address.
  var coversAll: [SourceSpan] = []
  /// The clause that last narrowed the families.
  var familySpan: SourceSpan?

  /// Conditions of which a rule may hold the positive and the negated one.
  enum Twin: Equatable {
    case addresses(AddressSide)
    case interfaces(InterfaceSide)
    case user
    case group
    case status
    /// The others, by their keyword.
    case word(String)
  }

  /// A condition that the rule states and takes out again as a whole; such a rule never matches.
  var contradiction: Twin? {
    for match in matches where !match.isNegated {
      for other in matches where other.isNegated {
        if let twin = Self.twin(match.condition, coveredBy: other.condition, families) { return twin }
      }
    }
    return nil
  }

  private static func twin(
    _ condition: Match.Condition, coveredBy other: Match.Condition, _ families: Families
  ) -> Twin? {
    switch (condition, other) {
    case (.addresses(let side, let a), .addresses(let otherSide, let b)) where side == otherSide:
      if a.tree != nil || b.tree != nil { return a == b ? .addresses(side) : nil }
      guard a.specials.allSatisfy(b.specials.contains), a.sets.allSatisfy(b.sets.contains),
        b.exception == nil
      else { return nil }
      let left = a.addresses.subtracting(b.addresses)
      let isCovered =
        (left.ipv4.isEmpty || !families.contains(.ipv4)) && (left.ipv6.isEmpty || !families.contains(.ipv6))
      return isCovered ? .addresses(side) : nil
    case (.interfaces(let side, let a), .interfaces(let otherSide, let b)) where side == otherSide:
      let isCovered = a.allSatisfy { pattern in
        b.contains { $0 == pattern || ($0.isPrefix && pattern.name.hasPrefix($0.name)) }
      }
      return isCovered ? .interfaces(side) : nil
    case (.user(let a), .user(let b)): return isCovered(a, by: b) ? .user : nil
    case (.group(let a), .group(let b)): return isCovered(a, by: b) ? .group : nil
    case (.status(let a), .status(let b)): return a.isSubset(of: b) ? .status : nil
    case (.mark(let kind, let a), .mark(let otherKind, let b)) where kind == otherKind && a.mask == b.mask:
      return isCovered(a.ranges, by: b.ranges) ? .word(kind.rawValue) : nil
    case (.tcpFlags(let value, let mask), .tcpFlags(let otherValue, let otherMask)):
      // What the second one looks at, the first one has fixed.
      let isCovered = otherMask.isSubset(of: mask) && value.intersection(otherMask) == otherValue
      return isCovered ? .word("flags") : nil
    case (.linkAddresses(let side, let a), .linkAddresses(let otherSide, let b)) where side == otherSide:
      return Set(a).isSubset(of: b) ? .word(side == .source ? "ether from" : "ether to") : nil
    case (.dscp(let a), .dscp(let b)): return isCovered(a, by: b) ? .word("dscp") : nil
    case (.timeToLive(let a), .timeToLive(let b)): return isCovered(a, by: b) ? .word("ttl") : nil
    case (.length(let a), .length(let b)): return isCovered(a, by: b) ? .word("length") : nil
    case (.packetTypes(let a), .packetTypes(let b)): return a.isSubset(of: b) ? .word("type") : nil
    case (.fragment, .fragment): return .word("fragment")
    case (.spoofed, .spoofed): return .word("spoofed")
    case (.ipsec, .ipsec): return .word("ipsec")
    default: return nil
    }
  }

  /// Both lists are merged, so a range is covered only by one range.
  private static func isCovered<V>(_ a: [AddressRange<V>], by b: [AddressRange<V>]) -> Bool {
    a.allSatisfy { range in b.contains { $0.lower <= range.lower && range.upper <= $0.upper } }
  }

  /// Whether every packet that meets the matches is TCP.
  var isTCPOnly: Bool {
    matches.contains { match in
      switch match.condition {
      case .protocols(let numbers): !match.isNegated && numbers == [6]
      case .ports(_, let protocols, _): protocols == [6]
      case .tcpFlags: true
      case .services(let services): !match.isNegated && services.allSatisfy { $0.protocolNumber == 6 }
      default: false
      }
    }
  }

  /// Whether no TCP packet can meet the matches.
  var isWithoutTCP: Bool {
    matches.contains { match in
      switch match.condition {
      case .protocols(let numbers): numbers.contains(6) == match.isNegated
      case .ports(_, let protocols, _): !protocols.contains(6)
      case .icmp: true
      case .services(let services): !match.isNegated && services.allSatisfy { $0.protocolNumber != 6 }
      default: false
      }
    }
  }

  /// Whether a packet must have a readable header behind the network header to meet the matches.
  var needsTransportHeader: Bool {
    matches.contains { match in
      switch match.condition {
      case .ports, .icmp, .tcpFlags: !match.isNegated
      case .services(let services): !match.isNegated && services.allSatisfy { $0.ports != nil }
      default: false
      }
    }
  }
}
