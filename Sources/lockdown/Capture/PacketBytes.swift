import Analysis
import PolicyModel

/// A sample as an Ethernet frame: headers with right lengths and checksums, and no payload but what a length asks for.
struct PacketBytes {
  let frame: [UInt8]

  // IEEE 802 numbers of local use.
  private static let sender: UInt64 = 0x0200_0000_0001
  private static let receiver: UInt64 = 0x0200_0000_0002
  // IPPROTO_*.
  private static let icmp: UInt8 = 1
  private static let tcp: UInt8 = 6
  private static let udp: UInt8 = 17
  private static let dccp: UInt8 = 33
  private static let fragmentHeader: UInt8 = 44
  private static let gre: UInt8 = 47
  private static let esp: UInt8 = 50
  private static let ah: UInt8 = 51
  private static let icmpv6: UInt8 = 58
  private static let noNextHeader: UInt8 = 59
  private static let sctp: UInt8 = 132
  private static let udpLite: UInt8 = 136
  // RFC 3692: for experiments, where IPv4 needs some number and the packet has no protocol anybody knows.
  private static let experiment: UInt8 = 253
  // A second fragment: behind 1,480 bytes, in units of 8.
  private static let fragmentOffset: UInt16 = 185

  init(_ sample: PacketSample) {
    var bytes: [UInt8] = []
    Self.append(sample.destinationLink ?? Self.receiver, 6, &bytes)
    Self.append(sample.sourceLink ?? Self.sender, 6, &bytes)
    // ETH_P_IP, ETH_P_IPV6.
    Self.append(sample.family == .ipv4 ? 0x0800 : 0x86dd, 2, &bytes)
    frame = bytes + (sample.family == .ipv4 ? Self.ipv4(sample) : Self.ipv6(sample))
  }

  // MARK: Network

  private static func addresses(_ sample: PacketSample) -> (source: [UInt8], destination: [UInt8]) {
    var (source, destination): ([UInt8], [UInt8]) = ([], [])
    let count = sample.family == .ipv4 ? 4 : 16
    for index in stride(from: count - 1, through: 0, by: -1) {
      source.append(UInt8(truncatingIfNeeded: sample.source >> UInt128(8 * index)))
      destination.append(UInt8(truncatingIfNeeded: sample.destination >> UInt128(8 * index)))
    }
    return (source, destination)
  }

  private static func ipv4(_ sample: PacketSample) -> [UInt8] {
    let (source, destination) = addresses(sample)
    var header: [UInt8] = [0x45, sample.dscp << 2]
    let payload = payload(sample, headers: 20)
    append(UInt64(20 + payload.count), 2, &header)
    append(1, 2, &header)
    append(UInt64(sample.isFragment ? fragmentOffset : 0x4000), 2, &header)
    header += [sample.timeToLive, sample.transportProtocol ?? experiment, 0, 0] + source + destination
    // Of the header alone, without a pseudo header, as ICMP has none.
    Checksum.set(&header, at: 10, from: source, to: destination, protocol: icmp)
    return header + payload
  }

  private static func ipv6(_ sample: PacketSample) -> [UInt8] {
    let (source, destination) = addresses(sample)
    var header: [UInt8] = [0x60 | sample.dscp >> 2, sample.dscp << 6, 0, 0]
    let number = sample.transportProtocol ?? noNextHeader
    var extensions: [UInt8] = []
    if sample.isFragment {
      extensions = [number, 0]
      append(UInt64(fragmentOffset << 3), 2, &extensions)
      append(1, 4, &extensions)
    }
    let payload = extensions + payload(sample, headers: 40 + extensions.count)
    append(UInt64(payload.count), 2, &header)
    header += [sample.isFragment ? fragmentHeader : number, sample.timeToLive]
    return header + source + destination + payload
  }

  // MARK: Transport

