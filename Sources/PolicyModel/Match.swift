/// A condition on a packet.
///
/// `isNegated` means the true complement: the clause holds exactly when the positive one does not, also
/// when the field is absent (LANGUAGE.md §4.2).
package struct Match: Sendable, Equatable {
  package enum Condition: Sendable, Equatable {
    /// Layer-4 protocol numbers, ascending.
    case protocols([UInt8])
    /// A port of one of the protocols, which are ascending, all with ports, and part of the condition.
    /// Negated: one of the protocols *and not* a port in the set (LANGUAGE.md §4.2).
    case ports(PortSide, protocols: [UInt8], PortSet)
    /// An ICMP type (and code), in its family and protocol. Negated like `ports`, inside the protocol.
    case icmp(ICMPFamily, [ICMPType])
    /// Holds for any of the services. Ascending by protocol and families, one entry for each pair of both.
    case services([Service])
    /// The packet's conntrack state is one of these; exactly one of the five holds for every packet.
    case states(ConntrackStates)
    case status(ConntrackStatus)
    indirect case addresses(AddressSide, AddressMatch)
    case interfaces(InterfaceSide, [InterfacePattern])
    /// Ranges of ids of the sending socket's owner, ascending and merged.
    case user([AddressRange<UInt32>])
    case group([AddressRange<UInt32>])
    /// The sending socket is of a process in one of these control groups, or below it. Never negated.
    case controlGroups([ControlGroup])
    /// The packet's own mark, or its connection's; a packet without connection has none.
    case mark(MarkKind, MarkValues)
    /// Of the TCP flags in `mask` exactly those of `value` are set. Negated like `ports`, inside TCP.
    case tcpFlags(value: TCPFlags, mask: TCPFlags)
    /// Link-layer addresses, ascending; only packets that an Ethernet device delivered have any.
    case linkAddresses(AddressSide, [LinkAddress])
    /// Differentiated services code points, 0–63, ascending and merged.
    case dscp([AddressRange<UInt8>])
    /// IPv4's time to live, IPv6's hop limit; ascending and merged.
    case timeToLive([AddressRange<UInt8>])
    /// Bytes from the network header on; ascending and merged.
    case length([AddressRange<UInt32>])
    case packetTypes(PacketTypes)
    case hours(Hours)
    case days(Weekdays)
    /// A fragment other than the first.
    case fragment
    /// No route leads back to the source by the interface the packet came in by. `lo` is never asked.
    case spoofed
    /// The packet came out of an IPsec tunnel or transport.
    case ipsec
  }

  package var condition: Condition
  package var isNegated: Bool

  package init(_ condition: Condition, isNegated: Bool = false) {
    self.condition = condition
    self.isNegated = isNegated
  }
}

package enum PortSide: String, Sendable {
  case source
  case destination
}

package enum AddressSide: String, Sendable {
  case source
  case destination
}

package enum InterfaceSide: String, Sendable {
  case input
  case output
}

/// Ports: a set of 16-bit numbers.
package typealias PortSet = IntervalSet<UInt16>

package enum ICMPFamily: String, Sendable {
  case icmp
  case icmpv6

  /// IPPROTO_ICMP, IPPROTO_ICMPV6.
  package var protocolNumber: UInt8 { self == .icmp ? 1 : 58 }

  package var families: Families { self == .icmp ? .ipv4 : .ipv6 }
}

package struct ICMPType: Sendable, Hashable, Comparable {
  package var type: UInt8
  /// Nil: any code.
  package var code: UInt8?

  package init(type: UInt8, code: UInt8? = nil) {
    self.type = type
    self.code = code
  }

  package static func < (a: ICMPType, b: ICMPType) -> Bool {
    (a.type, a.code.map(Int.init) ?? -1) < (b.type, b.code.map(Int.init) ?? -1)
  }
}

/// A protocol and, if it has ports, the destination ports; nil: the whole protocol.
///
/// The checker writes every list that mixes families as services: `icmp, icmpv6` is protocol 1 in IPv4 or
/// protocol 58 in IPv6, and neither in the other family.
package struct Service: Sendable, Equatable {
  package var protocolNumber: UInt8
  package var ports: PortSet?
  /// The families in which this is the service; a packet of the other family is none of it.
  package var families: Families

  package init(protocolNumber: UInt8, ports: PortSet?, families: Families = .both) {
    self.protocolNumber = protocolNumber
    self.ports = ports
    self.families = families
  }
}

