internal import Analysis
internal import Lift
internal import PolicyModel
internal import Ruleset

/// Rules of several programs, or of one that says the same in another way.
extension TranslationCheck {
  private static let atOnce = 64

  mutating func compareOthers() throws(Mismatch) {
    var items: [(item: Item, chains: [MadeChain])] = []
    for item in others { items.append((item, try reached(from: item))) }
    for (item, chains) in items { try compareTold(item, item.programs + chains.flatMap(\.rules)) }
    for start in stride(from: 0, to: items.count, by: Self.atOnce) {
      let part = Array(items[start..<min(start + Self.atOnce, items.count)])
      if let differing = differing(part) {
        try refuse(part, differing)
        continue
      }
      // Together their diagrams grow too large.
      for item in part {
        if let differing = differing([item]) {
          try refuse([item], differing)
        } else {
          untold.append(item.item.rule.id)
        }
      }
    }
  }

  private func refuse(_ items: [(item: Item, chains: [MadeChain])], _ differing: Set<Int>) throws(Mismatch) {
    guard let index = differing.min() else { return }
    throw Mismatch(
      ruleID: items[index].item.rule.id, reason: "its programs do something else with some packet")
  }

  /// Nil where nobody can tell within the budget.
  private func differing(_ items: [(item: Item, chains: [MadeChain])]) -> Set<Int>? {
    var (first, second) = (
      Firewall(baseChains: [], span: policy.span), Firewall(baseChains: [], span: policy.span)
    )
    var targets: Set<String> = []
    for (index, item) in items.enumerated() {
      add(item.item, item.chains, index, &first, &second, &targets)
    }
    for target in targets.sorted() {
      first.regularChains.append(opaque(target))
      second.regularChains.append(opaque(target))
    }
    return FirewallEquivalence.differingChains(first, second)
  }

  /// What is counted and logged, and that each limiter is there once: two would let through twice as much.
  ///
  /// - Parameter all: The rule's programs, and those of the chains that were made for it.
  private func compareTold(_ item: Item, _ all: [Rule]) throws(Mismatch) {
    let rule = item.rule
    func expect(_ holds: Bool, _ reason: String) throws(Mismatch) {
      guard holds else { throw Mismatch(ruleID: rule.id, reason: reason) }
    }
    // A rule that meets no packet has no program.
    guard !all.isEmpty else { return }
    try expect(
      all.allSatisfy { $0.id == rule.id && $0.unreadable == nil },
      "its programs lead to those of another rule")
    let counters = all.compactMap(\.counter)
    try expect(
      counters.isEmpty == (rule.counter == nil) && counters.allSatisfy { $0 == rule.counter },
      "its programs count otherwise")
    let logs = all.compactMap(\.log)
    try expect(
      logs.isEmpty == (rule.log == nil) && logs.allSatisfy { $0 == rule.log?.normal },
      "its programs log otherwise")
    for family in [Families.ipv4, .ipv6] where item.programs.contains(where: { $0.families.contains(family) })
    {
      var updates: [PolicyModel.SetUpdate] = []
      // Programs that no packet meets twice each fill them. A chain has those of a family that never comes to it.
      for update in all.filter({ $0.families.contains(family) }).flatMap(\.changes.setUpdates)
        .map({ RuleShape.normal($0, family) }) where !updates.contains(update)
      {
        updates.append(update)
      }
      try expect(
        updates == rule.changes.setUpdates.map { RuleShape.normal($0, family) },
        "its programs fill other sets")
    }
    let plain = all.count { $0.limit.map { $0.key == nil } ?? false }
    try expect(
      plain <= 1 && all.count { $0.quota != nil } <= 1 && (rule.log?.atMost == nil || logs.count <= 1),
      "its programs have several limiters where it has one")
  }

  /// A chain that the compiler made for a rule.
  struct MadeChain {
    var name: String
    var rules: [Rule]
  }

  /// The chains that were made for a rule.
  private mutating func reached(from item: Item) throws(Mismatch) -> [MadeChain] {
    var result: [MadeChain] = []
    var above: Set<String> = []
    var seen: Set<String> = []
    func leads(_ reason: String) -> Mismatch { Mismatch(ruleID: item.rule.id, reason: reason) }
    func visit(_ rules: [Rule], _ check: inout TranslationCheck) throws(Mismatch) {
      for name in rules.flatMap(\.verdict.targets) where check.written[name] == nil && name != item.rest {
        guard above.insert(name).inserted else {
          throw leads("its programs lead back to the chain `\(name)`")
        }
        if seen.insert(name).inserted {
          guard let rules = try check.liftedChain(named: name) else {
            throw leads("its programs lead to `\(name)`, and there is no such chain")
          }
          result.append(MadeChain(name: name, rules: rules))
          try visit(rules, &check)
        }
        above.remove(name)
      }
    }
    try visit(item.programs, &self)
    return result
  }

