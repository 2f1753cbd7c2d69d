extension ClauseSyntax {
  /// The clause's place in canonical text; two clauses of the same rank are of one kind.
  ///
  /// Clauses that begin with a bare word or a `$name` (protocols, ICMP types, services) share a kind: side by
  /// side they could not be told apart.
  package var canonicalRank: Int {
    switch self {
    case .family: 0
    case .protocols, .icmp, .services: 1
    case .states, .anyState: 2
    case .endpoint(.from, _, _, _): 3
    case .endpoint(.to, _, _, _): 4
    case .interfaces(.in, _, _): 5
    case .interfaces(.out, _, _): 6
    case .owner(.user, _, _): 7
    case .owner(.group, _, _): 8
    case .cgroup: 9
    // The other matches, alphabetically by keyword.
    case .mark(.connmark, _, _, _): 10
    case .days: 11
    case .numeric(.dscp, _, _): 12
    case .ether(.from, _, _): 13
    case .ether(.to, _, _): 14
    case .tcpFlags: 15
    case .flag(.fragment, _): 16
    case .hours: 17
    case .flag(.ipsec, _): 18
    case .numeric(.length, _, _): 19
    case .mark(.mark, _, _, _): 20
    case .flag(.spoofed, _): 21
    case .status: 22
    case .numeric(.ttl, _, _): 23
    case .packetType: 24
    case .connections: 30
    case .limit: 31
    case .quota: 32
    case .restoreMark: 40
    case .set(.connmark, _): 41
    case .set(.dscp, _): 42
    case .set(.mark, _): 43
    case .set(.mss, _): 44
    case .saveMark: 45
    case .update(.add, _, _, _): 46
    case .update(.update, _, _, _): 47
    case .update(.delete, _, _, _): 48
    case .count: 50
    case .log: 51
    case .with: 52
    }
  }

  /// Whether the clause is a match written with `not` before its values or its word.
  package var isNegated: Bool {
    switch self {
    case .protocols(let negated, _, _), .icmp(_, let negated, _), .services(let negated, _),
      .states(let negated, _), .endpoint(_, let negated, _, _), .interfaces(_, let negated, _),
      .owner(_, let negated, _), .status(let negated, _), .mark(_, let negated, _, _),
      .tcpFlags(let negated, _, _), .ether(_, let negated, _), .numeric(_, let negated, _),
      .packetType(let negated, _), .flag(_, let negated):
      negated
    case .family, .cgroup, .hours, .days, .anyState, .connections, .limit, .quota, .restoreMark, .set,
      .saveMark, .update, .count, .log, .with:
      false
    }
  }
}

extension [Spanned<ClauseSyntax>] {
  /// Sorted by kind; of two of one kind the positive one comes first. Stable.
  package var inCanonicalOrder: Self {
    // Most rules are written so.
    var isSorted = true
    for index in indices.dropFirst()
    where self[index - 1].value.canonicalRank >= self[index].value.canonicalRank { isSorted = false }
    return isSorted
      ? self
      : sorted { a, b in
        (a.value.canonicalRank, a.value.isNegated ? 1 : 0) < (
          b.value.canonicalRank, b.value.isNegated ? 1 : 0
        )
      }
  }
}
