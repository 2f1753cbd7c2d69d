package import Diagnostics

extension SyntaxNode {
  /// The scalar that holds a rule or a statement; nil, and reported, if the node is no text or if its commas
  /// would split it.
  ///
  /// - Parameters:
  ///   - what: with its article, as in ``a rule``.
  package func ruleText(_ what: String, diagnostics: inout DiagnosticList) -> SyntaxScalar? {
    guard let scalar else {
      diagnostics.report(
        Diagnostic(
          .wrongType, at: span, "\(what) is a text", label: "a \(kindName)",
          help: ["as in `- accept tcp 22 from $admin`"]))
      return nil
    }
    guard !isFlow || scalar.style != .plain else {
      // A comma or ` #` between double quotes has cut the text off: quotes around the rest would not mend it.
      let isCut = scalar.text.utf8.count { $0 == UInt8(ascii: "\"") } % 2 == 1
      diagnostics.report(
        Diagnostic(
          .flowRule, at: scalar.span, "\(what) inside `[ ]` or `{ }` is not in quotes",
          label: "a comma would split it", help: ["quote it, or write a block list with dashes"],
          fixIts: isCut
            ? [] : [FixIt("quote it", replace: scalar.span, with: Self.singleQuoted(scalar.text))]))
      return nil
    }
    return scalar
  }

  static func singleQuoted(_ text: String) -> String {
    var quoted: [UInt8] = [UInt8(ascii: "'")]
    for byte in text.utf8 {
      if byte == UInt8(ascii: "'") { quoted.append(byte) }
      quoted.append(byte)
    }
    quoted.append(UInt8(ascii: "'"))
    return String(decoding: quoted, as: UTF8.self)
  }

  /// Reports a rule that YAML read as a mapping because of a colon in it.
  func reportAccidentalMapping(_ entry: SyntaxEntry, _ what: String, _ diagnostics: inout DiagnosticList) {
    var fixIts: [FixIt] = []
    // Only what surely stands on one line can be put together again.
    if let value = entry.value.scalar, value.style == .plain, entry.key.style == .plain,
      value.span.start - entry.key.span.end == 2
    {
      let whole = entry.key.span.union(value.span)
      fixIts = [
        FixIt(
          "put it in single quotes", replace: whole,
          with: Self.singleQuoted("\(entry.key.text): \(value.text)"))
      ]
    }
    let looksLikeRule = entry.key.text.utf8.contains(UInt8(ascii: " "))
    diagnostics.report(
      Diagnostic(
        .accidentalMapping, at: entry.key.span,
        looksLikeRule
          ? "the colon makes a key of `\(entry.key.text)`" : "`\(entry.key.text)` is no name for \(what)",
        label: looksLikeRule ? "read as a key, not as \(what)" : "not a name",
        help: [
          "put the whole text in single quotes: `'\(entry.key.text): …'`",
          "to name it, write `NAME: …`; " + RuleParser.nameHelp,
        ], fixIts: fixIts))
  }
}
