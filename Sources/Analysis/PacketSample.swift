package import PolicyModel

/// One concrete packet of a region, value by value: what a reader would expect where the region leaves a choice.
package struct PacketSample: Sendable, Equatable {
  package var family: Families
  /// IP protocol number; nil: the packet has no transport header that the kernel finds.
  package var transportProtocol: UInt8?
  /// In host byte order; of IPv4 the low 32 bits.
  package var source: UInt128
  package var destination: UInt128
  /// Nil where the protocol has none, or a later fragment lacks them.
  package var sourcePort: UInt16?
  package var destinationPort: UInt16?
  /// `type << 8 | code`.
  package var icmp: UInt16?
  /// Byte 13 of the TCP header.
  package var tcpFlags: UInt8?
  package var dscp: UInt8
  package var timeToLive: UInt8
  /// Of the whole IP packet, in bytes; nil: as long as its headers.
  package var length: Int?
  /// A later fragment.
  package var isFragment: Bool
  /// 48 bits; nil: whatever a device has.
  package var sourceLink: UInt64?
  package var destinationLink: UInt64?
  package var inputInterface: String?
  package var outputInterface: String?
  /// Seconds since midnight, UTC.
  package var secondOfDay: Int
  /// 0 is Sunday.
  package var weekday: Int

  init(_ box: PacketBox, hook: Hook) {
    family = box.family
    let protocols = box[.transportProtocol]
    let number = Self.protocolNumber(protocols, family)
    transportProtocol = number < PacketBox.absentProtocol ? UInt8(truncatingIfNeeded: number) : nil
    source = Self.address(box[.sourceAddress], box.family, preferring: Witness.outside)
    destination = Self.address(box[.destinationAddress], box.family, preferring: Witness.inside)
    let hasPorts = [6, 17, 33, 132, 136].contains(number)
    sourcePort = hasPorts ? Self.port(box[.sourcePort], preferring: [40_000]) : nil
    destinationPort = hasPorts ? Self.port(box[.destinationPort], preferring: [22, 80, 443, 8080]) : nil
    if number == 1 || number == 58, let value = box[.icmp].ranges.first?.lower, value < PacketBox.absentPort {
      icmp = UInt16(truncatingIfNeeded: value)
    }
    if number == 6 {
      let flags = Self.value(box, .tcpFlags, usual: 2)
      tcpFlags = flags < PacketBox.absentFlags ? UInt8(truncatingIfNeeded: flags) : nil
    }
    dscp = UInt8(truncatingIfNeeded: Self.value(box, .dscp, usual: 0))
    timeToLive = UInt8(truncatingIfNeeded: Self.value(box, .timeToLive, usual: 64))
    length = box[.length].contains(60) ? nil : box[.length].ranges.first.map { Int(clamping: $0.lower) }
    isFragment = !box[.fragment].contains(0)
    sourceLink = Self.link(box[.sourceLink])
    destinationLink = Self.link(box[.destinationLink])
    if hook != .output, hook != .postrouting { inputInterface = box.inputInterface.sample() }
    if hook != .input, hook != .prerouting { outputInterface = box.outputInterface.sample() }
    secondOfDay = Int(clamping: Self.value(box, .hour, usual: 43_200))
    weekday = Int(clamping: Self.value(box, .day, usual: 1))
  }

  static func protocolNumber(_ set: IntervalSet<UInt128>, _ family: Families) -> UInt128 {
    Witness.usual(.transportProtocol, family).first { set.contains($0) } ?? set.ranges.first?.lower ?? 0
  }

  static func address(
    _ set: IntervalSet<UInt128>, _ family: Families, preferring usual: [UInt128]
  ) -> UInt128 {
    if let address = usual.first(where: {
      set.contains($0) && (family == .ipv6) == ($0 > UInt128(UInt32.max))
    }) {
      return address
    }
    // Of a network a host, and not the network itself.
    func host(_ range: AddressRange<UInt128>) -> UInt128 {
      range.lower < range.upper && range.lower & 0xff == 0 ? range.lower + 1 : range.lower
    }
    let hosts = set.ranges.lazy.map(host)
    return hosts.first { !Martian.has($0, family) } ?? hosts.first ?? 0
  }

  private static func port(_ set: IntervalSet<UInt128>, preferring usual: [UInt128]) -> UInt16? {
    if let port = usual.first(where: { set.contains($0) }) { return UInt16(truncatingIfNeeded: port) }
    guard let first = set.ranges.first, first.lower < PacketBox.absentPort else { return nil }
    return first.lower == 0 && first.upper > 0 ? 1 : UInt16(truncatingIfNeeded: first.lower)
  }

  private static func value(_ box: PacketBox, _ field: PacketBox.Field, usual: UInt128) -> UInt128 {
    box[field].contains(usual) ? usual : box[field].ranges.first?.lower ?? usual
  }

  private static func link(_ set: IntervalSet<UInt128>) -> UInt64? {
    guard !set.contains(PacketBox.absentLink), let first = set.ranges.first else { return nil }
    return UInt64(truncatingIfNeeded: first.lower)
  }
}
