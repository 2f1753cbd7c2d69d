package import Diagnostics
package import PolicyModel

/// The packet check of a policy against its base: what it accepts, the base accepts, delegates, or the policy loosens
/// (LANGUAGE.md §5.5–5.9).
///
/// Sound: what is not known to be accepted by the base counts as refused by it, and a diagram that is not finished is
/// reported. With NAT, where a packet is not the one that arrived, the translations must be those of the base, and
/// each chain is compared for itself.
package enum Refinement {
  /// Reports what is wider, what is not decided, exceptions that were not needed and rules without effect; notes in
  /// the policy what its exceptions and its base's delegations were needed for.
  package static func check(
    _ policy: inout HostPolicy, from base: HostPolicy, diagnostics: inout DiagnosticList
  ) {
    var comparison = Comparison(policy: policy, base: base)
    comparison.compareUntracking(&diagnostics)
    comparison.compareSetWriters(&diagnostics)
    if base.isTranslating || policy.isTranslating {
      comparison.compareTranslations(&diagnostics)
      comparison.compareChains(&diagnostics)
    } else {
      for hook in [Hook.input, .forward, .output] { comparison.comparePath(hook, &diagnostics) }
    }
    comparison.compareClosedStage(&diagnostics)
    comparison.compareDelegations(&diagnostics)
    policy = comparison.policy
    guard !diagnostics.hasErrors else { return }
    for exception in policy.exceptions where exception.loosened.isEmpty {
      guard case .packets = exception.target else { continue }
      diagnostics.report(
        Diagnostic(
          .loosenUnused, at: exception.span, "`\(exception.text)` loosens nothing",
          help: [
            "of these packets the policy accepts only what its base accepts or delegates: take the exception out"
          ]))
    }
    reportRulesWithoutEffect(policy, &diagnostics)
  }

  /// A rule of the file's own that no packet comes to.
  private static func reportRulesWithoutEffect(_ policy: HostPolicy, _ diagnostics: inout DiagnosticList) {
    guard let firewall = policy.firewall else { return }
    var met: Set<String> = []
    for family in [Families.ipv4, .ipv6] {
      let meaning = Meaning(family, [firewall], regions: [], isLabelled: false)
      guard let labels = meaning.rulesMet(0) else { return }
      for label in labels { met.insert(meaning.rules[Int(label)].id) }
    }
    // Of an item that stands for several rules, one is enough.
    var items: Set<String> = []
    for rule in firewall.rules where met.contains(rule.id) {
      if case .expanded(let item) = rule.origin { items.insert(item) }
    }
    for rule in firewall.rules
    where rule.isEnabled && rule.span.source == policy.span.source && !met.contains(rule.id) {
      switch rule.origin {
      case .closing: continue
      case .expanded(let item) where !items.insert(item).inserted: continue
      case .expanded, .written: break
      }
      diagnostics.report(
        Diagnostic(
          .extendsNoEffect, at: rule.span, "no packet comes to `\(rule.text)`: rules before it decide all",
          help: [
            "`rules` stand behind those of the base; `before: { NAME: [ … ] }` puts a rule before one of them"
          ]))
    }
  }
}

/// One policy and its base.
private struct Comparison {
  var policy: HostPolicy
  let base: HostPolicy
  private let ipv4: Meaning
  private let ipv6: Meaning
  private let places: Places
  /// All of a region's packets, in the order of the meanings' regions.
  private let boxes: [[PacketBox]]
  private var paths: [PathKey: Diagram.Reference] = [:]

  /// Where in the list of regions those of each kind are.
  private struct Places {
    var baseDelegations: [Int?] = []
    var exceptions: [Int?] = []
    var delegations: [Int?] = []
    var closedBase: Int
    var closed: [Int] = []
    var untouched: Int
  }

  private struct PathKey: Hashable {
    var family: Families.RawValue
    var side: Int
    var steps: [Meaning.Step]
  }

  private static let baseSide = 0
  private static let policySide = 1

