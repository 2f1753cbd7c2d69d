extension JSONValue {
  /// The one canonical form: RFC 8785 (JCS), of which this type leaves out fractions.
  ///
  /// - Parameter keys: members of these keys are left out, at every depth.
  package func canonical(leavingOut keys: Set<String> = []) -> [UInt8] {
    var writer = JSONWriter(isPretty: false, leftOut: keys)
    writer.write(self, depth: 0)
    return writer.bytes.bytes
  }

  /// The same for people: two spaces a level, sorted keys, short lists of plain values on one line, a line feed
  /// at the end.
  package func pretty() -> [UInt8] {
    var writer = JSONWriter(isPretty: true, leftOut: [])
    writer.write(self, depth: 0)
    writer.bytes.append(0x0a)
    return writer.bytes.bytes
  }
}

/// Writes values in one of both forms.
struct JSONWriter: ~Copyable {
  let isPretty: Bool
  let leftOut: [String]
  var bytes = ByteBuffer()

  init(isPretty: Bool, leftOut: Set<String>) {
    self.isPretty = isPretty
    self.leftOut = Array(leftOut)
  }

  mutating func write(_ value: JSONValue, depth: Int) {
    switch value {
    case .null, .bool, .integer, .string: write(plain: value)
    case .array(let elements):
      if isPretty, writeLine(elements) { return }
      bytes.append(0x5b)
      for (index, element) in elements.enumerated() {
        beginElement(index, depth: depth + 1)
        write(element, depth: depth + 1)
      }
      if !elements.isEmpty { breakLine(depth: depth) }
      bytes.append(0x5d)
    case .object(let members):
      let members = JSONValue.Member.sorted(members)
      bytes.append(0x7b)
      var count = 0
      for index in members.indices {
        precondition(
          index == 0 || members[index - 1].key != members[index].key, "an object has each key once")
        if leftOut.contains(members[index].key) { continue }
        beginElement(count, depth: depth + 1)
        count += 1
        write(key: members[index].key)
        write(members[index].value, depth: depth + 1)
      }
      if count > 0 { breakLine(depth: depth) }
      bytes.append(0x7d)
    }
  }

  mutating func write(plain value: JSONValue) {
    switch value {
    case .null: bytes.append("null" as StaticString)
    case .bool(let value): bytes.append(value ? "true" as StaticString : "false" as StaticString)
    case .integer(let value): bytes.append(decimal: Int(value))
    case .string(let text): write(text)
    // INVARIANT: the caller has parted them off.
    case .array, .object: break
    }
  }

  private mutating func beginElement(_ index: Int, depth: Int) {
    if index > 0 { bytes.append(0x2c) }
    breakLine(depth: depth)
  }

  // A longer list has a line for each element, so that a change shows as one.
  static let lineLength = 80

  /// Writes `["a", "b"]`, if the elements are plain values and few; else nothing.
  private mutating func writeLine(_ elements: [JSONValue]) -> Bool {
    guard elements.count > 0, elements.count < Self.lineLength / 2 else { return false }
    for element in elements {
      switch element {
      case .array, .object: return false
      case .null, .bool, .integer, .string: break
      }
    }
    let start = bytes.count
    bytes.append(0x5b)
    for (index, element) in elements.enumerated() {
      if index > 0 {
        bytes.append(0x2c)
        bytes.append(0x20)
      }
      write(plain: element)
      if bytes.count - start > Self.lineLength {
        bytes.truncate(to: start)
        return false
      }
    }
    bytes.append(0x5d)
    return true
  }

  mutating func breakLine(depth: Int) {
    guard isPretty else { return }
    bytes.append(0x0a)
    bytes.append(spaces: 2 * depth)
  }

  mutating func write(key: String) {
    precondition(write(key), "keys are ASCII")
    bytes.append(0x3a)
    if isPretty { bytes.append(0x20) }
  }

  /// Returns whether the text is ASCII.
  @discardableResult
  mutating func write(_ text: String) -> Bool {
    bytes.append(0x22)
    let isASCII =
      unsafe text.utf8.withContiguousStorageIfAvailable { utf8 in
        let (isPlain, isASCII) = unsafe Self.classify(utf8)
        if isPlain {
          unsafe bytes.append(utf8)
        } else {
          for index in 0..<utf8.count { unsafe write(escaped: utf8[index]) }
        }
        return isASCII
      }
      ?? text.utf8.reduce(true) { isASCII, byte in
        write(escaped: byte)
        return isASCII && byte < 0x80
      }
    bytes.append(0x22)
    return isASCII
  }

  /// Whether nothing is to be escaped, and whether all is ASCII: eight bytes at a time, for texts are most of what is
  /// written.
  private static func classify(_ utf8: UnsafeBufferPointer<UInt8>) -> (isPlain: Bool, isASCII: Bool) {
    func all(_ byte: UInt8) -> UInt64 { UInt64(byte) &* 0x0101_0101_0101_0101 }
    let bytes = UnsafeRawBufferPointer(utf8)
    var (special, union): (UInt64, UInt64) = (0, 0)
    func look(_ word: UInt64) {
      // The high bit of a byte that is below 0x20, `"` or `\`, and perhaps of bytes behind it, is set.
      let (quote, backslash) = (word ^ all(0x22), word ^ all(0x5c))
      special |= (word &- all(0x20)) & ~word | (quote &- all(1)) & ~quote | (backslash &- all(1)) & ~backslash
      union |= word
    }
    var index = 0
    while index + 8 <= bytes.count {
      // SAFETY: eight bytes are left.
      unsafe look(bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
      index += 8
    }
    // The others in a word of letters.
    var last = all(0x61)
    while index < bytes.count {
      last = unsafe last << 8 | UInt64(bytes[index])
      index += 1
    }
    look(last)
    return (special & all(0x80) == 0, union & all(0x80) == 0)
  }

  /// RFC 8785 §3.2.2.2: the two-character escapes where JSON has them, else `\u` and four lower-case digits
  /// for control characters; everything else as it is.
  private mutating func write(escaped byte: UInt8) {
    switch byte {
    case 0x22: bytes.append([0x5c, 0x22])
    case 0x5c: bytes.append([0x5c, 0x5c])
    case 0x08: bytes.append([0x5c, 0x62])
    case 0x09: bytes.append([0x5c, 0x74])
    case 0x0a: bytes.append([0x5c, 0x6e])
    case 0x0c: bytes.append([0x5c, 0x66])
    case 0x0d: bytes.append([0x5c, 0x72])
    case 0..<0x20:
      let digits = String(byte, radix: 16)
      bytes.append("\\u" as StaticString)
      bytes.append(String(repeating: "0", count: 4 - digits.utf8.count))
      bytes.append(digits)
    default: bytes.append(byte)
    }
  }
}

extension JSONValue.Member {
  /// By key, which most lists are already. Keys are ASCII, whose order as text is that of their bytes.
  fileprivate static func sorted(_ members: [JSONValue.Member]) -> [JSONValue.Member] {
    for index in members.indices.dropFirst() where members[index].key < members[index - 1].key {
      return members.sorted { $0.key < $1.key }
    }
    return members
  }
}
