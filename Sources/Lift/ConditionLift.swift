import PolicyModel
import Ruleset

/// Turns comparisons of registers into conditions of the model, and keeps what they have said about family and
/// protocol: offsets into headers mean something only behind that.
struct ConditionLift {
  var families = Families.both
  var matches: [Match] = []
  /// A look-up of several fields at once: conditions of which one holds. No packet meets two of them.
  var alternatives: [[Match]]?

  /// Protocols that the packet may have; nil: any.
  var protocols: [UInt8]?
  /// `meta iiftype ether` was asked, and no link-layer address yet.
  var awaitsLinkAddress = false
  /// The device that delivered the packet is one of Ethernet.
  var hasLinkAddresses = false

  /// Each key of several fields becomes a rule of its own.
  private static let mostAlternatives = 1_000

  /// A span of register bytes, both ends inside.
  typealias Span = (lower: [UInt8], upper: [UInt8])

  // IPPROTO_*; of netfilter.h NFPROTO_*; ARPHRD_ETHER.
  static let withPorts: [UInt8] = [6, 17, 33, 132, 136]
  static let tcp: UInt8 = 6
  static let icmp: UInt8 = 1
  static let icmpv6: UInt8 = 58
  private static let ipv4Family: UInt128 = 2
  private static let ipv6Family: UInt128 = 10
  private static let ethernet: UInt128 = 1
  // RTN_LOCAL, RTN_BROADCAST of linux/rtnetlink.h.
  private static let localType: UInt128 = 2
  private static let broadcastType: UInt128 = 3
  // NFTA_FIB_F_SADDR, _DADDR, _IIF, _PRESENT.
  private static let sourceAddress: UInt32 = 1
  private static let destinationAddress: UInt32 = 2
  private static let reversePath: UInt32 = 1 | 8 | 32

  init(_ families: Families = .both) { self.families = families }

  /// Whether the packet has ports, unless it is cut off before them.
  var hasPorts: Bool { protocols.map { !$0.isEmpty && $0.allSatisfy(Self.withPorts.contains) } ?? false }

  var isTCP: Bool { protocols == [Self.tcp] }

  /// The one protocol with ports that the packet must have.
  var singlePortProtocol: UInt8? {
    protocols.flatMap { $0.count == 1 && Self.withPorts.contains($0[0]) ? $0[0] : nil }
  }

  // MARK: Comparisons

  mutating func compare(
    _ field: LoadedField, _ comparison: Expression.Comparison, _ value: [UInt8]
  ) throws(LiftError) {
    // nft compares fewer bytes than it has loaded where a name is a prefix.
    var field = field
    guard value.count <= field.length else { throw LiftError("more is compared than what was loaded") }
    if value.count < field.length {
      let isEquality = comparison == .equal || comparison == .notEqual
      guard field.mask == nil, isEquality else { throw LiftError("a part of a value is compared") }
      let side: InterfaceSide
      switch field.source {
      case .meta(.inputInterfaceName): side = .input
      case .meta(.outputInterfaceName): side = .output
      default: throw LiftError("a part of a value is compared")
      }
      // With the zero behind it, it is the whole name.
      let isPrefix = !value.contains(0)
      return try interfaces([(value, value)], side, isNegated: comparison == .notEqual, isPrefix: isPrefix)
    }
    if let flipped = field.flipped {
      field.flipped = nil
      guard flipped.allSatisfy({ $0 == 0 }) else {
        throw LiftError("bits are turned over before a comparison")
      }
    }
    switch comparison {
    case .equal, .notEqual:
      try add(field, [(value, value)], isNegated: comparison == .notEqual)
    case .greaterOrEqual:
      try add(field, [(value, [UInt8](repeating: 0xff, count: value.count))], isNegated: false)
    case .lessOrEqual:
      try add(field, [([UInt8](repeating: 0, count: value.count), value)], isNegated: false)
    case .less, .greater: throw LiftError("a comparison that excludes its bound")
    }
  }

  mutating func range(
    _ field: LoadedField, _ lower: [UInt8], _ upper: [UInt8], isNegated: Bool
  ) throws(LiftError) {
    try add(field, [(lower, upper)], isNegated: isNegated)
  }

