/// Addresses as RFC 5952 §4 writes them, byte by byte: lists have millions.
package enum AddressPrinting {
  package static func append(_ value: UInt32, to text: inout [UInt8]) {
    for shift: UInt32 in [24, 16, 8] {
      append(decimal: Int(value >> shift & 255), to: &text)
      text.append(UInt8(ascii: "."))
    }
    append(decimal: Int(value & 255), to: &text)
  }

  package static func append(_ value: UInt128, to text: inout [UInt8]) {
    func group(_ index: Int) -> UInt16 { UInt16(truncatingIfNeeded: value >> UInt128(112 - 16 * index)) }
    // The first of the longest runs of at least two zero groups.
    var zeros = 0..<0
    var index = 0
    while index < 8 {
      var end = index
      while end < 8, group(end) == 0 { end += 1 }
      if end - index > max(zeros.count, 1) { zeros = index..<end }
      index = max(end, index + 1)
    }
    index = 0
    while index < 8 {
      if index == zeros.lowerBound, !zeros.isEmpty {
        text.append(UInt8(ascii: ":"))
        text.append(UInt8(ascii: ":"))
        index = zeros.upperBound
        continue
      }
      if index > 0, index != zeros.upperBound || zeros.isEmpty { text.append(UInt8(ascii: ":")) }
      append(hexadecimal: group(index), to: &text)
      index += 1
    }
  }

  /// - Precondition: 0 to 999.
  package static func append(decimal value: Int, to text: inout [UInt8]) {
    if value >= 100 { text.append(UInt8(ascii: "0") + UInt8(value / 100)) }
    if value >= 10 { text.append(UInt8(ascii: "0") + UInt8(value / 10 % 10)) }
    text.append(UInt8(ascii: "0") + UInt8(value % 10))
  }

  private static func append(hexadecimal value: UInt16, to text: inout [UInt8]) {
    var hasBegun = false
    for shift: UInt16 in [12, 8, 4, 0] {
      let digit = UInt8(value >> shift & 15)
      hasBegun = hasBegun || digit != 0 || shift == 0
      if hasBegun { text.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10) }
    }
  }
}
