import Diagnostics
import PolicyModel

/// Where a rule stands or a statement looks.
struct Place {
  /// A base chain whose packets come here.
  struct Origin {
    /// How the base chain is named in messages.
    var name: String
    var hook: Hook
    /// Nil where it does not count: in statements.
    var priority: Int32?
    /// Of the kernel's type nat.
    var isNAT = false
    /// The last `jump` or `goto` on the way into a regular chain.
    var jump: SourceSpan?

    /// Connection tracking starts at −200 in prerouting and output; NF_IP_PRI_CONNTRACK of
    /// linux/netfilter_ipv4.h.
    var hasConnectionState: Bool {
      switch hook {
      case .ingress: false
      case .prerouting, .output: (priority ?? .max) > -200
      case .input, .forward, .postrouting: true
      }
    }

    /// Whether connection tracking has not begun; a chain at −200 would tie with it.
    var isBeforeConnectionTracking: Bool {
      (hook == .prerouting || hook == .output) && (priority ?? .max) < -200
    }

    /// Whether fragments are put together before it: both families at −400 in prerouting, where nf_defrag_ipv4
    /// and nf_defrag_ipv6 work for connection tracking; IPv4 at the latest before `input`.
    func seesReassembled(_ tracksConnections: Bool) -> Bool {
      switch hook {
      case .ingress: false
      case .prerouting: tracksConnections && (priority ?? .min) >= -400
      case .forward: tracksConnections && priority != nil
      case .input, .output, .postrouting: priority != nil
      }
    }
  }

  /// How it is named in ids and messages: `input`, `boot.input`.
  var name: String
  /// The base chain itself, or for a regular chain all that lead to it; there may be none.
  var origins: [Origin]
  /// Whether its rules stand in the policy's table, where a definition used by name is a named set.
  var hasNamedSets: Bool
  /// A chain that others jump to: its end and `return` go back to them.
  var isRegular: Bool

  /// A place of one hook.
  init(
    name: String, hook: Hook, isNAT: Bool = false, priority: Int32? = nil, hasNamedSets: Bool = false
  ) {
    self.name = name
    origins = [Origin(name: name, hook: hook, priority: priority, isNAT: isNAT)]
    self.hasNamedSets = hasNamedSets
    isRegular = false
  }

  /// A regular chain.
  init(chain name: String, origins: [Origin]) {
    self.name = name
    self.origins = origins
    hasNamedSets = true
    isRegular = true
  }

  /// Whether kernel rules come of what stands here; a statement makes none.
  var isOfRules: Bool { origins.contains { $0.priority != nil } }

  /// The first base chain whose packets do not have what a clause or verdict needs.
  ///
  /// A rule must hold in every hook that reaches it: the kernel refuses some expressions by hook, and others
  /// would read nothing.
  func origin(without isFine: (Hook) -> Bool) -> Origin? { origins.first { !isFine($0.hook) } }

  /// How a packet of that base chain comes to this place, to follow a message.
  func path(from origin: Origin) -> [Diagnostic.Label] {
    guard let jump = origin.jump else { return [] }
    return [Diagnostic.Label(jump, "packets of `\(origin.name)` come to `\(name)` from here")]
  }
}

extension Hook {
  /// LANGUAGE.md §4.10.
  var hasInputInterface: Bool { self != .output && self != .postrouting }
  var hasOutputInterface: Bool { self == .forward || self == .output || self == .postrouting }
  /// nft_fib_validate: whether the routing table can be asked what an address is.
  var knowsAddressType: Bool { self != .ingress }
  var hasSocketOwner: Bool { self == .output || self == .postrouting }
  /// nft_socket_validate, and of its hooks the one where a packet's own socket is that of its sender.
  var knowsControlGroup: Bool { self == .output }
  /// nft_fib_validate and nft_meta_get_validate_xfrm: where the kernel knows how a packet came in.
  var knowsReverseRoute: Bool { self == .prerouting || self == .input || self == .forward }
  /// nft_rt_validate: where the way out is known.
  var canSetSegmentSize: Bool { self == .forward || self == .output || self == .postrouting }
  /// Connection tracking begins there.
  var canUntrack: Bool { self == .prerouting || self == .output }

  /// Hooks of which a property holds, for a message.
  static func list(where holds: (Hook) -> Bool) -> String {
    allCases.filter(holds).map { "`\($0.rawValue)`" }.joined(separator: ", ")
  }
}
