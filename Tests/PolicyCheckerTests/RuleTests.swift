import Diagnostics
import PolicyModel
import Testing

/// Rules and what they become.
@Suite struct RuleTests {
  private static let web = PortSet([AddressRange(80, 80), AddressRange(443, 443)])
  private static let ssh = PortSet([AddressRange(22, 22)])
  private static let tenNet = AddressSet(ipv4: [IPv4Range(0x0a00_0000, 0x0aff_ffff)])

  // MARK: Protocols and families

  @Test(arguments: [
    ("accept", Families.both, [Match]()),
    ("accept ipv4", .ipv4, []),
    ("accept tcp", .both, [Match(.protocols([6]))]),
    ("accept udp, tcp, tcp", .both, [Match(.protocols([6, 17]))]),
    ("accept protocol 41", .both, [Match(.protocols([41]))]),
    ("accept not tcp, udp", .both, [Match(.protocols([6, 17]), isNegated: true)]),
    ("accept icmp", .ipv4, [Match(.protocols([1]))]),
    ("accept icmp, igmp", .ipv4, [Match(.protocols([1, 2]))]),
    ("accept icmpv6", .ipv6, [Match(.protocols([58]))]),
    // Number 1 is ICMP in IPv4 and nothing known in IPv6; as a number it is what it says.
    ("accept protocol 1", .both, [Match(.protocols([1]))]),
    (
      "accept icmp, icmpv6", .both,
      [
        Match(
          .services([
            Service(protocolNumber: 1, ports: nil, families: .ipv4),
            Service(protocolNumber: 58, ports: nil, families: .ipv6),
          ]))
      ]
    ),
    (
      "accept tcp, icmp", .both,
      [
        Match(
          .services([
            Service(protocolNumber: 1, ports: nil, families: .ipv4),
            Service(protocolNumber: 6, ports: nil, families: .both),
          ]))
      ]
    ),
    // Holds in IPv6, where there is no ICMP.
    (
      "accept not icmp", .both,
      [Match(.services([Service(protocolNumber: 1, ports: nil, families: .ipv4)]), isNegated: true)]
    ),
  ]) func protocols(text: String, families: Families, matches: [Match]) throws {
    let rule = try OneChain(text).rule()
    #expect(rule.families == families)
    #expect(rule.matches == matches)
  }

