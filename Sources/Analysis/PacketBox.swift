import PolicyModel

/// A product of sets, one for each field a rule may ask about: a region of packets of one IP family.
///
/// A field a packet may lack has a value of its own for "absent", so that complements are true complements.
struct PacketBox: Sendable, Hashable {
  /// The fields that are sets of numbers.
  enum Field: Int, CaseIterable, Sendable {
    /// IP protocol number; `Field.absentProtocol` where the kernel finds none.
    case transportProtocol
    case sourcePort
    case destinationPort
    /// `type << 8 | code`.
    case icmp
    case sourceAddress
    case destinationAddress
    /// Index of the conntrack state's bit: exactly one holds.
    case state
    /// All combinations of the conntrack status bits we know; no entry counts as no bit.
    case status
    case user
    case group
    /// What the routing table says: 0 local, 1 broadcast, 2 anything else.
    case sourceType
    case destinationType
    /// Byte 13 of the TCP header; `absentFlags` where it cannot be read.
    case tcpFlags
    case dscp
    case timeToLive
    case length
    /// linux/if_packet.h PACKET_*.
    case packetType
    /// `absentLink` where no Ethernet device delivered the packet.
    case sourceLink
    case destinationLink
    /// Seconds since midnight, UTC.
    case hour
    /// 0 is Sunday.
    case day
    // 1: it is.
    case fragment
    case spoofed
    case ipsec
  }

  /// Ports and ICMP types are 16 bits, ids 32 bits: the next number stands for "absent".
  static let absentProtocol: UInt128 = 256
  static let absentPort: UInt128 = 0x1_0000
  static let absentID: UInt128 = 0x1_0000_0000
  static let absentFlags: UInt128 = 0x100
  static let absentLink: UInt128 = 0x1_0000_0000_0000

  var family: Families
  private var numbers: [IntervalSet<UInt128>]
  /// The fields that are less than their universe, a bit each: most of most boxes are not, and nothing is done for
  /// those.
  private var narrowedFields: UInt32 = 0
  var inputInterface: NameSet
  var outputInterface: NameSet
  var mark: MarkSet
  /// Absent without a connection.
  var connectionMark: MarkSet
  /// What is known about sets that are filled meanwhile: whether they hold an address of the packet.
  var memberships: [Membership: Bool] = [:]
  /// What is known about the control group of the packet's sender: whether a clause with the group would hold. It
  /// holds for one below another too, but only once the number of each is in the kernel, so of two such that is known
  /// apart.
  ///
  /// INVARIANT: of two that no process can be in, at most one is true.
  var controlGroups: [ControlGroup: Bool] = [:]

  /// All packets of one family.
  init(all family: Families) {
    self.family = family
    numbers = family == .ipv4 ? Self.universesIPv4 : Self.universesIPv6
    inputInterface = .all
    outputInterface = .all
    mark = .present
    connectionMark = .all
  }

  static func universe(_ field: Field, _ family: Families) -> IntervalSet<UInt128> {
    (family == .ipv4 ? universesIPv4 : universesIPv6)[field.rawValue]
  }

  // Every box begins as these, so they are shared.
  private static let universesIPv4 = Field.allCases.map { makeUniverse($0, .ipv4) }
  private static let universesIPv6 = Field.allCases.map { makeUniverse($0, .ipv6) }

  private static func makeUniverse(_ field: Field, _ family: Families) -> IntervalSet<UInt128> {
    let upper: UInt128 =
      switch field {
      case .transportProtocol: absentProtocol
      case .sourcePort, .destinationPort, .icmp: absentPort
      case .sourceAddress, .destinationAddress: family == .ipv4 ? UInt128(UInt32.max) : .max
      case .state: UInt128(Self.states.count - 1)
      case .status: UInt128(1 << Self.statusBits.count) - 1
      case .user, .group: absentID
      case .sourceType, .destinationType: 2
      case .tcpFlags: absentFlags
      case .dscp: 63
      case .timeToLive: 255
      case .length: UInt128(UInt32.max)
      case .packetType: 3
      case .sourceLink, .destinationLink: absentLink
      case .hour: 86_399
      case .day: 6
      case .fragment, .spoofed, .ipsec: 1
      }
    return IntervalSet([AddressRange(0, upper)])
  }

  static let states: [ConntrackStates] = [.invalid, .established, .related, .new, .untracked]
  /// Established, related, new: of a packet that has an entry of connection tracking. Without one it is invalid or
  /// untracked (`nft_ct_get_eval`), and has no status and no mark of a connection.
  static let trackedStates = IntervalSet<UInt128>([AddressRange(1, 3)])
  static let statusBits: [ConntrackStatus] = [
    .expected, .seenReply, .assured, .confirmed, .snat, .dnat, .dying,
  ]

  /// The bit of a connection whose destination was translated (IPS_DST_NAT).
  static let destinationTranslated: UInt128 = 1 << UInt128(statusBits.firstIndex(of: .dnat) ?? 5)
  /// The same in the words of the language.
  static let statusNames = ["expected", "seen-reply", "assured", "confirmed", "snat", "dnat", "dying"]

