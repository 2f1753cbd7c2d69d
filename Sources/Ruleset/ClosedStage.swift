package import PolicyModel

/// The firewall that stands from early boot until the policy's is there (`APPLY.md` §7), as rules: a table of its own,
/// which the batch of the policy takes away.
package struct ClosedStage: Sendable {
  /// Of the host's own packets, in order. The last one drops the rest; before it the regions of `management` are let in
  /// once the kernel says so.
  package var input: [Rule]
  package var forward: [Rule]
  /// Accepts the regions of `management`; none: nothing is let in later.
  package var management: [Rule]
  fileprivate static let managementID = "boot.input/_management"
  /// Seconds until then.
  package var managementAfter: UInt64

  /// Nil where the policy has none: without a firewall of its own nothing would ever take a closed one away.
  package init?(_ policy: HostPolicy) {
    guard policy.firewall != nil, policy.boot.stage == .closed else { return nil }
    let span = policy.boot.span ?? policy.span
    func closing(_ id: String) -> Rule {
      var rule = Rule(id: id, name: "closing", text: "drop count", verdict: .drop, span: span)
      rule.counter = .anonymous
      rule.comment = "closing: policy drop"
      rule.origin = .closing
      return rule
    }
    // No written name begins with `_`.
    input = Self.defaults.map { given in
      var rule = Rule(
        id: "boot.input/_" + given.name, name: "_" + given.name, text: given.text, verdict: .accept,
        span: span)
      rule.families = given.families
      rule.matches = given.matches
      return rule
    }
    input += policy.boot.input
    forward = [closing("boot.forward/closing")]
    management = Self.regions(of: policy).inside.map(Self.rule)
    if !management.isEmpty {
      input.append(
        Rule(
          id: Self.managementID, name: "_management", text: "jump \(KernelName.management)",
          verdict: .jump(KernelName.management), span: span))
    }
    input.append(closing("boot.input/closing"))
    managementAfter = policy.boot.managementAfter
  }

  /// All of them have ids.
  package var rules: [Rule] { input + forward + management }

  /// What decides about the host's own packets, with those of `management` in place or as long as they wait.
  package func inputRules(withManagement: Bool) -> [Rule] {
    input.flatMap { rule in rule.id != Self.managementID ? [rule] : withManagement ? management : [] }
  }

  /// Regions that it cannot let in, and why.
  package static func regionsLeftOut(of policy: HostPolicy) -> [(region: Region, reason: String)] {
    regions(of: policy).outside
  }

  private static func regions(
    of policy: HostPolicy
  ) -> (inside: [Region], outside: [(region: Region, reason: String)]) {
    guard case .regions(let all) = policy.management else { return ([], []) }
    var inside: [Region] = []
    var outside: [(region: Region, reason: String)] = []
    // Regions have no order; their texts give them one.
    for region in all.sorted(by: { Self.order($0).lexicographicallyPrecedes(Self.order($1)) }) {
      if region.hook != .input {
        outside.append((region, "it forwards nothing"))
      } else if region.matches.contains(where: \.asksFilledSets) {
        outside.append((region, "nobody has filled its sets then"))
      } else if !inside.contains(where: { $0.placedText == region.placedText }) {
        inside.append(region)
      }
    }
    return (inside, outside)
  }

  private static func order(_ region: Region) -> String.UTF8View {
    "\(region.text) \(region.place ?? "")".utf8
  }

  // MARK: Rules

  private struct Default {
    var name: String
    var text: String
    var families = Families.both
    var matches: [Match]
  }

  private static var defaults: [Default] {
    func ports(_ from: UInt16, _ to: UInt16) -> [Match] {
      // IPPROTO_UDP.
      [
        Match(.ports(.source, protocols: [17], PortSet([AddressRange(from, from)]))),
        Match(.ports(.destination, protocols: [17], PortSet([AddressRange(to, to)]))),
      ]
    }
    // fe80::/10.
    let linkLocal = AddressRange(UInt128(0xfe80) << 112, UInt128(0xfec0) << 112 - 1)
    // ND_ROUTER_ADVERT, ND_NEIGHBOR_SOLICIT, ND_NEIGHBOR_ADVERT of netinet/icmp6.h. A router takes one off the hop
    // limit: 255 says that the sender is on this link (RFC 4861 §6.1.2, §7.1).
    let neighbours = [134, 135, 136].map { ICMPType(type: $0) }
    return [
      Default(
        name: "loopback", text: "accept in lo",
        matches: [Match(.interfaces(.input, [InterfacePattern("lo")]))]),
      // It also makes the kernel track connections from before the first one on.
      Default(
        name: "replies", text: "accept established, related",
        matches: [Match(.states([.established, .related]))]),
      Default(
        name: "dhcp", text: "accept udp from port 67 to port 68 ipv4", families: .ipv4, matches: ports(67, 68)
      ),
      Default(
        name: "dhcpv6", text: "accept udp from fe80::/10 port 547 to port 546", families: .ipv6,
        matches: [Match(.addresses(.source, AddressMatch(addresses: AddressSet(ipv6: [linkLocal]))))]
          + ports(547, 546)),
      Default(
        name: "neighbours", text: "accept icmpv6 134, 135, 136 ttl 255", families: .ipv6,
        matches: [Match(.icmp(.icmpv6, neighbours)), Match(.timeToLive([AddressRange(255, 255)]))]),
    ]
  }

  /// What opens a connection of the region. Replies have a rule before it.
  private static func rule(_ region: Region) -> Rule {
    var rule = Rule(
      id: "management/" + region.placedText, name: nil, text: "accept \(region.text)", verdict: .accept,
      span: region.span)
    rule.families = region.families
    rule.matches = region.matches.map(\.spelledOut) + [Match(.states([.new, .untracked]))]
    return rule
  }
}

