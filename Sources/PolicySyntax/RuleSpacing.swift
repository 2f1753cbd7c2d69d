import Diagnostics

extension SyntaxScalar {
  /// The text with one space between words and behind commas, as canonical text has it; strings stay as they are.
  ///
  /// Nil if it is that already, or if it cannot be written so: text over several lines keeps its lines, and a space more
  /// must not make a comment or a key of a part of unquoted text.
  package var respaced: String? {
    switch style {
    case .literal, .folded: return nil
    case .plain, .singleQuoted, .doubleQuoted: break
    }
    var problems = DiagnosticList()
    let tokens = RuleLexer(self, index: 0).tokens(&problems)
    guard problems.isEmpty else { return nil }
    let bytes = Array(text.utf8)
    var spaced: [UInt8] = []
    for (index, token) in tokens.enumerated() {
      if index > 0, token.kind != .comma { spaced.append(0x20) }
      spaced += bytes[token.start..<token.end]
    }
    guard spaced != bytes, !spaced.isEmpty, !spaced.contains(where: { $0 < 0x20 }) else { return nil }
    let result = String(decoding: spaced, as: UTF8.self)
    if style == .plain, Self.endsEarly(spaced) { return nil }
    return result
  }

  private static func endsEarly(_ spaced: [UInt8]) -> Bool {
    zip(spaced, spaced.dropFirst()).contains {
      $0 == (0x20, UInt8(ascii: "#")) || $0 == (UInt8(ascii: ":"), 0x20)
    }
  }

  /// Whether two texts are the same words, strings and commas.
  package func hasTokens(of other: SyntaxScalar) -> Bool {
    var problems = DiagnosticList()
    let (tokens, others) = (
      RuleLexer(self, index: 0).tokens(&problems), RuleLexer(other, index: 0).tokens(&problems)
    )
    return problems.isEmpty && tokens.count == others.count
      && zip(tokens, others).allSatisfy { $0.kind == $1.kind && $0.text.utf8.elementsEqual($1.text.utf8) }
  }
}
