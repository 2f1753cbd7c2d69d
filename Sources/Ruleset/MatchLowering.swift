internal import PolicyModel

/// Lowers one match, for packets of one family or of either.
///
/// A kernel comparison whose field is absent ends the rule without a verdict, whatever it asks. So a
/// negation is the inverted comparison only where the field cannot be absent under the guards the rule has
/// by then; elsewhere it is `unless` (LANGUAGE.md §4.2). Of the fields, after net/netfilter/nft_*.c:
///
/// | field | present |
/// |---|---|
/// | `meta nfproto`, `iifname`, `oifname` | always, in the hooks where the checker allows them |
/// | `ip saddr`, `ip6 daddr` … | always under the family guard: no hook sees a packet without its network header |
/// | `meta l4proto` | always in IPv4; in IPv6 not where the chain of extension headers is broken (`nft_set_pktinfo_ipv6` finds no protocol) |
/// | ports, ICMP type | not in later fragments, nor where the packet ends before them (`nft_payload_eval`) |
/// | `ct state` | always: a packet without entry reads as invalid or untracked (`nft_ct_get_eval`) |
/// | `ct status` | not without an entry: invalid and untracked packets |
/// | `meta skuid`, `skgid` | not without a full socket that a process owns: forwarded packets, resets, ICMP errors, TIME_WAIT |
/// | `socket cgroupv2` | not without a full socket, nor where its group is less deep (`nft_sock_get_eval_cgroupv2`) |
/// | `fib … type`, `fib … oif` | always: `nft_fib4_eval` and its twins store a result for every packet |
/// | `ct mark` | like `ct status` |
/// | TCP flags | like ports, and not where the header ends before them |
/// | link-layer addresses | only where an Ethernet device delivered the packet: not on `lo`, tunnels, or own packets |
/// | `ip dscp`, `ip ttl`, `ip frag-off` and IPv6's | always under the family guard |
/// | IPv6 `frag frag-off` | only where there is a fragment header |
/// | `meta mark`, `length`, `pkttype`, `hour`, `day`, `ipsec` | always |
struct MatchLowering {
  /// The families that the whole rule is about.
  let ruleFamilies: Families
  /// Whether another match of the rule leaves out what comes in on `lo`.
  let isNeverLoopback: Bool
  /// What dynamic sets hold of each address, where that is not all.
  let prefixes: [String: AddressKey]

  init(of rule: Rule, prefixes: [String: AddressKey]) {
    ruleFamilies = rule.families
    self.prefixes = prefixes
    isNeverLoopback = rule.matches.contains { match in
      guard case .interfaces(.input, let patterns) = match.condition else { return false }
      let holdsLoopback = patterns.contains { $0.isPrefix ? "lo".hasPrefix($0.name) : $0.name == "lo" }
      return holdsLoopback == match.isNegated
    }
  }

  /// Whether the match must be written for each family apart.
  static func isFamilySpecific(_ match: Match) -> Bool {
    switch match.condition {
    case .icmp, .dscp, .timeToLive, .fragment: true
    case .services(let services): services.contains { $0.families != .both }
    case .addresses(_, let match):
      !match.sets.isEmpty || match.exception != nil || match.tree != nil
        || !(match.specials.allSatisfy { $0 == .local } && match.addresses.isEmpty || match.addresses == .all)
    case .protocols, .ports, .states, .status, .interfaces, .user, .group, .controlGroups, .mark, .tcpFlags,
      .linkAddresses, .length, .packetTypes, .hours, .days, .spoofed, .ipsec:
      false
    }
  }

  /// Adds to a conjunction what most matches are, one comparison that is asked beside all others; false if no packet
  /// can meet both. Nil: it is another one, for ``lower(_:family:)``.
  func add(_ match: Match, family: Families, to conjunction: inout Conjunction) -> Bool? {
    guard !match.isNegated else { return nil }
    switch match.condition {
    case .ports(let side, let protocols, let ports):
      guard !protocols.isEmpty, !ports.isEmpty else { return nil }
      if let own = conjunction.protocols {
        if own != protocols { conjunction.protocols = own.filter(protocols.contains) }
      } else if conjunction.excludedProtocols.isEmpty {
        conjunction.protocols = protocols
      } else {
        return nil
      }
      guard conjunction.protocols?.isEmpty == false else { return false }
      conjunction.ask(Self.ports(ports, side))
    case .addresses(let side, let addresses):
      guard addresses.isStatic, addresses.name == nil else { return nil }
      if family == .ipv6 {
        return add(addresses.addresses.ipv6, .ipv6Address, .address(side, isV6: true), to: &conjunction)
      }
      return add(addresses.addresses.ipv4, .ipv4Address, .address(side, isV6: false), to: &conjunction)
    default: return nil
    }
    return true
  }

