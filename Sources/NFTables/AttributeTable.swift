/// One attribute of a message: its type without flags, and where its payload and the next attribute begin.
struct AttributeRange {
  let type: UInt32
  let payload: Range<Int>
  /// May lie behind the end of what holds it: the last attribute may come without its padding.
  let end: Int

  // struct nlattr and NLA_TYPE_MASK of linux/netlink.h.
  private static let headerLength = 4
  private static let typeMask: UInt16 = 0x3fff

  /// Nil where no whole attribute begins at `position`.
  init?(_ bytes: RawSpan, at position: Int, before limit: Int) {
    guard limit <= bytes.byteCount, position + Self.headerLength <= limit else { return nil }
    let length = Int(bytes.uint16(at: position))
    guard length >= Self.headerLength, position + length <= limit else { return nil }
    let number = bytes.uint16(at: position + 2)
    type = UInt32(number & Self.typeMask)
    payload = position + Self.headerLength..<position + length
    end = position + ((length + 3) & ~3)
  }
}

/// Where the attributes of one nest stand in a message: at most 16 types, each at most once.
struct AttributeTable {
  private static let count = 16

  /// A bit for each type that is there.
  let seen: UInt32
  // No `InlineArray`: Swift 6.3.1 with -O leaves `seen` 0 beside one.
  private let starts: SIMD16<UInt16>
  private let ends: SIMD16<UInt16>

  /// Nil for what is no list of such attributes.
  init?(_ bytes: RawSpan, _ nest: Range<Int>) {
    // What is longer than the numbers of places reach is read elsewhere.
    guard nest.upperBound <= Int(UInt16.max) else { return nil }
    var seen: UInt32 = 0
    var (starts, ends): (SIMD16<UInt16>, SIMD16<UInt16>) = (.zero, .zero)
    var position = nest.lowerBound
    while position < nest.upperBound {
      guard let attribute = AttributeRange(bytes, at: position, before: nest.upperBound),
        attribute.type < Self.count, seen & 1 << attribute.type == 0
      else { return nil }
      seen |= 1 << attribute.type
      starts[Int(attribute.type)] = UInt16(truncatingIfNeeded: attribute.payload.lowerBound)
      ends[Int(attribute.type)] = UInt16(truncatingIfNeeded: attribute.payload.upperBound)
      position = attribute.end
    }
    (self.seen, self.starts, self.ends) = (seen, starts, ends)
  }

  /// Whether all of the first are there, and of others only those of the second.
  func holdsExactly(_ wanted: UInt32, orAlso allowed: UInt32) -> Bool {
    seen & wanted == wanted && seen & ~(wanted | allowed) == 0
  }

  func has(_ type: some RawRepresentable<UInt32>) -> Bool { seen & 1 << type.rawValue != 0 }

  /// Its payload; empty where it is not there.
  subscript(_ type: some RawRepresentable<UInt32>) -> Range<Int> {
    Int(starts[Int(type.rawValue)])..<Int(ends[Int(type.rawValue)])
  }

  /// A number of four bytes, the most significant first.
  func uint32(_ bytes: RawSpan, _ type: some RawRepresentable<UInt32>) -> UInt32? {
    let place = self[type]
    guard place.count == 4 else { return nil }
    return UInt32(bigEndian: bytes.uint32(at: place.lowerBound))
  }
}

extension RawSpan {
  /// One byte; it must be inside.
  func byte(_ position: Int) -> UInt8 {
    // SAFETY: the load asks whether it is, and so do those of numbers.
    unsafe unsafeLoad(fromByteOffset: position, as: UInt8.self)
  }

  /// A number as it stands in memory; it must be inside.
  func uint16(at position: Int) -> UInt16 {
    unsafe unsafeLoadUnaligned(fromByteOffset: position, as: UInt16.self)
  }

  func uint32(at position: Int) -> UInt32 {
    unsafe unsafeLoadUnaligned(fromByteOffset: position, as: UInt32.self)
  }

  func uint128(at position: Int) -> UInt128 {
    unsafe unsafeLoadUnaligned(fromByteOffset: position, as: UInt128.self)
  }
}
