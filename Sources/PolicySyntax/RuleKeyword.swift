/// The keywords of rules and statements: the quoted words of the grammar (LANGUAGE.md §3), without those of
/// reject kinds, rates, facts and kinds of containers, which are words of their own places only.
package enum RuleKeyword: String, Sendable, CaseIterable {
  // Verdicts.
  case accept, drop, `continue`, `return`, reject, notrack, masquerade, jump, goto, dnat, snat, redirect
  case containers
  // Matches.
  case ipv4, ipv6, not
  case tcp, udp, sctp, dccp, udplite
  case icmp, icmpv6, esp, ah, gre, igmp, vrrp, ospf, dhcp, dhcpv6, mdns
  case protocolNumber = "protocol"
  case new, established, related, invalid, untracked
  case from, to, port, `in`, out, user, group, cgroup, status, mark, connmark
  case flags, of, ether, dscp, ttl, length, type, hours, days
  case fragment, spoofed, ipsec
  case except, any, local, broadcast, multicast
  // Stateful clauses.
  case connections, over, up, per, limit, burst, quota
  // Actions.
  case restore, set, mss, save, add, update, delete, timeout
  case count, log, level, nflog, at, most, with
  case source, destination
  // Statements.
  case anyState = "any-state"
  case always, sometimes, may, assuming, empty, within
  case input, output, forward, prerouting, postrouting, ingress, host

  private static let byText: [String: RuleKeyword] = Dictionary(
    uniqueKeysWithValues: allCases.map { ($0.rawValue, $0) })

  /// The keyword of this text. `init(rawValue:)` compares with each case in turn.
  package static func named(_ text: String) -> RuleKeyword? { byText[text] }

  /// How the word is used in a rule.
  enum Role: Sendable {
    case verdict
    case protocolName
    case state
    /// A match that is the word itself: `fragment`.
    case flag
    /// Begins a match; its values follow.
    case match
    /// Begins a stateful clause or an action.
    case action
    case not
    /// Stands inside clauses and statements only.
    case inner
  }

  var role: Role {
    switch self {
    case .accept, .drop, .continue, .return, .reject, .notrack, .masquerade, .jump, .goto, .dnat, .snat,
      .redirect, .containers:
      .verdict
    case .tcp, .udp, .sctp, .dccp, .udplite, .icmp, .icmpv6, .esp, .ah, .gre, .igmp, .vrrp, .ospf, .dhcp,
      .dhcpv6, .mdns, .protocolNumber:
      .protocolName
    case .new, .established, .related, .invalid, .untracked: .state
    case .fragment, .spoofed, .ipsec: .flag
    case .ipv4, .ipv6, .from, .to, .in, .out, .user, .group, .cgroup, .status, .mark, .connmark, .flags,
      .ether, .dscp, .ttl, .length, .type, .hours, .days, .anyState:
      .match
    case .connections, .limit, .quota, .restore, .set, .save, .add, .update, .delete, .count, .log, .with:
      .action
    case .not: .not
    case .port, .of, .except, .any, .local, .broadcast, .multicast, .over, .up, .per, .burst, .mss,
      .timeout, .level, .nflog, .at, .most, .source, .destination, .always, .sometimes, .may, .assuming,
      .empty, .within, .input, .output, .forward, .prerouting, .postrouting, .ingress, .host:
      .inner
    }
  }

  /// Whether a clause begins with this word (`not` aside).
  var startsClause: Bool {
    switch role {
    case .protocolName, .state, .flag, .match, .action: true
    case .verdict, .not, .inner: false
    }
  }

  /// Protocols whose header has ports.
  var hasPorts: Bool {
    switch self {
    case .tcp, .udp, .sctp, .dccp, .udplite: true
    default: false
    }
  }

  package static let verdicts: [String] = allCases.filter { $0.role == .verdict }.map(\.rawValue)
  package static let protocols: [String] = allCases.filter { $0.role == .protocolName }.map(\.rawValue)
  /// Words that begin a clause, for suggestions.
  package static let clauseStarts: [String] = allCases.filter(\.startsClause).map(\.rawValue)
}
