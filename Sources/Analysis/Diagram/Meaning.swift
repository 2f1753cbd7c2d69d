import PolicyModel

/// What firewalls do with packets of one family: their chains as diagrams over common classes.
final class Meaning {
  /// A limiter, as one policy asks it.
  struct Limiter {
    var policy: Int
    var rule: Rule
    /// That of the other policy, where both are one.
    var other: Rule?

    func rule(of policy: Int) -> Rule? { policy == self.policy ? rule : other }
  }

  var diagram: Diagram
  /// By label; label 0 is none.
  let rules: [Rule]
  /// Of rules that cannot be read, by their programs: the first label.
  private(set) var unreadPrograms: [String: UInt32] = [:]
  /// By oracle; oracle 0 is the unknown.
  private(set) var limiters: [Limiter?] = [nil]
  let firewalls: [CompiledFirewall]
  let forms: KernelForms
  let regions: [GuardForm]
  /// Whether leaves say which rule decides. It takes more nodes.
  private(set) var isLabelled: Bool
  /// Rules that meet nothing of it are left out; nil: none is.
  private var scope: Diagram.Reference?
  /// By field, classes outside of which no packet of the scope is; a field that is not there may be any.
  private var scopeClasses: [Int: [ClassRun]] = [:]
  /// Which limiters of two policies are one; nil: each is that of its rule.
  let limiterPairs: LimiterPairs?
  /// What is asked for in place of what becomes of packets; nil: nothing is.
  private(set) var sideEffect: SideEffect?
  private var oracles: [LimiterPairs.Key: UInt32] = [:]
  /// The base chain that `rulesMet` was at last in: where nodes run out, the first whose rules are not told.
  var chainInWork = 0
  /// By label, where a guard is asked for again and again.
  var conditions: [UInt32: Diagram.Reference] = [:]
  var knownDuties: [ChainPlace: RuleDuties?] = [:]
  private var chains: [ChainKey: Diagram.Reference] = [:]
  /// What fields say of each other, and the hooks that no fragment comes to.
  let stateForms: [GuardForm]
  let spellingForms: [GuardForm]
  let wholeHooks: Set<Hook>
  var knownPossible: [Hook: Diagram.Reference] = [:]
  var knownExisting: [Hook: Diagram.Reference] = [:]
  /// Whether a regular chain asks for what packets of a hook lack that leads to it: then a rule may meet others than its
  /// guard names.
  private(set) lazy var asksElsewise = firewalls.contains(where: Self.asksElsewise)
  private var tracked: (untracked: Diagram.Reference, new: Diagram.Reference, known: Diagram.Reference)?

  /// A base chain of a policy.
  struct ChainPlace: Hashable {
    var policy: Int
    var chain: Int
  }

  private struct ChainKey: Hashable {
    var policy: Int
    var name: String
  }

  /// - Parameters:
  ///   - regions: All that will be asked about, as boxes; asked for by their place in this list.
  init(
    _ family: Families, _ firewalls: [Firewall?], regions: [[PacketBox]], isLabelled: Bool,
    comparesLimiters: Bool = false, attempt: Attempt = Attempt()
  ) {
    var compiler = GuardCompiler(family)
    // Label 0 stands for a chain's policy.
    var rules: [Rule] = []
    if let first = firewalls.lazy.compactMap({ $0?.firstRule }).first { rules.append(first) }
    var compiled: [CompiledFirewall] = []
    for (policy, firewall) in firewalls.enumerated() {
      compiler.policy = policy
      compiled.append(compiler.compile(firewall, &rules))
    }
    self.firewalls = compiled
    self.rules = rules
    unreadPrograms = Self.unreadPrograms(rules, firewalls)
    forms = compiler.kernelForms()
    self.regions = regions.map { compiler.form($0) }
    stateForms = compiler.stateForms()
    spellingForms = compiler.spellingForms()
    wholeHooks = Set(
      Hook.allCases.filter { hook in
        firewalls.allSatisfy { $0?.meetsWhole(hook, family) ?? (hook == .input && family == .ipv4) }
      })
    self.isLabelled = isLabelled
    limiterPairs = comparesLimiters ? LimiterPairs(firewalls, family) : nil
    let isOverfull = compiler.isOverfull
    var atoms = compiler.finished()
    atoms.finish()
    let ruleCount = compiled.reduce(0) { sum, firewall in
      sum + firewall.baseChains.reduce(0) { $0 + $1.rules.count }
        + firewall.regularChains.values.reduce(0) { $0 + $1.rules.count }
    }
    let order = attempt.order(for: atoms)
    diagram = Diagram(atoms, order: order, budget: isOverfull ? 0 : attempt.budget, ruleCount: ruleCount)
  }

