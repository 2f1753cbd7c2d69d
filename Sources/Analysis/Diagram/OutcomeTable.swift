import PolicyModel

/// A way that rules may take without the packet deciding it.
enum Oracle {
  /// Something that is not known, such as the address a translation takes.
  static let unknown: UInt32 = 0

  /// What a rule does that nobody can read, by its label.
  static func unreadable(_ label: UInt32) -> UInt32 { label | 1 << 31 }

  /// The label of a rule that nobody can read; nil: it is another way.
  static func unreadableLabel(_ oracle: UInt32) -> UInt32? { oracle >> 31 == 1 ? oracle & ~(1 << 31) : nil }

  /// Whether no limiter decides.
  static func isUnknown(_ oracle: UInt32) -> Bool { oracle == unknown || oracle >> 31 == 1 }
}

/// What becomes of a packet: a leaf, or a question to a limiter with what follows from either answer.
///
/// Equal outcomes are equal numbers. Numbers are those of the diagram's terminals.
struct OutcomeTable {
  enum Kind: UInt8 {
    case accept
    case drop
    case reject
    /// A rule has done what is asked for beside that; what becomes of the packet then is not asked.
    case effect
    /// No rule of the chain has decided: the next one is asked.
    case pass
    /// The chain is left, and its caller goes on.
    case returned
    /// There is no such packet.
    case impossible
    /// Of a verdict map: no line of it.
    case miss
    /// A limiter decides between `first`, where the rule it stands in is met, and `second`.
    case branch
  }

  struct Outcome: Hashable {
    var kind: Kind
    /// accept, pass, returned: the number of the alteration. reject: its kind. effect: its number. branch: the oracle.
    var detail: UInt32 = 0
    /// accept, drop, reject, effect: the deciding rule, if labels are kept. branch: if the answer is yes.
    var first: UInt32 = 0
    /// branch: if the answer is no.
    var second: UInt32 = 0
  }

  static let unlabelled: UInt32 = 0

  private(set) var outcomes: [Outcome] = []
  /// Numbers of outcomes from 1 on, by open addressing; 0 is free. A labelled diagram has an outcome for each rule.
  private var slots = [UInt32](repeating: 0, count: 64)
  private(set) var alterations: [PacketAlteration] = []
  private var alterationNumbers: [PacketAlteration: UInt32] = [:]

  static let isFalse: UInt32 = 0
  static let isTrue: UInt32 = 1
  /// `pass` without any alteration.
  static let pass: UInt32 = 2
  static let impossible: UInt32 = 3

  init() {
    // The two truth values are terminals that mean no outcome.
    for outcome in [
      Outcome(kind: .miss, detail: .max), Outcome(kind: .miss, detail: .max - 1), Outcome(kind: .pass),
      Outcome(kind: .impossible),
    ] {
      _ = intern(outcome)
    }
    _ = number(of: PacketAlteration())
  }

  subscript(number: UInt32) -> Outcome { outcomes[Int(number)] }

  mutating func intern(_ outcome: Outcome) -> UInt32 {
    var slot = Self.hash(outcome) & (slots.count - 1)
    while slots[slot] != 0 {
      let number = slots[slot] - 1
      if outcomes[Int(number)] == outcome { return number }
      slot = (slot + 1) & (slots.count - 1)
    }
    let number = UInt32(outcomes.count)
    outcomes.append(outcome)
    slots[slot] = number + 1
    if outcomes.count * 2 > slots.count { growSlots() }
    return number
  }

  private mutating func growSlots() {
    slots = [UInt32](repeating: 0, count: slots.count * 2)
    for (number, outcome) in outcomes.enumerated() {
      var slot = Self.hash(outcome) & (slots.count - 1)
      while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
      slots[slot] = UInt32(number) + 1
    }
  }

  private static func hash(_ outcome: Outcome) -> Int {
    var hash = UInt64(outcome.first) << 32 | UInt64(outcome.second)
    hash = hash &* 0x9e37_79b9_7f4a_7c15
    hash ^= hash >> 32 ^ (UInt64(outcome.detail) << 8 | UInt64(outcome.kind.rawValue))
    hash = hash &* 0xff51_afd7_ed55_8ccd
    return Int(truncatingIfNeeded: hash >> 33)
  }

