import PolicyModel

extension Meaning {
  /// Labels of the rules that some packet comes to and meets, in all base chains of a policy and in the chains they
  /// lead to. Packets come to each base chain as they may to the first one. Nil: nodes ran out.
  func rulesMet(_ policy: Int) -> Set<UInt32>? {
    let firewall = firewalls[policy]
    var reach = Reach(policy: policy, isPlain: isPlain(policy))
    for (index, chain) in firewall.baseChains.enumerated() {
      if diagram.isExhausted { return nil }
      chainInWork = index
      if !chain.isNAT, let duties = duties(policy, index) {
        for (rule, isMet) in zip(chain.rules, duties.isMet) where isMet { reach.met.insert(rule.label) }
        continue
      }
      var start = chain.hook.map { existing(at: $0) } ?? Diagram.isTrue
      if chain.isNAT {
        let isNew = diagram.condition(forms.new)
        start = diagram.and(start, isNew)
      }
      if !reach.isPlain { start = diagram.choose(start, Diagram.pass, Diagram.impossible) }
      visit(chain.rules, from: start, &reach)
    }
    return diagram.isExhausted ? nil : reach.met
  }

  /// Of one policy, while packets are taken to all its rules.
  private struct Reach {
    let policy: Int
    /// Whether no packet is changed on its way. Then what comes to a rule is a truth value; else it is `pass` with
    /// its alterations for what comes, and `impossible` for what does not.
    let isPlain: Bool
    var met: Set<UInt32> = []
  }

  /// The diagrams of a list of rules and of all its halves.
  private indirect enum Halves {
    case none
    case rule(CompiledFirewall.CompiledRule, Diagram.Reference)
    case both(Halves, Halves, Diagram.Reference)

    var decisions: Diagram.Reference {
      switch self {
      case .none: Diagram.pass
      case .rule(_, let decisions), .both(_, _, let decisions): decisions
      }
    }
  }

  private func halves(_ policy: Int, _ rules: ArraySlice<CompiledFirewall.CompiledRule>) -> Halves {
    guard rules.count > 1 else {
      return rules.first.map { .rule($0, decision(policy, $0)) } ?? .none
    }
    let middle = rules.startIndex + rules.count / 2
    let first = halves(policy, rules[..<middle])
    let second = halves(policy, rules[middle...])
    return .both(first, second, diagram.compose(first.decisions, second.decisions, .pass))
  }

  private func visit(
    _ rules: [CompiledFirewall.CompiledRule], from arriving: Diagram.Reference, _ reach: inout Reach
  ) {
    guard comes(arriving) else { return }
    if reach.isPlain {
      eachMet(reach.policy, rules, from: arriving) { rule, hit in
        reach.met.insert(rule.label)
        follow(rule, hit, &reach)
      }
      return
    }
    let halves = halves(reach.policy, rules[...])
    visit(halves, from: arriving, &reach)
  }

  /// The rules of a list that some packet comes to and meets, with those packets: truth values. Of plain policies.
  func eachMet(
    _ policy: Int, _ rules: [CompiledFirewall.CompiledRule], from arriving: Diagram.Reference,
    _ body: (CompiledFirewall.CompiledRule, Diagram.Reference) -> Void
  ) {
    var arriving = arriving
    for rule in rules {
      guard arriving != Diagram.isFalse, !diagram.isExhausted else { return }
      let condition = diagram.condition(rule.condition)
      let hit = diagram.and(arriving, condition)
      guard hit != Diagram.isFalse else { continue }
      body(rule, hit)
      let decision = self.hit(policy, rule)
      if !Diagram.isTerminal(decision) {
        let whole = diagram.choose(condition, decision, Diagram.pass)
        let passing = passing(whole, Diagram.isTrue, Diagram.isFalse)
        arriving = diagram.and(arriving, passing)
      } else if !Self.passes(diagram.outcomes, Diagram.outcome(decision)) {
        arriving = diagram.subtract(arriving, condition)
      }
    }
  }

  /// A half that nothing comes to is not looked into.
  private func visit(_ halves: Halves, from arriving: Diagram.Reference, _ reach: inout Reach) {
    guard comes(arriving), !diagram.isExhausted else { return }
    switch halves {
    case .none: break
    case .rule(let rule, _):
      let hit = meeting(rule.condition, arriving, reach)
      guard comes(hit) else { return }
      reach.met.insert(rule.label)
      follow(rule, hit, &reach)
    case .both(let first, let second, _):
      visit(first, from: arriving, &reach)
      let composed = diagram.compose(arriving, first.decisions, .pass)
      visit(second, from: onlyPassing(composed), &reach)
    }
  }

  /// What of the packets that come meets a guard.
  private func meeting(
    _ form: GuardForm, _ arriving: Diagram.Reference, _ reach: Reach, isNegated: Bool = false
  ) -> Diagram.Reference {
    var condition = diagram.condition(form)
    if isNegated { condition = diagram.not(condition) }
    if reach.isPlain { return diagram.and(arriving, condition) }
    let guarded = diagram.choose(condition, Diagram.pass, Diagram.impossible)
    return diagram.compose(arriving, guarded, .pass)
  }

  /// Into the chains that a rule leads to.
  private func follow(
    _ rule: CompiledFirewall.CompiledRule, _ hit: Diagram.Reference, _ reach: inout Reach
  ) {
    func enter(_ meaning: Meaning, _ verdict: Verdict, _ arriving: Diagram.Reference) {
      guard let name = verdict.target, let chain = meaning.firewalls[reach.policy].regularChains[name] else {
        return
      }
      var arriving = arriving
      if !rule.rule.changes.isEmpty {
        let changed = meaning.changed(rule.rule.changes, Diagram.pass)
        arriving = meaning.diagram.compose(arriving, changed, .pass)
      }
      meaning.visit(chain.rules, from: arriving, &reach)
    }
    guard case .dispatch(let map) = rule.rule.verdict else { return enter(self, rule.rule.verdict, hit) }
    var rest = hit
    for (entry, form) in zip(map.entries, rule.keys) {
      enter(self, entry.verdict, meeting(form, rest, reach))
      rest = meeting(form, rest, reach, isNegated: true)
    }
    enter(self, map.otherwise, rest)
  }

  private func passing(
    _ a: Diagram.Reference, _ yes: Diagram.Reference, _ no: Diagram.Reference
  ) -> Diagram.Reference {
    diagram.map(a, diagram.newOperation()) { table, number in
      Self.passes(table, number) ? Diagram.outcome(yes) : Diagram.outcome(no)
    }
  }

  /// What has been decided is all one.
  private func onlyPassing(_ a: Diagram.Reference) -> Diagram.Reference {
    var memo: [UInt32: UInt32] = [:]
    return diagram.map(a, diagram.newOperation()) { table, number in
      table.map(number, &memo) { _, outcome in
        outcome.kind == .pass ? outcome : OutcomeTable.Outcome(kind: .impossible)
      }
    }
  }

  static func passes(_ table: OutcomeTable, _ number: UInt32) -> Bool {
    let outcome = table[number]
    if outcome.kind == .branch { return passes(table, outcome.first) || passes(table, outcome.second) }
    return outcome.kind == .pass
  }

  /// Whether any packet comes: all else is one terminal.
  private func comes(_ arriving: Diagram.Reference) -> Bool {
    guard Diagram.isTerminal(arriving) else { return true }
    return arriving == Diagram.isTrue || Self.passes(diagram.outcomes, Diagram.outcome(arriving))
  }
}
