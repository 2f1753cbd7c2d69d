import Diagnostics

/// A word, a string or a comma of a rule.
struct RuleToken: Sendable {
  enum Kind: Sendable {
    case word
    case string
    case comma
  }

  var kind: Kind
  /// What a word says, or a string holds.
  var text: String
  /// Of a word only.
  var keyword: RuleKeyword?
  /// Where the text came from, as an index into the parser's scalars, and its 0-based decoded offsets there.
  var scalar: Int
  var start: Int
  var end: Int
  /// Whether the token is a whole element of a YAML list. Such a word can be nothing but a value, so that
  /// even a keyword needs no quotes where a name is asked for.
  var isElement = false

  var isReference: Bool { kind == .word && text.utf8.first == UInt8(ascii: "$") }

  /// A word that is neither a keyword nor a reference.
  var isPlainWord: Bool { kind == .word && keyword == nil && !isReference }

  /// As the user wrote it, near enough for a message.
  var written: String {
    switch kind {
    case .word: text
    case .string: "\"\(text)\""
    case .comma: ","
    }
  }
}

/// Cuts the decoded text of a scalar into tokens.
struct RuleLexer {
  private let bytes: [UInt8]
  private let scalar: SyntaxScalar
  private let scalarIndex: Int

  init(_ scalar: SyntaxScalar, index: Int) {
    bytes = Array(scalar.text.utf8)
    self.scalar = scalar
    scalarIndex = index
  }

  static func isSpace(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\n")
      || byte == UInt8(ascii: "\r")
  }

  /// All tokens. A string that is not closed runs to the end of the text and is reported.
  func tokens(_ diagnostics: inout DiagnosticList) -> [RuleToken] {
    var tokens: [RuleToken] = []
    tokens.reserveCapacity(8)
    var index = 0
    while index < bytes.count {
      let byte = bytes[index]
      if Self.isSpace(byte) {
        index += 1
      } else if byte == UInt8(ascii: ",") {
        tokens.append(
          RuleToken(kind: .comma, text: ",", keyword: nil, scalar: scalarIndex, start: index, end: index + 1))
        index += 1
      } else if byte == UInt8(ascii: "\"") {
        tokens.append(string(from: &index, &diagnostics))
      } else {
        let start = index
        while index < bytes.count, !Self.isSpace(bytes[index]), bytes[index] != UInt8(ascii: ","),
          bytes[index] != UInt8(ascii: "\"")
        {
          index += 1
        }
        let text = String(decoding: bytes[start..<index], as: UTF8.self)
        tokens.append(
          RuleToken(
            kind: .word, text: text, keyword: RuleKeyword.named(text), scalar: scalarIndex, start: start,
            end: index))
      }
    }
    return tokens
  }

  private func string(from index: inout Int, _ diagnostics: inout DiagnosticList) -> RuleToken {
    let start = index
    var content: [UInt8] = []
    var isClosed = false
    index += 1
    while index < bytes.count, !isClosed {
      switch bytes[index] {
      case UInt8(ascii: "\""):
        isClosed = true
        index += 1
      case UInt8(ascii: "\\"):
        let next = index + 1 < bytes.count ? bytes[index + 1] : nil
        if let next, next == UInt8(ascii: "\"") || next == UInt8(ascii: "\\") {
          content.append(next)
          index += 2
        } else {
          // Take a whole scalar of UTF-8 into the span.
          var end = min(index + 2, bytes.count)
          while end < bytes.count, bytes[end] & 0xc0 == 0x80 { end += 1 }
          diagnostics.report(
            Diagnostic(
              .ruleBadValue, at: scalar.span(index, end), "unknown escape in a string",
              label: "only `\\\"` and `\\\\` are known",
              help: ["a backslash itself is written `\\\\`"],
              fixIts: [FixIt("double the backslash", replace: scalar.span(index, index + 1), with: "\\\\")]))
          content.append(bytes[index])
          index += 1
        }
      default:
        content.append(bytes[index])
        index += 1
      }
    }
    if !isClosed {
      var help = ["close it with `\"`"]
      if scalar.style == .plain {
        help.append("in an unquoted rule ` #` begins a comment; put the whole rule in single quotes")
      }
      diagnostics.report(
        Diagnostic(
          .ruleUnclosedString, at: scalar.span(start, start + 1), "a string is not closed",
          label: "it begins here", help: help))
    }
    return RuleToken(
      kind: .string, text: String(decoding: content, as: UTF8.self), keyword: nil, scalar: scalarIndex,
      start: start, end: index)
  }
}