  init(policy: HostPolicy, base: HostPolicy) {
    self.policy = policy
    self.base = base
    var boxes: [[PacketBox]] = []
    func add(_ packets: [PacketBox]) -> Int {
      boxes.append(packets)
      return boxes.count - 1
    }
    func add(_ body: Statement.Body) -> Int? {
      if case .packets(let region, _, _) = body { add(region.allBoxes) } else { nil }
    }
    let everything = [Families.ipv4, .ipv6].map { PacketBox(all: $0) }
    var places = Places(
      closedBase: add(base.boot.input.filter(\.isEnabled).flatMap(\.allBoxes)),
      untouched: add(everything.map(\.untranslated)))
    places.baseDelegations = base.delegations.map { add($0.body) }
    places.delegations = policy.delegations.map { add($0.body) }
    places.exceptions = policy.exceptions.map { exception in
      if case .packets(let region) = exception.target { add(region.allBoxes) } else { nil }
    }
    places.closed = policy.boot.input.map { add($0.isEnabled ? $0.allBoxes : []) }
    self.places = places
    self.boxes = boxes
    let firewalls = [base.firewall, policy.firewall]
    ipv4 = Meaning(.ipv4, firewalls, regions: boxes, isLabelled: true)
    ipv6 = Meaning(.ipv6, firewalls, regions: boxes, isLabelled: true)
  }

  // MARK: Both families

  private mutating func path(_ meaning: Meaning, _ side: Int, _ steps: [Meaning.Step]) -> Diagram.Reference {
    let key = PathKey(family: meaning.family.rawValue, side: side, steps: steps)
    if let known = paths[key] { return known }
    let result = meaning.path(side, steps)
    paths[key] = result
    return result
  }

  /// Runs a part of the check in each family, in the order of all outputs.
  private mutating func inEachFamily(_ body: (inout Comparison, Meaning) -> Void) {
    for meaning in [ipv4, ipv6] { body(&self, meaning) }
  }

  private var isExhausted: Bool { ipv4.diagram.isExhausted || ipv6.diagram.isExhausted }

  private func steps(_ side: Int, _ hook: Hook) -> [Meaning.Step] {
    (side == Self.baseSide ? base : policy).firewall?.path(of: hook) ?? []
  }

  // MARK: Paths

  /// Everything along one path: what the base never accepts must not be accepted, and what it accepts up to a limit
  /// must have at least that limit.
  mutating func comparePath(_ hook: Hook, _ diagnostics: inout DiagnosticList) {
    let everything = [Families.ipv4, .ipv6].map { PacketBox(all: $0) }
    guard !KernelChanges.isUnknown(everything, hook, of: base.firewall),
      !KernelChanges.isUnknown(everything, hook, of: policy.firewall)
    else {
      undecided(hook, &diagnostics)
      return
    }
    var reported: Set<String> = []
    let (old, new) = (steps(Self.baseSide, hook), steps(Self.policySide, hook))
    inEachFamily { comparison, meaning in
      let before = comparison.path(meaning, Self.baseSide, old)
      let after = comparison.path(meaning, Self.policySide, new)
      let excesses = Self.excesses(meaning, after, over: before)
      if meaning.diagram.isExhausted { return }
      for excess in excesses {
        let what = excess.isOverLimit ? "accepts up to a limit alone" : "refuses"
        let rest = comparison.notPermitted(excess.packets, hook, by: excess.name(hook, meaning), meaning)
        comparison.report(rest, excess, hook, what, before, meaning, &reported, &diagnostics)
      }
    }
    if isExhausted { undecided(hook, &diagnostics) }
  }

  /// Packets that one rule accepts, and that the base does not or not as often.
  private struct Excess {
    /// 0: the chain's policy.
    var label: UInt32
    /// Whether the base accepts them up to a limit.
    var isOverLimit: Bool
    /// Truth values.
    var packets: Diagram.Reference

    func rule(_ meaning: Meaning) -> Rule? { label == 0 ? nil : meaning.rules[Int(label)] }

    func name(_ hook: Hook, _ meaning: Meaning) -> String {
      rule(meaning)?.id ?? "policy of \(hook.rawValue)"
    }
  }

