import Diagnostics
import PolicyModel
import PolicySyntax

/// What the kernel cannot count and nft cannot write, though the grammar allows it.
extension Checker {
  /// False if something was reported. The clauses have been resolved without a finding.
  mutating func fitsTheKernel(_ syntax: RuleSyntax, _ clauses: ResolvedClauses) -> Bool {
    var fits = fitsAlternatives(syntax, clauses)
    for clause in syntax.clauses {
      switch clause.value {
      case .limit(_, let rate, let burst, _):
        if let burst, burst.value == 0, !rate.value.isBytes {
          error(
            .ruleBadValue, burst.span, "a burst of 0 packets lets nothing through",
            help: ["leave `burst` out for 5, the kernel's default"])
          fits = false
        } else if let limit = clauses.limit, !limit.rate.isRepresentable(burst: limit.burst) {
          cannotCount(rate, burst: burst)
          fits = false
        }
      case .quota(_, let bytes):
        if let quota = clauses.quota, !quota.isRepresentable {
          error(
            .ruleBadValue, bytes.span, "the kernel counts up to \(Int64.max) bytes",
            help: ["a quota that large is none: leave it out"])
          fits = false
        }
      case .log(let log):
        if let rate = log.atMost, !Rate(rate.value).isRepresentable(burst: rate.value.isBytes ? 0 : 5) {
          cannotCount(rate, burst: nil)
          fits = false
        }
        if let label = log.label, case .text(let text) = label.value, !isWritable(text, at: label.span) {
          fits = false
        }
      default: break
      }
    }
    return fits
  }

  private mutating func cannotCount(_ rate: Spanned<RateSyntax>, burst: Spanned<UInt32>?) {
    let units = ["day": "hour", "hour": "minute", "minute": "second"]
    let shorter = units[rate.value.unit.rawValue].map { "say it in a shorter unit, as `…/\($0)`" }
    let lower = burst == nil ? nil : "or lower the burst"
    error(
      .ruleBadValue, rate.span, "the kernel cannot count `\(rate.value.canonicalText)`",
      help: [[shorter, lower].compactMap { $0 }.joined(separator: ", ")].filter { !$0.isEmpty })
  }

  /// nft's strings have no escapes, and `$` in a log prefix is a variable to it.
  private mutating func isWritable(_ text: String, at span: SourceSpan) -> Bool {
    guard let found = text.unicodeScalars.first(where: { $0 == "\"" || $0 == "$" }) else { return true }
    error(
      .ruleBadValue, span, "a log text holds no `\(found)`",
      help: [
        found == "$"
          ? "nft reads a variable there, and `nft list` could not be loaded again" : "nft cannot write it"
      ])
    return false
  }

  /// Nil for a reference, or if something was reported.
  mutating func pattern(_ interface: InterfaceSyntax, at span: SourceSpan) -> InterfacePattern? {
    let pattern: InterfacePattern
    switch interface {
    case .exact(let name): pattern = InterfacePattern(name)
    case .prefix(let prefix): pattern = InterfacePattern(prefix, isPrefix: true)
    case .reference: return nil
    }
    let name = pattern.name.utf8
    guard !name.contains(UInt8(ascii: "\"")), !pattern.isPrefix || name.last != UInt8(ascii: "\\") else {
      error(
        .ruleBadValue, span, "no nft file can hold this name of an interface",
        help: ["nft cannot write a `\"` in a name, nor a `\\` before the `*`"])
      return nil
    }
    return pattern
  }
}
