import Diagnostics

/// Where a key of a block mapping and its colon are; all on one line.
struct KeyExtent {
  var start: Int
  var end: Int
  var colon: Int
}

/// Why a plain scalar ended.
enum PlainEnd {
  case lineEnd
  case comment
  /// A colon with a blank or line end (in flow also a comma or bracket) behind it.
  case colon
  /// Flow only: a comma or bracket.
  case delimiter
}

extension DocumentParser {
  // MARK: Look-ahead

  func isComplexKey(_ offset: Int) -> Bool { byte(offset) == 0x3f && isBlankOrBreak(offset + 1) }

  /// The `key:` that starts at an offset, if there is one on the line.
  func blockKey(_ start: Int) -> KeyExtent? {
    switch byte(start) {
    case 0x22, 0x27:
      guard let end = quotedEnd(start) else { return nil }
      var colon = end
      while isBlank(colon) { colon += 1 }
      guard byte(colon) == 0x3a, isBlankOrBreak(colon + 1) else { return nil }
      return KeyExtent(start: start, end: end, colon: colon)
    case 0x5b, 0x7b, 0x23:
      return nil
    default:
      let (stop, reason) = plainEnd(start, inFlow: false)
      guard reason == .colon else { return nil }
      return KeyExtent(start: start, end: trimmedEnd(start, stop), colon: stop)
    }
  }

  /// The offset behind the closing quote, if it stands on the line.
  func quotedEnd(_ start: Int) -> Int? {
    let quote = byte(start)
    var offset = start + 1
    while !isBreak(offset) {
      let value = bytes[offset]
      if value == quote {
        if quote == 0x22 || byte(offset + 1) != 0x27 { return offset + 1 }
        offset += 2
      } else if value == 0x5c, quote == 0x22, !isBreak(offset + 1) {
        offset += 2
      } else {
        offset += 1
      }
    }
    return nil
  }

  /// Where plain text ends; trailing blanks are still in it.
  func plainEnd(_ start: Int, inFlow: Bool) -> (end: Int, reason: PlainEnd) {
    var offset = start
    while offset < bytes.count {
      let value = bytes[offset]
      // Letters and digits, first of all: most bytes of a policy pass through here.
      if value > 0x3a {
        if inFlow, isFlowDelimiter(value) { return (offset, .delimiter) }
      } else if value == 0x3a {
        if isBlankOrBreak(offset + 1) { return (offset, .colon) }
        if inFlow, isFlowDelimiter(byte(offset + 1)) { return (offset, .colon) }
      } else if value == 0x0a || value == 0x0d {
        return (offset, .lineEnd)
      } else if value == 0x23 {
        if offset > start, isBlank(offset - 1) { return (offset, .comment) }
      } else if value == 0x2c, inFlow {
        return (offset, .delimiter)
      }
      offset += 1
    }
    return (offset, .lineEnd)
  }

  @inline(__always)
  func isFlowDelimiter(_ value: UInt8) -> Bool {
    value == 0x2c || value == 0x5b || value == 0x5d || value == 0x7b || value == 0x7d
  }

  // MARK: Keys

  mutating func parseKey(_ extent: KeyExtent) -> SyntaxScalar {
    if extent.colon - extent.start > DocumentLimits.key {
      report(
        .limit, extent.start, extent.end,
        "a key of \(extent.colon - extent.start) bytes; the limit is \(DocumentLimits.key)")
    }
    if byte(extent.start) == 0x22 || byte(extent.start) == 0x27 {
      return parseQuoted(to: extent.end, allowsBreaks: false)
    }
    if extent.end == extent.start {
      report(.unexpected, extent.start, extent.start + 1, "a colon without a key")
      return SyntaxScalar(text: "", style: .plain, span: span(extent.start, extent.start), runs: [])
    }
    if extent.end - extent.start == 2, byte(extent.start) == 0x3c, byte(extent.start + 1) == 0x3c {
      report(
        .mergeKey, extent.start, extent.end, "`<<` is a merge key to some readers",
        help: ["shared settings go into a fragment"])
    }
    return parsePlain(to: extent.end, inFlow: false)
  }

  // MARK: Plain

  /// Plain text up to an offset, already trimmed; reports how it starts and tabs in it.
  mutating func parsePlain(to end: Int, inFlow: Bool) -> SyntaxScalar {
    let start = position
    checkPlain(start, end, inFlow: inFlow)
    emit(.plain, to: end)
    return plainScalar(start, end)
  }