  private static func excesses(
    _ meaning: Meaning, _ after: Diagram.Reference, over before: Diagram.Reference
  ) -> [Excess] {
    var order = LimiterOrder(meaning.diagram.outcomes, meaning.limiters)
    // Of the terminals that stand for excess, the label and whether the base has a limit there.
    let difference = meaning.diagram.combine(after, before, meaning.diagram.newOperation()) {
      table, new, old in
      let (more, less) = (table.acceptances(new), table.acceptances(old))
      // Where there is no such packet in one of them, nothing is accepted that is not accepted in the other.
      guard !more.isEmpty, !less.isEmpty, !order.isAtMost(new, old) else { return OutcomeTable.impossible }
      return table.intern(
        OutcomeTable.Outcome(
          kind: .accept, detail: 0, first: table.deciding(new, isAccepted: true) ?? 0,
          second: less.contains(.never) ? 0 : 1))
    }
    var result: [Excess] = []
    for terminal in meaning.diagram.terminals(difference) where terminal != Diagram.impossible {
      let outcome = meaning.diagram.outcomes[Diagram.outcome(terminal)]
      let packets = meaning.diagram.map(difference, meaning.diagram.newOperation()) { _, number in
        number == Diagram.outcome(terminal) ? OutcomeTable.isTrue : OutcomeTable.isFalse
      }
      result.append(Excess(label: outcome.first, isOverLimit: outcome.second == 1, packets: packets))
    }
    return result.sorted { ($0.isOverLimit ? 1 : 0, $0.label) < ($1.isOverLimit ? 1 : 0, $1.label) }
  }

  /// A packet taken out of connection tracking has no other state, so walks that differ there are about other
  /// packets: both policies untrack the same ones, or nothing is known (LANGUAGE.md §5.12).
  func compareUntracking(_ diagnostics: inout DiagnosticList) {
    let (old, new) = (base.rulesBeforeTracking, policy.rulesBeforeTracking)
    guard (old + new).contains(where: { $0.isEnabled && $0.verdict == .notrack }) else { return }
    guard old.count != new.count || !zip(old, new).allSatisfy({ $0.isTheSame(as: $1) }) else { return }
    let changed = new.first { rule in !old.contains { $0.isTheSame(as: rule) } }
    diagnostics.report(
      Diagnostic(
        .extendsUnproved, at: changed?.span ?? policy.firewall?.span ?? policy.span,
        "could not tell whether packets that are not tracked are accepted where the base refuses them",
        help: ["with `notrack` the rules before connection tracking must be those of the base"]))
  }

  /// What a dynamic set holds depends on the rules that fill it and on all rules before them, and both policies are
  /// compared for a set that holds the same: so these are the same, or nothing is known (LANGUAGE.md §5.12).
  ///
  /// Sets that the base never asks are the policy's own.
  func compareSetWriters(_ diagnostics: inout DiagnosticList) {
    let asked = Set((base.firewall?.rules ?? []).filter(\.isEnabled).flatMap(\.askedSets))
    func writes(_ rule: Rule) -> Bool {
      rule.isEnabled && rule.changes.setUpdates.contains { asked.contains($0.set) }
    }
    for hook in [Hook.input, .forward, .output] {
      let old = base.rules(upToLast: writes, along: hook)
      let new = policy.rules(upToLast: writes, along: hook)
      guard old.count != new.count || !zip(old, new).allSatisfy({ $0.isTheSame(as: $1) }) else { continue }
      let changed =
        new.first { rule in !old.contains { $0.isTheSame(as: rule) } }
        ?? old.first { rule in !new.contains { $0.isTheSame(as: rule) } }
      let set = (new + old).filter(writes).flatMap(\.changes.setUpdates).first { asked.contains($0.set) }?.set
      diagnostics.report(
        Diagnostic(
          .extendsUnproved, at: changed?.span ?? policy.firewall?.span ?? policy.span,
          "could not tell whether `$\(set ?? "")` holds what it holds in the base, which asks it",
          help: [
            "the rules that fill or empty it, and all rules before them, must be those of the base",
            "a set of the policy's own may be filled by any rule",
          ]))
      return
    }
  }

  // MARK: Translation

