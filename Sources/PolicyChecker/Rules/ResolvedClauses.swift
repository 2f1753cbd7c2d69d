import Diagnostics
import PolicyModel
import PolicySyntax

/// The clauses of one rule or region with their names resolved.
struct ResolvedClauses {
  var families: Families = .both
  var matches: [Match] = []
  var limit: Limit?
  var quota: Quota?
  var counter: Counter?
  var log: Spanned<LogSyntax>?
  var with: Spanned<RejectKind>?
  var hasStateClause = false
  /// `in lo` or `out lo`.
  var namesLoopback = false
  /// Spans of clauses that can never hold because a definition is empty (LANGUAGE.md §4.8).
  var neverHolds: [SourceSpan] = []
  /// Spans of clauses that always hold because a definition is empty.
  var alwaysHolds: [SourceSpan] = []
  /// The clause that last narrowed the families.
  var familySpan: SourceSpan?

  /// Whether every packet that meets the matches is TCP.
  var isTCPOnly: Bool {
    matches.contains { match in
      switch match.condition {
      case .protocols(let numbers): !match.isNegated && numbers == [6]
      case .ports(_, let protocols, _): protocols == [6]
      case .services(let services): !match.isNegated && services.allSatisfy { $0.protocolNumber == 6 }
      default: false
      }
    }
  }
}
