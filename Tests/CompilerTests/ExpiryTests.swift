import Compiler
import Diagnostics
import PolicySamples
import Testing

/// `until` against a day that is given; a compile asks no clock (LANGUAGE.md §5.10).
@Suite struct ExpiryTests {
  private static let base = """
    policy: base
    language: 1
    target: { kernel: "6.1" }
    modules:
      deny: [sctp, tipc]

    """

  private func compile(_ text: String, path: String = "policy.cos", _ files: [String: String] = [:])
    -> Compilation
  {
    var files = files
    files["base.cos"] = Self.base
    return PolicyCompiler.compile(
      path: path, bytes: Array(text.utf8), reader: SourceDictionary(files.mapValues { Array($0.utf8) }))
  }

  private func exception(_ module: String, until: String) -> String {
    "  - module: \(module)\n    because: tests\n    owner: network\n    until: \(until)\n"
  }

  private func child(_ until: String) -> String {
    "policy: child\nlanguage: 1\nextends: base.cos\nmodules:\n  undeny: [sctp]\nloosen:\n"
      + exception("sctp", until: until)
  }

  private func judged(_ compilation: Compilation, _ day: String) throws -> [Diagnostic] {
    let policy = try #require(compilation.policy, "\(compilation.diagnostics.all)")
    return Expiry.judge(policy.policy, on: try #require(Expiry.Day(day)))
  }

  @Test(arguments: [
    ("2027-03-31", "2027-03-31", DiagnosticID.loosenEnding), ("2027-03-31", "2027-04-01", .loosenExpired),
    ("2027-03-31", "2027-03-01", .loosenEnding), ("2027-03-31", "2027-02-28", nil),
    ("2028-02-29", "2028-01-30", .loosenEnding), ("2028-02-29", "2028-01-29", nil),
    ("never", "9999-12-31", nil),
    ("2027-01-01", "2026-12-31", .loosenEnding),
  ]) func days(until: String, day: String, id: DiagnosticID?) throws {
    let findings = try judged(compile(child(until)), day)
    #expect(findings.map(\.id) == (id.map { [$0] } ?? []))
    #expect(findings.allSatisfy { $0.severity == ($0.id == .loosenExpired ? .error : .warning) })
  }

  @Test func theWordsCountTheDays() throws {
    #expect(
      try judged(compile(child("2027-03-31")), "2027-03-30").map(\.message) == [
        "the exception `module sctp` ends in 1 day, after 2027-03-31"
      ])
    #expect(
      try judged(compile(child("2027-03-31")), "2028-01-01").map(\.message) == [
        "the exception `module sctp` ended on 2027-03-31, and the day is 2028-01-01"
      ])
  }

  /// Every descendant fails with its ancestor.
  @Test func exceptionsOfAncestorsCount() throws {
    let leaf = "policy: leaf\nlanguage: 1\nextends: child.cos\n"
    let compilation = compile(leaf, ["child.cos": child("2027-03-31")])
    #expect(try judged(compilation, "2027-04-01").map(\.id) == [.loosenExpired])
  }

  @Test func rulesEndToo() throws {
    let text = """
      policy: web
      language: 1
      target: { kernel: "6.1" }
      management: none
      firewall:
        input:
          policy: drop
          rules:
            - { name: old, rule: "accept tcp 80", owner: web, until: 2026-01-31 }
            - { name: kept, rule: "accept tcp 443", until: never }
      """
    let findings = try judged(compile(text), "2026-02-01")
    #expect(findings.map(\.id) == [.loosenExpired])
    #expect(findings.first?.message == "the rule `input/old` ended on 2026-01-31, and the day is 2026-02-01")
  }

  @Test func noSuchDay() {
    for text in ["2027-02-29", "2027-2-1", "today", "", "2027-13-01"] { #expect(Expiry.Day(text) == nil) }
  }
}