extension Match {
  fileprivate var asksFilledSets: Bool {
    if case .addresses(_, let addresses) = condition { !addresses.allSets.isEmpty } else { false }
  }

  /// With its addresses in place of the definition's name, whose set only rules make.
  fileprivate var spelledOut: Match {
    guard case .addresses(let side, var addresses) = condition else { return self }
    addresses.name = nil
    addresses.exception?.name = nil
    return Match(.addresses(side, addresses), isNegated: isNegated)
  }
}

extension Lowering {
  /// The table of the closed stage; no table where the policy has none.
  package static func lowerClosedStage(of policy: HostPolicy, digest: [UInt8]) -> Ruleset {
    guard let stage = ClosedStage(policy) else { return Ruleset(tables: []) }
    var names = ChainNames()
    var generated: [Chain] = []
    func base(_ hook: UInt32) -> BaseHook {
      BaseHook(
        type: .filter, hook: hook, priority: KernelName.defaultPriority(of: .input), accepts: false)
    }
    func chain(_ name: String, _ base: BaseHook?, _ rules: [Rule]) -> Chain {
      lower(
        rules, to: Chain(name: name, base: base, rules: []), policy: base == nil ? nil : .drop, [:], &names,
        &generated)
    }
    // linux/netfilter.h NF_INET_LOCAL_IN, NF_INET_FORWARD.
    var chains = [chain(Hook.input.rawValue, base(1), stage.input)]
    chains.append(chain(Hook.forward.rawValue, base(2), stage.forward))
    if !stage.management.isEmpty {
      chains.append(chain(KernelName.management, nil, stage.management))
      chains[0].leadOthersThanWaiting(to: KernelName.management)
    }
    chains += generated
    let used = UsedNames(in: chains)
    var sets = sets(of: policy.addressSets, used)
    if !stage.management.isEmpty { sets.append(.waiting(seconds: stage.managementAfter)) }
    IntervalSets.nameByContent(&sets, in: &chains)
    var ruleset = Ruleset(tables: [
      Table(
        family: .inet, name: KernelName.closedTable, objects: objects(used), sets: sets, chains: chains)
    ])
    ruleset.setDigest(digest, of: policy)
    return ruleset
  }
}

extension Chain {
  /// The jump is for packets of families that do not wait any more, and its chain's name is none that a policy may give.
  fileprivate mutating func leadOthersThanWaiting(to target: String) {
    for index in rules.indices where rules[index].id == ClosedStage.managementID {
      rules[index].statements = [
        .match(.family, .notEqual, .set(.named(KernelName.waiting), isInterval: false)),
        .verdict(.jump(target)),
      ]
    }
  }
}

extension KernelSet {
  /// The families that wait: the kernel takes each out when its time is over, and no process is needed for that.
  fileprivate static func waiting(seconds: UInt64) -> KernelSet {
    var set = KernelSet(
      name: KernelName.waiting, keyType: .family,
      filling: Filling(isByRules: false, size: 2, hasTimeouts: true, timeout: seconds == 0 ? nil : seconds))
    // linux/netfilter.h NFPROTO_IPV4, NFPROTO_IPV6.
    if seconds > 0 { set.elements = [Element([2], [2]), Element([10], [10])] }
    return set
  }
}
