import Compiler
import Diagnostics
import PolicySamples
import Testing

/// Policies that extend others, where no file of a golden folder says it as shortly.
@Suite struct ExtensionTests {
  private static let router = """
    policy: router
    language: 1
    target: { kernel: "6.1" }
    management: none
    firewall:
      prerouting:
        policy: accept
        rules:
          - bogons: drop from 10.0.0.0/8 in ppp0
      input:
        policy: drop
        rules:
          - replies: accept established, related
      forward:
        policy: drop
        rules:
          - replies: accept established, related
          - out: accept out ppp0
      nat:
        prerouting:
          - web: dnat to 192.168.30.80 ipv4 tcp 80 in ppp0
        postrouting:
          - uplink: masquerade ipv4 out ppp0
    delegate:
      - input accept tcp 22

    """

  private func compile(_ body: String) -> Compilation {
    let text = "policy: child\nlanguage: 1\nextends: router.cos\n" + body
    return PolicyCompiler.compile(
      path: "policy.cos", bytes: Array(text.utf8),
      reader: SourceDictionary(["router.cos": Array(Self.router.utf8)]))
  }

  private func ids(_ body: String) -> [String] {
    compile(body).diagnostics.all.map(\.id.rawValue)
  }

  /// With equal translations each chain is compared for itself.
  @Test func chainsBesideNAT() {
    #expect(ids("") == [])
    let input = "firewall:\n  input:\n    rules:\n      - ssh: accept tcp 22"
    #expect(ids(input + " status not dnat, snat\n") == [])
    // A packet that arrived for another port may have been sent to this one.
    #expect(ids(input + "\n") == ["extends/widened"])
    #expect(ids(input + " status dnat\n") == ["extends/widened"])
    #expect(ids("firewall:\n  prerouting:\n    remove: [bogons]\n") == ["extends/widened"])
    #expect(ids("firewall:\n  forward:\n    before: { out: [\"drop tcp 25\"] }\n") == [])
    #expect(ids("firewall:\n  input:\n    policy: accept\n") == ["extends/widened"])
  }

  /// What is translated otherwise is not compared.
  @Test func otherTranslations() {
    let more = "        - more: dnat to 192.168.30.81 ipv4 tcp 81 in ppp0\n"
    #expect(
      ids("firewall:\n  nat:\n    prerouting:\n      rules:\n" + more) == ["extends/not-yet-provable"])
    #expect(
      ids("firewall:\n  nat:\n    postrouting:\n      remove: [uplink]\n") == ["extends/not-yet-provable"])
    #expect(
      ids("firewall:\n  prerouting:\n    priority: dstnat + 5\n") == ["extends/not-yet-provable"])
  }

  /// The summary of what was opened is part of the compiled policy.
  @Test func openingsAreNoted() throws {
    let compilation = compile(
      "firewall:\n  input:\n    rules:\n      - ssh: accept tcp 22 status not dnat, snat\n")
    let policy = try #require(compilation.policy)
    let json = try #require(policy.files.first { $0.name == "policy.json" })
    #expect(
      String(decoding: json.bytes, as: UTF8.self).contains(
        """
          "opened-by-delegation": [
            {
              "delegation": "input accept tcp 22",
              "opened": ["input/ssh"]
            }
          ],
        """))
  }
}
