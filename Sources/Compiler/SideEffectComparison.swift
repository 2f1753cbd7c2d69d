internal import Analysis
internal import PolicyModel
internal import Ruleset

/// What two policies do otherwise beside deciding about packets of their firewalls.
struct SideEffectComparison {
  private(set) var settings: [PolicyComparison.Setting] = []
  private(set) var unknown: [PacketDifference.Unknown] = []

  private mutating func add(
    _ difference: PacketDifference, _ setting: (PacketDifference.Change) -> PolicyComparison.Setting
  ) {
    settings += difference.changes.map(setting)
    unknown += difference.unknown
  }

  private static func packets(_ change: PacketDifference.Change) -> String {
    let regions = change.regions.map { $0.isEmpty ? "all packets" : $0 }.joined(separator: "; ")
    return "of \(regions)\(change.isComplete ? "" : " …"), for example \(change.witness)"
  }

  // MARK: Sets

  /// Which packets rules put into sets, or take out of them. Rules that ask those sets are met by others then, and whether
  /// that lets more by is a question of their order, which nobody asks here: each difference is incomparable.
  init(fillsFrom old: HostPolicy, to new: HostPolicy, listsInFull: Bool) {
    var fills: [SideEffect.Fill] = []
    for policy in [old, new] {
      policy.firewall?.forEachRule { rule in
        guard rule.isEnabled else { return }
        for fill in rule.changes.setUpdates.map(SideEffect.Fill.init) where !fills.contains(fill) {
          fills.append(fill)
        }
      }
    }
    for fill in fills {
      let timeout = fill.timeout.map { " timeout \($0)s" } ?? ""
      let words = "\(fill.operation.rawValue) \(fill.side.rawValue)\(timeout)"
      add(PacketDifference(from: old, to: new, listsInFull: listsInFull, sideEffect: .fill(fill))) { change in
        PolicyComparison.Setting(
          direction: .incomparable, domain: "set", key: "\(fill.set): \(words) in \(change.place)",
          old: change.before, new: change.after, packets: Self.packets(change),
          oldSpan: change.oldRule?.span, newSpan: change.newRule?.span)
      }
    }
  }

  // MARK: Logs and counters

  /// More rules of which both tell the same are not asked one by one.
  private static let mostTold = 32

  /// What rules log and count, and of which packets, where the same becomes of those.
  init(toldFrom old: HostPolicy, to new: HostPolicy, listsInFull: Bool) {
    let (before, after) = (ToldRules(old.firewall), ToldRules(new.firewall))
    func add(_ id: String, _ earlier: ToldRules.Told?, _ later: ToldRules.Told?) {
      let texts = (earlier?.text ?? "nothing", later?.text ?? "nothing")
      guard texts.0 != texts.1 else { return }
      // A rule that no packet can meet says nothing, and the kernel has none of it.
      if earlier == nil || later == nil, (earlier ?? later)?.rule.neverMatches ?? false { return }
      settings.append(
        PolicyComparison.Setting(
          direction: .visible, domain: "rule", key: id, old: texts.0, new: texts.1,
          oldSpan: earlier?.span ?? before.spans[id], newSpan: later?.span ?? after.spans[id]))
    }
    for id in after.order { add(id, before.all[id], after.all[id]) }
    for id in before.order where after.all[id] == nil { add(id, before.all[id], nil) }
    let alike = after.order.filter { id in
      guard let earlier = before.all[id], let later = after.all[id] else { return false }
      return earlier.isTelling && earlier.text == later.text
    }
    let touched = SideEffect.touchedRules(Set(alike), from: old, to: new)
    var asked = alike.filter(touched.contains)
    // Those that decide are asked all at once: no packet meets two of them.
    let deciding = asked.filter { id in
      before.all[id]?.isDeciding ?? false && after.all[id]?.isDeciding ?? false
    }
    if deciding.count > 1 {
      let numbers = Dictionary(uniqueKeysWithValues: zip(deciding, UInt32(1)...))
      let together = PacketDifference(from: old, to: new, sideEffect: .firstMet(rules: numbers))
      let isWhole =
        together.unknown.isEmpty && together.changes.allSatisfy { $0.otherOldRules + $0.otherNewRules == 0 }
      let differing = Set(together.changes.flatMap { [$0.oldRule, $0.newRule] }.compactMap { $0?.id })
      if isWhole { asked.removeAll { numbers[$0] != nil && !differing.contains($0) } }
    }
    for id in asked.prefix(Self.mostTold) {
      let words = after.all[id]?.text ?? ""
      self.add(PacketDifference(from: old, to: new, listsInFull: listsInFull, sideEffect: .met(rule: id))) {
        PolicyComparison.Setting(
          direction: .visible, domain: "rule", key: "\(id): \(words) in \($0.place)", old: $0.before,
          new: $0.after, packets: Self.packets($0), oldSpan: $0.oldRule?.span ?? before.spans[id],
          newSpan: $0.newRule?.span ?? after.spans[id])
      }
    }
    if asked.count > Self.mostTold {
      settings.append(
        PolicyComparison.Setting(
          direction: .visible, domain: "rule", key: "\(asked.count - Self.mostTold) more that log or count",
          old: "some packets", new: "perhaps others, which was not asked"))
    }
  }

