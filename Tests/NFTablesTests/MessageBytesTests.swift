import NFTables
import Ruleset
import RulesetSamples
import Testing

/// Bytes of each kind of message, by the structures of linux/netfilter/nf_tables.h.
struct MessageBytesTests {
  // NLM_F_REQUEST | NLM_F_CREATE, and with NLM_F_APPEND.
  private let create = 0x401
  private let append = 0xc01

  private func encode(_ table: Table, _ programs: [String: [Expression]] = [:]) throws -> [EncodedMessage] {
    try BatchEncoder.encode(
      Ruleset(tables: [table]), expressions: { programs[$0.id] ?? [] },
      sourceIndex: { $0 == "input/ssh" ? 7 : 0 })
  }

  private func table(
    objects: [NamedObject] = [], sets: [KernelSet] = [], chains: [Chain] = [], comment: String? = nil
  ) -> Table {
    var table = Table(family: .inet, name: "t", objects: objects, sets: sets, chains: chains)
    table.comment = comment
    return table
  }

  @Test func table() throws {
    let expected = Wire.message(
      0xa00, flags: create,
      Wire.string(1, "t"),  // NFTA_TABLE_NAME
      Wire.attribute(2, Wire.big32(0)),  // NFTA_TABLE_FLAGS
      Wire.attribute(6, [0, 9] + Array("lockdown".utf8) + [0]))  // NFTA_TABLE_USERDATA: comment record
    #expect(try encode(table(comment: "lockdown")) == [EncodedMessage(kind: .table, bytes: expected)])
  }

  @Test func baseChain() throws {
    let hook = BaseHook(type: .filter, hook: 1, priority: -5, accepts: false)
    let messages = try encode(table(chains: [Chain(name: "input", base: hook, rules: [])]))
    let expected = Wire.message(
      0xa03, flags: create,
      Wire.string(1, "t"),  // NFTA_CHAIN_TABLE
      Wire.string(3, "input"),  // NFTA_CHAIN_NAME
      Wire.nest(
        4,  // NFTA_CHAIN_HOOK
        Wire.attribute(1, Wire.big32(1)),  // NFTA_HOOK_HOOKNUM: NF_INET_LOCAL_IN
        Wire.attribute(2, [0xff, 0xff, 0xff, 0xfb])),  // NFTA_HOOK_PRIORITY: -5
      Wire.attribute(5, Wire.big32(0)),  // NFTA_CHAIN_POLICY: NF_DROP
      Wire.string(7, "filter"))  // NFTA_CHAIN_TYPE
    #expect(messages.last == EncodedMessage(kind: .baseChain, bytes: expected))
  }

  @Test func regularChain() throws {
    let messages = try encode(table(chains: [Chain(name: "extra", base: nil, rules: [])]))
    let expected = Wire.message(0xa03, flags: create, Wire.string(1, "t"), Wire.string(3, "extra"))
    #expect(messages.last == EncodedMessage(kind: .chain, bytes: expected))
  }

  @Test func counterObject() throws {
    let object = NamedObject(name: "policy_digest", comment: "x", label: [1, 2, 3])
    let expected = Wire.message(
      0xa12, flags: create,
      Wire.string(1, "t"),  // NFTA_OBJ_TABLE
      Wire.string(2, "policy_digest"),  // NFTA_OBJ_NAME
      Wire.attribute(3, Wire.big32(1)),  // NFTA_OBJ_TYPE: NFT_OBJECT_COUNTER
      Wire.attribute(8, [0, 2, UInt8(ascii: "x"), 0, 0x80, 3, 1, 2, 3]),  // NFTA_OBJ_USERDATA: comment, label
      Wire.nest(
        4,  // NFTA_OBJ_DATA
        Wire.attribute(1, Wire.big64(0)),  // NFTA_COUNTER_BYTES
        Wire.attribute(2, Wire.big64(0))))  // NFTA_COUNTER_PACKETS
    #expect(try encode(table(objects: [object])).last == EncodedMessage(kind: .object, bytes: expected))
  }

  @Test func namedIntervalSet() throws {
    let set = KernelSet(
      name: "admin_4", keyType: .ipv4Address, isInterval: true,
      elements: [KernelSet.Element([10, 0, 0, 0], [10, 255, 255, 255])])
    let messages = try encode(table(sets: [set]))
    #expect(messages.map(\.kind) == [.table, .set, .elements])
    // The label is the start of a digest: its own test says of what.
    let label = Array(messages[1].bytes.suffix(8))
    let expected = Wire.message(
      0xa09, flags: create,
      Wire.string(1, "t"),  // NFTA_SET_TABLE
      Wire.string(2, "admin_4"),  // NFTA_SET_NAME
      Wire.attribute(3, Wire.big32(2 | 4)),  // NFTA_SET_FLAGS: CONSTANT | INTERVAL
      Wire.attribute(4, Wire.big32(7)),  // NFTA_SET_KEY_TYPE: nft's ipv4_addr
      Wire.attribute(5, Wire.big32(4)),  // NFTA_SET_KEY_LEN
      Wire.attribute(10, Wire.big32(1)),  // NFTA_SET_ID
      Wire.nest(9, Wire.attribute(1, Wire.big32(3))),  // NFTA_SET_DESC{SIZE}: edges, not ranges
      Wire.attribute(13, [0, 4, 2, 0, 0, 0, 0x80, 8] + label))  // NFTA_SET_USERDATA: KEYBYTEORDER big, label
    #expect(messages[1].bytes == expected)

    let elements = Wire.message(
      0xa0c, flags: create,
      Wire.string(1, "t"),  // NFTA_SET_ELEM_LIST_TABLE
      Wire.string(2, "admin_4"),  // NFTA_SET_ELEM_LIST_SET
      Wire.attribute(4, Wire.big32(1)),  // NFTA_SET_ELEM_LIST_SET_ID
      Wire.nest(
        3,  // NFTA_SET_ELEM_LIST_ELEMENTS
        Wire.nest(
          1,  // NFTA_LIST_ELEM: an end at zero opens the set
          Wire.attribute(3, Wire.big32(1)),  // NFTA_SET_ELEM_FLAGS: INTERVAL_END
          Wire.nest(1, Wire.attribute(1, [0, 0, 0, 0]))),  // NFTA_SET_ELEM_KEY{NFTA_DATA_VALUE}
        Wire.nest(1, Wire.nest(1, Wire.attribute(1, [10, 0, 0, 0]))),
        Wire.nest(
          1, Wire.attribute(3, Wire.big32(1)), Wire.nest(1, Wire.attribute(1, [11, 0, 0, 0])))))
    #expect(messages[2].bytes == elements)
  }