  @Test func expandedProtocols() throws {
    let dhcp = try OneChain("accept dhcp").rule()
    #expect(dhcp.families == .ipv4)
    #expect(dhcp.matches == [Match(.ports(.destination, protocols: [17], PortSet([AddressRange(67, 68)])))])
    let dhcpv6 = try OneChain("accept dhcpv6").rule()
    #expect(dhcpv6.families == .ipv6)
    #expect(
      dhcpv6.matches == [Match(.ports(.destination, protocols: [17], PortSet([AddressRange(546, 547)])))])
    let mdns = try OneChain("accept mdns").rule()
    #expect(mdns.families == .both)
    #expect(
      mdns.matches == [Match(.ports(.destination, protocols: [17], PortSet([AddressRange(5353, 5353)])))])
    // The complement of mDNS holds for TCP too, so it is not a port condition.
    let notMDNS = try OneChain("accept not mdns").rule()
    #expect(
      notMDNS.matches == [
        Match(
          .services([Service(protocolNumber: 17, ports: PortSet([AddressRange(5353, 5353)]))]),
          isNegated: true)
      ])
    let both = try OneChain("accept dhcp, dhcpv6").rule()
    #expect(both.families == .both)
    #expect(
      both.matches == [
        Match(
          .services([
            Service(protocolNumber: 17, ports: PortSet([AddressRange(67, 68)]), families: .ipv4),
            Service(protocolNumber: 17, ports: PortSet([AddressRange(546, 547)]), families: .ipv6),
          ]))
      ])
  }

  @Test(arguments: [
    ("accept tcp 22", [Match(.ports(.destination, protocols: [6], ssh))]),
    ("accept tcp ssh", [Match(.ports(.destination, protocols: [6], ssh))]),
    ("accept tcp, udp 443, http", [Match(.ports(.destination, protocols: [6, 17], web))]),
    ("accept tcp not 22", [Match(.ports(.destination, protocols: [6], ssh), isNegated: true)]),
    (
      "accept tcp 1-10, 11, 5-20",
      [Match(.ports(.destination, protocols: [6], PortSet([AddressRange(1, 20)])))]
    ),
    (
      "accept tcp 0-65535",
      [Match(.ports(.destination, protocols: [6], PortSet([AddressRange(0, 65535)])))]
    ),
    (
      "accept tcp 22 from port 1024-65535",
      [
        Match(.ports(.destination, protocols: [6], ssh)),
        Match(.ports(.source, protocols: [6], PortSet([AddressRange(1024, 65535)]))),
      ]
    ),
    (
      "accept udp from port not 53",
      [
        Match(.protocols([17])),
        Match(.ports(.source, protocols: [17], PortSet([AddressRange(53, 53)])), isNegated: true),
      ]
    ),
    (
      "accept tcp to 10.0.0.0/8 port 22",
      [
        Match(.ports(.destination, protocols: [6], ssh)),
        Match(.addresses(.destination, AddressMatch(addresses: tenNet))),
      ]
    ),
  ]) func ports(text: String, matches: [Match]) throws {
    #expect(try OneChain(text).rule().matches == matches)
  }

  @Test func icmpTypes() throws {
    let echo = try OneChain("accept icmp echo-request, 3/4, 3").rule()
    #expect(echo.families == .ipv4)
    // Type 3 holds all of its codes.
    #expect(echo.matches == [Match(.icmp(.icmp, [ICMPType(type: 3), ICMPType(type: 8)]))])
    let discovery = try OneChain("accept icmpv6 not neighbour-discovery").rule()
    #expect(discovery.families == .ipv6)
    #expect(
      discovery.matches == [
        Match(.icmp(.icmpv6, (133...136).map { ICMPType(type: $0) }), isNegated: true)
      ])
  }

  // MARK: States, status

  @Test func statesAndStatus() throws {
    #expect(
      try OneChain("accept established, related").rule().matches == [
        Match(.states([.established, .related]))
      ])
    #expect(
      try OneChain("drop not established").rule().matches == [Match(.states([.established]), isNegated: true)]
    )
    #expect(
      try OneChain("accept status dnat, seen-reply").rule().matches == [Match(.status([.dnat, .seenReply]))])
    #expect(
      try OneChain("accept status not assured").rule().matches == [
        Match(.status([.assured]), isNegated: true)
      ])
  }

  // MARK: Addresses

  @Test(arguments: [
    ("accept from 10.0.0.0/8", Families.ipv4, AddressMatch(addresses: tenNet), false),
    (
      "accept from 10.0.0.0/9, 10.128.0.0/9", .ipv4, AddressMatch(addresses: tenNet), false
    ),
    (
      "accept from 10.0.0.0/8 except 10.0.0.0-10.255.255.254", .ipv4,
      AddressMatch(addresses: AddressSet(ipv4: [IPv4Range(0x0aff_ffff, 0x0aff_ffff)])), false
    ),
    ("accept from local", .both, AddressMatch(addresses: AddressSet(), specials: [.local]), false),
    ("accept from broadcast", .ipv4, AddressMatch(addresses: AddressSet(), specials: [.broadcast]), false),
    (
      "accept from not multicast", .both,
      AddressMatch(
        addresses: AddressSet(
          ipv4: [IPv4Range(0xe000_0000, 0xefff_ffff)], ipv6: [IPv6Range(UInt128(0xff) << 120, .max)])), true
    ),
    (
      "accept from 10.0.0.0/8, local", .both, AddressMatch(addresses: tenNet, specials: [.local]), false
    ),
    ("accept ipv4 from not 10.0.0.0/8", .ipv4, AddressMatch(addresses: tenNet), true),
    ("accept from not 10.0.0.0/8 icmp", .ipv4, AddressMatch(addresses: tenNet), true),
  ]) func addresses(text: String, families: Families, match: AddressMatch, isNegated: Bool) throws {
    let rule = try OneChain(text).rule()
    #expect(rule.families == families)
    #expect(rule.matches.contains(Match(.addresses(.source, match), isNegated: isNegated)))
  }

  @Test func anyAddressSaysNothing() throws {
    #expect(try OneChain("accept tcp 22 from any").rule().matches.count == 1)
  }

  @Test func definitionsOfAddresses() throws {
    let define = [
      "admin: [10.0.0.0/8, \"2001:db8::/32\"]", "lab: [10.1.0.0/16]", "rest: $admin except $lab",
      "wide: { addresses: [any], except: [$admin] }",
    ]
    let checked = OneChain(
      "accept from $admin", "accept from $rest", "accept from $admin, $lab", "accept to not $wide",
      define: define
    ).checked
    let policy = try #require(checked.policy, "\(checked.rendered)")
    // `$admin, $lab` is a list, so it has no name of its own, and `$lab` is used by no rule alone.
    #expect(policy.addressSets.map(\.name) == ["admin", "rest", "wide"])
    let rest = policy.addressSets[1].addresses
    #expect(rest.ipv4 == [IPv4Range(0x0a00_0000, 0x0a00_ffff), IPv4Range(0x0a02_0000, 0x0aff_ffff)])
    #expect(rest.ipv6.count == 1)
    let rules = try #require(policy.firewall).baseChains[0].rules
    guard case .addresses(.source, let named) = rules[0].matches[0].condition,
      case .addresses(.source, let list) = rules[2].matches[0].condition
    else {
      Issue.record("no addresses")
      return
    }
    #expect(named.name == "admin")
    #expect(list.name == nil)
  }

  /// What only statements and the closed stage use is no set of the policy's table.
  @Test func setsOfStatementsAreNotNamed() throws {
    let checked = Checked(
      OneChain("accept tcp 22 from $admin", define: ["admin: [10.0.0.0/8]", "bogus: [192.0.2.0/24]"]).text
        + "boot: { input: [\"accept tcp 22 from $bogus\"] }\nexpect:\n  - input accept tcp 22 from $bogus\n")
    let policy = try #require(checked.policy, "\(checked.rendered)")
    #expect(policy.addressSets.map(\.name) == ["admin"])
    guard case .packets(let region, _, _) = try #require(policy.expectations.first).body,
      case .addresses(_, let match)? = region.matches.last?.condition
    else {
      Issue.record("no addresses")
      return
    }
    #expect(match.name == nil)
  }

  // MARK: Interfaces, owners

  @Test func interfacesAndOwners() throws {
    let define = ["uplink: [eth0, \"ens*\"]", "staff: [1000-1999, 2000]", "none: []"]
    #expect(
      try OneChain("accept in lo, $uplink, lo", define: define + []).rule().matches == [
        Match(
          .interfaces(
            .input,
            [InterfacePattern("ens", isPrefix: true), InterfacePattern("eth0"), InterfacePattern("lo")]))
      ])
    #expect(
      try OneChain("accept out not \"br-*\"", hook: "forward").rule().matches == [
        Match(.interfaces(.output, [InterfacePattern("br-", isPrefix: true)]), isNegated: true)
      ])
    #expect(
      try OneChain("drop user not $staff, 0 group 5", hook: "output", define: define).rule().matches == [
        Match(.user([AddressRange(0, 0), AddressRange(1000, 2000)]), isNegated: true),
        Match(.group([AddressRange(5, 5)])),
      ])
  }

  @Test func definitionsOfServices() throws {
    let rule = try OneChain(
      "accept $web", define: ["base: [tcp 80, udp 443]", "web: [$base, tcp 443, esp]"]
    ).rule()
    #expect(
      rule.matches == [
        Match(
          .services([
            Service(protocolNumber: 6, ports: Self.web),
            Service(protocolNumber: 17, ports: PortSet([AddressRange(443, 443)])),
            Service(protocolNumber: 50, ports: nil),
          ]))
      ])
  }

  // MARK: Stateful clauses, actions, verdicts

  @Test func limitsQuotasAndLogs() throws {
    let rule = try OneChain(
      "accept tcp 22 limit 10/minute quota over 5mbytes count ssh log ssh level info at most 2/second"
    ).rule()
    #expect(rule.limit == Limit(isOver: false, rate: Rate(amount: 10, isBytes: false, seconds: 60), burst: 5))
    #expect(rule.quota == Quota(isOver: true, bytes: 5 << 20))
    #expect(rule.counter == .named("ssh"))
    #expect(
      rule.log
        == Log(prefix: "ssh: ", level: 6, atMost: Rate(amount: 2, isBytes: false, seconds: 1)))
    let bytes = try OneChain("drop limit over 1mbytes/second log \"over \"").rule()
    #expect(
      bytes.limit == Limit(isOver: true, rate: Rate(amount: 1 << 20, isBytes: true, seconds: 1), burst: 0))
    #expect(bytes.log == Log(prefix: "over "))
    let named = try OneChain("scan: drop tcp 23 log nflog 3").rule()
    #expect(named.log == Log(prefix: "input/scan: ", group: 3))
  }

  @Test func verdicts() throws {
    #expect(try OneChain("reject").rule().verdict == .reject(.automatic))
    #expect(try OneChain("reject tcp 113 with tcp-reset").rule().verdict == .reject(.tcpReset))
    #expect(try OneChain("reject with no-route").rule().verdict == .reject(.noRoute))
    #expect(try OneChain("continue count").rule().verdict == .continue)
    #expect(try OneChain("return tcp 22").rule().verdict == .return)
  }

  @Test func annotations() throws {
    let rule = try OneChain(
      "{ name: ssh, rule: 'accept tcp 22', comment: c, owner: o, because: b, until: 2027-03-31, enabled: false, controls: [CIS-1] }"
    ).rule()
    #expect(rule.id == "input/ssh")
    #expect(rule.comment == "c")
    #expect(rule.owner == "o")
    #expect(rule.because == "b")
    #expect(rule.until == "2027-03-31")
    #expect(rule.controls == ["CIS-1"])
    #expect(!rule.isEnabled)
  }

  // MARK: What the compiler writes itself

  @Test(arguments: [("drop", "drop count"), ("reject", "reject count")])
  func closingRules(policy: String, text: String) throws {
    let rules = try OneChain("accept tcp 22", policy: policy).checkedRules()
    let closing = try #require(rules.last)
    #expect(rules.count == 2)
    #expect(closing.id == "input/closing")
    #expect(closing.text == text)
    #expect(closing.comment == "closing: policy \(policy)")
    #expect(closing.counter == .anonymous)
    #expect(closing.origin == .closing)
    #expect(closing.matches.isEmpty)
    #expect(closing.families == .both)
  }

  @Test func anOpenChainHasNoClosingRule() throws {
    #expect(try OneChain("accept tcp 22", policy: "accept").checkedRules().count == 1)
  }

  @Test func containersStandForThreeRules() throws {
    let rules = try OneChain("docker: containers docker", hook: "forward", policy: "drop").checkedRules()
    #expect(
      rules.map(\.id) == [
        "forward/docker-replies", "forward/docker-out", "forward/docker-published", "forward/closing",
      ])
    #expect(
      rules.prefix(3).map(\.text) == [
        "accept established, related", "accept in docker0, br-*", "accept out docker0, br-* status dnat",
      ])
    #expect(rules.prefix(3).allSatisfy { $0.origin == .expanded(from: "forward/docker") })
    #expect(
      rules[1].matches == [
        Match(.interfaces(.input, [InterfacePattern("br-", isPrefix: true), InterfacePattern("docker0")]))
      ])
    #expect(rules[2].matches.contains(Match(.status([.dnat]))))
  }

  // MARK: Empty definitions

  @Test func emptyDefinitions() throws {
    let checked = OneChain(
      "accept tcp 22 from $none", "drop tcp 23 from not $none", "drop from not $none", define: ["none: []"]
    ).checked
    let rules = try #require(checked.policy?.firewall).baseChains[0].rules
    #expect(rules.map(\.isEnabled) == [false, true, true])
    #expect(rules[1].matches.count == 1)
    #expect(rules[2].matches.isEmpty)
    #expect(checked.ids == ["firewall/lost-accept", "firewall/total-drop"])
  }

  // MARK: Priorities

  @Test(arguments: [
    ("prerouting", nil, Int32(-155)), ("input", nil, -5), ("postrouting", nil, -155),
    ("prerouting", "dstnat - 10", -110), ("prerouting", "raw + 7", -293), ("output", "-199", -199),
    ("output", "12", 12), ("input", "mangle + 0x10", -134),
  ]) func priorities(hook: String, written: String?, expected: Int32) throws {
    var chain = OneChain("accept tcp 22", hook: hook)
    chain.priority = written
    let checked = chain.checked
    let policy = try #require(checked.policy, "\(checked.rendered)")
    #expect(policy.firewall?.baseChains.first?.priority == expected)
  }
}