  /// A look-up in a set.
  mutating func lookup(
    _ fields: [LoadedField], _ elements: [Span], isNegated: Bool
  ) throws(LiftError) {
    let isAscending = elements.allSatisfy { !$0.upper.lexicographicallyPrecedes($0.lower) }
    guard isAscending else { throw LiftError("a range that runs downwards") }
    if fields.count == 1 { return try add(fields[0], elements, isNegated: isNegated) }
    guard elements.count <= Self.mostAlternatives else {
      throw LiftError("a look-up of many fields and keys")
    }
    var parts: [[Span]] = []
    for element in elements { parts.append(try Self.split(element, fields)) }
    // Single numbers in host order as their bytes would be the other way round.
    var fields = fields
    for (index, field) in fields.enumerated() where field.isLittleEndian {
      for part in parts.indices {
        guard parts[part][index].lower == parts[part][index].upper else {
          throw LiftError("a range of a number in host order")
        }
        let bytes = Array(parts[part][index].lower.reversed())
        parts[part][index] = (bytes, bytes)
      }
      fields[index].isTurned = true
    }
    if !isNegated, fields.count == 2 {
      switch (fields[0].source, fields[1].source) {
      case (.meta(.transportProtocol), .payload(.transport, offset: 2)): return try services(parts)
      case (.payload(.transport, offset: 0), .payload(.transport, offset: 1)):
        return try types(
          parts.map { part in
            (
              Self.number(part[0].lower), Self.number(part[0].upper), Self.number(part[1].lower),
              Self.number(part[1].upper)
            )
          }, isNegated: false)
      default: break
      }
    }
    guard alternatives == nil else { throw LiftError("two look-ups of several fields") }
    if isNegated {
      alternatives = try complement(of: parts, fields[...])
      return
    }
    var found: [[Match]] = []
    for part in parts {
      var conditions = fresh()
      for (field, span) in zip(fields, part) { try conditions.add(field, [span], isNegated: false) }
      found.append(conditions.matches)
    }
    alternatives = found
  }

  /// Conditions behind what was said about family and protocol.
  func fresh() -> ConditionLift {
    var conditions = ConditionLift()
    (conditions.families, conditions.protocols) = (families, protocols)
    return conditions
  }

  /// The parts of a key; each field fills whole words.
  static func split(_ element: Span, _ fields: [LoadedField]) throws(LiftError) -> [Span] {
    var parts: [Span] = []
    var offset = 0
    for field in fields {
      let end = offset + field.length
      guard end <= element.lower.count, end <= element.upper.count else {
        throw LiftError("a key is shorter than what was loaded for it")
      }
      let part: Span = (Array(element.lower[offset..<end]), Array(element.upper[offset..<end]))
      guard field.length <= 16, !part.upper.lexicographicallyPrecedes(part.lower) else {
        throw LiftError("a key with a range that runs downwards")
      }
      parts.append(part)
      offset += (field.length + 3) & ~3
      // The registers behind a short field hold zeros.
      let padding = end..<max(end, min(offset, element.lower.count, element.upper.count))
      guard padding.allSatisfy({ element.lower[$0] == 0 && element.upper[$0] == 0 }) else {
        throw LiftError("a key with something between its fields")
      }
    }
    return parts
  }

  // MARK: Fields

  mutating func add(_ field: LoadedField, _ spans: [Span], isNegated: Bool) throws(LiftError) {
    if let mask = field.mask {
      for span in spans where zip(span.lower, mask).contains(where: { $0 & ~$1 != 0 }) {
        throw LiftError("a value with bits outside of its mask")
      }
    }
    switch field.source {
    case .meta(let key): try meta(key, field, spans, isNegated)
    case .conntrack(let key): try conntrack(key, field, spans, isNegated)
    case .fib(let result, let flags): try fib(result, flags, field, spans, isNegated)
    case .payload(.network, let offset): try network(offset, field, spans, isNegated)
    case .payload(.transport, let offset): try transport(offset, field, spans, isNegated)
    case .payload(.linkLayer, let offset): try link(offset, field, spans, isNegated)
    case .extensionHeader(let type, let offset):
      // The offset of a fragment: IPPROTO_FRAGMENT.
      guard type == 44, offset == 2, field.length == 2, field.mask == [0xff, 0xf8], isNegated,
        spans.allSatisfy({ $0.lower == [0, 0] && $0.upper == [0, 0] }), spans.count == 1
      else { throw LiftError("a field of an extension header") }
      try require(.ipv6)
      matches.append(Match(.fragment))
    case .route: throw LiftError("a comparison of the path's segment size")
    case .controlGroup: throw LiftError("a control group by its number")
    }
  }

