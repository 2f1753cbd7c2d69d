import Ruleset

// Registers hold host-order fields little-endian; the samples are for such machines.

/// `meta l4proto` is this protocol.
private func transport(_ number: UInt8) -> [Expression] {
  [.meta(.transportProtocol, register: 1), .compare(register: 1, .equal, [number])]
}

/// `meta nfproto` is this family: 2 IPv4, 10 IPv6.
private func family(_ number: UInt8) -> [Expression] {
  [.meta(.family, register: 1), .compare(register: 1, .equal, [number])]
}

private let accept: [Expression] = [.verdict(.accept)]
private let drop: [Expression] = [.verdict(.drop)]
private let destinationPort: Expression = .payload(.transport, offset: 2, length: 2, register: 1)
private let sourceAddress4: Expression = .payload(.network, offset: 12, length: 4, register: 1)
private let sourceAddress6: Expression = .payload(.network, offset: 8, length: 16, register: 1)

private func anonymous(_ type: KernelSet.KeyType, _ keys: [[UInt8]]) -> KernelSet {
  KernelSet(name: nil, keyType: type, isInterval: false, elements: keys.map { KernelSet.Element($0, $0) })
}

private func ranges(_ type: KernelSet.KeyType, name: String? = nil, _ ranges: [([UInt8], [UInt8])])
  -> KernelSet
{
  KernelSet(
    name: name, keyType: type, isInterval: true, elements: ranges.map { KernelSet.Element($0.0, $0.1) })
}

private func name16(_ name: String) -> [UInt8] {
  Array(name.utf8) + [UInt8](repeating: 0, count: 16 - name.utf8.count)
}

private func address4(_ number: UInt32) -> [UInt8] {
  [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) }
}

extension RulesetSample {
  package static let corpus: [RulesetSample] = [
    verdicts, ports, addresses, interfaces, conntrack, users, routing, limits, logs, rejects, icmp, sets,
    concatenations, outputHook, largeSets,
  ]

  private static var verdicts: RulesetSample {
    var sample = RulesetSample(
      "verdicts",
      rules: [
        SampleRule("jump extra", [.verdict(.jump("extra"))]),
        SampleRule("counter goto extra", comment: "with a comment", [.counter, .verdict(.goto("extra"))]),
        SampleRule("continue", [.verdict(.continue)]),
        SampleRule("counter name \"policy_digest\"", [.objectReference(type: 1, name: "policy_digest")]),
        SampleRule("accept", comment: "ümlaut ✓", accept),
        SampleRule("counter drop", comment: "closing: policy drop", [.counter] + drop),
      ])
    sample.extraRules = [SampleRule("return", [.verdict(.return)])]
    return sample
  }

  private static var ports: RulesetSample {
    RulesetSample(
      "ports",
      rules: [
        SampleRule(
          "tcp dport 22 accept",
          transport(6) + [destinationPort, .compare(register: 1, .equal, [0, 22])] + accept),
        SampleRule(
          "udp dport != 53 drop",
          transport(17) + [destinationPort, .compare(register: 1, .notEqual, [0, 53])] + drop),
        SampleRule(
          "tcp dport 1000-2000 accept",
          transport(6) + [
            destinationPort, .compare(register: 1, .greaterOrEqual, [3, 232]),
            .compare(register: 1, .lessOrEqual, [7, 208]),
          ] + accept),
        SampleRule(
          "tcp dport != 1000-2000 accept",
          transport(6) + [
            destinationPort, .range(register: 1, isNegated: true, lower: [3, 232], upper: [7, 208]),
          ] + accept),
        SampleRule(
          "tcp sport { 22, 80, 443 } accept",
          sets: [anonymous(.inetService, [[0, 22], [0, 80], [1, 187]])],
          transport(6) + [
            .payload(.transport, offset: 0, length: 2, register: 1),
            .lookup(register: 1, .anonymous(0), isNegated: false),
          ] + accept),
        SampleRule(
          "udp dport != { 100-200, 300, 65000-65535 } accept",
          sets: [
            ranges(.inetService, [([0, 100], [0, 200]), ([1, 44], [1, 44]), ([253, 232], [255, 255])])
          ],
          transport(17) + [destinationPort, .lookup(register: 1, .anonymous(0), isNegated: true)] + accept),
        SampleRule(
          "meta l4proto { tcp, udp } th dport 53 accept", sets: [anonymous(.inetProtocol, [[6], [17]])],
          [
            .meta(.transportProtocol, register: 1), .lookup(register: 1, .anonymous(0), isNegated: false),
            destinationPort, .compare(register: 1, .equal, [0, 53]),
          ] + accept),
      ])
  }