  func plainScalar(_ start: Int, _ end: Int) -> SyntaxScalar {
    SyntaxScalar(
      text: text(start, end), style: .plain, span: span(start, end),
      runs: [SyntaxScalar.Run(decodedStart: 0, sourceStart: start)])
  }

  private mutating func checkPlain(_ start: Int, _ end: Int, inFlow: Bool) {
    guard start < end else { return }
    let first = bytes[start]
    switch first {
    case 0x2a:
      if isAnchorByte(byte(start + 1)) {
        report(
          .anchor, start, end, "`*` starts a YAML alias",
          help: ["repeat the value, or give it a name in `define`; in quotes it is text"])
      } else {
        reportIndicator(start, end)
      }
    case 0x25, 0x40, 0x60, 0x7c, 0x3e, 0x2c, 0x5d, 0x7d, 0x23, 0x26, 0x21, 0x5b, 0x7b, 0x22, 0x27:
      reportIndicator(start, end)
    case 0x2d, 0x3f, 0x3a:
      if isBlankOrBreak(start + 1) || inFlow && (first != 0x2d || isFlowDelimiter(byte(start + 1))) {
        if first == 0x3a {
          reportFlowColon(start, end)
        } else {
          reportIndicator(start, end)
        }
      }
    default: break
    }
    if hasTabs { reportTabs(start, end) }
    if inFlow, hasQuestionMarks, first != 0x3f, bytes[start..<end].contains(0x3f) {
      report(
        .needsQuotes, start, end, "text with `?` in brackets needs quotes",
        help: ["some YAML readers take the question mark for the start of a key"],
        fixIts: [quoteFix(start, end)])
    }
  }

  private func isAnchorByte(_ value: UInt8) -> Bool {
    switch value {
    case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x5f, 0x2d: true
    default: value >= 0x80
    }
  }

  mutating func reportIndicator(_ start: Int, _ end: Int) {
    report(
      .needsQuotes, start, end, "text that starts with `\(text(start, start + 1))` needs quotes",
      help: ["the character has a meaning of its own in YAML"], fixIts: [quoteFix(start, end)])
  }

  mutating func reportFlowColon(_ start: Int, _ end: Int) {
    report(
      .flowColon, start, end, "text in brackets that begins or ends with `:` needs quotes",
      help: ["YAML readers take the colon for the end of a key"], fixIts: [quoteFix(start, end)])
  }

  /// Puts source text into quotes that keep every byte of it.
  func quoteFix(_ start: Int, _ end: Int) -> FixIt {
    var quoted = "'"
    for scalar in text(start, end).unicodeScalars {
      quoted.unicodeScalars.append(scalar)
      if scalar == "'" { quoted += "'" }
    }
    return FixIt("quote it", replace: span(start, end), with: quoted + "'")
  }

  /// The end of text that a ` #` cut off while a double quote was open, or nil if none was.
  ///
  /// Returns the end of the line's text if the quote is never closed.
  func accidentalComment(_ start: Int, cutAt comment: Int) -> (end: Int, isClosed: Bool)? {
    var isOpen = false
    var offset = start
    while offset < comment {
      if bytes[offset] == 0x22 {
        isOpen.toggle()
      } else if bytes[offset] == 0x5c, isOpen {
        offset += 1
      }
      offset += 1
    }
    guard isOpen else { return nil }
    let end = lineEnd(from: comment)
    while offset < end {
      if bytes[offset] == 0x22 {
        isOpen.toggle()
      } else if bytes[offset] == 0x5c, isOpen {
        offset += 1
      } else if bytes[offset] == 0x23, !isOpen, isBlank(offset - 1) {
        return (trimmedEnd(start, offset), true)
      }
      offset += 1
    }
    return (trimmedEnd(start, end), !isOpen)
  }

  mutating func reportAccidentalComment(_ start: Int, _ comment: Int, _ cut: (end: Int, isClosed: Bool)) {
    report(
      .accidentalComment, comment, cut.end, "` #` starts a comment, and a `\"` is open here",
      label: "not part of the text", help: ["put the whole text in single quotes"],
      fixIts: cut.isClosed ? [quoteFix(start, cut.end)] : [])
  }

  // MARK: Quoted

