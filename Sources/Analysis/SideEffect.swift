package import PolicyModel

/// What rules do beside deciding about a packet.
package enum SideEffect: Hashable, Sendable {
  /// They put addresses into a set, or take them out; whatever rule does it.
  case fill(Fill)
  /// The rules of one id are met, which tell so.
  case met(rule: String)
  /// Of many rules that tell and decide, by their ids, the first one is met; whichever of them has another number.
  case firstMet(rules: [String: UInt32])

  /// What a rule does to a set.
  package struct Fill: Hashable, Sendable {
    package var set: String
    package var operation: SetUpdate.Operation
    package var side: AddressSide
    /// Seconds; nil: that of the set.
    package var timeout: UInt64?

    package init(_ update: SetUpdate) {
      (set, operation, side, timeout) = (update.set, update.operation, update.key.side, update.timeout)
    }
  }

  func isDone(by rule: Rule) -> Bool {
    switch self {
    case .fill(let fill): rule.changes.setUpdates.contains { Fill($0) == fill }
    case .met(let id): rule.id == id && Self.tells(rule)
    case .firstMet(let ids): ids[rule.id] != nil && Self.tells(rule)
    }
  }

  /// Of one rule the kernel may have several, and one of them tells.
  private static func tells(_ rule: Rule) -> Bool {
    rule.log != nil || rule.counter != nil || rule.changes.segmentSize != nil
  }

  /// What tells effects apart that rules have.
  func number(of rule: Rule) -> UInt32 {
    if case .firstMet(let ids) = self { ids[rule.id] ?? 0 } else { 0 }
  }

  /// Whether it is about what is told of packets, where the same becomes of them.
  var isTelling: Bool { if case .fill = self { false } else { true } }

  /// Of rules that are met by what both policies do alike, those that other packets may meet.
  package static func touchedRules(
    _ ids: Set<String>, from old: HostPolicy, to new: HostPolicy
  ) -> Set<String> {
    ChangedRules.touched(ids, old.firewall, new.firewall)
  }
}

extension OutcomeTable {
  /// An outcome of which it only matters whether a side effect is there: where it is not, the packet counts as dropped.
  mutating func effects(_ number: UInt32, _ memo: inout [UInt32: UInt32]) -> UInt32 {
    map(number, &memo) { _, outcome in
      switch outcome.kind {
      case .effect, .impossible, .branch: outcome
      case .drop, .accept, .reject: Outcome(kind: .drop, first: outcome.first)
      case .pass, .returned, .miss: Outcome(kind: .drop)
      }
    }
  }
}

extension Meaning {
  /// The outcomes of a path of a hook's packets; where a side effect is asked for, whether it is there.
  func outcomes(_ policy: Int, _ steps: [Step], at hook: Hook) -> Diagram.Reference {
    let path = path(policy, steps, at: hook, keepsAlterations: true)
    guard sideEffect != nil else { return path }
    var memo: [UInt32: UInt32] = [:]
    return diagram.map(path, diagram.newOperation()) { table, number in table.effects(number, &memo) }
  }
}