  private func add<Value>(
    _ ranges: [AddressRange<Value>], _ keyType: KernelSet.KeyType, _ field: RuleStatement.Field,
    to conjunction: inout Conjunction
  ) -> Bool? {
    guard let first = ranges.first, ranges.count > 1 || first.lower != 0 || first.upper != .max else {
      return nil
    }
    conjunction.ask(Condition(field, .equal, .ranges(of: ranges, keyType: keyType)))
    return true
  }

  /// - Parameter family: one family; both only if the match is not family-specific.
  func lower(_ match: Match, family: Families) -> LoweredMatch {
    switch match.condition {
    case .protocols(let protocols): lower(protocols: protocols, isNegated: match.isNegated)
    case .ports(let side, let protocols, let ports):
      lower(ports: ports, side, protocols: protocols, isNegated: match.isNegated)
    case .icmp(let icmp, let types):
      icmp.families == family ? lower(icmp: icmp, types, isNegated: match.isNegated) : .never
    case .services(let services):
      lower(services: services.filter { !$0.families.isDisjoint(with: family) }, isNegated: match.isNegated)
    case .states(let states): lower(states: states, isNegated: match.isNegated)
    case .status(let status): lower(status: status, isNegated: match.isNegated)
    case .addresses(let side, let addresses):
      lower(addresses: addresses, side, family: family, isNegated: match.isNegated)
    case .interfaces(let side, let patterns):
      lower(interfaces: patterns, side, isNegated: match.isNegated)
    case .user(let ranges): lower(ids: ranges, .socketUser, keyType: .uid, isNegated: match.isNegated)
    case .group(let ranges): lower(ids: ranges, .socketGroup, keyType: .gid, isNegated: match.isNegated)
    case .controlGroups(let groups): Self.lower(controlGroups: groups)
    case .mark(let kind, let values): lower(mark: values, kind, isNegated: match.isNegated)
    case .tcpFlags(let value, let mask): lower(flags: value, mask, isNegated: match.isNegated)
    case .linkAddresses(let side, let addresses):
      lower(linkAddresses: addresses, side, isNegated: match.isNegated)
    case .dscp(let codes): lower(dscp: codes, family: family, isNegated: match.isNegated)
    case .timeToLive(let ranges):
      Self.present(
        family == .ipv6 ? .ipv6HopLimit : .ipv4TimeToLive,
        .values(of: ranges, keyType: .timeToLive) { [$0] }, isNegated: match.isNegated)
    case .length(let ranges): Self.lower(lengths: ranges, isNegated: match.isNegated)
    case .packetTypes(let types):
      Self.present(.packetType, .bytes(types.numbers, keyType: .packetType), isNegated: match.isNegated)
    case .hours(let hours): Self.lower(hours: hours, isNegated: match.isNegated)
    case .days(let days): Self.present(.day, .bytes(days.numbers, keyType: .day), isNegated: match.isNegated)
    case .fragment: Self.lower(fragmentIn: family, isNegated: match.isNegated)
    case .spoofed: lowerSpoofed(isNegated: match.isNegated)
    case .ipsec: Self.present(.securityPath, .inline(.value([1])), isNegated: match.isNegated)
    }
  }

  // MARK: Protocols, ports, services

  private func lower(protocols: [UInt8], isNegated: Bool) -> LoweredMatch {
    guard !protocols.isEmpty else { return isNegated ? .always : .never }
    let positive = Conjunction(protocols: protocols)
    guard isNegated else { return .anyOf([positive]) }
    if ruleFamilies == .ipv4 { return .anyOf([Conjunction(excludedProtocols: protocols)]) }
    return .unless(guard: Conjunction(), [positive])
  }

