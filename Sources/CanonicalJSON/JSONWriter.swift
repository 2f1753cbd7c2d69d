extension JSONValue {
  /// The one canonical form: RFC 8785 (JCS), of which this type leaves out fractions.
  ///
  /// - Parameter keys: members of these keys are left out, at every depth.
  package func canonical(leavingOut keys: Set<String> = []) -> [UInt8] {
    var writer = JSONWriter(isPretty: false, leftOut: keys)
    writer.write(self, depth: 0)
    return writer.bytes
  }

  /// The same for people: two spaces a level, sorted keys, short lists of plain values on one line, a line feed
  /// at the end.
  package func pretty() -> [UInt8] {
    var writer = JSONWriter(isPretty: true, leftOut: [])
    writer.write(self, depth: 0)
    return writer.bytes + [0x0a]
  }
}

private struct JSONWriter {
  let isPretty: Bool
  let leftOut: Set<String>
  var bytes: [UInt8] = []

  init(isPretty: Bool, leftOut: Set<String>) {
    self.isPretty = isPretty
    self.leftOut = leftOut
  }

  mutating func write(_ value: JSONValue, depth: Int) {
    switch value {
    case .null: bytes += "null".utf8
    case .bool(let value): bytes += (value ? "true" : "false").utf8
    case .integer(let value): bytes += String(value).utf8
    case .string(let text): write(text)
    case .array(let elements):
      if isPretty, let line = Self.oneLine(elements) {
        bytes += line
        return
      }
      write(open: "[", close: "]", elements, depth: depth) { writer, element in
        writer.write(element, depth: depth + 1)
      }
    case .object(let members):
      let kept = leftOut.isEmpty ? members : members.filter { !leftOut.contains($0.key) }
      let sorted = kept.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
      for (member, next) in zip(sorted, sorted.dropFirst()) {
        precondition(member.key != next.key, "an object has each key once")
      }
      write(open: "{", close: "}", sorted, depth: depth) { writer, member in
        precondition(member.key.utf8.allSatisfy { $0 < 0x80 }, "keys are ASCII")
        writer.write(member.key)
        writer.bytes += (writer.isPretty ? ": " : ":").utf8
        writer.write(member.value, depth: depth + 1)
      }
    }
  }

  private mutating func write<Element>(
    open: Character, close: Character, _ elements: [Element], depth: Int,
    _ body: (inout JSONWriter, Element) -> Void
  ) {
    bytes += open.utf8
    for (index, element) in elements.enumerated() {
      if index > 0 { bytes.append(0x2c) }
      breakLine(depth: depth + 1)
      body(&self, element)
    }
    if !elements.isEmpty { breakLine(depth: depth) }
    bytes += close.utf8
  }

  // A longer list has a line for each element, so that a change shows as one.
  private static let lineLength = 80

  /// `["a", "b"]`, if the elements are plain values and few.
  private static func oneLine(_ elements: [JSONValue]) -> [UInt8]? {
    guard elements.count > 0, elements.count < lineLength / 2 else { return nil }
    var line = JSONWriter(isPretty: false, leftOut: [])
    line.bytes.append(0x5b)
    for (index, element) in elements.enumerated() {
      switch element {
      case .array, .object: return nil
      case .null, .bool, .integer, .string: break
      }
      if index > 0 { line.bytes += [0x2c, 0x20] }
      line.write(element, depth: 0)
      if line.bytes.count > lineLength { return nil }
    }
    return line.bytes + [0x5d]
  }

  private mutating func breakLine(depth: Int) {
    guard isPretty else { return }
    bytes.append(0x0a)
    for _ in 0..<depth { bytes += [0x20, 0x20] }
  }

  /// RFC 8785 §3.2.2.2: the two-character escapes where JSON has them, else `\u` and four lower-case digits
  /// for control characters; everything else as it is.
  private mutating func write(_ text: String) {
    bytes.append(0x22)
    for byte in text.utf8 {
      switch byte {
      case 0x22: bytes += [0x5c, 0x22]
      case 0x5c: bytes += [0x5c, 0x5c]
      case 0x08: bytes += [0x5c, 0x62]
      case 0x09: bytes += [0x5c, 0x74]
      case 0x0a: bytes += [0x5c, 0x6e]
      case 0x0c: bytes += [0x5c, 0x66]
      case 0x0d: bytes += [0x5c, 0x72]
      case 0..<0x20:
        let digits = String(byte, radix: 16)
        bytes += "\\u".utf8
        bytes += String(repeating: "0", count: 4 - digits.utf8.count).utf8
        bytes += digits.utf8
      default: bytes.append(byte)
      }
    }
    bytes.append(0x22)
  }
}
