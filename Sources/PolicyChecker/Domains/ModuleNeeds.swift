import Diagnostics
import PolicyModel

/// The modules that a firewall is loaded with, each with the place that needs it: names are those of the kernel's
/// net/netfilter, net/ipv4/netfilter and net/ipv6/netfilter.
struct ModuleNeeds {
  struct Need {
    var module: String
    /// What asks for it in the policy, as the start of a sentence.
    var reason: String
    var span: SourceSpan
  }

  /// In the order in which they are found; each module once.
  private(set) var all: [Need] = []
  private var known: Set<String> = []

  init(of firewall: Firewall, _ policy: HostPolicy) {
    add("nf_tables", "the firewall is a table of it", firewall.span)
    // Built into nf_tables since 5.17.
    if policy.target.kernel < KernelVersion(5, 17) {
      add("nft_counter", "closed chains count by it", firewall.span)
    }
    if policy.boot.stage == .closed {
      add("nft_ct", "the closed stage of `boot` lets replies in by it", firewall.span)
    }
    for chain in firewall.baseChains where chain.isNAT {
      add("nft_chain_nat", "chains of `nat` are of it", chain.span)
    }
    firewall.forEachRule { if $0.isEnabled { add($0, policy.target) } }
  }

  /// How modules lead to the one, from what the policy asks for: `nft_ct`, `nf_conntrack`, `nf_defrag_ipv4`.
  static func chains(from module: String) -> [[String]] {
    [[module]] + (dependencies[module] ?? []).flatMap { chains(from: $0).map { [module] + $0 } }
  }

  /// As `modprobe --show-depends` has them; those that are library code of other subsystems are not listed.
  private static let dependencies: [String: [String]] = [
    "nf_tables": ["nfnetlink"],
    "nft_ct": ["nf_conntrack"],
    "nf_conntrack": ["nf_defrag_ipv4", "nf_defrag_ipv6"],
    "nft_chain_nat": ["nf_nat"],
    "nft_nat": ["nf_nat"],
    "nft_masq": ["nf_nat"],
    "nft_redir": ["nf_nat"],
    "nf_nat": ["nf_conntrack"],
    "nft_connlimit": ["nf_conncount"],
    "nf_conncount": ["nf_conntrack"],
    "nft_reject_inet": ["nft_reject", "nf_reject_ipv4", "nf_reject_ipv6"],
    "nft_fib_inet": ["nft_fib", "nft_fib_ipv4", "nft_fib_ipv6"],
    "nft_socket": ["nf_socket_ipv4", "nf_socket_ipv6"],
  ]

  private mutating func add(_ module: String, _ reason: String, _ span: SourceSpan) {
    guard known.insert(module).inserted else { return }
    all.append(Need(module: module, reason: reason, span: span))
  }

  private mutating func add(_ rule: Rule, _ target: Target) {
    for match in rule.matches {
      switch match.condition {
      case .addresses(_, let addresses) where !addresses.allSpecials.isEmpty:
        add("nft_fib_inet", "the routing table is asked by it", rule.span)
      case .spoofed: add("nft_fib_inet", "the routing table is asked by it", rule.span)
      case .states, .status, .mark(.connmark, _): add("nft_ct", "connections are asked by it", rule.span)
      case .controlGroups: add("nft_socket", "control groups are matched by it", rule.span)
      default: break
      }
    }
    if rule.changes.savesMark || rule.changes.restoresMark || rule.changes.connectionMark != nil {
      add("nft_ct", "connections are marked by it", rule.span)
    }
    if rule.connections != nil { add("nft_connlimit", "connections are counted by it", rule.span) }
    if rule.limit != nil || rule.log?.atMost != nil {
      add("nft_limit", "rates are limited by it", rule.span)
    }
    if rule.quota != nil { add("nft_quota", "quotas are kept by it", rule.span) }
    if let log = rule.log {
      add("nft_log", "packets are logged by it", rule.span)
      if log.group != nil {
        add("nfnetlink_log", "what is logged goes to programs by it", rule.span)
      } else if target.kernel >= KernelVersion(5, 13) {
        // Before, its name was another for each family.
        add("nf_log_syslog", "what is logged is printed by it", rule.span)
      }
    }
    switch rule.verdict {
    case .reject: add("nft_reject_inet", "refusals are sent by it", rule.span)
    case .notrack: add("nft_ct", "tracking is switched off by it", rule.span)
    case .translate(.masquerade): add("nft_masq", "packets are masqueraded by it", rule.span)
    case .translate(.redirect): add("nft_redir", "packets are redirected by it", rule.span)
    case .translate: add("nft_nat", "addresses are translated by it", rule.span)
    case .accept, .drop, .continue, .return, .jump, .goto, .dispatch: break
    }
  }
}