  private static var addresses: RulesetSample {
    let linkLocal = [0xfe, 0x80] + [UInt8](repeating: 0, count: 14)
    return RulesetSample(
      "addresses",
      rules: [
        SampleRule(
          "ip saddr 1.2.3.4 return",
          family(2) + [sourceAddress4, .compare(register: 1, .equal, [1, 2, 3, 4]), .verdict(.return)]),
        // A prefix of whole bytes is a shorter load.
        SampleRule(
          "ip daddr 10.0.0.0/8 accept",
          family(2) + [
            .payload(.network, offset: 16, length: 1, register: 1), .compare(register: 1, .equal, [10]),
          ] + accept),
        SampleRule(
          "ip saddr != 172.16.0.0/12 drop",
          family(2) + [
            sourceAddress4,
            .bitwise(register: 1, destination: 1, mask: [255, 240, 0, 0], xor: [0, 0, 0, 0]),
            .compare(register: 1, .notEqual, [172, 16, 0, 0]),
          ] + drop),
        SampleRule(
          "ip6 saddr fe80::/10 accept",
          family(10) + [
            sourceAddress6,
            .bitwise(
              register: 1, destination: 1, mask: [0xff, 0xc0] + [UInt8](repeating: 0, count: 14),
              xor: [UInt8](repeating: 0, count: 16)),
            .compare(register: 1, .equal, linkLocal),
          ] + accept),
        SampleRule(
          "ip saddr 10.0.0.5-10.0.1.7 accept",
          family(2) + [
            sourceAddress4, .compare(register: 1, .greaterOrEqual, [10, 0, 0, 5]),
            .compare(register: 1, .lessOrEqual, [10, 0, 1, 7]),
          ] + accept),
      ])
  }

  private static var interfaces: RulesetSample {
    RulesetSample(
      "interfaces",
      rules: [
        SampleRule(
          "iif lo accept",
          [.meta(.inputInterface, register: 1), .compare(register: 1, .equal, [1, 0, 0, 0])] + accept),
        SampleRule(
          "iifname \"eth0\" accept",
          [.meta(.inputInterfaceName, register: 1), .compare(register: 1, .equal, name16("eth0"))] + accept),
        SampleRule(
          "iifname != \"docker*\" drop",
          [.meta(.inputInterfaceName, register: 1), .compare(register: 1, .notEqual, Array("docker".utf8))]
            + drop),
        SampleRule(
          "iifname { \"eth1\", \"wg0\" } accept",
          sets: [anonymous(.interfaceName, [name16("eth1"), name16("wg0")])],
          [.meta(.inputInterfaceName, register: 1), .lookup(register: 1, .anonymous(0), isNegated: false)]
            + accept),
        SampleRule(
          "iifname { \"eth*\", \"lo\" } accept",
          sets: [
            ranges(
              .interfaceName,
              [
                (name16("eth"), Array("eth".utf8) + [UInt8](repeating: 0xff, count: 13)),
                (name16("lo"), name16("lo")),
              ])
          ],
          [.meta(.inputInterfaceName, register: 1), .lookup(register: 1, .anonymous(0), isNegated: false)]
            + accept),
        SampleRule(
          "meta pkttype broadcast drop",
          [.meta(.packetType, register: 1), .compare(register: 1, .equal, [1])] + drop),
      ])
  }

