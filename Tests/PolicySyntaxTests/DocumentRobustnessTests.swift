import Diagnostics
import Foundation
import PolicySyntax
import Testing

@Suite("documents: damaged input")
struct DocumentRobustnessTests {
  @Test(
    "every prefix and every deletion of one byte: no crash, nothing lost, refusals are reported",
    arguments: try DocumentCorpus.all() + DocumentSeeds.documents)
  func prefixesAndDeletions(_ document: DocumentFile) {
    let (path, bytes) = (document.path, document.bytes)
    for end in 0...bytes.count {
      check(Array(bytes[..<end]), "\(path), first \(end) bytes")
      guard end < bytes.count else { break }
      var shorter = bytes
      shorter.remove(at: end)
      check(shorter, "\(path) without byte \(end)")
    }
  }

  @Test("random bytes")
  func randomBytes() {
    var random = SplitMix(seed: 1)
    for round in 0..<20_000 {
      let alphabet = round % 2 == 0 ? nil : DocumentSeeds.significantBytes
      let bytes = (0..<Int.random(in: 0...60, using: &random)).map { _ in
        alphabet?.randomElement(using: &random) ?? UInt8.random(in: 0...255, using: &random)
      }
      check(bytes, "round \(round)")
    }
  }

  /// A cost that is not linear would not end here.
  @Test("hostile shapes", arguments: HostileShape.all)
  func hostile(_ shape: HostileShape) {
    let problems = check(Array(shape.text.utf8), shape.name)
    #expect(!problems.isEmpty)
  }

  @discardableResult
  private func check(_ bytes: [UInt8], _ name: @autoclosure () -> String) -> [Diagnostic] {
    let (tree, problems) = parseDocument(bytes)
    expectLossless(tree, bytes, name())
    if tree.root == nil, problems.isEmpty { Issue.record("refused without a word: \(name())") }
    for problem in problems {
      guard let span = problem.span, span.start <= span.end, span.end <= bytes.count else {
        Issue.record("\(problem.id) has a span outside the file: \(name())")
        continue
      }
      for fix in problem.fixIts where fix.span.start > fix.span.end || fix.span.end > bytes.count {
        Issue.record("\(problem.id) has a fix-it outside the file: \(name())")
      }
    }
    if let root = tree.root { checkSpans(root, bytes.count, name) }
    return problems
  }

  /// Children stand inside their parents, one behind the other.
  private func checkSpans(_ node: SyntaxNode, _ count: Int, _ name: () -> String) {
    let children: [SourceSpan] =
      switch node.content {
      case .scalar: []
      case .sequence(let items): items.map(\.span)
      case .mapping(let entries): entries.flatMap { [$0.key.span, $0.value.span] }
      }
    var position = node.span.start
    for child in children {
      if child.start < position || child.end < child.start || child.end > node.span.end {
        Issue.record("span \(child.start)..<\(child.end) outside \(position)..<\(node.span.end): \(name())")
      }
      position = child.end
    }
    node.sequence?.forEach { checkSpans($0, count, name) }
    node.mapping?.forEach { checkSpans($0.value, count, name) }
  }
}

/// 64 KiB of one thing.
struct HostileShape: CustomTestStringConvertible, Sendable {
  var name: String
  var text: String

  var testDescription: String { name }

  private init(_ name: String, _ start: String, _ repeated: String) {
    self.name = name
    text = start + String(repeating: repeated, count: (64 << 10) / repeated.utf8.count)
  }

  static let all = [
    HostileShape("open brackets", "a: ", "["),
    HostileShape("open braces", "", "{a: "),
    HostileShape("open brackets on lines", "a: ", "[\n "),
    HostileShape("dashes", "a:\n", "- "),
    HostileShape("lines of dashes", "a:\n", String(repeating: "- ", count: 100) + "\n"),
    HostileShape("open quotes", "a:\n", "- \"x\n"),
    HostileShape("open quotes in brackets", "a: [", "'b,\n ''"),
    HostileShape("apostrophes", "a: [", "'"),
    HostileShape("escapes", "a: \"", "\\"),
    HostileShape("bad escapes", "", "a: \"\\x\\x\\x\"\n"),
    HostileShape("second lines", "a: b\n", "  c\n"),
    HostileShape("quoted second lines", "a: 'b\n", "  c\n"),
    HostileShape("equal keys", "", "a: b\n"),
    HostileShape("keys without values", "", "a:\n"),
    HostileShape("anchors", "a: ", "&x "),
    HostileShape("tabs", "", "\t\n"),
    HostileShape("a line of tabs", "a:", "\t"),
    HostileShape("items without commas", "a: [\n", "b\n"),
    HostileShape("comments in brackets", "a: [", "b # \"\n "),
    HostileShape("accidental comments", "a: ", "\" # "),
    HostileShape("colons", "a: [", ":"),
    HostileShape("pairs of pairs", "a: [", "b: [c: "),
    HostileShape(
      "deeper and deeper", "", (0..<200).map { String(repeating: " ", count: $0) + "a:\n" }.joined()),
    HostileShape("blank lines in a block scalar", "a: >+\n  b\n", "\n"),
    HostileShape("dedented text", "a:\n    - b\n", "  c\n"),
    HostileShape("damaged UTF-8", "a: ", "\u{202e} "),
  ]
}

/// Fixed-seed random numbers: the same documents on every machine.
struct SplitMix: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var value = state
    value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
    value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
    return value ^ (value >> 31)
  }
}
