import PolicyModel

/// How two outcomes differ; numbers are of one table.
struct OutcomeComparer {
  private var order: LimiterOrder
  private let limiters: [Meaning.Limiter?]
  /// By alteration, what a translation writes; none, where that is not told.
  private var translations: [[String]] = []
  private let asksEffect: Bool
  /// Marks that other chains ask, or rules that later packets meet.
  private let laterMarks: Set<MarkKind>
  private var known: [Pair: PacketDifference.Direction?] = [:]

  private struct Pair: Hashable {
    var old: UInt32
    var new: UInt32
  }

  init(_ meaning: Meaning, laterMarks: Set<MarkKind> = [], tellsTranslations: Bool = false) {
    self.laterMarks = laterMarks
    asksEffect = meaning.sideEffect != nil
    limiters = meaning.limiters
    order = LimiterOrder(meaning.diagram.outcomes, meaning.limiters, comparesRules: true)
    if tellsTranslations {
      translations = meaning.diagram.outcomes.alterations.map { TranslationText.words($0.written, meaning) }
    }
  }

  /// Nil: they do not differ.
  mutating func verdict(_ old: UInt32, _ new: UInt32, _ table: OutcomeTable) -> PacketDifference.Direction? {
    if old == new { return nil }
    // What nobody can read is told apart.
    if !table.unreadable(old).isEmpty || !table.unreadable(new).isEmpty { return nil }
    if let verdict = known[Pair(old: old, new: new)] { return verdict }
    let verdict = compare(old, new, table)
    known[Pair(old: old, new: new)] = .some(verdict)
    return verdict
  }

  private mutating func compare(
    _ old: UInt32, _ new: UInt32, _ table: OutcomeTable
  ) -> PacketDifference.Direction? {
    let (before, after) = (table.acceptances(old), table.acceptances(new))
    // No such packet: it is tracked in one of them only.
    if before.isEmpty || after.isEmpty {
      if before == after { return nil }
      // Dropped as it comes there, it is dropped otherwise too, or that is told of the packet as it comes there.
      let own = leaves(before.isEmpty ? new : old, table)
      return own.allSatisfy { $0.kind == .drop } ? nil : .incomparable
    }
    if !table.isUnknown(old), !table.isUnknown(new) {
      order.table = table
      let (isLess, isMore) = (order.isAtMost(new, old), order.isAtMost(old, new))
      if isLess != isMore { return isLess ? .narrowed : .widened }
      if !isLess { return .incomparable }
    } else if before != after {
      return .incomparable
    }
    let (first, second) = (leaves(old, table), leaves(new, table))
    // A limiter may decide between ends that accept alike, and another one between the same.
    let isKnown = !table.isUnknown(old) && !table.isUnknown(new)
    if first == second, !isKnown || asksAlike(old, new, table) { return nil }
    // Packets that are delivered with other addresses are others for whoever gets them.
    guard translations(first, table) == translations(second, table) else { return .incomparable }
    // What asks a mark then, may let by more or less.
    return laterMarks.allSatisfy { marks($0, first, table) == marks($0, second, table) }
      ? .visible : .incomparable
  }

  private func marks(
    _ kind: MarkKind, _ leaves: Set<OutcomeTable.Outcome>, _ table: OutcomeTable
  ) -> Set<PacketAlteration.Mark> {
    Set(
      leaves.compactMap { outcome in
        guard outcome.kind == .accept else { return nil }
        let alteration = table.alterations[Int(outcome.detail)]
        return kind == .mark ? alteration.mark : alteration.connectionMark
      })
  }

  private func translations(
    _ leaves: Set<OutcomeTable.Outcome>, _ table: OutcomeTable
  ) -> Set<[PacketAlteration.Written]> {
    Set(
      leaves.compactMap { outcome in
        outcome.kind == .accept ? table.alterations[Int(outcome.detail)].written : nil
      })
  }

  /// Whether both ask limiters that say the same, and end alike behind each answer.
  private func asksAlike(_ old: UInt32, _ new: UInt32, _ table: OutcomeTable) -> Bool {
    let (before, after) = (table[old], table[new])
    guard before.kind == .branch, after.kind == .branch else {
      return before.kind == after.kind && before.detail == after.detail
    }
    guard let here = limiters[Int(before.detail)], let there = limiters[Int(after.detail)],
      before.detail == after.detail || Meaning.count(of: here.rule) == Meaning.count(of: there.rule)
    else { return false }
    return asksAlike(before.first, after.first, table) && asksAlike(before.second, after.second, table)
  }

