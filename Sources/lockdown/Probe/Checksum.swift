/// The Internet checksum (RFC 1071) of a message.
enum Checksum {
  /// Writes it at a byte offset, where zeros stand, with the pseudo header of RFC 793 and RFC 8200; ICMP over IPv4
  /// has none.
  ///
  /// - Parameter number: the protocol's (IPPROTO_*).
  static func set(
    _ message: inout [UInt8], at offset: Int, from source: [UInt8], to destination: [UInt8],
    protocol number: UInt8
  ) {
    var sum: UInt32 = 0
    func add(_ bytes: [UInt8]) {
      for index in stride(from: 0, to: bytes.count, by: 2) {
        sum += UInt32(bytes[index]) << 8 | (index + 1 < bytes.count ? UInt32(bytes[index + 1]) : 0)
      }
    }
    add(message)
    // IPPROTO_ICMP.
    if number != 1 {
      add(source)
      add(destination)
      add([0, number, UInt8(message.count >> 8), UInt8(message.count & 0xff)])
    }
    while sum >> 16 != 0 { sum = sum & 0xffff + sum >> 16 }
    let value = ~UInt16(truncatingIfNeeded: sum)
    // Zero would mean that there is none (UDP).
    let written = value == 0 ? 0xffff : value
    message[offset] = UInt8(written >> 8)
    message[offset + 1] = UInt8(written & 0xff)
  }
}
