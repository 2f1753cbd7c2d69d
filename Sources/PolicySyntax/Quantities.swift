/// A time as `1d2h3m4s`.
package struct DurationSyntax: Sendable, Hashable {
  package var seconds: UInt64

  package init(seconds: UInt64) { self.seconds = seconds }
}

/// A day of the calendar that exists; days compare by time.
package struct DateSyntax: Sendable, Hashable, Comparable {
  package let year: Int
  /// 1–12.
  package let month: Int
  /// 1–31.
  package let day: Int

  /// Nil if there is no such day; years run from 1 to 9999.
  package init?(year: Int, month: Int, day: Int) {
    guard (1...9999).contains(year), (1...12).contains(month), day >= 1 else { return nil }
    let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    guard day <= lengths[month - 1] else { return nil }
    self.year = year
    self.month = month
    self.day = day
  }

  package static func < (a: DateSyntax, b: DateSyntax) -> Bool {
    (a.year, a.month, a.day) < (b.year, b.month, b.day)
  }
}

/// Hours of the day in UTC as `22:00-06:00`: from `start`, inclusive, to `end`, exclusive.
package struct HoursSyntax: Sendable, Hashable {
  /// Minutes since midnight, 0–1439. An end before the start wraps midnight.
  package var start: Int
  package var end: Int

  package init(start: Int, end: Int) {
    self.start = start
    self.end = end
  }
}
