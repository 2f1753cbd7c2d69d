import PolicyModel

/// Base chains one behind the other.
extension Meaning {
  /// One chain of a path.
  enum Step: Hashable {
    /// In the policy's list of base chains.
    case chain(Int)
    /// Several of one priority: nobody can tell in which order.
    case together([Int])
    /// Translation without rules: of what other hooks have translated.
    case translation(Hook)

    /// Base chains of the policy; none of a translation without rules.
    var chains: [Int] {
      switch self {
      case .chain(let index): [index]
      case .together(let indices): indices
      case .translation: []
      }
    }
  }

  /// Where packets go whose destination was translated, beside the path of those that were not.
  struct Elsewhere {
    /// Steps of the path before the routing decision.
    var after: Int
    var steps: [Step]
  }

  /// What becomes of a packet on a path of base chains.
  ///
  /// - Parameter hook: whose packets take the path; nil: it is a part of several.
  func path(
    _ policy: Int, _ steps: [Step], at hook: Hook? = nil, elsewhere: Elsewhere? = nil,
    keepsAlterations: Bool = false
  ) -> Diagram.Reference {
    func composed(_ steps: ArraySlice<Step>, at hook: Hook?) -> Diagram.Reference {
      let result = self.composed(policy, steps)
      return hook.map { arrived(result, at: $0) } ?? result
    }
    guard let elsewhere else {
      let path = composed(steps[...], at: hook)
      return keepsAlterations ? path : withoutAlterations(path)
    }
    let before = composed(steps[..<elsewhere.after], at: nil)
    let onPath = diagram.compose(before, composed(steps[elsewhere.after...], at: hook), .accept)
    let isElsewhere = mayBeElsewhere(before)
    guard isElsewhere != Diagram.isFalse else { return withoutAlterations(onPath) }
    let others = composed(elsewhere.steps[...], at: hook == .input ? .forward : .input)
    let other = diagram.compose(before, others, .accept)
    let both = diagram.branch(Oracle.unknown, withoutAlterations(onPath), withoutAlterations(other))
    return diagram.choose(isElsewhere, both, withoutAlterations(onPath))
  }

  /// From the last chain to the first: what a translation writes is one value for all that follows.
  private func composed(_ policy: Int, _ steps: ArraySlice<Step>) -> Diagram.Reference {
    var result: Diagram.Reference?
    for step in steps.reversed() {
      if case .together(let chains) = step {
        result = inAnyOrder(policy, chains, before: result)
        continue
      }
      let chain = chain(policy, step)
      result = result.map { diagram.compose(chain, $0, .accept) } ?? chain
    }
    return result ?? diagram.terminal(OutcomeTable.Outcome(kind: .accept))
  }

  /// Base chains that nobody knows the order of: only where the order decides, is what becomes of a packet not known.
  func inAnyOrder(
    _ policy: Int, _ chains: [Int], before behind: Diagram.Reference?
  ) -> Diagram.Reference {
    var result: Diagram.Reference?
    for order in Self.orders(chains) {
      let steps = order.map { Step.chain($0) }
      let path = composed(policy, steps[...])
      let whole = behind.map { diagram.compose(path, $0, .accept) } ?? path
      guard let known = result, known != whole else {
        result = whole
        continue
      }
      result = diagram.combine(known, whole, diagram.newOperation()) { table, one, other in
        table.isAlike(one, other) ? one : table.branch(Oracle.unknown, one, other)
      }
    }
    return result ?? diagram.terminal(OutcomeTable.Outcome(kind: .accept))
  }

  private static func orders(_ chains: [Int]) -> [[Int]] {
    guard chains.count > 1 else { return [chains] }
    return chains.indices.flatMap { first in
      var others = chains
      let chain = others.remove(at: first)
      return orders(others).map { [chain] + $0 }
    }
  }

  private func mayBeElsewhere(_ a: Diagram.Reference) -> Diagram.Reference {
    func holds(_ table: OutcomeTable, _ number: UInt32) -> Bool {
      let outcome = table[number]
      return switch outcome.kind {
      case .branch: holds(table, outcome.first) || holds(table, outcome.second)
      case .accept: table.alterations[Int(outcome.detail)].mayBeElsewhere
      default: false
      }
    }
    return diagram.map(a, diagram.newOperation()) { table, number in
      holds(table, number) ? OutcomeTable.isTrue : OutcomeTable.isFalse
    }
  }

  /// Behind the last chain it does not matter what a packet has become.
  func withoutAlterations(_ a: Diagram.Reference) -> Diagram.Reference {
    // The first alteration is none.
    guard diagram.outcomes.alterations.count > 1 else { return a }
    var memo: [UInt32: UInt32] = [:]
    return diagram.map(a, diagram.newOperation()) { table, number in
      table.map(number, &memo) { _, outcome in
        var outcome = outcome
        if outcome.kind == .accept { outcome.detail = 0 }
        return outcome
      }
    }
  }
}
