import NFTables
import Ruleset
import Testing

/// Sets of any size, in messages of any number.
struct ElementTests {
  private func encode(_ set: KernelSet) throws -> [EncodedMessage] {
    let table = Table(family: .inet, name: "t", objects: [], sets: [set], chains: [])
    return try BatchEncoder.encode(
      Ruleset(tables: [table]), expressions: { _ in [] }, sourceIndex: { _ in 0 })
  }

  private func hosts(_ count: Int) -> KernelSet {
    let elements = (0..<count).map { index -> KernelSet.Element in
      let key = [10, UInt8(index >> 16), UInt8(index >> 8 & 255), UInt8(index & 255)]
      return KernelSet.Element(key, key)
    }
    return KernelSet(name: "s", keyType: .ipv4Address, isInterval: false, elements: elements)
  }

  @Test(arguments: [
    (0, 0), (1, 1), (1_999, 1), (2_000, 1), (2_001, 2), (4_000, 2), (4_095, 3), (4_096, 3), (100_000, 50),
  ])
  func elementsAreChunked(count: Int, messages: Int) throws {
    let set = hosts(count)
    let encoded = try encode(set)
    #expect(encoded.count { $0.kind == .elements } == messages)
    let decoded = try #require(StoredBatch.decode(encoded.map(\.bytes)).first?.sets.first)
    #expect(decoded.elements == Array(set.elements))
    #expect(decoded.size == (count == 0 ? nil : UInt32(count)))
  }

  /// The largest keys with the most attributes reach 64 KiB before 2,000 elements do.
  @Test func noListOutgrowsItsLength() throws {
    let key = KernelSet.KeyType.concatenation([.ipv6Address, .ipv6Address, .interfaceName])
    let elements = (0..<5_000).map { index -> KernelSet.Element in
      var lower = [UInt8](repeating: 0, count: 48)
      lower[14] = UInt8(index >> 8)
      lower[15] = UInt8(index & 255)
      return KernelSet.Element(lower, lower)
    }
    let set = KernelSet(name: "s", keyType: key, isInterval: true, elements: elements)
    let encoded = try encode(set)
    for message in encoded { #expect(message.bytes.count < 65_536) }
    let decoded = try #require(StoredBatch.decode(encoded.map(\.bytes)).first?.sets.first)
    #expect(decoded.elements == elements)
  }

  @Test(arguments: [
    // Ranges, and the elements they take: an end at zero, starts, ends.
    ([(0, 0)], 2), ([(5, 9)], 3), ([(0, 255)], 1), ([(0, 9), (10, 12)], 4), ([(1, 1), (3, 3)], 5),
    ([(250, 255)], 2), ([(0, 0), (255, 255)], 3),
  ])
  func rangesBecomeEdgesAndBack(ranges: [(Int, Int)], elements: Int) throws {
    let set = KernelSet(
      name: "s", keyType: .inetProtocol, isInterval: true,
      elements: ranges.map { KernelSet.Element([UInt8($0.0)], [UInt8($0.1)]) })
    let decoded = try #require(StoredBatch.decode(encode(set).map(\.bytes)).first?.sets.first)
    #expect(decoded.elements == Array(set.elements))
    // The end that an open range lacks is counted, as nft counts it.
    let isOpen = ranges.last?.1 == 255
    #expect(decoded.size == UInt32(elements + (isOpen ? 1 : 0)))
  }

  @Test func labelNamesTheContentAndNothingElse() throws {
    func label(_ sets: [KernelSet], _ name: String) throws -> [UInt8] {
      let table = Table(family: .inet, name: "t", objects: [], sets: sets, chains: [])
      let encoded = try BatchEncoder.encode(
        Ruleset(tables: [table]), expressions: { _ in [] }, sourceIndex: { _ in 0 })
      let decoded = try StoredBatch.decode(encoded.map(\.bytes))
      return try #require(decoded.first?.sets.first { $0.name == name }?.label)
    }
    var other = hosts(3)
    other.name = "a"
    let plain = try label([hosts(3_000)], "s")
    #expect(plain.count == 8)
    // Its place in the batch does not count; any element, and the comment, does.
    #expect(try label([other, hosts(3_000)], "s") == plain)
    #expect(try label([hosts(3_001)], "s") != plain)
    var commented = hosts(3_000)
    commented.comment = "x"
    #expect(try label([commented], "s") != plain)
  }

  @Test(
    arguments: [
      ([[1, 2, 3]], [[1, 2, 3]]), ([[1, 2, 3, 4]], [[1, 2, 3, 5]]), ([[1, 2, 3, 4, 5]], [[1, 2, 3, 4, 5]]),
    ] as [([[UInt8]], [[UInt8]])])
  func keysThatDoNotFitAreRefused(lower: [[UInt8]], upper: [[UInt8]]) {
    let elements = zip(lower, upper).map { KernelSet.Element($0, $1) }
    let set = KernelSet(name: "s", keyType: .ipv4Address, isInterval: false, elements: elements)
    #expect(throws: NFTablesError.invalidElement(set: "s", index: 0)) { try encode(set) }
  }

  @Test(arguments: [[(9, 5)], [(1, 5), (5, 9)], [(6, 9), (1, 2)]])
  func rangesOutOfOrderAreRefused(ranges: [(Int, Int)]) {
    let set = KernelSet(
      name: "s", keyType: .inetProtocol, isInterval: true,
      elements: ranges.map { KernelSet.Element([UInt8($0.0)], [UInt8($0.1)]) })
    #expect(throws: NFTablesError.invalidElement(set: "s", index: ranges.count - 1)) { try encode(set) }
  }
}