/// Bits as the kernel's NF_CT_STATE_BIT gives them.
package struct ConntrackStates: OptionSet, Sendable, Hashable {
  package let rawValue: UInt32

  package init(rawValue: UInt32) { self.rawValue = rawValue }

  package static let invalid = ConntrackStates(rawValue: 1)
  package static let established = ConntrackStates(rawValue: 2)
  package static let related = ConntrackStates(rawValue: 4)
  package static let new = ConntrackStates(rawValue: 8)
  package static let untracked = ConntrackStates(rawValue: 64)
  package static let all: ConntrackStates = [.invalid, .established, .related, .new, .untracked]
}

/// Bits of enum ip_conntrack_status; a match holds if any bit of it is set.
package struct ConntrackStatus: OptionSet, Sendable, Hashable {
  package let rawValue: UInt32

  package init(rawValue: UInt32) { self.rawValue = rawValue }

  package static let expected = ConntrackStatus(rawValue: 1 << 0)
  package static let seenReply = ConntrackStatus(rawValue: 1 << 1)
  package static let assured = ConntrackStatus(rawValue: 1 << 2)
  package static let confirmed = ConntrackStatus(rawValue: 1 << 3)
  package static let snat = ConntrackStatus(rawValue: 1 << 4)
  package static let dnat = ConntrackStatus(rawValue: 1 << 5)
  package static let dying = ConntrackStatus(rawValue: 1 << 9)
}

/// A union of addresses, of what the kernel decides and of sets that are filled meanwhile, less an exception of the
/// same. The one place where a definition's name survives.
package struct AddressMatch: Sendable, Equatable {
  package enum Special: String, Sendable, CaseIterable {
    /// The routing table says: an address of this host.
    case local
    /// The routing table says: a broadcast address. IPv4 only.
    case broadcast
  }

  /// What is taken out again of all the rest.
  package struct Exception: Sendable, Equatable {
    package var addresses = AddressSet()
    /// The definition whose addresses exactly these are, if the exception is one `$name`.
    package var name: String?
    /// Sorted by name.
    package var specials: [Special] = []
    /// Sorted by name.
    package var sets: [String] = []

    package init() {}
  }

  /// The static part. For `any` it is all addresses; `multicast` is 224.0.0.0/4 and ff00::/8.
  package var addresses: AddressSet
  /// The definition whose addresses exactly these are, if the clause is one `$name`.
  package var name: String?
  /// Sorted by name.
  package var specials: [Special]
  /// Names of dynamic and external sets, sorted.
  package var sets: [String]
  /// Nil where nothing is left to take out.
  ///
  /// INVARIANT: `addresses` holds none of its addresses.
  package var exception: Exception?
  /// The list itself, where it is not one list less another; the members above are empty then.
  package var tree: AddressTree?

  package init(
    addresses: AddressSet, name: String? = nil, specials: [Special] = [], sets: [String] = []
  ) {
    self.addresses = addresses
    self.name = name
    self.specials = specials
    self.sets = sets
  }

  /// - Parameter tree: of which something is asked packet by packet.
  package init(_ tree: AddressTree) {
    self.init(addresses: AddressSet())
    self.tree = tree
  }

  /// Whether the addresses are known when the policy is compiled.
  package var isStatic: Bool { specials.isEmpty && sets.isEmpty && exception == nil && tree == nil }

  /// The dynamic and external sets it asks, each once.
  package var allSets: [String] {
    if isStatic { return [] }
    if let tree { return tree.questions.compactMap { if case .set(let name) = $0 { name } else { nil } } }
    return Set(sets + (exception?.sets ?? [])).sorted()
  }

  /// Whatever the routing table is asked for, each once.
  package var allSpecials: [Special] {
    if isStatic { return [] }
    if let tree {
      return tree.questions.compactMap { if case .special(let special) = $0 { special } else { nil } }
    }
    return Set(specials + (exception?.specials ?? [])).sorted { $0.rawValue < $1.rawValue }
  }

  /// The families in which anything can match.
  package var families: Families {
    if let tree { return tree.families }
    var families: Families = []
    if !addresses.ipv4.isEmpty || !specials.isEmpty || !sets.isEmpty { families.insert(.ipv4) }
    if !addresses.ipv6.isEmpty || specials.contains(.local) || !sets.isEmpty { families.insert(.ipv6) }
    if let exception {
      if exception.addresses.ipv4 == AddressSet.all.ipv4 { families.remove(.ipv4) }
      if exception.addresses.ipv6 == AddressSet.all.ipv6 { families.remove(.ipv6) }
    }
    return families
  }
}

