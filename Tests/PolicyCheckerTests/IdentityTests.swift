import Diagnostics
import PolicyModel
import PolicySyntax
import Testing

@testable import PolicyChecker

/// Ids of items (LANGUAGE.md §7).
@Suite struct IdentityTests {
  /// Hashes from `printf 'lockdown rule 1\nPLACE\nTEXT' | sha256sum | xxd -r -p | base32`.
  @Test(arguments: [
    ("accept tcp 22 from $admin", "input/accept-tcp-22~oxp36czojc"),
    ("accept", "input/accept~5xxr5lopdj"),
    ("drop not tcp, udp", "input/drop-not-tcp-udp~mvga4k2ggp"),
    ("accept $web", "input/accept-web~wo54xsdx7l"),
    ("accept icmp echo-request", "input/accept-icmp~cyq3gpgzyq"),
    ("reject tcp 80, 443, 8080-8090, 9000-9100 with tcp-reset", "input/reject-tcp-80-443-8080-8~khha6vq64t"),
  ]) func unnamedRules(text: String, id: String) throws {
    let rule = try OneChain(text, define: ["admin: [10.0.0.0/8]", "web: [tcp 80]"]).rule()
    #expect(rule.id == id)
  }

  @Test func whatChangesNoId() throws {
    let define = ["admin: [10.0.0.0/8]"]
    let plain = try OneChain("accept tcp 22 from $admin", define: define).rule().id
    for same in [
      "accept from $admin tcp 22", "accept tcp 22 from $admin count",
      "accept tcp 22 from $admin log x at most 1/second",
      "{ rule: 'accept tcp 22 from $admin', comment: text, owner: me }",
      "{ verdict: accept, protocol: [tcp], ports: [22], from: [\"$admin\"] }",
    ] {
      #expect(try OneChain(same, define: define).rule().id == plain, "\(same)")
    }
    #expect(try OneChain("accept tcp 22 from $admin", define: ["admin: [192.0.2.1]"]).rule().id == plain)
    #expect(try OneChain("accept tcp 23 from $admin", define: define).rule().id != plain)
    #expect(try OneChain("accept tcp 22 from $admin", hook: "forward", define: define).rule().id != plain)
  }

  @Test func equalRulesAreNumbered() throws {
    let ids = try OneChain("accept tcp 22", "accept tcp 22 count", "accept tcp 23", "accept tcp 22")
      .checkedRules()
      .map(\.id)
    #expect(ids[1] == ids[0] + ".2")
    #expect(ids[3] == ids[0] + ".3")
    #expect(!ids[2].hasPrefix(ids[0]))
  }

  @Test func slugsNeverEndInAHyphen() throws {
    for rule in try OneChain("accept tcp 1000-2000, 3000-40000", "reject udp 12345, 234, 3456").checkedRules()
    {
      let slug = try #require(rule.id.split(separator: "/").last?.split(separator: "~").first)
      #expect(slug.utf8.count <= 24)
      #expect(!slug.hasSuffix("-"))
    }
  }

  /// With one byte in place of seven, some of 300 ids share it.
  @Test func collisionsAreErrors() {
    let span = SourceSpan(SourceID(0), 0, 1)
    var checker = Checker(
      diagnostics: DiagnosticList(), sources: SourceFiles(), reader: SourceDictionary())
    checker.items = (0..<300).map { Checker.Item("input/rule-\($0)", span) }
    checker.checkIdentities()
    #expect(checker.diagnostics.isEmpty)
    checker.checkIdentities { $0 >> 48 }
    #expect(checker.diagnostics.all.first?.id == .idCollision)
  }

  /// The same id twice is one item, not a collision of two.
  @Test func equalIdsAreNoCollision() {
    let span = SourceSpan(SourceID(0), 0, 1)
    var checker = Checker(
      diagnostics: DiagnosticList(), sources: SourceFiles(), reader: SourceDictionary())
    checker.items = [Checker.Item("input/ssh", span), Checker.Item("input/ssh", span)]
    checker.checkIdentities()
    #expect(checker.diagnostics.isEmpty)
  }
}