  private mutating func meta(
    _ key: Expression.MetaKey, _ field: LoadedField, _ spans: [Span], _ isNegated: Bool
  ) throws(LiftError) {
    if key == .mark { return try mark(.mark, field, spans, isNegated) }
    guard field.mask == nil else { throw LiftError("a mask on a value that has none in the model") }
    switch key {
    case .family:
      let values = try numbers(field, spans)
      var found: Families = []
      if values.contains(Self.ipv4Family) { found.insert(.ipv4) }
      if values.contains(Self.ipv6Family) { found.insert(.ipv6) }
      families.formIntersection(isNegated ? Families.both.subtracting(found) : found)
    case .transportProtocol: try transportProtocols(try numbers(field, spans), isNegated)
    case .inputInterfaceName: try interfaces(spans, .input, isNegated: isNegated, isPrefix: false)
    case .outputInterfaceName: try interfaces(spans, .output, isNegated: isNegated, isPrefix: false)
    case .inputInterfaceType:
      guard !isNegated, try numbers(field, spans).ranges == [AddressRange(Self.ethernet, Self.ethernet)]
      else {
        throw LiftError("an interface type other than Ethernet")
      }
      awaitsLinkAddress = true
      hasLinkAddresses = true
    case .socketUser: matches.append(Match(.user(try ids(field, spans, isNegated))))
    case .socketGroup: matches.append(Match(.group(try ids(field, spans, isNegated))))
    case .length: matches.append(Match(.length(try small(field, spans)), isNegated: isNegated))
    case .packetType:
      let values = try numbers(field, spans)
      let types = (0..<4).reduce(UInt8(0)) { values.contains(UInt128($1)) ? $0 | 1 << UInt8($1) : $0 }
      matches.append(Match(.packetTypes(PacketTypes(rawValue: types)), isNegated: isNegated))
    case .day:
      let values = try numbers(field, spans)
      let days = (0..<7).reduce(UInt8(0)) { values.contains(UInt128($1)) ? $0 | 1 << UInt8($1) : $0 }
      matches.append(Match(.days(Weekdays(rawValue: days)), isNegated: isNegated))
    case .hour: try hours(try numbers(field, spans), isNegated)
    case .securityPath:
      let isIPsec = try flag(field, spans)
      matches.append(Match(.ipsec, isNegated: isNegated == isIPsec))
    case .inputInterface, .outputInterface: throw LiftError("an interface by its index")
    case .mark: break
    }
  }

  private mutating func conntrack(
    _ key: Expression.ConntrackKey, _ field: LoadedField, _ spans: [Span], _ isNegated: Bool
  ) throws(LiftError) {
    switch key {
    case .mark:
      // A packet without a connection has no mark, and the kernel ends the rule.
      if isNegated { hasEntry() }
      try mark(.connmark, field, spans, isNegated)
    case .state:
      guard field.mask == nil else {
        let bits = try anyBit(field, spans, isNegated)
        guard ConntrackStates.all.isSuperset(of: ConntrackStates(rawValue: bits.mask)) else {
          throw LiftError("a state that the model has no word for")
        }
        return matches.append(
          Match(.states(ConntrackStates(rawValue: bits.mask).intersection(.all)), isNegated: !bits.isAny))
      }
      let values = try numbers(field, spans)
      var states: ConntrackStates = []
      for bit in [1, 2, 4, 8, 64] as [UInt32] where values.contains(UInt128(bit)) {
        states.insert(ConntrackStates(rawValue: bit))
      }
      matches.append(Match(.states(states), isNegated: isNegated))
    case .status:
      let bits = try anyBit(field, spans, isNegated)
      let known: ConntrackStatus = [.expected, .seenReply, .assured, .confirmed, .snat, .dnat, .dying]
      guard known.isSuperset(of: ConntrackStatus(rawValue: bits.mask)) else {
        throw LiftError("a bit of a connection's status that the model has no word for")
      }
      if !bits.isAny { hasEntry() }
      matches.append(Match(.status(ConntrackStatus(rawValue: bits.mask)), isNegated: !bits.isAny))
    case .direction: throw LiftError("a direction of a connection")
    }
  }

  /// Only these states have an entry.
  private mutating func hasEntry() { matches.append(Match(.states([.new, .established, .related]))) }

  /// `value & mask != 0`, or `== 0`.
  private func anyBit(
    _ field: LoadedField, _ spans: [Span], _ isNegated: Bool
  ) throws(LiftError) -> (mask: UInt32, isAny: Bool) {
    guard let mask = field.mask, spans.count == 1, spans[0].lower == spans[0].upper,
      spans[0].lower.allSatisfy({ $0 == 0 })
    else { throw LiftError("bits that are compared with a value") }
    return (UInt32(truncatingIfNeeded: Self.number(Array(mask.reversed()))), isNegated)
  }

  private mutating func fib(
    _ result: Expression.FIBResult, _ flags: UInt32, _ field: LoadedField, _ spans: [Span], _ isNegated: Bool
  ) throws(LiftError) {
    if result == .outputInterface, flags == Self.reversePath, field.mask == nil {
      let isPresent = try flag(field, spans)
      return matches.append(Match(.spoofed, isNegated: isNegated != isPresent))
    }
    guard field.mask == nil, result == .addressType,
      flags == Self.sourceAddress || flags == Self.destinationAddress
    else {
      throw LiftError("a question to the routing table that the model has no clause for")
    }
    var found = AddressMatch(addresses: AddressSet())
    let values = try numbers(field, spans)
    guard values.subtracting(IntervalSet([AddressRange(Self.localType, Self.broadcastType)])).isEmpty else {
      throw LiftError("an address type that the model has no word for")
    }
    if values.contains(Self.broadcastType) { found.specials.append(.broadcast) }
    if values.contains(Self.localType) { found.specials.append(.local) }
    matches.append(
      Match(.addresses(flags == Self.sourceAddress ? .source : .destination, found), isNegated: isNegated))
  }
}
