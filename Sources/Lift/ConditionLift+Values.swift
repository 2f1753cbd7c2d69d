import PolicyModel
import Ruleset

/// Numbers and names out of register bytes.
extension ConditionLift {
  mutating func interfaces(
    _ spans: [Span], _ side: InterfaceSide, isNegated: Bool, isPrefix: Bool
  ) throws(LiftError) {
    matches.append(
      Match(
        .interfaces(
          side, try spans.map { span throws(LiftError) in try Self.pattern(span, isPrefix) }.sorted()),
        isNegated: isNegated))
  }

  mutating func interfaces(
    byNumber values: IntervalSet<UInt128>, _ side: InterfaceSide, isNegated: Bool
  ) throws(LiftError) {
    let patterns = try values.ranges.map { range throws(LiftError) in
      guard range.lower == range.upper, let name = interfaces[UInt32(truncatingIfNeeded: range.lower)] else {
        throw LiftError("an interface by its number, which none has here")
      }
      return InterfacePattern(name)
    }
    matches.append(Match(.interfaces(side, patterns.sorted()), isNegated: isNegated))
  }

  /// Types of addresses by the routing table's numbers, RTN_* of linux/rtnetlink.h.
  mutating func addressTypes(
    _ types: Set<Int>, _ side: AddressSide, isNegated: Bool
  ) throws(LiftError) {
    // RTN_LOCAL, _BROADCAST, _MULTICAST; what these are not is one of several others.
    func match(_ types: Set<Int>) -> AddressMatch {
      var found = AddressMatch(addresses: types.contains(5) ? Self.multicast : AddressSet())
      if types.contains(3) { found.specials.append(.broadcast) }
      if types.contains(2) { found.specials.append(.local) }
      found.specials.sort { $0.rawValue < $1.rawValue }
      return found
    }
    let known: Set<Int> = [2, 3, 5]
    if types.isSubset(of: known) {
      return matches.append(Match(.addresses(side, match(types)), isNegated: isNegated))
    }
    try leaveOpen(because: "a type of addresses that the model has no word for") {
      (conditions) throws(LiftError) in
      conditions.matches.append(Match(.addresses(side, match(known)), isNegated: true))
    }
    let sure = isNegated ? known.subtracting(types) : known.intersection(types)
    if sure.isEmpty { never() } else { matches.append(Match(.addresses(side, match(sure)))) }
  }

  /// 224.0.0.0/4 and ff00::/8, which the routing table calls so.
  private static let multicast = AddressSet(
    ipv4: [IPv4Range(0xe000_0000, 0xefff_ffff)],
    ipv6: [AddressRange(UInt128(0xff) << 120, .max)])

  /// A name, or all that begin like it: 16 bytes with zeros behind it, or a span that ends in all ones.
  static func pattern(_ span: Span, _ isPrefix: Bool) throws(LiftError) -> InterfacePattern {
    let name = span.lower.prefix { $0 != 0 }
    let text = String(decoding: name, as: UTF8.self)
    guard span.lower.dropFirst(name.count).allSatisfy({ $0 == 0 }) else {
      throw LiftError("a name with something behind its end")
    }
    if isPrefix { return InterfacePattern(text, isPrefix: true) }
    if span.lower == span.upper { return InterfacePattern(text) }
    guard span.upper.starts(with: name), span.upper.dropFirst(name.count).allSatisfy({ $0 == 0xff }) else {
      throw LiftError("a range of interface names that is no prefix")
    }
    return InterfacePattern(text, isPrefix: true)
  }

  mutating func mark(
    _ kind: MarkKind, _ field: LoadedField, _ spans: [Span], _ isNegated: Bool
  ) throws(LiftError) {
    var mask: UInt32 = .max
    if let bytes = field.mask {
      mask = UInt32(truncatingIfNeeded: Self.number(Array(bytes.reversed())))
      guard spans.count == 1, spans[0].lower == spans[0].upper else {
        throw LiftError("several values of a mark under a mask")
      }
    }
    let values: [AddressRange<UInt32>] = try small(field, spans)
    matches.append(Match(.mark(kind, MarkValues(values, mask: mask)), isNegated: isNegated))
  }