  var family: Families { diagram.atoms.family }

  /// From now on the way of packets ends where a rule has a side effect; nil: where one decides.
  func ask(for sideEffect: SideEffect?) {
    self.sideEffect = sideEffect
    chains = [:]
  }

  /// From now on leaves say which rule decides, and what is outside of a region may be anything.
  ///
  /// - Parameter scope: truth values of packets as they come.
  func label(within scope: Diagram.Reference) {
    isLabelled = true
    // What rules change is not what came, and a rule may meet what its guard does not name.
    let isChanging = rules.contains { rule in
      if case .translate = rule.verdict { return true }
      return !rule.changes.isEmpty
    }
    self.scope = isChanging || asksElsewise ? nil : scope
    chains = [:]
  }

  /// From now on what meets the guards of none of some rules may be anything. Of policies that change no packets.
  ///
  /// - Returns: the packets of those guards: truth values.
  func restrict(to labels: Set<UInt32>) -> Diagram.Reference {
    if asksElsewise { return Diagram.isTrue }
    var packets = Diagram.isFalse
    var classes: [Int: [ClassRun]]?
    for firewall in firewalls {
      let chains = firewall.baseChains + firewall.regularChains.sorted { $0.key < $1.key }.map(\.value)
      for chain in chains {
        for rule in chain.rules where labels.contains(rule.label) {
          let condition = diagram.condition(rule.condition)
          packets = diagram.or(packets, condition)
          var own: [Int: [ClassRun]] = [:]
          diagram.classes(of: rule.condition, &own)
          classes =
            classes.map { known in
              var both: [Int: [ClassRun]] = [:]
              for (field, runs) in known {
                if let other = own[field] { both[field] = ClassRun.union(runs, other) }
              }
              return both
            } ?? own
        }
      }
    }
    scope = packets
    scopeClasses = classes ?? [:]
    chains = [:]
    return packets
  }

  /// Whether a rule may meet packets of the scope.
  private func isInScope(_ form: GuardForm) -> Bool {
    guard let scope else { return true }
    guard scope != Diagram.isFalse, diagram.mayMeet(form, scopeClasses) else { return false }
    let condition = diagram.condition(form)
    return diagram.and(scope, condition) != Diagram.isFalse
  }

  func region(_ index: Int) -> Diagram.Reference { diagram.condition(regions[index]) }

  // MARK: Chains

  /// One base chain for itself; what it accepts goes on altered.
  func chain(_ policy: Int, _ step: Step) -> Diagram.Reference {
    let accept = diagram.terminal(OutcomeTable.Outcome(kind: .accept))
    switch step {
    case .translation(let hook): return translating(policy, hook, accept)
    case .together(let chains): return inAnyOrder(policy, chains, before: nil)
    case .chain(let index):
      let key = ChainKey(policy: policy, name: "\(index)")
      if let known = chains[key] { return known }
      let chain = firewalls[policy].baseChains[index]
      var result = decisions(policy, chain.rules, endedBy: chain.policy ?? .accept)
      // What a regular chain asks for is not known to be asked for here.
      if let hook = chain.hook, chain.rules.contains(where: { !$0.rule.verdict.targets.isEmpty }) {
        result = arrived(result, at: hook)
      }
      if chain.isNAT, let hook = chain.hook { result = translating(policy, hook, result) }
      if let delivered = chain.delivered {
        let isDelivered = diagram.condition(delivered)
        result = diagram.choose(isDelivered, result, accept)
      }
      chains[key] = result
      return result
    }
  }

