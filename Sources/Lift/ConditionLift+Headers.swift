import PolicyModel
import Ruleset

/// Conditions on bytes of a packet.
extension ConditionLift {
  mutating func require(_ family: Families) throws(LiftError) {
    guard families == family else { throw LiftError("a header is read before its family was asked") }
  }

  mutating func network(
    _ offset: Int, _ field: LoadedField, _ spans: [Span], _ isNegated: Bool
  ) throws(LiftError) {
    switch (families, offset, field.length) {
    case (.ipv4, 12, 1...4): try addresses(.source, field, spans, isNegated)
    case (.ipv4, 16, 1...4): try addresses(.destination, field, spans, isNegated)
    case (.ipv6, 8, 1...16): try addresses(.source, field, spans, isNegated)
    case (.ipv6, 24, 1...16): try addresses(.destination, field, spans, isNegated)
    case (.ipv4, 1, 1) where field.mask == [0xfc]:
      matches.append(Match(.dscp(try codes(field, spans, unit: 4)), isNegated: isNegated))
    case (.ipv6, 0, 2) where field.mask == [0x0f, 0xc0]:
      matches.append(Match(.dscp(try codes(field, spans, unit: 64)), isNegated: isNegated))
    case (.ipv4, 8, 1) where field.mask == nil, (.ipv6, 7, 1) where field.mask == nil:
      matches.append(Match(.timeToLive(try small(field, spans)), isNegated: isNegated))
    case (.ipv4, 6, 2) where field.mask == [0x1f, 0xff]:
      guard try numbers(field, spans).ranges == [AddressRange(0, 0)] else {
        throw LiftError("a fragment by its offset")
      }
      matches.append(Match(.fragment, isNegated: !isNegated))
    case (.ipv4, 6, 2):
      // With the bits that a first fragment has too.
      guard let mask = field.mask, mask[0] & 0x1f == 0x1f, mask[1] == 0xff,
        try numbers(field, spans).ranges
          == [AddressRange(0, 0)]
      else { throw LiftError("a fragment by its offset") }
      try leaveOpen(because: "a fragment that may be the first") { (conditions) throws(LiftError) in
        conditions.matches.append(Match(.fragment, isNegated: true))
      }
      if isNegated { matches.append(Match(.fragment)) } else { never() }
    case (.ipv4, 9, 1) where field.mask == nil: try transportProtocols(try numbers(field, spans), isNegated)
    case (.ipv6, 6, 1) where field.mask == nil: try firstHeader(try numbers(field, spans), isNegated)
    default: throw LiftError("bytes \(offset)–\(offset + field.length - 1) of the network header")
    }
  }

  /// The header behind that of IPv6: the transport protocol's, unless one of an extension stands before it.
  private mutating func firstHeader(
    _ values: IntervalSet<UInt128>, _ isNegated: Bool
  ) throws(LiftError) {
    let listed = (UInt8.min...UInt8.max).filter { values.contains(UInt128($0)) != isNegated }
    let extensions = listed.filter(Self.extensionHeaders.contains)
    let found = listed.filter { !Self.extensionHeaders.contains($0) }
    let isAny = extensions.count == Self.extensionHeaders.count
    let reason = "IPv6 by the header behind its own, which may be that of an extension"
    if !found.isEmpty, !isAny {
      try leaveOpen(because: reason) { (conditions) throws(LiftError) in
        try conditions.transportProtocols(Self.set(found), false)
      }
    }
    if !extensions.isEmpty {
      let others = (UInt8.min...UInt8.max).filter { !found.contains($0) }
      if !isAny || !others.isEmpty {
        try leaveOpen(because: reason) { (conditions) throws(LiftError) in
          if isAny {
            try conditions.transportProtocols(Self.set(others), false)
          } else {
            conditions.matches.append(Match(.protocols(found), isNegated: true))
          }
        }
      }
    }
    if isAny {
      // Behind an extension there may be each of them, and without one it is not among the others.
      matches.append(
        Match(.protocols((UInt8.min...UInt8.max).filter { !found.contains($0) }), isNegated: true))
    } else {
      never()
    }
  }

  private static func set(_ numbers: [UInt8]) -> IntervalSet<UInt128> {
    IntervalSet(numbers.map { AddressRange(UInt128($0), UInt128($0)) })
  }

