import Diagnostics

/// Which characters a policy may hold, raw or behind an escape.
///
/// Refused are characters that cannot be seen or that move others about: what a reviewer reads must be
/// what the kernel gets. The ranges are Unicode's categories Cc, Cf, Zl and Zp, noncharacters, and the
/// remaining default-ignorable code points except the variation selectors of emoji (U+FE00–FE0F).
enum CharacterRules {
  /// Ascending, disjoint, both ends inside.
  private static let refused: [ClosedRange<UInt32>] = [
    0x00...0x1f, 0x7f...0x9f, 0xad...0xad, 0x34f...0x34f, 0x600...0x605, 0x61c...0x61c, 0x6dd...0x6dd,
    0x70f...0x70f, 0x890...0x891, 0x8e2...0x8e2, 0x115f...0x1160, 0x17b4...0x17b5, 0x180b...0x180f,
    0x200b...0x200f, 0x2028...0x202e, 0x2060...0x206f, 0x3164...0x3164, 0xd800...0xdfff,
    0xfdd0...0xfdef, 0xfeff...0xfeff, 0xffa0...0xffa0, 0xfff0...0xfffb, 0x110bd...0x110bd,
    0x110cd...0x110cd, 0x13430...0x1343f, 0x1bca0...0x1bca3, 0x1d173...0x1d17a, 0xe0000...0xe0fff,
  ]

  static func isRefused(_ scalar: UInt32) -> Bool {
    if scalar < 0x7f { return scalar < 0x20 }
    if scalar & 0xfffe == 0xfffe { return true }
    var low = 0
    var high = refused.count
    while low < high {
      let middle = (low + high) / 2
      if refused[middle].upperBound < scalar { low = middle + 1 } else { high = middle }
    }
    return low < refused.count && refused[low].lowerBound <= scalar
  }

  /// `U+202E` and, where it helps, a word on what it is.
  static func name(_ scalar: UInt32) -> String {
    let digits = String(scalar, radix: 16, uppercase: true)
    let code = "U+" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    return switch scalar {
    case 0xfeff: "\(code), a byte order mark,"
    case 0x85, 0x2028, 0x2029: "\(code), a line end to some readers only,"
    case 0...0x1f, 0x7f...0x9f: "the control character \(code)"
    case 0x61c, 0x200e...0x200f, 0x202a...0x202e, 0x2066...0x2069:
      "\(code), which changes the direction of text,"
    default:
      scalar & 0xfffe == 0xfffe || (0xfdd0...0xfdef).contains(scalar)
        ? "the noncharacter \(code)" : "the invisible \(code)"
    }
  }

  /// One character of strict UTF-8 (RFC 3629), or nil; `count` is then the bytes to step over.
  static func decode(_ bytes: borrowing [UInt8], at start: Int) -> (scalar: UInt32?, count: Int) {
    let first = bytes[start]
    let length: Int
    var scalar: UInt32
    let lowest: UInt32
    switch first {
    case 0..<0x80: return (UInt32(first), 1)
    case 0xc2...0xdf: (length, scalar, lowest) = (2, UInt32(first & 0x1f), 0x80)
    case 0xe0...0xef: (length, scalar, lowest) = (3, UInt32(first & 0x0f), 0x800)
    case 0xf0...0xf4: (length, scalar, lowest) = (4, UInt32(first & 0x07), 0x10000)
    default: return (nil, 1)
    }
    for offset in 1..<length {
      guard start + offset < bytes.count, bytes[start + offset] & 0xc0 == 0x80 else { return (nil, offset) }
      scalar = scalar << 6 | UInt32(bytes[start + offset] & 0x3f)
    }
    guard scalar >= lowest, scalar <= 0x10ffff, !(0xd800...0xdfff).contains(scalar) else {
      return (nil, length)
    }
    return (scalar, length)
  }
}

extension DocumentParser {
  /// Looks at every byte once, whatever token it will be in: UTF-8, line ends, refused characters, lengths of lines.
  mutating func checkCharacters() {
    var position = 0
    var line = 0
    while position < bytes.count {
      let byte = bytes[position]
      if byte >= 0x20 && byte < 0x7f {
        if byte == 0x3f { hasQuestionMarks = true }
        position += 1
      } else if byte == 0x09 {
        hasTabs = true
        position += 1
      } else if byte == 0x0a {
        checkLength(from: line, to: position)
        position += 1
        line = position
      } else if byte == 0x0d {
        if position + 1 >= bytes.count || bytes[position + 1] != 0x0a {
          report(
            .bareCR, position, position + 1, "a carriage return that is not part of a line end",
            help: ["lines end in LF or CRLF"],
            fixIts: [FixIt("write a line end", replace: span(position, position + 1), with: "\n")])
        }
        position += 1
      } else {
        position = checkCharacter(at: position)
      }
    }
    checkLength(from: line, to: position)
  }

  private mutating func checkLength(from start: Int, to end: Int) {
    guard end - start > DocumentLimits.line else { return }
    guard end - start > DocumentLimits.line + 1 || bytes[end - 1] != 0x0d else { return }
    report(
      .limit, start, start + 1, "a line of \(end - start) bytes; the limit is \(DocumentLimits.line)",
      help: ["put a long list over several lines"])
  }

  /// Reports a stretch of damaged or refused characters at once and returns the offset behind it.
  private mutating func checkCharacter(at start: Int) -> Int {
    var position = start
    var first: UInt32?
    let (scalar, count) = CharacterRules.decode(bytes, at: start)
    position += count
    guard let scalar else {
      while position < bytes.count, bytes[position] >= 0x80 {
        let (scalar, count) = CharacterRules.decode(bytes, at: position)
        if scalar != nil { break }
        position += count
      }
      report(
        .notUTF8, start, position, "the file is not UTF-8 here", help: ["save the file as UTF-8"])
      return position
    }
    guard CharacterRules.isRefused(scalar) else { return position }
    first = scalar
    while position < bytes.count, ![0x09, 0x0a, 0x0d].contains(bytes[position]) {
      let (scalar, count) = CharacterRules.decode(bytes, at: position)
      guard let scalar, CharacterRules.isRefused(scalar) else { break }
      position += count
    }
    report(
      .forbiddenCharacter, start, position,
      "\(CharacterRules.name(first ?? scalar)) may not stand in a policy",
      help: ["what cannot be seen cannot be reviewed"],
      fixIts: [FixIt("remove it", replace: span(start, position), with: "")])
    return position
  }
}
