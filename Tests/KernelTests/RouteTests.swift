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

  @Test(arguments: 1...24 as ClosedRange<UInt64>)
  func generatedPoliciesAreTheSameByBothRoutes(seed: UInt64) throws {
    var random = RandomPolicy(seed: seed)
    let policy = random.policy(ruleCount: 80)
    try Self.compareRoutes(
      of: Lowering.lower(policy, digest: [UInt8](repeating: 0xab, count: 32)), "seed \(seed)")
  }

  /// Every policy of the repository that has no errors: the shipped ones, and the cases of other tests.
  @Test func policyFilesAreTheSameByBothRoutes() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../..")
      .standardizedFileURL
    var compared: [String] = []
    var withErrors = 0
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
        let ruleset = Lowering.lower(policy, digest: [UInt8](repeating: 0xab, count: 32))
        guard ChainDepth.excesses(in: ruleset).isEmpty else {
          withErrors += 1
          continue
        }
        try Self.compareRoutes(of: ruleset, path)
        compared.append(path)
      }
    }
    print("routes compared: \(compared.count) policies; \(withErrors) have errors and lower to nothing")
    #expect(compared.contains("policies/cos.cos") && compared.contains("policies/cos-tuning.cos"))
  }

  /// Loads a ruleset as text and as a batch, and compares what the kernels then hold.
  private static func compareRoutes(of ruleset: Ruleset, _ name: String) throws {
    let messages = try BatchEncoder.encode(ruleset, sourceIndex: { _ in 1 }).map(\.bytes)
    let text = try load(text: NFTText.print(ruleset))
    let batch = try load(messages: messages)
    #expect(difference(text: text.dump, batch: batch.dump) == nil, "\(name): expressions")
    #expect(difference(text: text.listing, batch: batch.listing) == nil, "\(name): listing")
    #expect(!batch.dump.contains("unknown"), "\(name): an expression nobody understands")
    let sent = DumpText(showsLabels: false).print(try StoredBatch.decode(messages))
    #expect(difference(text: sent, batch: batch.dump) == nil, "\(name): sent and dumped")
    try compareLateRoutes(of: ruleset, messages, name)
    let rules = ruleset.tables.flatMap(\.chains).flatMap(\.rules).count
    #expect(batch.dump.split(separator: "\n").count { $0.hasPrefix("    rule") } == rules)
  }

  /// The same for the chains of devices, which are loaded behind the rest: as text twice, each batch once.
  private static func compareLateRoutes(of ruleset: Ruleset, _ messages: [[UInt8]], _ name: String) throws {
    let late = try BatchEncoder.encodeDeviceChains(of: ruleset, sourceIndex: { _ in 1 })
    guard !late.isEmpty else { return }
    let directory = try TemporaryDirectory()
    let links = Set(late.map(\.device)).sorted().enumerated()
      .map { "ip link add '\($1)' type veth peer name peer\($0)" }.joined(separator: "; ")
    let main = try directory.file("ruleset.nft", contents: Data(NFTText.print(ruleset).utf8))
    let behind = try directory.file("late.nft", contents: Data(NFTText.printLate(ruleset).utf8))
    let text = try loaded(
      by: "\(links); nft -f \(main.path); nft -f \(behind.path); nft -f \(behind.path)")
    var command = "\(links)"
    for (index, batch) in ([messages] + late.map { $0.messages.map(\.bytes) }).enumerated() {
      let file = try directory.file("batch\(index)", contents: Data(batch.joined()))
      command += "; \"$PROBE\" send \(file.path)"
    }
    let batch = try loaded(by: command)
    #expect(difference(text: text.dump, batch: batch.dump) == nil, "\(name): late expressions")
    #expect(difference(text: text.listing, batch: batch.listing) == nil, "\(name): late listing")
    #expect(late.allSatisfy { batch.dump.contains("device \($0.device)") }, "\(name): devices")
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
