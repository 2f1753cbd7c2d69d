package import Diagnostics

/// Why a word is not the value it should be: a wording for people, and which of its bytes are wrong.
package struct ValueTextError: Error, Sendable {
  package var id: DiagnosticID
  package var message: String
  /// Words beside the carets.
  package var label: String
  package var help: [String]
  /// The wrong bytes, as 0-based offsets in the text.
  package var range: Range<Int>
  /// What to put in place of the whole text, with what that does.
  package var replacements: [(message: String, text: String)]

  init(
    _ id: DiagnosticID, _ message: String, label: String = "", help: [String] = [], at range: Range<Int>,
    replacements: [(message: String, text: String)] = []
  ) {
    self.id = id
    self.message = message
    self.label = label
    self.help = help
    self.range = range
    self.replacements = replacements
  }

  /// The diagnostic for a text that is a part of a scalar; `start` is the offset of its first decoded byte.
  package func diagnostic(in scalar: SyntaxScalar, from start: Int = 0, length: Int) -> Diagnostic {
    Diagnostic(
      id, at: scalar.span(start + range.lowerBound, start + range.upperBound), message, label: label,
      help: help,
      fixIts: replacements.map {
        FixIt($0.message, replace: scalar.span(start, start + length), with: $0.text)
      })
  }
}