  mutating func number(of alteration: PacketAlteration) -> UInt32 {
    if let number = alterationNumbers[alteration] { return number }
    let number = UInt32(alterations.count)
    alterations.append(alteration)
    alterationNumbers[alteration] = number
    return number
  }

  mutating func branch(_ oracle: UInt32, _ first: UInt32, _ second: UInt32) -> UInt32 {
    if first == second { return first }
    // What the limiter let by is no packet, so it has not.
    if first == Self.impossible { return second }
    if second == Self.impossible { return first }
    // The unknown has no yes and no.
    let isSwapped = oracle == Oracle.unknown && first > second
    return intern(
      Outcome(
        kind: .branch, detail: oracle, first: isSwapped ? second : first, second: isSwapped ? first : second))
  }

  /// An outcome, its leaves replaced.
  mutating func map(
    _ number: UInt32, _ memo: inout [UInt32: UInt32], _ leaf: (inout OutcomeTable, Outcome) -> Outcome
  ) -> UInt32 {
    if let known = memo[number] { return known }
    let outcome = self[number]
    let result: UInt32
    if outcome.kind == .branch {
      let first = map(outcome.first, &memo, leaf)
      let second = map(outcome.second, &memo, leaf)
      result = branch(outcome.detail, first, second)
    } else {
      result = number <= Self.isTrue ? number : intern(leaf(&self, outcome))
    }
    memo[number] = result
    return result
  }

  /// Whether some of what meets it leaves its chain for the caller.
  func returns(_ number: UInt32) -> Bool {
    let outcome = self[number]
    return outcome.kind == .branch
      ? returns(outcome.first) || returns(outcome.second) : outcome.kind == .returned
  }

  /// Whether what goes on with the next rule is changed.
  func passesAltered(_ number: UInt32) -> Bool {
    let outcome = self[number]
    return switch outcome.kind {
    case .branch: passesAltered(outcome.first) || passesAltered(outcome.second)
    case .pass: outcome.detail != 0
    default: false
    }
  }

  /// Whether two outcomes are the same whatever limiters answer, and whichever rules decide.
  mutating func isAlike(_ a: UInt32, _ b: UInt32) -> Bool {
    if a == b { return true }
    let (one, other) = (self[a], self[b])
    func asked(_ outcome: Outcome) -> UInt32? {
      // The unknown answers each time for itself.
      outcome.kind == .branch && outcome.detail != Oracle.unknown ? outcome.detail : nil
    }
    guard let oracle = asked(one) ?? asked(other) else {
      guard one.kind == other.kind, one.detail == other.detail else { return false }
      return one.kind != .branch || isAlike(one.first, other.first) && isAlike(one.second, other.second)
    }
    return [true, false].allSatisfy { answer in
      let (left, right) = (answered(a, oracle, answer), answered(b, oracle, answer))
      return isAlike(left, right)
    }
  }

  /// An outcome, once a limiter has answered.
  private mutating func answered(_ number: UInt32, _ oracle: UInt32, _ answer: Bool) -> UInt32 {
    let outcome = self[number]
    guard outcome.kind == .branch else { return number }
    if outcome.detail == oracle { return answered(answer ? outcome.first : outcome.second, oracle, answer) }
    let (first, second) = (answered(outcome.first, oracle, answer), answered(outcome.second, oracle, answer))
    return branch(outcome.detail, first, second)
  }

  /// An outcome that is met only after an alteration.
  mutating func prefixed(_ alteration: UInt32, _ number: UInt32) -> UInt32 {
    var memo: [UInt32: UInt32] = [:]
    return map(number, &memo) { table, outcome in
      guard [.accept, .pass, .returned].contains(outcome.kind) else { return outcome }
      var outcome = outcome
      let first = table.alterations[Int(alteration)]
      outcome.detail = table.number(of: first.followed(by: table.alterations[Int(outcome.detail)]))
      return outcome
    }
  }
}
