import Analysis
import Compiler
import Diagnostics
import PolicyModel
import PolicySamples
import Testing

/// The algebra of LANGUAGE.md §5 on generated files: fixed seeds, and a failing case is made smaller before it is
/// printed. Policies are the same if the analysis finds no difference, and their digests are equal.
@Suite struct ExtensionLawTests {
  /// What a compile comes to: a policy, or the ids of its errors.
  private enum Outcome {
    case policy(CompiledPolicy)
    case refused(Set<String>)

    var compiled: CompiledPolicy? { if case .policy(let policy) = self { policy } else { nil } }
    var ids: Set<String> { if case .refused(let ids) = self { ids } else { [] } }

    var description: String {
      switch self {
      case .policy(let policy): PolicyDigest.text(policy.digest)
      case .refused(let ids): "refused: \(ids.sorted().joined(separator: ", "))"
      }
    }

    /// Nil: both are the same.
    func difference(from other: Outcome) -> String? {
      switch (self, other) {
      case (.refused(let ids), .refused(let others)) where ids == others: nil
      case (.policy(let policy), .policy(let other)) where policy.digest == other.digest:
        // The digest is of the value; what it means is the analysis' to say.
        policy.policy.hasSameMeaning(as: other.policy) ? nil : "equal digests, and the meanings differ"
      default: "\(description), and not \(other.description)"
      }
    }
  }

  private typealias Files = [String: String]

  private static let head = "policy: laws\nlanguage: 1\ntarget: { kernel: \"6.1\" }\nmanagement: none\n"

  private static func compile(_ text: String, _ files: Files) -> Outcome {
    let compilation = PolicyCompiler.compile(
      path: "policy.cos", bytes: Array(text.utf8),
      reader: SourceDictionary(files.mapValues { Array($0.utf8) }))
    if let policy = compilation.policy { return .policy(policy) }
    return .refused(Set(compilation.diagnostics.all.filter { $0.severity == .error }.map(\.id.rawValue)))
  }

  private static func compile(including names: [String], _ files: Files) -> Outcome {
    let list = names.map { "\"\($0)\"" }.joined(separator: ", ")
    return compile(head + (names.isEmpty ? "" : "include: [\(list)]\n") + (files["own"] ?? ""), files)
  }

  /// Tries a law on files of each seed; the first that breaks it is made smaller, and printed with its seed.
  ///
  /// - Parameter fault: what is wrong, beginning with the name of the law; nil: it holds.
  private static func expect(
    _ seeds: Range<UInt64>, files: (UInt64) -> Files, sourceLocation: SourceLocation = #_sourceLocation,
    fault: (Files) -> String?
  ) {
    func law(_ fault: String?) -> Substring? { fault?.prefix { $0 != ":" } }
    for seed in seeds {
      let generated = files(seed)
      guard let found = fault(generated) else { continue }
      let smallest = TextShrinker.shrink(generated) { law(fault($0)) == law(found) }
      Issue.record(
        "seed \(seed): \(fault(smallest) ?? found)\n\(TextShrinker.shown(smallest))",
        sourceLocation: sourceLocation)
      return
    }
  }

  private static func fragment(_ name: String, _ body: String) -> String {
    "fragment: \(name)\nlanguage: 1\n" + body
  }

  // MARK: The meet

  private static func fragments(seed: UInt64) -> Files {
    var random = RandomSettings(seed: seed)
    var firewall = RandomExtension(seed: seed)
    var files: Files = [:]
    var jumps: [String] = []
    for index in 0..<3 {
      var body = random.body()
      files["\(index)-again.cos"] = fragment("again", "description: the same\n" + body)
      if firewall.chance(40) {
        body += firewall.chain("c\(index)")
        jumps.append("c\(index)")
      }
      files["\(index).cos"] = fragment("f\(index)", body)
    }
    files["01.cos"] = fragment("left", "include: [0.cos, 1.cos]\n")
    files["12.cos"] = fragment("right", "include: [1.cos, 2.cos]\n")
    files["own"] =
      (random.chance(1, 3) ? random.body() : "")
      + (jumps.isEmpty
        ? ""
        : "firewall:\n  input:\n    policy: drop\n    rules:\n"
          + jumps.map { "      - jump \($0)\n" }.joined())
    return files
  }

