package import Diagnostics
package import PolicyModel

/// The packet check of a policy against its base: what it accepts, the base accepts, delegates, or the policy loosens
/// (LANGUAGE.md §5.5–5.9).
///
/// Sound: what is not known to be accepted by the base counts as refused by it, and a walk that ends in no answer is
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
    for chain in firewall.baseChains {
      let all = [Families.ipv4, .ipv6].map { PacketBox(all: $0) }
      guard let rules = Walk.rulesMet(by: all, in: chain, through: firewall.regularChains) else { return }
      met.formUnion(rules)
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

  private static let everything = [Families.ipv4, .ipv6].map { PacketBox(all: $0) }

  // MARK: Paths

  /// Everything along one path: what the base never accepts must not be accepted, and what it accepts up to a limit
  /// must have at least that limit.
  mutating func comparePath(_ hook: Hook, _ diagnostics: inout DiagnosticList) {
    guard let before = base.fates(of: Self.everything, along: base.path(of: hook)) else {
      undecided(hook, &diagnostics)
      return
    }
    guard
      let opened = policy.fates(
        of: before.filter { $0.acceptance == .never }.map(\.box), along: policy.path(of: hook))
    else {
      undecided(hook, &diagnostics)
      return
    }
    var reported: Set<String> = []
    for fate in opened where fate.acceptance != .never {
      report(fate, hook, "refuses", &reported, &diagnostics)
    }
    for limited in before where limited.acceptance == .sometimes {
      guard let after = policy.fates(of: [limited.box], along: policy.path(of: hook)) else {
        undecided(hook, &diagnostics)
        return
      }
      for fate in after where !fate.isAtMost(limited) {
        report(fate, hook, "accepts up to a limit alone", &reported, &diagnostics)
      }
    }
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
    let old = (base.firewall?.baseChains ?? []).filter { !$0.isNAT }
    let new = (policy.firewall?.baseChains ?? []).filter { !$0.isNAT }
    for chain in old {
      let twin = new.first { $0.place == chain.place && $0.hook == chain.hook }
      if let twin, twin.priority != chain.priority {
        // Before a translation and behind it stand other packets.
        diagnostics.report(
          Diagnostic(
            .extendsUnproved, at: twin.span,
            "could not tell whether `\(chain.place)` accepts more than in the base: it has another priority there",
            help: ["with NAT a chain keeps the priority that it has in the base, \(chain.priority)"]))
        continue
      }
      guard let before = base.fates(of: Self.everything, along: [chain]),
        let opened = policy.fates(
          of: before.filter { $0.acceptance == .never }.map(\.box), along: twin.map { [$0] } ?? [])
      else {
        undecided(chain.hook, &diagnostics)
        return
      }
      var excess = opened.filter { $0.acceptance != .never }
      for limited in before where limited.acceptance == .sometimes {
        guard let after = policy.fates(of: [limited.box], along: twin.map { [$0] } ?? []) else {
          undecided(chain.hook, &diagnostics)
          return
        }
        excess += after.filter { !$0.isAtMost(limited) }
      }
      var reported: Set<String> = []
      for fate in excess {
        let name = fate.rule?.id ?? "policy of \(chain.place)"
        guard let first = notPermittedHere(fate.box, chain.hook, by: name), reported.insert(name).inserted
        else {
          continue
        }
        diagnostics.report(
          Diagnostic(
            .extendsWidened, at: fate.rule?.span ?? twin?.span ?? policy.span,
            "`\(fate.rule?.text ?? chain.place)` accepts packets that `\(chain.place)` of the base refuses",
            help: [
              "for example: \(Witness(from: first, hook: chain.hook).text)",
              "a permission counts for packets that no translation has changed: add `status not dnat, snat`",
            ]))
      }
    }
  }

  /// A packet that is left when what the hook permits is taken away. A permission is about packets as they arrive, so
  /// it counts for those that no translation has changed.
  private mutating func notPermittedHere(_ box: PacketBox, _ hook: Hook, by name: String) -> PacketBox? {
    let translated = PacketBox.statusBits.indices.filter {
      [ConntrackStatus.dnat, .snat].contains(PacketBox.statusBits[$0])
    }
    let plain = (0..<(1 << PacketBox.statusBits.count)).filter { bits in
      translated.allSatisfy { bits >> $0 & 1 == 0 }
    }
    let untouched = IntervalSet(plain.map { AddressRange(UInt128($0), UInt128($0)) })
    func without(_ region: Region, _ boxes: [PacketBox]) -> (boxes: [PacketBox], isSmaller: Bool) {
      guard region.hook == hook else { return (boxes, false) }
      return boxes.subtracting(region.allBoxes.map { $0.narrowed(.status, untouched) }.filter { !$0.isEmpty })
    }
    var rest = [box]
    for delegation in base.delegations {
      guard case .packets(let region, _, _) = delegation.body else { continue }
      let left = without(region, rest)
      if left.isSmaller { policy.note(opened: name, by: delegation.text) }
      rest = left.boxes
    }
    for index in policy.exceptions.indices {
      guard case .packets(let region) = policy.exceptions[index].target else { continue }
      let left = without(region, rest)
      if left.isSmaller, !policy.exceptions[index].loosened.contains(name) {
        policy.exceptions[index].loosened.append(name)
      }
      rest = left.boxes
    }
    return rest.first
  }

  private func undecided(_ hook: Hook, _ diagnostics: inout DiagnosticList) {
    diagnostics.report(
      Diagnostic(
        .extendsUnproved, at: policy.span,
        "could not tell whether `\(hook.rawValue)` accepts more than that of the base: it takes more than \(Walk.budget) cuts",
        help: ["use fewer rules, or move what both have into chains of the base"]))
  }

  /// Takes from an excess what is permitted, and reports the rest once for each rule that accepts it.
  private mutating func report(
    _ fate: Fate, _ hook: Hook, _ what: String, _ reported: inout Set<String>,
    _ diagnostics: inout DiagnosticList
  ) {
    let rule = fate.rule
    let name = rule?.id ?? "policy of \(hook.rawValue)"
    let rest = notPermitted([fate.box], hook, by: name)
    guard let first = rest.first, reported.insert(name).inserted else { return }
    let decided = base.fates(of: [first], along: base.path(of: hook))?.first { $0.acceptance != .always }
    let message =
      rule.map { "`\($0.text)` accepts packets that the base \(what)" }
      ?? "`\(hook.rawValue)` accepts packets that the base \(what)"
    diagnostics.report(
      Diagnostic(
        .extendsWidened, at: rule?.span ?? policy.chainSpan(hook) ?? policy.span, message,
        related: decided?.rule.map { [Diagnostic.Label($0.span, "`\($0.id)` decides in the base")] } ?? [],
        help: [
          "for example: \(Witness(from: first, hook: hook).text)",
          "write an entry `packets: \(hook.rawValue) accept …` under `loosen`, or have the base delegate it",
        ]))
  }

  // MARK: What is permitted

  /// What is left of boxes on a path when the base's delegations and the policy's exceptions are taken away. Notes
  /// which of them were needed.
  private mutating func notPermitted(_ boxes: [PacketBox], _ hook: Hook, by name: String) -> [PacketBox] {
    var rest = boxes
    for delegation in base.delegations {
      guard case .packets(let region, _, _) = delegation.body else { continue }
      let left = without(region, rest, hook)
      if left.isSmaller { policy.note(opened: name, by: delegation.text) }
      rest = left.boxes
    }
    for index in policy.exceptions.indices {
      guard case .packets(let region) = policy.exceptions[index].target else { continue }
      let left = without(region, rest, hook)
      if left.isSmaller, !policy.exceptions[index].loosened.contains(name) {
        policy.exceptions[index].loosened.append(name)
      }
      rest = left.boxes
    }
    return rest
  }

  private func without(_ region: Region, _ boxes: [PacketBox], _ hook: Hook) -> (
    boxes: [PacketBox], isSmaller: Bool
  ) {
    let permitted = region.allBoxes
    if region.hook == hook { return boxes.subtracting(permitted) }
    // A permission for one place of the path: of packets that the base accepts in all others.
    let places: [Hook]
    switch region.hook {
    case .prerouting: places = [.ingress, .prerouting]
    case .ingress, .postrouting: places = [region.hook]
    case .input, .forward, .output: return (boxes, false)
    }
    let path = base.path(of: hook)
    guard path.contains(where: { places.contains($0.hook) }) else { return (boxes, false) }
    let others = path.filter { !places.contains($0.hook) }
    let inRegion = boxes.flatMap { box in permitted.compactMap { box.intersection($0) } }
    guard let fates = base.fates(of: inRegion, along: others) else { return (boxes, false) }
    return boxes.subtracting(fates.filter { $0.acceptance == .always }.map(\.box))
  }

  // MARK: The closed stage and delegations

  /// The closed firewall before the policy is live lets in no more than the base's does, or the base's policy.
  mutating func compareClosedStage(_ diagnostics: inout DiagnosticList) {
    guard policy.boot.stage == .closed, base.boot.stage == .closed else { return }
    let before = base.boot.input.filter(\.isEnabled).flatMap(\.allBoxes)
    for rule in policy.boot.input where rule.isEnabled {
      var rest = rule.allBoxes.subtracting(before).boxes
      // Behind a translation the packet is not the one that arrived.
      guard !base.isTranslating || rest.isEmpty,
        let fates = base.fates(of: rest, along: base.path(of: .input))
      else {
        undecided(.input, &diagnostics)
        return
      }
      rest = notPermitted(fates.filter { $0.acceptance != .always }.map(\.box), .input, by: rule.id)
      guard let first = rest.first else { continue }
      diagnostics.report(
        Diagnostic(
          .extendsWidened, at: rule.span, "the closed firewall would let in what the base refuses",
          help: [
            "for example: \(Witness(from: first, hook: .input).text)",
            "write an entry `packets: input accept …` under `loosen`",
          ]))
    }
  }

  /// A policy can pass on only what it may open itself.
  mutating func compareDelegations(_ diagnostics: inout DiagnosticList) {
    for delegation in policy.delegations {
      guard case .packets(let region, _, _) = delegation.body else { continue }
      // Behind a translation the packet is not the one that arrived: there only what is passed on counts.
      let path = base.isTranslating ? nil : base.path(of: region.hook)
      guard
        let fates = path.map({ base.fates(of: region.allBoxes, along: $0) }) ?? region.allBoxes.map(\.refused)
      else {
        undecided(region.hook, &diagnostics)
        return
      }
      let rest = notPermitted(
        fates.filter { $0.acceptance != .always }.map(\.box), region.hook, by: "delegate `\(delegation.text)`"
      )
      guard let first = rest.first else { continue }
      diagnostics.report(
        Diagnostic(
          .extendsWidened, at: delegation.span, "the base neither accepts nor delegates `\(delegation.text)`",
          help: [
            "for example: \(Witness(from: first, hook: region.hook).text)",
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

  /// The base chains a packet of a place meets, in the order it meets them (LANGUAGE.md §6.2).
  func path(of hook: Hook) -> [BaseChain] {
    let chains = firewall?.baseChains ?? []
    return hook.path.flatMap { hook in
      chains.filter { $0.hook == hook }.sorted { $0.priority < $1.priority }
    }
  }

  func fates(of region: [PacketBox], along chains: [BaseChain]) -> [Fate]? {
    Walk.fates(of: region, along: chains, through: firewall?.regularChains ?? [])
  }

  fileprivate func chainSpan(_ hook: Hook) -> SourceSpan? { path(of: hook).last { $0.hook == hook }?.span }
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
    families == other.families && matches == other.matches && limit == other.limit && quota == other.quota
      && verdict == other.verdict && changes == other.changes && isEnabled == other.isEnabled
  }

  fileprivate var allBoxes: [PacketBox] {
    [Families.ipv4, .ipv6].filter { families.contains($0) }.flatMap {
      Guard(matches: matches, family: $0).boxes
    }
  }
}

extension [PacketBox] {
  fileprivate func subtracting(_ others: [PacketBox]) -> (boxes: [PacketBox], isSmaller: Bool) {
    var rest = self
    var isSmaller = false
    for other in others where rest.contains(where: { $0.intersection(other) != nil }) {
      isSmaller = true
      rest = rest.flatMap { $0.subtracting(other) }
    }
    return (rest, isSmaller)
  }
}

// MARK: Limits

extension Fate {
  /// Whether the packets are accepted no more often than by another fate, which a limit decides.
  fileprivate func isAtMost(_ other: Fate) -> Bool {
    switch acceptance {
    case .never: return true
    case .always: return false
    case .sometimes: break
    }
    // Where only a limiter's share was let through, the rest still is not.
    guard other.closedEnds.allSatisfy(closedEnds.contains) else { return false }
    let accepting = limiters.filter { $0.outcome == .accept && other.closedEnds.contains($0.chain) }
    let refusing = other.limiters.filter { $0.outcome != .accept }
    let pairs =
      accepting.map { limiter in (limiter, other.limiters.first { $0.isTwin(of: limiter) }) }
      + refusing.map { limiter in (limiters.first { $0.isTwin(of: limiter) }, limiter as Limiter?) }
    for (here, there) in pairs {
      guard let here, let there, here.isAtLeastAsStrict(as: there) else { return false }
    }
    // Which limiter is asked first decides which packets the second one sees.
    let common = limiters.filter { limiter in other.limiters.contains { $0.isTwin(of: limiter) } }.map(
      \.ruleID)
    let same = other.limiters.filter { limiter in limiters.contains { $0.isTwin(of: limiter) } }.map(\.ruleID)
    return common == same
  }
}

extension Limiter {
  /// Whether both are the limiter of one rule, which counts its packets in one place.
  fileprivate func isTwin(of other: Limiter) -> Bool {
    ruleID == other.ruleID && chain == other.chain && way == other.way
      && (outcome == .accept) == (other.outcome == .accept)
  }

  /// Whether no more gets past. Of limiters that are written otherwise, only rates, bursts and quotas are compared.
  fileprivate func isAtLeastAsStrict(as other: Limiter) -> Bool {
    if text == other.text { return limit == other.limit && quota == other.quota }
    let words = Set((text + " " + other.text).split(separator: " "))
    guard words.isDisjoint(with: ["per", "connections", "add", "update", "delete"]) else { return false }
    return Self.isAtMost(limit, other.limit, accepts: outcome == .accept)
      && Self.isAtMost(quota, other.quota, accepts: outcome == .accept)
  }

  private static func isAtMost(_ a: Limit?, _ b: Limit?, accepts: Bool) -> Bool {
    guard let a, let b else { return a == nil && b == nil }
    if a == b { return true }
    // `accept … limit R` and `drop … limit over R` let through up to R; the other two forms have no such order.
    guard a.isOver == b.isOver, a.isOver != accepts, a.rate.isBytes == b.rate.isBytes else { return false }
    let (left, leftOverflow) = a.rate.amount.multipliedReportingOverflow(by: b.rate.seconds)
    let (right, rightOverflow) = b.rate.amount.multipliedReportingOverflow(by: a.rate.seconds)
    return !leftOverflow && !rightOverflow && left <= right && a.burst <= b.burst
  }

  private static func isAtMost(_ a: Quota?, _ b: Quota?, accepts: Bool) -> Bool {
    guard let a, let b else { return a == nil && b == nil }
    return a == b || (a.isOver == b.isOver && a.isOver != accepts && a.bytes <= b.bytes)
  }
}

extension PacketBox {
  /// As if nothing of it were accepted.
  fileprivate var refused: Fate { Fate(box: self, acceptance: .never, isRejected: false, rule: nil) }
}
