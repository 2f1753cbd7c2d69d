/// One statement of a rule in nft's own granularity: what the nft text prints and what the kernel
/// expressions encode. Both are derived from it apart, and a test loads both and compares the dumps.
///
/// What is long and rare stands apart (`indirect`): lists of many thousand rules are made of these.
package enum RuleStatement: Sendable, Equatable {
  case match(Field, Operator, Operand)
  case counter(name: String?)
  indirect case limit(rate: UInt64, seconds: UInt64, burst: UInt32, isBytes: Bool, isOver: Bool)
  case quota(bytes: UInt64, isOver: Bool)
  indirect case log(prefix: String, level: UInt8?, group: UInt16?)
  case reject(Reject)
  case change(Change)
  indirect case setUpdate(SetUpdate)
  case notrack
  case verdict(KernelVerdict)
  /// A verdict by a look-up of the field in a map.
  case verdictMap(Field, SetReference)
  case masquerade
  /// Port bytes.
  case redirect(port: [UInt8]?)
  indirect case nat(NAT)
  /// `dnat` to the address and port that a map holds for the field.
  indirect case natMap(isV6: Bool, Field, SetReference)

  /// What is compared. The guard a field needs (family, protocol) is a statement of its own before it.
  package enum Field: Sendable, Equatable {
    case family
    case transportProtocol
    case inputInterfaceName
    case outputInterfaceName
    case ipv4Source
    case ipv4Destination
    case ipv6Source
    case ipv6Destination
    /// The bits of an address that are in the mask.
    indirect case masked(Field, [UInt8])
    /// `name` is the header nft prints: `tcp`, `udp`, `sctp`, `dccp`, `udplite`, or `th` for several.
    case sourcePort(header: String)
    case destinationPort(header: String)
    case icmpType
    case icmpCode
    case icmpv6Type
    case icmpv6Code
    case conntrackState
    case conntrackStatus
    case socketUser
    case socketGroup
    /// The number of the control group at that level that the sending process is in or below.
    case socketControlGroup(level: UInt32)
    case fibSourceType
    case fibDestinationType
    /// A mask other than nil is applied first.
    case packetMark(mask: UInt32?)
    case connectionMark(mask: UInt32?)
    /// The flags in the mask.
    case tcpFlags(mask: UInt8)
    /// linux/if_arp.h ARPHRD_*, of the device that the packet came in by.
    case inputInterfaceType
    case linkSource
    case linkDestination
    /// The six bits as they lie in the header: register bytes are the code point times 4.
    case ipv4DSCP
    /// The six bits as they lie in the first two bytes: register bytes are the code point times 64.
    case ipv6DSCP
    case ipv4TimeToLive
    case ipv6HopLimit
    case packetLength
    case packetType
    /// Seconds since midnight, UTC.
    case hour
    case day
    case ipv4FragmentOffset
    /// Of the fragment header; absent where there is none.
    case ipv6FragmentOffset
    /// 1: the source is reached by the interface that the packet came in by.
    case reverseRoute
    /// 1: the packet came by IPsec.
    case securityPath
    /// Concatenated `meta l4proto . th dport`.
    case protocolAndDestinationPort
    /// Concatenated `icmp type . icmp code`.
    case icmpTypeAndCode
    /// Concatenated `icmpv6 type . icmpv6 code`.
    case icmpv6TypeAndCode
    /// Any fields side by side, each in whole registers.
    case concatenated([Field])
  }

  package enum Operator: Sendable, Equatable {
    case equal
    /// Holds only where the field is present: an absent one ends the rule, whatever it asks.
    case notEqual
    /// `field & mask != 0`; the operand is the mask.
    case anyBit
  }

  package enum Operand: Sendable, Equatable {
    /// Register bytes.
    case value([UInt8])
    /// An interface-name prefix: the bytes before the `*`, 1 to 14.
    case prefix([UInt8])
    /// An address prefix: its network, all bytes of it, and its length in bits, less than all and not 0.
    case network([UInt8], bits: Int)
    /// Inclusive; always most significant byte first, also for what is held in host order.
    case range([UInt8], [UInt8])
    /// `isInterval`: whether its elements are ranges, for which an id is turned round first.
    case set(SetReference, isInterval: Bool)
  }

  package struct NAT: Sendable, Equatable {
    package var isSource: Bool
    package var isV6: Bool
    /// Register bytes, inclusive.
    package var lower: [UInt8]
    package var upper: [UInt8]
    /// The bits behind the common ones stay the packet's.
    package var isPrefix: Bool
    package var ports: (lower: [UInt8], upper: [UInt8])?

    package static func == (a: NAT, b: NAT) -> Bool {
      a.isSource == b.isSource && a.isV6 == b.isV6 && a.lower == b.lower && a.upper == b.upper
        && a.isPrefix == b.isPrefix && a.ports?.lower == b.ports?.lower && a.ports?.upper == b.ports?.upper
    }
  }

  package struct Reject: Sendable, Equatable {
    package var type: UInt32
    package var code: UInt8?

    package init(type: UInt32, code: UInt8?) {
      self.type = type
      self.code = code
    }
  }

  /// An element of a dynamic set is made, refreshed or taken out. The family that the key needs is a statement of
  /// its own before it.
  package struct SetUpdate: Sendable, Equatable {
    package var operation: Expression.SetOperation
    package var set: String
    package var key: Field
    /// What of the key counts, as register bytes; nil: all.
    package var mask: [UInt8]?
    /// Seconds; nil: the set's own.
    package var timeout: UInt64?
    package var state: ElementState?

    package init(
      _ operation: Expression.SetOperation, _ set: String, key: Field, mask: [UInt8]? = nil,
      timeout: UInt64? = nil, state: ElementState? = nil
    ) {
      self.operation = operation
      self.set = set
      self.key = key
      self.mask = mask
      self.timeout = timeout
      self.state = state
    }
  }

  /// What a statement changes. The guard it needs (family, protocol) is a statement of its own before it.
  package enum Change: Sendable, Equatable {
    case packetMark(UInt32)
    case connectionMark(UInt32)
    /// Takes the connection's mark; without a connection it ends the rule.
    case restoreMark
    case saveMark
    case ipv4DSCP(UInt8)
    case ipv6DSCP(UInt8)
    /// Nil: what the route's MTU leaves. A malformed TCP header ends the rule.
    case segmentSize(UInt16?)
  }
}
