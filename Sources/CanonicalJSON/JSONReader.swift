/// Why a text is no JSON that this type can hold.
package struct JSONError: Error, Equatable {
  package enum Reason: Equatable, Sendable {
    case notUTF8
    case unexpected
    case unexpectedEnd
    case badEscape
    case controlCharacter
    /// RFC 8785 with fractions left out.
    case fraction
    /// Beyond ±(2^53 − 1).
    case largeNumber
    case repeatedKey
    case keyNotASCII
    case tooDeep
    case textBehindValue
  }

  package var reason: Reason
  /// 0-based byte offset.
  package var offset: Int

  package init(_ reason: Reason, at offset: Int) {
    self.reason = reason
    self.offset = offset
  }
}

extension JSONValue {
  /// Reads one JSON text (RFC 8259) whose numbers are whole and whose keys are ASCII and stand once.
  package init(parsing bytes: [UInt8]) throws(JSONError) {
    var reader = JSONReader(bytes)
    self = try reader.document()
  }
}

private struct JSONReader {
  /// Of arrays and objects inside each other; it bounds the recursion.
  static let depthLimit = 128

  let bytes: [UInt8]
  var position = 0
  var depth = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  mutating func document() throws(JSONError) -> JSONValue {
    if String(validating: bytes, as: UTF8.self) == nil { throw JSONError(.notUTF8, at: 0) }
    let value = try value()
    skipSpace()
    guard position == bytes.count else { throw JSONError(.textBehindValue, at: position) }
    return value
  }

  private mutating func skipSpace() {
    while position < bytes.count, [0x20, 0x0a, 0x0d, 0x09].contains(bytes[position]) { position += 1 }
  }

  /// The next byte that is no white space.
  private mutating func peek() throws(JSONError) -> UInt8 {
    skipSpace()
    guard position < bytes.count else { throw JSONError(.unexpectedEnd, at: position) }
    return bytes[position]
  }

  private mutating func take(_ byte: UInt8) throws(JSONError) {
    guard try peek() == byte else { throw JSONError(.unexpected, at: position) }
    position += 1
  }

  private mutating func value() throws(JSONError) -> JSONValue {
    switch try peek() {
    case UInt8(ascii: "{"): return try object()
    case UInt8(ascii: "["): return try array()
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    default: throw JSONError(.unexpected, at: position)
    }
  }

  private mutating func word(_ word: String, _ value: JSONValue) throws(JSONError) -> JSONValue {
    guard bytes[position...].starts(with: word.utf8) else { throw JSONError(.unexpected, at: position) }
    position += word.utf8.count
    return value
  }

  private mutating func enter() throws(JSONError) {
    guard depth < Self.depthLimit else { throw JSONError(.tooDeep, at: position) }
    depth += 1
    position += 1
  }

  private mutating func array() throws(JSONError) -> JSONValue {
    try enter()
    defer { depth -= 1 }
    var elements: [JSONValue] = []
    if try peek() != UInt8(ascii: "]") {
      elements.append(try value())
      while try peek() == UInt8(ascii: ",") {
        position += 1
        elements.append(try value())
      }
    }
    try take(UInt8(ascii: "]"))
    return .array(elements)
  }

  private mutating func object() throws(JSONError) -> JSONValue {
    try enter()
    defer { depth -= 1 }
    var members: [JSONValue.Member] = []
    var keys: Set<String> = []
    if try peek() != UInt8(ascii: "}") {
      try member(&members, &keys)
      while try peek() == UInt8(ascii: ",") {
        position += 1
        try member(&members, &keys)
      }
    }
    try take(UInt8(ascii: "}"))
    return .object(members)
  }

  private mutating func member(
    _ members: inout [JSONValue.Member], _ keys: inout Set<String>
  ) throws(JSONError) {
    guard try peek() == UInt8(ascii: "\"") else { throw JSONError(.unexpected, at: position) }
    let start = position
    let key = try string()
    guard key.utf8.allSatisfy({ $0 < 0x80 }) else { throw JSONError(.keyNotASCII, at: start) }
    guard keys.insert(key).inserted else { throw JSONError(.repeatedKey, at: start) }
    try take(UInt8(ascii: ":"))
    members.append(JSONValue.Member(key, try value()))
  }

  private mutating func number() throws(JSONError) -> JSONValue {
    let start = position
    if bytes[position] == UInt8(ascii: "-") { position += 1 }
    let digits = position
    while position < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[position]) {
      position += 1
    }
    let hasLeadingZero = position > digits + 1 && bytes[digits] == UInt8(ascii: "0")
    guard position > digits, !hasLeadingZero else { throw JSONError(.unexpected, at: digits) }
    if position < bytes.count,
      [UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E")].contains(bytes[position])
    {
      throw JSONError(.fraction, at: position)
    }
    guard let value = Int64(String(decoding: bytes[start..<position], as: UTF8.self)),
      case .integer(let number) = JSONValue(value)
    else { throw JSONError(.largeNumber, at: start) }
    return .integer(number)
  }

  private mutating func string() throws(JSONError) -> String {
    position += 1
    var text: [UInt8] = []
    while position < bytes.count {
      let byte = bytes[position]
      switch byte {
      case UInt8(ascii: "\""):
        position += 1
        return String(decoding: text, as: UTF8.self)
      case UInt8(ascii: "\\"): text += try escape()
      case 0..<0x20: throw JSONError(.controlCharacter, at: position)
      default:
        text.append(byte)
        position += 1
      }
    }
    throw JSONError(.unexpectedEnd, at: position)
  }

  private mutating func escape() throws(JSONError) -> [UInt8] {
    let start = position
    position += 2
    guard position <= bytes.count else { throw JSONError(.unexpectedEnd, at: bytes.count) }
    switch bytes[position - 1] {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [bytes[position - 1]]
    case UInt8(ascii: "b"): return [0x08]
    case UInt8(ascii: "f"): return [0x0c]
    case UInt8(ascii: "n"): return [0x0a]
    case UInt8(ascii: "r"): return [0x0d]
    case UInt8(ascii: "t"): return [0x09]
    case UInt8(ascii: "u"):
      var scalar = try unit(start)
      if (0xd800..<0xdc00).contains(scalar) {
        guard bytes[position...].starts(with: "\\u".utf8) else { throw JSONError(.badEscape, at: start) }
        position += 2
        let low = try unit(start)
        guard (0xdc00..<0xe000).contains(low) else { throw JSONError(.badEscape, at: start) }
        scalar = 0x10000 + (scalar - 0xd800) << 10 + (low - 0xdc00)
      }
      guard let value = Unicode.Scalar(scalar) else { throw JSONError(.badEscape, at: start) }
      return Array(String(value).utf8)
    default: throw JSONError(.badEscape, at: start)
    }
  }

  /// Four hexadecimal digits.
  private mutating func unit(_ start: Int) throws(JSONError) -> UInt32 {
    guard position + 4 <= bytes.count else { throw JSONError(.badEscape, at: start) }
    var value: UInt32 = 0
    for byte in bytes[position..<position + 4] {
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt32(byte - UInt8(ascii: "0"))
      case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt32(byte - UInt8(ascii: "a") + 10)
      case UInt8(ascii: "A")...UInt8(ascii: "F"): value = value << 4 | UInt32(byte - UInt8(ascii: "A") + 10)
      default: throw JSONError(.badEscape, at: start)
      }
    }
    position += 4
    return value
  }
}
