import Diagnostics
import PolicyModel

/// What is translated, and the chains around it.
extension Comparison {
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
        let before = comparison.path(meaning, Self.baseSide, [.chain(index)], at: chain.hook)
        let after = comparison.path(
          meaning, Self.policySide, twinIndex.map { [.chain($0)] } ?? [], at: chain.hook)
        let excesses = Self.excesses(meaning, after, over: before)
        if meaning.diagram.isExhausted { return }
        for excess in excesses {
          let rule = excess.rule(meaning)
          let name = rule?.id ?? "policy of \(chain.place)"
          let packets = meaning.diagram.and(excess.packets, meaning.possible(at: chain.hook))
          let rest = comparison.notPermittedHere(packets, chain.hook, by: name, meaning)
          guard let first = meaning.representative(of: rest, at: chain.hook), reported.insert(name).inserted
          else { continue }
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
  static func changesOtherwise(
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
  mutating func notPermittedHere(
    _ packets: Diagram.Reference, _ hook: Hook, by name: String, _ meaning: Meaning
  ) -> Diagram.Reference {
    let untouched = meaning.region(places.untouched)
    return notPermitted(packets, by: name, meaning) { region, index, meaning in
      guard region.hook == hook else { return Diagram.isFalse }
      let permitted = meaning.region(index)
      return meaning.diagram.and(permitted, untouched)
    }
  }

  func undecided(_ hook: Hook, _ diagnostics: inout DiagnosticList) {
    diagnostics.report(
      Diagnostic(
        .extendsUnproved, at: policy.span,
        "could not tell whether `\(hook.rawValue)` accepts more than that of the base: it takes more than \(Diagram.defaultBudget) nodes, or asks for what the way changes",
        help: ["use fewer rules, or move what both have into chains of the base"]))
  }

  /// Reports what is left of an excess, once for each rule that accepts it.
  func report(
    _ rest: Diagram.Reference, _ excess: Excess, _ hook: Hook, _ what: String, _ before: Diagram.Reference,
    _ meaning: Meaning, _ reported: inout Set<String>, _ diagnostics: inout DiagnosticList
  ) {
    guard let first = meaning.representative(of: rest, at: hook),
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
}