  private mutating func addresses(
    _ side: AddressSide, _ field: LoadedField, _ spans: [Span], _ isNegated: Bool
  ) throws(LiftError) {
    let width = families == .ipv4 ? 4 : 16
    var ranges: [AddressRange<UInt128>] = []
    for span in spans {
      // Fewer bytes are a prefix, and so is a mask of leading ones.
      var (lower, upper) = span
      if !isStrict, lower == upper, let mask = field.mask, Self.hostBits(mask) == nil {
        ranges += try Self.ranges(lower, under: mask, width)
        continue
      }
      if let mask = field.mask {
        guard lower == upper, let host = Self.hostBits(mask) else {
          throw LiftError("an address under a mask with gaps")
        }
        for index in upper.indices { upper[index] |= host[index] }
      }
      lower += [UInt8](repeating: 0, count: width - lower.count)
      upper += [UInt8](repeating: 0xff, count: width - upper.count)
      ranges.append(AddressRange(Self.number(lower), Self.number(upper)))
    }
    let set =
      families == .ipv4
      ? AddressSet(
        ipv4: ranges.map {
          IPv4Range(UInt32(truncatingIfNeeded: $0.lower), UInt32(truncatingIfNeeded: $0.upper))
        }) : AddressSet(ipv6: ranges)
    matches.append(Match(.addresses(side, AddressMatch(addresses: set)), isNegated: isNegated))
  }

  /// The addresses that have a value under a mask with gaps: a range for each value of the bits in the gaps.
  private static func ranges(
    _ value: [UInt8], under mask: [UInt8], _ width: Int
  ) throws(LiftError) -> [AddressRange<UInt128>] {
    let free = ~number(mask) & (value.count == 16 ? .max : (1 << UInt128(8 * value.count)) - 1)
    let host = UInt128(free.trailingZeroBitCount == 0 ? (~free).trailingZeroBitCount : 0)
    let last: UInt128 = (1 << host) - 1
    let gaps = (0..<128).filter { free >> UInt128($0) & 1 == 1 && UInt128($0) >= host }
    guard gaps.count <= 10 else { throw LiftError("an address under a mask with large gaps") }
    let behind = UInt128(8 * (width - value.count))
    return (0..<(1 << gaps.count)).map { choice in
      let bits = gaps.enumerated().reduce(UInt128(0)) {
        $0 | (UInt128(choice >> $1.offset & 1) << UInt128($1.element))
      }
      let first = number(value) | bits
      return AddressRange(first << behind, (first | last) << behind | ((1 << behind) - 1))
    }
  }

  /// A look-up in a set of addresses of the packet's family.
  mutating func lookup(
    _ field: LoadedField, _ addresses: AddressSet, isNegated: Bool
  ) throws(LiftError) {
    let side: AddressSide
    switch (field.source, families) {
    case (.payload(.network, offset: 12), .ipv4), (.payload(.network, offset: 8), .ipv6): side = .source
    case (.payload(.network, offset: 16), .ipv4), (.payload(.network, offset: 24), .ipv6): side = .destination
    default: throw LiftError("a set of addresses that is asked for something else")
    }
    guard field.length == (families == .ipv4 ? 4 : 16) else {
      throw LiftError("a part of an address")
    }
    matches.append(
      Match(.addresses(side, AddressMatch(addresses: addresses)), isNegated: isNegated))
  }

  /// A set that is filled while it is there.
  ///
  /// - Returns: how many leading bits of the address are asked for.
  mutating func member(
    _ field: LoadedField, of set: String, isNegated: Bool
  ) throws(LiftError) -> UInt8 {
    guard case .payload(.network, let offset) = field.source else {
      throw LiftError("a set that is filled, of something other than addresses")
    }
    let side: AddressSide
    switch (families, offset, field.length) {
    case (.ipv4, 12, 4), (.ipv6, 8, 16): side = .source
    case (.ipv4, 16, 4), (.ipv6, 24, 16): side = .destination
    default: throw LiftError("a set that is filled, of something other than addresses")
    }
    matches.append(
      Match(.addresses(side, AddressMatch(addresses: AddressSet(), sets: [set])), isNegated: isNegated))
    return try Self.prefixLength(field.mask) ?? (families == .ipv4 ? 32 : 128)
  }

