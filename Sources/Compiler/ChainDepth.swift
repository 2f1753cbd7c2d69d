package import Ruleset

/// How far rules lead from a base chain, through generated chains too.
package enum ChainDepth {
  /// Chains on one way, the base chain the first: NFT_JUMP_STACK_SIZE of include/net/netfilter/nf_tables.h, and
  /// `nft_chain_validate` counts a `goto` like a `jump`.
  static let maximum = 16

  package struct Excess {
    /// The rule that leads too far.
    package var ruleID: String
    /// Names of the chains on the way, as the kernel has them.
    package var path: [String]
  }

  /// One for each base chain from which the way is too long.
  package static func excesses(in ruleset: Ruleset) -> [Excess] {
    ruleset.tables.flatMap { table in
      let all = table.chains + table.deviceChains
      let chains = Dictionary(all.map { ($0.name, $0) }) { first, _ in first }
      var lengths: [String: Int] = [:]
      return all.filter { $0.base != nil }.compactMap { base -> Excess? in
        guard length(of: base, chains, &lengths) > maximum else { return nil }
        return excess(from: base, chains, lengths)
      }
    }
  }

  /// Chains on the longest way that begins with this one. Ways have no loops: the checker refuses them.
  private static func length(
    of chain: Chain, _ chains: [String: Chain], _ lengths: inout [String: Int]
  ) -> Int {
    if let known = lengths[chain.name] { return known }
    var longest = 0
    for rule in chain.rules where rule.isLeading {
      for target in rule.targets {
        if let next = chains[target] { longest = max(longest, length(of: next, chains, &lengths)) }
      }
    }
    lengths[chain.name] = longest + 1
    return longest + 1
  }

  /// Follows the longest way until it is too long.
  private static func excess(
    from base: Chain, _ chains: [String: Chain], _ lengths: [String: Int]
  ) -> Excess? {
    var path = [base.name]
    var chain = base
    while true {
      let steps = chain.rules.flatMap { rule in rule.targets.map { (rule.id, $0) } }
      guard let (id, target) = steps.max(by: { lengths[$0.1] ?? 0 < lengths[$1.1] ?? 0 }),
        let next = chains[target]
      else { return nil }
      path.append(target)
      if path.count > maximum { return Excess(ruleID: id, path: path) }
      chain = next
    }
  }
}

extension KernelRule {
  /// Whether it may lead to a chain: most rules do not.
  fileprivate var isLeading: Bool {
    for statement in statements {
      switch statement {
      case .verdict(.jump), .verdict(.goto): return true
      default: break
      }
    }
    return anonymousSets.contains { $0.dataType != nil }
  }

  /// Chains that it leads to.
  fileprivate var targets: [String] {
    let plain = statements.compactMap { statement -> KernelVerdict? in
      if case .verdict(let verdict) = statement { verdict } else { nil }
    }
    let inMaps = anonymousSets.flatMap(\.elements).compactMap { element -> KernelVerdict? in
      if case .verdict(let verdict)? = element.data { verdict } else { nil }
    }
    return (plain + inMaps).compactMap { verdict in
      switch verdict {
      case .jump(let name), .goto(let name): name
      default: nil
      }
    }
  }
}
