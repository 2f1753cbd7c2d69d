import NFTables
import PolicyModel
import Ruleset
import Testing

/// Packed elements become the messages that the same elements become as objects, which libnftnl writes.
@Suite struct PackedElementTests {
  private func messages(_ elements: ElementList, _ keyType: KernelSet.KeyType, _ isInterval: Bool) throws
    -> [EncodedMessage]
  {
    let set = KernelSet(name: "s", keyType: keyType, isInterval: isInterval, elements: elements)
    let table = Table(family: .inet, name: "t", comment: nil, objects: [], sets: [set], chains: [])
    return try BatchEncoder.encode(Ruleset(tables: [table])) { _ in 0 }
  }

  private func expectSame<V>(_ ranges: [AddressRange<V>], _ keyType: KernelSet.KeyType) throws {
    let packed = ElementList(packing: ranges)
    #expect(packed.count == ranges.count)
    let isInterval = ranges.contains { $0.lower != $0.upper }
    #expect(
      try messages(packed, keyType, isInterval) == messages(ElementList(Array(packed)), keyType, isInterval))
    // Single keys may stand in an interval set too.
    #expect(try messages(packed, keyType, true) == messages(ElementList(Array(packed)), keyType, true))
  }

  @Test func edges() throws {
    try expectSame([IPv4Range](), .ipv4Address)
    try expectSame([IPv4Range(0, 0)], .ipv4Address)
    try expectSame([IPv4Range(0, .max)], .ipv4Address)
    try expectSame([IPv4Range(5, 5), IPv4Range(0xff, 0xffff), IPv4Range(.max - 1, .max)], .ipv4Address)
    try expectSame([IPv6Range(0, 0xff), IPv6Range(1 << 64, (1 << 64) + 0xffff)], .ipv6Address)
    try expectSame([IPv6Range(.max, .max)], .ipv6Address)
  }

  /// More than one message, by number and by length.
  @Test func severalMessages() throws {
    try expectSame((0..<5000).map { IPv4Range($0 * 4, $0 * 4 + 1) }, .ipv4Address)
    try expectSame((0..<5000).map { IPv4Range($0 * 4, $0 * 4) }, .ipv4Address)
    try expectSame(
      (0..<5000).map { IPv6Range(UInt128($0 * 4) << 64, UInt128($0 * 4 + 1) << 64) }, .ipv6Address)
  }

  @Test func whatTheKernelWouldRefuse() {
    for ranges in [
      [IPv4Range(5, 9), IPv4Range(9, 12)], [IPv4Range(5, 9), IPv4Range(1, 2)],
      [IPv4Range(5, 5), IPv4Range(5, 5)],
    ] {
      #expect(throws: NFTablesError.self) {
        try messages(ElementList(packing: ranges), .ipv4Address, true)
      }
    }
    #expect(throws: NFTablesError.self) {
      try messages(ElementList(packing: [IPv4Range(1, 2)]), .ipv4Address, false)
    }
    #expect(throws: NFTablesError.self) {
      try messages(ElementList(packing: [IPv4Range(1, 2)]), .ipv6Address, true)
    }
  }
}
