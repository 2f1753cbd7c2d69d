import PolicyModel
import PolicySamples
import Ruleset
import Testing
import TextBackends

/// Stock nft as the judge of the nft text and of the expressions. Needs root: LOCKDOWN_KERNEL_TESTS=1.
@Suite("Lowering against stock nft", .enabled(if: StockNFT.isWanted))
struct LoweringKernelTests {
  /// What `nft --debug=netlink -f` says about a file: each rule's expressions, and the elements of each set.
  struct Sent: Equatable {
    var rules: [String] = []
    var sets: [[String]] = []
  }

  private static let digest = [UInt8](repeating: 0xab, count: 32)

  private static func ruleset(seed: UInt64, rules: Int, kernel: KernelVersion = KernelVersion(6, 1))
    -> Ruleset
  {
    var random = RandomPolicy(seed: seed)
    return Lowering.lower(random.policy(ruleCount: rules, kernel: kernel), digest: digest)
  }

  /// What our own expressions and sets are, in the same form.
  private static func expected(of ruleset: Ruleset) -> Sent {
    var sent = Sent()
    for table in ruleset.tables {
      for set in table.sets { sent.sets.append(["\(set.name ?? "")"] + NetlinkNotation.elements(set)) }
      for rule in table.chains.flatMap(\.rules) {
        for set in rule.anonymousSets { sent.sets.append(["__set%d"] + NetlinkNotation.elements(set)) }
        sent.rules.append(
          rule.expressions.map { NetlinkNotation.line($0, sets: rule.anonymousSets) }.joined(separator: "\n"))
      }
    }
    return sent
  }

  private static func parsed(_ output: String) -> Sent {
    var sent = Sent()
    var rule: [String] = []
    var setName: String?
    for line in output.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
      let trimmed = String(line.drop { $0 == " " || $0 == "\t" })
      if line.hasPrefix("  [ ") {
        rule.append(trimmed)
        continue
      }
      if !rule.isEmpty {
        sent.rules.append(rule.joined(separator: "\n"))
        rule = []
      }
      if line.hasPrefix("\telement "), let name = setName {
        sent.sets.append([name] + elements(trimmed))
      } else if let name = line.split(separator: " ").first, line.contains(" lockdown ") {
        setName = String(name)
      }
    }
    if !rule.isEmpty { sent.rules.append(rule.joined(separator: "\n")) }
    return sent
  }

  /// `element 0000000a  : 0 [end]	element 0000000b  : 1 [end]`, where 1 is the flag of a range's end.
  private static func elements(_ line: String) -> [String] {
    line.split(separator: "element ").map { item in
      let parts = item.split(separator: ":", maxSplits: 1)
      let key = parts[0].split(separator: " ").joined(separator: " ")
      let isEnd = parts.count > 1 && parts[1].hasPrefix(" 1 [end]")
      return (isEnd ? "+" : "") + key
    }.sorted()
  }

  @Test("nft makes of the text what the expressions say", arguments: 1...12 as ClosedRange<UInt64>)
  func sameProgram(seed: UInt64) throws {
    let ruleset = Self.ruleset(
      seed: seed, rules: 60, kernel: seed == 12 ? KernelVersion(5, 4) : KernelVersion(6, 1))
    let text = NFTText.print(ruleset)
    let result = try StockNFT.run("nft --debug=netlink -f a.nft", files: ["a.nft": text])
    #expect(result.status == 0, "\(result.output.suffix(2000))\n\(text)")
    let sent = Self.parsed(result.output)
    let expected = Self.expected(of: ruleset)
    #expect(sent.rules.count == expected.rules.count)
    for (index, (actual, wanted)) in zip(sent.rules, expected.rules).enumerated() where actual != wanted {
      Issue.record("rule \(index)\nnft:\n\(actual)\nours:\n\(wanted)")
    }
    #expect(sent.sets == expected.sets)
  }
}
