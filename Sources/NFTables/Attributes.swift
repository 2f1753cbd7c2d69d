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

  /// INVARIANT: whole attributes, one behind the other.
  private let bytes: ArraySlice<UInt8>

  // linux/netlink.h NLA_TYPE_MASK: the two upper bits are flags.
  private static let typeMask: UInt16 = 0x3fff
  private static let headerLength = 4

  init(_ bytes: ArraySlice<UInt8>, what: String) throws(NFTablesError) {
    var position = bytes.startIndex
    while position < bytes.endIndex {
      let left = bytes.endIndex - position
      guard left >= Self.headerLength else { throw .malformed(what: what, offset: position) }
      let length = Int(Self.uint16(bytes, position))
      guard length >= Self.headerLength, length <= left else {
        throw .malformed(what: what, offset: position)
      }
      // The last attribute may come without its padding.
      position += (length + 3) & ~3
    }
    self.bytes = bytes
  }

  private static func uint16(_ bytes: ArraySlice<UInt8>, _ position: Int) -> UInt16 {
    UInt16(littleEndian: UInt16(bytes[position]) | UInt16(bytes[position + 1]) << 8)
  }

  /// Gives each attribute's type and the place of its payload; ends where the body says that it has what it wants.
  private func visit(_ body: (UInt16, Range<Int>) -> Bool) {
    var position = bytes.startIndex
    while position < bytes.endIndex {
      let length = Int(Self.uint16(bytes, position))
      let type = Self.uint16(bytes, position + 2) & Self.typeMask
      guard body(type, position + Self.headerLength..<position + length) else { return }
      position += (length + 3) & ~3
    }
  }

  var isEmpty: Bool { bytes.isEmpty }

  var all: [Attribute] {
    var result: [Attribute] = []
    visit { type, payload in
      result.append(Attribute(type: type, payload: bytes[payload]))
      return true
    }
    return result
  }

  /// The payload of the attribute; of several the last, which is the one the kernel takes.
  subscript(_ type: some RawRepresentable<UInt32>) -> ArraySlice<UInt8>? {
    self[number: UInt16(truncatingIfNeeded: type.rawValue)]
  }

  subscript(number wanted: UInt16) -> ArraySlice<UInt8>? {
    var found: Range<Int>?
    visit { type, payload in
      if type == wanted { found = payload }
      return true
    }
    return found.map { bytes[$0] }
  }

  /// Whether every attribute is one of these, and none is there twice.
  func holdsOnly(_ types: [some RawRepresentable<UInt32>]) -> Bool {
    // None of nf_tables has a number of 64 or more.
    var left: UInt64 = 0
    for type in types { left |= 1 << UInt64(type.rawValue) }
    var holds = true
    visit { type, _ in
      let bit = type < 64 ? 1 << UInt64(type) : 0 as UInt64
      holds = left & bit != 0
      left &= ~bit
      return holds
    }
    return holds
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
