package import PolicyModel

/// What rules do beside deciding about a packet.
package enum SideEffect: Hashable, Sendable {
  /// They put addresses into a set, or take them out; whatever rule does it.
  case fill(Fill)
  /// The rules of one id are met, which tell so.
  case met(rule: String)

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
    // Of one rule the kernel may have several, and one of them tells.
    case .met(let id):
      rule.id == id && (rule.log != nil || rule.counter != nil || rule.changes.segmentSize != nil)
    }
  }

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
  /// The outcomes of a path; where a side effect is asked for, whether it is there.
  func outcomes(_ policy: Int, _ steps: [Step]) -> Diagram.Reference {
    let path = path(policy, steps, keepsAlterations: true)
    guard sideEffect != nil else { return path }
    var memo: [UInt32: UInt32] = [:]
    return diagram.map(path, diagram.newOperation()) { table, number in table.effects(number, &memo) }
  }
}
