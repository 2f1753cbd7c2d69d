internal import CanonicalJSON
internal import PolicyModel
internal import Ruleset

/// Names of fields and texts of their values.
enum NFTKey {
  static func name(of field: RuleStatement.Field) -> String {
    switch field {
    case .family: "meta nfproto"
    case .transportProtocol: "meta l4proto"
    case .inputInterfaceName: "iifname"
    case .outputInterfaceName: "oifname"
    case .ipv4Source: "ip saddr"
    case .ipv4Destination: "ip daddr"
    case .ipv6Source: "ip6 saddr"
    case .ipv6Destination: "ip6 daddr"
    case .masked(let field, let mask): "\(name(of: field)) & \(address(mask))"
    case .sourcePort(let header): "\(header) sport"
    case .destinationPort(let header): "\(header) dport"
    case .icmpType: "icmp type"
    case .icmpCode: "icmp code"
    case .icmpv6Type: "icmpv6 type"
    case .icmpv6Code: "icmpv6 code"
    case .conntrackState: "ct state"
    case .conntrackStatus: "ct status"
    case .socketUser: "meta skuid"
    case .socketGroup: "meta skgid"
    case .socketControlGroup(let level): "socket cgroupv2 level \(level)"
    case .fibSourceType: "fib saddr type"
    case .fibDestinationType: "fib daddr type"
    case .packetMark(let mask): "meta mark" + masked(mask)
    case .connectionMark(let mask): "ct mark" + masked(mask)
    case .tcpFlags(let mask): "tcp flags & \(flags(mask))"
    case .inputInterfaceType: "meta iiftype"
    case .linkSource: "ether saddr"
    case .linkDestination: "ether daddr"
    case .ipv4DSCP: "ip dscp"
    case .ipv6DSCP: "ip6 dscp"
    case .ipv4TimeToLive: "ip ttl"
    case .ipv6HopLimit: "ip6 hoplimit"
    case .packetLength: "meta length"
    case .packetType: "meta pkttype"
    case .hour: "meta hour"
    case .day: "meta day"
    // nft's field holds IPv4's flag bits too.
    case .ipv4FragmentOffset: "ip frag-off & 0x1fff"
    case .ipv6FragmentOffset: "frag frag-off"
    case .reverseRoute: "fib saddr . iif oif"
    case .securityPath: "meta ipsec"
    case .protocolAndDestinationPort: "meta l4proto . th dport"
    case .icmpTypeAndCode: "icmp type . icmp code"
    case .icmpv6TypeAndCode: "icmpv6 type . icmpv6 code"
    case .concatenated(let fields): fields.map(name).joined(separator: " . ")
    }
  }

  private static func masked(_ mask: UInt32?) -> String { mask.map { " & \(hexadecimal(UInt64($0)))" } ?? "" }

  /// Whether nft needs to be told that the masked value is compared and not looked for bit by bit.
  static func needsOperator(_ field: RuleStatement.Field) -> Bool {
    switch field {
    case .packetMark(let mask), .connectionMark(let mask): mask != nil
    case .tcpFlags, .ipv4FragmentOffset, .masked: true
    default: false
    }
  }

  static func name(of type: KernelSet.KeyType) -> String {
    switch type {
    case .family: "nf_proto"
    case .ipv4Address: "ipv4_addr"
    case .ipv6Address: "ipv6_addr"
    case .inetProtocol: "inet_proto"
    case .inetService: "inet_service"
    case .interfaceName: "ifname"
    case .conntrackState: "ct_state"
    case .icmpType: "icmp_type"
    case .icmpCode: "icmp_code"
    case .icmpv6Type: "icmpv6_type"
    case .icmpv6Code: "icmpv6_code"
    case .uid: "uid"
    case .gid: "gid"
    case .fibAddressType: "fib_addrtype"
    case .mark: "mark"
    case .dscp, .ipv6DSCP: "dscp"
    case .timeToLive, .packetLength: "integer"
    case .packetType: "pkt_type"
    case .linkAddress: "ether_addr"
    case .day: "day"
    case .controlGroup: "cgroupsv2"
    case .concatenation(let fields): fields.map(name).joined(separator: " . ")
    }
  }

