import Diagnostics
import PolicyModel
import PolicySyntax

/// The clauses of one rule or region with their names resolved.
struct ResolvedClauses {
  var families: Families = .both
  var matches: [Match] = []
  var limit: Limit?
  var quota: Quota?
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
  /// The clause that last narrowed the families.
  var familySpan: SourceSpan?

  /// Conditions of which a rule may hold the positive and the negated one.
  enum Twin: Equatable {
    case addresses(AddressSide)
    case interfaces(InterfaceSide)
    case user
    case group
    case status
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
      guard a.specials.allSatisfy(b.specials.contains) else { return nil }
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
    default: return nil
    }
  }

  /// Both lists are merged, so a range is covered only by one range.
  private static func isCovered(_ a: [AddressRange<UInt32>], by b: [AddressRange<UInt32>]) -> Bool {
    a.allSatisfy { range in b.contains { $0.lower <= range.lower && range.upper <= $0.upper } }
  }

  /// Whether every packet that meets the matches is TCP.
  var isTCPOnly: Bool {
    matches.contains { match in
      switch match.condition {
      case .protocols(let numbers): !match.isNegated && numbers == [6]
      case .ports(_, let protocols, _): protocols == [6]
      case .services(let services): !match.isNegated && services.allSatisfy { $0.protocolNumber == 6 }
      default: false
      }
    }
  }
}
