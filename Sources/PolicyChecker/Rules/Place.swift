import PolicyModel

/// Where a rule stands or a statement looks.
struct Place {
  /// How it is named in ids and messages: `input`, `boot.input`.
  var name: String
  var hook: Hook
  /// Nil where it does not count: in statements.
  var priority: Int32?
  /// Whether its rules stand in the policy's table, where a definition used by name is a named set.
  var hasNamedSets = false

  /// Connection tracking starts at −200 in prerouting and output; NF_IP_PRI_CONNTRACK of linux/netfilter_ipv4.h.
  var hasConnectionState: Bool {
    switch hook {
    case .ingress: false
    case .prerouting, .output: (priority ?? .max) > -200
    case .input, .forward, .postrouting: true
    }
  }
}

extension Hook {
  /// LANGUAGE.md §4.10.
  var hasInputInterface: Bool { self != .output && self != .postrouting }
  var hasOutputInterface: Bool { self == .forward || self == .output || self == .postrouting }
  var hasSocketOwner: Bool { self == .output || self == .postrouting }

  /// Hooks of which a property holds, for a message.
  static func list(where holds: (Hook) -> Bool) -> String {
    allCases.filter(holds).map { "`\($0.rawValue)`" }.joined(separator: ", ")
  }
}
