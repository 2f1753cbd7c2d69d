import PolicyModel

/// What rules ask of a packet that others have changed.
extension Diagram {
  /// A diagram of what rules ask of an altered packet, in terms of the packet as it came.
  mutating func behind(_ number: UInt32, _ a: Reference) -> Reference {
    guard number != 0 else { return a }
    let alteration = outcomes.alterations[Int(number)]
    var result = a
    for written in alteration.written {
      let values =
        written.set.map {
          test(written.field, atoms.runs(of: $0, written.field), Self.isTrue, Self.isFalse)
        }
        ?? Self.isTrue
      result = anyOf(result, values, written.field, Operation.alter | 0x0fff_ff00 | UInt32(written.field))
    }
    return replaced(number, alteration, result)
  }

  /// Each value of a set of a field, and no one knows which.
  private mutating func anyOf(
    _ a: Reference, _ values: Reference, _ field: Int, _ operation: UInt32
  ) -> Reference {
    let variable = variable(a)
    if variable >= layout.end(field) { return a }
    if let result = known(a, values, operation) { return result }
    let result: Reference
    if variable < layout.first[field] {
      let children = children(a)
      let low = anyOf(children.low, values, field, operation)
      let high = anyOf(children.high, values, field, operation)
      result = node(variable, low, high)
    } else {
      let top = min(variable, self.variable(values))
      let (own, kept) = (cofactors(a, top), cofactors(values, top))
      if kept.low == Self.isFalse {
        result = anyOf(own.high, kept.high, field, operation)
      } else if kept.high == Self.isFalse {
        result = anyOf(own.low, kept.low, field, operation)
      } else {
        let low = anyOf(own.low, kept.low, field, operation)
        let high = anyOf(own.high, kept.high, field, operation)
        result = branch(Oracle.unknown, low, high)
      }
    }
    remember(a, values, operation, result)
    return result
  }

  private mutating func replaced(
    _ number: UInt32, _ alteration: PacketAlteration, _ a: Reference
  ) -> Reference {
    if Self.isTerminal(a) { return Self.terminal(outcomes.prefixed(number, Self.outcome(a))) }
    if let result = known(a, 0, Operation.alter | number) { return result }
    if isExhausted { return a }
    let (variable, children) = (variable(a), children(a))
    let meaning = layout.meaning(variable)
    let result: Reference
    switch (meaning.field, alteration.mark, alteration.connectionMark) {
    case (DiagramLayout.mark, let mark, _) where mark != .packet:
      result = replaced(number, alteration, children.low, children.high, mark, meaning.bit)
    case (DiagramLayout.connectionMark, _, let mark) where mark != .connection:
      result = replaced(number, alteration, children.low, children.high, mark, meaning.bit)
    case (PacketBox.Field.dscp.rawValue, _, _) where alteration.dscp != nil:
      let field = PacketBox.Field.dscp.rawValue
      let value = atoms.classIndex(of: UInt128(alteration.dscp ?? 0), field)
      let isSet = value >> UInt32(layout.bits[field] - 1 - meaning.bit) & 1 == 1
      result = replaced(number, alteration, isSet ? children.high : children.low)
    default:
      let low = replaced(number, alteration, children.low)
      let high = replaced(number, alteration, children.high)
      result = ordered(variable, low, high)
    }
    remember(a, 0, Operation.alter | number, result)
    return result
  }

  /// A question for a bit of a mark that has another value now.
  private mutating func replaced(
    _ number: UInt32, _ alteration: PacketAlteration, _ low: Reference, _ high: Reference,
    _ mark: PacketAlteration.Mark, _ bit: Int
  ) -> Reference {
    switch mark {
    case .value(let value):
      return replaced(number, alteration, value >> UInt32(31 - bit) & 1 == 1 ? high : low)
    case .bits(let value, let mask, _) where mask >> UInt32(31 - bit) & 1 == 1:
      return replaced(number, alteration, value >> UInt32(31 - bit) & 1 == 1 ? high : low)
    case .packet, .connection, .bits:
      let low = replaced(number, alteration, low)
      let high = replaced(number, alteration, high)
      let isOfPacket =
        switch mark {
        case .packet, .bits(_, _, .mark): true
        default: false
        }
      return ordered(isOfPacket ? layout.markBit(bit) : layout.connectionMarkBit(bit), low, high)
    }
  }

  /// A node whose children may ask for what comes before it.
  mutating func ordered(_ variable: UInt32, _ low: Reference, _ high: Reference) -> Reference {
    if variable < min(self.variable(low), self.variable(high)) { return node(variable, low, high) }
    return choose(bit(variable), high, low)
  }
}
