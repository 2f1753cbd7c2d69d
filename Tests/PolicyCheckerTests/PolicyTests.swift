import Diagnostics
import Foundation
import PolicyModel
import Testing

@Suite struct PolicyTests {
  @Test func shippedPoliciesAreClean() throws {
    let policies = Corpus.files(in: Corpus.policies, ending: ".cos")
    try #require(policies.map(\.lastPathComponent) == ["cos-tuning.cos", "cos.cos"])
    for url in policies {
      let checked = Checked(try [UInt8](Data(contentsOf: url)), path: url.lastPathComponent)
      #expect(checked.rendered == "")
      #expect(checked.policy != nil)
    }
  }

  /// Whether their packets are what they claim is the compiler's to say.
  @Test func examplesAreChecked() throws {
    let examples = Corpus.files(in: Corpus.examples, ending: ".cos")
    if examples.isEmpty {
      print("skipped: no ../shared/examples")
      return
    }
    for url in examples {
      let checked = try Checked(contentsOf: url)
      // Their lists are not with them.
      let known: Set<DiagnosticID> = [.unusedDefinition, .fileUnreadable]
      let others = checked.diagnostics.filter { !known.contains($0.id) }
      #expect(render(checked, others) == "", "\(url.lastPathComponent)")
    }
  }

  private func render(_ checked: Checked, _ diagnostics: [Diagnostic]) -> String {
    PlainRenderer(files: checked.files).render(diagnostics)
  }
}