  static func port(_ bytes: [UInt8]) -> String { text(bytes, keyType: .inetService) }

  static func address(_ bytes: [UInt8]) -> String {
    var text: [UInt8] = []
    appendAddress(bytes[...], to: &text)
    return String(decoding: text, as: UTF8.self)
  }

  /// What a map's element holds.
  static func data(of element: KernelSet.Element, _ map: KernelSet) -> String {
    guard case .value(let type)? = map.dataType, case .value(let bytes)? = element.data else {
      return NFTString.inexpressible
    }
    return text(bytes, keyType: type)
  }

  // MARK: Values of a field

  /// The same as `text`; what most rules compare without a text of its own.
  static func append(_ bytes: [UInt8], of field: RuleStatement.Field, to text: inout ByteBuffer) {
    switch field {
    case .ipv4Source where bytes.count == 4, .ipv4Destination where bytes.count == 4:
      for index in bytes.indices {
        if index > 0 { text.append(UInt8(ascii: ".")) }
        text.append(decimal: Int(bytes[index]))
      }
    case .sourcePort, .destinationPort: text.append(decimal: Int(bigEndian(bytes)))
    default: text += Self.text(bytes, of: field)
    }
  }

  static func text(_ bytes: [UInt8], of field: RuleStatement.Field) -> String {
    switch field {
    case .conntrackStatus: status(littleEndian(bytes))
    case .tcpFlags: flags(bytes.first ?? 0)
    case .inputInterfaceType: bytes == [1, 0] ? "ether" : NFTString.inexpressible
    case .ipv4FragmentOffset, .ipv6FragmentOffset: String(bigEndian(bytes))
    case .reverseRoute, .securityPath:
      littleEndian(bytes) == 1 ? "exists" : littleEndian(bytes) == 0 ? "missing" : NFTString.inexpressible
    default: keyType(of: field).map { text(bytes, keyType: $0) } ?? NFTString.inexpressible
    }
  }

  /// A bound of a range, most significant byte first.
  static func ordered(_ bytes: [UInt8], of field: RuleStatement.Field) -> String {
    switch field {
    case .socketUser, .socketGroup, .packetLength: String(bigEndian(bytes))
    case .packetMark, .connectionMark: hexadecimal(bigEndian(bytes))
    // A number of seconds: a time of day would be one of the time zone of whoever runs nft.
    case .hour: String(bigEndian(bytes))
    default: text(bytes, of: field)
    }
  }

  private static func keyType(of field: RuleStatement.Field) -> KernelSet.KeyType? {
    switch field {
    case .conntrackStatus, .tcpFlags, .inputInterfaceType, .ipv4FragmentOffset, .ipv6FragmentOffset,
      .reverseRoute, .securityPath, .hour:
      nil
    case .masked(let field, _): keyType(of: field)
    case .family: .family
    case .packetMark, .connectionMark: .mark
    case .linkSource, .linkDestination: .linkAddress
    case .ipv4DSCP: .dscp
    case .ipv6DSCP: .ipv6DSCP
    case .ipv4TimeToLive, .ipv6HopLimit: .timeToLive
    case .packetLength: .packetLength
    case .packetType: .packetType
    case .day: .day
    case .transportProtocol: .inetProtocol
    case .inputInterfaceName, .outputInterfaceName: .interfaceName
    case .ipv4Source, .ipv4Destination: .ipv4Address
    case .ipv6Source, .ipv6Destination: .ipv6Address
    case .sourcePort, .destinationPort: .inetService
    case .icmpType: .icmpType
    case .icmpCode: .icmpCode
    case .icmpv6Type: .icmpv6Type
    case .icmpv6Code: .icmpv6Code
    case .conntrackState: .conntrackState
    case .socketUser: .uid
    case .socketGroup: .gid
    case .socketControlGroup: .controlGroup
    case .fibSourceType, .fibDestinationType: .fibAddressType
    case .protocolAndDestinationPort: .concatenation([.inetProtocol, .inetService])
    case .icmpTypeAndCode: .concatenation([.icmpType, .icmpCode])
    case .icmpv6TypeAndCode: .concatenation([.icmpv6Type, .icmpv6Code])
    case .concatenated(let fields): .concatenation(fields.compactMap(keyType))
    }
  }

