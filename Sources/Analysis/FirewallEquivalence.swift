package import PolicyModel

/// Whether base chains of two firewalls do the same, each for itself.
package enum FirewallEquivalence {
  /// The places of base chains that decide some packet otherwise, or change or limit it otherwise. Both firewalls have
  /// as many, in the same order.
  ///
  /// - Returns: nil where that takes more than the budget of nodes.
  package static func differingChains(
    _ first: Firewall, _ second: Firewall, budget: Int? = nil
  ) -> Set<Int>? {
    var result: Set<Int> = []
    for family in [Families.ipv4, .ipv6] {
      let meaning = Meaning(
        family, [first, second], regions: [], isLabelled: false, comparesLimiters: true,
        attempt: Attempt(budget: budget ?? Diagram.defaultBudget))
      for index in first.baseChains.indices {
        let (left, right) = (meaning.chain(0, .chain(index)), meaning.chain(1, .chain(index)))
        guard left != right else { continue }
        var isUnread = false
        let differing = meaning.diagram.combine(
          left, right, meaning.diagram.newOperation(), equal: Diagram.isFalse
        ) { table, one, other in
          if !table.unreadable(one).isEmpty || !table.unreadable(other).isEmpty { isUnread = true }
          // Equal outcomes are equal numbers; where there is no packet it does not matter.
          let isNone = table.acceptances(one).isEmpty && table.acceptances(other).isEmpty
          return isNone ? OutcomeTable.isFalse : OutcomeTable.isTrue
        }
        if meaning.diagram.isExhausted { return nil }
        if isUnread || differing != Diagram.isFalse { result.insert(index) }
      }
      if meaning.diagram.isExhausted { return nil }
    }
    return result
  }
}
