import CanonicalJSON
import Foundation
import Testing

@Suite struct CanonicalJSONTests {
  private func canonical(_ value: JSONValue) -> String { String(decoding: value.canonical(), as: UTF8.self) }

  /// RFC 8785 §3.2.2, without its fractions.
  @Test func exampleOfTheStandard() {
    let value: JSONValue = [
      "numbers": [333_333_333, 4, 2, 0, -1],
      "string": "\u{20ac}$\u{f}\u{a}A'\u{42}\u{22}\u{5c}\u{5c}\u{22}/",
      "literals": [.null, true, false],
    ]
    #expect(
      canonical(value)
        == #"{"literals":[null,true,false],"numbers":[333333333,4,2,0,-1],"string":"€$\u000f\nA'B\"\\\\\"/"}"#
    )
  }

  /// RFC 8785 §3.2.2.2: which characters are escaped, and how.
  @Test func everyControlCharacter() {
    let escapes: [UInt32: String] = [8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r"]
    for code in UInt32(0)..<0x20 {
      let expected = escapes[code] ?? "\\u00" + (code < 16 ? "0" : "") + String(code, radix: 16)
      #expect(
        canonical(.string(String(Unicode.Scalar(code).map(Character.init) ?? "?"))) == "\"\(expected)\"")
    }
    for text in ["\u{7f}", "\u{2028}", "\u{1f512}", "é", "e\u{301}", "/"] {
      #expect(canonical(.string(text)).utf8.elementsEqual("\"\(text)\"".utf8))
    }
  }

  @Test func keysAreSortedAtEveryDepth() {
    let value: JSONValue = ["b": ["z": 1, "a": [["y": 1, "x": 2]]], "a-b": 1, "a": 2, "B": 3, "a.b": 4]
    #expect(canonical(value) == #"{"B":3,"a":2,"a-b":1,"a.b":4,"b":{"a":[{"x":2,"y":1}],"z":1}}"#)
  }

  @Test func integersThatReadersRoundAreText() {
    #expect(JSONValue(UInt64(9_007_199_254_740_991)) == .integer(9_007_199_254_740_991))
    #expect(JSONValue(UInt64(9_007_199_254_740_992)) == "9007199254740992")
    #expect(JSONValue(Int64(-9_007_199_254_740_991)) == .integer(-9_007_199_254_740_991))
    #expect(JSONValue(Int64.min) == "-9223372036854775808")
    #expect(JSONValue(UInt128.max) == "340282366920938463463374607431768211455")
  }

  @Test func prettyForm() {
    let long = String(repeating: "x", count: 50)
    let value: JSONValue = [
      "list": [1, "two", [:], []], "empty": [:], "short": [1, "a", .null],
      "long": [.string(long), .string(long)],
    ]
    #expect(
      String(decoding: value.pretty(), as: UTF8.self)
        == """
        {
          "empty": {},
          "list": [
            1,
            "two",
            {},
            []
          ],
          "long": [
            "\(long)",
            "\(long)"
          ],
          "short": [1, "a", null]
        }

        """)
  }

  @Test func membersLeftOut() {
    let value: JSONValue = ["a": 1, "b": [["a": 1, "c": [2]]]]
    #expect(String(decoding: value.canonical(leavingOut: ["a"]), as: UTF8.self) == #"{"b":[{"c":[2]}]}"#)
  }

  @Test func membersThatAreAbsent() {
    #expect(canonical(.object(present: [("a", nil), ("b", 1)])) == #"{"b":1}"#)
  }

  /// Another reader reads back what was written, in both forms.
  @Test func anotherReaderAgrees() throws {
    var generator = Generator(state: 0x9e37_79b9_7f4a_7c15)
    for _ in 0..<200 {
      let value = JSONValue.array([generator.value(depth: 4)])
      for bytes in [value.canonical(), value.pretty()] {
        let read = try JSONSerialization.jsonObject(with: Data(bytes))
        #expect(NSArray(object: read).isEqual(to: [Self.foundation(value)]))
        #expect(try JSONValue(parsing: bytes).canonical() == value.canonical())
      }
    }
  }

  /// What is written member by member is what a tree of values says, in whatever order the members come.
  @Test func streamsWriteWhatTreesSay() {
    var generator = Generator(state: 0x2545_f491_4f6c_dd1d)
    var count = 0
    while count < 300 {
      guard case .object(let members) = generator.value(depth: 5) else { continue }
      count += 1
      let leftOut: Set<String> = count % 2 == 0 ? ["key0", "key2"] : []
      let stream = JSONStream(leavingOut: leftOut) { Self.write(members, to: &$0) }
      let value = JSONValue.object(members)
      #expect(stream.canonical == value.canonical(leavingOut: leftOut))
      #expect(stream.pretty == value.pretty())
      let added: [(StaticString, String)] = [("a", "a"), ("key1-", "key1-"), ("z", "z")]
      for (key, text) in added {
        let whole = JSONValue.object(members + [.init(text, "text")])
        #expect(stream.pretty(adding: key, "text") == whole.pretty())
      }
    }
  }

  /// What is given away piece by piece and what is kept are one document, whatever the length of a piece.
  @Test func streamsGiveAwayWhatIsFinished() {
    func write(_ json: inout JSONStream) {
      json.longList("chains") { json in
        for number in 0..<40 {
          json.element { json in
            json.member("file", "left out \(number)")
            json.member("rule", JSONValue(number))
          }
        }
      }
      json.longList("sets") { json in
        for number in 0..<40 { json.element { $0.member("number", JSONValue(number)) } }
      }
    }
    let whole = JSONStream(leavingOut: ["file"], write)
    for pieceLength in [1, 100, 1_000, 1 << 18] {
      var (pretty, canonical): ([UInt8], [UInt8]) = ([], [])
      let stream = JSONStream(
        leavingOut: ["file"], pieceLength: pieceLength,
        canonical: { span in for index in span.indices { canonical.append(span[index]) } },
        before: "digest", pretty: { pretty += $0 }, write)
      let given = pretty.count
      pretty += stream.pretty(adding: "digest", "text")
      #expect(pretty == whole.pretty(adding: "digest", "text"))
      #expect(canonical == whole.canonical)
      #expect(!String(decoding: pretty[..<given], as: UTF8.self).contains("sets"))
      #expect(given > 0 || pieceLength == 1 << 18)
    }
  }

  /// Backwards, so that members are moved; what is a list of objects or of such lists is written as one.
  private static func write(_ members: [JSONValue.Member], to json: inout JSONStream) {
    let keys: [StaticString] = ["key0", "key1", "key2", "key3"]
    for member in members.reversed() {
      guard let key = keys.first(where: { $0.description == member.key }) else { continue }
      switch member.value {
      case .object(let members): json.object(key) { write(members, to: &$0) }
      case .array(let elements) where isStructured(elements): json.list(key) { write(elements, to: &$0) }
      case .string(let text): json.member(key, text)
      case let value: json.member(key, value)
      }
    }
  }

  private static func write(_ elements: [JSONValue], to json: inout JSONStream) {
    for element in elements {
      switch element {
      case .object(let members): json.element { write(members, to: &$0) }
      case .array(let elements): json.listElement { write(elements, to: &$0) }
      default: break
      }
    }
  }

  private static func isStructured(_ elements: [JSONValue]) -> Bool {
    elements.allSatisfy { element in
      switch element {
      case .object: true
      case .array(let elements): isStructured(elements)
      default: false
      }
    }
  }

  private static func foundation(_ value: JSONValue) -> Any {
    switch value {
    case .null: NSNull()
    case .bool(let value): NSNumber(value: value)
    case .integer(let value): NSNumber(value: value)
    case .string(let text): text
    case .array(let elements): elements.map(foundation)
    case .object(let members):
      Dictionary(uniqueKeysWithValues: members.map { ($0.key, foundation($0.value)) })
    }
  }

  /// xorshift64*, Vigna 2016: the same values in each run.
  private struct Generator {
    var state: UInt64

    mutating func next(below bound: UInt64) -> UInt64 {
      state ^= state >> 12
      state ^= state << 25
      state ^= state >> 27
      return (state &* 0x2545_f491_4f6c_dd1d) % bound
    }

    mutating func text() -> String {
      String(
        String.UnicodeScalarView(
          (0..<next(below: 8)).compactMap { _ in
            Unicode.Scalar(UInt32(next(below: next(below: 2) == 0 ? 0x80 : 0x2_0000)))
          }))
    }

    mutating func value(depth: Int) -> JSONValue {
      switch next(below: depth > 0 ? 6 : 4) {
      case 0: .null
      case 1: .bool(next(below: 2) == 0)
      case 2: JSONValue(Int64(next(below: 1 << 62)) - 1 << 61)
      case 3: .string(text())
      case 4: .array((0..<next(below: 4)).map { _ in value(depth: depth - 1) })
      default: .object((0..<next(below: 4)).map { .init("key\($0)", value(depth: depth - 1)) })
      }
    }
  }
}
