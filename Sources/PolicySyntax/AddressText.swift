import Diagnostics

/// IP literals: one address, a prefix or a range, of both families.
///
/// IPv4 is four decimal octets without leading zeros; IPv6 is RFC 4291 §2.2, with `::` for one or more
/// groups and an IPv4 tail. Refused, each with its own words: host bits under a prefix, IPv4-mapped IPv6,
/// zone ids, netmasks.
package enum AddressText {
  /// Reads a whole slice as an address, `address/bits` or `address-address`.
  package static func parse(_ text: ArraySlice<UInt8>) throws(ValueTextError) -> AddressRangeSyntax {
    if let slash = text.firstIndex(of: UInt8(ascii: "/")) {
      return try prefix(text, slash: slash)
    }
    if let dash = text.firstIndex(of: UInt8(ascii: "-")) {
      return try range(text, dash: dash)
    }
    let (family, value) = try parseAddress(text)
    return AddressRangeSyntax(family: family, lower: value, upper: value, prefix: nil)
  }

  /// Whether a word is meant as an address: digits and a dot, or a colon among hexadecimal digits.
  static func looksLikeAddress(_ text: some Collection<UInt8>) -> Bool {
    var dots = 0
    var colons = 0
    for byte in text {
      switch byte {
      case UInt8(ascii: "."): dots += 1
      case UInt8(ascii: ":"): colons += 1
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "-"): break
      case UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"):
        if colons == 0, dots > 0 { return false }
      // A zone id follows.
      case UInt8(ascii: "%"): return colons > 0
      default: return false
      }
    }
    return colons > 1 || (dots > 1 && NumberText.startsNumber(text))
  }

  private static func prefix(
    _ text: ArraySlice<UInt8>, slash: Int
  ) throws(ValueTextError) -> AddressRangeSyntax {
    let (family, value) = try parseAddress(text[..<slash])
    let lengthText = text[(slash + 1)...]
    let width = family == .ipv4 ? 32 : 128
    let written = String(decoding: lengthText, as: UTF8.self)
    if family == .ipv4, lengthText.contains(UInt8(ascii: ".")) {
      throw netmask(value, text, lengthText, written)
    }
    guard let bits = decimal(lengthText, limit: width) else {
      throw ValueTextError(
        .badAddress, "bad prefix length `\(written)`", label: "0 to \(width), without a leading zero",
        at: lengthText.isEmpty ? slash..<slash + 1 : lengthText.indices)
    }
    let hostMask = hostMask(bits: bits, width: width)
    guard value & hostMask == 0 else {
      let network = print(family, value & ~hostMask) + "/\(bits)"
      let host = print(family, value)
      throw ValueTextError(
        .badAddress, "`\(String(decoding: text, as: UTF8.self))` has bits set behind its prefix",
        label: "a host, not a network", help: ["the network is `\(network)`, the one address `\(host)`"],
        at: text.indices,
        replacements: [("take the network", network), ("take the one address", host)])
    }
    return AddressRangeSyntax(family: family, lower: value, upper: value | hostMask, prefix: bits)
  }

  private static func netmask(
    _ value: UInt128, _ text: ArraySlice<UInt8>, _ mask: ArraySlice<UInt8>, _ written: String
  ) -> ValueTextError {
    guard let (_, maskValue) = try? parseAddress(mask) else {
      return ValueTextError(
        .badAddress, "bad prefix length `\(written)`", label: "0 to 32", at: mask.indices)
    }
    let inverted = ~maskValue & 0xffff_ffff
    guard inverted & (inverted + 1) == 0 else {
      return ValueTextError(
        .languageNotIn1, "arbitrary address masks are not in language 1", label: "no prefix",
        help: ["list the prefixes this mask stands for"], at: mask.indices)
    }
    let bits = 32 - (128 - inverted.leadingZeroBitCount)
    let network = print(.ipv4, value & maskValue) + "/\(bits)"
    return ValueTextError(
      .badAddress, "a network is written with its prefix length", label: "a netmask",
      help: ["write `\(network)`"], at: mask.indices, replacements: [("write the length", network)])
  }

  private static func range(_ text: ArraySlice<UInt8>, dash: Int) throws(ValueTextError) -> AddressRangeSyntax
  {
    let (family, lower) = try parseAddress(text[..<dash])
    let (otherFamily, upper) = try parseAddress(text[(dash + 1)...])
    guard family == otherFamily else {
      throw ValueTextError(
        .badAddress, "a range is of one family",
        label: "from \(family == .ipv4 ? "IPv4 to IPv6" : "IPv6 to IPv4")", at: text.indices)
    }
    guard lower <= upper else {
      throw ValueTextError(
        .badRange, "the range `\(String(decoding: text, as: UTF8.self))` runs backwards",
        label: "its first address is above its last", at: text.indices,
        replacements: [("exchange its ends", print(family, upper) + "-" + print(family, lower))])
    }
    return AddressRangeSyntax(family: family, lower: lower, upper: upper, prefix: nil)
  }

  /// Reads a whole slice as one address.
  package static func parseAddress(
    _ text: ArraySlice<UInt8>
  ) throws(ValueTextError) -> (family: IPFamily, value: UInt128) {
    if let percent = text.firstIndex(of: UInt8(ascii: "%")) {
      throw ValueTextError(
        .badAddress, "an address has no zone here", label: "a zone id",
        help: ["leave it out; the interface is a clause of its own: `in eth0`"],
        at: percent..<text.endIndex)
    }
    if text.contains(UInt8(ascii: ":")) {
      let value = try ipv6(text)
      guard value >> 32 != 0xffff else {
        let ipv4 = print(.ipv4, value & 0xffff_ffff)
        throw ValueTextError(
          .badAddress, "`\(String(decoding: text, as: UTF8.self))` is an IPv4-mapped address",
          label: "no packet on the wire carries it", help: ["write the IPv4 address, `\(ipv4)`"],
          at: text.indices, replacements: [("write it as IPv4", ipv4)])
      }
      return (.ipv6, value)
    }
    return (.ipv4, UInt128(try ipv4(text)))
  }

  private static func bad(
    _ text: ArraySlice<UInt8>, _ label: String, at range: Range<Int>? = nil
  ) -> ValueTextError {
    ValueTextError(
      .badAddress,
      text.isEmpty ? "an address is missing" : "`\(String(decoding: text, as: UTF8.self))` is not an address",
      label: label, at: range ?? text.indices)
  }

  private static func ipv4(_ text: ArraySlice<UInt8>) throws(ValueTextError) -> UInt32 {
    var value: UInt32 = 0
    var start = text.startIndex
    for part in 0..<4 {
      var end = start
      while end < text.endIndex, text[end] != UInt8(ascii: ".") { end += 1 }
      let octet = text[start..<end]
      guard let number = decimal(octet, limit: 255) else {
        if octet.isEmpty { throw bad(text, part == 0 ? "no address" : "an octet is missing") }
        if octet.count > 1, octet.first == UInt8(ascii: "0"), octet.allSatisfy(isDigit) {
          throw bad(text, "an octet with a leading zero: octal or decimal?", at: octet.indices)
        }
        throw bad(
          text, octet.allSatisfy(isDigit) ? "an octet is 0 to 255" : "not a number", at: octet.indices)
      }
      value = value << 8 | UInt32(number)
      if part < 3 {
        guard end < text.endIndex else { throw bad(text, "IPv4 has four octets") }
        start = end + 1
      } else if end < text.endIndex {
        throw bad(text, "IPv4 has four octets", at: end..<text.endIndex)
      }
    }
    return value
  }

  private static func ipv6(_ text: ArraySlice<UInt8>) throws(ValueTextError) -> UInt128 {
    var groups: [UInt16] = []
    /// How many groups stand before `::`.
    var gap: Int?
    var index = text.startIndex
    if text.count > 1, text[index] == UInt8(ascii: ":") {
      guard text[index + 1] == UInt8(ascii: ":") else {
        throw bad(text, "a lone colon", at: index..<index + 1)
      }
    }
    while index < text.endIndex {
      if text[index] == UInt8(ascii: ":") {
        let isDouble = index + 1 < text.endIndex && text[index + 1] == UInt8(ascii: ":")
        if isDouble {
          guard gap == nil else { throw bad(text, "a second `::`", at: index..<index + 2) }
          gap = groups.count
          index += 2
          guard index == text.endIndex || text[index] != UInt8(ascii: ":") else {
            throw bad(text, "a third colon", at: index..<index + 1)
          }
          continue
        }
        index += 1
        guard index < text.endIndex else { throw bad(text, "a lone colon", at: index - 1..<index) }
      }
      var end = index
      while end < text.endIndex, text[end] != UInt8(ascii: ":") { end += 1 }
      let group = text[index..<end]
      if end == text.endIndex, group.contains(UInt8(ascii: ".")) {
        let tail = try ipv4(group)
        groups.append(UInt16(tail >> 16))
        groups.append(UInt16(tail & 0xffff))
      } else {
        guard let value = hexGroup(group) else {
          throw bad(
            text, "a group is one to four hexadecimal digits",
            at: group.isEmpty ? text.indices : group.indices)
        }
        groups.append(value)
      }
      guard groups.count <= 8 else { throw bad(text, "IPv6 has eight groups", at: index..<text.endIndex) }
      index = end
    }
    if let gap {
      guard groups.count < 8 else { throw bad(text, "`::` stands for no group here") }
      groups.insert(contentsOf: [UInt16](repeating: 0, count: 8 - groups.count), at: gap)
    }
    guard groups.count == 8 else { throw bad(text, "IPv6 has eight groups") }
    return groups.reduce(0) { $0 << 16 | UInt128($1) }
  }

  private static func hexGroup(_ text: ArraySlice<UInt8>) -> UInt16? {
    guard !text.isEmpty, text.count <= 4 else { return nil }
    var value: UInt16 = 0
    for byte in text {
      let digit: UInt8
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
      case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
      default: return nil
      }
      value = value << 4 | UInt16(digit)
    }
    return value
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
  }

  /// A decimal number of at most three digits, without a leading zero.
  static func decimal(_ text: ArraySlice<UInt8>, limit: Int) -> Int? {
    guard !text.isEmpty, text.count <= 3, text.allSatisfy(isDigit) else { return nil }
    guard text.count == 1 || text.first != UInt8(ascii: "0") else { return nil }
    let value = text.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
    return value <= limit ? value : nil
  }

  private static func hostMask(bits: Int, width: Int) -> UInt128 {
    let all = UInt128.max >> UInt128(128 - width)
    return bits == width ? 0 : all >> UInt128(bits)
  }

  // MARK: - Printing

  /// One address as RFC 5952 §4 has it; IPv4 in the low 32 bits.
  package static func print(_ family: IPFamily, _ value: UInt128) -> String {
    switch family {
    case .ipv4:
      return String(unsafeUninitializedCapacity: 15) { text in
        var count = 0
        for shift: UInt32 in [24, 16, 8, 0] {
          if shift < 24 {
            text[count] = UInt8(ascii: ".")
            count += 1
          }
          let byte = UInt8(truncatingIfNeeded: UInt32(truncatingIfNeeded: value) >> shift)
          for (unit, isLeft) in [(100 as UInt8, byte >= 100), (10, byte >= 10), (1, true)] where isLeft {
            text[count] = UInt8(ascii: "0") + byte / unit % 10
            count += 1
          }
        }
        return count
      }
    case .ipv6:
      let groups = (0..<8).map { UInt16(truncatingIfNeeded: value >> UInt128(112 - 16 * $0)) }
      let zeros = longestZeros(groups)
      var text = ""
      var index = 0
      while index < 8 {
        if index == zeros.lowerBound, zeros.count > 1 {
          text += "::"
          index = zeros.upperBound
          continue
        }
        if !text.isEmpty, !text.utf8.reversed().starts(with: [UInt8(ascii: ":")]) { text += ":" }
        text += String(groups[index], radix: 16)
        index += 1
      }
      return text
    }
  }

  /// The first of the longest runs of zero groups.
  private static func longestZeros(_ groups: [UInt16]) -> Range<Int> {
    var best = 0..<0
    var index = 0
    while index < groups.count {
      var end = index
      while end < groups.count, groups[end] == 0 { end += 1 }
      if end - index > best.count { best = index..<end }
      index = max(end, index + 1)
    }
    return best
  }
}