  private static func text(_ bytes: [UInt8], keyType: KernelSet.KeyType) -> String {
    switch keyType {
    case .family: bytes == [2] ? "ipv4" : bytes == [10] ? "ipv6" : NFTString.inexpressible
    case .ipv4Address, .ipv6Address: address(bytes)
    case .inetProtocol: protocolName(bytes.first ?? 0)
    // Codes as numbers: nft has one list of their names for all types.
    case .icmpType, .icmpCode, .icmpv6Type, .icmpv6Code: String(bytes.first ?? 0)
    case .inetService: String(bigEndian(bytes))
    case .interfaceName: NFTString.interface(Array(bytes.prefix { $0 != 0 }))
    case .conntrackState: state(littleEndian(bytes))
    case .uid, .gid: String(littleEndian(bytes))
    case .fibAddressType: addressType(littleEndian(bytes))
    case .mark: hexadecimal(littleEndian(bytes))
    case .dscp: String(bigEndian(bytes) >> 2)
    case .ipv6DSCP: String(bigEndian(bytes) >> 6)
    case .timeToLive: String(bytes.first ?? 0)
    case .packetLength: String(littleEndian(bytes))
    case .packetType: packetType(bytes.first ?? .max)
    case .linkAddress: bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
    case .day: day(bytes.first ?? .max)
    // Its sets are filled late: no text of ours holds a number.
    case .controlGroup: NFTString.inexpressible
    case .concatenation(let fields):
      fields.indices.map { text(Self.field($0, of: bytes, fields), keyType: fields[$0]) }
        .joined(separator: " . ")
    }
  }

  // MARK: Elements

  /// An element of a packed set of addresses.
  static func append(_ lower: ArraySlice<UInt8>, _ upper: ArraySlice<UInt8>, to text: inout [UInt8]) {
    appendAddress(lower, to: &text)
    if lower == upper { return }
    if let bits = KernelSet.Element.prefixLength(lower, upper) {
      text.append(UInt8(ascii: "/"))
      AddressPrinting.append(decimal: bits, to: &text)
    } else {
      text.append(UInt8(ascii: "-"))
      appendAddress(upper, to: &text)
    }
  }

  private static func appendAddress(_ bytes: ArraySlice<UInt8>, to text: inout [UInt8]) {
    if bytes.count == 4 {
      AddressPrinting.append(bytes.reduce(0 as UInt32) { $0 << 8 | UInt32($1) }, to: &text)
    } else {
      AddressPrinting.append(bytes.reduce(0 as UInt128) { $0 << 8 | UInt128($1) }, to: &text)
    }
  }

  /// The set's elements in its order.
  static func elements(of set: KernelSet) -> [String] {
    set.elements.map { element in
      switch set.keyType {
      // In an interval set what is held in host order is most significant byte first.
      case .uid where set.isInterval, .gid where set.isInterval:
        let lower = String(bigEndian(element.lower))
        return element.isSingle ? lower : lower + "-" + String(bigEndian(element.upper))
      case .mark where set.isInterval:
        let lower = hexadecimal(bigEndian(element.lower))
        return element.isSingle ? lower : lower + "-" + hexadecimal(bigEndian(element.upper))
      default: return text(element, keyType: set.keyType, isInterval: set.isInterval)
      }
    }
  }

  private static func text(
    _ element: KernelSet.Element, keyType: KernelSet.KeyType, isInterval: Bool
  ) -> String {
    if case .concatenation(let fields) = keyType {
      return fields.indices.map { index in
        let lower = field(index, of: element.lower, fields)
        let upper = field(index, of: element.upper, fields)
        if isInterval, fields[index] == .mark {
          let first = hexadecimal(bigEndian(lower))
          return lower == upper ? first : first + "-" + hexadecimal(bigEndian(upper))
        }
        return range(lower, upper, keyType: fields[index])
      }.joined(separator: " . ")
    }
    return range(element.lower, element.upper, keyType: keyType)
  }

