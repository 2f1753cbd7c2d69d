/// One statement of a rule in nft's own granularity: what the nft text prints and what the kernel
/// expressions encode. Both are derived from it apart, and a test loads both and compares the dumps.
package enum RuleStatement: Sendable, Equatable {
  case match(Field, Operator, Operand)
  case counter(name: String?)
  case limit(rate: UInt64, seconds: UInt64, burst: UInt32, isBytes: Bool, isOver: Bool)
  case quota(bytes: UInt64, isOver: Bool)
  case log(prefix: String, level: UInt8?, group: UInt16?)
  case reject(Reject)
  case verdict(KernelVerdict)
  /// A verdict by a look-up of the field in a map.
  case verdictMap(Field, SetReference)

  /// What is compared. The guard a field needs (family, protocol) is a statement of its own before it.
  package indirect enum Field: Sendable, Equatable {
    case family
    case transportProtocol
    case inputInterfaceName
    case outputInterfaceName
    case ipv4Source
    case ipv4Destination
    case ipv6Source
    case ipv6Destination
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
    case fibSourceType
    case fibDestinationType
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
    /// Inclusive; always most significant byte first, also for ids.
    case range([UInt8], [UInt8])
    /// `isInterval`: whether its elements are ranges, for which an id is turned round first.
    case set(SetReference, isInterval: Bool)
  }

  package struct Reject: Sendable, Equatable {
    package var type: UInt32
    package var code: UInt8?

    package init(type: UInt32, code: UInt8?) {
      self.type = type
      self.code = code
    }
  }
}
