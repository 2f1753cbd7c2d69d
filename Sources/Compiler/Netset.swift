internal import PolicyModel
internal import SHA2

/// A set of addresses as text: one prefix a line, IPv4 before IPv6, each ascending, as RFC 5952 writes them.
///
/// The fewest prefixes that cover the set, so that equal sets are equal bytes. A set may have millions: the text
/// is all that is kept.
struct Netset {
  private(set) var text: [UInt8] = []
  private(set) var ipv4Count = 0
  private(set) var ipv6Count = 0

  init(_ addresses: AddressSet) {
    // A line of IPv4 is 19 bytes at most, one of IPv6 44; most are shorter.
    text.reserveCapacity(addresses.ipv4.count * 17 + addresses.ipv6.count * 24)
    for range in addresses.ipv4 {
      let count = Self.prefixes(of: range) { start, length in
        AddressPrinting.append(start, to: &text)
        end(length, width: 32)
      }
      ipv4Count += count
    }
    for range in addresses.ipv6 {
      let count = Self.prefixes(of: range) { start, length in
        AddressPrinting.append(start, to: &text)
        end(length, width: 128)
      }
      ipv6Count += count
    }
  }

  /// Of the text.
  var sha256: [UInt8] { SHA256.hash(text) }

  /// One text for each line.
  var prefixes: [String] {
    text.split(separator: 0x0a).map { String(decoding: $0, as: UTF8.self) }
  }

  private mutating func end(_ length: Int, width: Int) {
    if length < width {
      text.append(UInt8(ascii: "/"))
      AddressPrinting.append(decimal: length, to: &text)
    }
    text.append(0x0a)
  }

  /// Cuts a range into prefixes: each time the largest that starts where the last one ended and still fits. Returns
  /// how many they are.
  private static func prefixes<Value>(
    of range: AddressRange<Value>, _ body: (_ start: Value, _ length: Int) -> Void
  ) -> Int {
    var start = range.lower
    var count = 0
    while true {
      var hostBits = start.trailingZeroBitCount
      while hostBits > 0, range.upper - start < hostMask(hostBits) { hostBits -= 1 }
      body(start, Value.bitWidth - hostBits)
      count += 1
      let end = start + hostMask(hostBits)
      if end == range.upper { return count }
      start = end + 1
    }
  }

  private static func hostMask<Value: FixedWidthInteger>(_ bits: Int) -> Value {
    bits == Value.bitWidth ? .max : (1 << Value(bits)) - 1
  }
}
