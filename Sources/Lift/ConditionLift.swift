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
  /// Of interfaces that are asked for by their numbers the names.
  var interfaces = Self.firstInterface
  /// Whether everything must be read in full.
  var isStrict = true
  /// No packet meets them.
  private(set) var isNever = false
  /// Packets of which nobody can tell whether they meet what was asked last.
  private var open: [(conditions: ConditionLift, reason: String)] = []

  /// LOOPBACK_IFINDEX: the first interface of each network namespace.
  static let firstInterface: [UInt32: String] = [1: "lo"]

  /// Each key of several fields becomes a rule of its own.
  static let mostAlternatives = 1_000

  /// A span of register bytes, both ends inside.
  typealias Span = (lower: [UInt8], upper: [UInt8])

  // IPPROTO_*; of netfilter.h NFPROTO_*; ARPHRD_ETHER.
  static let withPorts: [UInt8] = [6, 17, 33, 132, 136]
  static let tcp: UInt8 = 6
  static let icmp: UInt8 = 1
  static let icmpv6: UInt8 = 58
  /// Headers of IPv6 that stand before the transport protocol's (ipv6_ext_hdr).
  static let extensionHeaders: Set<UInt8> = [0, 43, 44, 51, 60]
  private static let ipv4Family: UInt128 = 2
  private static let ipv6Family: UInt128 = 10
  private static let ethernet: UInt128 = 1
  // NFTA_FIB_F_SADDR, _DADDR, _IIF, _PRESENT.
  private static let sourceAddress: UInt32 = 1
  private static let destinationAddress: UInt32 = 2
  private static let reversePath: UInt32 = 1 | 8

  init(_ families: Families = .both) { self.families = families }

  /// Whether they ask for what connection tracking knows.
  var asksConnection: Bool {
    matches.contains { match in
      switch match.condition {
      case .states, .status, .mark(.connmark, _): true
      default: false
      }
    }
  }

  // MARK: What nobody can tell

  /// Of packets that meet these too nobody can tell whether they meet what is asked.
  mutating func leaveOpen(
    because reason: String, _ narrow: (inout ConditionLift) throws(LiftError) -> Void
  ) throws(LiftError) {
    guard !isStrict else { throw LiftError(reason) }
    var conditions = self
    conditions.open = []
    try narrow(&conditions)
    if !conditions.isNever { open.append((conditions, reason)) }
  }

  /// No packet surely meets what is asked.
  mutating func never() {
    isNever = true
    // For who looks at the conditions alone.
    matches.append(Match(.protocols([])))
  }

  mutating func takeOpen() -> [(conditions: ConditionLift, reason: String)] {
    defer { open = [] }
    return open
  }

  /// Conditions of which one must hold too; no packet meets two of them.
  mutating func requireOne(of found: [[Match]]) throws(LiftError) {
    let all = alternatives.map { before in before.flatMap { one in found.map { one + $0 } } } ?? found
    guard all.count <= Self.mostAlternatives else { throw LiftError("look-ups of many fields and keys") }
    alternatives = all
  }

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
    let most = field.mask ?? [UInt8](repeating: 0xff, count: value.count)
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
      try add(field, [(value, most)], isNegated: false)
    case .lessOrEqual:
      try add(field, [([UInt8](repeating: 0, count: value.count), value)], isNegated: false)
    case .less:
      guard value.contains(where: { $0 != 0 }) else { return never() }
      let last = Self.bytes(Self.number(value) - 1, value.count)
      try add(field, [([UInt8](repeating: 0, count: value.count), last)], isNegated: false)
    case .greater:
      guard value.contains(where: { $0 != 0xff }) else { return never() }
      let first = Self.bytes(Self.number(value) + 1, value.count)
      guard !most.lexicographicallyPrecedes(first) else { return never() }
      try add(field, [(first, most)], isNegated: false)
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
    if isNegated { return try requireOne(of: try complement(of: parts, fields[...])) }
    var found: [[Match]] = []
    for part in parts {
      var conditions = fresh()
      for (field, span) in zip(fields, part) { try conditions.add(field, [span], isNegated: false) }
      found += try conditions.alone()
    }
    try requireOne(of: found)
  }

  /// What one key of several fields asks.
  func alone() throws(LiftError) -> [[Match]] {
    guard open.isEmpty, families == familiesBefore else {
      throw LiftError("a look-up of a field that the model has not, beside others")
    }
    if isNever { return [] }
    return alternatives.map { $0.map { matches + $0 } } ?? [matches]
  }

  /// Where they stand beside others.
  private var familiesBefore = Families.both

  /// Conditions behind what was said about family and protocol.
  func fresh() -> ConditionLift {
    var conditions = ConditionLift()
    (conditions.families, conditions.protocols) = (families, protocols)
    (conditions.interfaces, conditions.isStrict) = (interfaces, isStrict)
    conditions.familiesBefore = families
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
      // Of a range those are no values.
      for span in spans
      where span.lower == span.upper && zip(span.lower, mask).contains(where: { $0 & ~$1 != 0 }) {
        throw LiftError("a value with bits outside of its mask")
      }
    }
    switch field.source {
    case .meta(let key): try meta(key, field, spans, isNegated)
    case .linkProtocol: try linkProtocol(field, spans, isNegated)
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
    case .inputInterface: try interfaces(byNumber: try numbers(field, spans), .input, isNegated: isNegated)
    case .outputInterface: try interfaces(byNumber: try numbers(field, spans), .output, isNegated: isNegated)
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
    case .status where field.mask != nil && !isNegated && Self.isSingle(spans, { $0 != 0 }):
      try status(field, spans)
    case .status:
      let bits = try anyBit(field, spans, isNegated)
      guard Self.knownStatus.isSuperset(of: ConntrackStatus(rawValue: bits.mask)) else {
        throw LiftError("a bit of a connection's status that the model has no word for")
      }
      if !bits.isAny { hasEntry() }
      matches.append(Match(.status(ConntrackStatus(rawValue: bits.mask)), isNegated: !bits.isAny))
    case .direction:
      let values = try numbers(field, spans)
      let (isOriginal, isReply) = (values.contains(0) != isNegated, values.contains(1) != isNegated)
      guard isOriginal != isReply else { throw LiftError("a direction of a connection that is none") }
      try direction(isOriginal: isOriginal)
    }
  }

  /// A packet that opens a connection has its direction; others may have either.
  mutating func direction(isOriginal: Bool) throws(LiftError) {
    try leaveOpen(because: "a direction of a connection") { (conditions) throws(LiftError) in
      conditions.matches.append(Match(.states([.established, .related])))
    }
    if isOriginal { matches.append(Match(.states(.new))) } else { never() }
  }

  static let knownStatus: ConntrackStatus = [
    .expected, .seenReply, .assured, .confirmed, .snat, .dnat, .dying,
  ]

  private static func isSingle(_ spans: [Span], _ holds: (UInt8) -> Bool) -> Bool {
    spans.count == 1 && spans[0].lower == spans[0].upper && spans[0].lower.contains(where: holds)
  }

  /// `value & mask == bits`: each bit is there, or is not.
  private mutating func status(_ field: LoadedField, _ spans: [Span]) throws(LiftError) {
    let mask = UInt32(truncatingIfNeeded: Self.number(Array((field.mask ?? []).reversed())))
    let value = UInt32(truncatingIfNeeded: Self.number(Array(spans[0].lower.reversed())))
    guard Self.knownStatus.isSuperset(of: ConntrackStatus(rawValue: mask)) else {
      throw LiftError("a bit of a connection's status that the model has no word for")
    }
    if value != mask { hasEntry() }
    for bit in (0..<32).map({ UInt32(1) << $0 }) where mask & bit != 0 {
      matches.append(Match(.status(ConntrackStatus(rawValue: bit)), isNegated: value & bit == 0))
    }
  }

  /// Only these states have an entry.
  mutating func hasEntry() { matches.append(Match(.states([.new, .established, .related]))) }

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
    // NFTA_FIB_F_PRESENT: 1 if there is one, else its number, and 0 if there is none.
    if result == .outputInterface, flags & ~32 == Self.reversePath, field.mask == nil {
      let isPresent: Bool
      if flags & 32 != 0 {
        isPresent = try flag(field, spans)
      } else {
        guard try numbers(field, spans).ranges == [AddressRange(0, 0)] else {
          throw LiftError("an interface that the routing table names")
        }
        isPresent = false
      }
      return matches.append(Match(.spoofed, isNegated: isNegated != isPresent))
    }
    guard field.mask == nil, result == .addressType,
      flags == Self.sourceAddress || flags == Self.destinationAddress
    else {
      throw LiftError("a question to the routing table that the model has no clause for")
    }
    let values = try numbers(field, spans)
    try addressTypes(
      Set((0..<16).filter { values.contains(UInt128($0)) }),
      flags == Self.sourceAddress ? .source : .destination, isNegated: isNegated)
  }
}