  private static var conntrack: RulesetSample {
    func state(_ bits: UInt8) -> [Expression] {
      [
        .conntrack(.state, register: 1),
        .bitwise(register: 1, destination: 1, mask: [bits, 0, 0, 0], xor: [0, 0, 0, 0]),
        .compare(register: 1, .notEqual, [0, 0, 0, 0]),
      ]
    }
    return RulesetSample(
      "conntrack",
      rules: [
        SampleRule("ct state established,related accept", state(6) + accept),
        SampleRule("ct state invalid drop", state(1) + drop),
        SampleRule(
          "ct state { new, established } accept",
          sets: [anonymous(.conntrackState, [[2, 0, 0, 0], [8, 0, 0, 0]])],
          [.conntrack(.state, register: 1), .lookup(register: 1, .anonymous(0), isNegated: false)] + accept),
        SampleRule(
          "ct status dnat accept",
          [
            .conntrack(.status, register: 1),
            .bitwise(register: 1, destination: 1, mask: [32, 0, 0, 0], xor: [0, 0, 0, 0]),
            .compare(register: 1, .notEqual, [0, 0, 0, 0]),
          ] + accept),
        SampleRule(
          "ct direction original accept",
          [.conntrack(.direction, register: 1), .compare(register: 1, .equal, [0])] + accept),
        SampleRule(
          "ct mark 0x10 accept",
          [.conntrack(.mark, register: 1), .compare(register: 1, .equal, [16, 0, 0, 0])] + accept),
        SampleRule(
          "meta mark 0x00000010 accept",
          [.meta(.mark, register: 1), .compare(register: 1, .equal, [16, 0, 0, 0])] + accept),
      ])
  }

  private static var users: RulesetSample {
    var sample = RulesetSample(
      "users",
      rules: [
        SampleRule(
          "meta skuid 1000 accept",
          [.meta(.socketUser, register: 1), .compare(register: 1, .equal, [0xe8, 3, 0, 0])] + accept),
        SampleRule(
          "meta skgid { 8, 9 } accept", sets: [anonymous(.gid, [[8, 0, 0, 0], [9, 0, 0, 0]])],
          [.meta(.socketGroup, register: 1), .lookup(register: 1, .anonymous(0), isNegated: false)] + accept),
        // A range of host-order numbers is compared in network order.
        SampleRule(
          "meta skuid 10-20 accept",
          [
            .meta(.socketUser, register: 1),
            .byteOrder(register: 1, destination: 1, toNetwork: true, length: 4, size: 4),
            .compare(register: 1, .greaterOrEqual, [0, 0, 0, 10]),
            .compare(register: 1, .lessOrEqual, [0, 0, 0, 20]),
          ] + accept),
        SampleRule(
          "meta skuid != { 8, 10-20 } drop",
          sets: [ranges(.uid, [([0, 0, 0, 8], [0, 0, 0, 8]), ([0, 0, 0, 10], [0, 0, 0, 20])])],
          [
            .meta(.socketUser, register: 1),
            .byteOrder(register: 1, destination: 1, toNetwork: true, length: 4, size: 4),
            .lookup(register: 1, .anonymous(0), isNegated: true),
          ] + drop),
      ])
    sample.hook = .output
    return sample
  }

  private static var routing: RulesetSample {
    var sample = RulesetSample(
      "routing",
      rules: [
        // NFTA_FIB_F_SADDR 1, F_DADDR 2, F_MARK 4, F_IIF 8, F_PRESENT 32.
        SampleRule(
          "fib daddr type local accept",
          [.fib(result: .addressType, flags: 2, register: 1), .compare(register: 1, .equal, [2, 0, 0, 0])]
            + accept),
        SampleRule(
          "fib daddr type { broadcast, multicast } drop",
          sets: [anonymous(.fibAddressType, [[3, 0, 0, 0], [5, 0, 0, 0]])],
          [
            .fib(result: .addressType, flags: 2, register: 1),
            .lookup(register: 1, .anonymous(0), isNegated: false),
          ] + drop),
        SampleRule(
          "fib saddr . iif oif missing drop",
          [
            .fib(result: .outputInterface, flags: 0x29, register: 1),
            .compare(register: 1, .equal, [0, 0, 0, 0]),
          ] + drop),
      ])
    sample.hook = .prerouting
    return sample
  }

  private static var limits: RulesetSample {
    RulesetSample(
      "limits",
      rules: [
        SampleRule(
          "limit rate 10/second burst 20 packets accept",
          [.limit(rate: 10, seconds: 1, burst: 20, isBytes: false, isOver: false)] + accept),
        SampleRule(
          "limit rate over 3/minute drop",
          [.limit(rate: 3, seconds: 60, burst: 5, isBytes: false, isOver: true)] + drop),
        SampleRule(
          "limit rate 1 mbytes/second burst 2 mbytes accept",
          [.limit(rate: 1 << 20, seconds: 1, burst: 2 << 20, isBytes: true, isOver: false)] + accept),
        SampleRule(
          "limit rate 7/hour burst 1 packets limit rate 9/day burst 2 packets accept",
          [
            .limit(rate: 7, seconds: 3600, burst: 1, isBytes: false, isOver: false),
            .limit(rate: 9, seconds: 86400, burst: 2, isBytes: false, isOver: false),
          ] + accept),
        SampleRule("quota over 10 mbytes drop", [.quota(bytes: 10 << 20, isOver: true)] + drop),
        SampleRule("quota 1 kbytes accept", [.quota(bytes: 1024, isOver: false)] + accept),
      ])
  }

