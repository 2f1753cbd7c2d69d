/// An address list in which more than one part has an exception, or an exception has one of its own, and of which
/// something is asked packet by packet: neither is one list less another.
package indirect enum AddressTree: Sendable, Equatable {
  /// INVARIANT: without a tree of its own.
  case list(AddressMatch)
  case union([AddressTree])
  case difference(AddressTree, AddressTree)

  /// Something that is asked about the address of a packet.
  package enum Question: Sendable, Hashable, Comparable {
    case special(AddressMatch.Special)
    /// Whether a dynamic or external set holds it.
    case set(String)

    package static func < (a: Question, b: Question) -> Bool {
      switch (a, b) {
      case (.special(let a), .special(let b)): a.rawValue < b.rawValue
      case (.set(let a), .set(let b)): a < b
      case (.special, .set): true
      case (.set, .special): false
      }
    }
  }

  /// The addresses that are in the list where all questions have these answers.
  package struct Decision: Sendable, Equatable {
    package var answers: [(question: Question, isYes: Bool)]
    /// Of one family.
    package var addresses: AddressSet

    package static func == (a: Decision, b: Decision) -> Bool {
      a.addresses == b.addresses && a.answers.count == b.answers.count
        && zip(a.answers, b.answers).allSatisfy { $0.question == $1.question && $0.isYes == $1.isYes }
    }
  }

  /// Lists in it, each as often as it stands there.
  package var partCount: Int {
    switch self {
    case .list: 1
    case .union(let parts): parts.reduce(0) { $0 + $1.partCount }
    case .difference(let a, let b): a.partCount + b.partCount
    }
  }

  /// In the order in which they are asked.
  package var questions: [Question] {
    switch self {
    case .list(let match):
      let specials = match.specials + (match.exception?.specials ?? [])
      return Set(specials.map(Question.special) + match.allSets.map(Question.set)).sorted()
    case .union(let parts): return Set(parts.flatMap(\.questions)).sorted()
    case .difference(let a, let b): return Set(a.questions + b.questions).sorted()
    }
  }

  /// What there is to decide in one family; the answers exclude each other, and one of them is always given.
  package func decisions(in family: Families) -> [Decision] {
    var questions = questions
    // No IPv6 address is one of a broadcast.
    if family == .ipv6 { questions.removeAll { $0 == .special(.broadcast) } }
    return decisions(questions[...], [:], family)
  }

  private func decisions(
    _ questions: ArraySlice<Question>, _ answers: [Question: Bool], _ family: Families
  ) -> [Decision] {
    guard let question = questions.first else {
      return [Decision(answers: [], addresses: addresses(answers, family))]
    }
    func branch(_ isYes: Bool) -> [Decision] {
      decisions(questions.dropFirst(), answers.merging([question: isYes]) { _, new in new }, family)
    }
    let (yes, no) = (branch(true), branch(false))
    if yes == no { return yes }
    func asked(_ decisions: [Decision], _ isYes: Bool) -> [Decision] {
      decisions.map { Decision(answers: [(question, isYes)] + $0.answers, addresses: $0.addresses) }
    }
    return asked(yes, true) + asked(no, false)
  }

  private func addresses(_ answers: [Question: Bool], _ family: Families) -> AddressSet {
    switch self {
    case .list(let match):
      func all(
        _ addresses: AddressSet, _ specials: [AddressMatch.Special], _ sets: [String]
      ) -> AddressSet {
        let isIn =
          specials.contains { answers[.special($0)] ?? false } || sets.contains { answers[.set($0)] ?? false }
        let known = isIn ? AddressSet.all : addresses
        return family == .ipv4 ? AddressSet(ipv4: known.ipv4) : AddressSet(ipv6: known.ipv6)
      }
      let included = all(match.addresses, match.specials, match.sets)
      guard let exception = match.exception else { return included }
      return included.subtracting(all(exception.addresses, exception.specials, exception.sets))
    case .union(let parts):
      return parts.reduce(AddressSet()) { $0.union($1.addresses(answers, family)) }
    case .difference(let a, let b):
      return a.addresses(answers, family).subtracting(b.addresses(answers, family))
    }
  }

  package var families: Families {
    var families: Families = []
    if decisions(in: .ipv4).contains(where: { !$0.addresses.ipv4.isEmpty }) { families.insert(.ipv4) }
    if decisions(in: .ipv6).contains(where: { !$0.addresses.ipv6.isEmpty }) { families.insert(.ipv6) }
    return families
  }
}

extension AddressMatch {
  /// The list as a part of a tree, whose addresses stand in no set by a definition's name.
  package var asTree: AddressTree {
    if let tree { return tree }
    var list = self
    list.name = nil
    list.exception?.name = nil
    return .list(list)
  }
}
