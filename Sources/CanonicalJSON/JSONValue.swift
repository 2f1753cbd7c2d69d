/// A JSON value without fractions, as canonical outputs need it: the same value always gives the same bytes.
package enum JSONValue: Sendable, Equatable {
  case null
  case bool(Bool)
  /// INVARIANT: within ±(2^53 − 1), where every reader of JSON agrees; `init(_:)` writes larger ones as text.
  case integer(Int64)
  case string(String)
  case array([JSONValue])
  /// In any order; writers sort.
  case object([Member])

  package struct Member: Sendable, Equatable {
    /// ASCII, so that the order of UTF-16 units, of scalars and of bytes is one.
    package var key: String
    package var value: JSONValue

    package init(_ key: String, _ value: JSONValue) {
      self.key = key
      self.value = value
    }
  }

  /// An integer; outside ±(2^53 − 1) its decimal digits as text (RFC 7493 §2.2).
  package init(_ integer: some BinaryInteger) {
    if let small = Int64(exactly: integer) { self.init(small) } else { self = .string(String(integer)) }
  }

  // Apart from the generic one, which other modules cannot specialize.
  package init(_ integer: Int) { self.init(Int64(integer)) }

  private init(_ integer: Int64) {
    let limit: Int64 = (1 << 53) - 1
    self = (-limit...limit).contains(integer) ? .integer(integer) : .string(String(integer))
  }

  /// Texts in the order given.
  package init(_ strings: some Sequence<String>) { self.init(Array(strings)) }

  // Apart from the generic one, as for numbers.
  package init(_ strings: [String]) { self = .array(strings.map { .string($0) }) }

  /// An object of the members that are there, in any order.
  package static func object(present members: [(String, JSONValue?)]) -> JSONValue {
    var kept: [Member] = []
    kept.reserveCapacity(members.count)
    for (key, value) in members { if let value { kept.append(Member(key, value)) } }
    // Writers find them in order then.
    kept.sort { $0.key < $1.key }
    return .object(kept)
  }

  /// A member of an object; nil for anything else.
  package subscript(key: String) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.key == key }?.value
  }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  package init(stringLiteral value: String) { self = .string(value) }
  package init(booleanLiteral value: Bool) { self = .bool(value) }
  package init(integerLiteral value: Int64) { self.init(value) }
  package init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  package init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(elements.map { Member($0.0, $0.1) })
  }
}
