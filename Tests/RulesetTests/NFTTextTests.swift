import PolicyModel
import Ruleset
import Testing
import TextBackends

/// What the goldens do not reach.
struct NFTTextTests {
  private static func text(ofSetWith elements: [KernelSet.Element], keyType: KernelSet.KeyType) -> String {
    let set = KernelSet(
      name: "s", keyType: keyType, isInterval: elements.contains { $0.lower != $0.upper }, elements: elements)
    return NFTText.print(
      Ruleset(tables: [Table(family: .inet, name: "t", comment: nil, objects: [], sets: [set], chains: [])]))
  }

  private static func ipv6(_ groups: UInt16...) -> [UInt8] {
    groups.flatMap { [UInt8($0 >> 8), UInt8($0 & 255)] }
  }

  /// RFC 5952 §4: the longest run of zeros, the first of equals, never a single group, lower case.
  @Test(arguments: [
    (ipv6(0, 0, 0, 0, 0, 0, 0, 0), "::"),
    (ipv6(0, 0, 0, 0, 0, 0, 0, 1), "::1"),
    (ipv6(1, 0, 0, 0, 0, 0, 0, 0), "1::"),
    (ipv6(0x2001, 0xdb8, 0, 0, 1, 0, 0, 1), "2001:db8::1:0:0:1"),
    (ipv6(0x2001, 0xdb8, 0, 1, 1, 1, 1, 1), "2001:db8:0:1:1:1:1:1"),
    (ipv6(0x2001, 0, 0, 1, 0, 0, 0, 1), "2001:0:0:1::1"),
    (ipv6(0xABCD, 1, 2, 3, 4, 5, 6, 7), "abcd:1:2:3:4:5:6:7"),
  ])
  func addressesAreWrittenAsRFC5952Says(bytes: [UInt8], text: String) {
    let printed = Self.text(ofSetWith: [KernelSet.Element(bytes, bytes)], keyType: .ipv6Address)
    #expect(printed.contains("\n\t\t\t\(text)\n"))
  }

  /// Packed elements are written apart from the others, and the same.
  @Test func packedElements() {
    func text(_ elements: ElementList, _ keyType: KernelSet.KeyType) -> String {
      let set = KernelSet(name: "s", keyType: keyType, isInterval: true, elements: elements)
      return NFTText.print(
        Ruleset(tables: [Table(family: .inet, name: "t", comment: nil, objects: [], sets: [set], chains: [])])
      )
    }
    let four = ElementList(
      packing: (0..<400).map {
        IPv4Range($0 << 20 | $0 % 3, $0 << 20 | ($0 % 3 == 0 ? 0xff : $0 % 3 + $0 % 7))
      })
    #expect(text(four, .ipv4Address) == text(ElementList(Array(four)), .ipv4Address))
    let six = ElementList(
      packing: (0..<400).map { number in
        let start = UInt128(number) << 100 | UInt128(number % 5) << 32
        return IPv6Range(start, start | (number % 2 == 0 ? 0xffff_ffff : UInt128(number % 11)))
      })
    #expect(text(six, .ipv6Address) == text(ElementList(Array(six)), .ipv6Address))
  }

  @Test func theSameRulesetGivesTheSameText() {
    let element = KernelSet.Element([10, 0, 0, 0], [10, 0, 0, 9])
    let text = Self.text(ofSetWith: [element], keyType: .ipv4Address)
    #expect(text == Self.text(ofSetWith: [element], keyType: .ipv4Address))
    #expect(text.contains("flags constant,interval\n\t\tsize 1\n"))
    #expect(text.contains("10.0.0.0-10.0.0.9"))
    #expect(!text.contains("flush ruleset"))
  }

  /// Neither a value nor a comment can end its line or its string and say something else.
  @Test func textsCannotBreakOut() {
    let rule = KernelRule(
      id: "input/a\n\t\taccept", part: 0, comment: "a\" accept", label: [], anonymousSets: [],
      statements: [
        .match(.inputInterfaceName, .equal, .value(Array("x\" accept #".utf8) + [0, 0, 0, 0, 0])),
        .verdict(.drop),
      ])
    let chain = Chain(name: "c", base: nil, rules: [rule])
    let text = NFTText.print(
      Ruleset(tables: [Table(family: .inet, name: "t", objects: [], sets: [], chains: [chain])]))
    let lines = text.split(separator: "\n").map(String.init)
    #expect(lines.contains("\t\t# input/a   accept"))
    #expect(lines.contains("\t\tiifname <not expressible in nft> drop comment <not expressible in nft>"))
  }
}
