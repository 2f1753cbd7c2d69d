import Diagnostics
import PolicyModel
import PolicySyntax

/// Fragments, where nobody puts them together (LANGUAGE.md §4.2, §4.10).
extension Checker {
  /// Reports base chains in whose packets the kernel looks for ports that are not there.
  ///
  /// `nft_payload_fast_eval` of net/netfilter/nf_tables_core.c loads up to four bytes of a transport header without
  /// asking whether the packet is a later fragment, which has none: what is found there is somebody's data. Seen on 6.18.
  mutating func checkReassembly(_ firewall: Firewall) {
    let byName = Dictionary(firewall.regularChains.map { ($0.name, $0) }) { first, _ in first }
    for chain in firewall.baseChains where !chain.isNAT && meetsFragments(chain) {
      var seen: Set<String> = []
      guard case .reads(let rule) = Self.follow(chain.rules, byName, &seen) else { continue }
      warning(
        .notReassembled, rule.span,
        "`\(chain.place)` meets fragments one by one, and the kernel takes the data of a later one for its ports",
        help: [
          "decide them before, by `drop fragment` or `accept fragment`",
          chain.hook == .ingress
            ? "or ask for ports in a later hook: `ingress` comes before connection tracking"
            : "or ask for a state somewhere: connection tracking puts fragments together",
        ])
    }
  }

  /// Input and output are left out: IPv4 is put together before `input`, a later fragment of IPv6 that comes in is worth
  /// nothing without the first, and what the host sends is not yet cut in `output`.
  private func meetsFragments(_ chain: BaseChain) -> Bool {
    switch chain.hook {
    case .ingress: true
    case .prerouting: !tracksConnections || chain.priority < -400
    case .forward: !tracksConnections
    case .input, .output, .postrouting: false
    }
  }

  private enum Finding {
    case reads(Rule)
    /// No later fragment comes further.
    case decided
    case neither
  }

  private static func follow(
    _ rules: [Rule], _ byName: [String: RegularChain], _ seen: inout Set<String>
  ) -> Finding {
    for rule in rules where rule.isEnabled {
      if rule.decidesFragments { return .decided }
      if rule.readsTransportHeader { return .reads(rule) }
      // A chain entered on a condition decides only some of them.
      for target in rule.verdict.targets where seen.insert(target).inserted {
        if case .reads(let found)? = byName[target].map({ follow($0.rules, byName, &seen) }) {
          return .reads(found)
        }
      }
    }
    return .neither
  }
}

extension ChainSource {
  /// Whether a rule asks for something that the kernel tracks connections for.
  var tracksConnections: Bool {
    base?.isNAT ?? false
      || items.contains { item in
        guard case .rule(let rule) = item.body else { return false }
        return rule.verdict.value.tracksConnections || rule.clauses.contains { $0.value.tracksConnections }
      }
  }
}

extension VerdictSyntax {
  fileprivate var tracksConnections: Bool {
    switch self {
    case .masquerade, .dnat, .snat, .redirect, .containers: true
    case .accept, .drop, .continue, .return, .reject, .notrack, .jump, .goto: false
    }
  }
}

extension ClauseSyntax {
  fileprivate var tracksConnections: Bool {
    switch self {
    case .states, .status, .connections, .restoreMark, .saveMark, .mark(.connmark, _, _, _),
      .set(.connmark, _):
      true
    default: false
    }
  }
}

extension Rule {
  fileprivate var readsTransportHeader: Bool {
    if case .dispatch(let map) = verdict {
      return map.fields.contains { if case .port = $0 { true } else { false } }
    }
    guard !matches.contains(Match(.fragment, isNegated: true)) else { return false }
    return matches.contains { match in
      switch match.condition {
      case .ports, .icmp, .tcpFlags: true
      case .services(let services): services.contains { $0.ports != nil }
      default: false
      }
    }
  }

  /// Whether each later fragment ends here.
  fileprivate var decidesFragments: Bool {
    switch verdict {
    case .accept, .drop, .reject(.automatic):
      matches == [Match(.fragment)] && families == .both && !isLimiting
    default: false
    }
  }
}
