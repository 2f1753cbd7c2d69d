import Diagnostics
import PolicyModel
import PolicySamples
import Testing

@testable import PolicyChecker

/// Settings of a policy against those of its base, on generated files (LANGUAGE.md §5.7–5.9).
@Suite struct RefinementTests {
  private static let base = "policy: base\nlanguage: 1\ntarget: { kernel: \"6.1\" }\n"

  private func child(_ name: String, of base: String, _ body: String) -> String {
    "policy: \(name)\nlanguage: 1\nextends: \(base).cos\n" + body
  }

  private func check(_ text: String, _ files: [String: String]) -> Checked {
    Checked(Array(text.utf8), reader: SourceDictionary(files.mapValues { Array($0.utf8) }))
  }

  /// Findings of the checker about the comparison; others are about the files themselves.
  private func errors(_ checked: Checked) -> [Diagnostic] {
    checked.diagnostics.filter { $0.severity == .error }
  }

  /// The entry that the help of a finding asks for: the parts in backticks, but for the last.
  private func entry(_ finding: Diagnostic) -> String? {
    let parts = (finding.help.first ?? "").split(separator: "`", omittingEmptySubsequences: false)
      .enumerated()
      .filter { $0.offset % 2 == 1 }.map { String($0.element) }
    guard finding.id == .extendsWidened, parts.last == "loosen" else { return nil }
    return "  - " + parts.dropLast().joined(separator: "\n    ")
      + "\n    because: tests\n    owner: tests\n    until: never\n"
  }

  /// What the help says is what is needed: with it the policy is accepted, without any one of it it is not, and with
  /// more it is not either.
  @Test func exceptionsAreNeededAndEnough() {
    var loosened = 0
    for seed in 0..<300 as Range<UInt64> {
      var random = RandomSettings(seed: 40_000 + seed)
      let files = ["base.cos": Self.base + random.body()]
      let body = random.body()
      var entries: [String] = []
      var checked = check(child("child", of: "base", body), files)
      // One line may weaken several places, of which one is reported at a time.
      for _ in 0..<8 {
        let wanted = errors(checked).compactMap(entry).filter { !entries.contains($0) }
        if wanted.isEmpty { break }
        for entry in wanted where !entries.contains(entry) { entries.append(entry) }
        checked = check(child("child", of: "base", body + "loosen:\n" + entries.joined()), files)
      }
      let shown =
        "seed \(seed)\n\(files["base.cos"] ?? "")---\n\(body)\(entries.joined())\n\(checked.rendered)"
      let left = errors(checked)
      // Lists of modules that contradict each other, options and parameters without order: nothing is to be loosened.
      guard left.isEmpty else {
        #expect(left.allSatisfy { $0.id != .loosenUnused }, "\(shown)")
        continue
      }
      guard !entries.isEmpty else { continue }
      loosened += 1
      for index in entries.indices {
        var fewer = entries
        fewer.remove(at: index)
        let text = child("child", of: "base", body + (fewer.isEmpty ? "" : "loosen:\n" + fewer.joined()))
        #expect(
          check(text, files).errors.contains("extends/widened"), "\(entries[index]) is needed, \(shown)")
      }
      let more =
        entries + ["  - module: usb-storage\n    because: tests\n    owner: tests\n    until: never\n"]
      #expect(
        check(child("child", of: "base", body + "loosen:\n" + more.joined()), files).errors == [
          "loosen/unused"
        ],
        "\(shown)")
    }
    #expect(loosened > 40, "\(loosened)")
  }

  @Test func refinementIsTransitive() {
    var lines = 0
    for seed in 0..<600 as Range<UInt64> {
      var random = RandomSettings(seed: 50_000 + seed)
      let files = [
        "base.cos": Self.base + random.body(), "middle.cos": child("middle", of: "base", random.body()),
      ]
      let checked = check(child("leaf", of: "middle", random.body()), files)
      guard let leaf = checked.policy, let root = leaf.ancestors.first else { continue }
      lines += 1
      let widenings = KeyedRefinement(of: leaf, from: root).widenings
      #expect(widenings.isEmpty, "seed \(seed): \(widenings.map(\.message))")
    }
    #expect(lines > 20, "\(lines)")
  }

  /// A policy that only extends is its base.
  @Test func everyPolicyRefinesItself() {
    for seed in 0..<100 as Range<UInt64> {
      var random = RandomSettings(seed: 60_000 + seed)
      let files = ["base.cos": Self.base + random.body()]
      let checked = check(child("child", of: "base", ""), files)
      #expect(checked.errors == [], "seed \(seed): \(checked.rendered)")
    }
  }
}