  mutating func hours(_ values: IntervalSet<UInt128>, _ isNegated: Bool) throws(LiftError) {
    let day: UInt128 = 86_400
    // The kernel gives seconds of a day, so that the second bound of a comparison is that of the day.
    let ranges = values.intersection(IntervalSet([AddressRange(0, day - 1)])).ranges
    if ranges == [AddressRange(0, day - 1)], !isNegated { return }
    func hours(_ start: UInt128, _ last: UInt128) -> Match {
      Match(
        .hours(
          Hours(start: UInt32(truncatingIfNeeded: start), end: UInt32(truncatingIfNeeded: (last + 1) % day))),
        isNegated: isNegated)
    }
    if ranges.count == 1, ranges[0].upper < day, ranges[0].lower != (ranges[0].upper + 1) % day {
      matches.append(hours(ranges[0].lower, ranges[0].upper))
    } else if ranges.count == 2, ranges[0].lower == 0, ranges[1].upper == day - 1 {
      matches.append(hours(ranges[1].lower, ranges[0].upper))
    } else {
      throw LiftError("times of the day that are no span")
    }
  }

  func ids(
    _ field: LoadedField, _ spans: [Span], _ isNegated: Bool
  ) throws(LiftError) -> [AddressRange<UInt32>] {
    let values: [AddressRange<UInt32>] = try small(field, spans)
    guard isNegated else { return values }
    // Whose packet has no socket is of no id, and the kernel ends the rule.
    return IntervalSet<UInt32>([AddressRange(0, .max)]).subtracting(IntervalSet(values)).ranges
  }

  func codes(_ field: LoadedField, _ spans: [Span], unit: UInt128) throws(LiftError) -> [AddressRange<
    UInt8
  >] {
    try numbers(field, spans).ranges.map { range throws(LiftError) in
      let (first, last) = ((range.lower + unit - 1) / unit, min(63, range.upper / unit))
      guard first <= last else { throw LiftError("a code point between two") }
      return AddressRange(UInt8(truncatingIfNeeded: first), UInt8(truncatingIfNeeded: last))
    }
  }

  func flag(_ field: LoadedField, _ spans: [Span]) throws(LiftError) -> Bool {
    let ranges = try numbers(field, spans).ranges
    if ranges == [AddressRange(0, 0)] { return false }
    if ranges == [AddressRange(1, 1)] { return true }
    throw LiftError("a truth value other than 0 and 1")
  }

  func small<Value: FixedWidthInteger & UnsignedInteger & Sendable>(
    _ field: LoadedField, _ spans: [Span]
  ) throws(LiftError) -> [AddressRange<Value>] {
    try numbers(field, spans).ranges.map {
      AddressRange(Value(truncatingIfNeeded: $0.lower), Value(truncatingIfNeeded: $0.upper))
    }
  }

  func numbers(_ field: LoadedField, _ spans: [Span]) throws(LiftError) -> IntervalSet<UInt128> {
    var ranges: [AddressRange<UInt128>] = []
    for span in spans {
      if field.isLittleEndian {
        // Bytes of such numbers have another order than the numbers.
        guard span.lower == span.upper else { throw LiftError("a range of a number in host order") }
        let value = Self.number(Array(span.lower.reversed()))
        ranges.append(AddressRange(value, value))
      } else {
        let (lower, upper) = (Self.number(span.lower), Self.number(span.upper))
        guard lower <= upper else { throw LiftError("a range that runs downwards") }
        ranges.append(AddressRange(lower, upper))
      }
    }
    return IntervalSet(ranges)
  }

  static func number(_ bytes: [UInt8]) -> UInt128 { bytes.reduce(0) { $0 << 8 | UInt128($1) } }

  /// How many leading ones a mask has; nil: there is none, and all bits count.
  static func prefixLength(_ mask: [UInt8]?) throws(LiftError) -> UInt8? {
    guard let mask else { return nil }
    guard hostBits(mask) != nil else { throw LiftError("an address under a mask with gaps") }
    return UInt8(mask.reduce(0) { $0 + $1.nonzeroBitCount })
  }

  /// The bits behind leading ones; nil: ones that are not leading.
  static func hostBits(_ mask: [UInt8]) -> [UInt8]? {
    let host = mask.map { ~$0 }
    let value = number(host)
    return value & (value &+ 1) == 0 ? host : nil
  }
}