  private func lower(ports: PortSet, _ side: PortSide, protocols: [UInt8], isNegated: Bool) -> LoweredMatch {
    let scope = Conjunction(protocols: protocols)
    guard !protocols.isEmpty else { return .never }
    guard !ports.isEmpty else { return isNegated ? .anyOf([scope]) : .never }
    let positive = Conjunction(protocols: protocols, [Self.ports(ports, side)])
    return isNegated ? .unless(guard: scope, [positive]) : .anyOf([positive])
  }

  private static func ports(_ ports: PortSet, _ side: PortSide) -> Condition {
    // The header is known when all protocols of the rule are.
    let field: RuleStatement.Field =
      side == .source ? .sourcePort(header: "th") : .destinationPort(header: "th")
    return Condition(field, .equal, .ranges(of: ports.ranges, keyType: .inetService))
  }

  private func lower(services: [Service], isNegated: Bool) -> LoweredMatch {
    guard !services.isEmpty else { return isNegated ? .always : .never }
    let alternatives = alternatives(of: services)
    return isNegated ? .unless(guard: Conjunction(), alternatives) : .anyOf(alternatives)
  }

  /// Whole protocols; services of equal ports; and the rest in one look-up by protocol and port. Disjoint,
  /// for a protocol is listed once.
  private func alternatives(of services: [Service]) -> [Conjunction] {
    var result: [Conjunction] = []
    let whole = services.filter { $0.ports == nil }.map(\.protocolNumber)
    if !whole.isEmpty { result.append(Conjunction(protocols: whole)) }

    var groups: [(ports: PortSet, protocols: [UInt8])] = []
    for service in services {
      guard let ports = service.ports, !ports.isEmpty else { continue }
      if let index = groups.firstIndex(where: { $0.ports == ports }) {
        groups[index].protocols.append(service.protocolNumber)
      } else {
        groups.append((ports, [service.protocolNumber]))
      }
    }
    if let group = groups.first, groups.count == 1 {
      result.append(Conjunction(protocols: group.protocols, [Self.ports(group.ports, .destination)]))
    } else if !groups.isEmpty {
      let isInterval = groups.contains { $0.ports.ranges.contains { $0.lower != $0.upper } }
      result.append(Conjunction([Self.concatenation(services, isInterval: isInterval)]))
    }
    return result
  }

  private static func concatenation(_ services: [Service], isInterval: Bool) -> Condition {
    let elements = services.flatMap { service in
      (service.ports?.ranges ?? []).map { range in
        // Each field of a concatenation fills a register of 4 bytes.
        let field = [service.protocolNumber, 0, 0, 0]
        return KernelSet.Element(
          field + range.lower.bigEndianBytes + [0, 0], field + range.upper.bigEndianBytes + [0, 0])
      }
    }
    return Condition(
      .protocolAndDestinationPort, .equal,
      .anonymous(
        KernelSet(
          name: nil, keyType: .concatenation([.inetProtocol, .inetService]), isInterval: isInterval,
          elements: elements)))
  }

  // MARK: ICMP

  private func lower(icmp: ICMPFamily, _ types: [ICMPType], isNegated: Bool) -> LoweredMatch {
    let scope = Conjunction(protocols: [icmp.protocolNumber])
    guard !types.isEmpty else { return isNegated ? .anyOf([scope]) : .never }
    let alternatives = Self.alternatives(of: types, icmp)
    return isNegated ? .unless(guard: scope, alternatives) : .anyOf(alternatives)
  }

  /// Types with any code, and pairs of type and code whose type is not among them.
  private static func alternatives(of types: [ICMPType], _ icmp: ICMPFamily) -> [Conjunction] {
    let isV4 = icmp == .icmp
    let typeField: RuleStatement.Field = isV4 ? .icmpType : .icmpv6Type
    let typeKey: KernelSet.KeyType = isV4 ? .icmpType : .icmpv6Type
    let whole = Set(types.filter { $0.code == nil }.map(\.type))
    var result: [Conjunction] = []
    if !whole.isEmpty {
      let ranges = IntervalSet(whole.map { AddressRange($0, $0) }).ranges
      result.append(
        Conjunction(
          protocols: [icmp.protocolNumber],
          [Condition(typeField, .equal, .ranges(ranges.map { .init(bigEndian: $0) }, keyType: typeKey))]))
    }
    var pairs: [(type: UInt8, code: UInt8)] = []
    for type in Set(types).sorted() where !whole.contains(type.type) {
      if let code = type.code { pairs.append((type.type, code)) }
    }
    if pairs.count == 1, let pair = pairs.first {
      result.append(
        Conjunction(
          protocols: [icmp.protocolNumber],
          [
            Condition(typeField, .equal, .inline(.value([pair.type]))),
            Condition(isV4 ? .icmpCode : .icmpv6Code, .equal, .inline(.value([pair.code]))),
          ]))
    } else if !pairs.isEmpty {
      let elements = pairs.map { pair in
        let key = [pair.type, 0, 0, 0, pair.code, 0, 0, 0]
        return KernelSet.Element(key, key)
      }
      let key = KernelSet.KeyType.concatenation([typeKey, isV4 ? .icmpCode : .icmpv6Code])
      let set = KernelSet(name: nil, keyType: key, isInterval: false, elements: elements)
      result.append(
        Conjunction(
          protocols: [icmp.protocolNumber],
          [Condition(isV4 ? .icmpTypeAndCode : .icmpv6TypeAndCode, .equal, .anonymous(set))]))
    }
    return result
  }

