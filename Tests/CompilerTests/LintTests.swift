import Compiler
import Diagnostics
import PolicySamples
import Testing

/// What `check` says of rules that do nothing.
@Suite struct LintTests {
  @Test func goldenFolders() throws {
    let folders = try CaseFolder.all(in: "Lint")
    #expect(folders.count >= 2)
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
}
