/// Writes JSON (RFC 8259) front to back.
struct JSON {
  private(set) var text = Text()
  private var needsComma = false

  mutating func openObject(_ key: Literal = "") { open(key, 0x7b) }
  mutating func closeObject() { close(0x7d) }
  mutating func openArray(_ key: Literal) { open(key, 0x5b) }
  mutating func closeArray() { close(0x5d) }

  @inline(never)
  mutating func add(_ key: Literal, _ value: [UInt8], _ range: Range<Int>) {
    begin(key)
    string(value, range)
  }

  @inline(never)
  mutating func add(_ key: Literal, _ value: [UInt8]) { add(key, value, 0..<value.count) }

  @inline(never)
  mutating func add(_ key: Literal, text value: Literal) { add(key, Text(value).bytes) }

  @inline(never)
  mutating func add(_ key: Literal, _ value: Int) {
    begin(key)
    text.add(value)
    needsComma = true
  }

  @inline(never)
  mutating func add(_ key: Literal, _ value: Bool) {
    begin(key)
    text.add(value ? "true" : "false")
    needsComma = true
  }

  @inline(never)
  mutating func add(_ key: Literal, hex value: [UInt8], _ range: Range<Int>) {
    var digits = Text()
    digits.addHex(value, range)
    add(key, digits.bytes)
  }

  mutating func addNull(_ key: Literal) {
    begin(key)
    text.add("null")
    needsComma = true
  }

  @inline(never)
  mutating func add(_ key: Literal, strings: [[UInt8]]) {
    openArray(key)
    for value in strings { add("", value) }
    closeArray()
  }

  @inline(never)
  private mutating func open(_ key: Literal, _ bracket: UInt8) {
    begin(key)
    text.add(byte: bracket)
    needsComma = false
  }

  @inline(never)
  private mutating func close(_ bracket: UInt8) {
    text.add(byte: bracket)
    needsComma = true
  }

  /// Without a key: an element of an array.
  @inline(never)
  private mutating func begin(_ key: Literal) {
    if needsComma { text.add(byte: 0x2c) }
    if !text.bytes.isEmpty { text.add(byte: 0x0a) }
    guard !key.isEmpty else { return }
    text.add(byte: 0x22)
    text.add(key)
    text.add("\": ")
  }

  /// Bytes that are no UTF-8 would make the whole file unreadable: what is not ASCII passes only where the
  /// sequence is whole.
  private mutating func string(_ bytes: [UInt8], _ range: Range<Int>) {
    text.add(byte: 0x22)
    var index = range.lowerBound
    while index < range.upperBound {
      let byte = bytes[index]
      if byte == 0x22 || byte == 0x5c {
        text.add(byte: 0x5c)
        text.add(byte: byte)
      } else if byte < 0x20 || byte == 0x7f {
        text.add("\\u00")
        text.addHex([byte], 0..<1)
      } else {
        let length = Self.sequenceLength(bytes, index, end: range.upperBound)
        if length > 0 {
          text.add(bytes, index..<(index + length))
          index += length - 1
        } else {
          text.add("\\ufffd")
        }
      }
      index += 1
    }
    text.add(byte: 0x22)
    needsComma = true
  }

  /// Bytes of the UTF-8 sequence at `index`; 0: none. Overlong forms and surrogates are none (RFC 3629).
  private static func sequenceLength(_ bytes: [UInt8], _ index: Int, end: Int) -> Int {
    let lead = bytes[index]
    if lead < 0x80 { return 1 }
    guard lead >= 0xc2, lead <= 0xf4 else { return 0 }
    let length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
    guard index + length <= end else { return 0 }
    for next in (index + 1)..<(index + length) where bytes[next] & 0xc0 != 0x80 { return 0 }
    let second = bytes[index + 1]
    switch lead {
    case 0xe0: return second >= 0xa0 ? length : 0
    case 0xed: return second < 0xa0 ? length : 0
    case 0xf0: return second >= 0x90 ? length : 0
    case 0xf4: return second < 0x90 ? length : 0
    default: return length
    }
  }
}