  /// What is translated otherwise than in the base is another pair of packets, arrived and delivered, of which
  /// nothing is known here.
  func compareTranslations(_ diagnostics: inout DiagnosticList) {
    let (old, new) = (base.translations, policy.translations)
    let isSameOrder =
      base.translatingChains == policy.translatingChains && old.count == new.count
      && zip(old, new).allSatisfy { $0.isTheSame(as: $1) }
    guard !isSameOrder else { return }
    let changed = new.first { rule in !old.contains { $0.isTheSame(as: rule) } }
    diagnostics.report(
      Diagnostic(
        .extendsUnproved, at: changed?.span ?? policy.firewall?.span ?? policy.span,
        "could not tell whether packets are translated to where the base would not accept them",
        help: ["the rules that translate, and those that lead to them, must be those of the base"]))
  }

  /// Every chain for itself: with equal translations a packet that all chains accept is accepted by all of the base.
  mutating func compareChains(_ diagnostics: inout DiagnosticList) {
    let old = base.firewall?.baseChains ?? []
    let new = policy.firewall?.baseChains ?? []
    for (index, chain) in old.enumerated() where !chain.isNAT {
      let twinIndex = new.firstIndex { !$0.isNAT && $0.place == chain.place && $0.hook == chain.hook }
      let twin = twinIndex.map { new[$0] }
      if let twin, twin.priority != chain.priority {
        // Before a translation and behind it stand other packets.
        diagnostics.report(
          Diagnostic(
            .extendsUnproved, at: twin.span,
            "could not tell whether `\(chain.place)` accepts more than in the base: it has another priority there",
            help: ["with NAT a chain keeps the priority that it has in the base, \(chain.priority)"]))
        continue
      }
      var reported: Set<String> = []
      var changesMore = false
      inEachFamily { comparison, meaning in
        if let twinIndex {
          changesMore =
            changesMore
            || Self.changesOtherwise(
              meaning, meaning.chain(Self.policySide, .chain(twinIndex)),
              meaning.chain(Self.baseSide, .chain(index)))
        }
        let before = comparison.path(meaning, Self.baseSide, [.chain(index)])
        let after = comparison.path(meaning, Self.policySide, twinIndex.map { [.chain($0)] } ?? [])
        let excesses = Self.excesses(meaning, after, over: before)
        if meaning.diagram.isExhausted { return }
        for excess in excesses {
          let rule = excess.rule(meaning)
          let name = rule?.id ?? "policy of \(chain.place)"
          let rest = comparison.notPermittedHere(excess.packets, chain.hook, by: name, meaning)
          guard let first = meaning.representative(of: rest), reported.insert(name).inserted else { continue }
          diagnostics.report(
            Diagnostic(
              .extendsWidened, at: rule?.span ?? twin?.span ?? comparison.policy.span,
              "`\(rule?.text ?? chain.place)` accepts packets that `\(chain.place)` of the base refuses",
              help: [
                "for example: \(Witness(from: first, hook: chain.hook).text)",
                "a permission counts for packets that no translation has changed: add `status not dnat, snat`",
              ]))
        }
      }
      if isExhausted {
        undecided(chain.hook, &diagnostics)
        return
      }
      if changesMore {
        diagnostics.report(
          Diagnostic(
            .extendsUnproved, at: twin?.span ?? policy.span,
            "could not tell whether later chains accept what `\(chain.place)` marks otherwise than in the base",
            help: ["with NAT a chain sets the marks and code points that it sets in the base"]))
      }
    }
  }

  /// Whether packets go on with other marks or code points than they would in the base.
  private static func changesOtherwise(
    _ meaning: Meaning, _ after: Diagram.Reference, _ before: Diagram.Reference
  ) -> Bool {
    func changes(_ table: OutcomeTable, _ number: UInt32) -> Set<UInt32> {
      let outcome = table[number]
      return switch outcome.kind {
      case .accept: [outcome.detail]
      case .branch: changes(table, outcome.first).union(changes(table, outcome.second))
      default: []
      }
    }
    let differs = meaning.diagram.combine(after, before, meaning.diagram.newOperation()) { table, new, old in
      // What the base does not accept is reported for itself.
      let (here, there) = (changes(table, new), changes(table, old))
      return there.isEmpty || here.isSubset(of: there) ? OutcomeTable.isFalse : OutcomeTable.isTrue
    }
    return differs != Diagram.isFalse
  }

