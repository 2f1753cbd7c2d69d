/// A verdict map: one look-up in place of a list of rules (LANGUAGE.md §3, form 5).
package struct VerdictMapSyntax: Sendable, Equatable {
  /// What a look-up is made by.
  package enum Field: Sendable, Equatable {
    /// The destination port of `tcp`, `udp`, `sctp`, `dccp` or `udplite`.
    case port(String)
    case interface(InterfaceDirection)
    case address(Direction)
    case mark
  }

  package enum Key: Sendable, Equatable {
    case port(PortSyntax)
    case interface(InterfaceSyntax)
    case address(AddressSyntax)
    case mark(NumericRangeSyntax)
  }

  /// One line of the table. Each key has one part for each field.
  package struct Entry: Sendable, Equatable {
    package var keys: [Spanned<[Key]>]
    package var verdict: Spanned<VerdictSyntax>

    package init(keys: [Spanned<[Key]>], verdict: Spanned<VerdictSyntax>) {
      self.keys = keys
      self.verdict = verdict
    }
  }

  /// One field, or a pair.
  package var dispatch: [Spanned<Field>]
  package var entries: [Entry]
  /// Taken when the field is present and no key matches.
  package var otherwise: Spanned<VerdictSyntax>

  package init(dispatch: [Spanned<Field>], entries: [Entry], otherwise: Spanned<VerdictSyntax>) {
    self.dispatch = dispatch
    self.entries = entries
    self.otherwise = otherwise
  }
}
