import PolicyModel

extension Meaning {
  /// Packets of a region, all alike for every rule, that a reader would expect: a usual one is preferred in each
  /// field, as far as the region has it. Nil: the region is empty.
  ///
  /// - Parameters:
  ///   - region: a diagram of truth values.
  ///   - hook: where it is met.
  func representative(of region: Diagram.Reference, at hook: Hook) -> PacketBox? {
    guard region != Diagram.isFalse, !diagram.isExhausted else { return nil }
    var rest = region
    prefer(.state, [3, 4, 1, 2], &rest)
    for (field, value) in [
      (PacketBox.Field.fragment, UInt128(0)), (.spoofed, 0), (.ipsec, 0), (.status, 0), (.sourceType, 2),
    ] {
      prefer(field, [value], &rest)
    }
    preferNames(&rest)
    preferProtocol(&rest)
    prefer(.sourceAddress, Witness.outside, &rest)
    prefer(.destinationAddress, Witness.inside, &rest)
    for (field, values) in [
      (PacketBox.Field.destinationType, [UInt128(0), 2]), (.user, Witness.usual(.user, family, at: hook)),
      (.group, Witness.usual(.group, family, at: hook)), (.dscp, [0]),
      (.timeToLive, [64]), (.length, [60]), (.packetType, [0]), (.sourceLink, [PacketBox.absentLink]),
      (.destinationLink, [PacketBox.absentLink]), (.hour, [43_200]), (.day, [1]),
    ] as [(PacketBox.Field, [UInt128])] {
      prefer(field, values, &rest)
    }
    for bit in 0..<32 { preferClear(diagram.layout.markBit(bit), &rest) }
    for bit in 0..<32 { preferClear(diagram.layout.connectionMarkBit(bit), &rest) }
    return diagram.box(on: rest)
  }

  /// The first of the values, or else of the others, that the region has.
  private func prefer(
    _ field: PacketBox.Field, _ values: [UInt128], _ region: inout Diagram.Reference
  ) {
    for value in values where keep(field.rawValue, value, &region) { return }
  }

  private func keep(_ field: Int, _ value: UInt128, _ region: inout Diagram.Reference) -> Bool {
    guard value <= DiagramField.maximum(field, family) else { return false }
    let members = [diagram.atoms.classIndex(of: value, field)]
    let kept = diagram.and(region, diagram.test(field, members, Diagram.isTrue, Diagram.isFalse))
    guard kept != Diagram.isFalse else { return false }
    region = kept
    return true
  }

  /// What is not the value, if there is such.
  private func avoid(_ field: PacketBox.Field, _ value: UInt128, _ region: inout Diagram.Reference) {
    let member = diagram.atoms.classIndex(of: value, field.rawValue)
    // Where no rule tells it from others, they would be avoided with it.
    guard diagram.atoms.values(field.rawValue, where: { $0 == member }).ranges == [AddressRange(value, value)]
    else { return }
    let kept = diagram.and(region, diagram.test(field.rawValue, [member], Diagram.isFalse, Diagram.isTrue))
    if kept != Diagram.isFalse { region = kept }
  }

  private func preferClear(_ variable: UInt32, _ region: inout Diagram.Reference) {
    let kept = diagram.choose(diagram.bit(variable), Diagram.isFalse, region)
    if kept != Diagram.isFalse { region = kept }
  }

  private func preferNames(_ region: inout Diagram.Reference) {
    for field in [DiagramField.input, DiagramField.output] {
      if keep(field, NameNumber.of("eth0"), &region) { continue }
      let loopback = [diagram.atoms.classIndex(of: NameNumber.of("lo"), field)]
      let other = diagram.and(region, diagram.test(field, loopback, Diagram.isFalse, Diagram.isTrue))
      if other != Diagram.isFalse { region = other }
    }
  }

  /// With a protocol come the fields that its packets have.
  private func preferProtocol(_ region: inout Diagram.Reference) {
    let number = ([6, 17, family == .ipv4 ? 1 : 58] as [UInt128]).first {
      keep(PacketBox.Field.transportProtocol.rawValue, $0, &region)
    }
    if let number, number == 6 || number == 17 {
      avoid(.destinationPort, PacketBox.absentPort, &region)
      avoid(.sourcePort, PacketBox.absentPort, &region)
      prefer(.icmp, [PacketBox.absentPort], &region)
      prefer(.tcpFlags, number == 6 ? [2, 16] : [PacketBox.absentFlags], &region)
      if number == 6 { avoid(.tcpFlags, PacketBox.absentFlags, &region) }
      prefer(.destinationPort, [22, 80, 443, 8080], &region)
      prefer(.sourcePort, [40_000], &region)
    } else {
      if number != nil { avoid(.icmp, PacketBox.absentPort, &region) }
      prefer(.tcpFlags, [PacketBox.absentFlags], &region)
    }
  }
}
