import NFTables
import Ruleset
import RulesetSamples
import Testing

struct DumpTextTests {
  @Test func oneExpressionALine() throws {
    let sample = try #require(RulesetSample.corpus.first)
    let messages = try BatchEncoder.encode(
      sample.ruleset, expressions: sample.expressions(of:), sourceIndex: { _ in 3 })
    let tables = try StoredBatch.decode(messages.map(\.bytes))
    #expect(
      DumpText(showsLabels: false).print(tables) == """
        table inet lockdown flags 0 comment "lockdown"
          object counter policy_digest comment "sample"
          chain extra
            rule
              return
          chain input filter hook 1 priority -5 policy drop
            rule
              jump extra
            rule comment "with a comment"
              counter
              goto extra
            rule
              continue
            rule
              objref type 1 policy_digest
            rule comment "ümlaut ✓"
              accept
            rule comment "closing: policy drop"
              counter
              drop

        """)
    let labelled = DumpText(showsLabels: true, showsSources: true).print(tables)
    #expect(labelled.contains("    rule label 0x0102030405060700 source 3\n"))
  }

  /// A comment cannot forge a line, nor an expression.
  @Test func textsAreQuoted() {
    #expect(
      DumpText.text(.log(prefix: "a\"b\\\n", level: nil, group: nil)) == #"log prefix "a\"b\\\u{a}""#)
    #expect(DumpText.text(.unknown(name: "x\ny", [1])) == #"unknown "x\u{a}y" 0x01"#)
  }
}
