import Compiler
import Diagnostics
import Testing

/// `refines FILE`: a policy that is no weaker than another which it does not extend.
@Suite struct ComparisonStatementTests {
  private static let baseline = """
    policy: baseline
    language: 1
    target: { kernel: "6.1" }
    management: none
    firewall:
      input:
        policy: drop
        rules:
          - accept tcp 22, 443
          - accept udp 53 limit 10/second
    sysctl:
      kernel.kptr_restrict: 1
    modules:
      deny: [sctp]
    delegate:
      - input accept tcp 8080
    expect:
      - refines policy.cos

    """

  private func compile(_ body: String, list: String = "expect", files: [String: String] = [:]) -> Compilation
  {
    let text = """
      policy: own
      language: 1
      target: { kernel: "6.1" }
      management: none
      sysctl:
        kernel.kptr_restrict: 2
      modules:
        deny: [sctp, tipc]
      \(list):
        - baseline: refines base/line.cos

      """ + body
    var sources = ["base/line.cos": Array(Self.baseline.utf8)]
    for (name, text) in files { sources[name] = Array(text.utf8) }
    return PolicyCompiler.compile(
      path: "policy.cos", bytes: Array(text.utf8), reader: SourceDictionary(sources))
  }

  private func messages(_ compilation: Compilation) -> [String] {
    compilation.diagnostics.all.map { "\($0.id.rawValue): \($0.message)" }
  }

  private func input(_ rules: String...) -> String {
    "firewall:\n  input:\n    policy: drop\n    rules:\n" + rules.map { "      - \($0)\n" }.joined()
  }

  @Test func holds() {
    #expect(messages(compile(input("accept tcp 443"))) == [])
    #expect(messages(compile(input("accept tcp 22 from 10.0.0.0/8", "accept udp 53 limit 10/second"))) == [])
    #expect(messages(compile(input("accept tcp 443"), list: "guarantee")) == [])
  }

  @Test func packetsAreWider() throws {
    for rule in ["accept tcp 8080", "accept udp 53", "accept tcp 22-23"] {
      let compilation = compile(input(rule))
      let finding = try #require(compilation.diagnostics.all.first, "\(rule)")
      #expect(compilation.diagnostics.all.map(\.id) == [.expectFailed], "\(rule)")
      #expect(finding.help.first?.hasPrefix("for example: ") == true, "\(finding.help)")
    }
    #expect(
      compile(input("accept tcp 80"), list: "guarantee").diagnostics.all.map(\.id) == [.guaranteeFailed])
    // Without a firewall everything is accepted.
    #expect(compile("").diagnostics.all.contains { $0.id == .expectFailed })
  }

  @Test func settingsAreWeaker() {
    let weaker = Self.baseline.replacing("kptr_restrict: 1", with: "kptr_restrict: 2").replacing(
      "[sctp]", with: "[sctp, rds]")
    let compilation = compile(input("accept tcp 443"), files: ["base/line.cos": weaker])
    #expect(compilation.diagnostics.all.map(\.id) == [.expectFailed])
    #expect(messages(compilation).first?.contains("rds") == true, "\(messages(compilation))")
  }

  /// What the other policy says of itself is its own; but it must be one.
  @Test func theOtherFile() throws {
    let broken = Self.baseline.replacing("accept tcp 22, 443", with: "accept tpc 22")
    let compilation = compile(input("accept tcp 443"), files: ["base/line.cos": broken])
    let finding = try #require(compilation.diagnostics.all.first)
    #expect(finding.id == .expectFailed && finding.message.contains("has errors"))
    #expect(finding.related.count == 1)
    #expect(compilation.sources[try #require(finding.related.first?.span.source)].path == "base/line.cos")
  }

  /// An exception by name, and one that is not needed.
  @Test func loosened() {
    let base = """
      policy: base
      language: 1
      target: { kernel: "6.1" }
      management: none
      firewall:
        input:
          policy: drop
          rules:
            - web: accept tcp 443
      guarantee:
        - baseline: refines line.cos
      delegate:
        - input accept tcp 80

      """
    func ids(_ edit: String) -> [String] {
      let text = """
        policy: child
        language: 1
        extends: base.cos
        firewall: { input: { \(edit) } }
        loosen:
          - { guarantee: baseline, because: it is needed, owner: ops, until: never }

        """
      let line = Self.baseline.replacing("kptr_restrict: 1", with: "kptr_restrict: 0").replacing(
        "deny: [sctp]", with: "default: allow")
      return PolicyCompiler.compile(
        path: "policy.cos", bytes: Array(text.utf8),
        reader: SourceDictionary(["base.cos": Array(base.utf8), "line.cos": Array(line.utf8)])
      ).diagnostics.all.map(\.id.rawValue)
    }
    #expect(ids("rules: [\"accept tcp 80\"]") == [])
    #expect(ids("before: { web: [\"drop tcp 443 from 192.0.2.1\"] }") == ["loosen/unused"])
  }

  @Test func asked() {
    func answer(_ rules: String) -> String {
      let text =
        "policy: own\nlanguage: 1\ntarget: { kernel: \"6.1\" }\nmanagement: none\nsysctl: { kernel.kptr_restrict: 2 }\nmodules: { deny: [sctp] }\n"
        + rules
      let answered = PolicyCompiler.query(
        "refines base/line.cos", of: "policy.cos", bytes: Array(text.utf8),
        reader: SourceDictionary(["base/line.cos": Array(Self.baseline.utf8)]))
      guard case .setting(_, let failure)? = answered.answer else { return "\(answered.diagnostics.all)" }
      return failure ?? "holds"
    }
    #expect(answer(input("accept tcp 443")) == "holds")
    #expect(answer(input("accept tcp 80")) != "holds")
  }
}
