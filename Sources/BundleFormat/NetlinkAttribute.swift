/// One attribute of a netlink message: struct nlattr, linux/netlink.h, in little-endian order.
package struct NetlinkAttribute {
  /// Without the flags NLA_F_NESTED and NLA_F_NET_BYTEORDER.
  package var number: UInt16
  package var isNested: Bool
  package var payload: Range<Int>
  /// Where the next one begins, padding skipped.
  package var next: Int

  // sizeof(struct nlattr).
  package static var headerLength: Int { 4 }
  // NLA_F_NESTED, linux/netlink.h.
  package static var nestedFlag: UInt16 { 0x8000 }
  // NLA_TYPE_MASK: neither of the two flags.
  private static let numberMask: UInt16 = 0x3fff

  /// The attribute at `offset`; nil where its length is wrong or reaches past `end`.
  ///
  /// - Precondition: `end` is at most `bytes.count`.
  package init?(_ bytes: [UInt8], at offset: Int, end: Int) {
    guard offset >= 0, end - offset >= Self.headerLength else { return nil }
    let length = Int(bytes[offset]) | Int(bytes[offset + 1]) << 8
    guard length >= Self.headerLength, length <= end - offset else { return nil }
    let type = UInt16(bytes[offset + 2]) | UInt16(bytes[offset + 3]) << 8
    number = type & Self.numberMask
    isNested = type & Self.nestedFlag != 0
    payload = (offset + Self.headerLength)..<(offset + length)
    // The last one may come without its padding.
    next = min(BundleLayout.aligned(offset + length, to: 4), end)
  }
}

/// The fields of struct nlmsghdr and struct nfgenmsg that come before a message's attributes.
package struct NetlinkHeader {
  package var length: Int
  package var type: UInt16
  package var flags: UInt16
  package var sequence: UInt32
  package var port: UInt32

  // sizeof(struct nlmsghdr), and with struct nfgenmsg behind it.
  package static var byteCount: Int { 16 }
  package static var byteCountWithFamily: Int { 20 }

  /// The header at `offset`; nil where the message does not lie in `offset..<end`.
  ///
  /// - Precondition: `end` is at most `bytes.count`.
  package init?(_ bytes: [UInt8], at offset: Int, end: Int) {
    guard offset >= 0, end - offset >= Self.byteCount else { return nil }
    let length = Self.word(bytes, offset)
    guard length >= UInt32(Self.byteCount), UInt64(length) <= UInt64(end - offset) else { return nil }
    self.length = Int(length)
    type = UInt16(bytes[offset + 4]) | UInt16(bytes[offset + 5]) << 8
    flags = UInt16(bytes[offset + 6]) | UInt16(bytes[offset + 7]) << 8
    sequence = Self.word(bytes, offset + 8)
    port = Self.word(bytes, offset + 12)
  }

  private static func word(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
    UInt32(bytes[offset]) | UInt32(bytes[offset + 1]) << 8 | UInt32(bytes[offset + 2]) << 16
      | UInt32(bytes[offset + 3]) << 24
  }
}