  /// Quoted text; `end` is behind the closing quote.
  mutating func parseQuoted(to end: Int, allowsBreaks: Bool) -> SyntaxScalar {
    let start = position
    let isDouble = byte(start) == 0x22
    emit(isDouble ? .doubleQuoted : .singleQuoted, to: end)
    let style: ScalarStyle = isDouble ? .doubleQuoted : .singleQuoted
    let special: UInt8 = isDouble ? 0x5c : 0x27
    guard bytes[(start + 1)..<(end - 1)].contains(special) else {
      return SyntaxScalar(
        text: text(start + 1, end - 1), style: style, span: span(start, end),
        runs: [SyntaxScalar.Run(decodedStart: 0, sourceStart: start + 1)])
    }
    var decoded: [UInt8] = []
    decoded.reserveCapacity(end - start)
    var runs = [SyntaxScalar.Run(decodedStart: 0, sourceStart: start + 1)]
    var offset = start + 1
    while offset < end - 1 {
      if bytes[offset] != special {
        decoded.append(bytes[offset])
        offset += 1
        continue
      }
      if isDouble {
        runs.append(SyntaxScalar.Run(decodedStart: decoded.count, sourceStart: offset))
        offset = decodeEscape(at: offset, end: end - 1, allowsBreaks: allowsBreaks, into: &decoded)
      } else {
        decoded.append(0x27)
        offset += 2
      }
      runs.append(SyntaxScalar.Run(decodedStart: decoded.count, sourceStart: offset))
    }
    return SyntaxScalar(
      text: String(decoding: decoded, as: UTF8.self), style: style, span: span(start, end), runs: runs)
  }

  /// Decodes the escape at a backslash and returns the offset behind it; `end` is the closing quote.
  private mutating func decodeEscape(
    at start: Int, end: Int, allowsBreaks: Bool, into decoded: inout [UInt8]
  ) -> Int {
    let scalar: UInt32
    var next = start + 2
    switch byte(start + 1) {
    case 0x22, 0x5c, 0x2f: scalar = UInt32(bytes[start + 1])
    case 0x62: scalar = 0x08
    case 0x66: scalar = 0x0c
    case 0x6e: scalar = 0x0a
    case 0x72: scalar = 0x0d
    case 0x74: scalar = 0x09
    case 0x75:
      guard let value = hexadecimal(start + 2, end: end) else {
        report(.escape, start, min(start + 6, end), "`\\u` takes four hexadecimal digits")
        return start + 2
      }
      scalar = value
      next = start + 6
      if (0xd800...0xdfff).contains(value) { return reportSurrogate(value, start, end: end) }
    default:
      let (character, count) = CharacterRules.decode(bytes, at: start + 1)
      let behind = min(start + 1 + count, end)
      report(
        .escape, start, behind, "the escape `\(text(start, behind))`",
        help: ["the escapes are JSON's: `\\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX`"],
        fixIts: character == 0x27
          ? [FixIt("remove the backslash", replace: span(start, start + 1), with: "")]
          : [FixIt("write a backslash", replace: span(start, start + 1), with: "\\\\")])
      return behind
    }
    if CharacterRules.isRefused(scalar), !(allowsBreaks && (scalar == 0x0a || scalar == 0x09)) {
      report(
        .forbiddenCharacter, start, next, "\(CharacterRules.name(scalar)) behind an escape",
        help: scalar == 0x0a || scalar == 0x09
          ? ["line ends and tabs are allowed in `description` and `comment`"] : [])
    }
    if let value = Unicode.Scalar(scalar) { decoded += Array(String(value).utf8) }
    return next
  }

  private mutating func reportSurrogate(_ high: UInt32, _ start: Int, end: Int) -> Int {
    guard high < 0xdc00, byte(start + 6) == 0x5c, byte(start + 7) == 0x75,
      let low = hexadecimal(start + 8, end: end), (0xdc00...0xdfff).contains(low),
      let pair = Unicode.Scalar(0x10000 + (high - 0xd800) << 10 + (low - 0xdc00))
    else {
      report(.escape, start, start + 6, "half of a surrogate pair is no character")
      return start + 6
    }
    report(
      .escape, start, start + 12, "a surrogate pair", help: ["YAML readers take it for two characters"],
      fixIts: CharacterRules.isRefused(pair.value)
        ? [] : [FixIt("write the character", replace: span(start, start + 12), with: String(pair))])
    return start + 12
  }

  private func hexadecimal(_ start: Int, end: Int) -> UInt32? {
    guard start + 4 <= end else { return nil }
    var value: UInt32 = 0
    for offset in start..<(start + 4) {
      switch bytes[offset] {
      case let digit where (0x30...0x39).contains(digit): value = value << 4 | UInt32(digit - 0x30)
      case let digit where (0x41...0x46).contains(digit): value = value << 4 | UInt32(digit - 0x37)
      case let digit where (0x61...0x66).contains(digit): value = value << 4 | UInt32(digit - 0x57)
      default: return nil
      }
    }
    return value
  }
}
