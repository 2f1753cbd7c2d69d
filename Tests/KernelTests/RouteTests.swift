import Compiler
import Diagnostics
import Foundation
import NFTables
import PolicyChecker
import PolicyModel
import PolicySamples
import PolicySyntax
import Ruleset
import RulesetSamples
import Testing
import TextBackends

/// nft text and the netlink batch, each loaded into a kernel of its own, must be the same rules there.
@Suite(.enabled(if: Namespace.isRequested, "needs root; set LOCKDOWN_KERNEL_TESTS=1"))
struct RouteTests {
  struct Loaded: Equatable {
    /// Decoded expressions, one per line.
    var dump: String
    /// `nft -s list ruleset`.
    var listing: String
  }

  @Test(arguments: RulesetSample.corpus.indices)
  func handwrittenRulesetsAreTheSameByBothRoutes(index: Int) throws {
    let sample = RulesetSample.corpus[index]
    let messages = try BatchEncoder.encode(
      sample.ruleset, expressions: sample.expressions(of:), sourceIndex: { _ in 1 })
    let text = try Self.load(text: sample.text)
    let batch = try Self.load(messages: messages.map(\.bytes))
    #expect(Self.difference(text: text.dump, batch: batch.dump) == nil, "\(sample.name): expressions")
    #expect(Self.difference(text: text.listing, batch: batch.listing) == nil, "\(sample.name): listing")
    // Nothing of our own was lost on the way: each rule is there, and each was understood.
    #expect(!batch.dump.contains("unknown"), "\(sample.name)")
    let rules = batch.dump.split(separator: "\n").count { $0.hasPrefix("    rule") }
    #expect(rules == sample.rules.count + sample.extraRules.count)
    // What was sent reads the same as what the kernel gives back.
    let sent = DumpText(showsLabels: false).print(try StoredBatch.decode(messages.map(\.bytes)))
    #expect(Self.difference(text: sent, batch: batch.dump) == nil, "\(sample.name): sent and dumped")
  }

  private static let digest = [UInt8](repeating: 0xab, count: 32)
  /// How many children there are, each with a namespace of its own.
  private static let workers: UInt64 = 2
  private static let policiesPerWorker: UInt64 = 1010
  /// A policy holds a few of them; each is to be met often, so that no seed's luck decides.
  private static let leastUses = 10

  private static func ruleset(of policy: HostPolicy) -> Ruleset { Lowering.lower(policy, digest: digest) }

  /// Thousands of small policies, and what of the language they are made of. A failing one is made smaller first.
  @Test(arguments: 0..<workers)
  func generatedPoliciesAreTheSameByBothRoutes(worker: UInt64) throws {
    let comparison = RouteComparison(child: try ProbeChild())
    var features = PolicyFeatures()
    var rules = 0
    for index in 0..<Self.policiesPerWorker {
      let seed = index * Self.workers + worker + 1
      var random = RandomPolicy(seed: seed)
      let policy = random.smallPolicy()
      features.count(policy)
      rules += policy.firewall?.rules.count ?? 0
      guard let fault = try comparison.fault(of: Self.ruleset(of: policy)) else { continue }
      let smallest = try PolicyShrinker.shrink(policy) { smaller in
        try comparison.fault(of: Self.ruleset(of: smaller))?.kind == fault.kind
      }
      let smallestFault = try comparison.fault(of: Self.ruleset(of: smallest))
      Issue.record("seed \(seed): \(smallestFault ?? fault)\n\(Self.shown(smallest))")
      return
    }
    print(
      "routes, worker \(worker): \(Self.policiesPerWorker) generated policies of \(rules) rules are the same")
    print(features.table)
    let unknown = Set(features.counts.keys).subtracting(PolicyFeatures.all)
    #expect(unknown.isEmpty, "not in the list of features: \(unknown.sorted())")
    let rare = PolicyFeatures.all.filter { (features.counts[$0] ?? 0) < Self.leastUses }
    #expect(rare.isEmpty, "too few policies have \(rare)")
  }

  /// What a person needs to see the fault: the rules as values, and the text of the whole.
  private static func shown(_ policy: HostPolicy) -> String {
    let rules = (policy.firewall?.rules ?? []).map { rule in
      "\(rule.id): \(rule.families) \(rule.matches) \(rule.changes) \(rule.verdict)"
    }
    return (rules + [NFTText.print(ruleset(of: policy))]).joined(separator: "\n")
  }