  subscript(field: Field) -> IntervalSet<UInt128> {
    get { numbers[field.rawValue] }
    set {
      numbers[field.rawValue] = newValue
      let bit: UInt32 = 1 << field.rawValue
      if newValue == Self.universe(field, family) { narrowedFields &= ~bit } else { narrowedFields |= bit }
    }
  }

  private func isNarrowed(_ field: Int) -> Bool { narrowedFields >> field & 1 == 1 }

  var isEmpty: Bool {
    numbers.indices.contains { isNarrowed($0) && numbers[$0].isEmpty } || inputInterface.isEmpty
      || outputInterface.isEmpty || mark.isEmpty || connectionMark.isEmpty || isOfAnotherState
  }

  /// Whether no packet of the states has such a mark of a connection, or lacks one.
  private var isOfAnotherState: Bool {
    guard connectionMark != .all, isNarrowed(Field.state.rawValue) else { return false }
    let tracked = self[.state].intersection(Self.trackedStates)
    return tracked.isEmpty
      ? !connectionMark.includesAbsent : connectionMark.cubes.isEmpty && tracked == self[.state]
  }

  /// Nil if nothing is in both.
  func intersection(_ other: PacketBox) -> PacketBox? {
    guard family == other.family else { return nil }
    var result = self
    for field in numbers.indices where other.isNarrowed(field) {
      if isNarrowed(field) {
        result.numbers[field] = numbers[field].intersection(other.numbers[field])
        if result.numbers[field].isEmpty { return nil }
      } else {
        result.numbers[field] = other.numbers[field]
      }
    }
    result.narrowedFields |= other.narrowedFields
    result.inputInterface = inputInterface.intersection(other.inputInterface)
    result.outputInterface = outputInterface.intersection(other.outputInterface)
    if mark != other.mark { result.mark = mark.intersection(other.mark) }
    if connectionMark != other.connectionMark {
      result.connectionMark = connectionMark.intersection(other.connectionMark)
    }
    if !other.memberships.isEmpty {
      for (membership, isMember) in other.memberships {
        if result.memberships.updateValue(isMember, forKey: membership) == !isMember { return nil }
      }
    }
    for (group, isIn) in other.controlGroups {
      if result.controlGroups.updateValue(isIn, forKey: group) == !isIn { return nil }
      if isIn, controlGroups.contains(where: { $0.value && !$0.key.overlaps(group) }) { return nil }
    }
    return result.isEmpty ? nil : result
  }

  /// What is in this box and not in the other, as disjoint boxes.
  func subtracting(_ other: PacketBox) -> [PacketBox] {
    guard let common = intersection(other) else { return [self] }
    var rest = self
    var pieces: [PacketBox] = []
    for field in numbers.indices where other.isNarrowed(field) {
      let outside = numbers[field].subtracting(other.numbers[field])
      guard !outside.isEmpty else { continue }
      var piece = rest
      piece.numbers[field] = outside
      piece.narrowedFields |= 1 << field
      pieces.append(piece)
      rest.numbers[field] = common.numbers[field]
      rest.narrowedFields |= 1 << field
    }
    let inputOutside = rest.inputInterface.subtracting(other.inputInterface)
    if !inputOutside.isEmpty {
      var piece = rest
      piece.inputInterface = inputOutside
      pieces.append(piece)
      rest.inputInterface = common.inputInterface
    }
    let outputOutside = rest.outputInterface.subtracting(other.outputInterface)
    if !outputOutside.isEmpty {
      var piece = rest
      piece.outputInterface = outputOutside
      pieces.append(piece)
      rest.outputInterface = common.outputInterface
    }
    for field in [\PacketBox.mark, \.connectionMark] where rest[keyPath: field] != other[keyPath: field] {
      let outside = rest[keyPath: field].subtracting(other[keyPath: field])
      guard !outside.isEmpty else { continue }
      var piece = rest
      piece[keyPath: field] = outside
      pieces.append(piece)
      rest[keyPath: field] = common[keyPath: field]
    }
    for (group, isIn) in other.controlGroups.sorted(by: { $0.key < $1.key })
    where rest.controlGroups[group] == nil {
      var piece = rest
      piece.controlGroups[group] = !isIn
      rest.controlGroups[group] = isIn
      // Who is in another group is in neither of both.
      let isPossible =
        isIn || !piece.controlGroups.contains { $0.value && $0.key != group && !$0.key.overlaps(group) }
      if isPossible { pieces.append(piece) }
    }
    guard !other.memberships.isEmpty else { return pieces }
    // In a fixed order, so that the same policy gives the same witness.
    for (membership, isMember) in other.memberships.sorted(by: { $0.key < $1.key })
    where rest.memberships[membership] == nil {
      var piece = rest
      piece.memberships[membership] = !isMember
      pieces.append(piece)
      rest.memberships[membership] = isMember
    }
    return pieces
  }
}

/// Whether a dynamic or external set holds an address of the packet when it comes: a bit that nobody knows.
struct Membership: Hashable, Comparable, Sendable {
  var set: String
  var side: AddressSide

  static func < (a: Membership, b: Membership) -> Bool {
    (a.set, a.side.rawValue) < (b.set, b.side.rawValue)
  }
}