package struct InterfacePattern: Sendable, Hashable, Comparable {
  /// 1–15 bytes; for a prefix without its `*`, possibly empty.
  package var name: String
  package var isPrefix: Bool

  package init(_ name: String, isPrefix: Bool = false) {
    self.name = name
    self.isPrefix = isPrefix
  }

  package static func < (a: InterfacePattern, b: InterfacePattern) -> Bool {
    (a.name, a.isPrefix ? 1 : 0) < (b.name, b.isPrefix ? 1 : 0)
  }
}

package enum MarkKind: String, Sendable {
  case mark
  case connmark
}

/// `(mark & mask)` is in the ranges.
package struct MarkValues: Sendable, Equatable {
  /// Ascending and merged; under a mask of its own one single value, inside the mask.
  package var ranges: [AddressRange<UInt32>]
  package var mask: UInt32

  package init(_ ranges: [AddressRange<UInt32>], mask: UInt32 = .max) {
    self.ranges = ranges
    self.mask = mask
  }
}

/// Byte 13 of the TCP header (RFC 9293).
package struct TCPFlags: OptionSet, Sendable, Hashable {
  package let rawValue: UInt8

  package init(rawValue: UInt8) { self.rawValue = rawValue }

  package static let fin = TCPFlags(rawValue: 1 << 0)
  package static let syn = TCPFlags(rawValue: 1 << 1)
  package static let rst = TCPFlags(rawValue: 1 << 2)
  package static let psh = TCPFlags(rawValue: 1 << 3)
  package static let ack = TCPFlags(rawValue: 1 << 4)
  package static let urg = TCPFlags(rawValue: 1 << 5)
  package static let ecn = TCPFlags(rawValue: 1 << 6)
  package static let cwr = TCPFlags(rawValue: 1 << 7)

  /// By bit, from the lowest; the language's words and nft's.
  package static let names = ["fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"]

  /// The words of the bits that are set.
  package var words: [String] {
    Self.names.indices.filter { rawValue >> UInt8($0) & 1 == 1 }.map { Self.names[$0] }
  }
}

/// An EUI-48 in the low 48 bits.
package struct LinkAddress: Sendable, Hashable, Comparable {
  package var value: UInt64

  package init(_ value: UInt64) { self.value = value & 0xffff_ffff_ffff }

  package static func < (a: LinkAddress, b: LinkAddress) -> Bool { a.value < b.value }

  /// Most significant byte first.
  package var bytes: [UInt8] { (0..<6).map { UInt8(truncatingIfNeeded: value >> UInt64(40 - $0 * 8)) } }
}

/// How the link layer addressed the packet: linux/if_packet.h PACKET_HOST, _BROADCAST, _MULTICAST, _OTHERHOST.
package struct PacketTypes: OptionSet, Sendable, Hashable {
  package let rawValue: UInt8

  package init(rawValue: UInt8) { self.rawValue = rawValue }

  package static let all = PacketTypes(rawValue: 0b1111)

  /// By number.
  package static let names = ["unicast", "broadcast", "multicast", "other"]

  /// The kernel's numbers, ascending.
  package var numbers: [UInt8] { (0..<4).filter { rawValue >> $0 & 1 == 1 } }
}

/// A span of the day, UTC; the end is exclusive and may be past midnight.
package struct Hours: Sendable, Equatable {
  /// Seconds since midnight, below 86,400. INVARIANT: `start != end`.
  package var start: UInt32
  package var end: UInt32

  package init(start: UInt32, end: UInt32) {
    precondition(start != end, "a span of the day is not empty")
    self.start = start
    self.end = end
  }

  /// Inclusive ranges of seconds, ascending: two where midnight is inside.
  package var ranges: [AddressRange<UInt32>] {
    let last: UInt32 = 86_399
    if start < end { return [AddressRange(start, end - 1)] }
    if end == 0 { return [AddressRange(start, last)] }
    return [AddressRange(0, end - 1), AddressRange(start, last)]
  }
}

/// Days of the week, UTC, by the kernel's numbers: bit 0 is Sunday.
package struct Weekdays: OptionSet, Sendable, Hashable {
  package let rawValue: UInt8

  package init(rawValue: UInt8) { self.rawValue = rawValue }

  package static let all = Weekdays(rawValue: 0b111_1111)

  /// By number.
  package static let names = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]

  /// The kernel's numbers, ascending.
  package var numbers: [UInt8] { (0..<7).filter { rawValue >> $0 & 1 == 1 } }
}
