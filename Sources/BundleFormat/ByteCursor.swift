/// Reads little-endian fields of one section. No field reaches past `end`.
struct ByteCursor {
  let bytes: [UInt8]
  let section: BundleSection
  private(set) var offset: Int
  /// INVARIANT: offset <= end <= bytes.count.
  let end: Int

  /// - Precondition: `range` lies in `bytes`.
  init(_ bytes: [UInt8], _ range: Range<Int>, section: BundleSection) {
    precondition(range.lowerBound >= 0 && range.upperBound <= bytes.count, "a section inside the file")
    self.bytes = bytes
    self.section = section
    offset = range.lowerBound
    end = range.upperBound
  }

  var isAtEnd: Bool { offset == end }

  @inline(never)
  mutating func take(_ count: Int) throws(BundleError) -> Range<Int> {
    guard count >= 0, count <= end - offset else { throw BundleError(section, at: offset, .truncated) }
    let range = offset..<(offset + count)
    offset += count
    return range
  }

  mutating func integer<Value: FixedWidthInteger & UnsignedInteger>(_ type: Value.Type = Value.self)
    throws(BundleError) -> Value
  {
    Value(truncatingIfNeeded: try number(MemoryLayout<Value>.size))
  }

  @inline(never)
  private mutating func number(_ count: Int) throws(BundleError) -> UInt64 {
    let range = try take(count)
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
  mutating func pad(to alignment: Int) throws(BundleError) {
    let padding = try take(BundleLayout.aligned(offset, to: alignment) - offset)
    for index in padding where bytes[index] != 0 { throw BundleError(section, at: index, .paddingNotZero) }
  }

  /// Text that a terminal can print: not one control character. Tabs may stand in values of the kernel.
  @inline(never)
  mutating func text(_ count: UInt32, mayBeEmpty: Bool = false, mayHaveTabs: Bool = false)
    throws(BundleError) -> Range<Int>
  {
    let range = try take(Int(count))
    guard mayBeEmpty || !range.isEmpty else { throw BundleError(section, at: range.lowerBound, .badText) }
    for index in range {
      let byte = bytes[index]
      guard byte >= 0x20 && byte != 0x7f || (mayHaveTabs && byte == 0x09) else {
        throw BundleError(section, at: index, .badText)
      }
    }
    return range
  }
}
