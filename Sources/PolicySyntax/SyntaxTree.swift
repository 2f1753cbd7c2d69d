package import Diagnostics

/// One `.cos` file as written: every byte in a token, and the graph of nodes the tokens form.
package struct SyntaxTree: Sendable {
  package let source: SourceID
  package let bytes: [UInt8]
  package let tokens: DocumentTokens
  /// The mapping at the top; nil if there is none. Where errors were reported, damaged items are missing.
  package let root: SyntaxNode?

  /// Reads a document (LANGUAGE.md §1).
  ///
  /// Every input gives a tree. If no error is reported, libfyaml, PyYAML and libyaml read the same events
  /// from the same bytes. What depends on the type a key gives its scalar is left to the checker; see
  /// `SyntaxScalar.yamlTypes`, `startsWithIndicator` and `hasLeadingZero`.
  package static func parse(_ file: SourceFile, diagnostics: inout DiagnosticList) -> SyntaxTree {
    var parser = DocumentParser(file)
    let root = parser.parseDocument()
    for problem in parser.problems.sorted() { diagnostics.report(problem) }
    return SyntaxTree(source: file.id, bytes: file.bytes, tokens: parser.tokens, root: root)
  }

  /// The file, put together from its tokens; equal to the input for every input.
  package func printed() -> [UInt8] {
    var output: [UInt8] = []
    output.reserveCapacity(bytes.count)
    for index in tokens.starts.indices {
      let end = index + 1 < tokens.starts.count ? Int(tokens.starts[index + 1]) : bytes.count
      output += bytes[Int(tokens.starts[index])..<end]
    }
    return output
  }
}
