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
    case addresses(AddressSide, AddressMatch)
    case interfaces(InterfaceSide, [InterfacePattern])
    /// Ranges of ids of the sending socket's owner, ascending and merged.
    case user([AddressRange<UInt32>])
    case group([AddressRange<UInt32>])
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

/// A union of addresses and of what the kernel decides. The one place where a definition's name survives.
package struct AddressMatch: Sendable, Equatable {
  package enum Special: String, Sendable, CaseIterable {
    /// The routing table says: an address of this host.
    case local
    /// The routing table says: a broadcast address. IPv4 only.
    case broadcast
  }

  /// The static part. For `any` it is all addresses; `multicast` is 224.0.0.0/4 and ff00::/8.
  package var addresses: AddressSet
  /// The definition whose addresses exactly these are, if the clause is one `$name`.
  package var name: String?
  /// Sorted by name.
  package var specials: [Special]

  package init(addresses: AddressSet, name: String? = nil, specials: [Special] = []) {
    self.addresses = addresses
    self.name = name
    self.specials = specials
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