  /// Whether the same rules that nobody can read are asked, and all ends are the same behind each answer.
  func leavesOpenAlike(_ old: UInt32, _ new: UInt32, _ table: OutcomeTable) -> Bool {
    let (before, after) = (table[old], table[new])
    guard before.kind == .branch, after.kind == .branch else {
      return before.kind == after.kind && before.detail == after.detail
    }
    func words(_ oracle: UInt32) -> String? {
      guard Oracle.unreadableLabel(oracle) == nil else { return nil }
      return limiters[Int(oracle)].map { Meaning.words(of: $0.rule) }
    }
    guard before.detail == after.detail || words(before.detail).map({ $0 == words(after.detail) }) ?? false
    else { return false }
    return leavesOpenAlike(before.first, after.first, table)
      && leavesOpenAlike(before.second, after.second, table)
  }

  /// All ends, without labels.
  private func leaves(_ number: UInt32, _ table: OutcomeTable) -> Set<OutcomeTable.Outcome> {
    var outcome = table[number]
    if outcome.kind == .branch {
      return leaves(outcome.first, table).union(leaves(outcome.second, table))
    }
    outcome.first = 0
    return [outcome]
  }

  func label(_ number: UInt32, _ table: OutcomeTable) -> UInt32 {
    table.deciding(number, isAccepted: !table.acceptances(number).contains(.never)) ?? 0
  }

  func text(_ number: UInt32, _ table: OutcomeTable) -> String {
    let acceptances = table.acceptances(number)
    if acceptances.isEmpty { return "not tracked so" }
    let ends = leaves(number, table).sorted { ($0.kind.rawValue, $0.detail) < ($1.kind.rawValue, $1.detail) }
    let texts = ends.map { text($0, table) }
    let all = texts.enumerated().filter { !texts[..<$0.offset].contains($0.element) }.map(\.element)
      .joined(separator: " or ")
    let asked = oracles(number, table)
    let limits = asked.compactMap { limiters[Int($0)].map { Meaning.words(of: $0.rule) } }
    return limits.isEmpty ? all : all + " by " + limits.joined(separator: ", ")
  }

  private func oracles(_ number: UInt32, _ table: OutcomeTable) -> [UInt32] {
    let outcome = table[number]
    guard outcome.kind == .branch else { return [] }
    let all = [outcome.detail] + oracles(outcome.first, table) + oracles(outcome.second, table)
    var seen: Set<UInt32> = []
    return all.filter { seen.insert($0).inserted }
  }

  private func text(_ outcome: OutcomeTable.Outcome, _ table: OutcomeTable) -> String {
    switch outcome.kind {
    case .effect: return "each"
    case .drop: return asksEffect ? "none" : "dropped"
    case .reject:
      let kind = RejectKind.allCases[Int(outcome.detail)]
      return kind == .automatic ? "rejected" : "rejected with \(kind.rawValue)"
    case .accept:
      let alteration = table.alterations[Int(outcome.detail)]
      var words: [String] = []
      switch alteration.mark {
      case .value(let value): words.append("mark 0x\(String(value, radix: 16))")
      case .connection: words.append("its connection's mark")
      case .bits(let value, let mask, let kind):
        words.append(
          (kind == .mark ? "" : "its connection's mark and ")
            + "mark 0x\(String(value, radix: 16))/0x\(String(mask, radix: 16))")
      case .packet: break
      }
      switch alteration.connectionMark {
      case .value(let value): words.append("connmark 0x\(String(value, radix: 16))")
      case .bits(let value, let mask, let kind):
        words.append(
          (kind == .connmark ? "" : "its mark saved and ")
            + "connmark 0x\(String(value, radix: 16))/0x\(String(mask, radix: 16))")
      case .packet: words.append("its mark saved")
      case .connection: break
      }
      if let dscp = alteration.dscp { words.append("dscp \(dscp)") }
      words += translations[Int(outcome.detail)]
      return words.isEmpty ? "accepted" : "accepted with " + words.joined(separator: ", ")
    default: return "undecided"
    }
  }
}
