import PolicyModel

/// What is open.
extension Prover {
  mutating func listOpenings() {
    for hook in Self.openings {
      guard firewall.baseChains.contains(where: { $0.hook == hook && !$0.isNAT }) else {
        summary.openings.append(
          ProofSummary.Opening(
            hook: hook, ruleID: nil, text: "everything: no chain of this policy is there", isLimited: false))
        continue
      }
      guard let open = openingRules(at: hook) else {
        summary.openings.append(
          ProofSummary.Opening(
            hook: hook, ruleID: nil, text: "could not tell: too many regions", isLimited: false))
        continue
      }
      for label in open.indices.dropFirst() where open[label] != .no {
        let rule = ipv4.rules[label]
        summary.openings.append(
          ProofSummary.Opening(
            hook: hook, ruleID: rule.id, text: Self.what(of: rule),
            isLimited: open[label] == .limited))
      }
      if open[0] != .no {
        summary.openings.append(
          ProofSummary.Opening(hook: hook, ruleID: nil, text: "everything else", isLimited: false))
      }
    }
  }

  private enum Opening: UInt8 {
    case no
    /// Up to a limit only.
    case limited
    case free
  }

  /// By label, whether the rule accepts new packets. Nil: could not tell.
  private mutating func openingRules(at hook: Hook) -> [Opening]? {
    let region = Self.everything(at: hook, policy.span)
    guard let index = regions[Self.key(.stated, region)],
      !KernelChanges.isUnknown(boxes[index], hook, of: policy.firewall)
    else { return nil }
    var open = [Opening](repeating: .no, count: max(ipv4.rules.count, 1))
    for meaning in [ipv4, ipv6] {
      guard let numbers = outcomes(of: index, at: hook, meaning) else { return nil }
      let table = meaning.diagram.outcomes
      for number in numbers {
        let acceptances = table.acceptances(number)
        guard !acceptances.isSubset(of: .never) else { continue }
        if acceptances == .always {
          // Behind the limiters stands the rule that accepts the rest.
          open[Int(table.deciding(number, isAccepted: true) ?? 0)] = .free
        } else {
          for label in table.accepting(number) where open[Int(label)] == .no { open[Int(label)] = .limited }
        }
      }
    }
    return open
  }

  /// All outcomes that packets of a region come to at the end of a hook; nil: nodes ran out.
  private mutating func outcomes(of region: Int, at hook: Hook, _ meaning: Meaning) -> [UInt32]? {
    // As packets come to the rules, of whatever translation: a way back at its end decides nothing.
    let whole = firewall.pathToEnd(of: hook)
    let steps = whole.compactMap { step -> Meaning.Step? in
      let chains = step.chains.filter { !firewall.baseChains[$0].isNAT }
      return chains.count > 1 ? .together(chains) : chains.first.map { .chain($0) }
    }
    let possible = meaning.existing(at: hook)
    if steps.count == 1, possible == Diagram.isTrue,
      let outcomes = meaning.outcomes(0, steps[0], of: region)
    {
      return outcomes
    }
    let path =
      steps == whole ? path(of: meaning, at: hook, isWhole: false) : meaning.path(0, steps, at: hook)
    let packets = meaning.diagram.and(meaning.region(region), possible)
    let outcomes = meaning.diagram.choose(packets, path, Diagram.impossible)
    if meaning.diagram.isExhausted { return nil }
    return meaning.diagram.terminals(outcomes).map { Diagram.outcome($0) }
  }

  /// What a rule accepts, without its verdict.
  private static func what(of rule: Rule) -> String {
    if rule.origin == .closing { return "everything else" }
    let text = rule.text
    guard !rule.matches.isEmpty || rule.families != .both, let space = text.utf8.firstIndex(of: 0x20) else {
      return "everything"
    }
    return String(text[text.utf8.index(after: space)...])
  }
}
