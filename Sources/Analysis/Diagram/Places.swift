import PolicyModel

extension Firewall {
  /// The chains of one hook, in the order a packet meets them. Of those of one priority the kernel asks first what was
  /// loaded last, which nothing says afterwards (`nf_hook_entries_grow`).
  func steps(of hook: Hook) -> [Meaning.Step] {
    let chains = baseChains.indices.filter { baseChains[$0].hook == hook }.map { index in
      let chain = baseChains[index]
      let priority = chain.isNAT ? Self.translationPriority(of: hook) : chain.priority
      return (priority: priority, chain: index)
    }.sorted { a, b in
      // Chains of nat are asked one behind the other, by their own priorities.
      (a.priority, baseChains[a.chain].priority, a.chain) < (
        b.priority, baseChains[b.chain].priority, b.chain
      )
    }
    var steps: [(priority: Int32, step: Meaning.Step)] = []
    for (priority, chain) in chains {
      guard let last = steps.last, last.priority == priority,
        last.step.chains.contains(where: { isOrderOpen($0, chain) })
      else {
        steps.append((priority, .chain(chain)))
        continue
      }
      steps[steps.count - 1].step = .together(last.step.chains + [chain])
    }
    if isTranslating, hook != .ingress, hook != .forward,
      !baseChains.contains(where: { $0.hook == hook && $0.isNAT })
    {
      // What another hook has translated is translated back here.
      steps.append((Self.translationPriority(of: hook), .translation(hook)))
    }
    return steps.sorted { $0.priority < $1.priority }.map(\.step)
  }

  /// Whether two chains of one hook and one priority may see the same packet, so that it may matter which is asked first.
  private func isOrderOpen(_ first: Int, _ second: Int) -> Bool {
    let (one, other) = (baseChains[first], baseChains[second])
    if one.isNAT, other.isNAT, one.priority != other.priority { return false }
    return !one.families.isDisjoint(with: other.families)
      && (one.devices.isEmpty || other.devices.isEmpty || one.devices.contains(where: other.devices.contains))
  }

  /// The chains that a packet of a place meets (LANGUAGE.md §6.2).
  func path(of hook: Hook) -> [Meaning.Step] { hook.path.flatMap(steps) }

  /// The same without what comes behind the place's own hook.
  func pathToEnd(of hook: Hook) -> [Meaning.Step] {
    hook.path.prefix { $0 != hook }.flatMap(steps) + steps(of: hook)
  }

  /// Where the routing decision may send packets of a path whose destination was translated.
  func elsewhere(than hook: Hook) -> Meaning.Elsewhere? {
    guard isTranslating else { return nil }
    let before = [Hook.ingress, .prerouting].flatMap(steps).count
    return switch hook {
    case .input: Meaning.Elsewhere(after: before, steps: [Hook.forward, .postrouting].flatMap(steps))
    case .forward: Meaning.Elsewhere(after: before, steps: steps(of: .input))
    default: nil
    }
  }

  /// Nat chains of all priorities are called from here: NF_IP_PRI_NAT_DST, NF_IP_PRI_NAT_SRC of
  /// linux/netfilter_ipv4.h (`nf_nat_register_fn`).
  private static func translationPriority(of hook: Hook) -> Int32 {
    hook == .prerouting || hook == .output ? -100 : 100
  }

  /// Only chains of nat can.
  var isTranslating: Bool {
    baseChains.contains(where: \.isNAT)
      && containsRule { if case .translate = $0.verdict { true } else { false } }
  }
}

/// What the kernel itself changes between two places of a path.
enum KernelChanges {
  /// Whether a path asks twice for a field that is another one by then: a forwarded packet loses one of its TTL
  /// before `forward`, and fragments are one packet behind −400 in prerouting.
  ///
  /// What a regular chain asks counts for each base chain that leads anywhere.
  static func isUnknown(_ region: [PacketBox], _ hook: Hook, of firewall: Firewall?) -> Bool {
    guard let firewall else { return false }
    let chains = hook.path.flatMap { hook in firewall.baseChains.filter { $0.hook == hook } }
    func isNarrowed(_ field: PacketBox.Field) -> Bool {
      region.contains { $0[field] != PacketBox.universe(field, $0.family) }
    }
    func asks(_ chains: [BaseChain], _ holds: (Match.Condition) -> Bool) -> Bool {
      chains.contains { chain in
        func asks(_ rule: Rule) -> Bool { rule.isEnabled && rule.matches.contains { holds($0.condition) } }
        if chain.rules.contains(where: asks) { return true }
        let leads = !firewall.regularChains.isEmpty && chain.rules.contains { !$0.verdict.targets.isEmpty }
        return leads && firewall.regularChains.contains { $0.rules.contains(where: asks) }
      }
    }
    let isArrival = { (chain: BaseChain) in chain.hook == .ingress || chain.hook == .prerouting }
    let isRaw = { (chain: BaseChain) in
      chain.hook == .ingress || chain.hook == .prerouting && chain.priority < -400
    }
    func isTwice(
      _ field: PacketBox.Field, isEarly: (BaseChain) -> Bool, _ holds: (Match.Condition) -> Bool
    ) -> Bool {
      let isEarlier = isNarrowed(field) || asks(chains.filter(isEarly), holds)
      return isEarlier && asks(chains.filter { !isEarly($0) }, holds)
    }
    if chains.contains(where: { $0.hook == .forward }),
      isTwice(.timeToLive, isEarly: isArrival, { if case .timeToLive = $0 { true } else { false } })
    {
      return true
    }
    guard chains.contains(where: isRaw) else { return false }
    return isTwice(.length, isEarly: isRaw) { if case .length = $0 { true } else { false } }
      || isTwice(.fragment, isEarly: isRaw) { $0 == .fragment }
  }
}