  /// Of a nat chain: only packets that open a connection come to its rules. The others are accepted; those of known
  /// connections with whatever addresses their first packet has got.
  private func translating(
    _ policy: Int, _ hook: Hook, _ rules: Diagram.Reference
  ) -> Diagram.Reference {
    let isDestination = hook == .prerouting || hook == .output
    var alteration = PacketAlteration()
    let fields: [Int] =
      isDestination
      ? [
        PacketBox.Field.destinationPort.rawValue, PacketBox.Field.destinationAddress.rawValue,
        PacketBox.Field.destinationType.rawValue, DiagramField.output,
      ]
      : [PacketBox.Field.sourcePort, .sourceAddress, .sourceType].map(\.rawValue)
    alteration.written = fields.sorted().map { PacketAlteration.Written(field: $0, set: nil) }
    alteration.mayBeElsewhere = isDestination
    let number = diagram.outcomes.number(of: withMemberships(alteration))
    let known = diagram.terminal(OutcomeTable.Outcome(kind: .accept, detail: number))
    let accept = diagram.terminal(OutcomeTable.Outcome(kind: .accept))
    let states = states()
    var others = accept
    if let packets = translatedHere(policy, hook) {
      let condition = diagram.condition(packets)
      let isKnown = diagram.and(states.known, condition)
      others = diagram.choose(isKnown, known, accept)
    }
    return diagram.choose(states.new, rules, others)
  }

  /// Which packets of known connections may get other addresses in a hook; nil: none.
  ///
  /// A connection's source is changed in input and postrouting, its destination in prerouting and output, and of its
  /// replies the other way round (`nf_nat_packet`). So what a hook changes comes of the rules of that hook, or of the hook
  /// on the other side of this machine; replies that never leave it (on `lo`) pass all four.
  private func translatedHere(_ policy: Int, _ hook: Hook) -> GuardForm? {
    let (partners, local): (Set<Hook>, Set<Hook>) =
      switch hook {
      case .prerouting: ([.prerouting, .postrouting], [])
      case .postrouting: ([.prerouting, .postrouting], [.output])
      case .input: ([.input, .output], [])
      case .output: ([.input, .output], [.postrouting])
      case .ingress, .forward: ([], [])
      }
    if translates(policy, in: partners) { return .always }
    return translates(policy, in: local) ? forms.loopback : nil
  }

  /// A rule that no packet can meet translates none.
  private func translates(_ policy: Int, in hooks: Set<Hook>) -> Bool {
    firewalls[policy].translating(in: hooks).contains { rule in
      let condition = diagram.condition(rule.condition)
      return condition != Diagram.isFalse
    }
  }

  private func states() -> (
    untracked: Diagram.Reference, new: Diagram.Reference, known: Diagram.Reference
  ) {
    if let tracked { return tracked }
    let result = (
      diagram.condition(forms.untracked), diagram.condition(forms.new), diagram.condition(forms.known)
    )
    tracked = result
    return result
  }

  /// The outcomes that packets of a region come to at the end of one base chain, each once, where that needs no diagram:
  /// no rule leads to another chain or changes packets. Nil: it does, or there is a diagram already.
  func outcomes(_ policy: Int, _ step: Step, of region: Int) -> [UInt32]? {
    guard case .chain(let index) = step, chains[ChainKey(policy: policy, name: "\(index)")] == nil,
      scope == nil
    else { return nil }
    let chain = firewalls[policy].baseChains[index]
    guard !chain.isNAT, chain.delivered == nil else { return nil }
    var list = RuleListBuilder()
    // Packets of other regions are none.
    guard list.append(.not(regions[region]), Diagram.impossible, diagram) else { return nil }
    for rule in chain.rules {
      let hit = hit(policy, rule)
      guard Diagram.isTerminal(hit), !diagram.outcomes.returns(Diagram.outcome(hit)),
        !diagram.outcomes.passesAltered(Diagram.outcome(hit)), list.append(rule.condition, hit, diagram)
      else { return nil }
    }
    return list.outcomes(&diagram, otherwise: diagram.terminal(Self.end(chain.policy ?? .accept)))
  }

  /// What a chain's policy decides, at its end and behind `return`.
  private func ended(_ a: Diagram.Reference, by policy: ChainPolicy) -> Diagram.Reference {
    var memo: [UInt32: UInt32] = [:]
    return diagram.map(a, diagram.newOperation()) { table, number in
      table.map(number, &memo) { _, outcome in
        guard outcome.kind == .pass || outcome.kind == .returned else { return outcome }
        return Self.end(policy, alteration: outcome.detail)
      }
    }
  }

