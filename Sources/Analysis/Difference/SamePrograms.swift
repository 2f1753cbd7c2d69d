import PolicyModel

// Whether chains are the same rule by rule: then the same becomes of every packet that comes to them, also where nobody
// can read what.

extension Firewall {
  func hasRegularChains(of other: Firewall) -> Bool {
    guard regularChains.count == other.regularChains.count else { return false }
    let others = Dictionary(other.regularChains.map { ($0.name, $0) }) { first, _ in first }
    return regularChains.allSatisfy { chain in
      others[chain.name].map { $0.policy == chain.policy && chain.rules.areTheSame(as: $0.rules) } ?? false
    }
  }
}

extension BaseChain {
  func isTheSame(as other: BaseChain) -> Bool {
    hook == other.hook && isNAT == other.isNAT && priority == other.priority && policy == other.policy
      && families == other.families && devices == other.devices && rules.areTheSame(as: other.rules)
  }
}

extension [Rule] {
  fileprivate func areTheSame(as others: [Rule]) -> Bool {
    count == others.count && zip(self, others).allSatisfy { $0.isTheSameProgram(as: $1) }
  }
}

extension Rule {
  fileprivate func isTheSameProgram(as other: Rule) -> Bool {
    guard unreadable != nil || other.unreadable != nil else { return isTheSame(as: other) }
    guard let whole = unreadWhole, unreadable != nil, other.unreadable != nil else { return false }
    return whole == other.unreadWhole && families == other.families && matches == other.matches
      && isEnabled == other.isEnabled
  }
}
