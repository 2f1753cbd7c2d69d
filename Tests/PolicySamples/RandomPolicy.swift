package import PolicyModel

/// Policies of random rules that a checker would accept, from a small world, so that packets meet them.
package struct RandomPolicy {
  private var random: SeededGenerator

  package static let namedSets: [(String, AddressSet)] = [
    ("admin", Samples.ipv4(10, 20, 0, 0, 16).union(Samples.ipv6(0x2001_0db8_0020_0000, 0, 48))),
    ("hosts", Samples.ipv4(10, 0, 0, 1).union(Samples.ipv4(192, 0, 2, 7))),
    ("six-only", Samples.ipv6(0xfe80_0000_0000_0000, 0, 10).union(Samples.ipv6(0, 1))),
    (
      "top",
      AddressSet(
        ipv4: [IPv4Range(0, 5), IPv4Range(0xf000_0000, .max)],
        ipv6: [IPv6Range(0, 3), IPv6Range(.max - 9, .max)])
    ),
  ]

  /// Of three levels.
  package static let controlGroups = ["a.slice", "a.slice/x.service", "b/c", "b/c/d", "e"].map {
    ControlGroup($0)
  }

  package static let dynamicSets: [DynamicSet] = [
    DynamicSet(name: "banned", filler: .others, size: 1000, timeout: nil, span: Samples.span),
    DynamicSet(name: "feed", filler: .others, size: 16, timeout: 86_400, span: Samples.span),
    DynamicSet(name: "kept", filler: .rules, size: 1, timeout: nil, span: Samples.span),
    prefixes(DynamicSet(name: "seen", filler: .rules, size: 4096, timeout: 30, span: Samples.span)),
  ]

  private static func prefixes(_ set: DynamicSet) -> DynamicSet {
    var set = set
    (set.ipv4Bits, set.ipv6Bits) = (12, 66)
    return set
  }

  /// What a set holds of an address.
  package static func key(of address: [UInt8], in name: String) -> [UInt8] {
    guard let set = dynamicSets.first(where: { $0.name == name }) else { return address }
    let bits = Int(address.count == 4 ? set.ipv4Bits : set.ipv6Bits)
    return address.indices.map { index in
      let kept = max(0, min(8, bits - index * 8))
      return (address[index] >> (8 - kept)) << (8 - kept)
    }
  }

  /// With the sets that rules of these policies name.
  package static func policy(_ chains: [BaseChain], regular: [RegularChain] = []) -> HostPolicy {
    var policy = Samples.policy(chains, regular: regular, sets: namedSets)
    policy.dynamicSets = dynamicSets
    return policy
  }

  package init(seed: UInt64) { random = SeededGenerator(seed: seed) }

  /// `count` rules over the five hooks, every hook closed in its own way and with chains of its own.
  package mutating func policy(ruleCount: Int) -> HostPolicy {
    var rules: [Hook: [Rule]] = [:]
    var regular: [RegularChain] = []
    let hooks: [Hook] = [.prerouting, .input, .forward, .output, .postrouting]
    for hook in hooks { regular += chains(hook: hook) }
    for index in 0..<ruleCount {
      let hook = random.pick(hooks)
      rules[hook, default: []].append(
        rule(hook: hook, name: "r\(index)", targets: Self.chainNames.map { "\($0)-\(hook.rawValue)" }))
    }
    var chains = hooks.map { hook in
      let policy: ChainPolicy = hook == .input ? .drop : hook == .output ? .reject : .accept
      return Samples.chain(hook, policy: policy, rules[hook] ?? [])
    }
    for hook in [Hook.prerouting, .input, .output, .postrouting] {
      let rules = (0..<max(1, ruleCount / 10)).map { natRule(hook: hook, name: "r\($0)") }
      chains.append(
        BaseChain(
          hook: hook, isNAT: true, priority: hook == .prerouting || hook == .output ? -105 : 95,
          policy: .accept, rules: rules, span: Samples.span))
    }
    return Self.policy(chains, regular: regular.sorted { $0.name < $1.name })
  }

  /// A policy of two to twelve rules, with everything the language has now and then: for thousands of them.
  package mutating func smallPolicy() -> HostPolicy {
    var chains: [BaseChain] = []
    var regular: [RegularChain] = []
    for (index, hook) in random.some(of: Hook.allCases, atMost: 2).enumerated() {
      var targets: [String] = []
      if random.chance(45) {
        regular += self.chains(hook: hook).map { chain in
          var chain = chain
          chain.rules = Array(chain.rules.prefix(2))
          return chain
        }
        targets = Self.chainNames.map { "\($0)-\(hook.rawValue)" }
      }
      let rules = (0..<Int.random(in: 1...3, using: &random)).map { number in
        var rule = self.rule(hook: hook, name: "r\(number)", targets: targets)
        if random.chance(4) { rule.isEnabled = false }
        return rule
      }
      let canReject = [.input, .forward, .output].contains(hook)
      var chain = Samples.chain(
        hook, policy: random.pick(canReject ? ChainPolicy.allCases : [.accept, .drop]), rules)
      if hook == .ingress { chain.devices = random.some(of: Self.devices, atMost: 2) }
      chains.append(chain)
      if index == 0, random.chance(20) { chains.append(secondChain(hook: hook)) }
    }
    for hook in [Hook.prerouting, .input, .output, .postrouting] where random.chance(12) {
      let rules = (0..<Int.random(in: 1...2, using: &random)).map { natRule(hook: hook, name: "r\($0)") }
      chains.append(
        BaseChain(
          hook: hook, isNAT: true, priority: hook == .prerouting || hook == .output ? -105 : 95,
          policy: .accept, rules: rules, span: Samples.span))
    }
    var policy = Self.policy(chains, regular: regular.sorted { $0.name < $1.name })
    if random.chance(2) {
      policy.addressSets.append(Self.largeSet)
      policy.addressSets.sort { $0.name < $1.name }
      let large = Match(
        .addresses(.source, AddressMatch(addresses: Self.largeSet.addresses, name: Self.largeSet.name)))
      policy.firewall?.baseChains[0].rules.insert(
        Samples.rule("\(chains[0].place)/large", .accept, large), at: 0)
    }
    return policy
  }

  /// Interfaces that whoever loads such a policy has to make.
  package static let devices = ["en-0.1", "in0", "in1"]

  /// More elements than fit into one message.
  private static let largeSet = NamedAddressSet(
    name: "large",
    addresses: AddressSet(
      ipv4: (0..<2100).map { IPv4Range($0 * 0x400, $0 * 0x400 + ($0 % 3) * 7) },
      ipv6: (0..<40).map { IPv6Range(UInt128($0) << 70, UInt128($0) << 70 + UInt128($0 % 5)) }),
    span: Samples.span)

  /// One with a name of its own, before or behind the usual one of its hook.
  private mutating func secondChain(hook: Hook) -> BaseChain {
    let rules = (0..<Int.random(in: 1...2, using: &random)).map { number in
      rule(hook: hook, place: "second", name: "r\(number)")
    }
    return BaseChain(
      name: "second", hook: hook, priority: random.pick([-390, -20, 17, 310]), policy: .accept,
      devices: hook == .ingress ? [random.pick(Self.devices)] : [], rules: rules, span: Samples.span)
  }

  /// With the hook behind them: names for the kernel, and one that is too long for it.
  private static let chainNames = ["a", "trusted", "a-name-beyond-the-31-bytes-of-others"]

  /// Chains that rules of the hook may lead to; each leads to the ones behind it only.
  package mutating func chains(hook: Hook) -> [RegularChain] {
    let names = Self.chainNames.map { "\($0)-\(hook.rawValue)" }
    return names.indices.map { index in
      let rules = (0..<Int.random(in: 0...4, using: &random)).map { rule in
        self.rule(
          hook: hook, place: names[index], name: "r\(rule)", targets: Array(names[(index + 1)...]))
      }
      var chain = RegularChain(name: names[index], rules: rules, span: Samples.span)
      // As a pair of zones has; without the rule that says it, whose effects would stand among the others.
      if random.chance(25) { chain.policy = random.pick([.accept, .drop]) }
      return chain
    }
  }

  /// A rule that is legal in the hook; its families are the meet of its clauses, never empty.
  ///
  /// - Parameter targets: chains it may lead to.
  package mutating func rule(
    hook: Hook, place: String? = nil, name: String, targets: [String] = []
  ) -> Rule {
    if !targets.isEmpty, random.chance(12) {
      return Samples.rule("\(place ?? hook.rawValue)/\(name)", .dispatch(map(hook: hook, targets: targets)))
    }
    while true {
      var rule = candidate(hook: hook, place: place ?? hook.rawValue, name: name, targets: targets)
      if let families = Self.families(of: rule) {
        rule.families = families
        return rule
      }
    }
  }

  private static func families(of rule: Rule) -> Families? {
    var families = rule.families
    for match in rule.matches {
      switch match.condition {
      case .icmp(let icmp, _): families.formIntersection(icmp.families)
      case .addresses(_, let addresses) where !match.isNegated: families.formIntersection(addresses.families)
      case .services(let services) where !match.isNegated:
        families.formIntersection(services.reduce([]) { $0.union($1.families) })
      default: break
      }
    }
    return families.isEmpty ? nil : families
  }

  private mutating func candidate(hook: Hook, place: String, name: String, targets: [String]) -> Rule {
    var verdict = verdict(hook: hook)
    if !targets.isEmpty, random.chance(30) {
      let target = random.pick(targets)
      verdict = random.chance(50) ? .jump(target) : .goto(target)
    }
    return Samples.rule("\(place)/\(name)", verdict) { rule in
      if random.chance(20) { rule.families = random.pick([.ipv4, .ipv6]) }
      rule.changes = changes(hook: hook)
      let needsTCP = verdict == .reject(.tcpReset) || rule.changes.segmentSize != nil
      rule.matches = matches(hook: hook, needsTCP: needsTCP)
      if hook == .output, verdict == .accept || verdict == .continue, random.chance(25) {
        rule.matches.append(Match(.controlGroups(random.some(of: Self.controlGroups, atMost: 3).merged)))
      }
      let mayBound =
        switch verdict {
        case .drop, .reject: false
        default: true
        }
      if hook != .ingress, random.chance(12) {
        rule.connections = ConnectionLimit(
          isOver: mayBound ? random.chance(50) : true, count: random.pick([1, 4, 4_000_000_000]),
          key: random.chance(60) ? key() : nil)
      }
      if random.chance(25) { rule.limit = limit(isOver: mayBound ? random.chance(20) : true) }
      if random.chance(12) {
        rule.quota = Quota(
          isOver: mayBound ? random.chance(50) : true, bytes: random.pick([1, 512, 1 << 20, 123_456_789]))
      }
      if random.chance(40) { rule.counter = random.pick([.anonymous, .named("seen"), .named("limit")]) }
      if random.chance(40) { rule.log = log() }
      if random.chance(30) {
        rule.comment = random.pick(["why; { not } # this", "two \"words\"", "ünïcode $x \\"])
      }
    }
  }

  /// A rule of a nat chain: one that translates, in one family, or one that lets a packet pass untranslated.
  package mutating func natRule(hook: Hook, name: String) -> Rule {
    while true {
      var rule = candidate(hook: hook, place: "nat.\(hook.rawValue)", name: name, targets: [])
      rule.connections = nil
      rule.limit = nil
      rule.quota = nil
      rule.matches.removeAll { match in
        switch match.condition {
        case .icmp, .controlGroups: true
        default: false
        }
      }
      rule.verdict = random.pick([.accept, .continue, .return])
      if random.chance(80) {
        let translation = translation(hook: hook)
        if translation.namesPorts {
          rule.matches.append(Match(.protocols(random.pick([[6], [17], [6, 17]]))))
        }
        if case .destinationByPort(let targets) = translation {
          let keys = PortSet(targets.map { AddressRange($0.port, $0.port) })
          rule.matches.append(Match(.ports(.destination, protocols: [6, 17], keys)))
        }
        rule.verdict = .translate(translation)
        rule.families.formIntersection(translation.families)
      }
      guard var families = Self.families(of: rule) else { continue }
      if case .translate = rule.verdict, families == .both { families = random.pick([.ipv4, .ipv6]) }
      rule.families = families
      return rule
    }
  }

  private mutating func translation(hook: Hook) -> Translation {
    let isSource = hook == .postrouting || hook == .input
    if hook == .postrouting, random.chance(30) { return .masquerade }
    if !isSource, random.chance(30) { return .redirect(random.pick([nil, 80, 65535])) }
    if !isSource, random.chance(30) {
      let isV6 = random.chance(50)
      return .destinationByPort(
        [22, 80, 443].map { port in
          PortTarget(
            port: port,
            address: isV6
              ? .ipv6(IPv6Range(UInt128(port), UInt128(port))) : .ipv4(IPv4Range(0x0a00_0001, 0x0a00_0001)),
            targetPort: random.pick([port, 8080]))
        })
    }
    let addresses: NATAddresses = random.pick([
      .ipv4(IPv4Range(0x0a00_0001, 0x0a00_0001)), .ipv4(IPv4Range(0x0a00_0001, 0x0a00_0009)),
      .ipv6(IPv6Range(1, 1)), .ipv6(IPv6Range(5, 90)),
    ])
    let ports: AddressRange<UInt16>? = random.pick([nil, AddressRange(80, 80), AddressRange(1000, 2000)])
    var target = NATTarget(addresses: addresses, isPrefix: false, ports: ports)
    if random.chance(25) {
      let v6 = UInt128(0x2001_0db8) << 96
      target = NATTarget(
        addresses: random.pick([
          .ipv4(IPv4Range(0xc000_0200, 0xc000_02ff)), .ipv6(IPv6Range(v6, v6 | (UInt128(1) << 80 - 1))),
        ]), isPrefix: true, ports: nil)
    }
    return isSource ? .source(target) : .destination(target)
  }

  /// A verdict map of one field or two, with keys that no packet meets two of.
  private mutating func map(hook: Hook, targets: [String]) -> VerdictMap {
    var fields: [VerdictMap.Field] = [
      .port(random.pick([6, 17])), .address(.source), .address(.destination), .mark,
    ]
    if [.ingress, .prerouting, .input, .forward].contains(hook) { fields.append(.interface(.input)) }
    if [.forward, .output, .postrouting].contains(hook) { fields.append(.interface(.output)) }
    fields.shuffle(using: &random)
    fields = Array(fields.prefix(random.chance(50) ? 1 : 2))
    // The parts of the first field are apart, so the keys are.
    var first = parts(of: fields[0])
    first.shuffle(using: &random)
    let verdict = { (generator: inout RandomPolicy) -> Verdict in
      let target = generator.random.pick(targets)
      return generator.random.pick([
        .accept, .drop, .continue, .return, .jump(target), .jump(target), .goto(target),
      ])
    }
    let entries = (0..<Int.random(in: 1...3, using: &random)).map { _ in
      let keys = (0..<Int.random(in: 1...2, using: &random)).compactMap { _ -> [VerdictMap.Part]? in
        guard let part = first.popLast() else { return nil }
        return [part] + fields.dropFirst().map { random.pick(parts(of: $0)) }
      }
      return VerdictMap.Entry(keys: keys, verdict: verdict(&self))
    }
    return VerdictMap(fields: fields, entries: entries, otherwise: verdict(&self))
  }

  private func parts(of field: VerdictMap.Field) -> [VerdictMap.Part] {
    switch field {
    case .port:
      [
        .ports(Samples.ports(22)), .ports(Samples.ports(23)), .ports(Samples.ports(80, 443)),
        .ports(Samples.ports(53...79)), .ports(Samples.ports(1000...2000, 60000...65535)),
        .ports(Samples.ports(0)),
      ]
    case .address:
      [
        .addresses(Samples.ipv4(10, 20, 0, 0, 16)), .addresses(Samples.ipv4(192, 0, 2, 7)),
        .addresses(Samples.ipv6(0x2001_0db8_0000_0000, 0, 32)), .addresses(Samples.ipv6(0, 1)),
        .addresses(Samples.ipv4(10, 0, 0, 1).union(Samples.ipv6(0xfe80_0000_0000_0000, 0, 10))),
        .addresses(AddressSet(ipv4: [IPv4Range(0x0102_0304, 0x0102_0309)])),
      ]
    case .mark:
      [
        .marks([AddressRange(1, 1)]), .marks([AddressRange(0x10, 0x10)]), .marks([AddressRange(7, 8)]),
        .marks([AddressRange(0x4000, 0x4001), AddressRange(0x8000_0000, .max)]), .marks([AddressRange(0, 0)]),
        .marks([AddressRange(1000, 2000)]),
      ]
    case .interface:
      [
        .interfaces([InterfacePattern("lo")]), .interfaces([InterfacePattern("eth", isPrefix: true)]),
        .interfaces([InterfacePattern("veth1234567890a"), InterfacePattern("w", isPrefix: true)]),
        .interfaces([InterfacePattern("en-0")]),
      ]
    }
  }

  private mutating func verdict(hook: Hook) -> Verdict {
    var verdicts: [Verdict] = [.accept, .accept, .accept, .drop, .drop, .continue, .return]
    if [.prerouting, .output].contains(hook) { verdicts.append(.notrack) }
    if [.input, .forward, .output].contains(hook) { verdicts += RejectKind.written.map { .reject($0) } }
    return random.pick(verdicts)
  }

  private mutating func changes(hook: Hook) -> Changes {
    var changes = Changes()
    guard random.chance(35) else { return changes }
    // There are no connections at ingress yet.
    let hasConnections = hook != .ingress
    changes.restoresMark = hasConnections && random.chance(30)
    if hasConnections, random.chance(30) { changes.connectionMark = mark() }
    if random.chance(30) { changes.dscp = random.pick([0, 8, 46, 63]) }
    if random.chance(40) { changes.mark = mark() }
    if [.forward, .output, .postrouting].contains(hook), random.chance(35) {
      changes.segmentSize = random.pick([.pathMTU, .bytes(536), .bytes(1400)])
    }
    changes.savesMark = hasConnections && random.chance(30)
    for operation in [SetUpdate.Operation.add, .update, .delete] where random.chance(15) {
      let set = random.pick(Self.dynamicSets.filter { $0.filler == .rules })
      let hasTimeout = operation != .delete && set.timeout != nil && random.chance(50)
      changes.setUpdates.append(
        SetUpdate(
          operation: operation,
          key: AddressKey(
            side: random.pick([.source, .destination]), ipv4Bits: set.ipv4Bits, ipv6Bits: set.ipv6Bits),
          set: set.name,
          timeout: hasTimeout ? random.pick([1, 90, 86_400]) : nil))
    }
    return changes
  }

  private mutating func mark() -> UInt32 { random.pick([0, 1, 0x10, 0x4000, 0xffff_ffff]) }

  private mutating func rate() -> Rate {
    let isBytes = random.chance(30)
    return Rate(
      // 213,504 bytes a day and more are EOVERFLOW (nft_limit_init).
      amount: random.pick([1, 5, 10, 1000, 200_000]), isBytes: isBytes,
      seconds: random.pick([1, 60, 3600, 86400]))
  }

  private mutating func limit(isOver: Bool) -> Limit {
    let rate = rate()
    return Limit(
      isOver: isOver, rate: rate, burst: rate.isBytes ? random.pick([0, 1500]) : random.pick([1, 5, 20]),
      key: random.chance(35) ? key() : nil)
  }

  private mutating func key() -> AddressKey {
    var key = AddressKey(side: random.pick([.source, .destination]))
    if random.chance(50) {
      key.ipv4Bits = random.pick([0, 8, 20, 24, 31])
      key.ipv6Bits = random.pick([0, 48, 57, 64, 128])
    }
    return key
  }

  private mutating func log() -> Log {
    var log = Log(prefix: random.pick(["ssh: ", "a 'b' % \\", "", "x*", "é: "]))
    if random.chance(8) {
      // A record of the audit system has no text.
      log.prefix = ""
      log.level = 8
    } else if random.chance(30) {
      log.group = random.pick([0, 5, 65535])
    } else if random.chance(50) {
      log.level = UInt8.random(in: 0...7, using: &random)
    }
    if random.chance(50) { log.atMost = rate() }
    return log
  }

  // MARK: Matches

  private mutating func matches(hook: Hook, needsTCP: Bool) -> [Match] {
    var matches: [Match] = []
    let negated = { (generator: inout RandomPolicy) in generator.random.chance(40) }
    if needsTCP {
      matches.append(Match(.ports(.destination, protocols: [6], ports()), isNegated: negated(&self)))
    } else if random.chance(75) {
      matches += transport()
    }
    if hook != .ingress, random.chance(30) {
      let list: [ConntrackStates] = [.invalid, .established, .related, .new, .untracked]
      let states = random.some(of: list, atMost: 5).reduce(into: ConntrackStates()) { $0.insert($1) }
      matches.append(Match(.states(states), isNegated: negated(&self)))
    }
    if hook != .ingress, random.chance(20) {
      let list: [ConntrackStatus] = [.expected, .seenReply, .assured, .confirmed, .snat, .dnat, .dying]
      let status = random.some(of: list, atMost: 3).reduce(into: ConntrackStatus()) { $0.insert($1) }
      matches.append(Match(.status(status), isNegated: negated(&self)))
    }
    // At most one with sets: each of them is asked apart, and the parts of a rule are numbered.
    let asksSets: AddressSide = random.pick([.source, .destination])
    for side in [AddressSide.source, .destination] where random.chance(35) {
      var list = side == asksSets && random.chance(40) ? changingAddresses() : addresses()
      if hook == .ingress { list = list.withoutRouting }
      matches.append(Match(.addresses(side, list), isNegated: negated(&self)))
    }
    if [.ingress, .prerouting, .input, .forward].contains(hook), random.chance(30) {
      matches.append(Match(.interfaces(.input, interfaces()), isNegated: negated(&self)))
    }
    if [.forward, .output, .postrouting].contains(hook), random.chance(30) {
      matches.append(Match(.interfaces(.output, interfaces()), isNegated: negated(&self)))
    }
    if [.output, .postrouting].contains(hook) {
      if random.chance(40) { matches.append(Match(.user(ids()), isNegated: negated(&self))) }
      if random.chance(30) { matches.append(Match(.group(ids()), isNegated: negated(&self))) }
    }
    matches += packetMatches(hook: hook)
    matches.shuffle(using: &random)
    return matches
  }

  /// Matches on the packet beyond addresses and ports, of each kind at most one.
  private mutating func packetMatches(hook: Hook) -> [Match] {
    var conditions: [Match.Condition] = []
    // Most rules have none, or too few packets would meet one.
    guard random.chance(25) else { return [] }
    let hasArrived = [.ingress, .prerouting, .input, .forward].contains(hook)
    for kind in hook == .ingress ? [MarkKind.mark] : [.mark, .connmark] where random.chance(15) {
      if random.chance(40) {
        let mask = random.pick([0, 0x10, 0xf0, 0x4001, 0x7fff_ffff] as [UInt32])
        conditions.append(.mark(kind, MarkValues([single(mark() & mask)], mask: mask)))
      } else {
        conditions.append(.mark(kind, MarkValues(ids())))
      }
    }
    if random.chance(10) {
      let mask = random.pick([0x02, 0x17, 0x3f, 0xff] as [UInt8])
      let value = random.pick([0x00, 0x02, 0x12, 0x29] as [UInt8]) & mask
      conditions.append(.tcpFlags(value: TCPFlags(rawValue: value), mask: TCPFlags(rawValue: mask)))
    }
    if hasArrived {
      for side in [AddressSide.source, .destination] where random.chance(8) {
        let pool: [UInt64] = [0x0200_0000_0001, 0x0200_0000_0002, 0xffff_ffff_ffff]
        conditions.append(
          .linkAddresses(side, random.some(of: pool.map { LinkAddress($0) }, atMost: 2).sorted()))
      }
      if hook != .ingress, random.chance(10) { conditions.append(.spoofed) }
      if hook != .ingress, random.chance(10) { conditions.append(.ipsec) }
    }
    if random.chance(10) { conditions.append(.dscp(ranges([0...0, 8...8, 10...14, 46...46, 48...63]))) }
    if random.chance(10) {
      conditions.append(.timeToLive(ranges([0...0, 1...1, 2...63, 64...64, 255...255])))
    }
    if random.chance(10) {
      conditions.append(.length(ranges([20...20, 40...40, 100...1500, 65535...65535])))
    }
    if random.chance(10) {
      conditions.append(.packetTypes(PacketTypes(rawValue: UInt8.random(in: 1...14, using: &random))))
    }
    if random.chance(10) {
      let times: [UInt32] = [0, 6 * 3600, 12 * 3600 + 60, 22 * 3600, 86_340]
      let start = random.pick(times)
      conditions.append(.hours(Hours(start: start, end: random.pick(times.filter { $0 != start }))))
    }
    if random.chance(10) {
      conditions.append(.days(Weekdays(rawValue: UInt8.random(in: 1...126, using: &random))))
    }
    if random.chance(12) { conditions.append(.fragment) }
    return conditions.map { condition in
      switch condition {
      case .hours, .days: Match(condition)
      default: Match(condition, isNegated: random.chance(40))
      }
    }
  }

  private func single(_ value: UInt32) -> AddressRange<UInt32> { AddressRange(value, value) }

  private mutating func ranges<V>(_ pool: [ClosedRange<V>]) -> [AddressRange<V>] {
    IntervalSet(
      random.some(of: pool, atMost: random.chance(50) ? 1 : 3).map {
        AddressRange($0.lowerBound, $0.upperBound)
      }
    ).ranges
  }

  private mutating func transport() -> [Match] {
    let isNegated = random.chance(40)
    switch Int.random(in: 0..<5, using: &random) {
    case 0:
      return [Match(.protocols(random.some(of: [1, 6, 17, 47, 50, 58], atMost: 3)), isNegated: isNegated)]
    case 1:
      let protocols = random.some(of: [6, 17, 33, 132, 136] as [UInt8], atMost: random.chance(60) ? 1 : 3)
      var matches = [Match(.ports(.destination, protocols: protocols, ports()), isNegated: isNegated)]
      if random.chance(40) {
        matches.append(Match(.ports(.source, protocols: protocols, ports()), isNegated: random.chance(30)))
      }
      return matches
    case 2: return [Match(.services(services()), isNegated: isNegated)]
    case 3:
      let types = random.some(
        of: [
          ICMPType(type: 0), ICMPType(type: 3), ICMPType(type: 3, code: 4), ICMPType(type: 8),
          ICMPType(type: 11, code: 0), ICMPType(type: 12, code: 1), ICMPType(type: 200, code: 7),
        ], atMost: 4)
      return [Match(.icmp(.icmp, types), isNegated: isNegated)]
    default:
      let types = random.some(
        of: (133...136).map { ICMPType(type: $0) } + [
          ICMPType(type: 128), ICMPType(type: 1, code: 4), ICMPType(type: 1, code: 3),
          ICMPType(type: 3, code: 0),
        ], atMost: 6)
      return [Match(.icmp(.icmpv6, types), isNegated: isNegated)]
    }
  }

  private mutating func ports() -> PortSet {
    let known: [ClosedRange<UInt16>] = [
      22...22, 53...53, 80...80, 443...443, 1000...2000, 0...0, 60000...65535, 0...65535,
    ]
    return PortSet(
      random.some(of: known, atMost: random.chance(50) ? 1 : 3).map {
        AddressRange($0.lowerBound, $0.upperBound)
      })
  }

  private mutating func services() -> [Service] {
    random.some(of: [1, 6, 17, 50, 58, 132] as [UInt8], atMost: 4).map { number in
      switch number {
      case 1: Service(protocolNumber: 1, ports: nil, families: .ipv4)
      case 58: Service(protocolNumber: 58, ports: nil, families: .ipv6)
      case 50: Service(protocolNumber: 50, ports: nil)
      default: Service(protocolNumber: number, ports: random.chance(85) ? ports() : nil)
      }
    }
  }

  private mutating func addresses() -> AddressMatch {
    if random.chance(30) {
      let (name, set) = random.pick(Self.namedSets)
      return AddressMatch(addresses: set, name: name)
    }
    if random.chance(5) { return AddressMatch(addresses: .all) }
    let pool = [
      Samples.ipv4(10, 0, 0, 0, 8), Samples.ipv4(10, 20, 0, 0, 15), Samples.ipv4(192, 0, 2, 7),
      AddressSet(ipv4: [IPv4Range(0x0102_0304, 0x0102_0309)]), Samples.ipv6(0x2001_0db8_0000_0000, 0, 32),
      Samples.ipv6(0xfe80_0000_0000_0000, 0, 10), Samples.ipv6(0, 1),
      Samples.ipv6(0x2001_0db8_0000_0000, 7, 127),
      AddressSet(ipv6: [IPv6Range(5, 90)]),
      Samples.ipv4(224, 0, 0, 0, 4).union(Samples.ipv6(0xff00_0000_0000_0000, 0, 8)),
    ]
    var match = AddressMatch(addresses: AddressSet())
    if random.chance(80) {
      for set in random.some(of: pool, atMost: 4) { match.addresses = match.addresses.union(set) }
    }
    if match.addresses.isEmpty || random.chance(20) {
      // Sorted by name.
      match.specials = random.some(of: [.broadcast, .local], atMost: 2)
    }
    return match
  }

  /// With dynamic and external sets, or an exception that is asked packet by packet.
  private mutating func changingAddresses() -> AddressMatch {
    var match = addresses()
    let names = Self.dynamicSets.map(\.name)
    if random.chance(60) {
      if random.chance(50) { match = AddressMatch(addresses: AddressSet()) }
      match.sets = random.some(of: names, atMost: 2).sorted()
      match.name = nil
    }
    var exception = AddressMatch.Exception()
    if random.chance(30) { exception.sets = [random.pick(names)].filter { !match.sets.contains($0) } }
    if random.chance(20) { exception.specials = [.local].filter { !match.specials.contains($0) } }
    if random.chance(30), !match.sets.isEmpty {
      let (name, set) = random.pick(Self.namedSets)
      exception.addresses = set
      exception.name = random.chance(60) ? name : nil
      match.addresses = match.addresses.subtracting(set)
      match.name = nil
    }
    if exception != AddressMatch.Exception() { match.exception = exception }
    guard random.chance(25) else { return match }
    // No list less another: parts with exceptions, or an exception with one.
    let other = AddressMatch(addresses: random.pick(Self.namedSets).1, sets: [random.pick(names)])
    let nested = AddressTree.difference(
      .list(AddressMatch(addresses: Samples.ipv4(10, 0, 0, 0, 8), specials: [.local])), .list(other))
    let tree =
      random.chance(50) ? AddressTree.difference(match.asTree, nested) : .union([match.asTree, nested])
    let decisions = max(tree.decisions(in: .ipv4).count, tree.decisions(in: .ipv6).count)
    return decisions > 1 && decisions <= 8 && !tree.families.isEmpty ? AddressMatch(tree) : match
  }

  private mutating func interfaces() -> [InterfacePattern] {
    let pool = [
      InterfacePattern("lo"), InterfacePattern("eth0"), InterfacePattern("eth", isPrefix: true),
      InterfacePattern("veth1234567890a"), InterfacePattern("w", isPrefix: true), InterfacePattern("en-0"),
      InterfacePattern("br-0.5:x"), InterfacePattern("abcdefghijklmno", isPrefix: true),
    ]
    return random.some(of: pool, atMost: random.chance(50) ? 1 : 4).sorted()
  }

  private mutating func ids() -> [AddressRange<UInt32>] {
    let pool: [ClosedRange<UInt32>] = [
      0...0, 8...8, 1000...1999, 65534...65534, 0x8000_0000...0xffff_ffff, 0...0xffff_ffff,
    ]
    return IntervalSet(
      random.some(of: pool, atMost: 3).map { AddressRange($0.lowerBound, $0.upperBound) }
    ).ranges
  }
}

extension AddressMatch {
  /// Without what only the routing table knows; everything, if nothing else is left.
  fileprivate var withoutRouting: AddressMatch {
    guard !allSpecials.isEmpty else { return self }
    if tree != nil { return AddressMatch(addresses: .all) }
    var match = self
    match.specials = []
    match.exception?.specials = []
    if match.exception == Exception() { match.exception = nil }
    if match.addresses.isEmpty, match.sets.isEmpty { match = AddressMatch(addresses: .all) }
    return match
  }
}
