package import Diagnostics
package import PolicyModel
internal import PolicySyntax

/// Exceptions and rules whose last day is past, or near (LANGUAGE.md §5.10).
///
/// A compile reads no clock, so the day is given.
package enum Expiry {
  /// From so many days before its end on, an exception is reported.
  private static let notice = 30

  /// A day as `YYYY-MM-DD`.
  package struct Day: Sendable {
    fileprivate let number: Int
    package let text: String

    /// Nil if the text is no day that exists.
    package init?(_ text: String) {
      guard let date = try? QuantityText.parseDate(Array(text.utf8)[...]) else { return nil }
      number = Self.number(date)
      self.text = text
    }

    /// Days since 1970-01-01; Howard Hinnant, chrono-compatible low-level date algorithms.
    private static func number(_ date: DateSyntax) -> Int {
      let year = date.month <= 2 ? date.year - 1 : date.year
      let era = (year >= 0 ? year : year - 399) / 400
      let yearOfEra = year - era * 400
      let dayOfYear = (153 * (date.month + (date.month > 2 ? -3 : 9)) + 2) / 5 + date.day - 1
      return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
  }

  /// Findings about the exceptions of a policy and of all it extends, and about rules that end.
  package static func judge(_ policy: HostPolicy, on day: Day) -> [Diagnostic] {
    let exceptions = policy.allExceptions.map { ("the exception `\($0.text)`", $0.owner, $0.until, $0.span) }
    let rules = ((policy.firewall?.rules ?? []) + policy.boot.input).compactMap { rule in
      rule.until.map { ("the rule `\(rule.id)`", rule.owner ?? "", $0, rule.span) }
    }
    // Of an item that stands for several rules, one finding.
    var seen: Set<SourceSpan> = []
    return (exceptions + rules).compactMap { what, owner, until, span in
      guard seen.insert(span).inserted else { return nil }
      return finding(what, owner: owner, until: until, span, on: day)
    }
  }

  private static func finding(
    _ what: String, owner: String, until: String, _ span: SourceSpan, on day: Day
  ) -> Diagnostic? {
    // `never` is legal, and listed.
    guard let last = Day(until) else { return nil }
    let left = last.number - day.number
    guard left <= notice else { return nil }
    let asked = owner.isEmpty ? [] : ["`\(owner)` answers for it"]
    if left < 0 {
      return Diagnostic(
        .loosenExpired, at: span, "\(what) ended on \(until), and the day is \(day.text)",
        help: asked + ["take it out, or find out whether it is still needed and give it a new end"])
    }
    let when = left == 0 ? "today" : left == 1 ? "in 1 day" : "in \(left) days"
    return Diagnostic(
      .loosenEnding, .warning, at: span, "\(what) ends \(when), after \(until)",
      help: asked + ["after that day `check` fails, here and in every policy that extends this one"])
  }
}