  private static var logs: RulesetSample {
    RulesetSample(
      "logs",
      rules: [
        SampleRule("log", [.log(prefix: "", level: nil, group: nil)]),
        SampleRule("log prefix \"lockdown: \"", [.log(prefix: "lockdown: ", level: nil, group: nil)]),
        SampleRule("log prefix \"a b\" level emerg", [.log(prefix: "a b", level: 0, group: nil)]),
        SampleRule("log level info", [.log(prefix: "", level: 6, group: nil)]),
        SampleRule("log group 0", [.log(prefix: "", level: nil, group: 0)]),
        SampleRule("log prefix \"x\" group 5", [.log(prefix: "x", level: nil, group: 5)]),
      ])
  }

  private static var rejects: RulesetSample {
    RulesetSample(
      "rejects",
      rules: [
        SampleRule("meta l4proto tcp reject with tcp reset", transport(6) + [.reject(type: 1, code: nil)]),
        SampleRule("reject with icmpx port-unreachable", [.reject(type: 2, code: 1)]),
        SampleRule("counter reject with icmpx admin-prohibited", [.counter, .reject(type: 2, code: 3)]),
        SampleRule(
          "meta nfproto ipv4 reject with icmp host-unreachable", family(2) + [.reject(type: 0, code: 1)]),
        SampleRule("meta nfproto ipv6 reject with icmpv6 no-route", family(10) + [.reject(type: 0, code: 0)]),
      ])
  }

  private static var icmp: RulesetSample {
    let type: Expression = .payload(.transport, offset: 0, length: 1, register: 1)
    return RulesetSample(
      "icmp",
      rules: [
        SampleRule(
          "icmp type { destination-unreachable, echo-request } accept",
          sets: [anonymous(.icmpType, [[3], [8]])],
          family(2) + transport(1) + [type, .lookup(register: 1, .anonymous(0), isNegated: false)] + accept),
        // nft loads neighbouring fields together.
        SampleRule(
          "icmp type destination-unreachable icmp code 4 accept",
          family(2) + transport(1) + [
            .payload(.transport, offset: 0, length: 2, register: 1), .compare(register: 1, .equal, [3, 4]),
          ] + accept),
        SampleRule(
          "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
          sets: [anonymous(.icmpv6Type, [[135], [136]])],
          family(10) + transport(58) + [type, .lookup(register: 1, .anonymous(0), isNegated: false)] + accept),
      ])
  }