  // MARK: Connection tracking

  private func lower(states: ConntrackStates, isNegated: Bool) -> LoweredMatch {
    let known = states.intersection(.all)
    if known.isEmpty { return isNegated ? .always : .never }
    if known == .all { return isNegated ? .never : .always }
    let bits = (0..<32).map { UInt32(1) << UInt32($0) }.filter { known.rawValue & $0 != 0 }
    let condition: Condition
    if let bit = bits.first, bits.count == 1 {
      condition = Condition(
        .conntrackState, isNegated ? .notEqual : .anyBit, .inline(.value(bit.littleEndianBytes)))
    } else {
      let elements = bits.map { KernelSet.Element($0.littleEndianBytes, $0.littleEndianBytes) }
      condition = Condition(
        .conntrackState, isNegated ? .notEqual : .equal,
        .anonymous(KernelSet(name: nil, keyType: .conntrackState, isInterval: false, elements: elements)))
    }
    return .anyOf([Conjunction([condition])])
  }

  private func lower(status: ConntrackStatus, isNegated: Bool) -> LoweredMatch {
    guard !status.isEmpty else { return isNegated ? .always : .never }
    let positive = Conjunction([
      Condition(.conntrackStatus, .anyBit, .inline(.value(status.rawValue.littleEndianBytes)))
    ])
    return isNegated ? .unless(guard: Conjunction(), [positive]) : .anyOf([positive])
  }

  // MARK: Interfaces

  private func lower(interfaces patterns: [InterfacePattern], _ side: InterfaceSide, isNegated: Bool)
    -> LoweredMatch
  {
    let kept = Self.withoutCovered(Self.realized(patterns))
    if kept.isEmpty { return isNegated ? .always : .never }
    if kept.contains(InterfacePattern("", isPrefix: true)) { return isNegated ? .never : .always }
    let field: RuleStatement.Field = side == .input ? .inputInterfaceName : .outputInterfaceName
    let operand: Condition.Operand
    if let pattern = kept.first, kept.count == 1 {
      let name = Array(pattern.name.utf8)
      operand = .inline(pattern.isPrefix ? .prefix(name) : .value(Self.padded(name, with: 0)))
    } else {
      // No pattern covers another, so the ranges are disjoint.
      operand = .anonymous(
        KernelSet(
          name: nil, keyType: .interfaceName, isInterval: kept.contains(where: \.isPrefix),
          elements: Self.elements(of: kept)))
    }
    return .anyOf([Conjunction([Condition(field, isNegated ? .notEqual : .equal, operand)])])
  }

  /// IFNAMSIZ counts the NUL: a prefix of 15 bytes is one name.
  private static func realized(_ patterns: [InterfacePattern]) -> [InterfacePattern] {
    patterns.map { pattern in
      pattern.isPrefix && pattern.name.utf8.count >= interfaceNameLength - 1
        ? InterfacePattern(pattern.name) : pattern
    }
  }

  /// Names and ranges of names, ascending and apart.
  static func elements(of patterns: [InterfacePattern]) -> [KernelSet.Element] {
    withoutCovered(realized(patterns)).map { pattern in
      let name = Array(pattern.name.utf8)
      return KernelSet.Element(padded(name, with: 0), padded(name, with: pattern.isPrefix ? 0xff : 0))
    }.sorted { $0.lower.lexicographicallyPrecedes($1.lower) }
  }

