import Glibc
import PolicySyntax

/// When an opening ends, as a person says it.
enum OpeningEnd {
  struct Failure: Error {
    var text: String
  }

  /// Seconds that the applier takes for one.
  private static let lengths = 2...86_400

  /// - Parameter now: seconds since 1970-01-01T00:00:00Z, as the result.
  static func parse(_ text: String, now: Int) throws(Failure) -> Int {
    guard let end = time(text[...]) ?? clockTime(text[...], now) ?? duration(text).map({ now + $0 }) else {
      throw Failure(
        text: "`\(text)` is no time: write 18:30, 2026-11-26T18:30:00+01:00, or how long as 2h or 30m")
    }
    if end <= now { throw Failure(text: "`\(text)` is over") }
    guard lengths.contains(end - now) else {
      throw Failure(text: "`\(text)` is not between 2 seconds and 24 hours from now")
    }
    return end
  }

  private static func duration(_ text: String) -> Int? {
    let seconds = try? QuantityText.parseDuration(Array(text.utf8)[...]).seconds
    return seconds.map { Int($0) }
  }

  /// `HH:MM` in this host's time zone, the next one.
  private static func clockTime(_ text: Substring, _ now: Int) -> Int? {
    guard let minutes = minutes(text) else { return nil }
    var seconds = time_t(now)
    var parts = tm()
    localtime_r(&seconds, &parts)
    parts.tm_hour = Int32(minutes / 60)
    parts.tm_min = Int32(minutes % 60)
    parts.tm_sec = 0
    // Whether it is summer then, the library knows.
    parts.tm_isdst = -1
    var tomorrow = parts
    tomorrow.tm_mday += 1
    let end = mktime(&parts)
    return end > now ? end : mktime(&tomorrow)
  }

  /// `YYYY-MM-DDTHH:MM:SS` and `Z`, `+HH:MM` or `-HH:MM`: date-time of RFC 3339 without parts of a second.
  private static func time(_ text: Substring) -> Int? {
    let fields = text.split(separator: "T", omittingEmptySubsequences: false)
    guard fields.count == 2, fields[1].utf8.count >= 9, let day = day(fields[0]) else { return nil }
    let clock = fields[1].prefix(8)
    let zone = fields[1].dropFirst(8)
    guard let minutes = minutes(clock.prefix(5)), clock.dropFirst(5).first == ":",
      let second = number(clock.suffix(2), digits: 2, below: 60), let offset = offset(zone)
    else { return nil }
    return day + (minutes - offset) * 60 + second
  }

  /// Midnight of a day in UTC.
  private static func day(_ text: Substring) -> Int? {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 3, let year = number(parts[0], digits: 4, below: 10_000),
      let month = number(parts[1], digits: 2, below: 13), let day = number(parts[2], digits: 2, below: 32),
      DateSyntax(year: year, month: month, day: day) != nil
    else { return nil }
    var fields = tm()
    fields.tm_year = Int32(year - 1900)
    fields.tm_mon = Int32(month - 1)
    fields.tm_mday = Int32(day)
    return timegm(&fields)
  }

  /// Minutes east of UTC.
  private static func offset(_ text: Substring) -> Int? {
    if text == "Z" { return 0 }
    guard let sign = text.first, sign == "+" || sign == "-", let minutes = minutes(text.dropFirst()) else {
      return nil
    }
    return sign == "+" ? minutes : -minutes
  }

  /// Of `HH:MM`, since midnight.
  private static func minutes(_ text: Substring) -> Int? {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, let hour = number(parts[0], digits: 2, below: 24),
      let minute = number(parts[1], digits: 2, below: 60)
    else { return nil }
    return hour * 60 + minute
  }

  private static func number(_ text: Substring, digits: Int, below limit: Int) -> Int? {
    guard text.utf8.count == digits, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
      let number = Int(text), number < limit
    else { return nil }
    return number
  }
}
