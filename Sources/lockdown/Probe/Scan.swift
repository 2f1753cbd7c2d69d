import CLinux
import Glibc

/// Scans of one host address over raw sockets: packets in small groups, arrivals and answers as they come.
struct Scan {
  let family: Neighbour.Family
  let neighbour: Neighbour
  let sourcePort: UInt16

  enum Transport: UInt8 {
    case tcp = 6
    case udp = 17
  }

  /// Milliseconds of silence that end a scan: everything is on one machine.
  private static let patience: Int32 = 100
  /// Packets between two looks at the sockets; far fewer than a device queue of the kernel holds (1,000).
  private static let groupSize = 64

  private var isIPv6: Bool { family.isIPv6 }
  private var icmp: UInt8 { isIPv6 ? 58 : 1 }

  /// What became of an echo request.
  func echo() throws(ProbeError) -> ProbeReport.Fate {
    let sockets = try Sockets(neighbour, isIPv6: isIPv6, transport: icmp, icmp: icmp)
    defer { sockets.close() }
    var message: [UInt8] = [isIPv6 ? 128 : 8, 0, 0, 0, 0x4c, 0x44, 0, 1]
    Checksum.set(&message, at: 2, from: family.neighbour, to: family.host, protocol: icmp)
    var hasArrived = false
    var hasAnswer = false
    // The first one may be lost to address resolution.
    for _ in 0..<3 where !hasArrived {
      try send(sockets.sender, message)
      try sockets.settle(
        patience: 4 * Self.patience,
        arrival: { packet in
          if isOurEcho(packet, type: isIPv6 ? 128 : 8) { hasArrived = true }
        },
        answer: { packet in
          if isOurEcho(packet, type: isIPv6 ? 129 : 0) { hasAnswer = true }
        },
        error: { _ in })
    }
    return hasArrived ? (hasAnswer ? .open : .unanswered) : .dropped
  }

  private func isOurEcho(_ packet: [UInt8], type: UInt8) -> Bool {
    let message = Array(payload(of: packet).prefix(6))
    return message.count == 6 && message[0] == type && message[4] == 0x4c && message[5] == 0x44
  }

  /// One packet to each port: a SYN, or a datagram. Behind its ports each has a mark and the port that it is sent to,
  /// which translations leave as they are.
  func ports(_ transport: Transport) throws(ProbeError) -> (fates: [ProbeReport.Fate], lost: Int) {
    // A table of connections that is full would drop packets that the policy accepts.
    ConnectionTable.flush()
    defer { ConnectionTable.flush() }
    let sockets = try Sockets(neighbour, isIPv6: isIPv6, transport: transport.rawValue, icmp: icmp)
    defer { sockets.close() }
    var seen = Seen()
    for first in stride(from: 1, through: ProbeReport.portCount, by: Self.groupSize) {
      for port in first...min(first + Self.groupSize - 1, ProbeReport.portCount) {
        try send(sockets.sender, segment(transport, to: UInt16(port)))
      }
      try look(sockets, patience: 0, transport, &seen)
    }
    try look(sockets, patience: Self.patience, transport, &seen)
    return (seen.fates, sockets.lost)
  }

  /// What the sockets saw, by port.
  private struct Seen {
    var arrived = [Bool](repeating: false, count: 65_536)
    var answered = [Bool](repeating: false, count: 65_536)
    var refused = [Bool](repeating: false, count: 65_536)

    var fates: [ProbeReport.Fate] {
      (1...ProbeReport.portCount).map { port in
        if arrived[port] { return answered[port] || refused[port] ? .open : .unanswered }
        return answered[port] || refused[port] ? .rejected : .dropped
      }
    }
  }

  private func look(
    _ sockets: Sockets, patience: Int32, _ transport: Transport, _ seen: inout Seen
  ) throws(ProbeError) {
    var (arrived, answered, refused) = (seen.arrived, seen.answered, seen.refused)
    seen = Seen(arrived: [], answered: [], refused: [])
    defer { seen = Seen(arrived: arrived, answered: answered, refused: refused) }
    try sockets.settle(
      patience: patience,
      arrival: { packet in
        let bytes = payload(of: packet)
        // A redirect has changed the port, and of a second connection to the same one the port that it comes from.
        let place = transport == .tcp ? 4 : 8
        guard bytes.count >= place + 4, word(bytes, place) == Self.mark else { return }
        arrived[Int(word(bytes, place + 2))] = true
      },
      answer: { packet in
        let bytes = payload(of: packet)
        guard bytes.count >= 4, word(bytes, 2) == sourcePort else { return }
        answered[Int(word(bytes, 0))] = true
      },
      error: { packet in
        let bytes = payload(of: packet)
        // Destination unreachable; behind its 8 bytes stands the packet that was refused.
        guard bytes.first == (isIPv6 ? 1 : 3) else { return }
        let offset = 8 + (isIPv6 ? 40 : 20)
        guard bytes.count >= offset + 4, word(bytes, offset) == sourcePort else { return }
        refused[Int(word(bytes, offset + 2))] = true
      })
  }

  // MARK: Packets

  /// Of packets of the probe.
  private static let mark: UInt16 = 0x4c44

  private func segment(_ transport: Transport, to port: UInt16) -> [UInt8] {
    let asked = [UInt8(Self.mark >> 8), UInt8(Self.mark & 0xff), UInt8(port >> 8), UInt8(port & 0xff)]
    let ports = [UInt8(sourcePort >> 8), UInt8(sourcePort & 0xff), UInt8(port >> 8), UInt8(port & 0xff)]
    var segment: [UInt8]
    switch transport {
    case .tcp:
      // The mark and the port as sequence number, header of 5 words, SYN, window 64240.
      segment = ports + asked + [0, 0, 0, 0, 0x50, 0x02, 0xfa, 0xf0, 0, 0, 0, 0]
    case .udp:
      segment = ports + [0, 12, 0, 0] + asked
    }
    Checksum.set(
      &segment, at: transport == .tcp ? 16 : 6, from: family.neighbour, to: family.host,
      protocol: transport.rawValue)
    return segment
  }

  private func send(_ socket: Int32, _ bytes: [UInt8]) throws(ProbeError) {
    while lockdown_send_raw(socket, family.host, Int32(family.host.count), bytes, bytes.count) < 0 {
      let code = errno
      guard code == ENOBUFS || code == EAGAIN || code == EINTR else {
        throw ProbeError(doing: "sending a packet", code: code)
      }
    }
  }

  /// Raw IPv4 sockets give the IP header too, raw IPv6 sockets do not.
  private func payload(of packet: [UInt8]) -> ArraySlice<UInt8> {
    guard !isIPv6, let first = packet.first else { return packet[...] }
    return packet.dropFirst(Int(first & 15) * 4)
  }

  private func word(_ bytes: ArraySlice<UInt8>, _ offset: Int) -> UInt16 {
    let index = bytes.startIndex + offset
    return UInt16(bytes[index]) << 8 | UInt16(bytes[index + 1])
  }
}
