internal import PolicyModel
internal import PolicySyntax
internal import SHA2

/// A set of addresses as text: one prefix a line, IPv4 before IPv6, each ascending, as RFC 5952 writes them.
///
/// The fewest prefixes that cover the set, so that equal sets are equal bytes.
struct Netset {
  private(set) var prefixes: [String] = []
  private(set) var ipv4Count = 0
  private(set) var ipv6Count = 0

  init(_ addresses: AddressSet) {
    for range in addresses.ipv4 { add(.ipv4, UInt128(range.lower), UInt128(range.upper), width: 32) }
    ipv4Count = prefixes.count
    for range in addresses.ipv6 { add(.ipv6, range.lower, range.upper, width: 128) }
    ipv6Count = prefixes.count - ipv4Count
  }

  var text: [UInt8] {
    var text: [UInt8] = []
    for prefix in prefixes {
      text += prefix.utf8
      text.append(0x0a)
    }
    return text
  }

  var sha256: String { String(decoding: SHA256.hex(SHA256.hash(text)), as: UTF8.self) }

  /// Cuts a range into prefixes: each time the largest that starts where the last one ended and still fits.
  private mutating func add(_ family: IPFamily, _ lower: UInt128, _ upper: UInt128, width: Int) {
    var start = lower
    while true {
      var hostBits = min(start.trailingZeroBitCount, width)
      while hostBits > 0, upper - start < Self.hostMask(hostBits) { hostBits -= 1 }
      let address = AddressText.print(family, start)
      prefixes.append(hostBits == 0 ? address : "\(address)/\(width - hostBits)")
      let end = start + Self.hostMask(hostBits)
      if end == upper { return }
      start = end + 1
    }
  }

  private static func hostMask(_ bits: Int) -> UInt128 { bits == 128 ? .max : (1 << UInt128(bits)) - 1 }
}
