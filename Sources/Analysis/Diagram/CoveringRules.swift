import PolicyModel

/// Which rules of a policy decide what another one asks for, before it in its own chain.
struct CoveringRules {
  private let meaning: Meaning
  private let chains: [CompiledFirewall.Chain]
  /// By label, the first place of a rule.
  private var places: [UInt32: (chain: Int, rule: Int)] = [:]
  /// By chain, made when it is first asked for.
  private var bounds: [ClassBounds?]

  init(_ meaning: Meaning, _ policy: Int) {
    self.meaning = meaning
    let firewall = meaning.firewalls[policy]
    chains = firewall.baseChains + firewall.regularChains.sorted { $0.key < $1.key }.map(\.value)
    bounds = Array(repeating: nil, count: chains.count)
    for (chain, rules) in chains.map(\.rules).enumerated() {
      for (rule, compiled) in rules.enumerated() where places[compiled.label] == nil {
        places[compiled.label] = (chain, rule)
      }
    }
  }

  /// Those that together decide all packets of its guard, each needed; nil: others do.
  mutating func of(_ label: UInt32) -> [UInt32]? {
    guard let place = places[label] else { return nil }
    let rules = chains[place.chain].rules
    let bounds = bounds[place.chain] ?? ClassBounds(of: rules, meaning.diagram)
    self.bounds[place.chain] = bounds
    let guarded = meaning.condition(of: rules[place.rule])
    var rest = guarded
    guard rest != Diagram.isFalse else { return nil }
    var covering: [(label: UInt32, condition: Diagram.Reference)] = []
    for index in 0..<place.rule where bounds.mayMeet(index, place.rule) {
      let rule = rules[index]
      guard !rule.rule.isLimiting, Meaning.end(of: rule.rule.verdict) != nil else { continue }
      let condition = meaning.condition(of: rule)
      let left = meaning.diagram.subtract(rest, condition)
      if left != rest { covering.append((rule.label, condition)) }
      rest = left
      if rest == Diagram.isFalse { break }
    }
    guard rest == Diagram.isFalse else { return nil }
    return needed(covering, guarded)
  }

  /// Later ones may have made an earlier one needless.
  private func needed(
    _ covering: [(label: UInt32, condition: Diagram.Reference)], _ guarded: Diagram.Reference
  ) -> [UInt32] {
    // What those behind each of them meet together.
    var behind = [Diagram.isFalse]
    for cover in covering.reversed() {
      behind.append(meaning.diagram.or(behind[behind.count - 1], cover.condition))
    }
    var result: [UInt32] = []
    var kept = Diagram.isFalse
    for (index, cover) in covering.enumerated() {
      let others = meaning.diagram.or(kept, behind[covering.count - 1 - index])
      guard meaning.diagram.subtract(guarded, others) != Diagram.isFalse else { continue }
      result.append(cover.label)
      kept = meaning.diagram.or(kept, cover.condition)
    }
    return result
  }
}

/// Between which classes of a few fields the guards of a chain's rules lie: most of two rules meet no packet in common,
/// and that is seen here at once.
private struct ClassBounds {
  private let fieldCount: Int
  /// Rule by rule, of each field.
  private var runs: [ClassRun] = []

  /// Those with the most classes tell the most rules apart.
  private static let mostFields = 4

  init(of rules: [CompiledFirewall.CompiledRule], _ diagram: borrowing Diagram) {
    var asked: [[Int: [ClassRun]]] = []
    for rule in rules {
      var classes: [Int: [ClassRun]] = [:]
      diagram.classes(of: rule.condition, &classes)
      asked.append(classes)
    }
    let fields = Set(asked.lazy.flatMap(\.keys))
      .sorted { (diagram.layout.classCount[$0], $1) > (diagram.layout.classCount[$1], $0) }
      .prefix(Self.mostFields)
    fieldCount = fields.count
    runs.reserveCapacity(rules.count * fieldCount)
    for classes in asked {
      for field in fields {
        guard let own = classes[field] else {
          runs.append(ClassRun(first: 0, last: .max))
          continue
        }
        // Where nothing is asked for that there is, nothing is met.
        runs.append(ClassRun(first: own.first?.first ?? 1, last: own.last?.last ?? 0))
      }
    }
  }

  func mayMeet(_ rule: Int, _ other: Int) -> Bool {
    for field in 0..<fieldCount {
      let (a, b) = (runs[rule * fieldCount + field], runs[other * fieldCount + field])
      if max(a.first, b.first) > min(a.last, b.last) { return false }
    }
    return true
  }
}
