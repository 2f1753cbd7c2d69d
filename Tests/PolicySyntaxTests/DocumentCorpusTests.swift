import Diagnostics
import Foundation
import PolicySyntax
import Testing

@Suite("documents: the corpus")
struct DocumentCorpusTests {
  @Test("every policy of the corpus is accepted and printed as it was read")
  func accepted() throws {
    let corpus = try DocumentCorpus.policies()
    try #require(!corpus.isEmpty)
    for document in corpus {
      let (path, bytes) = (document.path, document.bytes)
      let (tree, problems) = parseDocument(bytes, path: path)
      #expect(problems.isEmpty, "\(path): \(problems.map(\.message))")
      #expect(tree.root != nil)
      expectLossless(tree, bytes, path)
    }
  }
}
