import Analysis
import CanonicalJSON
import Compiler
import Diagnostics
import Foundation
import PolicyModel
import PolicySamples
import Testing

/// Two policies and what is said about the way from one to the other: `old.cos` and `policy.cos` in a folder.
@Suite struct DifferenceTests {
  private struct NotChecked: Error, CustomStringConvertible {
    var description: String
  }

  private func checked(_ name: String, in folder: CaseFolder) throws -> CheckedPolicy {
    let bytes = Array(try Data(contentsOf: folder.url.appending(path: name)))
    let checked = PolicyCompiler.check(path: name, bytes: bytes, reader: FolderReader(folder.url, as: name))
    guard checked.policy != nil else {
      throw NotChecked(description: PlainRenderer(files: checked.sources).render(checked.diagnostics.all))
    }
    return checked
  }

  private func report(from old: String, to new: String, in folder: CaseFolder) throws -> ComparisonReport {
    let (before, after) = (try checked(old, in: folder), try checked(new, in: folder))
    let (first, second) = (try #require(before.policy), try #require(after.policy))
    return ComparisonReport(
      PolicyComparison(from: first, to: second), old: (old, before.sources), new: (new, after.sources))
  }

  @Test func goldenFolders() throws {
    let folders = try CaseFolder.all(in: "Differences")
    #expect(folders.count >= 6)
    for folder in folders {
      let report = try report(from: "old.cos", to: "policy.cos", in: folder)
      try folder.expect([
        "diff.txt": Array(report.text.utf8), "diff.md": Array(report.markdown.utf8),
        "diff.json": report.json.pretty(),
      ])
    }
  }

  /// What rules put into sets, take out, log and count: each rule is told that does so otherwise, and no other.
  @Test func whatRulesTellIsCompared() throws {
    let updates = [
      "", "", "add source $seen", "update source $seen", "add source $seen timeout 5m", "delete source $seen",
      "add source $other",
    ]
    let told = ["", "", "count", "log x", "log y", "log x at most 3/minute"]
    var random = SystemRandomNumberGenerator()
    var changes = 0
    for _ in 0..<60 {
      let (old, new) = (Clauses(updates, told, &random), Clauses(updates, told, &random))
      let comparison = PolicyComparison(from: try old.checked(), to: try new.checked())
      let found = Set(comparison.settings.filter { $0.domain == "rule" }.map { $0.text.prefix { $0 != ":" } })
      let wanted = Set(
        (0..<Clauses.count).filter { old.all[$0] != new.all[$0] }.map { Substring("input/r\($0)") })
      #expect(found == wanted, "\(old.all) \(new.all)")
      #expect(comparison.settings.allSatisfy { $0.domain == "set" || $0.direction == .visible })
      #expect(comparison.packets.changes.isEmpty)
      changes += wanted.count
    }
    #expect(changes > 0)
  }

  /// How much a set holds, and how long, is told, and whether that lets more by is not known.
  @Test func setsThatAreFilledAreCompared() throws {
    func policy(_ set: String) throws -> HostPolicy {
      let source = """
        policy: sets
        language: 1
        target: { kernel: "6.1" }
        management: none
        define: { seen: { dynamic: addresses, \(set) } }
        firewall:
          input: { policy: drop, rules: ["accept tcp 22 from $seen", "drop tcp 7000 add source $seen"] }

        """
      return try #require(PolicyCompiler.check(path: "policy.cos", bytes: Array(source.utf8)).policy)
    }
    let old = try policy("size: 4096, timeout: 1h")
    for (set, text) in [
      ("size: 4096, timeout: 1h", nil),
      ("size: 4096, timeout: 2h", "seen: 4096 addresses, 3600s → 4096 addresses, 7200s"),
      ("size: 8, timeout: 1h", "seen: 4096 addresses, 3600s → 8 addresses, 3600s"),
    ] {
      let comparison = PolicyComparison(from: old, to: try policy(set))
      #expect(comparison.settings.map(\.text) == (text.map { [$0] } ?? []))
      #expect(comparison.refines == (text == nil))
    }
  }

  /// A mark of a connection is asked of its later packets: another one may let those by.
  @Test func marksAreAskedLater() throws {
    func policy(_ mark: String, asked: String) throws -> HostPolicy {
      let source = """
        policy: marks
        language: 1
        target: { kernel: "6.1" }
        management: none
        firewall:
          input:
            policy: drop
            rules: ["continue \(mark) set connmark 0x1", "\(asked)", "accept tcp 22, 23 new"]

        """
      return try #require(PolicyCompiler.check(path: "policy.cos", bytes: Array(source.utf8)).policy)
    }
    for (asked, direction) in [
      ("accept established connmark 0x1", PacketDifference.Direction.incomparable),
      ("accept established", .visible),
    ] {
      let comparison = PolicyComparison(
        from: try policy("tcp 22 new", asked: asked), to: try policy("tcp new", asked: asked))
      #expect(comparison.packets.changes.map(\.direction) == [direction])
      #expect(comparison.refines == (direction == .visible))
    }
  }

  /// Many rules that count in another order count the same packets, if they overlap in none.
  @Test func manyCountersInAnotherOrder() throws {
    func policy(_ ports: [Int], _ first: String = "") throws -> HostPolicy {
      let rules = ports.map { "      - r\($0): accept tcp \($0) count\n" }.joined()
      let source =
        "policy: many\nlanguage: 1\ntarget: { kernel: \"6.1\" }\nmanagement: none\n"
        + "firewall:\n  input:\n    policy: drop\n    rules:\n" + first + rules
      return try #require(PolicyCompiler.check(path: "policy.cos", bytes: Array(source.utf8)).policy)
    }
    let ports = Array(1_000..<1_100)
    #expect(PolicyComparison(from: try policy(ports), to: try policy(ports.reversed())).isEmpty)
    // One of them stands behind another, which counts in its place then.
    let wide = "      - wide: accept tcp 1050-1051 count\n"
    let comparison = PolicyComparison(
      from: try policy(ports, wide), to: try policy(Array(ports.reversed()) + [1_100]))
    #expect(comparison.settings.map(\.key).contains { $0.hasPrefix("input/r1050: count in input") })
  }

  /// The clauses of a few rules, which are the same otherwise.
  private struct Clauses {
    static let count = 4
    var all: [String]

    init(_ updates: [String], _ told: [String], _ random: inout some RandomNumberGenerator) {
      all = (0..<Self.count).map { _ in
        [updates, told].compactMap { $0.randomElement(using: &random) }.filter { !$0.isEmpty }
          .joined(separator: " ")
      }
    }

    func checked() throws -> HostPolicy {
      let rules = all.enumerated().map { "      - r\($0): continue tcp \($0 + 20) \($1)\n" }.joined()
      let source = """
        policy: told
        language: 1
        target: { kernel: "6.1" }
        management: none
        define:
          seen: { dynamic: addresses, size: 100, timeout: 1h }
          other: { dynamic: addresses, size: 100, timeout: 1h }
        firewall:
          input:
            policy: drop
            rules:
              - accept tcp 22 from $seen
              - accept tcp 23 from $other

        """
      let checked = PolicyCompiler.check(path: "policy.cos", bytes: Array((source + rules).utf8))
      guard let policy = checked.policy else {
        throw NotChecked(description: PlainRenderer(files: checked.sources).render(checked.diagnostics.all))
      }
      return policy
    }
  }

  @Test func aPolicyMeansTheSameAsItself() throws {
    for name in ["Differences", "Cases"] {
      for folder in try CaseFolder.all(in: name) {
        let report = try report(from: "policy.cos", to: "policy.cos", in: folder)
        #expect(report.text == "policy.cos and policy.cos mean the same\n", "\(folder.name)")
        #expect(report.exitCode(failingOn: .any) == 0)
      }
    }
  }

  /// A bundle in place of its policy: the same directions and regions, decided by the same rules.
  @Test func aBundleStandsForItsPolicy() throws {
    var count = 0
    for folder in try CaseFolder.all(in: "Differences") {
      let before = try #require(try checked("old.cos", in: folder).policy)
      let after = try #require(try checked("policy.cos", in: folder).policy)
      guard let compiled = try folder.compile().policy else { continue }
      let file = try #require(compiled.files.first { $0.name == "policy.bundle" })
      let bundle = try LiftedPolicy(path: "policy.bundle", bytes: file.bytes, like: before)
      let alone = try LiftedPolicy(path: "policy.bundle", bytes: file.bytes)
      func changes(_ comparison: PolicyComparison) -> [String] {
        // Filters are compared byte by byte.
        let unknown = comparison.packets.unknown.filter { $0.place != "syscalls" }
        #expect(unknown.map(\.reason) == [], "\(folder.name)")
        let packets = comparison.packets.changes.map { change in
          // A bundle has no definitions to name.
          let regions = folder.url.lastPathComponent == "names" ? [] : change.regions
          return
            "\(change.direction) \(change.place): \(change.before) → \(change.after) \(regions) \(change.oldRule?.id ?? "") \(change.newRule?.id ?? "")"
        }
        let held = comparison.settings.filter { ["sysctl", "mount", "rule", "limiter"].contains($0.domain) }
        return packets.sorted() + held.map { "\($0.direction) \($0.text)" }
      }
      for isReversed in [false, true] {
        let policies = PolicyComparison(
          from: isReversed ? after : before, to: isReversed ? before : after)
        let bundles = PolicyComparison(
          from: isReversed ? .lifted(bundle) : .policy(before),
          to: isReversed ? .policy(before) : .lifted(bundle))
        #expect(changes(policies) == changes(bundles), "\(folder.name)")
        #expect(bundles.notCompared == ["modules", "kernel", "boot"])
      }
      let same = PolicyComparison(
        from: .policy(after),
        to: .lifted(
          try LiftedPolicy(
            path: "policy.bundle", bytes: file.bytes, like: after)))
      #expect(same.isEmpty, "\(folder.name)")
      #expect(PolicyComparison(from: .lifted(alone), to: .lifted(alone)).isEmpty, "\(folder.name)")
      count += 1
    }
    #expect(count >= 6)
  }

  @Test func thresholds() throws {
    let folders = try CaseFolder.all(in: "Differences")
    func codes(_ name: String, reversed: Bool = false) throws -> [Int32] {
      let folder = try #require(folders.first { $0.url.lastPathComponent == name })
      let report =
        try reversed
        ? report(from: "policy.cos", to: "old.cos", in: folder)
        : report(from: "old.cos", to: "policy.cos", in: folder)
      return ComparisonReport.Threshold.allCases.map { report.exitCode(failingOn: $0) }
    }
    // Fewer packets are dropped; the other way it is narrower only.
    #expect(try codes("flags") == [1, 1, 1])
    #expect(try codes("flags", reversed: true) == [0, 0, 1])
    #expect(try codes("same") == [0, 0, 0])
  }
}
