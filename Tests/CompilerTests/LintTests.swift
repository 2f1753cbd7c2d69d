import Analysis
import Compiler
import Diagnostics
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
      for finding in PolicyCompiler.lint(policy) { findings.report(finding) }
      findings.sortByPlace()
      let text = PlainRenderer(files: compilation.sources).render(findings.all)
      try folder.expect(["findings.txt": Array(text.utf8)])
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
    let findings = Lint.check(policy, budget: 4)
    #expect(findings.map(\.id) == [.lintUntold, .lintUntold])
    #expect(findings.map(\.severity) == [.note, .note])
    #expect(findings.first?.message.contains("3 rules of `input`") ?? false)
    #expect(Lint.check(policy).map(\.id) == [.lintShadowed])
  }
}
