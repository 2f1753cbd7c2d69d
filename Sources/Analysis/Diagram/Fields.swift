import PolicyModel

/// The fields of a packet as a diagram orders them.
///
/// Marks are not among them: masks ask for their bits one by one, and they stand in a diagram bit by bit.
enum DiagramField {
  /// `PacketBox.Field` by number, then the two interfaces, then whether sets hold the packet's addresses, then whether
  /// its sender is in control groups.
  static let input = PacketBox.Field.allCases.count
  static let output = input + 1
  private static let firstMembership = output + 1
  /// Sets that the policies at hand may ask, each for two addresses.
  static let maximumSets = 64
  private static let firstControlGroup = firstMembership + 2 * maximumSets
  /// Control groups that the policies at hand may ask for.
  static let maximumControlGroups = 64
  static let count = firstControlGroup + maximumControlGroups

  /// 1: the set holds the address.
  static func membership(_ slot: Int, _ side: AddressSide) -> Int {
    firstMembership + 2 * slot + (side == .source ? 0 : 1)
  }

  /// 1: a clause with the group holds.
  static func controlGroup(_ slot: Int) -> Int { firstControlGroup + slot }

  static func isMembership(_ field: Int) -> Bool {
    (firstMembership..<firstControlGroup).contains(field)
  }

  static func memberships(_ side: AddressSide) -> [Int] {
    (0..<maximumSets).map { membership($0, side) }
  }

  /// The largest value; what a packet lacks is a value too.
  static func maximum(_ field: Int, _ family: Families) -> UInt128 {
    if field >= firstMembership { return 1 }
    guard let number = PacketBox.Field(rawValue: field) else { return .max }
    return PacketBox.universe(number, family).ranges.last?.upper ?? 0
  }

  /// From the root down, as hosts ask: what most rules ask for and few values part comes first (facts of the design: the
  /// order decides the size).
  static let order: [Int] =
    [input, output]
    + ([
      .state, .transportProtocol, .icmp, .destinationPort, .sourceAddress, .destinationAddress, .sourcePort,
      .status, .sourceType, .destinationType, .tcpFlags, .fragment, .spoofed, .ipsec, .packetType, .user,
      .group, .sourceLink, .destinationLink, .dscp, .timeToLive, .length, .hour, .day,
    ] as [PacketBox.Field]).map(\.rawValue) + Array(firstMembership..<count)

  /// As a router between networks asks: whether an interface's packets have the addresses that belong behind it, and then
  /// what may go to where they want. With the ports in front of the addresses, each port would have all senders anew.
  static let routerOrder: [Int] = {
    let first =
      [input]
      + ([.sourceAddress, .sourceLink] as [PacketBox.Field]).map(\.rawValue) + [output]
      + [PacketBox.Field.destinationAddress.rawValue]
    return first + order.filter { !first.contains($0) }
  }()
}

/// Interface names as numbers of the same order: up to 15 bytes, the first one highest.
enum NameNumber {
  static func of(_ name: String) -> UInt128 { of(bytes: name.utf8) }

  static func of(bytes: some Sequence<UInt8>) -> UInt128 {
    var number: UInt128 = 0
    var shift: UInt128 = 120
    for byte in bytes.prefix(15) {
      number |= UInt128(byte) << shift
      shift -= 8
    }
    return number
  }

  static func range(_ pattern: InterfacePattern) -> AddressRange<UInt128> {
    let first = of(pattern.name)
    // IFNAMSIZ: no name is longer.
    guard pattern.isPrefix, pattern.name.utf8.count < 15 else { return AddressRange(first, first) }
    let free = UInt128(16 - min(pattern.name.utf8.count, 15)) * 8
    return AddressRange(first, free >= 128 ? .max : first | ((UInt128(1) << free) - 1))
  }

  /// Bytes of a bound: one past a name is the name and a NUL, as `NameSet` has it.
  static func bytes(_ number: UInt128) -> [UInt8] {
    if number & 0xff == 1 { return bytes(number - 1) + [0] }
    var bytes: [UInt8] = (0..<16).map { UInt8(truncatingIfNeeded: number >> UInt128(120 - $0 * 8)) }
    while bytes.last == 0 { bytes.removeLast() }
    return bytes
  }
}
