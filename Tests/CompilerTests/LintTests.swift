import Analysis
import Compiler
import Diagnostics
import PolicyModel
import PolicySamples
import Testing

/// What `check` says of rules that do nothing.
@Suite struct LintTests {
  @Test func goldenFolders() throws {
    let folders = try CaseFolder.all(in: "Lint")
    #expect(folders.count >= 3)
    for folder in folders {
      let compilation = try folder.compile()
      let policy = try #require(compilation.policy)
      var findings = DiagnosticList()
      for finding in PolicyCompiler.lint(policy, in: compilation.sources) { findings.report(finding) }
      findings.sortByPlace()
      let text = PlainRenderer(files: compilation.sources).render(findings.all)
      try folder.expect(["findings.txt": Array(text.utf8)])
    }
  }

  /// What a fix-it takes out makes no difference to any packet, and what it moves refuses what it names.
  @Test func fixItsCureTheirFindings() throws {
    var counts: [String: Int] = [:]
    for folder in try CaseFolder.all(in: "Lint") {
      let source = try folder.input()
      let compilation = try folder.compile()
      let policy = try #require(compilation.policy)
      let findings = PolicyCompiler.lint(policy, in: compilation.sources)
      func compiled(_ fixIts: [FixIt]) throws -> (HostPolicy, [Diagnostic]) {
        var bytes = source
        for fixIt in fixIts.sorted(by: { $0.span.start > $1.span.start }) {
          bytes.replaceSubrange(fixIt.span.start..<fixIt.span.end, with: Array(fixIt.replacement.utf8))
        }
        let fixed = try folder.compile(bytes)
        let text = PlainRenderer(files: fixed.sources).render(fixed.diagnostics.all)
        let policy = try #require(fixed.policy, "\(folder.name)\n\(text)")
        return (policy.policy, PolicyCompiler.lint(policy, in: fixed.sources))
      }
      var removals: [FixIt] = []
      for finding in findings {
        for fixIt in finding.fixIts {
          counts[finding.id.rawValue, default: 0] += 1
          let (fixed, left) = try compiled([fixIt])
          let name = "\(folder.name): \(finding.message)"
          #expect(!left.contains { $0.id == finding.id && $0.message == finding.message }, "\(name)")
          let changes = PacketDifference(from: policy.policy, to: fixed).changes
          if finding.id == .lintConflicting {
            #expect(!changes.isEmpty && changes.allSatisfy { $0.direction == .narrowed }, "\(name)")
            func conflicts(_ findings: [Diagnostic]) -> Int { findings.count { $0.id == .lintConflicting } }
            #expect(conflicts(left) < conflicts(findings), "\(name)")
          } else {
            #expect(changes.isEmpty, "\(name)")
            removals.append(fixIt)
          }
        }
      }
      let all = try compiled(removals).0
      #expect(PacketDifference(from: policy.policy, to: all).changes.isEmpty, "\(folder.name)")
    }
    for id in [DiagnosticID.lintShadowed, .lintRedundant, .lintConflicting] {
      #expect(counts[id.rawValue, default: 0] > 0, "\(id.rawValue)")
    }
  }

  /// Where nodes run out, it is said of which rules nothing is known.
  @Test func untoldRulesAreNamed() throws {
    let source = """
      policy: many
      language: 1
      target: { kernel: "6.1" }
      management: none
      firewall:
        input: { policy: drop, rules: ["accept tcp 22 mark 0x10/0x10", "accept tcp 22 mark 0x30/0x30"] }
        output: { policy: accept, rules: ["drop tcp 25 mark 7"] }
      """
    let compilation = PolicyCompiler.compile(path: "policy.cos", bytes: Array(source.utf8))
    let policy = try #require(compilation.policy).policy
    let findings = Lint.check(policy, in: compilation.sources, budget: 4)
    #expect(findings.map(\.id) == [.lintUntold, .lintUntold])
    #expect(findings.map(\.severity) == [.note, .note])
    #expect(findings.first?.message.contains("3 rules of `input`") ?? false)
    #expect(Lint.check(policy, in: compilation.sources).map(\.id) == [.lintShadowed])
  }
}
