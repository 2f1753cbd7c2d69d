import PolicyModel

/// What a translation writes, in words: `destination 10.0.0.2 port 8080`.
enum TranslationText {
  /// Elements of a list that are told.
  private static let shown = 4

  static func words(_ written: [PacketAlteration.Written], _ meaning: Meaning) -> [String] {
    var fields: [Int: UInt32?] = [:]
    for one in written { fields[one.field] = .some(one.set) }
    func values(_ field: PacketBox.Field) -> IntervalSet<UInt128>? {
      guard case .some(.some(let set)) = fields[field.rawValue] else { return nil }
      let members = Set(meaning.diagram.atoms.classes(of: set, field.rawValue))
      return meaning.diagram.atoms.values(field.rawValue, where: members.contains)
    }
    func side(
      _ word: String, _ address: PacketBox.Field, _ port: PacketBox.Field, _ type: PacketBox.Field
    ) -> String? {
      let port = values(port).map { " port " + list($0) { [RegionText.range($0)] } } ?? ""
      guard fields[address.rawValue] != nil else { return port.isEmpty ? nil : word + port }
      if let addresses = values(address) {
        return word + " " + list(addresses) { RegionText.prefixes($0, meaning.family) } + port
      }
      // Of `redirect` it is known that the host has it.
      return (values(type) == nil ? "another \(word)" : "a \(word) of this host") + port
    }
    let sides = [
      side("source", .sourceAddress, .sourcePort, .sourceType),
      side("destination", .destinationAddress, .destinationPort, .destinationType),
    ].compactMap { $0 }
    let isFilling = DiagramField.isMembership
    return sides + (written.contains { isFilling($0.field) } && sides.isEmpty ? ["sets that it writes"] : [])
  }

  private static func list(
    _ values: IntervalSet<UInt128>, _ texts: (AddressRange<UInt128>) -> [String]
  ) -> String {
    let all = values.ranges.prefix(shown + 1).flatMap(texts)
    let rest = max(values.ranges.count, all.count) - shown
    return all.prefix(shown).joined(separator: ", ") + (rest > 0 ? " … and \(rest) more" : "")
  }
}