  // MARK: The closed stage

  /// What the closed firewall lets in before the policy's is there: by its own rules, and later by `management` too.
  init(closedStageFrom old: HostPolicy, to new: HostPolicy, listsInFull: Bool) {
    guard let before = ClosedStage(old), let after = ClosedStage(new) else { return }
    var told: Set<[String]> = []
    for (isLater, name) in [(false, "the closed stage"), (true, "the closed stage with management")] {
      let (first, second) = (before.policy(old, isLater: isLater), after.policy(new, isLater: isLater))
      let difference = PacketDifference(from: first, to: second, listsInFull: listsInFull)
      for change in difference.changes {
        let packets = Self.packets(change)
        guard told.insert([change.direction.rawValue, change.before, change.after, packets]).inserted else {
          continue
        }
        settings.append(
          PolicyComparison.Setting(
            direction: PolicyComparison.Direction(rawValue: change.direction.rawValue) ?? .incomparable,
            domain: "boot", key: name, old: change.before, new: change.after, packets: packets,
            oldSpan: change.oldRule?.span, newSpan: change.newRule?.span))
      }
      unknown += difference.unknown.map {
        PacketDifference.Unknown(place: "\(name), \($0.place)", reason: $0.reason)
      }
    }
    guard before.managementAfter != after.managementAfter else { return }
    // It is for nothing that nobody is let in by.
    let isAny = !before.management.isEmpty && !after.management.isEmpty
    settings.append(
      PolicyComparison.Setting(
        direction: !isAny ? .visible : after.managementAfter < before.managementAfter ? .widened : .narrowed,
        domain: "boot", key: "management-after", old: "\(before.managementAfter)s",
        new: "\(after.managementAfter)s", oldSpan: old.boot.span, newSpan: new.boot.span))
  }
}

extension ClosedStage {
  /// A policy that does what the closed firewall does with what comes to the host.
  ///
  /// - Parameter isLater: with what it lets in for `management`.
  fileprivate func policy(_ policy: HostPolicy, isLater: Bool) -> HostPolicy {
    var result = policy
    let chain = BaseChain(
      hook: .input, priority: 0, policy: .drop, rules: inputRules(withManagement: isLater), span: policy.span)
    result.firewall = Firewall(baseChains: [chain], span: policy.span)
    return result
  }
}

extension PolicyComparison.Setting {
  /// Of limiters that count together on one side alone.
  init(_ sharing: LimiterSharing.Finding) {
    let together = "counted together by \(sharing.together.id)"
    let apart = "each apart by " + sharing.apart.map(\.id).joined(separator: ", ")
    let isApart = sharing.isApart
    self.init(
      direction: !sharing.isAlike ? .incomparable : isApart ? .widened : .narrowed, domain: "limiter",
      key: sharing.words, old: isApart ? together : apart, new: isApart ? apart : together,
      oldSpan: isApart ? sharing.together.span : sharing.apart.last?.span,
      newSpan: isApart ? sharing.apart.last?.span : sharing.together.span)
  }
}