  /// What is left when what the hook permits is taken away. A permission is about packets as they arrive, so it counts
  /// for those that no translation has changed.
  private mutating func notPermittedHere(
    _ packets: Diagram.Reference, _ hook: Hook, by name: String, _ meaning: Meaning
  ) -> Diagram.Reference {
    let untouched = meaning.region(places.untouched)
    return notPermitted(packets, by: name, meaning) { region, index, meaning in
      guard region.hook == hook else { return Diagram.isFalse }
      let permitted = meaning.region(index)
      return meaning.diagram.and(permitted, untouched)
    }
  }

  private func undecided(_ hook: Hook, _ diagnostics: inout DiagnosticList) {
    diagnostics.report(
      Diagnostic(
        .extendsUnproved, at: policy.span,
        "could not tell whether `\(hook.rawValue)` accepts more than that of the base: it takes more than \(Diagram.defaultBudget) nodes, or asks for what the way changes",
        help: ["use fewer rules, or move what both have into chains of the base"]))
  }

  /// Reports what is left of an excess, once for each rule that accepts it.
  private func report(
    _ rest: Diagram.Reference, _ excess: Excess, _ hook: Hook, _ what: String, _ before: Diagram.Reference,
    _ meaning: Meaning, _ reported: inout Set<String>, _ diagnostics: inout DiagnosticList
  ) {
    guard let first = meaning.representative(of: rest),
      reported.insert(excess.name(hook, meaning)).inserted
    else { return }
    let rule = excess.rule(meaning)
    let decided = meaning.finding(of: first, on: before).rule
    let message =
      rule.map { "`\($0.text)` accepts packets that the base \(what)" }
      ?? "`\(hook.rawValue)` accepts packets that the base \(what)"
    diagnostics.report(
      Diagnostic(
        .extendsWidened, at: rule?.span ?? policy.chainSpan(hook) ?? policy.span, message,
        related: decided.map { [Diagnostic.Label($0.span, "`\($0.id)` decides in the base")] } ?? [],
        help: [
          "for example: \(Witness(from: first, hook: hook).text)",
          "write an entry `packets: \(hook.rawValue) accept …` under `loosen`, or have the base delegate it",
        ]))
  }

  // MARK: What is permitted

  /// What is left of packets on a path when the base's delegations and the policy's exceptions are taken away. Notes
  /// which of them were needed.
  private mutating func notPermitted(
    _ packets: Diagram.Reference, _ hook: Hook, by name: String, _ meaning: Meaning
  ) -> Diagram.Reference {
    let steps = steps(Self.baseSide, hook)
    let baseChains = base.firewall?.baseChains ?? []
    var known: [PathKey: Diagram.Reference] = [:]
    return notPermitted(packets, by: name, meaning) { region, index, meaning in
      let permitted = meaning.region(index)
      if region.hook == hook { return permitted }
      // A permission for one place of the path: of packets that the base accepts in all others.
      let places: [Hook]
      switch region.hook {
      case .prerouting: places = [.ingress, .prerouting]
      case .ingress, .postrouting: places = [region.hook]
      case .input, .forward, .output: return Diagram.isFalse
      }
      func isPlace(_ step: Meaning.Step) -> Bool {
        if case .chain(let index) = step { places.contains(baseChains[index].hook) } else { false }
      }
      guard steps.contains(where: isPlace) else { return Diagram.isFalse }
      let others = steps.filter { !isPlace($0) }
      let key = PathKey(family: meaning.family.rawValue, side: Self.baseSide, steps: others)
      let path = known[key] ?? meaning.path(Self.baseSide, others)
      known[key] = path
      let accepted = Self.alwaysAccepted(path, meaning)
      return meaning.diagram.and(permitted, accepted)
    }
  }

  /// - Parameter permitted: of the packets of a permission, those that it permits here; truth values.
  private mutating func notPermitted(
    _ packets: Diagram.Reference, by name: String, _ meaning: Meaning,
    _ permitted: (Region, Int, Meaning) -> Diagram.Reference
  ) -> Diagram.Reference {
    var rest = packets
    for (delegation, index) in zip(base.delegations, places.baseDelegations) {
      guard case .packets(let region, _, _) = delegation.body, let index else { continue }
      let left = meaning.diagram.subtract(rest, permitted(region, index, meaning))
      if left != rest { policy.note(opened: name, by: delegation.text) }
      rest = left
    }
    for (number, index) in places.exceptions.enumerated() {
      guard case .packets(let region) = policy.exceptions[number].target, let index else { continue }
      let left = meaning.diagram.subtract(rest, permitted(region, index, meaning))
      if left != rest, !policy.exceptions[number].loosened.contains(name) {
        policy.exceptions[number].loosened.append(name)
      }
      rest = left
    }
    return rest
  }

