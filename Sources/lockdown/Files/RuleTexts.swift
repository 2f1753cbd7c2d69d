import Compiler
import Lift
import Ruleset

/// Where rules of a file stand that a stock program loads, and how they are written: what the kernel holds has neither.
enum RuleTexts {
  /// Of what iptables-save writes: each line appends a rule to its chain.
  static func ofSavedRules(_ bytes: [UInt8], isIPv6: Bool) -> [Lift.RulePlace: KernelRuleText] {
    var found: [Lift.RulePlace: KernelRuleText] = [:]
    var table = ""
    var counts: [String: Int] = [:]
    for (number, line) in lines(bytes).enumerated() {
      if line.hasPrefix("*") {
        table = String(line.dropFirst())
        counts = [:]
      }
      // Counters may stand before it.
      guard let start = line.firstRange(of: "-A "), line.hasPrefix("-A ") || line.hasPrefix("[") else {
        continue
      }
      let rule = String(line[start.lowerBound...])
      guard let chain = rule.dropFirst(3).split(separator: " ").first.map(String.init) else { continue }
      let place = Lift.RulePlace(
        family: isIPv6 ? .ipv6 : .ipv4, table: table, chain: chain, index: counts[chain, default: 0])
      counts[chain, default: 0] += 1
      found[place] = KernelRuleText(text: rule, line: number + 1)
    }
    return found
  }

  /// Of an nft file.
  ///
  /// - Parameter listing: what `nft -s list ruleset` prints of it.
  static func ofFile(_ bytes: [UInt8], listing: [UInt8]) -> [Lift.RulePlace: KernelRuleText] {
    let written = chains(bytes)
    var found: [Lift.RulePlace: KernelRuleText] = [:]
    for (chain, listed) in chains(listing) {
      let own = written[chain] ?? []
      var next = 0
      for (index, rule) in listed.enumerated() {
        var line: Int?
        if own.count == listed.count {
          line = own[index].line
        } else if let place = own[next...].firstIndex(where: { plain($0.text) == plain(rule.text) }) {
          // One line is not one rule everywhere.
          line = own[place].line
          next = place + 1
        }
        let place = Lift.RulePlace(
          family: chain.family, table: chain.table, chain: chain.name, index: index)
        found[place] = KernelRuleText(text: rule.text, line: line)
      }
    }
    return found
  }

  private struct Chain: Hashable {
    var family: TableFamily
    var table: String
    var name: String
  }

  /// The rules in the blocks of chains, a line each but for what is between braces.
  private static func chains(_ bytes: [UInt8]) -> [Chain: [(text: String, line: Int)]] {
    var found: [Chain: [(text: String, line: Int)]] = [:]
    var table: (family: TableFamily, name: String)?
    var chain: Chain?
    var open: (text: String, line: Int, depth: Int)?
    // Of sets and the like.
    var inside = 0
    for (number, raw) in lines(bytes).enumerated() {
      let line = trimmed(raw)
      let words = line.split(separator: " ").map(String.init)
      if let part = open {
        let text = part.text + " " + line
        let depth = part.depth + Self.depth(line)
        open = depth > 0 ? (text, part.line, depth) : nil
        if depth <= 0, let chain { found[chain, default: []].append((text, part.line)) }
      } else if chain == nil, table != nil, words.first != "chain", inside > 0 || Self.depth(line) > 0 {
        inside += Self.depth(line)
      } else if words.first == "table", line.hasSuffix("{") {
        table = name(words)
      } else if let table, words.first == "chain", words.count >= 3, words[2] == "{", Self.depth(line) == 1 {
        // What else the line says is of the chain.
        chain = Chain(family: table.family, table: table.name, name: words[1])
        if let chain, found[chain] == nil { found[chain] = [] }
      } else if line == "}" {
        if chain == nil { table = nil }
        chain = nil
      } else if let known = chain, !line.isEmpty, !line.hasPrefix("#"),
        !["type", "policy", "comment"].contains(words.first)
      {
        let text = line.hasSuffix(";") ? trimmed(String(line.dropLast())) : line
        let depth = Self.depth(line)
        if depth > 0 {
          open = (text, number + 1, depth)
        } else {
          found[known, default: []].append((text, number + 1))
        }
      }
    }
    return found
  }

  /// `table [FAMILY] NAME {`; without a family it is ip's.
  private static func name(_ words: [String]) -> (family: TableFamily, name: String)? {
    let families: [String: TableFamily] = ["inet": .inet, "ip": .ipv4, "ip6": .ipv6]
    if words.count == 3 { return (.ipv4, words[1]) }
    guard words.count >= 4, let family = families[words[1]] else { return nil }
    return (family, words[2])
  }

  private static func depth(_ line: String) -> Int {
    line.utf8.reduce(0) { $0 + ($1 == UInt8(ascii: "{") ? 1 : $1 == UInt8(ascii: "}") ? -1 : 0) }
  }

  /// As it may be compared: nft sets spaces and quotes otherwise than people.
  private static func plain(_ text: String) -> String {
    text.filter { $0 != " " && $0 != "\"" && $0 != ";" }
  }

  private static func trimmed(_ text: String) -> String {
    let blank: Set<Character> = [" ", "\t", "\r"]
    let start = text.drop { blank.contains($0) }
    return String(start.reversed().drop { blank.contains($0) }.reversed())
  }

  private static func lines(_ bytes: [UInt8]) -> [String] {
    bytes.split(separator: 0x0a, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
  }
}
