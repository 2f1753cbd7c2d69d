import Diagnostics
import Foundation
import PolicyChecker
import PolicySyntax
import Testing

/// `lockdown fmt`: layout with the knowledge of which texts are rules.
@Suite struct FormatTests {
  static let layouts = Corpus.root.appendingPathComponent("Tests/PolicyCheckerTests/Layouts")

  private func formatted(_ bytes: [UInt8]) throws -> (bytes: [UInt8]?, problems: [Diagnostic]) {
    var list = DiagnosticList()
    let file = SourceFile(id: SourceID(0), path: "policy.cos", bytes: bytes)
    return (try PolicyFormatter.format(file, diagnostics: &list), list.all)
  }

  /// Files and what becomes of them. `RECORD_GOLDENS=1` writes the goldens, and the run is red.
  @Test func everyLayout() throws {
    let cases = Corpus.files(in: Self.layouts, ending: "")
    try #require(cases.count >= 6)
    for folder in cases {
      let input = [UInt8](try Data(contentsOf: folder.appendingPathComponent("policy.cos")))
      let output = try #require(try formatted(input).bytes, "\(folder.lastPathComponent)")
      let golden = folder.appendingPathComponent("formatted.cos")
      if Corpus.isRecording {
        try Data(output).write(to: golden)
        continue
      }
      let expected = try? Data(contentsOf: golden)
      #expect(expected.map { [UInt8]($0) } == output, "\(folder.lastPathComponent)")
      #expect(try formatted(output).bytes == output, "\(folder.lastPathComponent)")
    }
    #expect(!Corpus.isRecording, "goldens recorded")
  }

  /// They are the examples of the layout.
  @Test func shippedPoliciesAndExamplesAreLaidOut() throws {
    let files =
      Corpus.files(in: Corpus.policies, ending: ".cos") + Corpus.files(in: Corpus.examples, ending: ".cos")
    try #require(files.count >= 2)
    for file in files {
      let bytes = [UInt8](try Data(contentsOf: file))
      let output = try formatted(bytes).bytes
      #expect(
        output.map { String(decoding: $0, as: UTF8.self) } == String(decoding: bytes, as: UTF8.self),
        "\(file.path)")
    }
  }

  /// Refused is what has errors of syntax, and those are reported as by the compiler.
  @Test func everyPolicyIsFormattedOrRefused() throws {
    var count = 0
    for file in Corpus.all {
      let bytes = [UInt8](try Data(contentsOf: file))
      let (output, problems) = try formatted(bytes)
      guard let output else {
        let found = try Checked(contentsOf: file).ids
        #expect(!problems.isEmpty && problems.allSatisfy { found.contains($0.id.rawValue) }, "\(file.path)")
        continue
      }
      count += 1
      #expect(problems.isEmpty)
      #expect(try formatted(output).bytes == output, "\(file.path)")
      #expect(items(output) == items(bytes), "\(file.path)")
    }
    #expect(count >= 100)
  }

  /// All that is read from rules, whatever stands around them.
  private func items(_ bytes: [UInt8]) -> [RuleItemSyntax.Body] {
    var list = DiagnosticList()
    let tree = SyntaxTree.parse(SourceFile(id: SourceID(0), path: "", bytes: bytes), diagnostics: &list)
    var bodies: [RuleItemSyntax.Body] = []
    func visit(_ node: SyntaxNode) {
      if let item = RuleItemSyntax.parse(node, diagnostics: &list) { bodies.append(item.body) }
      for item in node.sequence ?? [] { visit(item) }
      for entry in node.mapping ?? [] { visit(entry.value) }
    }
    if let root = tree.root { visit(root) }
    return bodies
  }
}