  private static func alwaysAccepted(_ path: Diagram.Reference, _ meaning: Meaning) -> Diagram.Reference {
    meaning.diagram.map(path, meaning.diagram.newOperation()) { table, number in
      table.acceptances(number).isSubset(of: .always) ? OutcomeTable.isTrue : OutcomeTable.isFalse
    }
  }

  // MARK: The closed stage and delegations

  /// The closed firewall before the policy is live lets in no more than the base's does, or the base's policy.
  mutating func compareClosedStage(_ diagnostics: inout DiagnosticList) {
    guard policy.boot.stage == .closed, base.boot.stage == .closed else { return }
    for (rule, index) in zip(policy.boot.input, places.closed) where rule.isEnabled {
      var witness: PacketBox?
      var isOpen = false
      let isUnknown = KernelChanges.isUnknown(boxes[index], .input, of: base.firewall)
      let steps = steps(Self.baseSide, .input)
      inEachFamily { comparison, meaning in
        let (asked, before) = (meaning.region(index), meaning.region(comparison.places.closedBase))
        var rest = meaning.diagram.subtract(asked, before)
        guard rest != Diagram.isFalse else { return }
        // Behind a translation the packet is not the one that arrived.
        guard !comparison.base.isTranslating, !isUnknown else {
          isOpen = true
          return
        }
        let path = comparison.path(meaning, Self.baseSide, steps)
        rest = meaning.diagram.subtract(rest, Self.alwaysAccepted(path, meaning))
        rest = comparison.notPermitted(rest, .input, by: rule.id, meaning)
        witness = witness ?? meaning.representative(of: rest)
      }
      guard !isOpen, !isExhausted else {
        undecided(.input, &diagnostics)
        return
      }
      guard let witness else { continue }
      diagnostics.report(
        Diagnostic(
          .extendsWidened, at: rule.span, "the closed firewall would let in what the base refuses",
          help: [
            "for example: \(Witness(from: witness, hook: .input).text)",
            "write an entry `packets: input accept …` under `loosen`",
          ]))
    }
  }

  /// A policy can pass on only what it may open itself.
  mutating func compareDelegations(_ diagnostics: inout DiagnosticList) {
    for (delegation, index) in zip(policy.delegations, places.delegations) {
      guard case .packets(let region, _, _) = delegation.body, let index else { continue }
      guard base.isTranslating || !KernelChanges.isUnknown(boxes[index], region.hook, of: base.firewall)
      else {
        undecided(region.hook, &diagnostics)
        return
      }
      var witness: PacketBox?
      let steps = steps(Self.baseSide, region.hook)
      inEachFamily { comparison, meaning in
        var rest = meaning.region(index)
        // Behind a translation the packet is not the one that arrived: there only what is passed on counts.
        if !comparison.base.isTranslating {
          let path = comparison.path(meaning, Self.baseSide, steps)
          rest = meaning.diagram.subtract(rest, Self.alwaysAccepted(path, meaning))
        }
        rest = comparison.notPermitted(rest, region.hook, by: "delegate `\(delegation.text)`", meaning)
        witness = witness ?? meaning.representative(of: rest)
      }
      if isExhausted {
        undecided(region.hook, &diagnostics)
        return
      }
      guard let witness else { continue }
      diagnostics.report(
        Diagnostic(
          .extendsWidened, at: delegation.span, "the base neither accepts nor delegates `\(delegation.text)`",
          help: [
            "for example: \(Witness(from: witness, hook: region.hook).text)",
            "a policy can pass on what it may open itself: what its base delegates, or what it loosens",
          ]))
    }
  }
}

extension HostPolicy {
  /// Whether any rule gives packets other addresses.
  fileprivate var isTranslating: Bool { firewall?.baseChains.contains(where: \.isNAT) ?? false }

