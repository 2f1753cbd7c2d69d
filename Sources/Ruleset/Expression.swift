/// One expression of the kernel's rule program, as linux/netfilter/nf_tables.h names it.
///
/// Registers are the kernel's numbers: 0 verdict, 1–4 of 16 bytes, 8–23 of 4 bytes. Data are register
/// bytes: network order for addresses and ports, host order (little-endian here) for marks, ids and states.
///
/// What is long and rare stands apart (`indirect`): programs of many thousand rules are made of these.
package enum Expression: Sendable, Equatable {
  case meta(MetaKey, register: UInt32)
  case payload(PayloadBase, offset: UInt32, length: UInt32, register: UInt32)
  case compare(register: UInt32, Comparison, [UInt8])
  /// `not` holds outside the bounds.
  case range(register: UInt32, isNegated: Bool, lower: [UInt8], upper: [UInt8])
  case bitwise(register: UInt32, destination: UInt32, mask: [UInt8], xor: [UInt8])
  case byteOrder(register: UInt32, destination: UInt32, toNetwork: Bool, length: UInt32, size: UInt32)
  case lookup(register: UInt32, SetReference, isNegated: Bool)
  /// The data of the key's element goes to `destination`; 0 takes a verdict. Without an element the rule ends.
  case mapLookup(register: UInt32, SetReference, destination: UInt32)
  case conntrack(ConntrackKey, register: UInt32)
  /// NFT_SOCKET_CGROUPV2: the number of the ancestor at a level of the sending socket's control group.
  case socketControlGroup(level: UInt32, register: UInt32)
  case fib(result: FIBResult, flags: UInt32, register: UInt32)
  /// Of an IPv6 extension header, by its protocol number.
  case extensionHeader(type: UInt8, offset: UInt32, length: UInt32, register: UInt32)
  case route(RouteKey, register: UInt32)
  case setMeta(MetaKey, register: UInt32)
  case setConntrack(ConntrackKey, register: UInt32)
  /// `checksum` is the offset of the Internet checksum that covers the bytes; nil: none does.
  case setPayload(PayloadBase, offset: UInt32, length: UInt32, register: UInt32, checksum: UInt32?)
  /// A part of a TCP option, by its kind.
  case setTCPOption(kind: UInt8, offset: UInt32, length: UInt32, register: UInt32)
  case notrack
  case counter
  case objectReference(type: UInt32, name: String)
  /// `seconds` is the unit: 1, 60, 3600, 86400. `isBytes` selects NFT_LIMIT_PKT_BYTES.
  indirect case limit(rate: UInt64, seconds: UInt64, burst: UInt32, isBytes: Bool, isOver: Bool)
  case quota(bytes: UInt64, isOver: Bool)
  /// Ends the rule where the element cannot be made, or what it carries does not hold; a deletion never does.
  /// `timeout` in milliseconds; nil: the set's own.
  indirect case dynamicSet(register: UInt32, set: String, SetOperation, timeout: UInt64?, ElementState?)
  indirect case log(prefix: String, level: UInt32?, group: UInt16?)
  /// `type` NFT_REJECT_*: 0 ICMP unreachable, 1 TCP reset, 2 ICMPX; `code` is nil for a reset.
  case reject(type: UInt32, code: UInt8?)
  case verdict(KernelVerdict)
  /// Register bytes that a later expression reads.
  case immediate(register: UInt32, [UInt8])
  /// Numbers of registers; a range of one value has the same register twice, as the kernel dumps it. `flags`
  /// are NF_NAT_RANGE_* of linux/netfilter/nf_nat.h, those that the kernel derives from the registers too.
  indirect case nat(
    isSource: Bool, family: UInt32, addresses: ClosedRange<UInt32>, ports: ClosedRange<UInt32>?,
    flags: UInt32)
  case masquerade
  indirect case redirect(ports: ClosedRange<UInt32>?, flags: UInt32)
  /// Read from the kernel, not produced by us: the expression's name and its data attribute's bytes.
  indirect case unknown(name: String, [UInt8])

  /// NFT_DYNSET_OP_*.
  package enum SetOperation: UInt32, Sendable {
    case add = 0
    case update = 1
    case delete = 2
  }

  /// NFT_META_*.
  package enum MetaKey: UInt32, Sendable {
    case length = 0
    case mark = 3
    case inputInterface = 4
    case outputInterface = 5
    case inputInterfaceName = 6
    case outputInterfaceName = 7
    case inputInterfaceType = 8
    case socketUser = 10
    case socketGroup = 11
    case family = 15
    case transportProtocol = 16
    case packetType = 19
    case securityPath = 25
    case day = 31
    case hour = 32
  }

  /// NFT_PAYLOAD_*.
  package enum PayloadBase: UInt32, Sendable {
    case linkLayer = 0
    case network = 1
    case transport = 2
  }

  /// NFT_CMP_*.
  package enum Comparison: UInt32, Sendable {
    case equal = 0
    case notEqual = 1
    case less = 2
    case lessOrEqual = 3
    case greater = 4
    case greaterOrEqual = 5
  }

  /// NFT_CT_*.
  package enum ConntrackKey: UInt32, Sendable {
    case state = 0
    case direction = 1
    case status = 2
    case mark = 3
  }

  /// NFT_RT_*.
  package enum RouteKey: UInt32, Sendable {
    case segmentSize = 3
  }

  /// NFT_FIB_RESULT_*.
  package enum FIBResult: UInt32, Sendable {
    case outputInterface = 1
    case outputInterfaceName = 2
    case addressType = 3
  }
}

package enum KernelVerdict: Sendable, Hashable {
  case accept
  case drop
  case `continue`
  case `return`
  case jump(String)
  case goto(String)
}

/// What every element of a dynamic set has of its own.
package enum ElementState: Sendable, Hashable {
  /// As `Expression.limit`.
  case limit(rate: UInt64, seconds: UInt64, burst: UInt32, isBytes: Bool, isOver: Bool)
  /// Holds while there are at most so many connections, or over them.
  case connections(count: UInt32, isOver: Bool)
}
