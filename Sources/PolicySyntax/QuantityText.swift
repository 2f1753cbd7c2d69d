import Diagnostics

/// Durations, rates, sizes, dates and hours of the day, each one word.
package enum QuantityText {
  /// `1d2h3m4s`: units descending, each at most once, decimal, at most 292 years.
  package static func parseDuration(_ text: ArraySlice<UInt8>) throws(ValueTextError) -> DurationSyntax {
    func bad(_ label: String) -> ValueTextError {
      ValueTextError(
        .ruleBadValue, "`\(String(decoding: text, as: UTF8.self))` is not a duration", label: label,
        help: ["durations look like `30s`, `10m` or `1d12h`"], at: text.indices)
    }
    var seconds: UInt64 = 0
    var last = UInt64.max
    var index = text.startIndex
    guard !text.isEmpty else { throw bad("expected a duration") }
    while index < text.endIndex {
      let digits = text[index...].prefix(while: isDigit)
      guard !digits.isEmpty else { throw bad("expected a number") }
      guard digits.endIndex < text.endIndex else { throw bad("its unit is missing") }
      let unit: UInt64
      switch text[digits.endIndex] {
      case UInt8(ascii: "d"): unit = 86400
      case UInt8(ascii: "h"): unit = 3600
      case UInt8(ascii: "m"): unit = 60
      case UInt8(ascii: "s"): unit = 1
      default: throw bad("units are `d`, `h`, `m` and `s`")
      }
      guard unit < last else { throw bad("units descend, each once") }
      last = unit
      // nft's timeouts are milliseconds in 64 bits, kept as a signed number of jiffies.
      let number = try NumberText.parse(digits, "a number", in: 0...9_223_372_036 / unit)
      seconds += number * unit
      guard seconds <= 9_223_372_036 else { throw bad("too long") }
      index = digits.endIndex + 1
    }
    return DurationSyntax(seconds: seconds)
  }

  /// `10/minute`, `500kbytes/second`.
  package static func parseRate(_ text: ArraySlice<UInt8>) throws(ValueTextError) -> RateSyntax {
    func bad(_ label: String, at range: Range<Int>? = nil) -> ValueTextError {
      ValueTextError(
        .ruleBadValue, "`\(String(decoding: text, as: UTF8.self))` is not a rate", label: label,
        help: ["rates are one word: `10/minute` packets, `500kbytes/second`"], at: range ?? text.indices)
    }
    guard let slash = text.firstIndex(of: UInt8(ascii: "/")) else {
      throw bad("expected `/` and a unit of time")
    }
    let unitText = String(decoding: text[(slash + 1)...], as: UTF8.self)
    guard let unit = RateUnit(rawValue: unitText) else {
      let units = RateUnit.allCases.map(\.rawValue)
      let nearest =
        Spelling.closest(to: unitText, among: units)
        ?? units.first { !unitText.isEmpty && $0.utf8.starts(with: unitText.utf8) }
      throw ValueTextError(
        .ruleBadValue, unitText.isEmpty ? "a unit of time is missing" : "`\(unitText)` is not a unit of time",
        label: "expected `second`, `minute`, `hour` or `day`",
        help: nearest.map { ["did you mean `\($0)`?"] } ?? [],
        at: slash + 1 < text.endIndex ? slash + 1..<text.endIndex : text.indices,
        replacements: nearest.map {
          [("write `\($0)`", String(decoding: text[...slash], as: UTF8.self) + $0)]
        } ?? [])
    }
    let amountText = text[..<slash]
    let digits = amountText.prefix(while: isDigit)
    guard !digits.isEmpty else { throw bad("expected a number before `/`") }
    let isBytes = digits.endIndex < slash
    let amount =
      isBytes
      ? try bytes(amountText, bad: { bad($0) })
      : try NumberText.parse(digits, "a number of packets", in: 0...UInt64(UInt32.max))
    guard amount > 0 else { throw bad("a rate of 0 lets nothing through", at: digits.indices) }
    return RateSyntax(amount: amount, isBytes: isBytes, unit: unit)
  }

  /// `500mbytes`, in bytes; factors are powers of 1024.
  package static func parseSize(_ text: ArraySlice<UInt8>) throws(ValueTextError) -> UInt64 {
    try bytes(text) { label in
      ValueTextError(
        .ruleBadValue, "`\(String(decoding: text, as: UTF8.self))` is not a size", label: label,
        help: ["sizes are one word: `500mbytes`, with `bytes`, `kbytes`, `mbytes` or `gbytes`"],
        at: text.indices)
    }
  }

  private static func bytes(
    _ text: ArraySlice<UInt8>, bad: (String) -> ValueTextError
  ) throws(ValueTextError) -> UInt64 {
    let digits = text.prefix(while: isDigit)
    guard !digits.isEmpty else { throw bad("expected a number") }
    let number = try NumberText.parse(digits, "a number", in: 0...UInt64.max)
    let factor: UInt64
    switch String(decoding: text[digits.endIndex...], as: UTF8.self) {
    case "bytes": factor = 1
    case "kbytes": factor = 1 << 10
    case "mbytes": factor = 1 << 20
    case "gbytes": factor = 1 << 30
    case "": throw bad("its unit is missing")
    default: throw bad("units are `bytes`, `kbytes`, `mbytes` and `gbytes`")
    }
    let (value, overflows) = number.multipliedReportingOverflow(by: factor)
    guard !overflows else { throw bad("more than 64 bits") }
    return value
  }

  /// `2027-03-31`, a day that exists.
  package static func parseDate(_ text: ArraySlice<UInt8>) throws(ValueTextError) -> DateSyntax {
    func bad(_ label: String) -> ValueTextError {
      ValueTextError(
        .ruleBadValue, "`\(String(decoding: text, as: UTF8.self))` is not a date", label: label,
        help: ["dates look like `2027-03-31`"], at: text.indices)
    }
    let bytes = Array(text)
    guard bytes.count == 10, bytes[4] == UInt8(ascii: "-"), bytes[7] == UInt8(ascii: "-"),
      let year = digits(bytes[0..<4]), let month = digits(bytes[5..<7]), let day = digits(bytes[8..<10])
    else { throw bad("expected year, month and day") }
    guard let date = DateSyntax(year: year, month: month, day: day) else { throw bad("no such day") }
    return date
  }

  /// `06:00-22:00`, end exclusive.
  package static func parseHours(_ text: ArraySlice<UInt8>) throws(ValueTextError) -> HoursSyntax {
    func bad(_ label: String) -> ValueTextError {
      ValueTextError(
        .ruleBadValue, "`\(String(decoding: text, as: UTF8.self))` is not a range of hours", label: label,
        help: ["hours are UTC and look like `06:00-22:00`; the end is exclusive and may be past midnight"],
        at: text.indices)
    }
    let bytes = Array(text)
    guard bytes.count == 11, bytes[2] == UInt8(ascii: ":"), bytes[5] == UInt8(ascii: "-"),
      bytes[8] == UInt8(ascii: ":"), let startHour = digits(bytes[0..<2]),
      let startMinute = digits(bytes[3..<5]), let endHour = digits(bytes[6..<8]),
      let endMinute = digits(bytes[9..<11])
    else { throw bad("expected `hh:mm-hh:mm`") }
    guard startHour < 24, endHour < 24, startMinute < 60, endMinute < 60 else {
      throw bad("times are 00:00 to 23:59")
    }
    let hours = HoursSyntax(start: startHour * 60 + startMinute, end: endHour * 60 + endMinute)
    guard hours.start != hours.end else { throw bad("empty, or the whole day?") }
    return hours
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
  }

  private static func digits(_ text: ArraySlice<UInt8>) -> Int? {
    guard text.allSatisfy(isDigit) else { return nil }
    return text.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
  }
}
