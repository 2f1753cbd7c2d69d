internal import Analysis
internal import PolicyModel

/// Which packets rules put into sets, or take out of them. Rules that ask those sets are met by others then, and whether
/// that lets more by is a question of their order, which nobody asks here: each difference is incomparable.
struct FillComparison {
  private(set) var settings: [PolicyComparison.Setting] = []
  private(set) var unknown: [PacketDifference.Unknown] = []

  /// What a rule does to a set; whatever rule does it.
  private struct Fill: Hashable {
    var set: String
    var operation: SetUpdate.Operation
    var side: AddressSide
    var timeout: UInt64?

    init(_ update: SetUpdate) {
      (set, operation, side, timeout) = (update.set, update.operation, update.key.side, update.timeout)
    }

    var words: String {
      let timeout = timeout.map { " timeout \($0)s" } ?? ""
      return "\(set): \(operation.rawValue) \(side.rawValue)\(timeout)"
    }
  }

  init(from old: HostPolicy, to new: HostPolicy, listsInFull: Bool) {
    var fills: [Fill] = []
    for policy in [old, new] {
      policy.firewall?.forEachRule { rule in
        guard rule.isEnabled else { return }
        for fill in rule.changes.setUpdates.map(Fill.init) where !fills.contains(fill) { fills.append(fill) }
      }
    }
    for fill in fills {
      let difference = PacketDifference(
        from: Self.marked(old, fill), to: Self.marked(new, fill), listsInFull: listsInFull)
      for change in difference.changes {
        let (was, isNow) = (Self.isFilling(change.before), Self.isFilling(change.after))
        guard was || isNow else { continue }
        let regions = change.regions.map { $0.isEmpty ? "all packets" : $0 }.joined(separator: "; ")
        let words = was && isNow ? "another share of" : isNow ? "now of" : "no more of"
        settings.append(
          PolicyComparison.Setting(
            direction: .incomparable, domain: "set",
            text: "\(fill.words) in \(change.place), \(words) \(regions), for example \(change.witness)",
            oldSpan: change.oldRule?.span, newSpan: change.newRule?.span))
      }
      unknown += difference.unknown
    }
  }

  /// The policy with a rejection where that is done, and none elsewhere, so that what is rejected is what is put there.
  private static func marked(_ policy: HostPolicy, _ fill: Fill) -> HostPolicy {
    func marked(_ rule: Rule) -> Rule {
      var result = rule
      if rule.changes.setUpdates.contains(where: { Fill($0) == fill }) {
        result.verdict = .reject(.automatic)
      } else {
        result.verdict = rule.verdict.withoutRejection
      }
      return result
    }
    var result = policy
    guard var firewall = policy.firewall else { return result }
    for index in firewall.baseChains.indices {
      firewall.baseChains[index].rules = firewall.baseChains[index].rules.map(marked)
      if firewall.baseChains[index].policy == .reject { firewall.baseChains[index].policy = .drop }
    }
    for index in firewall.regularChains.indices {
      firewall.regularChains[index].rules = firewall.regularChains[index].rules.map(marked)
      if firewall.regularChains[index].policy == .reject { firewall.regularChains[index].policy = .drop }
    }
    result.firewall = firewall
    return result
  }

  private static func isFilling(_ outcome: String) -> Bool { outcome.contains("reject") }
}

extension Verdict {
  /// The same, but that what is refused gets no answer.
  fileprivate var withoutRejection: Verdict {
    switch self {
    case .reject: return .drop
    case .dispatch(var map):
      for index in map.entries.indices {
        map.entries[index].verdict = map.entries[index].verdict.withoutRejection
      }
      map.otherwise = map.otherwise.withoutRejection
      return .dispatch(map)
    default: return self
    }
  }
}
