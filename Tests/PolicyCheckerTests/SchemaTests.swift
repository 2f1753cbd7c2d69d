import Foundation
import PolicyChecker
import PolicySyntax
import Testing

@Suite struct SchemaTests {
  /// `RECORD_GOLDENS=1` writes the files, and the run is red.
  @Test func theCommittedSchemasAreTheTables() throws {
    for (file, text) in [
      (Corpus.schema, PolicySchema.jsonText()), (Corpus.benchmarkSchema, PolicySchema.benchmarkText()),
    ] {
      if Corpus.isRecording {
        try text.write(to: file, atomically: true, encoding: .utf8)
        Issue.record("schema recorded")
        continue
      }
      #expect(try String(contentsOf: file, encoding: .utf8) == text)
    }
  }

  /// The schema's list of form 4's keys and the rule grammar's are one.
  @Test func everyKeyOfRuleItemsIsInTheSchema() throws {
    let schema = PolicySchema.jsonText()
    for key in RuleItemSyntax.negatableKeys + RuleItemSyntax.otherMatchKeys + RuleItemSyntax.actionKeys {
      #expect(schema.contains("\"\(key)\": "), "\(key)")
    }
  }
}