  /// linux/if.h IFNAMSIZ.
  private static let interfaceNameLength = 16

  private static func withoutCovered(_ patterns: [InterfacePattern]) -> [InterfacePattern] {
    let unique = Set(patterns)
    let prefixes = InterfacePrefixes(of: unique)
    return unique.filter { !prefixes.cover($0) }.sorted()
  }

  private static func padded(_ name: [UInt8], with byte: UInt8) -> [UInt8] {
    name + [UInt8](repeating: byte, count: max(0, interfaceNameLength - name.count))
  }

  // MARK: Users and groups

  private func lower(
    ids: [AddressRange<UInt32>], _ field: RuleStatement.Field, keyType: KernelSet.KeyType, isNegated: Bool
  ) -> LoweredMatch {
    guard !ids.isEmpty else { return isNegated ? .always : .never }
    let positive = Conjunction([Condition(field, .equal, .hostOrder(ids, keyType: keyType))])
    return isNegated ? .unless(guard: Conjunction(), [positive]) : .anyOf([positive])
  }

  /// A set for each level: no process is in two groups of different levels unless one is below the other, and those
  /// were left out, so that the alternatives are disjoint.
  private static func lower(controlGroups groups: [ControlGroup]) -> LoweredMatch {
    .anyOf(
      ControlGroupSet.all(of: groups).map { set in
        Conjunction([
          Condition(
            .socketControlGroup(level: set.level), .equal, .inline(.set(.named(set.name), isInterval: false)))
        ])
      })
  }

  // MARK: Fields that every packet has

  private static func present(
    _ field: RuleStatement.Field, _ operand: Condition.Operand, isNegated: Bool
  ) -> LoweredMatch {
    .anyOf([Conjunction([Condition(field, isNegated ? .notEqual : .equal, operand)])])
  }

  private func lower(dscp codes: [AddressRange<UInt8>], family: Families, isNegated: Bool) -> LoweredMatch {
    if family == .ipv6 {
      let operand = Condition.Operand.values(of: codes, keyType: .ipv6DSCP) {
        (UInt16($0) << 6).bigEndianBytes
      }
      return Self.present(.ipv6DSCP, operand, isNegated: isNegated)
    }
    return Self.present(
      .ipv4DSCP, .values(of: codes, keyType: .dscp) { [$0 << 2] }, isNegated: isNegated)
  }

  /// One by one: an interval set has a name, and nft has none for the type of a length.
  private static func lower(lengths ranges: [AddressRange<UInt32>], isNegated: Bool) -> LoweredMatch {
    if ranges.count == 1 || ranges.allSatisfy({ $0.lower == $0.upper }) {
      return present(.packetLength, .hostOrder(ranges, keyType: .packetLength), isNegated: isNegated)
    }
    let conditions = ranges.map {
      Condition(
        .packetLength, isNegated ? .notEqual : .equal, .hostOrder([$0], keyType: .packetLength))
    }
    return isNegated ? .anyOf([Conjunction(conditions)]) : .anyOf(conditions.map { Conjunction([$0]) })
  }

  private static func lower(hours: Hours, isNegated: Bool) -> LoweredMatch {
    let ranges = hours.ranges
    if let range = ranges.first, ranges.count == 1 {
      let operand = RuleStatement.Operand.range(range.lower.bigEndianBytes, range.upper.bigEndianBytes)
      return present(.hour, .inline(operand), isNegated: isNegated)
    }
    // Over midnight: outside of what the day has between end and start.
    let between = RuleStatement.Operand.range(
      hours.end.bigEndianBytes, (hours.start - 1).bigEndianBytes)
    return present(.hour, .inline(between), isNegated: !isNegated)
  }

  private static func lower(fragmentIn family: Families, isNegated: Bool) -> LoweredMatch {
    guard family == .ipv6 else {
      return present(.ipv4FragmentOffset, .inline(.value([0, 0])), isNegated: !isNegated)
    }
    let positive = Conjunction([Condition(.ipv6FragmentOffset, .notEqual, .inline(.value([0, 0])))])
    return isNegated ? .unless(guard: Conjunction(), [positive]) : .anyOf([positive])
  }

