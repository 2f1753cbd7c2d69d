package import Ruleset

/// nft's numbers for key types. The kernel keeps them opaque; nft prints by them.
/// They are nft's `enum datatypes`, which is part of its interface with older rulesets and never renumbered.
extension KernelSet.KeyType {
  private static let numbers: [(type: KernelSet.KeyType, number: UInt32)] = [
    (.family, 2), (.ipv4Address, 7), (.ipv6Address, 8), (.inetProtocol, 12), (.inetService, 13),
    (.icmpType, 14),
    (.uid, 24), (.gid, 25), (.conntrackState, 26), (.icmpv6Type, 29), (.icmpCode, 32), (.icmpv6Code, 33),
    (.fibAddressType, 38), (.interfaceName, 41), (.timeToLive, 4), (.packetLength, 4), (.linkAddress, 9),
    (.mark, 19), (.packetType, 31), (.dscp, 36), (.ipv6DSCP, 36), (.day, 45), (.controlGroup, 46),
  ]

  // Each field of a concatenation takes this many bits of the number (TYPE_BITS).
  private static let bitsPerField: UInt32 = 6

  /// NFTA_SET_KEY_TYPE.
  var number: UInt32 {
    if case .concatenation(let fields) = self {
      return fields.reduce(0) { $0 << Self.bitsPerField | $1.number }
    }
    // Every plain type is in the table; 0 is nft's TYPE_INVALID.
    return Self.numbers.first { $0.type == self }?.number ?? 0
  }

  /// The type with this number; nil for types that we never write. Some share a number and differ in length.
  init?(number: UInt32, length: UInt32) {
    if let known = Self.numbers.first(where: { $0.number == number && $0.type.fieldLength == length }) {
      self = known.type
      return
    }
    var fields: [KernelSet.KeyType] = []
    var rest = number
    while rest != 0 {
      let field = rest & (1 << Self.bitsPerField - 1)
      guard let known = Self.numbers.first(where: { $0.number == field }) else { return nil }
      fields.insert(known.type, at: 0)
      rest >>= Self.bitsPerField
    }
    guard fields.count > 1 else { return nil }
    self = .concatenation(fields)
  }

  /// Bytes of one field, without padding.
  private var fieldLength: Int {
    switch self {
    case .family, .inetProtocol, .icmpType, .icmpCode, .icmpv6Type, .icmpv6Code, .dscp, .timeToLive,
      .packetType, .day:
      1
    case .inetService, .ipv6DSCP: 2
    case .ipv4Address, .conntrackState, .uid, .gid, .fibAddressType, .mark, .packetLength: 4
    case .linkAddress: 6
    case .controlGroup: 8
    case .ipv6Address, .interfaceName: 16
    case .concatenation: keyLength
    }
  }

  /// NFTA_SET_KEY_LEN: bytes of a key. In a concatenation each field fills whole 4-byte registers.
  package var keyLength: Int {
    if case .concatenation(let fields) = self {
      return fields.reduce(0) { $0 + ($1.fieldLength + 3) & ~3 }
    }
    return fieldLength
  }

  /// NFTA_SET_FIELD_LEN of each field, without padding; empty unless it is a concatenation.
  var concatenatedLengths: [UInt8] {
    guard case .concatenation(let fields) = self else { return [] }
    return fields.map { UInt8(truncatingIfNeeded: $0.fieldLength) }
  }

  var byteOrder: Userdata.KeyByteOrder {
    switch self {
    case .ipv4Address, .ipv6Address, .inetService, .icmpType, .icmpCode, .icmpv6Type, .icmpv6Code, .dscp,
      .ipv6DSCP, .timeToLive, .linkAddress:
      .network
    case .family, .inetProtocol, .interfaceName, .conntrackState, .uid, .gid, .fibAddressType, .mark,
      .packetLength,
      .packetType, .day, .controlGroup:
      .host
    case .concatenation: .none
    }
  }
}
