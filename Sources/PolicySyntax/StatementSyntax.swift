package import Diagnostics

/// A place a statement speaks about.
package enum PlaceSyntax: Sendable, Equatable {
  /// `input`, `output`, `forward`, `prerouting`, `postrouting` or `ingress`.
  case hook(String)
  /// `A to B`.
  case pair(from: String, to: String)
}

/// The packets a statement is about: all that its clauses allow.
package struct RegionSyntax: Sendable, Equatable {
  /// `any` is a region without clauses.
  ///
  /// INVARIANT: in the order of canonical text.
  package private(set) var clauses: [Spanned<ClauseSyntax>]
  package var span: SourceSpan

  package init(clauses: [Spanned<ClauseSyntax>], span: SourceSpan) {
    self.clauses = clauses.inCanonicalOrder
    self.span = span
  }

  package static func == (a: RegionSyntax, b: RegionSyntax) -> Bool { a.clauses == b.clauses }
}

package enum StatementModeSyntax: String, Sendable {
  case always
  case sometimes
  case may
}

package enum StatementVerdictSyntax: String, Sendable {
  case accept
  case drop
  case reject
}

package struct AssumptionSyntax: Sendable, Equatable {
  package var set: Spanned<String>
  /// Nil means `empty`.
  package var within: AddressListSyntax?

  package init(set: Spanned<String>, within: AddressListSyntax?) {
    self.set = set
    self.within = within
  }
}

package struct PacketStatementSyntax: Sendable, Equatable {
  package var place: Spanned<PlaceSyntax>
  package var mode: StatementModeSyntax?
  package var verdict: Spanned<StatementVerdictSyntax>
  package var region: RegionSyntax
  package var assumptions: [AssumptionSyntax]

  package init(
    place: Spanned<PlaceSyntax>, mode: StatementModeSyntax?, verdict: Spanned<StatementVerdictSyntax>,
    region: RegionSyntax, assumptions: [AssumptionSyntax]
  ) {
    self.place = place
    self.mode = mode
    self.verdict = verdict
    self.region = region
    self.assumptions = assumptions
  }
}

/// A fact about a domain other than packets.
package enum FactSyntax: Sendable, Equatable {
  package enum Comparison: Sendable, Equatable {
    case mentioned
    case equal(Spanned<String>)
    case atLeast(Spanned<String>)
  }

  case sysctl(Spanned<String>, Comparison)
  case kernel(Spanned<String>, Comparison)
  case module(Spanned<String>, denied: Bool)
  case syscall(Spanned<String>, denied: Bool)
  case mount(Spanned<String>, negated: Bool, flags: [Spanned<String>])
  case refines(Spanned<String>)
}

/// An item of `expect`, `guarantee` or `delegate`, or the argument of a query (LANGUAGE.md §6).
package enum StatementSyntax: Sendable, Equatable {
  case packets(PacketStatementSyntax)
  case fact(FactSyntax)
}
