import Compiler
import Diagnostics
import Foundation
import Testing

/// Bad policies, and what is said about them: a folder for each id of a diagnostic, `SECTION/FAULT`, whose policy has
/// that fault and is the example of `docs/diagnostics.md`, and others in `more`.
@Suite struct FindingTests {
  /// Where the folders are that are not named by an id.
  private static let others = "more/"

  /// No input alone leads to these.
  static let withoutPolicy: [DiagnosticID: String] = [
    .loosenExpired: "judged on a day that is given; ExpiryTests",
    .loosenEnding: "judged on a day that is given; ExpiryTests",
    .notEncodable: "a fault of the compiler itself",
    .mistranslated: "a fault of the compiler itself",
    .idCollision: "needs two ids with equal 56 bits of SHA-256; the checker's own test has them",
    .benchmarkWanted: "about the other file of an audit; AuditTests",
    .benchmarkControlTwice: "about the other file of an audit; AuditTests",
    .expectUnproved: "the budget of a proof; the analysis has its own test",
    .lintShadowed: "said by `check` alone; LintTests",
    .lintRedundant: "said by `check` alone; LintTests",
    .lintConflicting: "said by `check` alone; LintTests",
    .lintNeighbours: "said by `check` alone; LintTests",
    .lintUntold: "said by `check` alone, where nodes run out; LintTests",
    .managementUnproved: "the budget of a proof; the analysis has its own test",
  ]

  @Test func everyPolicyGetsItsFinding() throws {
    let folders = try CaseFolder.all(in: "Findings")
    #expect(folders.count >= 300)
    for folder in folders {
      let compilation = try folder.compile()
      let text = PlainRenderer(files: compilation.sources).render(compilation.diagnostics.all)
      try folder.expect(["findings.txt": Array(text.utf8)])
      let name = folder.name
      let isAboutItsID = compilation.diagnostics.all.contains { name == $0.id.rawValue }
      #expect(isAboutItsID || name.hasPrefix(Self.others), "\(name) is about that id")
      #expect((compilation.policy == nil) == compilation.diagnostics.hasErrors, "\(name)")
      for diagnostic in compilation.diagnostics.all {
        #expect(diagnostic.span != nil, "\(name): every finding about a policy has a place")
        #expect(!diagnostic.message.hasSuffix("."), "\(name): no full stop")
        let isLower = diagnostic.message.hasPrefix("U+") || diagnostic.message.first?.isUppercase != true
        #expect(isLower, "\(name): lower case")
      }
    }
  }

  @Test func everyIDHasAPolicy() throws {
    let names = Set(try CaseFolder.all(in: "Findings").map(\.name))
    for id in DiagnosticID.allCases {
      #expect(names.contains(id.rawValue) != (Self.withoutPolicy[id] != nil), "\(id.rawValue)")
    }
  }

  /// `docs/diagnostics.md` has a section for each id and none else, with the finding of its folder as example.
  @Test func everyIDIsDocumented() throws {
    let page = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appending(path: "../../docs/diagnostics.md")
    let text = try String(contentsOf: page, encoding: .utf8)
    let examples = try examples()
    var lines: [Substring] = []
    var titles: [String] = []
    var isExample = false
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      if line.hasPrefix("```") {
        isExample.toggle()
        continue
      }
      if isExample { continue }
      if line.hasPrefix("#"), let title = titles.last { finish(&lines, with: examples[title]) }
      if line.hasPrefix("### `") {
        titles.append(String(line.dropFirst(5).prefix { $0 != "`" }))
      } else if line.hasPrefix("## ") {
        titles.append("")
      }
      lines.append(line)
    }
    if let title = titles.last { finish(&lines, with: examples[title]) }
    lines.removeLast()
    #expect(
      titles.filter { !$0.isEmpty } == DiagnosticID.allCases.map(\.rawValue), "in the order of the list")
    let expected = lines.joined(separator: "\n") + "\n"
    if CaseFolder.isRecording {
      try expected.write(to: page, atomically: true, encoding: .utf8)
      Issue.record("recorded docs/diagnostics.md")
    } else {
      #expect(text == expected, "the examples are what the compiler prints")
    }
  }

  /// Ends a section: no empty lines but one, and the example before it.
  private func finish(_ lines: inout [Substring], with example: String?) {
    while lines.last?.isEmpty == true { lines.removeLast() }
    if let example {
      lines +=
        ["", "```"] + example.split(separator: "\n", omittingEmptySubsequences: false).dropLast() + ["```"]
    }
    lines.append("")
  }

  private func examples() throws -> [String: String] {
    var examples: [String: String] = [:]
    for folder in try CaseFolder.all(in: "Findings") {
      let compilation = try folder.compile()
      let renderer = PlainRenderer(files: compilation.sources)
      for diagnostic in compilation.diagnostics.all where folder.name == diagnostic.id.rawValue {
        examples[folder.name] = examples[folder.name] ?? renderer.render(diagnostic)
      }
    }
    return examples
  }
}
