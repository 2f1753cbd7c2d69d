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
/// | `fib … type` | always: `nft_fib4_eval_type` and its twin store a type for every packet |
struct MatchLowering {
  /// The families that the whole rule is about.
  let ruleFamilies: Families

  /// Whether the match must be written for each family apart.
  static func isFamilySpecific(_ match: Match) -> Bool {
    switch match.condition {
    case .icmp: true
    case .services(let services): services.contains { $0.families != .both }
    case .addresses(_, let addresses):
      !(addresses.specials.allSatisfy { $0 == .local } && addresses.addresses.isEmpty
        || addresses.addresses == .all)
    case .protocols, .ports, .states, .status, .interfaces, .user, .group: false
    }
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
    let ranges = ports.ranges.map { KernelSet.Element(bigEndian: $0) }
    return Condition(field, .equal, .ranges(ranges, keyType: .inetService))
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

  // MARK: Addresses

  private func lower(
    addresses match: AddressMatch, _ side: AddressSide, family: Families, isNegated: Bool
  ) -> LoweredMatch {
    if family == .ipv6 {
      lower(match.addresses.ipv6, .ipv6Address, of: match, side, family: family, isNegated: isNegated)
    } else {
      // Of either family: the static part is empty or everything in both.
      lower(match.addresses.ipv4, .ipv4Address, of: match, side, family: family, isNegated: isNegated)
    }
  }

  private func lower<Value>(
    _ ranges: [AddressRange<Value>], _ keyType: KernelSet.KeyType, of match: AddressMatch,
    _ side: AddressSide,
    family: Families, isNegated: Bool
  ) -> LoweredMatch {
    if ranges == [AddressRange(0, .max)] { return isNegated ? .never : .always }
    let specials = match.specials.filter { $0 == .local || family == .ipv4 }

    func inSet(_ comparison: RuleStatement.Operator) -> Condition {
      let operand: Condition.Operand =
        if let name = match.name {
          .inline(
            .set(
              .named(KernelName.set(name, family: family)),
              isInterval: ranges.contains { $0.lower != $0.upper }))
        } else {
          .ranges(ranges.map { KernelSet.Element(bigEndian: $0) }, keyType: keyType)
        }
      return Condition(Self.field(side, family), comparison, operand)
    }
    func isSpecial(_ comparison: RuleStatement.Operator) -> Condition {
      let types = specials.map { Self.addressType($0).littleEndianBytes }
      let operand: Condition.Operand
      if let type = types.first, types.count == 1 {
        operand = .inline(.value(type))
      } else {
        let elements = types.map { KernelSet.Element($0, $0) }
        operand = .anonymous(
          KernelSet(name: nil, keyType: .fibAddressType, isInterval: false, elements: elements))
      }
      return Condition(side == .source ? .fibSourceType : .fibDestinationType, comparison, operand)
    }

    switch (ranges.isEmpty, specials.isEmpty, isNegated) {
    case (true, true, false): return .never
    case (true, true, true): return .always
    case (false, true, false): return .anyOf([Conjunction([inSet(.equal)])])
    case (false, true, true): return .anyOf([Conjunction([inSet(.notEqual)])])
    case (true, false, false): return .anyOf([Conjunction([isSpecial(.equal)])])
    case (true, false, true): return .anyOf([Conjunction([isSpecial(.notEqual)])])
    case (false, false, false):
      return .anyOf([Conjunction([inSet(.equal)]), Conjunction([inSet(.notEqual), isSpecial(.equal)])])
    case (false, false, true): return .anyOf([Conjunction([inSet(.notEqual), isSpecial(.notEqual)])])
    }
  }

  private static func field(_ side: AddressSide, _ family: Families) -> RuleStatement.Field {
    switch (side, family == .ipv6) {
    case (.source, false): .ipv4Source
    case (.destination, false): .ipv4Destination
    case (.source, true): .ipv6Source
    case (.destination, true): .ipv6Destination
    }
  }

  /// linux/rtnetlink.h RTN_LOCAL, RTN_BROADCAST.
  private static func addressType(_ special: AddressMatch.Special) -> UInt32 {
    switch special {
    case .local: 2
    case .broadcast: 3
    }
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
    return unique.filter { pattern in
      !unique.contains { other in
        other != pattern && other.isPrefix && pattern.name.utf8.starts(with: other.name.utf8)
      }
    }.sorted()
  }

  private static func padded(_ name: [UInt8], with byte: UInt8) -> [UInt8] {
    name + [UInt8](repeating: byte, count: max(0, interfaceNameLength - name.count))
  }

  // MARK: Users and groups

  private func lower(
    ids: [AddressRange<UInt32>], _ field: RuleStatement.Field, keyType: KernelSet.KeyType, isNegated: Bool
  ) -> LoweredMatch {
    guard !ids.isEmpty else { return isNegated ? .always : .never }
    let operand: Condition.Operand
    if ids.allSatisfy({ $0.lower == $0.upper }) {
      operand = .ranges(
        ids.map { KernelSet.Element($0.lower.littleEndianBytes, $0.lower.littleEndianBytes) },
        keyType: keyType)
    } else {
      operand = .ranges(ids.map { KernelSet.Element(bigEndian: $0) }, keyType: keyType)
    }
    let positive = Conjunction([Condition(field, .equal, operand)])
    return isNegated ? .unless(guard: Conjunction(), [positive]) : .anyOf([positive])
  }
}
