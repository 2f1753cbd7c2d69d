import Diagnostics
import Testing

/// Entries of block lists and mappings, with all of their lines.
@Suite struct ItemLinesTests {
  /// The source without the entry at the mark; nil: it cannot be taken out.
  private func without(_ marked: String) throws -> String? {
    let source = MarkedSource(path: "policy.cos", marked)
    let file = source.files[source.spans[0].source]
    guard let fixIt = ItemLines.removal(of: source.spans[0], in: file) else { return nil }
    var bytes = file.bytes
    bytes.replaceSubrange(fixIt.span.start..<fixIt.span.end, with: Array(fixIt.replacement.utf8))
    return String(decoding: bytes, as: UTF8.self)
  }

  @Test func entriesAreTakenOut() throws {
    #expect(try without("rules:\n  - a\n  - «b»\n  - c\n") == "rules:\n  - a\n  - c\n")
    #expect(try without("rules:\n- «a»\n- b") == "rules:\n- b")
    #expect(try without("rules:\n- a\n- «b»") == "rules:\n- a\n")
    // What stands below it goes with it, and not what stands behind.
    #expect(
      try without("- «rule: a\n  because: b»\n\n  # of a\n  more: c\n# of d\n- d\n") == "# of d\n- d\n")
    #expect(try without("define:\n  «a»: [1,\n    2]\n  b: 3\nx: y\n") == "define:\n  b: 3\nx: y\n")
    #expect(try without("define:\n  «a»:\n  - 1\n  - 2\n  b: 3\n") == "define:\n  b: 3\n")
  }

  @Test func theOnlyEntryStays() throws {
    #expect(try without("rules:\n  - «a»\nother: b\n") == nil)
    #expect(try without("define:\n  «a»: 1\nrules:\n  - b\n") == nil)
    #expect(try without("rules:\n- «a»\nother: b\n") == nil)
    #expect(try without("rules: [«a», b]\n") == nil)
  }

  @Test func entriesAreMoved() throws {
    let source = MarkedSource(
      path: "policy.cos", "rules:\n  - «a»\n  # of b\n  - b\n  - «c:\n      d»\n  - e\n")
    let file = source.files[source.spans[0].source]
    let fixIt = try #require(
      ItemLines.move(of: source.spans[1], before: source.spans[0], named: "a", in: file))
    #expect(fixIt.message == "put it before `a`")
    #expect(fixIt.replacement == "  - c:\n      d\n  - a\n  # of b\n  - b\n")
    #expect(fixIt.span == SourceSpan(source.spans[0].source, 7, 43))
    #expect(ItemLines.move(of: source.spans[0], before: source.spans[1], named: "c", in: file) == nil)
  }
}
