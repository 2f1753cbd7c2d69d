import PolicyModel

/// A packet with what becomes of it.
struct Finding {
  var box: PacketBox
  var acceptances: Acceptances
  /// Whether every refusal is a reject.
  var isRejected: Bool
  /// The rule that decides so, or nil for a chain's policy.
  var rule: Rule?
  /// The rule that accepts it where it is accepted, if some of its ways are refused and others not.
  var acceptingRule: Rule?
}

extension Meaning {
  /// Of the packets of a region that a path does with as `holds` says, one.
  ///
  /// - Parameters:
  ///   - packets: truth values.
  ///   - path: outcomes.
  ///   - hook: whose path it is; of the packets, those that can come there.
  func finding(
    in packets: Diagram.Reference, on path: Diagram.Reference, at hook: Hook,
    _ holds: (OutcomeTable, UInt32) -> Bool
  ) -> Finding? {
    let outcomes = diagram.outcomes
    guard diagram.leads(path, from: packets, to: { holds(outcomes, $0) }) else { return nil }
    let region = diagram.and(packets, possible(at: hook))
    guard diagram.leads(path, from: region, to: { holds(outcomes, $0) }) else { return nil }
    let wanted = diagram.map(path, diagram.newOperation()) { table, number in
      holds(table, number) ? OutcomeTable.isTrue : OutcomeTable.isFalse
    }
    let hits = diagram.and(region, wanted)
    guard let box = representative(of: hits, at: hook) else { return nil }
    return finding(of: box, on: path)
  }

  /// What becomes of packets that are alike for every rule.
  func finding(of box: PacketBox, on path: Diagram.Reference) -> Finding {
    let outcome = outcome(of: box, on: path)
    let table = diagram.outcomes
    let acceptances = table.acceptances(outcome)
    let label = table.deciding(outcome, isAccepted: !acceptances.contains(.never)) ?? 0
    return Finding(
      box: box, acceptances: acceptances, isRejected: table.isRejecting(outcome),
      rule: label == 0 ? nil : rules[Int(label)],
      acceptingRule: (table.deciding(outcome, isAccepted: true) ?? 0).nonzero.map { rules[Int($0)] })
  }

  func outcome(of box: PacketBox, on path: Diagram.Reference) -> UInt32 {
    Diagram.outcome(diagram.terminal(path) { bit(of: box, $0) })
  }

  /// What a packet of a box answers to one variable.
  private func bit(of box: PacketBox, _ variable: UInt32) -> Bool {
    let (field, bit) = diagram.layout.meaning(variable)
    switch field {
    case DiagramLayout.mark: return (box.mark.sample ?? 0) >> UInt32(31 - bit) & 1 == 1
    case DiagramLayout.connectionMark: return (box.connectionMark.sample ?? 0) >> UInt32(31 - bit) & 1 == 1
    default:
      if let question = diagram.atoms.question(field) {
        let isMember = box.memberships[question] ?? false
        let index = diagram.atoms.classIndex(of: isMember ? 1 : 0, field)
        return index >> UInt32(diagram.layout.bits[field] - 1 - bit) & 1 == 1
      }
      if let group = diagram.atoms.controlGroup(field) {
        let isIn = box.controlGroups[group] ?? false
        let index = diagram.atoms.classIndex(of: isIn ? 1 : 0, field)
        return index >> UInt32(diagram.layout.bits[field] - 1 - bit) & 1 == 1
      }
      let values =
        field == DiagramField.input
        ? box.inputInterface.numbers
        : field == DiagramField.output
          ? box.outputInterface.numbers : box[PacketBox.Field(rawValue: field) ?? .day]
      let index = diagram.atoms.classIndex(of: values.ranges.first?.lower ?? 0, field)
      return index >> UInt32(diagram.layout.bits[field] - 1 - bit) & 1 == 1
    }
  }
}

extension UInt32 {
  /// Nil for the label of no rule.
  fileprivate var nonzero: UInt32? { self == 0 ? nil : self }
}
