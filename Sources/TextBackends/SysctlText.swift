package import PolicyModel

/// `sysctl.conf`: the policy's sysctls as `sysctl -p` and systemd-sysctl read them (sysctl.conf(5),
/// sysctl.d(5)). Both write line by line, once, so the order must be one in which no line undoes another.
package enum SysctlText {
  package static func print(_ policy: HostPolicy) -> String {
    var file = TextFile(policy, readBy: "sysctl(8) and systemd-sysctl(8)")
    let sections: [(SysctlClass, [String])] = [
      // inet_forward_change() of net/ipv4/devinet.c sets `accept_redirects` of `all` too.
      (
        .lossy,
        [
          "A round trip of these loses state, as routes and addresses: set them once. They stand first, for they",
          "change others: `ip_forward` does the redirects that are accepted.",
        ]
      ),
      (.restorable, ["These can be set and taken back at any time."]),
      (.neutral, ["Tuning: these have no order of strength."]),
      (.oneWay, ["These cannot be taken back until reboot, and so stand last."]),
    ]
    let stated = Set(policy.sysctls.map(\.key))
    for (strengthClass, comment) in sections {
      let lines = policy.sysctls.filter { $0.strengthClass == strengthClass }
        .flatMap { Self.lines(of: $0, besides: stated) }.sorted()
      guard !lines.isEmpty else { continue }
      file.section(comment)
      file.lines(lines.map(\.text))
    }
    return file.text
  }

  /// One line, in the order of writing.
  private struct Line: Comparable {
    /// What settings of one name, for several interfaces, have in common.
    var name: String
    /// Of one name those come first that bring others along: `all` sets every interface and `default` (forwarding,
    /// disable_ipv6), and `default` sets the interfaces that have no value of their own yet (devinet_copy_dflt_conf).
    var reach: Int
    var text: String

    static func < (a: Line, b: Line) -> Bool {
      (a.name, a.reach, a.text) < (b.name, b.reach, b.text)
    }
  }

  /// - Parameter stated: keys of all settings.
  private static func lines(of setting: SysctlSetting, besides stated: Set<String>) -> [Line] {
    if setting.key == "net.ipv4.ip_forward" {
      // `conf.all.forwarding` under another name.
      return [Line(name: "net.ipv4.conf.*.forwarding", reach: 0, text: "\(setting.key) = \(setting.value)")]
    }
    // A dot inside the name of an interface is written `/`, so the interface is one part.
    let parts = setting.key.split(separator: ".")
    guard setting.scope != .host, parts.count > 2 else {
      return [Line(name: setting.key, reach: 0, text: "\(setting.key) = \(setting.value)")]
    }
    let tree = parts.dropLast(2).joined(separator: ".")
    let interface = String(parts[parts.count - 2])
    let end = parts[parts.count - 1]
    func line(_ interface: String, prefix: String = "") -> Line {
      let reach = interface == "all" ? 0 : interface == "default" ? 1 : interface == "*" ? 2 : 3
      return Line(
        name: "\(tree).*.\(end)", reach: reach,
        text: "\(prefix)\(tree).\(interface).\(end) = \(setting.value)")
    }
    guard setting.scope == .everyInterface else { return [line(interface)] }
    // `neigh` has a `default` and no `all`, MPLS neither.
    let shared = tree == "net.mpls.conf" ? [] : tree.hasSuffix(".conf") ? ["all", "default"] : ["default"]
    // What has a line of its own is left out, as both tools do where they expand the star. The minus lets a host
    // without interfaces pass.
    return shared.filter { !stated.contains("\(tree).\($0).\(end)") }.map { line($0) } + [
      line("*", prefix: "-")
    ]
  }
}
