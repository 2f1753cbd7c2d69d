package import Diagnostics
package import PolicyModel

extension Lint {
  /// Interfaces on which nobody asks who has an address: there are two ends.
  private static let pointToPoint = ["ppp", "tun", "wg", "sit", "ip6tnl", "ipsec", "xfrm"].map {
    InterfacePattern($0, isPrefix: true)
  }

  /// A note where IPv6 is let in and neighbour discovery is refused: nobody finds the host, or it finds nobody, and no
  /// packet that is let in will ever come.
  ///
  /// Source: RFC 4861 §7.2: who has an address is asked by type 135 and answered by type 136. Connection tracking calls
  /// both untracked (nf_conntrack_proto_icmpv6.c).
  package static func neighbours(_ policy: HostPolicy) -> [Diagnostic] {
    guard let firewall = policy.firewall, policy.ancestors.isEmpty, !hasNoIPv6(policy),
      firewall.baseChains.contains(where: { [.input, .output].contains($0.hook) && !$0.isNAT })
    else { return [] }
    let opening = [Match(.protocols([6, 17])), Match(.states(.new))]
    let decisions = Analysis.decide(
      [
        refused(.input, opening, policy.span),
        refused(.input, discovery(135), policy.span), refused(.input, discovery(136), policy.span),
        refused(.output, discovery(135), policy.span), refused(.output, discovery(136), policy.span),
      ], of: policy)
    guard case .fails(let accepted) = decisions[0] else { return [] }
    let places = zip([Hook.input, .input, .output, .output], decisions.dropFirst()).filter {
      if case .holds = $1 { true } else { false }
    }
    guard let hook = places.first?.0 else { return [] }
    let rule = accepted.rule
    return [
      Diagnostic(
        .lintNeighbours, .note, at: rule?.span ?? firewall.span,
        "IPv6 is let in here, and `\(hook.rawValue)` refuses neighbour discovery: no packet of it will come",
        help: [
          "add `accept icmpv6 neighbour-discovery` to `\(hook.rawValue)`, or say `ipv4` where no IPv6 is meant",
          "for example: \(accepted.packet)",
        ])
    ]
  }

  private static func discovery(_ type: UInt8) -> [Match] {
    [Match(.icmp(.icmpv6, [ICMPType(type: type)])), Match(.states(.untracked))]
  }

  /// That packets of IPv6 are refused on all interfaces of more than two ends.
  private static func refused(_ hook: Hook, _ matches: [Match], _ span: SourceSpan) -> Statement {
    let interfaces = Match(.interfaces(hook == .input ? .input : .output, pointToPoint), isNegated: true)
    let region = Region(
      hook: hook, families: .ipv6, matches: matches + [interfaces], hasStateClause: true,
      includesLoopback: false, text: "\(hook.rawValue) \(matches)", span: span)
    return Statement(name: nil, body: .packets(region, .plain, .drop), text: region.text, span: span)
  }

  /// Whether the policy switches IPv6 off.
  private static func hasNoIPv6(_ policy: HostPolicy) -> Bool {
    let keys = ["net.ipv6.conf.all.disable_ipv6", "net.ipv6.conf.*.disable_ipv6"]
    return policy.sysctls.contains { keys.contains($0.key) && $0.value == "1" }
      || policy.kernel.commandLine.contains { ["ipv6.disable=1", "ipv6.disable_ipv6=1"].contains($0.text) }
  }
}