  private static func end(_ policy: ChainPolicy, alteration: UInt32 = 0) -> OutcomeTable.Outcome {
    switch policy {
    case .accept: OutcomeTable.Outcome(kind: .accept, detail: alteration)
    case .drop: OutcomeTable.Outcome(kind: .drop)
    case .reject: OutcomeTable.Outcome(kind: .reject)
    }
  }

  private func turned(
    _ a: Diagram.Reference, _ from: OutcomeTable.Kind, _ to: OutcomeTable.Kind
  ) -> Diagram.Reference {
    var memo: [UInt32: UInt32] = [:]
    return diagram.map(a, diagram.newOperation()) { table, number in
      table.map(number, &memo) { _, outcome in
        var outcome = outcome
        if outcome.kind == from { outcome.kind = to }
        return outcome
      }
    }
  }

  /// A regular chain: its end and `return` leave it.
  private func regular(_ policy: Int, _ name: String) -> Diagram.Reference {
    let key = ChainKey(policy: policy, name: "chain \(name)")
    if let known = chains[key] { return known }
    guard let chain = firewalls[policy].regularChains[name] else {
      // INVARIANT: the checker lets rules lead to chains that are there.
      return diagram.terminal(OutcomeTable.Outcome(kind: .returned))
    }
    var result = decisions(policy, chain.rules)
    if let policy = chain.policy {
      result = ended(result, by: policy)
    } else {
      result = turned(result, .pass, .returned)
    }
    chains[key] = result
    return result
  }

  /// Rules one behind the other: those that ask for sets of values only in one go, and with the others in between
  /// combined by halves. The parts stay small, and the order of combining does not matter.
  ///
  /// - Parameter policy: what a base chain decides at its end; nil: nothing, and what is left passes.
  private func decisions(
    _ policy: Int, _ rules: [CompiledFirewall.CompiledRule], endedBy end: ChainPolicy? = nil
  ) -> Diagram.Reference {
    var parts: [Diagram.Reference] = []
    var list = RuleListBuilder()
    var returns = false
    for rule in rules {
      guard isInScope(rule.condition) else { continue }
      let hit = hit(policy, rule)
      if Diagram.isTerminal(hit), diagram.outcomes.returns(Diagram.outcome(hit)) { returns = true }
      if Diagram.isTerminal(hit), !diagram.outcomes.passesAltered(Diagram.outcome(hit)),
        list.append(rule.condition, hit, diagram)
      {
        continue
      }
      if !list.isEmpty { parts.append(list.build(&diagram, otherwise: Diagram.pass)) }
      parts.append(decision(hit, rule.condition))
    }
    if parts.isEmpty, !returns {
      // All at once, its end too.
      let otherwise = end.map { diagram.terminal(Self.end($0)) } ?? Diagram.pass
      return list.build(&diagram, otherwise: otherwise)
    }
    if !list.isEmpty { parts.append(list.build(&diagram, otherwise: Diagram.pass)) }
    let result = composed(parts)
    return end.map { ended(result, by: $0) } ?? result
  }

  func composed(_ parts: [Diagram.Reference]) -> Diagram.Reference {
    guard !parts.isEmpty else { return Diagram.pass }
    var parts = parts
    while parts.count > 1 {
      var next: [Diagram.Reference] = []
      next.reserveCapacity((parts.count + 1) / 2)
      for index in stride(from: 0, to: parts.count, by: 2) {
        next.append(
          index + 1 < parts.count ? diagram.compose(parts[index], parts[index + 1], .pass) : parts[index])
      }
      parts = next
    }
    return parts[0]
  }

  // MARK: Rules

  /// What one rule decides, and `pass` where it does not.
  func decision(_ policy: Int, _ compiled: CompiledFirewall.CompiledRule) -> Diagram.Reference {
    decision(hit(policy, compiled), compiled.condition)
  }

  private func decision(_ hit: Diagram.Reference, _ form: GuardForm) -> Diagram.Reference {
    if Diagram.isTerminal(hit) { return diagram.guarded(form, hit, Diagram.pass) }
    let condition = diagram.condition(form)
    return diagram.choose(condition, hit, Diagram.pass)
  }