  /// The transport header, and zeros up to the length that is asked for.
  private static func payload(_ sample: PacketSample, headers: Int) -> [UInt8] {
    var message = sample.isFragment ? [UInt8](repeating: 0, count: 8) : transport(sample)
    if let length = sample.length {
      let wanted = max(0, min(length, 0xffff) - headers)
      if message.count < wanted { message += [UInt8](repeating: 0, count: wanted - message.count) }
      if message.count > wanted { message = Array(message.prefix(wanted)) }
    }
    guard !sample.isFragment, let number = sample.transportProtocol else { return message }
    func setLength(_ offset: Int) {
      guard message.count >= 8 else { return }
      message[offset] = UInt8(truncatingIfNeeded: message.count >> 8)
      message[offset + 1] = UInt8(truncatingIfNeeded: message.count)
    }
    if number == udp || number == udpLite { setLength(4) }
    let place: Int? =
      switch number {
      case tcp: 16
      case udp, udpLite: 6
      case icmp, icmpv6: 2
      case dccp: 6
      // CRC32c, which is left zero.
      default: nil
      }
    if let place, message.count > place + 1 {
      let (source, destination) = addresses(sample)
      Checksum.set(&message, at: place, from: source, to: destination, protocol: number)
    }
    return message
  }

  private static func transport(_ sample: PacketSample) -> [UInt8] {
    var message: [UInt8] = []
    func append(_ value: UInt64, _ count: Int) { Self.append(value, count, &message) }
    switch sample.transportProtocol {
    case tcp?:
      append(UInt64(sample.sourcePort ?? 0), 2)
      append(UInt64(sample.destinationPort ?? 0), 2)
      append(1, 4)
      // An acknowledgement number is there where its flag is.
      append(sample.tcpFlags.map { $0 & 0x10 != 0 } ?? false ? 1 : 0, 4)
      message += [0x50, sample.tcpFlags ?? 0]
      append(64_240, 2)
      append(0, 4)
    case udp?, udpLite?:
      append(UInt64(sample.sourcePort ?? 0), 2)
      append(UInt64(sample.destinationPort ?? 0), 2)
      append(8, 2)
      append(0, 2)
    case sctp?:
      append(UInt64(sample.sourcePort ?? 0), 2)
      append(UInt64(sample.destinationPort ?? 0), 2)
      append(0, 8)
    case dccp?:
      append(UInt64(sample.sourcePort ?? 0), 2)
      append(UInt64(sample.destinationPort ?? 0), 2)
      // Data offset in words; DCCP-Request with an extended sequence number (RFC 4340 §5.1).
      message += [5, 0]
      append(0, 2)
      message += [0x01, 0]
      append(1, 6)
      append(0, 4)
    case gre?:
      append(0x0800, 4)
    case esp?:
      // Index and sequence number; RFC 4302 has the length of AH in words, less two.
      append(0x100, 4)
      append(1, 4)
      // An empty payload, encrypted with its padding and an integrity value.
      message += [UInt8](repeating: 0, count: 16)
    case ah?:
      message += [noNextHeader, 1, 0, 0]
      append(0x100, 4)
      append(1, 4)
    case icmp?, icmpv6?:
      append(UInt64(sample.icmp ?? 0), 2)
      append(0, 2)
      if isError(sample) {
        append(0, 4)
        message += sample.family == .ipv4 ? ipv4(cause(of: sample)) : ipv6(cause(of: sample))
      } else {
        append(1, 2)
        append(1, 2)
      }
    default: break
    }
    return message
  }

  /// Of ICMP those that say which packet was in error: RFC 792; of ICMPv6 all below 128, RFC 4443 §2.1.
  private static func isError(_ sample: PacketSample) -> Bool {
    let type = (sample.icmp ?? 0) >> 8
    return sample.transportProtocol == icmpv6 ? type < 128 : [3, 4, 5, 11, 12].contains(type)
  }

  /// A packet that the one who gets the error could have sent.
  private static func cause(of error: PacketSample) -> PacketSample {
    var packet = error
    (packet.source, packet.destination) = (error.destination, error.source)
    packet.transportProtocol = udp
    (packet.sourcePort, packet.destinationPort) = (40_000, 33_434)
    (packet.length, packet.timeToLive) = (nil, 1)
    return packet
  }

  private static func append(_ value: UInt64, _ count: Int, _ bytes: inout [UInt8]) {
    for index in stride(from: count - 1, through: 0, by: -1) {
      bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index)))
    }
  }
}
