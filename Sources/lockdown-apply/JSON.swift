/// Writes JSON (RFC 8259) front to back.
struct JSON {
  private(set) var text = Text()
  private var needsComma = false

  mutating func openObject(_ key: StaticString? = nil) { open(key, 0x7b) }
  mutating func closeObject() { close(0x7d) }
  mutating func openArray(_ key: StaticString) { open(key, 0x5b) }
  mutating func closeArray() { close(0x5d) }

  mutating func add(_ key: StaticString, _ value: some Sequence<UInt8>) {
    begin(key)
    string(value)
  }

  mutating func add(_ key: StaticString, text value: StaticString) { add(key, Text(value).bytes) }

  mutating func add(_ key: StaticString, _ value: some BinaryInteger) {
    begin(key)
    text.add(value)
    needsComma = true
  }

  mutating func add(_ key: StaticString, _ value: Bool) {
    begin(key)
    text.add(value ? "true" : "false")
    needsComma = true
  }

  mutating func addNull(_ key: StaticString) {
    begin(key)
    text.add("null")
    needsComma = true
  }

  mutating func add(element value: some Sequence<UInt8>) {
    begin(nil)
    string(value)
  }

  mutating func add(_ key: StaticString, strings: [[UInt8]]) {
    openArray(key)
    for value in strings { add(element: value) }
    closeArray()
  }

  private mutating func open(_ key: StaticString?, _ bracket: UInt8) {
    begin(key)
    text.add(byte: bracket)
    needsComma = false
  }

  private mutating func close(_ bracket: UInt8) {
    text.add(byte: bracket)
    needsComma = true
  }

  private mutating func begin(_ key: StaticString?) {
    if needsComma { text.add(byte: 0x2c) }
    text.add(byte: 0x0a)
    needsComma = false
    guard let key else { return }
    string(Text(key).bytes)
    text.add(byte: 0x3a)
    text.add(byte: 0x20)
    needsComma = false
  }

  /// Bytes that are no UTF-8 would make the whole file unreadable: what is not ASCII passes only where the
  /// sequence is whole.
  private mutating func string(_ value: some Sequence<UInt8>) {
    text.add(byte: 0x22)
    let bytes = Array(value)
    var index = 0
    while index < bytes.count {
      let byte = bytes[index]
      let length = Self.sequenceLength(bytes, index)
      switch byte {
      case 0x22, 0x5c:
        text.add(byte: 0x5c)
        text.add(byte: byte)
      case 0..<0x20, 0x7f:
        text.add("\\u00")
        text.addHex([byte])
      default:
        if length > 0 { text.add(bytes[index..<(index + length)]) } else { text.add("\\ufffd") }
      }
      index += max(length, 1)
    }
    text.add(byte: 0x22)
    needsComma = true
  }

  /// Bytes of the UTF-8 sequence at `index`; 0: none. Overlong forms and surrogates are none (RFC 3629).
  private static func sequenceLength(_ bytes: [UInt8], _ index: Int) -> Int {
    let lead = bytes[index]
    let (length, lowest, highest): (Int, UInt8, UInt8)
    switch lead {
    case 0..<0x80: return 1
    case 0xc2...0xdf: (length, lowest, highest) = (2, 0x80, 0xbf)
    case 0xe0: (length, lowest, highest) = (3, 0xa0, 0xbf)
    case 0xed: (length, lowest, highest) = (3, 0x80, 0x9f)
    case 0xe1...0xef: (length, lowest, highest) = (3, 0x80, 0xbf)
    case 0xf0: (length, lowest, highest) = (4, 0x90, 0xbf)
    case 0xf1...0xf3: (length, lowest, highest) = (4, 0x80, 0xbf)
    case 0xf4: (length, lowest, highest) = (4, 0x80, 0x8f)
    default: return 0
    }
    guard index + length <= bytes.count, bytes[index + 1] >= lowest, bytes[index + 1] <= highest else {
      return 0
    }
    for next in (index + 2)..<max(index + length, index + 2) where bytes[next] & 0xc0 != 0x80 { return 0 }
    return length
  }
}