  /// A batch with a fault in it is told from the text, and the policy comes down to the one rule that matters.
  @Test func aFaultOfTheEncodingIsFoundAndMadeSmall() throws {
    let comparison = RouteComparison(child: try ProbeChild())
    func fault(_ policy: HostPolicy) throws -> RouteComparison.Fault? {
      let ruleset = Self.ruleset(of: policy)
      return try comparison.fault(of: ruleset, sent: Self.withAFault(ruleset))
    }
    var random = RandomPolicy(seed: 3)
    let policies = (0..<400).lazy.map { _ in random.smallPolicy() }
    let policy = try #require(
      policies.first { policy in
        (policy.firewall?.rules.count ?? 0) > 4
          && policy.firewall?.rules.contains { $0.isEnabled && $0.changes.mark == 0x4000 } == true
      })
    let found = try #require(try fault(policy))
    let smallest = try PolicyShrinker.shrink(policy) { try fault($0)?.kind == found.kind }
    let rules = smallest.firewall?.rules ?? []
    #expect(found.kind == .expressions)
    // A chain is left only where the rule is in it.
    #expect(rules.count == 1 && smallest.firewall?.regularChains.allSatisfy { $0.rules.count == 1 } == true)
    let rule = try #require(rules.first)
    var changes = Changes()
    changes.mark = 0x4000
    #expect(rule.changes == changes && rule.matches.isEmpty && rule.limit == nil && rule.log == nil)
    #expect(smallest.addressSets.isEmpty && smallest.dynamicSets.isEmpty)
    // The one without the fault is the same by both.
    #expect(try comparison.fault(of: Self.ruleset(of: policy)) == nil)
  }

  /// Marks of 0x4000 become 0x4001, as a wrong lowering would have it.
  private static func withAFault(_ ruleset: Ruleset) -> Ruleset {
    var ruleset = ruleset
    for table in ruleset.tables.indices {
      for chain in ruleset.tables[table].chains.indices {
        for rule in ruleset.tables[table].chains[chain].rules.indices {
          let statements = ruleset.tables[table].chains[chain].rules[rule].statements
          ruleset.tables[table].chains[chain].rules[rule].statements = statements.map {
            $0 == .change(.packetMark(0x4000)) ? .change(.packetMark(0x4001)) : $0
          }
        }
      }
    }
    return ruleset
  }

  /// Long chains, and all hooks at once.
  @Test func largePoliciesAreTheSameByBothRoutes() throws {
    let comparison = RouteComparison(child: try ProbeChild())
    for seed in 1...24 as ClosedRange<UInt64> {
      var random = RandomPolicy(seed: seed)
      let fault = try comparison.fault(of: Self.ruleset(of: random.policy(ruleCount: 80)))
      #expect(fault == nil, "seed \(seed)")
    }
  }

  /// Every policy of the repository that has no errors: the shipped ones, and the cases of other tests.
  @Test func policyFilesAreTheSameByBothRoutes() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../..")
      .standardizedFileURL
    let comparison = RouteComparison(child: try ProbeChild())
    var compared: [String] = []
    var withErrors = 0
    var closedCount = 0
    for folder in ["policies", "Tests"] {
      let files = try #require(
        FileManager.default.enumerator(atPath: root.appendingPathComponent(folder).path))
      for case let name as String in files where name.hasSuffix(".cos") {
        let path = "\(folder)/\(name)"
        let bytes = Array(try Data(contentsOf: root.appendingPathComponent(path)))
        var sources = SourceFiles()
        let file = sources.add(path: path, bytes: bytes)
        var diagnostics = DiagnosticList()
        guard
          let policy = PolicyChecker.check(
            file, in: &sources, reader: FolderReader(root), diagnostics: &diagnostics)
        else {
          withErrors += 1
          continue
        }
        let ruleset = Self.ruleset(of: policy)
        guard ChainDepth.excesses(in: ruleset).isEmpty else {
          withErrors += 1
          continue
        }
        let fault = try comparison.fault(of: ruleset)
        #expect(fault == nil, "\(path)")
        compared.append(path)
        // The closed stage, where it is not that of every policy.
        guard let stage = ClosedStage(policy), !stage.management.isEmpty || !policy.boot.input.isEmpty else {
          continue
        }
        var closed = Lowering.lowerClosedStage(of: policy, digest: Self.digest)
        // The one that is dumped.
        for table in closed.tables.indices { closed.tables[table].name = KernelName.table }
        let closedFault = try comparison.fault(of: closed)
        #expect(closedFault == nil, "\(path), closed stage")
        closedCount += 1
      }
    }
    print(
      "routes compared: \(compared.count) policies, \(closedCount) closed stages; \(withErrors) have errors and lower to nothing"
    )
    #expect(closedCount > 5)
    #expect(compared.contains("policies/cos.cos") && compared.contains("policies/cos-tuning.cos"))
  }

  @Test func labelsComeBackFromTheKernel() throws {
    let sample = try #require(RulesetSample.corpus.first)
    let messages = try BatchEncoder.encode(
      sample.ruleset, expressions: sample.expressions(of:), sourceIndex: { _ in 1 })
    let directory = try TemporaryDirectory()
    let file = try directory.file("batch", contents: Data(messages.flatMap(\.bytes)))
    let result = try Namespace.run("\"$PROBE\" send \(file.path); \"$PROBE\" dump-labels")
    #expect(result.status == 0, "\(result.errors)")
    let lines = result.output.split(separator: "\n")
    let labelled = lines.filter { $0.contains("label 0x0102030405060700") }
    #expect(labelled.count == sample.rules.count + sample.extraRules.count)
    #expect(
      lines.contains {
        $0.contains("policy_digest") && $0.contains("label 0x" + String(repeating: "09", count: 32))
      })
  }

  @Test func aRefusedBatchChangesNothing() throws {
    let sample = try #require(RulesetSample.corpus.first)
    var messages = try BatchEncoder.encode(
      sample.ruleset, expressions: sample.expressions(of:), sourceIndex: { _ in 7 })
    // The rules that jump into the chain stay; the chain goes.
    messages.removeAll { $0.kind == .chain }
    let directory = try TemporaryDirectory()
    let file = try directory.file("batch", contents: Data(messages.flatMap(\.bytes)))
    let result = try Namespace.run("\"$PROBE\" send \(file.path) || true; nft list tables")
    #expect(result.output == "")
    // ENOENT, on the message with the sequence number of the source rule.
    #expect(
      result.errors.contains("refused")
        && result.errors.contains("message 7: No such file or directory (error 2)"),
      "\(result.errors)")
  }

  /// The first lines that differ, or nil: a failure then shows them, and not two whole rulesets.
  static func difference(text: String, batch: String) -> String? {
    let left = text.components(separatedBy: "\n")
    let right = batch.components(separatedBy: "\n")
    guard
      let index = (0..<max(left.count, right.count)).first(where: { index in
        (index < left.count ? left[index] : nil) != (index < right.count ? right[index] : nil)
      })
    else { return nil }
    func around(_ lines: [String]) -> String {
      lines[max(0, index - 6)..<min(lines.count, max(0, index - 6) + 10)].joined(separator: "\n")
    }
    return "line \(index + 1)\n--- text\n\(around(left))\n--- batch\n\(around(right))"
  }

  static func load(text: String) throws -> Loaded {
    let directory = try TemporaryDirectory()
    let file = try directory.file("ruleset.nft", contents: Data(text.utf8))
    return try loaded(by: "nft -f \(file.path)")
  }

  static func load(messages: [[UInt8]]) throws -> Loaded {
    let directory = try TemporaryDirectory()
    let file = try directory.file("batch", contents: Data(messages.joined()))
    return try loaded(by: "\"$PROBE\" send \(file.path)")
  }

  private static func loaded(by command: String) throws -> Loaded {
    let separator = "=== listing ==="
    let result = try Namespace.run(
      "\(command); \"$PROBE\" dump; echo '\(separator)'; nft -s list ruleset")
    try #require(result.status == 0, "\(command): \(result.errors)")
    let parts = result.output.components(separatedBy: separator + "\n")
    try #require(parts.count == 2)
    return Loaded(dump: parts[0], listing: parts[1])
  }
}
