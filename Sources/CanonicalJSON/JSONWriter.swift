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
    var text = text
    var all: UInt8 = 0
    bytes.append(0x22)
    text.withUTF8 { utf8 in
      var isPlain = true
      for index in 0..<utf8.count {
        let byte = unsafe utf8[index]
        all |= byte
        if byte < 0x20 || byte == 0x22 || byte == 0x5c { isPlain = false }
      }
      if isPlain {
        unsafe bytes.append(utf8)
      } else {
        for index in 0..<utf8.count { unsafe write(escaped: utf8[index]) }
      }
    }
    bytes.append(0x22)
    return all < 0x80
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
