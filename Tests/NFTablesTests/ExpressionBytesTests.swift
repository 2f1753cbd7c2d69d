import NFTables
import Ruleset
import Testing

/// NFTA_EXPR_NAME and the attributes inside NFTA_EXPR_DATA of each expression.
struct ExpressionBytesTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var name: String
    var expression: Expression
    var data: [UInt8]
    var testDescription: String { "\(expression)" }

    init(_ name: String, _ expression: Expression, _ data: [UInt8]...) {
      self.name = name
      self.expression = expression
      self.data = Array(data.joined())
    }
  }

  private static func number(_ type: Int, _ value: Int) -> [UInt8] { Wire.attribute(type, Wire.big32(value)) }
  private static func value(_ type: Int, _ bytes: [UInt8]) -> [UInt8] {
    Wire.nest(type, Wire.attribute(1, bytes))  // NFTA_DATA_VALUE
  }

  static let cases: [Case] = [
    Case("meta", .meta(.transportProtocol, register: 1), number(2, 16), number(1, 1)),
    // The first word of register 1, and the second.
    Case("meta", .meta(.mark, register: 8), number(2, 3), number(1, 1)),
    Case("meta", .meta(.mark, register: 9), number(2, 3), number(1, 9)),
    Case(
      "payload", .payload(.transport, offset: 2, length: 2, register: 9), number(1, 9), number(2, 2),
      number(3, 2),
      number(4, 2)),
    Case(
      "cmp", .compare(register: 1, .greaterOrEqual, [3, 232]), number(1, 1), number(2, 5), value(3, [3, 232])),
    Case(
      "range", .range(register: 1, isNegated: true, lower: [0, 1], upper: [0, 9]), number(1, 1), number(2, 1),
      value(3, [0, 1]), value(4, [0, 9])),
    Case(
      "bitwise", .bitwise(register: 1, destination: 1, mask: [6, 0, 0, 0], xor: [0, 0, 0, 0]), number(1, 1),
      number(2, 1), number(6, 0), number(3, 4), value(4, [6, 0, 0, 0]), value(5, [0, 0, 0, 0])),
    Case(
      "byteorder", .byteOrder(register: 1, destination: 1, toNetwork: true, length: 4, size: 4), number(1, 1),
      number(2, 1), number(3, 1), number(4, 4), number(5, 4)),
    Case("ct", .conntrack(.state, register: 1), number(2, 0), number(1, 1)),
    Case("fib", .fib(result: .addressType, flags: 2, register: 1), number(3, 2), number(2, 3), number(1, 1)),
    Case("counter", .counter),
    // Without its NUL: the one string that libnftnl sends so.
    Case(
      "objref", .objectReference(type: 1, name: "policy_digest"), number(1, 1),
      Wire.attribute(2, Array("policy_digest".utf8))),
    Case(
      "limit", .limit(rate: 10, seconds: 60, burst: 5, isBytes: false, isOver: true),
      Wire.attribute(1, Wire.big64(10)), Wire.attribute(2, Wire.big64(60)), number(3, 5), number(4, 0),
      number(5, 1)),
    Case(
      "limit", .limit(rate: 1 << 40, seconds: 1, burst: 0, isBytes: true, isOver: false),
      Wire.attribute(1, Wire.big64(1 << 40)), Wire.attribute(2, Wire.big64(1)), number(3, 0), number(4, 1),
      number(5, 0)),
    Case("quota", .quota(bytes: 1 << 33, isOver: true), Wire.attribute(1, Wire.big64(1 << 33)), number(2, 1)),
    // The kernel's own default level, warning, is written out.
    Case("log", .log(prefix: "a b", level: 4, group: nil), Wire.string(2, "a b"), number(5, 4)),
    Case("log", .log(prefix: "", level: 0, group: nil), number(5, 0)),
    Case("log", .log(prefix: "", level: nil, group: 5), Wire.attribute(1, [0, 5])),
    Case(
      "exthdr", .extensionHeader(type: 44, offset: 2, length: 2, register: 1), number(1, 1),
      Wire.attribute(2, [44]), number(3, 2), number(4, 2), number(6, 0), number(5, 0)),
    Case(
      "exthdr", .setTCPOption(kind: 2, offset: 2, length: 2, register: 1), number(7, 1),
      Wire.attribute(2, [2]), number(3, 2), number(4, 2), number(6, 1)),
    Case("rt", .route(.segmentSize, register: 1), number(2, 3), number(1, 1)),
    Case(
      "immediate", .immediate(register: 1, [0x20, 0, 0, 0]), number(1, 1),
      Wire.nest(2, Wire.attribute(1, [0x20, 0, 0, 0]))),
    Case("meta", .setMeta(.mark, register: 1), number(2, 3), number(3, 1)),
    Case("ct", .setConntrack(.mark, register: 1), number(2, 3), number(4, 1)),
    Case(
      "payload", .setPayload(.network, offset: 0, length: 2, register: 1, checksum: 10), number(5, 1),
      number(2, 1), number(3, 0), number(4, 2), number(6, 1), number(7, 10), number(8, 0)),
    Case(
      "payload", .setPayload(.network, offset: 0, length: 2, register: 1, checksum: nil), number(5, 1),
      number(2, 1), number(3, 0), number(4, 2), number(6, 0), number(7, 0), number(8, 0)),
    Case("reject", .reject(type: 2, code: 3), number(1, 2), Wire.attribute(2, [3])),
    Case("reject", .reject(type: 1, code: nil), number(1, 1)),
    Case("immediate", .verdict(.accept), number(1, 0), Wire.nest(2, Wire.nest(2, number(1, 1)))),
    Case(
      "immediate", .verdict(.return), number(1, 0),
      Wire.nest(2, Wire.nest(2, Wire.attribute(1, [255, 255, 255, 251])))),
    Case(
      "immediate", .verdict(.jump("extra")), number(1, 0),
      Wire.nest(2, Wire.nest(2, Wire.attribute(1, [255, 255, 255, 253]), Wire.string(2, "extra")))),
    Case(
      "immediate", .verdict(.goto("extra")), number(1, 0),
      Wire.nest(2, Wire.nest(2, Wire.attribute(1, [255, 255, 255, 252]), Wire.string(2, "extra")))),
    Case(
      "immediate", .verdict(.continue), number(1, 0),
      Wire.nest(2, Wire.nest(2, Wire.attribute(1, [255, 255, 255, 255])))),
  ]

  @Test(arguments: cases)
  func encodes(_ sample: Case) throws {
    let bytes = try #require(encode([sample.expression]).last).bytes
    let expected = Wire.nest(
      4, Wire.nest(1, Wire.string(1, sample.name), Wire.nest(2, sample.data)))
    #expect(bytes.suffix(expected.count).elementsEqual(expected))
  }

  @Test(arguments: cases)
  func decodes(_ sample: Case) throws {
    let decoded = try StoredBatch.decode(encode([sample.expression]).map(\.bytes))
    // Register 8 is sent, and so read, as 1.
    let expected: Expression =
      sample.expression == .meta(.mark, register: 8) ? .meta(.mark, register: 1) : sample.expression
    #expect(decoded[0].chains[0].rules[0].expressions == [expected])
  }

  /// One attribute more than we can carry makes the whole expression unknown, bytes kept.
  @Test(arguments: cases)
  func keepsWhatItDoesNotUnderstand(_ sample: Case) throws {
    let surplus = Wire.attribute(77, [1])
    let data = sample.data + surplus
    let rule = Wire.message(
      0xa06, flags: 0, Wire.string(1, "t"), Wire.string(2, "c"),
      Wire.nest(4, Wire.nest(1, Wire.string(1, sample.name), Wire.nest(2, data))))
    let decoded = try StoredBatch.decode([
      Wire.message(0xa00, flags: 0, Wire.string(1, "t")),
      Wire.message(0xa03, flags: 0, Wire.string(1, "t"), Wire.string(3, "c")), rule,
    ])
    #expect(decoded[0].chains[0].rules[0].expressions == [.unknown(name: sample.name, data)])
  }

  @Test(
    arguments: [
      ("tomorrow", Wire.attribute(1, [1, 2, 3])),
      // An empty prefix is not the same as none.
      ("log", Wire.string(2, "")),
      // Attributes missing, and nests that do not add up.
      ("bitwise", Wire.attribute(1, Wire.big32(1))), ("immediate", Wire.attribute(2, [1, 2, 3, 4])),
      ("cmp", Wire.attribute(3, [255, 0, 1, 0])),
    ] as [(String, [UInt8])])
  func unknownExpressionsStayBytes(name: String, data: [UInt8]) throws {
    let decoded = try StoredBatch.decode([
      Wire.message(0xa00, flags: 0, Wire.string(1, "t")),
      Wire.message(0xa03, flags: 0, Wire.string(1, "t"), Wire.string(3, "c")),
      Wire.message(
        0xa06, flags: 0, Wire.string(1, "t"), Wire.string(2, "c"),
        Wire.nest(4, Wire.nest(1, Wire.string(1, name), Wire.nest(2, data)))),
    ])
    #expect(decoded[0].chains[0].rules[0].expressions == [.unknown(name: name, data)])
  }

  private func encode(_ expressions: [Expression]) throws -> [EncodedMessage] {
    let rule = KernelRule(id: "r", part: 0, comment: nil, label: [], anonymousSets: [], statements: [])
    let table = Table(
      family: .inet, name: "t", objects: [], sets: [], chains: [Chain(name: "c", base: nil, rules: [rule])])
    return try BatchEncoder.encode(
      Ruleset(tables: [table]), expressions: { _ in expressions }, sourceIndex: { _ in 0 })
  }
}