  /// What one rule decides about the packets that meet it.
  func hit(_ policy: Int, _ compiled: CompiledFirewall.CompiledRule) -> Diagram.Reference {
    let rule = compiled.rule
    if rule.unreadable != nil { return unreadable(compiled.label) }
    if let sideEffect, sideEffect.isDone(by: rule) {
      let effect = OutcomeTable.Outcome(
        kind: .effect, detail: sideEffect.number(of: rule),
        first: isLabelled ? compiled.label : OutcomeTable.unlabelled)
      return limited(policy, rule, diagram.terminal(effect))
    }
    if rule.onlyDecides {
      switch rule.verdict {
      case .dispatch, .translate, .notrack: break
      case let verdict: return decision(policy, verdict, compiled.label)
      }
    }
    var hit: Diagram.Reference
    switch rule.verdict {
    case .dispatch(let map): hit = dispatch(policy, compiled, map)
    case .translate: hit = translation(compiled)
    case .notrack: hit = diagram.choose(states().untracked, Diagram.pass, Diagram.impossible)
    default: hit = decision(policy, rule.verdict, compiled.label)
    }
    if !rule.changes.isEmpty { hit = changed(rule.changes, hit) }
    return limited(policy, rule, hit)
  }

  private func decision(_ policy: Int, _ verdict: Verdict, _ label: UInt32) -> Diagram.Reference {
    let label = isLabelled ? label : OutcomeTable.unlabelled
    switch verdict {
    case .accept: return diagram.terminal(OutcomeTable.Outcome(kind: .accept, first: label))
    case .drop: return diagram.terminal(OutcomeTable.Outcome(kind: .drop, first: label))
    case .reject(let kind):
      return diagram.terminal(
        OutcomeTable.Outcome(kind: .reject, detail: Self.number(of: kind), first: label))
    case .return: return diagram.terminal(OutcomeTable.Outcome(kind: .returned))
    case .jump(let name):
      let chain = regular(policy, name)
      return turned(chain, .returned, .pass)
    case .goto(let name): return regular(policy, name)
    // INVARIANT: these are no single verdict of a map; a rule with them is seen to above.
    case .continue, .dispatch, .translate, .notrack: return Diagram.pass
    }
  }

  /// The number that stands in outcomes for what a rule sends.
  static func number(of kind: RejectKind) -> UInt32 {
    // What a bare `reject` sends says that the port cannot be reached.
    let sent = kind == .portUnreachable ? .automatic : kind
    return UInt32(RejectKind.allCases.firstIndex(of: sent) ?? 0)
  }

  /// A verdict map; the packets that have its fields are the rule's condition.
  private func dispatch(
    _ policy: Int, _ compiled: CompiledFirewall.CompiledRule, _ map: VerdictMap
  ) -> Diagram.Reference {
    let miss = diagram.terminal(OutcomeTable.Outcome(kind: .miss))
    var lines: [Diagram.Reference] = []
    for (entry, form) in zip(map.entries, compiled.keys) {
      let hit = decision(policy, entry.verdict, compiled.label)
      let condition = diagram.condition(form)
      lines.append(diagram.choose(condition, hit, miss))
    }
    // No packet meets two lines.
    let operation = diagram.newOperation()
    while lines.count > 1 {
      var next: [Diagram.Reference] = []
      for index in stride(from: 0, to: lines.count, by: 2) {
        guard index + 1 < lines.count else {
          next.append(lines[index])
          continue
        }
        next.append(
          diagram.combine(lines[index], lines[index + 1], operation) { table, a, b in
            table[a].kind == .miss ? b : a
          })
      }
      lines = next
    }
    let otherwise = decision(policy, map.otherwise, compiled.label)
    guard let first = lines.first else { return otherwise }
    let isMissed = diagram.map(first, diagram.newOperation()) { table, number in
      table[number].kind == .miss ? OutcomeTable.isTrue : OutcomeTable.isFalse
    }
    return diagram.choose(isMissed, otherwise, first)
  }

  func oracle(_ policy: Int, _ rule: Rule) -> UInt32 {
    let key =
      limiterPairs.map { $0.key(policy, rule) } ?? LimiterPairs.Key(policy: policy, rule: rule.id, words: "")
    if let known = oracles[key] {
      if let limiter = limiters[Int(known)], limiter.policy != policy, limiter.other == nil {
        limiters[Int(known)]?.other = rule
      }
      return known
    }
    let oracle = UInt32(limiters.count)
    limiters.append(Limiter(policy: policy, rule: rule))
    oracles[key] = oracle
    return oracle
  }
}
