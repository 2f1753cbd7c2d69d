/// What makes two changes one.
struct ChangeKey: Hashable {
  var place: String
  var direction: PacketDifference.Direction
  var before: String
  var after: String
  /// Ids of rules, or names of what several of them have in common.
  var oldRule: String?
  var newRule: String?
}

/// Packets that one rule of the old policy decides about, and one of the new.
struct ChangePair {
  var key: ChangeKey
  /// Their labels.
  var rules: (UInt32, UInt32)
}

/// Where pairs are too many to be told one by one: those of one rule together, with whatever rules of the other side.
struct MergedKinds {
  enum Form: CaseIterable {
    /// By the rule of the side that accepts more.
    case rule
    /// By the chain in which it stands.
    case chain
    /// By what becomes of the packets alone.
    case outcome
  }

  private(set) var list: [ChangePair] = []
  /// By pair, its number in the list.
  private(set) var numbers: [UInt32] = []
  /// By number, how many rules decide beside the first one.
  private(set) var others: [(old: Int, new: Int)] = []

  /// - Parameter id: of the rule of a label, which is that of the chain's policy where there is none.
  init(_ pairs: [ChangePair], _ form: Form, _ id: (UInt32) -> String?) {
    func name(_ label: UInt32) -> String? {
      guard form != .outcome, let id = id(label) else { return nil }
      guard form == .chain else { return id }
      return id.lastIndex { $0 == "#" || $0 == "/" }.map { String(id[..<$0]) } ?? id
    }
    var known: [ChangeKey: Int] = [:]
    var rules: [(old: Set<UInt32>, new: Set<UInt32>)] = []
    for pair in pairs {
      var key = pair.key
      let isOfOld = key.direction == .narrowed
      key.oldRule = isOfOld ? name(pair.rules.0) : nil
      key.newRule = isOfOld ? nil : name(pair.rules.1)
      let number = known[key] ?? list.count
      if number == list.count {
        known[key] = number
        list.append(ChangePair(key: key, rules: pair.rules))
        rules.append(([], []))
      }
      rules[number].old.insert(pair.rules.0)
      rules[number].new.insert(pair.rules.1)
      numbers.append(UInt32(number))
    }
    others = rules.map { ($0.old.count - 1, $0.new.count - 1) }
  }
}