  /// In `input` most kernels find no route to an own address, which is what packets on `lo` come from
  /// (`nft_fib4_eval` leaves at RTN_LOCAL). Those have a way back, so `lo` is left out.
  private func lowerSpoofed(isNegated: Bool) -> LoweredMatch {
    let loopback = Condition.Operand.inline(.value(Self.padded(Array("lo".utf8), with: 0)))
    func isReached(_ reached: UInt32) -> Condition {
      Condition(.reverseRoute, .equal, .inline(.value(reached.littleEndianBytes)))
    }
    let isNotLoopback = isNeverLoopback ? [] : [Condition(.inputInterfaceName, .notEqual, loopback)]
    guard isNegated else { return .anyOf([Conjunction(isNotLoopback + [isReached(0)])]) }
    let reached = Conjunction(isNotLoopback + [isReached(1)])
    if isNeverLoopback { return .anyOf([reached]) }
    return .anyOf([Conjunction([Condition(.inputInterfaceName, .equal, loopback)]), reached])
  }

  // MARK: Fields that a packet may lack

  private func lower(mark values: MarkValues, _ kind: MarkKind, isNegated: Bool) -> LoweredMatch {
    guard !values.ranges.isEmpty else { return isNegated ? .always : .never }
    let mask = values.mask == .max ? nil : values.mask
    let operand = Condition.Operand.hostOrder(values.ranges, keyType: .mark)
    guard kind == .connmark else {
      return Self.present(.packetMark(mask: mask), operand, isNegated: isNegated)
    }
    let positive = Conjunction([Condition(.connectionMark(mask: mask), .equal, operand)])
    return isNegated ? .unless(guard: Conjunction(), [positive]) : .anyOf([positive])
  }

  private func lower(flags value: TCPFlags, _ mask: TCPFlags, isNegated: Bool) -> LoweredMatch {
    let scope = Conjunction(protocols: [6])
    let positive = Conjunction(
      protocols: [6],
      [Condition(.tcpFlags(mask: mask.rawValue), .equal, .inline(.value([value.rawValue])))])
    return isNegated ? .unless(guard: scope, [positive]) : .anyOf([positive])
  }

  private func lower(linkAddresses: [LinkAddress], _ side: AddressSide, isNegated: Bool) -> LoweredMatch {
    guard !linkAddresses.isEmpty else { return isNegated ? .always : .never }
    let positive = Conjunction([
      // linux/if_arp.h ARPHRD_ETHER.
      Condition(.inputInterfaceType, .equal, .inline(.value(UInt16(1).littleEndianBytes))),
      Condition(
        side == .source ? .linkSource : .linkDestination, .equal,
        .ranges(linkAddresses.map { KernelSet.Element($0.bytes, $0.bytes) }, keyType: .linkAddress)),
    ])
    return isNegated ? .unless(guard: Conjunction(), [positive]) : .anyOf([positive])
  }
}

extension Condition.Operand {
  /// Ranges of a field in host order: single values as they are, ranges turned round for comparing.
  fileprivate static func hostOrder(
    _ ranges: [AddressRange<UInt32>], keyType: KernelSet.KeyType
  ) -> Condition.Operand {
    guard ranges.allSatisfy({ $0.lower == $0.upper }) else {
      return .ranges(ranges.map { KernelSet.Element(bigEndian: $0) }, keyType: keyType)
    }
    let elements = ranges.map {
      KernelSet.Element($0.lower.littleEndianBytes, $0.lower.littleEndianBytes)
    }
    return .ranges(elements, keyType: keyType)
  }

  /// Of a small field: one range is compared, several are looked up value by value. nft has no type of its own
  /// for such fields, which an interval set with its name would need.
  fileprivate static func values(
    of ranges: [AddressRange<UInt8>], keyType: KernelSet.KeyType, _ bytes: (UInt8) -> [UInt8]
  ) -> Condition.Operand {
    if let range = ranges.first, ranges.count == 1 {
      return .ranges([KernelSet.Element(bytes(range.lower), bytes(range.upper))], keyType: keyType)
    }
    let values = ranges.flatMap { $0.lower...$0.upper }
    return .ranges(values.map { KernelSet.Element(bytes($0), bytes($0)) }, keyType: keyType)
  }

  /// Values of one byte.
  fileprivate static func bytes(_ values: [UInt8], keyType: KernelSet.KeyType) -> Condition.Operand {
    .ranges(values.map { KernelSet.Element([$0], [$0]) }, keyType: keyType)
  }
}
