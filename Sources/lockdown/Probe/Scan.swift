import CLinux
import Glibc

/// Scans of one host address over raw sockets: all packets at once, answers as they come.
struct Scan {
  /// 4 or 16 bytes, network order.
  let host: [UInt8]
  let neighbour: [UInt8]
  let sourcePort: UInt16
  /// Milliseconds of silence that end a scan.
  let patience: Int32

  private var isIPv6: Bool { host.count == 16 }
  private var family: Int32 { isIPv6 ? AF_INET6 : AF_INET }
  private var icmpProtocol: UInt8 { isIPv6 ? 58 : 1 }

  /// Whether an echo request is answered.
  func echo() throws(ProbeError) -> Bool {
    let raw = try open(icmpProtocol)
    defer { close(raw) }
    let request: UInt8 = isIPv6 ? 128 : 8
    let reply: UInt8 = isIPv6 ? 129 : 0
    var message: [UInt8] = [request, 0, 0, 0, 0x4c, 0x44, 0, 1]
    setChecksum(&message, at: 2, protocol: icmpProtocol)
    // The first one may be lost to address resolution.
    for _ in 0..<3 {
      try send(raw, message)
      var hasAnswer = false
      try receive(raw, until: { hasAnswer }) { packet in
        let answer = payload(of: packet)
        if answer.count >= 8, answer.first == reply, Array(answer.dropFirst(4).prefix(2)) == [0x4c, 0x44] {
          hasAnswer = true
        }
      }
      if hasAnswer { return true }
    }
    return false
  }

  /// Ports that answer a SYN, ascending.
  func tcp() throws(ProbeError) -> [UInt16] {
    let raw = try open(6)
    defer { close(raw) }
    var answered = [Bool](repeating: false, count: 65_536)
    let note: ([UInt8]) -> Void = { packet in
      let answer = Array(payload(of: packet).prefix(20))
      guard answer.count == 20, word(answer, 2) == sourcePort else { return }
      // RST, or SYN and ACK.
      if answer[13] & 0x04 != 0 || answer[13] & 0x12 == 0x12 { answered[Int(word(answer, 0))] = true }
    }
    for port in 1...UInt16.max {
      // Sequence number 1, header of 5 words, SYN, window 64240.
      var segment: [UInt8] =
        bigEndian(sourcePort) + bigEndian(port) + [
          0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xfa, 0xf0, 0, 0, 0, 0,
        ]
      setChecksum(&segment, at: 16, protocol: 6)
      try send(raw, segment)
      if port % 64 == 0 { try drain(raw, note) }
    }
    try receive(raw, until: { false }, note)
    return answered.indices.filter { answered[$0] }.map { UInt16($0) }
  }

  /// Ports that answer a datagram, with data or with "port unreachable", ascending.
  func udp() throws(ProbeError) -> [UInt16] {
    let raw = try open(17)
    defer { close(raw) }
    let errors = try open(icmpProtocol)
    defer { close(errors) }
    var answered = [Bool](repeating: false, count: 65_536)
    let noteData: ([UInt8]) -> Void = { packet in
      let answer = Array(payload(of: packet).prefix(8))
      if answer.count == 8, word(answer, 2) == sourcePort { answered[Int(word(answer, 0))] = true }
    }
    let noteError: ([UInt8]) -> Void = { packet in
      let answer = Array(payload(of: packet))
      // Destination unreachable, port; behind its 8 bytes stands the packet that was refused.
      let isPortUnreachable =
        answer.count >= 8 && (isIPv6 ? answer[0] == 1 && answer[1] == 4 : answer[0] == 3 && answer[1] == 3)
      guard isPortUnreachable else { return }
      let offset = 8 + (isIPv6 ? 40 : 20)
      guard answer.count >= offset + 4, word(answer, offset) == sourcePort else { return }
      answered[Int(word(answer, offset + 2))] = true
    }
    for port in 1...UInt16.max {
      var datagram: [UInt8] = bigEndian(sourcePort) + bigEndian(port) + [0, 8, 0, 0]
      setChecksum(&datagram, at: 6, protocol: 17)
      try send(raw, datagram)
      if port % 64 == 0 {
        try drain(raw, noteData)
        try drain(errors, noteError)
      }
    }
    try receive(errors, until: { false }, noteError)
    try drain(raw, noteData)
    return answered.indices.filter { answered[$0] }.map { UInt16($0) }
  }

