package import Diagnostics
package import PolicyModel

/// Rules that do nothing, where a policy stands for itself. Where it extends another, such a rule is an error.
package enum Lint {
  /// Warnings about the rules of the policy's own file.
  ///
  /// - Parameters:
  ///   - sources: of the policy.
  ///   - budget: of nodes.
  package static func check(
    _ policy: HostPolicy, in sources: SourceFiles, budget: Int? = nil
  ) -> [Diagnostic] {
    guard let firewall = policy.firewall, policy.ancestors.isEmpty else { return [] }
    return Attempt.first(budget: budget ?? Diagram.defaultBudget) { attempt in
      let meanings = [Families.ipv4, .ipv6].map {
        Meaning($0, [firewall], regions: regions(firewall.span), isLabelled: true, attempt: attempt)
      }
      let findings = check(policy, firewall, meanings, sources)
      return (findings, meanings.contains { $0.diagram.isExhausted })
    }
  }

  private static func check(
    _ policy: HostPolicy, _ firewall: Firewall, _ meanings: [Meaning], _ sources: SourceFiles
  ) -> [Diagnostic] {
    var met: Set<String> = []
    for meaning in meanings {
      guard let labels = meaning.rulesMet(0) else {
        return firewall.baseChains[meaning.chainInWork...].filter { !$0.rules.isEmpty }.map(untold)
      }
      for label in labels { met.insert(meaning.rules[Int(label)].id) }
    }
    let redundant = redundantRules(meanings, met)
    let entered = entered(firewall)
    let labels = meanings.map { meaning in
      Dictionary(meaning.rules.enumerated().dropFirst().map { ($1.id, UInt32($0)) }) { first, _ in first }
    }
    var covering = meanings.map { CoveringRules($0, 0) }
    var findings: [Diagnostic] = []
    // Of an item that stands for several rules, one is enough.
    var items: Set<String> = []
    for rule in firewall.rules where met.contains(rule.id) {
      if case .expanded(let item) = rule.origin { items.insert(item) }
    }
    for rule in entered where rule.isEnabled && rule.span.source == policy.span.source {
      if case .closing = rule.origin { continue }
      if case .expanded(let item) = rule.origin, items.contains(item) { continue }
      if !met.contains(rule.id) {
        findings.append(shadowed(rule, meanings, labels, &covering, sources))
      } else if rule.verdict == .continue, rule.changes.isEmpty, isSilent(rule) {
        findings.append(idle(rule, sources))
      } else if redundant.contains(rule.id) {
        findings.append(needless(rule, sources))
      }
    }
    return findings + conflictFindings(policy, meanings, sources)
  }

  private static func idle(_ rule: Rule, _ sources: SourceFiles) -> Diagnostic {
    Diagnostic(
      .lintRedundant, .warning, at: rule.span,
      "`\(rule.text)` does nothing: `continue` decides nothing, and no clause is there that acts",
      help: ["write the verdict that is meant, or what it is to do: `count`, `log`, `set mark 1`"],
      fixIts: removal(of: rule, sources))
  }

  private static func needless(_ rule: Rule, _ sources: SourceFiles) -> Diagnostic {
    // What else becomes of packets: those that the rule's limit does not let by are where the others are.
    let message =
      rule.isLimiting
      ? "the limit of `\(rule.text)` has no effect: what stands behind it decides the others alike"
      : "without `\(rule.text)` every packet meets the same: what stands behind it decides alike"
    return Diagnostic(
      .lintRedundant, .warning, at: rule.span, message,
      help: ["take it out, or say by `log` or `count` what it is for"], fixIts: removal(of: rule, sources))
  }

  /// Of an item that stands for several rules, a finding is about all of them.
  private static func removal(of rule: Rule, _ sources: SourceFiles) -> [FixIt] {
    ItemLines.removal(of: rule.span, in: sources[rule.span.source]).map { [$0] } ?? []
  }

  private static func untold(_ chain: BaseChain) -> Diagnostic {
    Diagnostic(
      .lintUntold, .note, at: chain.span,
      "which of the \(chain.rules.count) rules of `\(chain.place)` do nothing or conflict was not told",
      help: [
        "their fields overlap in too many ways: the diagram of what they do has more nodes than are allowed"
      ])
  }

  /// The rules but for those of chains that no rule leads to: of such a chain the checker warns.
  private static func entered(_ firewall: Firewall) -> [Rule] {
    let chains = Dictionary(firewall.regularChains.map { ($0.name, $0.rules) }) { first, _ in first }
    var seen: Set<String> = []
    var rules = firewall.baseChains.flatMap(\.rules)
    var waiting = rules.filter(\.isEnabled).flatMap(\.verdict.targets)
    while let name = waiting.popLast() {
      guard seen.insert(name).inserted else { continue }
      waiting += chains[name, default: []].filter(\.isEnabled).flatMap(\.verdict.targets)
    }
    for chain in firewall.regularChains where seen.contains(chain.name) { rules += chain.rules }
    return rules
  }

  /// Ids of rules of base chains without which every packet meets the same, whichever of the others that are found, and of
  /// those that nothing comes to, are taken out with them.
  static func redundantRules(_ meanings: [Meaning], _ met: Set<String>) -> Set<String> {
    guard let first = meanings.first, meanings.allSatisfy({ $0.isPlain(0) }) else { return [] }
    var found: Set<String> = []
    for chain in first.firewalls[0].baseChains.indices where !first.firewalls[0].baseChains[chain].isNAT {
      let duties = meanings.compactMap { $0.duties(0, chain) }
      if duties.count == meanings.count {
        let rules = meanings.map { $0.firewalls[0].baseChains[chain].rules }
        found.formUnion(redundantRules(rules, duties, met))
        continue
      }
      // Labels are the same in both families; a rule of one family is not in the other's list.
      let packets = meanings.map { $0.packetsMet(0, chain) }
      var rests = meanings.map { $0.end(0, chain) }
      let rules = meanings.map { meaning in
        Dictionary(meaning.firewalls[0].baseChains[chain].rules.map { ($0.label, $0) }) { first, _ in first }
      }
      let labels = Set(rules.flatMap(\.keys)).sorted(by: >)
      for label in labels {
        let rule = first.rules[Int(label)]
        var isRedundant = met.contains(rule.id)
        for (index, meaning) in meanings.enumerated() {
          guard let here = packets[index][label], here != Diagram.isFalse else { continue }
          isRedundant = isRedundant && meaning.isRedundant(rule, here, before: rests[index], isSilent)
        }
        // What is met in regular chains alone is not met here, and stays.
        let isMetHere = packets.contains { $0[label].map { $0 != Diagram.isFalse } ?? false }
        if isRedundant, isMetHere { found.insert(rule.id) }
        let mayGo = found.contains(rule.id) || !met.contains(rule.id)
        for (index, meaning) in meanings.enumerated() {
          guard let compiled = rules[index][label] else { continue }
          var decision = meaning.decision(0, compiled)
          if mayGo { decision = meaning.diagram.branch(Oracle.unknown, decision, Diagram.pass) }
          rests[index] = meaning.diagram.compose(decision, rests[index], .pass)
        }
      }
    }
    return meanings.contains { $0.diagram.isExhausted } ? [] : found
  }

  /// The same of one chain, in each family.
  private static func redundantRules(
    _ rules: [[CompiledFirewall.CompiledRule]], _ duties: [RuleDuties], _ met: Set<String>
  ) -> Set<String> {
    var duties = duties
    var found: Set<String> = []
    /// By family and rule: those that may be there or not.
    var isGone = rules.map { $0.map { !met.contains($0.rule.id) } }
    var next = rules.map { $0.count - 1 }
    // A rule of one family is not in the other's list.
    while let label = rules.indices.compactMap({ next[$0] < 0 ? nil : rules[$0][next[$0]].label }).max() {
      var places: [(family: Int, rule: Int)] = []
      for family in rules.indices where next[family] >= 0 && rules[family][next[family]].label == label {
        places.append((family, next[family]))
        next[family] -= 1
      }
      let meeting = places.filter { duties[$0.family].isMet[$0.rule] }
      guard let first = meeting.first,
        meeting.allSatisfy({ duties[$0.family].isReplaced($0.rule, isGone[$0.family]) })
      else { continue }
      found.insert(rules[first.family][first.rule].rule.id)
      for place in places { isGone[place.family][place.rule] = true }
    }
    return found
  }

  /// Whether nobody is told that packets met a rule.
  static func isSilent(_ rule: Rule) -> Bool { rule.log == nil && rule.counter == nil }

  private static func shadowed(
    _ rule: Rule, _ meanings: [Meaning], _ labels: [[String: UInt32]], _ covering: inout [CoveringRules],
    _ sources: SourceFiles
  ) -> Diagnostic {
    var related: [Diagnostic.Label] = []
    var seen: Set<String> = []
    for (index, meaning) in meanings.enumerated() {
      guard let label = labels[index][rule.id], let covers = covering[index].of(label) else { continue }
      for cover in covers where seen.insert(meaning.rules[Int(cover)].id).inserted {
        let other = meaning.rules[Int(cover)]
        related.append(Diagnostic.Label(other.span, "`\(other.id)` decides here"))
      }
    }
    // What is before it in its own chain is not all: whoever leads here may send other packets.
    let reason =
      rule.neverMatches
      ? "none is what it asks for"
      : related.isEmpty
        ? "what leads to its chain and stands before it leaves none" : "rules before it decide all"
    return Diagnostic(
      .lintShadowed, .warning, at: rule.span, "no packet comes to `\(rule.text)`: \(reason)",
      related: Array(related.prefix(6)),
      help: [
        related.isEmpty ? "take it out, or ask for other packets" : "put it before them, or take it out"
      ],
      fixIts: removal(of: rule, sources))
  }
}