  @Test func concatenationOfRanges() throws {
    let set = KernelSet(
      name: "s", keyType: .concatenation([.inetProtocol, .inetService]), isInterval: true,
      elements: [KernelSet.Element([6, 0, 0, 0, 0, 22, 0, 0], [6, 0, 0, 0, 0, 30, 0, 0])])
    let messages = try encode(table(sets: [set]))
    let body = try StoredBatch.decode(messages.map(\.bytes))[0].sets[0]
    #expect(body.flags == 0x86)  // CONSTANT | INTERVAL | CONCAT
    #expect(body.keyTypeNumber == 12 << 6 | 13)
    // NFTA_SET_DESC{SIZE, CONCAT{LIST_ELEM{LEN} per field, without padding}}
    let description = Wire.nest(
      9, Wire.attribute(1, Wire.big32(1)),
      Wire.nest(
        2, Wire.nest(1, Wire.attribute(1, Wire.big32(1))), Wire.nest(1, Wire.attribute(1, Wire.big32(2)))))
    #expect(messages[1].bytes.contains(description))
    // NFTA_SET_ELEM_KEY and NFTA_SET_ELEM_KEY_END in one element.
    let element = Wire.nest(
      1, Wire.nest(1, Wire.attribute(1, [6, 0, 0, 0, 0, 22, 0, 0])),
      Wire.nest(10, Wire.attribute(1, [6, 0, 0, 0, 0, 30, 0, 0])))
    #expect(messages[2].bytes.suffix(element.count).elementsEqual(element))
  }

  @Test func ruleWithAnonymousSet() throws {
    let ports = KernelSet(
      name: nil, keyType: .inetService, isInterval: false, elements: [KernelSet.Element([0, 22], [0, 22])])
    let rule = KernelRule(
      id: "input/ssh", part: 0, comment: "hi", label: [1, 2], anonymousSets: [ports], statements: [])
    let chain = Chain(name: "input", base: nil, rules: [rule])
    let messages = try encode(
      table(chains: [chain]),
      ["input/ssh": [.lookup(register: 1, .anonymous(0), isNegated: true), .verdict(.drop)]])
    #expect(messages.map(\.kind) == [.table, .chain, .anonymousSet, .anonymousElements, .rule])

    let set = Wire.message(
      0xa09, flags: create, sequence: 7, Wire.string(1, "t"), Wire.string(2, "__set%d"),
      Wire.attribute(3, Wire.big32(1 | 2)),  // ANONYMOUS | CONSTANT
      Wire.attribute(4, Wire.big32(13)), Wire.attribute(5, Wire.big32(2)), Wire.attribute(10, Wire.big32(1)),
      Wire.nest(9, Wire.attribute(1, Wire.big32(1))),
      Wire.attribute(13, [0, 4, 2, 0, 0, 0]))  // no label: it dies with its rule
    #expect(messages[2].bytes == set)

    let expected = Wire.message(
      0xa06, flags: append, sequence: 7,
      Wire.string(1, "t"),  // NFTA_RULE_TABLE
      Wire.string(2, "input"),  // NFTA_RULE_CHAIN
      Wire.attribute(7, [0, 3, UInt8(ascii: "h"), UInt8(ascii: "i"), 0, 0x80, 2, 1, 2]),  // USERDATA
      Wire.nest(
        4,  // NFTA_RULE_EXPRESSIONS
        Wire.nest(
          1, Wire.string(1, "lookup"),  // NFTA_LIST_ELEM{NFTA_EXPR_NAME,
          Wire.nest(
            2,  // NFTA_EXPR_DATA}
            Wire.attribute(2, Wire.big32(1)),  // NFTA_LOOKUP_SREG
            Wire.string(1, "__set%d"),  // NFTA_LOOKUP_SET
            Wire.attribute(4, Wire.big32(1)),  // NFTA_LOOKUP_SET_ID
            Wire.attribute(5, Wire.big32(1)))),  // NFTA_LOOKUP_FLAGS: INV
        Wire.nest(
          1, Wire.string(1, "immediate"),
          Wire.nest(
            2, Wire.attribute(1, Wire.big32(0)),  // NFTA_IMMEDIATE_DREG: NFT_REG_VERDICT
            Wire.nest(2, Wire.nest(2, Wire.attribute(1, Wire.big32(0))))))))  // VERDICT{CODE: NF_DROP}
    #expect(messages[4].bytes == expected)
  }
}

extension [UInt8] {
  /// Whether the bytes occur somewhere.
  func contains(_ part: [UInt8]) -> Bool {
    guard part.count <= count else { return false }
    return (0...(count - part.count)).contains { self[$0..<($0 + part.count)].elementsEqual(part) }
  }
}
