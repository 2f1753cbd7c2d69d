import Compiler
import Diagnostics
import PolicySamples
import Testing

/// The algebra of LANGUAGE.md §5 on generated files: fixed seeds, and what a failing one was made of is printed.
@Suite struct ExtensionLawTests {
  /// What a compile comes to: the policy's digest, or the ids of its errors.
  private enum Outcome: Equatable, CustomStringConvertible {
    case policy([UInt8])
    case refused(Set<String>)

    var description: String {
      switch self {
      case .policy(let digest): PolicyDigest.text(digest)
      case .refused(let ids): "refused: \(ids.sorted().joined(separator: ", "))"
      }
    }

    var isPolicy: Bool { if case .policy = self { true } else { false } }
  }

  private static let head = "policy: laws\nlanguage: 1\ntarget: { kernel: \"6.1\" }\n"

  private func compile(
    _ include: [String], _ files: [String: String], own: String = ""
  ) -> Outcome {
    let list = include.map { "\"\($0)\"" }.joined(separator: ", ")
    let text = Self.head + (include.isEmpty ? "" : "include: [\(list)]\n") + own
    let compilation = PolicyCompiler.compile(
      path: "policy.cos", bytes: Array(text.utf8),
      reader: SourceDictionary(files.mapValues { Array($0.utf8) }))
    if let policy = compilation.policy { return .policy(policy.digest) }
    return .refused(
      Set(compilation.diagnostics.all.filter { $0.severity == .error }.map(\.id.rawValue)))
  }

  private func fragment(_ name: String, _ body: String) -> String {
    "fragment: \(name)\nlanguage: 1\n" + body
  }

  /// The order of fragments and how often one is included do not count, and neither does a second way to it.
  @Test func meetOfFragments() {
    var compiled = 0
    var refused = 0
    for seed in 100..<230 as Range<UInt64> {
      var random = RandomSettings(seed: seed)
      let bodies = (0..<3).map { _ in random.body() }
      var files: [String: String] = [:]
      for (index, body) in bodies.enumerated() {
        files["\(index).cos"] = fragment("f\(index)", body)
        files["\(index)-again.cos"] = fragment("again", "description: the same\n" + body)
      }
      files["01.cos"] = fragment("left", "include: [0.cos, 1.cos]\n")
      files["12.cos"] = fragment("right", "include: [1.cos, 2.cos]\n")
      let own = random.chance(1, 3) ? random.body() : ""
      let plain = compile(["0.cos", "1.cos", "2.cos"], files, own: own)
      if plain.isPolicy { compiled += 1 } else { refused += 1 }
      let shown = "seed \(seed)\n" + bodies.joined(separator: "---\n") + "own:\n" + own
      for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        #expect(
          compile(order.map { "\($0).cos" }, files, own: own) == plain, "commutative, \(order), \(shown)")
      }
      #expect(
        compile(["0.cos", "1.cos", "0-again.cos", "2.cos", "1-again.cos"], files, own: own) == plain,
        "idempotent, \(shown)")
      // Where two files alone have no meet, a nested list is refused though the policy or the third decides.
      for nested in [
        ["01.cos", "2.cos"], ["0.cos", "12.cos"], ["01.cos", "12.cos"], ["12.cos", "1.cos", "01.cos"],
      ] {
        let outcome = compile(nested, files, own: own)
        #expect(
          outcome == plain || outcome == .refused(["include/incomparable"]),
          "associative, \(nested), \(shown)")
        if case .refused = plain { #expect(!outcome.isPolicy, "associative, \(nested), \(shown)") }
      }
    }
    // The laws are worth something only if both happen often.
    #expect(compiled > 50 && refused > 10, "\(compiled) compiled, \(refused) refused")
  }

  /// A fragment alone is the same as its statements in the policy itself.
  @Test func oneFragmentIsItsStatements() {
    for seed in 1000..<1080 as Range<UInt64> {
      var random = RandomSettings(seed: seed, sortsParameters: true)
      let body = random.body()
      #expect(
        compile(["0.cos"], ["0.cos": fragment("f", body)]) == compile([], [:], own: body),
        "seed \(seed)\n\(body)")
    }
  }
}