  /// Hook, priority and number of rules of each.
  fileprivate var translatingChains: [[Int]] {
    (firewall?.baseChains ?? []).filter(\.isNAT).map { chain in
      [Hook.allCases.firstIndex(of: chain.hook) ?? 0, Int(chain.priority), chain.rules.count]
    }
  }

  /// The rules of all nat chains and of the chains that these lead to.
  fileprivate var translations: [Rule] { rules(of: \.isNAT) }

  /// Those of chains before connection tracking, which alone may untrack.
  fileprivate var rulesBeforeTracking: [Rule] {
    rules { $0.priority < -200 && ($0.hook == .prerouting || $0.hook == .output) }
  }

  /// The rules of a path up to the last one of a kind or that leads to one, with those of all chains they lead to;
  /// none where there is no such rule.
  fileprivate func rules(upToLast isMeant: (Rule) -> Bool, along hook: Hook) -> [Rule] {
    func below(_ rule: Rule) -> [Rule] {
      var rules: [Rule] = []
      var seen: Set<String> = []
      var waiting = rule.isEnabled ? rule.verdict.targets : []
      while let name = waiting.popLast() {
        guard seen.insert(name).inserted else { continue }
        let found = firewall?.regularChains.first { $0.name == name }?.rules ?? []
        rules += found
        waiting += found.filter(\.isEnabled).flatMap(\.verdict.targets)
      }
      return rules
    }
    let chains = firewall?.baseChains ?? []
    let all = hook.path.flatMap { hook in
      chains.filter { $0.hook == hook }.sorted { $0.priority < $1.priority }.flatMap(\.rules)
    }
    guard let last = all.lastIndex(where: { isMeant($0) || below($0).contains(where: isMeant) }) else {
      return []
    }
    return all[...last].flatMap { [$0] + below($0) }
  }

  private func rules(of chains: (BaseChain) -> Bool) -> [Rule] {
    guard let firewall else { return [] }
    var rules = firewall.baseChains.filter(chains).flatMap(\.rules)
    var seen: Set<String> = []
    var next = 0
    while next < rules.count {
      for name in rules[next].verdict.targets where seen.insert(name).inserted {
        rules += firewall.regularChains.first { $0.name == name }?.rules ?? []
      }
      next += 1
    }
    return rules
  }

  /// Of the last chain of a place's own hook.
  fileprivate func chainSpan(_ hook: Hook) -> SourceSpan? {
    (firewall?.baseChains ?? []).filter { $0.hook == hook }.max { $0.priority < $1.priority }?.span
  }
}

extension Region {
  /// All packets of the clauses, in every state and on every interface.
  fileprivate var allBoxes: [PacketBox] {
    [Families.ipv4, .ipv6].filter { families.contains($0) }.flatMap {
      Guard(matches: matches, family: $0).boxes
    }
  }
}

extension Rule {
  /// Whether another rule does the same to the same packets.
  fileprivate func isTheSame(as other: Rule) -> Bool {
    families == other.families && matches == other.matches && connections == other.connections
      && limit == other.limit && quota == other.quota && verdict == other.verdict && changes == other.changes
      && isEnabled == other.isEnabled
  }

  /// Dynamic and external sets that it looks up.
  fileprivate var askedSets: [String] {
    matches.flatMap { match -> [String] in
      guard case .addresses(_, let addresses) = match.condition else { return [] }
      return addresses.allSets
    }
  }

  fileprivate var allBoxes: [PacketBox] {
    [Families.ipv4, .ipv6].filter { families.contains($0) }.flatMap {
      Guard(matches: matches, family: $0).boxes
    }
  }
}

extension PacketBox {
  /// Those that no translation has changed.
  fileprivate var untranslated: PacketBox {
    let translated = Self.statusBits.indices.filter {
      [ConntrackStatus.dnat, .snat].contains(Self.statusBits[$0])
    }
    let plain = (0..<(1 << Self.statusBits.count)).filter { bits in
      translated.allSatisfy { bits >> $0 & 1 == 0 }
    }
    return narrowed(.status, IntervalSet(plain.map { AddressRange(UInt128($0), UInt128($0)) }))
  }
}
