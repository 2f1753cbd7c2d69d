/// Names of the language (LANGUAGE.md §2).
enum Name {
  /// `[a-z][a-z0-9]*(-[a-z0-9]+)*`, at most 40 bytes.
  static func isValid(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    guard let first = bytes.first, (0x61...0x7a).contains(first), bytes.count <= 40 else { return false }
    var last = first
    for byte in bytes.dropFirst() {
      let isHyphen = byte == UInt8(ascii: "-")
      guard isHyphen || (0x61...0x7a).contains(byte) || (0x30...0x39).contains(byte),
        !(isHyphen && last == UInt8(ascii: "-"))
      else { return false }
      last = byte
    }
    return last != UInt8(ascii: "-")
  }

  static let pattern = "^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
}

/// Numbers of the language: decimal or lower-case `0x`, no leading zero, no `_` (LANGUAGE.md §3).
enum Integer {
  static func parse(_ text: String) -> Int? {
    let bytes = Array(text.utf8)
    if bytes.starts(with: [0x30, 0x78]) {
      let digits = bytes.dropFirst(2)
      guard !digits.isEmpty, digits.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
      else { return nil }
      return Int(text.dropFirst(2), radix: 16)
    }
    guard !bytes.isEmpty, bytes.allSatisfy({ (0x30...0x39).contains($0) }),
      bytes.count == 1 || bytes[0] != 0x30
    else { return nil }
    return Int(text)
  }
}
