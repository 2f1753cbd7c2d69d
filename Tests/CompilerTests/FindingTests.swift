import Compiler
import Diagnostics
import Foundation
import Testing

/// A folder for each id of a diagnostic, `SECTION/FAULT`: a policy with that fault and what is said about it.
@Suite struct FindingTests {
  /// No input alone leads to these.
  static let withoutPolicy: [DiagnosticID: String] = [
    .fileUnreadable: "the command line reports it, before a policy is read",
    .notEncodable: "a fault of the compiler itself",
    .idCollision: "needs two ids with equal 56 bits of SHA-256; the checker's own test has them",
    .expectUnproved: "the budget of a proof; the analysis has its own test",
    .managementUnproved: "the budget of a proof; the analysis has its own test",
  ]

  @Test func everyPolicyGetsItsFinding() throws {
    let folders = try CaseFolder.all(in: "Findings")
    #expect(folders.count >= 90)
    for folder in folders {
      let compilation = PolicyCompiler.compile(path: "policy.cos", bytes: try folder.input())
      let text = PlainRenderer(files: compilation.sources).render(compilation.diagnostics.all)
      try folder.expect(["findings.txt": Array(text.utf8)])
      let name = folder.url.path.split(separator: "/").suffix(2).joined(separator: "/")
      #expect(
        compilation.diagnostics.all.contains {
          name == $0.id.rawValue || name.hasPrefix($0.id.rawValue + "+")
        },
        "\(name) is about that id")
      #expect((compilation.policy == nil) == compilation.diagnostics.hasErrors, "\(name)")
      for diagnostic in compilation.diagnostics.all {
        #expect(diagnostic.span != nil, "\(name): every finding about a policy has a place")
        #expect(!diagnostic.message.hasSuffix("."), "\(name): no full stop")
        #expect(diagnostic.message.first?.isUppercase != true, "\(name): lower case")
      }
    }
  }

  @Test func everyIDHasAPolicy() throws {
    let names = Set(
      try CaseFolder.all(in: "Findings").map {
        $0.url.path.split(separator: "/").suffix(2).joined(separator: "/")
      })
    for id in DiagnosticID.allCases {
      #expect(names.contains(id.rawValue) != (Self.withoutPolicy[id] != nil), "\(id.rawValue)")
    }
  }

  /// `docs/diagnostics.md` has a section for each id and none else.
  @Test func everyIDIsDocumented() throws {
    let page = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appending(path: "../../docs/diagnostics.md")
    let titles = try String(contentsOf: page, encoding: .utf8).split(separator: "\n")
      .filter { $0.hasPrefix("### `") }.map { $0.dropFirst(5).prefix { $0 != "`" } }.map(String.init)
    #expect(titles == DiagnosticID.allCases.map(\.rawValue), "in the order of the list")
  }
}
