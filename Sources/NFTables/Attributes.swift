/// The attributes of a message or a nest, bounds-checked.
///
/// libnftnl's parsers are not used to read: they drop attributes they do not know and refuse a whole rule for
/// one expression they do not know, and a reader that must not guess can afford neither.
struct Attributes {
  struct Attribute: Equatable {
    /// Without the NESTED and NET_BYTEORDER bits: the kernel sets the first on some nests and not on others.
    var type: UInt16
    var payload: ArraySlice<UInt8>
  }

  private(set) var all: [Attribute] = []

  // linux/netlink.h NLA_TYPE_MASK: the two upper bits are flags.
  private static let typeMask: UInt16 = 0x3fff
  private static let headerLength = 4

  init(_ bytes: ArraySlice<UInt8>, what: String) throws(NFTablesError) {
    var rest = bytes
    while !rest.isEmpty {
      guard rest.count >= Self.headerLength else { throw .malformed(what: what, offset: rest.startIndex) }
      let start = rest.startIndex
      let length = Int(HostOrder.uint16(rest))
      guard length >= Self.headerLength, length <= rest.count else {
        throw .malformed(what: what, offset: start)
      }
      let type = HostOrder.uint16(rest.dropFirst(2)) & Self.typeMask
      all.append(Attribute(type: type, payload: rest[(start + Self.headerLength)..<(start + length)]))
      // The last attribute may come without its padding.
      rest = rest.dropFirst((length + 3) & ~3)
    }
  }

  /// The payload of the attribute; of several the last, which is the one the kernel takes.
  subscript(_ type: some RawRepresentable<UInt32>) -> ArraySlice<UInt8>? {
    self[number: UInt16(truncatingIfNeeded: type.rawValue)]
  }

  subscript(number type: UInt16) -> ArraySlice<UInt8>? {
    all.last { $0.type == type }?.payload
  }

  /// A NUL-terminated string; without its NUL in object references, where libnftnl leaves it out.
  func string(_ type: some RawRepresentable<UInt32>) -> String? {
    self[type].map(Self.string)
  }

  static func string(_ payload: ArraySlice<UInt8>) -> String {
    String(decoding: payload.prefix { $0 != 0 }, as: UTF8.self)
  }

  func uint32(_ type: some RawRepresentable<UInt32>) -> UInt32? {
    self[type].flatMap(NetworkOrder.uint32)
  }

  func uint64(_ type: some RawRepresentable<UInt32>) -> UInt64? {
    self[type].flatMap(NetworkOrder.uint64)
  }
}

/// Numbers in the byte order of the machine: netlink's own headers.
enum HostOrder {
  /// INVARIANT: `bytes` has at least 2 bytes.
  static func uint16(_ bytes: ArraySlice<UInt8>) -> UInt16 {
    let start = bytes.startIndex
    return UInt16(littleEndian: UInt16(bytes[start]) | UInt16(bytes[start + 1]) << 8)
  }

  /// INVARIANT: `bytes` has at least 4 bytes.
  static func uint32(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    var value: UInt32 = 0
    for (shift, byte) in zip([0, 8, 16, 24] as [UInt32], bytes) { value |= UInt32(byte) << shift }
    return UInt32(littleEndian: value)
  }
}

/// Numbers in network byte order: nf_tables' attributes. Nil for another length.
enum NetworkOrder {
  static func uint16(_ bytes: ArraySlice<UInt8>) -> UInt16? {
    guard bytes.count == 2 else { return nil }
    return bytes.reduce(0) { $0 << 8 | UInt16($1) }
  }

  static func uint32(_ bytes: ArraySlice<UInt8>) -> UInt32? {
    guard bytes.count == 4 else { return nil }
    return bytes.reduce(0) { $0 << 8 | UInt32($1) }
  }

  static func uint64(_ bytes: ArraySlice<UInt8>) -> UInt64? {
    guard bytes.count == 8 else { return nil }
    return bytes.reduce(0) { $0 << 8 | UInt64($1) }
  }
}