  /// The order of fragments and how often one is included do not count, and neither does a second way to it.
  @Test func meetOfFragments() {
    var compiled = 0
    var refused = 0
    var chains = 0
    Self.expect(100..<250, files: Self.fragments) { files in
      let plain = Self.compile(including: ["0.cos", "1.cos", "2.cos"], files)
      if let policy = plain.compiled {
        compiled += 1
        if policy.policy.firewall != nil { chains += 1 }
      } else {
        refused += 1
      }
      for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let outcome = Self.compile(including: order.map { "\($0).cos" }, files)
        if let difference = outcome.difference(from: plain) { return "commutative: \(order): \(difference)" }
      }
      let again = Self.compile(including: ["0.cos", "1.cos", "0-again.cos", "2.cos", "1-again.cos"], files)
      if let difference = again.difference(from: plain) { return "idempotent: \(difference)" }
      // A copy is the same file by another name.
      var copied = files
      copied["copy.cos"] = files["1.cos"]
      let copy = Self.compile(including: ["0.cos", "1.cos", "copy.cos", "2.cos"], copied)
      if let difference = copy.difference(from: plain) { return "a file is read once: \(difference)" }
      // Where two files alone have no meet, a nested list is refused though the policy or the third decides.
      for nested in [
        ["01.cos", "2.cos"], ["0.cos", "12.cos"], ["01.cos", "12.cos"], ["12.cos", "1.cos", "01.cos"],
      ] {
        let outcome = Self.compile(including: nested, files)
        if outcome.ids == ["include/incomparable"] { continue }
        if let difference = outcome.difference(from: plain) { return "associative: \(nested): \(difference)" }
      }
      return nil
    }
    // The laws are worth something only if all of it happens often.
    #expect(
      compiled > 60 && refused > 10 && chains > 30,
      "\(compiled) compiled, \(chains) with chains of fragments, \(refused) refused")
  }

  /// A fragment alone is the same as its statements in the policy itself.
  @Test func oneFragmentIsItsStatements() {
    Self.expect(
      1000..<1200,
      files: { seed in
        var random = RandomSettings(seed: seed, sortsParameters: true)
        return ["body": random.body()]
      },
      fault: { files in
        let body = files["body"] ?? ""
        let included = Self.compile(including: ["0.cos"], ["0.cos": Self.fragment("f", body)])
        return included.difference(from: Self.compile(including: [], ["own": body])).map { "the same: \($0)" }
      })
  }

  // MARK: Refinement

  private static func line(seed: UInt64) -> Files {
    var firewall = RandomExtension(seed: seed)
    var settings = RandomSettings(seed: seed &+ 7)
    // Half of the lines are about packets alone, or the settings would refuse nearly all of them.
    let hasSettings = settings.chance(1, 2)
    func body(_ settings: inout RandomSettings) -> String { hasSettings ? settings.body() : "" }
    return [
      "root.cos": Self.head + firewall.root() + body(&settings),
      "middle.cos": "policy: middle\nlanguage: 1\nextends: root.cos\n" + firewall.edits()
        + (settings.chance(1, 3) ? body(&settings) : ""),
      "leaf.cos": "policy: leaf\nlanguage: 1\nextends: middle.cos\n" + firewall.edits()
        + (settings.chance(1, 3) ? body(&settings) : ""),
    ]
  }

  private static func compile(file name: String, _ files: Files) -> Outcome {
    compile(files[name] ?? "", files)
  }

  /// Reflexive: what extends and says nothing is its base. Sound: what is accepted permits no more than its base.
  /// Transitive: nor more than the base of that one.
  @Test func refinementIsAnOrder() {
    var accepted = 0
    var lines = 0
    var narrowed = 0
    Self.expect(2000..<2400, files: Self.line) { files in
      guard let root = Self.compile(file: "root.cos", files).compiled else { return nil }
      let silent = Self.compile("policy: silent\nlanguage: 1\nextends: root.cos\n", files)
      guard let same = silent.compiled else { return "reflexive: \(silent.description)" }
      if !same.policy.hasSameMeaning(as: root.policy) { return "reflexive: it means something else" }
      guard let middle = Self.compile(file: "middle.cos", files).compiled else { return nil }
      accepted += 1
      if let wider = middle.policy.excess(over: root.policy) { return "sound: \(wider)" }
      if !middle.policy.hasSameMeaning(as: root.policy) { narrowed += 1 }
      guard let leaf = Self.compile(file: "leaf.cos", files).compiled else { return nil }
      lines += 1
      if let wider = leaf.policy.excess(over: middle.policy) { return "sound: \(wider)" }
      if let wider = leaf.policy.excess(over: root.policy) { return "transitive: \(wider)" }
      return nil
    }
    #expect(
      accepted > 120 && narrowed > 50 && lines > 50,
      "\(accepted) middles accepted, \(narrowed) of them narrower, \(lines) lines of three")
  }

  /// An excess needs a `loosen`, one for all packets of the place is enough, and one that nothing needs is found.
  @Test func looseningOfPackets() {
    var widened = 0
    var unused = 0
    let loosen =
      "loosen:\n  - packets: input accept any\n    because: laws\n    owner: laws\n    until: never\n"
    Self.expect(
      3000..<3300,
      files: { seed in
        var firewall = RandomExtension(seed: seed)
        let root = Self.head + firewall.root()
        return [
          "root.cos": root, "child.cos": "policy: child\nlanguage: 1\nextends: root.cos\n" + firewall.edits(),
        ]
      },
      fault: { files in
        guard Self.compile(file: "root.cos", files).compiled != nil else { return nil }
        let plain = Self.compile(file: "child.cos", files)
        let loosened = Self.compile((files["child.cos"] ?? "") + loosen, files)
        if plain.compiled != nil {
          unused += 1
          return loosened.ids == ["loosen/unused"]
            ? nil : "an unused loosen is found: \(loosened.description)"
        }
        guard plain.ids == ["extends/widened"] else { return nil }
        widened += 1
        // What else is wrong with it is found then.
        return loosened.ids.isDisjoint(with: ["extends/widened", "loosen/unused"])
          ? nil : "a loosen for all is enough: \(loosened.description)"
      })
    #expect(widened > 50 && unused > 50, "\(widened) widened, \(unused) not")
  }

  /// A law that does not hold is found, and what breaks it comes down to the lines that matter.
  @Test func aBrokenLawIsMadeSmall() throws {
    // "No policy both forbids packet filters to others and denies a module" is no law.
    func fault(_ files: Files) -> Bool {
      let policy = Self.compile(including: ["0.cos", "1.cos", "2.cos"], files).compiled?.policy
      return policy?.sysctls.contains { $0.key == "kernel.unprivileged_bpf_disabled" } == true
        && policy?.modules.denied.contains { $0.pattern == "tipc" } == true
    }
    let files = try #require((100..<500 as Range<UInt64>).lazy.map(Self.fragments).first(where: fault))
    let smallest = TextShrinker.shrink(files, while: fault)
    let lines = smallest.values.flatMap { $0.split(separator: "\n") }
    #expect(lines.count { $0.hasPrefix("  ") } == 2, "\(TextShrinker.shown(smallest))")
    #expect(lines.contains("  deny: [tipc]"), "\(TextShrinker.shown(smallest))")
  }
}

extension HostPolicy {
  fileprivate func hasSameMeaning(as other: HostPolicy) -> Bool {
    PolicyComparison(from: other, to: self).isEmpty
  }

  /// What it permits beyond the other one, or what nobody can say; nil: nothing.
  fileprivate func excess(over base: HostPolicy) -> String? {
    let comparison = PolicyComparison(from: base, to: self)
    if let change = comparison.packets.changes.first(where: {
      [.widened, .incomparable].contains($0.direction)
    }) {
      return "\(change.place): \(change.before) → \(change.after): \(change.witness)"
    }
    if let unknown = comparison.packets.unknown.first { return "\(unknown.place): \(unknown.reason)" }
    return comparison.settings.first { $0.direction == .widened }.map { "\($0.domain): \($0.text)" }
  }
}