  mutating func transport(
    _ offset: Int, _ field: LoadedField, _ spans: [Span], _ isNegated: Bool
  ) throws(LiftError) {
    if let known = protocols, !known.isEmpty, known.allSatisfy(Self.withPorts.contains), field.mask == nil {
      switch (offset, field.length) {
      case (0, 2), (2, 2):
        var set = PortSet(try small(field, spans))
        // The kernel ends the rule for a packet without ports, whatever it asks.
        if isNegated { set = PortSet([AddressRange(0, .max)]).subtracting(set) }
        return matches.append(
          Match(.ports(offset == 0 ? .source : .destination, protocols: known, set)))
      case (0, 4) where !isNegated && spans.count == 1 && spans[0].lower == spans[0].upper:
        for (side, bytes) in [(PortSide.source, spans[0].lower[..<2]), (.destination, spans[0].lower[2...])] {
          let port = UInt16(truncatingIfNeeded: Self.number(Array(bytes)))
          matches.append(Match(.ports(side, protocols: known, PortSet([AddressRange(port, port)]))))
        }
        return
      default: break
      }
    }
    if protocols == [Self.tcp], offset == 13, field.length == 1 {
      return try flags(mask: field.mask?.first ?? 0xff, spans, isNegated)
    }
    if !isStrict, field.mask == nil, field.length == 2, offset == 0 || offset == 2,
      protocols.map({ $0.contains(where: Self.withPorts.contains) }) ?? true
    {
      // The same bytes of another protocol are something else.
      try leaveOpen(because: "the bytes of ports in another protocol's header") {
        (conditions) throws(LiftError) in
        conditions.matches.append(Match(.protocols(Self.withPorts), isNegated: true))
        conditions.protocols = conditions.protocols?.filter { !Self.withPorts.contains($0) }
      }
      protocols = protocols?.filter(Self.withPorts.contains) ?? Self.withPorts
      return try transport(offset, field, spans, isNegated)
    }
    if protocols == [Self.icmp] || protocols == [Self.icmpv6], field.mask == nil {
      switch (offset, field.length) {
      case (0, 1):
        return try types(
          spans.map { (Self.number($0.lower), Self.number($0.upper), 0, 255) }, isNegated: isNegated)
      case (1, 1):
        return try types(
          spans.map { (0, 255, Self.number($0.lower), Self.number($0.upper)) }, isNegated: isNegated)
      case (0, 2) where spans.count == 1 && spans[0].lower == spans[0].upper:
        let (type, code) = (UInt128(spans[0].lower[0]), UInt128(spans[0].lower[1]))
        return try types([(type, type, code, code)], isNegated: isNegated)
      default: break
      }
    }
    throw LiftError(
      "bytes \(offset)–\(offset + field.length - 1) of a transport header that was not asked for")
  }

  /// Values of TCP's flags under a mask.
  private mutating func flags(mask: UInt8, _ spans: [Span], _ isNegated: Bool) throws(LiftError) {
    func match(_ value: UInt8, isNegated: Bool) -> Match {
      Match(
        .tcpFlags(value: TCPFlags(rawValue: value), mask: TCPFlags(rawValue: mask)), isNegated: isNegated)
    }
    let values = (UInt8.min...UInt8.max).filter { value in
      value & ~mask == 0 && spans.contains { $0.lower[0] <= value && value <= $0.upper[0] }
    }
    if isNegated {
      matches += values.map { match($0, isNegated: true) }
      // The same for a packet whose flags cannot be read.
      matches.append(Match(.tcpFlags(value: [], mask: [])))
    } else if values.count == 1 {
      matches.append(match(values[0], isNegated: false))
    } else {
      try requireOne(of: values.map { [match($0, isNegated: false)] })
    }
  }

  mutating func transportProtocols(_ values: IntervalSet<UInt128>, _ isNegated: Bool)
    throws(LiftError)
  {
    var listed: [UInt8] = []
    for range in values.ranges where range.lower <= UInt8.max {
      listed += UInt8(range.lower)...UInt8(min(range.upper, UInt128(UInt8.max)))
    }
    if isNegated {
      // Every packet of IPv4 has a protocol.
      guard families != .ipv4 else { return matches.append(Match(.protocols(listed), isNegated: true)) }
      listed = (UInt8.min...UInt8.max).filter { !listed.contains($0) }
    }
    matches.append(Match(.protocols(listed)))
    protocols = protocols.map { known in listed.filter(known.contains) } ?? listed
  }

