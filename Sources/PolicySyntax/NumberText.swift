import Diagnostics

/// Numbers as the language writes them: decimal or lower-case `0x`, no leading zero, no `_`.
package enum NumberText {
  /// Reads a whole slice as one number.
  ///
  /// - Parameters:
  ///   - what: what the number stands for, for messages: ``a port``.
  package static func parse(
    _ text: ArraySlice<UInt8>, _ what: String, in bounds: ClosedRange<UInt64>
  ) throws(ValueTextError) -> UInt64 {
    let value = try parse(text, what)
    guard bounds.contains(value) else {
      throw ValueTextError(
        .ruleBadValue, "`\(String(decoding: text, as: UTF8.self))` is out of range",
        label: "\(what) is \(bounds.lowerBound) to \(bounds.upperBound)", at: text.indices)
    }
    return value
  }

  private static func parse(_ text: ArraySlice<UInt8>, _ what: String) throws(ValueTextError) -> UInt64 {
    let isHex = text.count > 2 && text.starts(with: [UInt8(ascii: "0"), UInt8(ascii: "x")])
    let digits = isHex ? text.dropFirst(2) : text
    let word = String(decoding: text, as: UTF8.self)
    guard !digits.isEmpty else {
      throw ValueTextError(
        .ruleBadValue, text.isEmpty ? "a number is missing" : "`\(word)` is not a number",
        label: "expected \(what)", at: text.indices)
    }
    let radix: UInt64 = isHex ? 16 : 10
    var value: UInt64 = 0
    var overflows = false
    for byte in digits {
      guard let digit = digit(byte), digit < radix else {
        throw ValueTextError(
          .ruleBadValue, "`\(word)` is not a number", label: "expected \(what)",
          help: byte == UInt8(ascii: "_") || isHexLike(text)
            ? ["numbers are decimal or lower-case `0x`, without `_`"] : [], at: text.indices)
      }
      let (product, carry) = value.multipliedReportingOverflow(by: radix)
      let (sum, carry2) = product.addingReportingOverflow(digit)
      overflows = overflows || carry || carry2
      value = sum
    }
    guard digits.count == 1 || digits.first != UInt8(ascii: "0") else {
      throw ValueTextError(
        .leadingZero, "`\(word)` has a leading zero", label: "is it octal or decimal?",
        help: ["write it without leading zeros; hexadecimal is `0x10`"], at: text.indices)
    }
    guard !overflows else {
      throw ValueTextError(
        .ruleBadValue, "`\(word)` is too large", label: "expected \(what)", at: text.indices)
    }
    return value
  }

  /// Reads `A` or `A-B`, `A ≤ B`.
  package static func parseRange(
    _ text: ArraySlice<UInt8>, _ what: String, in bounds: ClosedRange<UInt64>
  ) throws(ValueTextError) -> (lower: UInt64, upper: UInt64) {
    guard let dash = text.firstIndex(of: UInt8(ascii: "-")) else {
      let value = try parse(text, what, in: bounds)
      return (value, value)
    }
    let lower = try parse(text[..<dash], what, in: bounds)
    let upper = try parse(text[(dash + 1)...], what, in: bounds)
    guard lower <= upper else {
      throw ValueTextError(
        .badRange, "the range `\(String(decoding: text, as: UTF8.self))` runs backwards",
        label: "\(lower) is more than \(upper)", at: text.indices,
        replacements: [("exchange its ends", "\(upper)-\(lower)")])
    }
    return (lower, upper)
  }

  /// Whether a word begins like a number, so that it is read as one and not as a name.
  static func startsNumber(_ text: some Collection<UInt8>) -> Bool {
    text.first.map { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") } ?? false
  }

  private static func isHexLike(_ text: ArraySlice<UInt8>) -> Bool {
    text.starts(with: [UInt8(ascii: "0"), UInt8(ascii: "x")])
      || text.starts(with: [UInt8(ascii: "0"), UInt8(ascii: "X")])
  }

  private static func digit(_ byte: UInt8) -> UInt64? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(byte - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(byte - UInt8(ascii: "a")) + 10
    default: nil
    }
  }
}
