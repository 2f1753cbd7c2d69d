/// Reads little-endian fields, one section after the other. No field reaches past `end`.
///
/// What fails first is noted, and from then on nothing is left to read: numbers are 0 and ranges empty. So a record is
/// read whole, and who reads it asks once for `isGood` before going by it.
struct ByteCursor {
  let bytes: [UInt8]
  private(set) var section = BundleSection.header
  private(set) var offset: Int
  /// INVARIANT: offset <= end <= bytes.count.
  private(set) var end: Int
  private(set) var failure: BundleError?

  /// - Precondition: `range` lies in `bytes`.
  init(_ bytes: [UInt8], _ range: Range<Int>) {
    self.bytes = bytes
    (offset, end) = (0, 0)
    enter(.header, range)
  }

  var isGood: Bool { failure == nil }

  /// Goes to the start of a section; after a failure, to nothing.
  ///
  /// - Precondition: `range` lies in `bytes`.
  @inline(never)
  mutating func enter(_ section: BundleSection, _ range: Range<Int>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= bytes.count, "a section inside the file")
    guard isGood else { return }
    self.section = section
    (offset, end) = (range.lowerBound, range.upperBound)
  }

  /// A section holds its entries and nothing else.
  mutating func leave() { if offset != end { fail(at: offset, .countMismatch) } }

  @inline(never)
  mutating func fail(at offset: Int, _ reason: BundleError.Reason) {
    if isGood { failure = BundleError(section, at: offset, reason) }
    end = self.offset
  }

  /// Empty where so many are not left.
  @inline(never)
  mutating func take(_ count: Int) -> Range<Int> {
    guard count >= 0, count <= end - offset else {
      fail(at: offset, .truncated)
      return offset..<offset
    }
    let range = offset..<(offset + count)
    offset += count
    return range
  }

  mutating func integer<Value: FixedWidthInteger & UnsignedInteger>(_ type: Value.Type = Value.self) -> Value
  {
    Value(truncatingIfNeeded: number(MemoryLayout<Value>.size))
  }

  /// A number of four bytes that names one of some kinds, which have one: 255, which none has, for all above.
  mutating func kind() -> UInt8 { UInt8(clamping: number(4)) }

  @inline(never)
  private mutating func number(_ count: Int) -> UInt64 {
    let range = take(count)
    var value: UInt64 = 0
    var index = range.upperBound
    while index > range.lowerBound {
      index -= 1
      value = value << 8 | UInt64(bytes[index])
    }
    return value
  }

  /// Skips the zeros up to the next multiple of `alignment`.
  @inline(never)
  mutating func pad(to alignment: Int) {
    let padding = take(BundleLayout.aligned(offset, to: alignment) - offset)
    for index in padding where bytes[index] != 0 { return fail(at: index, .paddingNotZero) }
  }

  /// Text that a terminal can print: not one control character. Tabs may stand in values of the kernel.
  @inline(never)
  mutating func text(_ count: UInt32, mayBeEmpty: Bool = false, mayHaveTabs: Bool = false) -> Range<Int> {
    let range = take(Int(count))
    if range.isEmpty, !mayBeEmpty { fail(at: range.lowerBound, .badText) }
    for index in range {
      let byte = bytes[index]
      guard byte >= 0x20 && byte != 0x7f || (mayHaveTabs && byte == 0x09) else {
        fail(at: index, .badText)
        break
      }
    }
    return range
  }

  /// The source of a record: 1-based, 0 for none.
  @inline(never)
  mutating func source(of count: Int) -> UInt32 {
    let start = offset
    let source: UInt32 = integer()
    if source > UInt32(clamping: count) { fail(at: start, .unknownSource) }
    return source
  }
}
