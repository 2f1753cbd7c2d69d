import Diagnostics
import PolicySyntax
import Testing

/// Diagnostics of later layers point into scalars: decoded offsets must lead to the bytes as written.
@Suite("documents: places")
struct DocumentSpanTests {
  /// The source text behind each occurrence of a word in the decoded text of the first value.
  private func written(_ word: String, in source: String, sourceLocation: SourceLocation = #_sourceLocation)
    throws
    -> String
  {
    let bytes = Array(source.utf8)
    let (tree, problems) = parseDocument(bytes)
    #expect(problems.isEmpty, sourceLocation: sourceLocation)
    let scalar = try #require(tree.root?.mapping?.first?.value.scalar, sourceLocation: sourceLocation)
    let range = try #require(
      Array(scalar.text.utf8).firstRange(of: Array(word.utf8)), sourceLocation: sourceLocation)
    let span = scalar.span(range.lowerBound, range.upperBound)
    return String(decoding: bytes[span.start..<span.end], as: UTF8.self)
  }

  @Test("plain and quoted")
  func oneLine() throws {
    #expect(try written("tcp", in: "a: accept tcp 22\n") == "tcp")
    #expect(try written("tcp", in: "a: 'accept tcp'\n") == "tcp")
    #expect(try written("it's", in: "a: 'say it''s x'\n") == "it''s")
    #expect(try written("x", in: "a: 'say it''s x'\n") == "x")
    #expect(try written("eth", in: "a: \"in \\\"eth\\\" x\"\n") == "eth")
    #expect(try written("\"eth\"", in: "a: \"in \\\"eth\\\" x\"\n") == "\\\"eth\\\"")
    #expect(try written("é", in: "a: \"b\\u00e9c\"\n") == "\\u00e9")
    #expect(try written("c", in: "a: \"b\\u00e9c\"\n") == "c")
    #expect(try written("日", in: "a: é日本\n") == "日")
  }

  @Test("block scalars")
  func blocks() throws {
    #expect(try written("drop", in: "a: >\n   accept\n   drop x\n   y\n") == "drop")
    #expect(try written("y", in: "a: >-\n   accept\n   drop x\n   y\n") == "y")
    #expect(try written("c", in: "a: |\r\n  b\r\n\r\n    c\r\n") == "c")
    // Over a line end: the indentation of the next line is in it.
    #expect(try written("b c", in: "a: >\n  b\n  c\n") == "b\n  c")
    #expect(try written("b\n", in: "a: |-\n  b\n  c\n") == "b\n  ")
  }

  @Test("nodes end with their last byte")
  func nodes() throws {
    let source = "a:   # x\n  - b: c   # y\n    d: [e,\n      f ]  \n\n  - >\n    g\n    h\n\n# z\ni: { }\n"
    let bytes = Array(source.utf8)
    let root = try #require(parseDocument(bytes).tree.root)
    func text(_ span: SourceSpan) -> String { String(decoding: bytes[span.start..<span.end], as: UTF8.self) }
    let entries = try #require(root.mapping)
    #expect(text(root.span) == source.dropLast())
    #expect(text(entries[0].key.span) == "a")
    let items = try #require(entries[0].value.sequence)
    #expect(text(entries[0].value.span) == "- b: c   # y\n    d: [e,\n      f ]  \n\n  - >\n    g\n    h")
    #expect(text(items[0].span) == "b: c   # y\n    d: [e,\n      f ]")
    #expect(items[0].mapping?.map { text($0.value.span) } == ["c", "[e,\n      f ]"])
    #expect(text(items[1].span) == ">\n    g\n    h")
    #expect(text(entries[1].value.span) == "{ }")
    #expect(entries[1].value.isFlow)
    #expect(!entries[0].value.isFlow)
  }

  @Test("tokens")
  func tokens() {
    let (tree, _) = parseDocument("a: [b] # c\n")
    #expect(
      tree.tokens.kinds == [
        .plain, .colon, .blank, .openBracket, .plain, .closeBracket, .blank, .comment, .lineBreak,
      ])
    #expect(tree.tokens.starts == [0, 1, 2, 3, 4, 5, 6, 7, 10])
  }
}
