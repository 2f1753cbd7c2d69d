import Diagnostics
import PolicySyntax
import Testing

/// A text whose faults are marked, as in `accept tcp 22 ⟦form⟧ 10.0.0.1`; `⟦⟧` marks a place.
struct MarkedText {
  var text: String
  var spans: [SourceSpan]

  init(_ marked: String) {
    var bytes: [UInt8] = []
    var spans: [SourceSpan] = []
    var open: [Int] = []
    let all = Array(marked.utf8)
    let opening = Array("⟦".utf8)
    let closing = Array("⟧".utf8)
    var index = 0
    while index < all.count {
      if all[index...].starts(with: opening) {
        open.append(spans.count)
        spans.append(SourceSpan(SourceID(0), bytes.count, bytes.count))
        index += opening.count
      } else if all[index...].starts(with: closing) {
        spans[open.removeLast()].end = bytes.count
        index += closing.count
      } else {
        bytes.append(all[index])
        index += 1
      }
    }
    text = String(decoding: bytes, as: UTF8.self)
    self.spans = spans
  }
}

/// A plain scalar that is a whole file.
func scalar(_ text: String) -> SyntaxScalar {
  SyntaxScalar(
    text: text, style: .plain, span: SourceSpan(SourceID(0), 0, text.utf8.count),
    runs: [SyntaxScalar.Run(decodedStart: 0, sourceStart: 0)])
}

/// The text with a fix-it applied.
func applying(_ fixIt: FixIt, to text: String) -> String {
  let bytes = Array(text.utf8)
  return String(
    decoding: bytes[..<fixIt.span.start] + Array(fixIt.replacement.utf8) + bytes[fixIt.span.end...],
    as: UTF8.self)
}

func parseRule(_ text: String) -> (rule: RuleSyntax?, diagnostics: [Diagnostic]) {
  var diagnostics = DiagnosticList()
  let rule = RuleSyntax.parse(scalar(text), diagnostics: &diagnostics)
  return (rule, diagnostics.all)
}

/// Checks that a text gives exactly the marked faults, and that whatever they say is well formed.
func expectFaults(
  _ marked: String, _ ids: [DiagnosticID], _ found: [Diagnostic], sourceLocation: SourceLocation
) {
  let expected = MarkedText(marked)
  #expect(found.map(\.id) == ids, "\(marked): \(found.map(\.message))", sourceLocation: sourceLocation)
  #expect(
    found.map(\.span) == expected.spans.map(Optional.some), "\(marked): \(found)",
    sourceLocation: sourceLocation)
  for diagnostic in found {
    #expect(!diagnostic.message.isEmpty && !diagnostic.message.hasSuffix("."), sourceLocation: sourceLocation)
    #expect(
      !diagnostic.help.isEmpty || !diagnostic.label.isEmpty || !diagnostic.fixIts.isEmpty,
      "no reason and no help: \(diagnostic.message)", sourceLocation: sourceLocation)
  }
}
