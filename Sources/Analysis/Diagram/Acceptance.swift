/// How often packets are accepted.
enum Acceptance: UInt8, CaseIterable {
  case never = 1
  /// A limit or quota decides.
  case sometimes = 2
  case always = 4
}

/// All that may be, where something is not known: a set of ``Acceptance``. Empty for packets that do not exist.
struct Acceptances: OptionSet, Hashable {
  let rawValue: UInt8

  static let never = Acceptances(rawValue: 1)
  static let sometimes = Acceptances(rawValue: 2)
  static let always = Acceptances(rawValue: 4)
}

extension OutcomeTable {
  func acceptances(_ number: UInt32) -> Acceptances {
    let outcome = self[number]
    switch outcome.kind {
    case .accept, .pass, .returned, .effect: return .always
    case .drop, .reject: return .never
    case .impossible, .miss: return []
    case .branch:
      let (first, second) = (acceptances(outcome.first), acceptances(outcome.second))
      if Oracle.isUnknown(outcome.detail) { return first.union(second) }
      var result: Acceptances = []
      for a in [Acceptances.never, .sometimes, .always] where first.contains(a) {
        for b in [Acceptances.never, .sometimes, .always] where second.contains(b) {
          result.insert(a == b ? a : .sometimes)
        }
      }
      return result
    }
  }

  /// Whether every refusal is a reject.
  func isRejecting(_ number: UInt32) -> Bool {
    let outcome = self[number]
    return switch outcome.kind {
    case .drop: false
    case .branch: isRejecting(outcome.first) && isRejecting(outcome.second)
    default: true
    }
  }

  /// Whether something that is not known counts.
  func isUnknown(_ number: UInt32) -> Bool {
    let outcome = self[number]
    guard outcome.kind == .branch else { return false }
    return Oracle.isUnknown(outcome.detail) || isUnknown(outcome.first) || isUnknown(outcome.second)
  }

  /// The labels of rules that packets meet and nobody can read.
  func unreadable(_ number: UInt32) -> Set<UInt32> {
    let outcome = self[number]
    guard outcome.kind == .branch else { return [] }
    let below = unreadable(outcome.first).union(unreadable(outcome.second))
    return Oracle.unreadableLabel(outcome.detail).map { below.union([$0]) } ?? below
  }

  /// Whether a limiter is asked.
  func asks(_ oracle: UInt32, _ number: UInt32) -> Bool {
    let outcome = self[number]
    guard outcome.kind == .branch else { return false }
    return outcome.detail == oracle || asks(oracle, outcome.first) || asks(oracle, outcome.second)
  }

  /// The labels of all rules that may accept, in the order they come to it.
  func accepting(_ number: UInt32) -> [UInt32] {
    let outcome = self[number]
    return switch outcome.kind {
    case .accept: [outcome.first]
    case .branch: accepting(outcome.first) + accepting(outcome.second)
    default: []
    }
  }

  /// The label of a rule that decides so: accepts, where `isAccepted`, else refuses; where no limiter does, first.
  func deciding(_ number: UInt32, isAccepted: Bool) -> UInt32? {
    let outcome = self[number]
    switch outcome.kind {
    case .accept, .effect: return isAccepted ? outcome.first : nil
    case .drop, .reject: return isAccepted ? nil : outcome.first
    case .branch:
      return deciding(outcome.second, isAccepted: isAccepted)
        ?? deciding(outcome.first, isAccepted: isAccepted)
    default: return nil
    }
  }
}
