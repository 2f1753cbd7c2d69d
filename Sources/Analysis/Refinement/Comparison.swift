import Diagnostics
import PolicyModel

/// One policy and its base.
struct Comparison {
  var policy: HostPolicy
  let base: HostPolicy
  let ipv4: Meaning
  let ipv6: Meaning
  let places: Places
  /// All of a region's packets, in the order of the meanings' regions.
  let boxes: [[PacketBox]]
  var paths: [PathKey: Diagram.Reference] = [:]

  /// Where in the list of regions those of each kind are.
  struct Places {
    var baseDelegations: [Int?] = []
    var exceptions: [Int?] = []
    var delegations: [Int?] = []
    var closedBase: Int
    var closed: [Int] = []
    var untouched: Int
  }

  struct PathKey: Hashable {
    var family: Families.RawValue
    var side: Int
    var hook: Hook
    var steps: [Meaning.Step]
  }

  static let baseSide = 0
  static let policySide = 1

  init(policy: HostPolicy, base: HostPolicy, _ attempt: Attempt) {
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
    ipv4 = Meaning(.ipv4, firewalls, regions: boxes, isLabelled: true, attempt: attempt)
    ipv6 = Meaning(.ipv6, firewalls, regions: boxes, isLabelled: true, attempt: attempt)
  }

  // MARK: Both families

  mutating func path(
    _ meaning: Meaning, _ side: Int, _ steps: [Meaning.Step], at hook: Hook
  ) -> Diagram.Reference {
    let key = PathKey(family: meaning.family.rawValue, side: side, hook: hook, steps: steps)
    if let known = paths[key] { return known }
    let result = meaning.path(side, steps, at: hook)
    paths[key] = result
    return result
  }

  /// Runs a part of the check in each family, in the order of all outputs.
  mutating func inEachFamily(_ body: (inout Comparison, Meaning) -> Void) {
    for meaning in [ipv4, ipv6] { body(&self, meaning) }
  }

  var isExhausted: Bool { ipv4.diagram.isExhausted || ipv6.diagram.isExhausted }

  func steps(_ side: Int, _ hook: Hook) -> [Meaning.Step] {
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
      let before = comparison.path(meaning, Self.baseSide, old, at: hook)
      let after = comparison.path(meaning, Self.policySide, new, at: hook)
      let excesses = Self.excesses(meaning, after, over: before)
      if meaning.diagram.isExhausted { return }
      for excess in excesses {
        let what = excess.isOverLimit ? "accepts up to a limit alone" : "refuses"
        let packets = meaning.diagram.and(excess.packets, meaning.possible(at: hook))
        let rest = comparison.notPermitted(packets, hook, by: excess.name(hook, meaning), meaning)
        comparison.report(rest, excess, hook, what, before, meaning, &reported, &diagnostics)
      }
    }
    if isExhausted { undecided(hook, &diagnostics) }
  }

  /// Packets that one rule accepts, and that the base does not or not as often.
  struct Excess {
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

  static func excesses(
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

  // MARK: What is permitted

  /// What is left of packets on a path when the base's delegations and the policy's exceptions are taken away. Notes
  /// which of them were needed.
  mutating func notPermitted(
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
        step.chains.contains { places.contains(baseChains[$0].hook) }
      }
      guard steps.contains(where: isPlace) else { return Diagram.isFalse }
      let others = steps.filter { !isPlace($0) }
      let key = PathKey(family: meaning.family.rawValue, side: Self.baseSide, hook: hook, steps: others)
      let path = known[key] ?? meaning.path(Self.baseSide, others, at: hook)
      known[key] = path
      let accepted = Self.alwaysAccepted(path, meaning)
      return meaning.diagram.and(permitted, accepted)
    }
  }

  /// - Parameter permitted: of the packets of a permission, those that it permits here; truth values.
  mutating func notPermitted(
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

  static func alwaysAccepted(_ path: Diagram.Reference, _ meaning: Meaning) -> Diagram.Reference {
    meaning.diagram.map(path, meaning.diagram.newOperation()) { table, number in
      table.acceptances(number).isSubset(of: .always) ? OutcomeTable.isTrue : OutcomeTable.isFalse
    }
  }

}
