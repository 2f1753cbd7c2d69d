import Compiler
import Diagnostics
import Testing

/// What is proved about policies whose sets others fill, or their own rules.
@Suite struct DynamicSetTests {
  private func ids(_ rules: [String], _ rest: String, management: String = "none") -> [String] {
    let text =
      """
      policy: example
      language: 1
      target: { kernel: "6.1" }
      management: \(management)
      define:
        admin: [10.0.0.0/8]
        banned: { external: addresses, size: 100 }
        knocked: { dynamic: addresses, size: 100, timeout: 30s }
      firewall:
        input:
          policy: drop
          rules:

      """ + rules.map { "      - \($0)\n" }.joined() + rest
    return PolicyCompiler.compile(path: "policy.cos", bytes: Array(text.utf8)).diagnostics.all.map(
      \.id.rawValue
    ).filter { $0 != "define/unused" }
  }

  private static let rules = [
    "drop from $banned except $admin", "drop tcp 7001 add source $knocked", "accept tcp 22 from $knocked",
    "accept tcp 443", "accept tcp 80 from $knocked", "accept tcp 80 from not $knocked",
  ]

  /// Whatever sets hold.
  @Test func membershipIsOpen() {
    func holds(_ statement: String) -> [String] { ids(Self.rules, "expect:\n  - \(statement)\n") }
    #expect(holds("input accept tcp 443") == ["expect/failed"])
    #expect(holds("input accept tcp 443 from $admin") == [])
    #expect(holds("input accept tcp 443 from not $banned") == [])
    #expect(holds("input drop tcp 443 from $banned except $admin") == [])
    #expect(holds("input drop tcp 22") == ["expect/failed"])
    #expect(holds("input drop tcp 22 from not $knocked") == [])
    #expect(holds("input accept tcp 22 from 10.0.0.1") == ["expect/failed"])
    // The same set at the same address is the same answer.
    #expect(holds("input accept tcp 80 from $admin") == [])
    #expect(holds("input may accept tcp 443") == [])
    // Nobody says that anyone has knocked.
    #expect(holds("input may accept tcp 22") == ["expect/failed"])
  }

  @Test func assumptions() {
    func holds(_ statement: String) -> [String] { ids(Self.rules, "expect:\n  - \(statement)\n") }
    #expect(holds("input accept tcp 443 assuming $banned empty") == [])
    #expect(holds("input drop tcp 22 assuming $knocked empty") == [])
    #expect(holds("input accept tcp 443 from 192.0.2.1 assuming $banned within 198.51.100.0/24") == [])
    #expect(
      holds("input accept tcp 443 from 198.51.100.1 assuming $banned within 198.51.100.0/24")
        == ["expect/failed"])
    #expect(holds("input accept tcp 443 assuming $banned within $admin") == [])
    #expect(holds("input accept tcp 443 assuming $knocked empty") == ["expect/failed"])
    #expect(
      holds("input drop tcp 22 from 192.0.2.1 assuming $banned empty assuming $knocked within $admin") == [])
  }

  /// A set that a rule has written is not what it was.
  @Test func writesAreForgotten() {
    let marking = ["continue tcp 22 add source $knocked", "accept tcp 22 from $knocked"]
    func holds(_ statement: String) -> [String] { ids(marking, "expect:\n  - \(statement)\n") }
    #expect(holds("input accept tcp 22") == ["expect/failed"])
    #expect(holds("input drop tcp 22 assuming $knocked empty") == ["expect/failed"])
    #expect(holds("input drop tcp 23 assuming $knocked empty") == [])
  }

  /// Management stays reachable whatever sets hold.
  @Test func management() {
    #expect(
      ids(["drop from $banned", "accept tcp 22"], "", management: "[\"tcp 22\"]") == [
        "management/unreachable"
      ])
    #expect(
      ids(
        ["drop from $banned except $admin", "accept tcp 22", "accept tcp 23 from $knocked"], "",
        management: "[\"tcp 22 from $admin\"]") == [])
    #expect(
      ids(
        ["drop tcp 22 new connections over 4 per source", "accept tcp 22 limit 5/minute per source"], "",
        management: "[\"tcp 22\"]") == [])
  }

  // MARK: Extension

  private static let base = """
    policy: base
    language: 1
    target: { kernel: "6.1" }
    management: none
    define:
      knocked: { dynamic: addresses, size: 100, timeout: 30s }
    firewall:
      input:
        policy: drop
        rules:
          - replies: accept established, related
          - knock: drop tcp 7001 new add source $knocked
          - ssh: accept tcp 22 from $knocked
          - web: accept tcp 443 limit 10/minute per source
          - few: accept tcp 80 connections up to 10 per source

    """

  private func extended(_ body: String) -> [String] {
    let text = "policy: child\nlanguage: 1\nextends: base.cos\n" + body
    return PolicyCompiler.compile(
      path: "policy.cos", bytes: Array(text.utf8),
      reader: SourceDictionary(["base.cos": Array(Self.base.utf8)])
    ).diagnostics.all.map(\.id.rawValue)
  }

  private func input(_ edit: String) -> [String] { extended("firewall:\n  input:\n    \(edit)\n") }

  /// Whoever the base lets in by a set, the rules that fill it decide.
  @Test func whatFillsASetOfTheBaseStays() {
    #expect(extended("") == [])
    #expect(input("rules: [\"drop udp 53\"]") == [])
    #expect(
      input("replace: { knock: \"drop tcp 7001-7002 new add source $knocked\" }") == [
        "extends/not-yet-provable"
      ])
    #expect(input("rules: [\"drop udp 7001 add source $knocked\"]") == ["extends/not-yet-provable"])
    #expect(input("before: { knock: [\"drop tcp 7001 from 10.0.0.0/8\"] }") == ["extends/not-yet-provable"])
    #expect(input("remove: [knock]") == ["extends/not-yet-provable"])
    let own = "define: { seen: { dynamic: addresses, size: 9, timeout: 1m } }\n"
    #expect(extended(own + "firewall:\n  input:\n    rules: [\"drop udp 53 add source $seen\"]\n") == [])
  }

  /// Limits of each key are compared by key, rate and burst.
  @Test func limitersOfAKey() {
    #expect(input("replace: { web: \"accept tcp 443 limit 5/minute per source\" }") == [])
    #expect(input("replace: { web: \"accept tcp 443 limit 20/minute per source\" }") == ["extends/widened"])
    #expect(
      input("replace: { web: \"accept tcp 443 limit 10/minute per source/24\" }") == ["extends/widened"])
    #expect(input("replace: { web: \"accept tcp 443 limit 10/minute\" }") == ["extends/widened"])
    #expect(input("replace: { few: \"accept tcp 80 connections up to 5 per source\" }") == [])
    #expect(
      input("replace: { few: \"accept tcp 80 connections up to 50 per source\" }") == ["extends/widened"])
    #expect(input("replace: { few: \"accept tcp 80 connections over 5 per source\" }") == ["extends/widened"])
    #expect(input("replace: { few: \"accept tcp 80\" }") == ["extends/widened"])
  }
}
