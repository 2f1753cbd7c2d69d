import PolicyModel

/// What rules make of the packets that meet them.
extension Meaning {
  func changed(_ changes: Changes, _ hit: Diagram.Reference) -> Diagram.Reference {
    let with = diagram.outcomes.number(
      of: writing(changes, PacketAlteration(changes, hasConnection: true)))
    let without = diagram.outcomes.number(
      of: writing(changes, PacketAlteration(changes, hasConnection: false)))
    let connected = diagram.behind(with, hit)
    if with == without { return connected }
    let unconnected = diagram.behind(without, hit)
    let isTracked = diagram.condition(forms.tracked)
    return diagram.choose(isTracked, connected, unconnected)
  }

  /// What a set that a rule writes holds then is not known: a full one takes no more, and the other address may be the
  /// same one.
  private func writing(_ changes: Changes, _ alteration: PacketAlteration) -> PacketAlteration {
    var alteration = alteration
    for update in changes.setUpdates {
      guard let slot = diagram.atoms.dynamicSets.firstIndex(of: update.set) else { continue }
      for side in [AddressSide.source, .destination] {
        forget(DiagramField.membership(slot, side), &alteration)
      }
    }
    return alteration
  }

  /// Nor is it known which sets hold an address that a translation has written.
  func withMemberships(_ alteration: PacketAlteration) -> PacketAlteration {
    var result = alteration
    for (field, side) in [
      (PacketBox.Field.sourceAddress, AddressSide.source), (.destinationAddress, .destination),
    ] where alteration.written.contains(where: { $0.field == field.rawValue }) {
      for membership in DiagramField.memberships(side) { forget(membership, &result) }
    }
    return result
  }

  private func forget(_ field: Int, _ alteration: inout PacketAlteration) {
    // What nobody asks for has no variable.
    guard diagram.layout.bits[field] > 0, !alteration.written.contains(where: { $0.field == field }) else {
      return
    }
    alteration.written.append(PacketAlteration.Written(field: field, set: nil))
    alteration.written.sort { $0.field < $1.field }
  }

  func translation(_ compiled: CompiledFirewall.CompiledRule) -> Diagram.Reference {
    var result = Diagram.pass
    let label = isLabelled ? compiled.label : OutcomeTable.unlabelled
    for translated in compiled.translations.reversed() {
      let number = diagram.outcomes.number(of: withMemberships(translated.alteration))
      let leaf = diagram.terminal(OutcomeTable.Outcome(kind: .accept, detail: number, first: label))
      guard let form = translated.condition else {
        result = leaf
        continue
      }
      let condition = diagram.condition(form)
      result = diagram.choose(condition, leaf, result)
    }
    return result
  }
}
