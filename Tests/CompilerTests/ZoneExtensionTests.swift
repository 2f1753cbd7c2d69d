import Compiler
import Diagnostics
import Testing

/// Zones and their pairs where one policy extends another.
@Suite struct ZoneExtensionTests {
  private static let router = """
    policy: router
    language: 1
    target: { kernel: "6.1" }
    management: none
    zones:
      wan: [wan0]
      lan: [lan0]
    firewall:
      between:
        any to any:
          rules:
            - replies: accept established, related
        lan to host:
          policy: reject
          rules:
            - dns: accept udp 53
            - ssh: accept tcp 22
        lan to wan: { policy: accept }
        wan to lan:
          rules:
            - web: accept tcp 443
    delegate:
      - forward accept in guest0 out wan0
      - forward accept in guest0 established, related
      - forward accept out guest0 established, related
      - input accept in guest0 established, related
      - output accept out guest0 established, related

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

  private func pair(_ name: String, _ body: String) -> String {
    "firewall:\n  between:\n    \(name):\n      \(body)\n"
  }

  @Test func narrowed() {
    #expect(ids("") == [])
    #expect(ids(pair("lan to host", "remove: [ssh]")) == [])
    #expect(ids(pair("lan to host", "replace: { ssh: \"accept tcp 22 from 10.0.0.0/8\" }")) == [])
    #expect(ids(pair("lan to wan", "rules: [\"drop tcp 25\"]")) == [])
    #expect(ids(pair("lan to wan", "policy: drop")) == [])
    #expect(ids(pair("any to any", "before: { replies: [\"drop tcp 23\"] }")) == [])
    #expect(ids(pair("wan  to lan", "before: { web: [\"drop from 192.0.2.0/24\"] }")) == [])
  }

  @Test func widened() {
    for body in [
      pair("lan to host", "rules: [\"accept tcp 80\"]"), pair("lan to host", "policy: accept"),
      pair("wan to lan", "replace: { web: \"accept tcp 443, 444\" }"),
      pair("any to any", "rules: [\"accept tcp 9\"]"), pair("wan to wan", "policy: accept"),
      pair("host to any", "policy: accept"), pair("any to lan", "policy: accept"),
    ] {
      let compilation = compile(body)
      #expect(
        compilation.policy == nil && compilation.diagnostics.all.contains { $0.id == .extendsWidened },
        "\(body)")
    }
  }

  /// A zone of its own is permitted what the base delegates of its interfaces, and nothing else.
  @Test func anotherZone() {
    let guest = "zones: { guest: [guest0] }\n"
    #expect(ids(guest) == [])
    #expect(ids(guest + pair("guest to wan", "policy: accept")) == [])
    #expect(ids(guest + pair("guest to lan", "policy: accept")).contains("extends/widened"))
    #expect(
      ids("zones: { other: [other0] }\n" + pair("other to wan", "policy: accept")).contains("extends/widened")
    )
    #expect(ids("zones: { guest: [lan0] }\n") == ["zones/overlap"])
    #expect(ids("zones: { lan: [lan1] }\n") == ["extends/zone-twice"])
  }

  @Test func names() {
    #expect(ids(pair("lan to host", "remove: [shh]")) == ["extends/unknown-name"])
    #expect(ids(pair("lan to dmz", "policy: drop")) == ["zones/unknown"])
  }
}
