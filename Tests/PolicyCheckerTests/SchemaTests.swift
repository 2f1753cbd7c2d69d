import Foundation
import PolicyChecker
import PolicySyntax
import Testing

@Suite struct SchemaTests {
  /// `RECORD_GOLDENS=1` writes the file, and the run is red.
  @Test func theCommittedSchemaIsTheTables() throws {
    let text = PolicySchema.jsonText()
    if Corpus.isRecording {
      try text.write(to: Corpus.schema, atomically: true, encoding: .utf8)
      Issue.record("schema recorded")
      return
    }
    #expect(try String(contentsOf: Corpus.schema, encoding: .utf8) == text)
  }

  /// The schema's list of form 4's keys and the rule grammar's are one.
  @Test func everyKeyOfRuleItemsIsInTheSchema() throws {
    let schema = PolicySchema.jsonText()
    for key in RuleItemSyntax.negatableKeys + RuleItemSyntax.otherMatchKeys + RuleItemSyntax.actionKeys {
      #expect(schema.contains("\"\(key)\": "), "\(key)")
    }
  }
}
