import Compiler
import Diagnostics
import Testing

/// What is proved about packets of control groups.
@Suite struct ControlGroupTests {
  private func ids(_ rules: [String], _ statement: String) -> [String] {
    let text =
      """
      policy: example
      language: 1
      target: { kernel: "6.1" }
      management: none
      firewall:
        output:
          policy: drop
          rules:

      """ + rules.map { "      - \($0)\n" }.joined() + "expect:\n  - \(statement)\n"
    return PolicyCompiler.compile(path: "policy.cos", bytes: Array(text.utf8)).diagnostics.all.map(
      \.id.rawValue)
  }

  private static let rules = [
    "accept tcp 443 cgroup a.slice", "accept tcp 443 cgroup b.slice/one", "accept tcp 80 cgroup a.slice/x, c",
    "continue tcp 25 cgroup c set mark 1", "accept tcp 25 mark 1", "accept udp 53",
  ]

  private func holds(_ statement: String) -> Bool {
    let ids = ids(Self.rules, statement)
    if !ids.isEmpty { #expect(ids == ["expect/failed"], "\(statement): \(ids)") }
    return ids.isEmpty
  }

  @Test func ofAGroup() {
    #expect(holds("output accept tcp 443 cgroup a.slice"))
    #expect(holds("output always accept tcp 443 cgroup a.slice, b.slice/one"))
    #expect(holds("output accept tcp 25 cgroup c"))
    #expect(holds("output drop tcp 8080 cgroup a.slice mark 0"))
    // Of another group, and of one that no rule names.
    #expect(holds("output drop tcp 443 cgroup c mark 0"))
    #expect(holds("output drop tcp 443 cgroup d mark 0"))
    #expect(!holds("output accept tcp 443 cgroup d"))
    // No process is in both of two that are apart.
    #expect(holds("output drop tcp 80 cgroup b.slice/one"))
  }

  /// The numbers of a group and of one below it come into the kernel apart.
  @Test func ofAGroupBelow() {
    #expect(!holds("output accept tcp 443 cgroup a.slice/x"))
    #expect(!holds("output drop tcp 443 cgroup a.slice/x"))
    #expect(!holds("output accept tcp 80 cgroup a.slice"))
    #expect(holds("output accept tcp 80 cgroup a.slice/x"))
  }

  /// Nobody says that a group is there, so what only it may send is not sure to be accepted, nor to be dropped.
  @Test func ofAnybody() {
    #expect(holds("output accept udp 53"))
    #expect(!holds("output accept tcp 443"))
    #expect(!holds("output drop tcp 443"))
    #expect(!holds("output may accept tcp 443"))
    #expect(holds("output may accept tcp 443 cgroup a.slice"))
    #expect(!holds("output may accept tcp 443 cgroup c"))
  }

  @Test func manyGroups() {
    let rules = (0..<60).map { "accept tcp \(1000 + $0) cgroup s\($0).service" }
    #expect(ids(rules, "output accept tcp 1007 cgroup s7.service") == [])
    #expect(ids(rules, "output drop tcp 1007 cgroup s8.service") == [])
    #expect(ids(rules, "output drop tcp 2000") == [])
    // More than there is room for: nothing can be told.
    let many = (0..<70).map { "accept tcp \(1000 + $0) cgroup s\($0).service" }
    #expect(ids(many, "output drop tcp 2000").contains("expect/not-yet-provable"))
  }
}