  // MARK: Sockets

  private func open(_ number: UInt8) throws(ProbeError) -> Int32 {
    let raw = socket(family, lockdown_sock_raw_cloexec, Int32(number))
    guard raw >= 0 else { throw ProbeError(doing: "opening a raw socket", code: errno) }
    // An open host answers every port: 65,535 answers of at most 1 KiB with the kernel's overhead.
    lockdown_set_receive_buffer(raw, 64 << 20)
    return raw
  }

  private func send(_ raw: Int32, _ bytes: [UInt8]) throws(ProbeError) {
    let start = lockdown_monotonic_seconds()
    while lockdown_send_raw(raw, host, Int32(host.count), bytes, bytes.count) < 0 {
      let code = errno
      switch code {
      case EINTR, ENOBUFS, EAGAIN:
        continue
      case ENETUNREACH, EADDRNOTAVAIL, EHOSTUNREACH:
        // A new link's carrier, and with it the route, comes from a work queue of the kernel.
        guard lockdown_monotonic_seconds() - start < 5 else {
          throw ProbeError(doing: "sending a packet", code: code)
        }
        lockdown_sleep_milliseconds(5)
      default:
        // The policy may refuse on the way out of the host, never here: this is the neighbour.
        throw ProbeError(doing: "sending a packet", code: code)
      }
    }
  }

  private func drain(_ raw: Int32, _ note: ([UInt8]) -> Void) throws(ProbeError) {
    var buffer = [UInt8](repeating: 0, count: 2048)
    while true {
      let count = recv(raw, &buffer, buffer.count, lockdown_msg_dontwait)
      if count > 0 {
        note(Array(buffer.prefix(count)))
      } else if count < 0, errno == EINTR {
        continue
      } else if count < 0, errno != EAGAIN {
        throw ProbeError(doing: "receiving", code: errno)
      } else {
        return
      }
    }
  }

  /// Takes answers until nothing came for the time of patience.
  private func receive(
    _ raw: Int32, until isDone: () -> Bool, _ note: ([UInt8]) -> Void
  ) throws(ProbeError) {
    while !isDone() {
      let ready = lockdown_wait_readable(raw, patience)
      if ready == 0 { return }
      if ready < 0 {
        if errno == EINTR { continue }
        throw ProbeError(doing: "waiting for answers", code: errno)
      }
      try drain(raw, note)
    }
  }

  // MARK: Packets

  /// Raw IPv4 sockets give the IP header too, raw IPv6 sockets do not.
  private func payload(of packet: [UInt8]) -> ArraySlice<UInt8> {
    guard !isIPv6, let first = packet.first else { return packet[...] }
    return packet.dropFirst(Int(first & 15) * 4)
  }

  private func word(_ bytes: [UInt8], _ offset: Int) -> UInt16 {
    UInt16(bytes[offset]) << 8 | UInt16(bytes[offset + 1])
  }

  private func bigEndian(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 0xff)] }

  /// RFC 1071, with the pseudo header of RFC 793 and RFC 8200; ICMP over IPv4 has none.
  private func setChecksum(_ message: inout [UInt8], at offset: Int, protocol number: UInt8) {
    var sum: UInt32 = 0
    func add(_ bytes: [UInt8]) {
      for index in stride(from: 0, to: bytes.count, by: 2) {
        let low = index + 1 < bytes.count ? UInt32(bytes[index + 1]) : 0
        sum += UInt32(bytes[index]) << 8 | low
      }
    }
    add(message)
    if number != 1 {
      add(neighbour)
      add(host)
      add([0, number, UInt8(message.count >> 8), UInt8(message.count & 0xff)])
    }
    while sum >> 16 != 0 { sum = sum & 0xffff + sum >> 16 }
    let value = ~UInt16(truncatingIfNeeded: sum)
    message.replaceSubrange(offset..<offset + 2, with: bigEndian(value == 0 ? 0xffff : value))
  }
}
