import Diagnostics
import Foundation
import NFTables
import PolicyChecker
import PolicyModel
import PolicySamples
import Ruleset
import Testing

/// One rule written twice by hand: in the language, and for stock nft.
///
/// Where the language's meaning takes several kernel rules, so does the other side; a generated chain is called
/// `CHAIN` there, and its rules are `chain`.
struct StockPair: Sendable {
  var rule: String
  var nft: [String]
  var chain: [String]

  init(_ rule: String, _ nft: String..., chain: [String] = []) {
    self.rule = rule
    self.nft = nft
    self.chain = chain
  }
}

/// Pairs that share a base chain.
struct StockGroup: Sendable {
  var hook: String
  var priority: String?
  /// What nft says about the chain, up to the priority.
  var type = "filter"
  var pairs: [StockPair]
}

/// The kernel programs of our rules are those that stock nft makes of the same rule.
///
/// Sets are compared by what they hold: an interval set of ours has a name, where stock nft's may be anonymous,
/// so that it is loaded before the rules (`IntervalSets`).
@Suite(.enabled(if: Namespace.isRequested, "needs root; set LOCKDOWN_KERNEL_TESTS=1"))
struct StockPairTests {
  @Test func thereAreEnough() {
    // Docs and the issue promise 250.
    #expect(StockPair.groups.map(\.pairs.count).reduce(0, +) >= 250)
  }

  @Test(arguments: StockPair.groups.indices)
  func ourProgramsAreThoseOfStockNFT(index: Int) throws {
    let group = StockPair.groups[index]
    let ruleset = Lowering.lower(try policy(of: group), digest: [UInt8](repeating: 0xab, count: 32))
    let table = try #require(ruleset.tables.first)
    let base = try #require(table.chains.first)
    let batch = try RouteTests.load(
      messages: BatchEncoder.encode(ruleset, sourceIndex: { _ in 1 }).map(\.bytes))
    let ours = Self.rules(in: batch.dump)

    var text = ["table inet lockdown {", StockPair.sets, "}"]
    var generated: [String] = []
    var rules: [String] = []
    var chainNames: [String?] = []
    for (number, pair) in group.pairs.enumerated() {
      let name = Self.generatedChain(of: "\(group.hook)/r\(number)", in: base)
      chainNames.append(name)
      #expect((name == nil) == pair.chain.isEmpty, "\(pair.rule): \(name ?? "no chain")")
      let written = name ?? "none"
      if name != nil { generated += ["chain \(written) {"] + pair.chain + ["}"] }
      rules += pair.nft.map { $0.replacing("CHAIN", with: written) }
    }
    let priority = base.base?.priority ?? 0
    text += ["table inet lockdown {"] + generated
    text += [
      "chain \(base.name) { type \(group.type) hook \(group.hook) priority \(priority); policy accept;"
    ]
    text += rules + ["}", "}"]
    let stock = Self.rules(in: try RouteTests.load(text: text.map { $0 + "\n" }.joined()).dump)

    var next = 0
    for (number, pair) in group.pairs.enumerated() {
      let count = base.rules.count { $0.id == "\(group.hook)/r\(number)" }
      let mine = (ours[base.name] ?? []).dropFirst(next).prefix(count).joined()
      let theirs = (stock[base.name] ?? []).dropFirst(next).prefix(pair.nft.count).joined()
      #expect(mine == theirs, "\(pair.rule)")
      next += count
      // One that is off would shift all that follow.
      try #require(count == pair.nft.count, "\(pair.rule)")
      if let name = chainNames[number] {
        #expect((ours[name] ?? []).joined() == (stock[name] ?? []).joined(), "\(pair.rule), its chain")
      }
    }
  }

  private func policy(of group: StockGroup) throws -> HostPolicy {
    var lines = ["policy: pairs", "language: 1", "target: { kernel: \"6.1\" }", "define:"]
    lines += StockPair.definitions.map { "  " + $0 }
    lines += ["firewall:", "  \(group.hook):", "    policy: accept"]
    if let priority = group.priority { lines.append("    priority: \(priority)") }
    lines.append("    rules:")
    for (number, pair) in group.pairs.enumerated() {
      lines.append("      - r\(number): '\(pair.rule.replacing("'", with: "''"))'")
    }
    var sources = SourceFiles()
    let file = sources.add(path: "pairs.cos", bytes: Array(lines.joined(separator: "\n").utf8))
    var diagnostics = DiagnosticList()
    let policy = PolicyChecker.check(
      file, in: &sources, reader: FolderReader(URL(fileURLWithPath: "/")), diagnostics: &diagnostics)
    return try #require(policy, "\(diagnostics.all.filter { $0.severity == .error })")
  }

  private static func generatedChain(of id: String, in base: Chain) -> String? {
    for rule in base.rules where rule.id == id {
      if case .verdict(.jump(let name))? = rule.statements.last { return name }
    }
    return nil
  }

  /// The expressions of each rule, by chain; a look-up with what its set holds, or with how it is filled.
  private static func rules(in dump: String) -> [String: [String]] {
    var rules: [String: [String]] = [:]
    var chain = ""
    /// Key type and elements, by name.
    var named: [String: String] = [:]
    var anonymous: [String: String] = [:]
    var openSet: (name: String, isNamed: Bool)?
    for line in dump.split(separator: "\n") {
      let words = line.split(separator: " ")
      let depth = line.prefix { $0 == " " }.count
      if depth == 2 || depth == 6, words[0] == "set" {
        // `set NAME TYPE length N flags …`
        let name = String(words[1])
        openSet = (name, depth == 2)
        // Those of the same type that are filled while they are there differ in size and times only.
        let isFilled = words.contains { ["0x10", "0x20", "0x30"].contains($0) }
        let end = isFilled ? words.endIndex : words.firstIndex(of: "flags") ?? words.endIndex
        let head = words[2..<end].joined(separator: " ")
        if depth == 2 { named[name] = head } else { anonymous[name] = head }
      } else if let set = openSet, depth == (set.isNamed ? 4 : 8) {
        if set.isNamed { named[set.name]? += " \(words[0])" } else { anonymous[set.name]? += " \(words[0])" }
      } else if line.hasPrefix("  chain ") {
        openSet = nil
        chain = String(words[1])
      } else if line.hasPrefix("    rule") {
        openSet = nil
        anonymous = [:]
        rules[chain, default: []].append("")
      } else if depth == 6, let count = rules[chain]?.count {
        openSet = nil
        var text = String(line)
        if words[0] == "lookup", let reference = words.last {
          let content =
            reference.first == "@" ? named[String(reference.dropFirst())] : anonymous[String(reference)]
          text = words.dropLast().joined(separator: " ") + " { \(content ?? "unknown") }"
        }
        if words[0] == "dynset" {
          let parts = words.map { $0.first == "@" ? named[String($0.dropFirst())] ?? "unknown" : String($0) }
          text = parts.joined(separator: " ")
        }
        rules[chain]?[count - 1] += text + "\n"
      }
    }
    return rules
  }
}