  mutating func types(
    _ spans: [(UInt128, UInt128, UInt128, UInt128)], isNegated: Bool
  ) throws(LiftError) {
    let family: ICMPFamily = protocols == [Self.icmp] ? .icmp : .icmpv6
    guard protocols == [family.protocolNumber], families == family.families else {
      throw LiftError("ICMP types of a packet whose protocol and family were not asked")
    }
    // By type: the codes.
    var codes: [UInt8: Set<UInt8>] = [:]
    let all = Set(UInt8.min...UInt8.max)
    for (first, last, firstCode, lastCode) in spans {
      guard first <= last, last <= 255, firstCode <= lastCode, lastCode <= 255 else {
        throw LiftError("an ICMP type that is none")
      }
      for type in first...last {
        let span = UInt8(truncatingIfNeeded: firstCode)...UInt8(truncatingIfNeeded: lastCode)
        codes[UInt8(truncatingIfNeeded: type), default: []].formUnion(span)
      }
    }
    var types: [ICMPType] = []
    for type in UInt8.min...UInt8.max {
      let listed = codes[type, default: []]
      let wanted = isNegated ? all.subtracting(listed) : listed
      if wanted == all {
        types.append(ICMPType(type: type))
      } else {
        types += wanted.sorted().map { ICMPType(type: type, code: $0) }
      }
    }
    matches.append(Match(.icmp(family, types)))
  }

  mutating func services(_ parts: [[Span]]) throws(LiftError) {
    var ports: [UInt8: [AddressRange<UInt16>]] = [:]
    for part in parts {
      // The protocol's one byte is in host order, whichever way it is turned.
      let (first, last) = (Self.number(part[0].lower), Self.number(part[0].upper))
      for number in first...last {
        let known = UInt8(truncatingIfNeeded: number)
        guard Self.withPorts.contains(known) else { throw LiftError("ports of a protocol that has none") }
        ports[known, default: []].append(
          AddressRange(
            UInt16(truncatingIfNeeded: Self.number(part[1].lower)),
            UInt16(truncatingIfNeeded: Self.number(part[1].upper))))
      }
    }
    matches.append(
      Match(
        .services(ports.keys.sorted().map { Service(protocolNumber: $0, ports: PortSet(ports[$0] ?? [])) })))
  }

  /// The protocol in the frame is the packet's family.
  mutating func linkProtocol(
    _ field: LoadedField, _ spans: [Span], _ isNegated: Bool
  ) throws(LiftError) {
    let values = try numbers(field, spans)
    var found: Families = []
    // ETH_P_IP, ETH_P_IPV6.
    if values.contains(0x800) != isNegated { found.insert(.ipv4) }
    if values.contains(0x86dd) != isNegated { found.insert(.ipv6) }
    families.formIntersection(found)
    if families.isEmpty { never() }
  }

  mutating func link(
    _ offset: Int, _ field: LoadedField, _ spans: [Span], _ isNegated: Bool
  ) throws(LiftError) {
    if offset == 12, field.length == 2, field.mask == nil { return try linkProtocol(field, spans, isNegated) }
    guard hasLinkAddresses, !isNegated, field.mask == nil, spans.allSatisfy({ $0.lower == $0.upper }) else {
      throw LiftError("link-layer addresses that the model has no clause for")
    }
    awaitsLinkAddress = false
    func add(_ side: AddressSide, _ values: [[UInt8]]) {
      let addresses = values.map { LinkAddress(UInt64(truncatingIfNeeded: Self.number($0))) }
      matches.append(Match(.linkAddresses(side, addresses.sorted())))
    }
    switch (offset, field.length) {
    case (0, 6): add(.destination, spans.map(\.lower))
    case (6, 6): add(.source, spans.map(\.lower))
    case (0, 12) where spans.count == 1:
      add(.destination, [Array(spans[0].lower[..<6])])
      add(.source, [Array(spans[0].lower[6...])])
    default: throw LiftError("bytes of the link-layer header that are no address")
    }
  }
}
