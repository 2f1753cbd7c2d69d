import Glibc

/// The one place that asks what time it is.
enum Clock {
  /// Seconds since 1970-01-01T00:00:00Z.
  static func now() -> Int { time(nil) }

  /// `YYYY-MM-DD`, UTC.
  static func today() -> String { String(text(now()).prefix(10)) }

  /// `YYYY-MM-DDTHH:MM:SSZ`, RFC 3339.
  static func text(_ seconds: Int) -> String {
    var seconds = time_t(seconds)
    var parts = tm()
    gmtime_r(&seconds, &parts)
    func padded(_ number: Int32, _ width: Int = 2) -> String {
      let digits = String(number)
      return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
    let day = "\(padded(parts.tm_year + 1900, 4))-\(padded(parts.tm_mon + 1))-\(padded(parts.tm_mday))"
    return "\(day)T\(padded(parts.tm_hour)):\(padded(parts.tm_min)):\(padded(parts.tm_sec))Z"
  }
}
