import Diagnostics
import PolicySyntax
import Testing

/// One document, the diagnostics it gets at the marks `1️⃣`, `2️⃣` … in its source, and what applying their fix-its gives.
struct DocumentCase: CustomTestStringConvertible, Sendable {
  var name: String
  var source: String
  var ids: [DiagnosticID]
  var fixed: String?
  /// The events that survive the damage; nil where the case does not care.
  var kept: String?

  var testDescription: String { name }

  init(_ name: String, _ source: String, _ ids: DiagnosticID..., fixed: String? = nil, kept: String? = nil) {
    self.name = name
    self.source = source
    self.ids = ids
    self.fixed = fixed
    self.kept = kept
  }

  /// The source without its marks, and the byte offset of each.
  var unmarked: (bytes: [UInt8], marks: [Int]) {
    var bytes: [UInt8] = []
    var marks: [Int] = []
    let scalars = Array(source.unicodeScalars)
    var index = 0
    while index < scalars.count {
      // A mark is a digit, a variation selector and an enclosing keycap.
      if index + 2 < scalars.count, scalars[index + 1].value == 0xfe0f, scalars[index + 2].value == 0x20e3 {
        marks.append(bytes.count)
        precondition(scalars[index].value == 0x30 + marks.count, "marks are numbered from 1, in order")
        index += 3
      } else {
        bytes += Array(String(scalars[index]).utf8)
        index += 1
      }
    }
    return (bytes, marks)
  }
}

@Suite("documents: each refusal of LANGUAGE.md §1")
struct DocumentGoldenTests {
  @Test("the ids stand at the marks", arguments: DocumentCases.refused)
  func refused(_ documentCase: DocumentCase) {
    let (bytes, marks) = documentCase.unmarked
    let (tree, problems) = parseDocument(bytes)
    expectLossless(tree, bytes, documentCase.name)
    #expect(problems.map(\.id) == documentCase.ids, "\(problems.map { "\($0.id.rawValue): \($0.message)" })")
    #expect(problems.compactMap { $0.span?.start } == marks)
    for problem in problems { expectStyle(problem) }
    if let kept = documentCase.kept {
      #expect(tree.events().map(\.line).joined(separator: " ") == kept)
    }
  }

  @Test("fix-its give accepted documents", arguments: DocumentCases.refused)
  func fixed(_ documentCase: DocumentCase) {
    let (bytes, _) = documentCase.unmarked
    let fixed = applyFixIts(bytes, parseDocument(bytes).problems)
    guard let expected = documentCase.fixed else {
      #expect(fixed == bytes, "no fix-it is expected")
      return
    }
    #expect(String(decoding: fixed, as: UTF8.self) == expected)
    let problems = parseDocument(fixed).problems
    #expect(problems.isEmpty, "\(problems.map(\.message))")
  }

  @Test("accepted documents", arguments: DocumentCases.accepted)
  func accepted(_ documentCase: DocumentCase) {
    let (bytes, _) = documentCase.unmarked
    let (tree, problems) = parseDocument(bytes)
    #expect(problems.isEmpty, "\(problems.map { "\($0.id.rawValue): \($0.message)" })")
    #expect(tree.events().map(\.line).joined(separator: " ") == documentCase.kept)
  }

  @Test("invalid UTF-8 is reported once for each stretch of it")
  func invalidUTF8() {
    let cases: [(bytes: [UInt8], start: Int, end: Int)] = [
      ([0x61, 0x3a, 0x20, 0xff, 0xfe, 0x62, 0x0a], 3, 5),
      ([0x61, 0x3a, 0x20, 0x62, 0xc3, 0x0a], 4, 5),
      // Overlong, a surrogate, above U+10FFFF.
      ([0x61, 0x3a, 0x20, 0xc0, 0x80, 0x0a], 3, 5),
      ([0x61, 0x3a, 0x20, 0xed, 0xa0, 0x80, 0x0a], 3, 6),
      ([0x61, 0x3a, 0x20, 0xf4, 0x90, 0x80, 0x80, 0x0a], 3, 7),
    ]
    for (bytes, start, end) in cases {
      let (tree, problems) = parseDocument(bytes)
      expectLossless(tree, bytes, "\(bytes)")
      #expect(problems.map(\.id) == [.notUTF8])
      #expect(problems.map(\.span) == [SourceSpan(SourceID(0), start, end)])
    }
  }

  @Test("a file over the limit is not read")
  func size() {
    let bytes = [UInt8](repeating: 0x23, count: 16 << 20 + 1)
    let (tree, problems) = parseDocument(bytes)
    #expect(problems.map(\.id) == [.limit])
    #expect(tree.root == nil)
    #expect(tree.printed() == bytes)
  }

  @Test("every id of the document layer has a case")
  func coverage() {
    let covered = Set(DocumentCases.refused.flatMap(\.ids) + [.notUTF8])
    let ofOthers: Set<DiagnosticID> = [.leadingZero, .flowRule, .unknownKey, .wrongType]
    for id in DiagnosticID.allCases where id.rawValue.hasPrefix("syntax/") && !ofOthers.contains(id) {
      #expect(covered.contains(id), "\(id.rawValue) has no case")
    }
  }

  /// Messages are lower case, without full stop.
  private func expectStyle(_ problem: Diagnostic) {
    for text in [problem.message] + problem.help + problem.fixIts.map(\.message) {
      #expect(!text.hasSuffix("."), "\(text)")
      #expect(text.first?.isUppercase != true || text.hasPrefix("YAML") || text.hasPrefix("U+"), "\(text)")
    }
  }

  /// The first fix-it of each diagnostic, from behind.
  private func applyFixIts(_ bytes: [UInt8], _ problems: [Diagnostic]) -> [UInt8] {
    var bytes = bytes
    for fix in problems.compactMap(\.fixIts.first).sorted(by: { $0.span.start > $1.span.start }) {
      bytes.replaceSubrange(fix.span.start..<fix.span.end, with: Array(fix.replacement.utf8))
    }
    return bytes
  }
}
