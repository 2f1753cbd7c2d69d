package import Diagnostics

/// One item of a rule list: a rule (forms 1 to 4) or a verdict map (form 5).
package struct RuleItemSyntax: Sendable {
  package enum Body: Sendable, Equatable {
    case rule(RuleSyntax)
    case verdictMap(VerdictMapSyntax)
  }

  package var name: Spanned<String>?
  package var body: Body
  package var comment: Spanned<String>?
  package var owner: Spanned<String>?
  package var because: Spanned<String>?
  /// A date that exists, `YYYY-MM-DD`, or `never`.
  package var until: Spanned<String>?
  package var enabled: Bool
  package var controls: [Spanned<String>]
  package var span: SourceSpan

  package init(name: Spanned<String>?, body: Body, span: SourceSpan) {
    self.name = name
    self.body = body
    enabled = true
    controls = []
    self.span = span
  }
}