  private static var sets: RulesetSample {
    var sample = RulesetSample(
      "sets",
      rules: [
        SampleRule(
          "ip saddr @admin_4 accept",
          family(2) + [sourceAddress4, .lookup(register: 1, .named("admin_4"), isNegated: false)] + accept),
        SampleRule(
          "ip6 saddr != @admin_6 drop",
          family(10) + [sourceAddress6, .lookup(register: 1, .named("admin_6"), isNegated: true)] + drop),
        SampleRule(
          "ip saddr @hosts_4 accept",
          family(2) + [sourceAddress4, .lookup(register: 1, .named("hosts_4"), isNegated: false)] + accept),
        SampleRule(
          "ip saddr @all_4 accept",
          family(2) + [sourceAddress4, .lookup(register: 1, .named("all_4"), isNegated: false)] + accept),
        SampleRule(
          "ip saddr @edges_4 accept",
          family(2) + [sourceAddress4, .lookup(register: 1, .named("edges_4"), isNegated: false)] + accept),
      ])
    let documentation: [UInt8] = [0x20, 0x01, 0x0d, 0xb8]
    sample.sets = [
      SampleSet(
        "type ipv4_addr; flags constant, interval; elements = { 10.0.0.0/8, 192.168.1.1, 192.168.2.0-192.168.2.9 }",
        ranges(
          .ipv4Address, name: "admin_4",
          [
            ([10, 0, 0, 0], [10, 255, 255, 255]), ([192, 168, 1, 1], [192, 168, 1, 1]),
            ([192, 168, 2, 0], [192, 168, 2, 9]),
          ])),
      SampleSet(
        "type ipv6_addr; flags constant, interval; elements = { 2001:db8::/32 }",
        ranges(
          .ipv6Address, name: "admin_6",
          [
            (
              documentation + [UInt8](repeating: 0, count: 12),
              documentation + [UInt8](repeating: 255, count: 12)
            )
          ])),
      SampleSet(
        "type ipv4_addr; flags constant, interval; elements = { 0.0.0.0/0 }",
        ranges(.ipv4Address, name: "all_4", [([0, 0, 0, 0], [255, 255, 255, 255])])),
      SampleSet(
        "type ipv4_addr; flags constant, interval; elements = { 0.0.0.0/8, 255.255.255.255 }",
        ranges(
          .ipv4Address, name: "edges_4",
          [([0, 0, 0, 0], [0, 255, 255, 255]), ([255, 255, 255, 255], [255, 255, 255, 255])])),
      SampleSet(
        "type ipv4_addr; flags constant; comment \"two hosts\"; elements = { 10.0.0.1, 10.0.0.2 }",
        KernelSet(
          name: "hosts_4", keyType: .ipv4Address, isInterval: false,
          elements: [[10, 0, 0, 1], [10, 0, 0, 2]].map { KernelSet.Element($0, $0) }, comment: "two hosts")),
    ]
    return sample
  }

  private static var concatenations: RulesetSample {
    let key = KernelSet.KeyType.concatenation([.inetProtocol, .inetService])
    func load(_ isInterval: Bool) -> [Expression] {
      [
        .meta(.transportProtocol, register: 1),
        .payload(.transport, offset: 2, length: 2, register: 9),
        .lookup(register: 1, .anonymous(0), isNegated: false),
      ]
    }
    return RulesetSample(
      "concatenations",
      rules: [
        SampleRule(
          "meta l4proto . th dport { tcp . 22, udp . 53 } accept",
          sets: [anonymous(key, [[6, 0, 0, 0, 0, 22, 0, 0], [17, 0, 0, 0, 0, 53, 0, 0]])],
          load(false) + accept)
      ])
  }

  private static var outputHook: RulesetSample {
    var sample = RulesetSample(
      "output",
      rules: [
        SampleRule(
          "oifname \"eth0\" accept",
          [.meta(.outputInterfaceName, register: 1), .compare(register: 1, .equal, name16("eth0"))] + accept),
        SampleRule(
          "oif lo accept",
          [.meta(.outputInterface, register: 1), .compare(register: 1, .equal, [1, 0, 0, 0])] + accept),
      ])
    sample.hook = .output
    return sample
  }

  /// More elements than one message takes.
  private static var largeSets: RulesetSample {
    // Every 16th address, so that no two touch.
    let hosts = (0..<4_500).map { address4(0x0a00_0000 + UInt32($0) * 16) }
    let nets = (0..<4_500).map { (index) -> ([UInt8], [UInt8]) in
      let base = 0xac10_0000 + UInt32(index) * 64
      return (address4(base), address4(base + 15))
    }
    func dotted(_ key: [UInt8]) -> String { key.map { String($0) }.joined(separator: ".") }
    var sample = RulesetSample(
      "large-sets",
      rules: [
        SampleRule(
          "ip saddr @hosts_4 accept",
          family(2) + [sourceAddress4, .lookup(register: 1, .named("hosts_4"), isNegated: false)] + accept),
        SampleRule(
          "ip saddr @nets_4 drop",
          family(2) + [sourceAddress4, .lookup(register: 1, .named("nets_4"), isNegated: false)] + drop),
      ])
    sample.sets = [
      SampleSet(
        "type ipv4_addr; flags constant; elements = { \(hosts.map(dotted).joined(separator: ", ")) }",
        KernelSet(
          name: "hosts_4", keyType: .ipv4Address, isInterval: false,
          elements: hosts.map { KernelSet.Element($0, $0) })),
      SampleSet(
        "type ipv4_addr; flags constant, interval; elements = { "
          + nets.map { "\(dotted($0.0))-\(dotted($0.1))" }.joined(separator: ", ") + " }",
        ranges(.ipv4Address, name: "nets_4", nets)),
    ]
    return sample
  }
}
