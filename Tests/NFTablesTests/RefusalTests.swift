import NFTables
import Ruleset
import Testing

/// What libnftnl would take without a word and should not get.
struct RefusalTests {
  private func encode(
    _ expressions: [Expression], chain: String = "c", comment: String? = nil, label: [UInt8] = []
  ) throws {
    let rule = KernelRule(
      id: "input/x", part: 0, comment: comment, label: label, anonymousSets: [], statements: [])
    let table = Table(
      family: .inet, name: "t", objects: [], sets: [], chains: [Chain(name: chain, base: nil, rules: [rule])])
    _ = try BatchEncoder.encode(
      Ruleset(tables: [table]), expressions: { _ in expressions }, sourceIndex: { _ in 0 })
  }

  // NFT_DATA_VALUE_MAXLEN 64: libnftnl copies more over what follows in memory.
  @Test(arguments: [0, 65, 4_000])
  func registerData(length: Int) {
    #expect(throws: NFTablesError.invalidData(owner: "input/x", length: length)) {
      try encode([.compare(register: 1, .equal, [UInt8](repeating: 1, count: length))])
    }
  }

  @Test func registerDataOfTheGreatestLength() throws {
    try encode([.compare(register: 1, .equal, [UInt8](repeating: 1, count: 64))])
  }

  @Test(arguments: ["", "a\0b", String(repeating: "x", count: 256)])
  func names(name: String) {
    #expect(throws: NFTablesError.invalidName(name)) { try encode([.verdict(.jump(name))]) }
    #expect(throws: NFTablesError.invalidName(name)) { try encode([], chain: name) }
    #expect(throws: NFTablesError.invalidName(name)) { try encode([.objectReference(type: 1, name: name)]) }
  }

  @Test(arguments: ["a\0b", String(repeating: "x", count: 128)])
  func texts(text: String) {
    #expect(throws: NFTablesError.invalidText(text)) { try encode([], comment: text) }
    #expect(throws: NFTablesError.invalidText(text)) {
      try encode([.log(prefix: text, level: nil, group: nil)])
    }
  }

  @Test func textsOfTheGreatestLength() throws {
    let text = String(repeating: "x", count: 127)
    try encode([.log(prefix: text, level: nil, group: nil)], comment: text)
  }

  @Test func expressionsOfOneRule() throws {
    try encode([Expression](repeating: .counter, count: 128))
    #expect(throws: NFTablesError.tooManyExpressions(rule: "input/x", count: 129)) {
      try encode([Expression](repeating: .counter, count: 129))
    }
    // The longest rule there can be stays below the 64 KiB of its list.
    let name = String(repeating: "n", count: 255)
    try encode([Expression](repeating: .verdict(.jump(name)), count: 128))
  }

  @Test func setsThatAreNotThere() {
    #expect(throws: NFTablesError.unknownSet(rule: "input/x", name: "`s`")) {
      try encode([.lookup(register: 1, .named("s"), isNegated: false)])
    }
    #expect(throws: NFTablesError.unknownSet(rule: "input/x", name: "#0")) {
      try encode([.lookup(register: 1, .anonymous(0), isNegated: false)])
    }
  }

  @Test func theRest() {
    #expect(throws: NFTablesError.logLevelAndGroup(rule: "input/x")) {
      try encode([.log(prefix: "", level: 4, group: 1)])
    }
    #expect(throws: NFTablesError.notEncodable(rule: "input/x", expression: "queue")) {
      try encode([.unknown(name: "queue", [])])
    }
    #expect(throws: NFTablesError.invalidData(owner: "input/x", length: 2)) {
      try encode([.range(register: 1, isNegated: false, lower: [1], upper: [1, 2])])
    }
    #expect(throws: NFTablesError.invalidData(owner: "label", length: 300)) {
      try encode([], label: [UInt8](repeating: 0, count: 300))
    }
  }
}