  private func add(
    _ item: Item, _ chains: [MadeChain], _ index: Int, _ first: inout Firewall, _ second: inout Firewall,
    _ targets: inout Set<String>
  ) {
    let form = item.chain
    let span = policy.span
    // What no verdict of the rule is.
    let used = Set(item.rule.verdict.rejections)
    let kinds = [RejectKind.noRoute, .adminProhibited, .hostUnreachable].filter { !used.contains($0) }
    let marker = markers("behind", kinds.first ?? .noRoute)
    func append(_ rules: [Rule], _ ending: ChainPolicy?, _ firewall: inout Firewall) {
      if form.isRegular || ending == nil {
        let name = "chain \(index)"
        firewall.regularChains.append(RegularChain(name: name, rules: rules, span: span))
        firewall.regularChains[firewall.regularChains.count - 1].policy = ending
        let jump = Rule(id: "to \(index)", name: nil, text: "", verdict: .jump(name), span: span)
        firewall.baseChains.append(
          BaseChain(
            name: "\(index)", hook: form.hook, isNAT: form.isNAT, priority: 0,
            policy: !form.isRegular && form.policy == .accept ? .accept : .drop,
            rules: [jump] + (form.isRegular ? markers("caller", kinds.last ?? .noRoute) : []), span: span))
      } else {
        firewall.baseChains.append(
          BaseChain(
            name: "\(index)", hook: form.hook, isNAT: form.isNAT, priority: 0, policy: ending ?? .drop,
            rules: rules, span: span))
      }
    }
    var rule = item.rule
    rule.verdict = rule.verdict.leading { name in
      let kernelName = KernelName.chain(name)
      targets.insert(kernelName)
      return "to \(kernelName)"
    }
    append([rule] + marker, form.policy, &first)
    func renamed(_ rules: [Rule]) -> [Rule] {
      rules.map { rule in
        var rule = rule
        rule.verdict = rule.verdict.leading { name in
          if written[name] != nil {
            targets.insert(name)
            return "to \(name)"
          }
          return "\(index) \(name)"
        }
        return rule
      }
    }
    append(renamed(item.programs) + marker, form.kernelPolicy, &second)
    for chain in chains {
      second.regularChains.append(
        RegularChain(name: "\(index) \(chain.name)", rules: renamed(chain.rules), span: span))
    }
    if let rest = item.rest {
      second.regularChains.append(RegularChain(name: "\(index) \(rest)", rules: marker, span: span))
    }
  }

  /// What tells packets that come there from all others, and also as what they come: some are accepted so, the rest
  /// is rejected.
  private func markers(_ id: String, _ kind: RejectKind) -> [Rule] {
    var accepting = Rule(id: id, name: nil, text: "", verdict: .accept, span: policy.span)
    accepting.quota = Quota(isOver: false, bytes: 1)
    return [accepting, Rule(id: id, name: nil, text: "", verdict: .reject(kind), span: policy.span)]
  }

  /// In place of a chain that rules lead to: it may decide, change what is asked for, and come back.
  private func opaque(_ name: String) -> RegularChain {
    func rule(_ id: String, _ verdict: Verdict) -> Rule {
      var rule = Rule(id: "\(name) \(id)", name: nil, text: "", verdict: verdict, span: policy.span)
      rule.quota = Quota(isOver: false, bytes: 1)
      return rule
    }
    var changing = rule("changes", .continue)
    changing.changes.mark = 0x5eed
    changing.changes.connectionMark = 0x5eed
    changing.changes.dscp = 0x2a
    return RegularChain(
      name: "to \(name)", rules: [rule("accepts", .accept), rule("refuses", .drop), changing],
      span: policy.span)
  }
}

extension Verdict {
  fileprivate func leading(_ rename: (String) -> String) -> Verdict {
    switch self {
    case .jump(let name): return .jump(rename(name))
    case .goto(let name): return .goto(rename(name))
    case .dispatch(var map):
      for index in map.entries.indices {
        map.entries[index].verdict = map.entries[index].verdict.leading(rename)
      }
      map.otherwise = map.otherwise.leading(rename)
      return .dispatch(map)
    default: return self
    }
  }

  fileprivate var rejections: [RejectKind] {
    switch self {
    case .reject(let kind): [kind]
    case .dispatch(let map): map.verdicts.flatMap(\.rejections)
    default: []
    }
  }
}