  private static func range(_ lower: [UInt8], _ upper: [UInt8], keyType: KernelSet.KeyType) -> String {
    if lower == upper { return text(lower, keyType: keyType) }
    switch keyType {
    case .ipv4Address, .ipv6Address:
      if let bits = KernelSet.Element(lower, upper).prefixLength {
        return "\(text(lower, keyType: keyType))/\(bits)"
      }
    case .interfaceName:
      return NFTString.interfacePrefix(Array(lower.prefix { $0 != 0 }))
    default: break
    }
    return text(lower, keyType: keyType) + "-" + text(upper, keyType: keyType)
  }

  /// One field of a concatenated key, without the padding to 4 bytes.
  private static func field(_ index: Int, of key: [UInt8], _ fields: [KernelSet.KeyType]) -> [UInt8] {
    let start = fields.prefix(index).reduce(0) { $0 + (length(of: $1) + 3) / 4 * 4 }
    return Array(key.dropFirst(start).prefix(length(of: fields[index])))
  }

  private static func length(of keyType: KernelSet.KeyType) -> Int {
    switch keyType {
    case .family, .inetProtocol, .icmpType, .icmpCode, .icmpv6Type, .icmpv6Code, .dscp, .timeToLive,
      .packetType, .day:
      1
    case .inetService, .ipv6DSCP: 2
    case .ipv4Address, .conntrackState, .uid, .gid, .fibAddressType, .mark, .packetLength: 4
    case .linkAddress: 6
    case .controlGroup: 8
    case .ipv6Address, .interfaceName: 16
    case .concatenation(let fields): fields.reduce(0) { $0 + (length(of: $1) + 3) / 4 * 4 }
    }
  }

  // MARK: Names

  /// nft's keywords; other names it would look up in /etc/protocols.
  private static func protocolName(_ number: UInt8) -> String {
    switch number {
    case 1: "icmp"
    case 2: "igmp"
    case 6: "tcp"
    case 17: "udp"
    case 33: "dccp"
    case 50: "esp"
    case 51: "ah"
    case 58: "icmpv6"
    case 132: "sctp"
    case 136: "udplite"
    default: String(number)
    }
  }

  /// NF_CT_STATE_BIT of linux/netfilter/nf_conntrack_common.h.
  private static func state(_ bit: UInt64) -> String {
    switch bit {
    case 1: "invalid"
    case 2: "established"
    case 4: "related"
    case 8: "new"
    case 64: "untracked"
    default: NFTString.inexpressible
    }
  }

  /// Bits of enum ip_conntrack_status.
  private static func status(_ bits: UInt64) -> String {
    let names: [(bit: UInt64, name: String)] = [
      (1 << 0, "expected"), (1 << 1, "seen-reply"), (1 << 2, "assured"), (1 << 3, "confirmed"),
      (1 << 4, "snat"), (1 << 5, "dnat"), (1 << 9, "dying"),
    ]
    let known = names.reduce(0) { $0 | $1.bit }
    guard bits & ~known == 0, bits != 0 else { return NFTString.inexpressible }
    return names.filter { bits & $0.bit != 0 }.map(\.name).joined(separator: ",")
  }

  /// RTN_* of linux/rtnetlink.h.
  private static func addressType(_ number: UInt64) -> String {
    switch number {
    case 2: "local"
    case 3: "broadcast"
    default: String(number)
    }
  }

  /// linux/if_packet.h PACKET_*.
  private static func packetType(_ number: UInt8) -> String {
    let names = ["unicast", "broadcast", "multicast", "other"]
    return Int(number) < names.count ? names[Int(number)] : NFTString.inexpressible
  }

  private static func day(_ number: UInt8) -> String {
    let names = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
    return Int(number) < names.count ? NFTString.quoted(names[Int(number)]) : NFTString.inexpressible
  }

  /// As nft reads it back from the right of a mask; several in parentheses.
  private static func flags(_ bits: UInt8) -> String {
    let names = ["fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"]
    let set = names.indices.filter { bits >> UInt8($0) & 1 == 1 }.map { names[$0] }
    return set.isEmpty ? "0x0" : set.count == 1 ? set[0] : "(\(set.joined(separator: "|")))"
  }

  private static func hexadecimal(_ number: UInt64) -> String { "0x\(String(number, radix: 16))" }

  private static func bigEndian(_ bytes: [UInt8]) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }

  private static func littleEndian(_ bytes: [UInt8]) -> UInt64 { bigEndian(bytes.reversed()) }
}
