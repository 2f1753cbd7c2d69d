import PolicyModel

extension Meaning {
  /// Whether no rule of a policy changes packets, so that what comes to a rule is a set of packets as they come.
  func isPlain(_ policy: Int) -> Bool {
    let firewall = firewalls[policy]
    let all = firewall.baseChains.flatMap(\.rules) + firewall.regularChains.values.flatMap(\.rules)
    return all.allSatisfy { $0.rule.changes.isEmpty && $0.rule.verdict != .notrack }
  }

  /// By label, the packets that come to each rule of a base chain and meet it: truth values. Of plain policies.
  func packetsMet(_ policy: Int, _ chain: Int) -> [UInt32: Diagram.Reference] {
    var result: [UInt32: Diagram.Reference] = [:]
    let base = firewalls[policy].baseChains[chain]
    let arriving = base.hook.map { existing(at: $0) } ?? Diagram.isTrue
    eachMet(policy, base.rules, from: arriving) { rule, hit in
      result[rule.label] = hit
    }
    return result
  }

  /// What the end of a base chain decides.
  func end(_ policy: Int, _ chain: Int) -> Diagram.Reference {
    let kind: OutcomeTable.Kind =
      switch firewalls[policy].baseChains[chain].policy {
      case .drop: .drop
      case .reject: .reject
      default: .accept
      }
    return diagram.terminal(OutcomeTable.Outcome(kind: kind))
  }

  /// Whether a rule decides the packets that meet it as what stands behind it would.
  ///
  /// - Parameters:
  ///   - packets: that come to it and meet it, at least one.
  ///   - rest: what the rules behind it decide, with labels; where one may be there or not, either.
  ///   - isSilent: whether a rule may be left out, and may decide in place of another.
  func isRedundant(
    _ rule: Rule, _ packets: Diagram.Reference, before rest: Diagram.Reference, _ isSilent: (Rule) -> Bool
  ) -> Bool {
    guard isSilent(rule), let own = Self.end(of: rule.verdict) else { return false }
    let (table, rules) = (diagram.outcomes, rules)
    func isOther(_ number: UInt32) -> Bool {
      let outcome = table[number]
      switch outcome.kind {
      case .impossible: return false
      case .branch where outcome.detail == Oracle.unknown:
        return isOther(outcome.first) || isOther(outcome.second)
      case own.kind where outcome.kind != .reject || outcome.detail == own.detail:
        return outcome.first != OutcomeTable.unlabelled && !isSilent(rules[Int(outcome.first)])
      default: return true
      }
    }
    return !diagram.leads(rest, from: packets, to: isOther)
  }

  static func end(of verdict: Verdict) -> OutcomeTable.Outcome? {
    switch verdict {
    case .accept: OutcomeTable.Outcome(kind: .accept)
    case .drop: OutcomeTable.Outcome(kind: .drop)
    case .reject(let kind): OutcomeTable.Outcome(kind: .reject, detail: number(of: kind))
    default: nil
    }
  }

  func condition(of rule: CompiledFirewall.CompiledRule) -> Diagram.Reference {
    if let known = conditions[rule.label] { return known }
    let condition = diagram.condition(rule.condition)
    conditions[rule.label] = condition
    return condition
  }
}
