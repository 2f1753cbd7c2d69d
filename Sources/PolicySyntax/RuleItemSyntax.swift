package import Diagnostics

/// One item of a rule list: a rule (forms 1 to 4) or a verdict map (form 5).
package struct RuleItemSyntax: Sendable {
  package enum Body: Sendable, Equatable {
    case rule(RuleSyntax)
    indirect case verdictMap(VerdictMapSyntax)
  }

  /// What few items say. A list may have many thousand.
  private struct Annotations {
    var comment: Spanned<String>?
    var owner: Spanned<String>?
    var because: Spanned<String>?
    var until: Spanned<String>?
    var enabled = true
    var controls: [Spanned<String>] = []
  }

  /// SAFETY: changed only by who has the one reference to it.
  private final class Storage: @unchecked Sendable {
    var annotations: Annotations

    init(_ annotations: Annotations) { self.annotations = annotations }
  }

  package var name: Spanned<String>?
  package var body: Body
  package var span: SourceSpan
  /// Nil: it has none.
  private var storage: Storage?

  package init(name: Spanned<String>?, body: Body, span: SourceSpan) {
    self.name = name
    self.body = body
    self.span = span
  }

  private var annotations: Annotations {
    get { storage?.annotations ?? Annotations() }
    _modify {
      let own: Storage
      if isKnownUniquelyReferenced(&storage), let storage {
        own = storage
      } else {
        own = Storage(storage?.annotations ?? Annotations())
        storage = own
      }
      yield &own.annotations
    }
  }

  package var comment: Spanned<String>? {
    get { storage?.annotations.comment }
    set { annotations.comment = newValue }
  }

  package var owner: Spanned<String>? {
    get { storage?.annotations.owner }
    set { annotations.owner = newValue }
  }

  package var because: Spanned<String>? {
    get { storage?.annotations.because }
    set { annotations.because = newValue }
  }

  /// A date that exists, `YYYY-MM-DD`, or `never`.
  package var until: Spanned<String>? {
    get { storage?.annotations.until }
    set { annotations.until = newValue }
  }

  package var enabled: Bool {
    get { storage?.annotations.enabled ?? true }
    set { annotations.enabled = newValue }
  }

  package var controls: [Spanned<String>] {
    get { storage?.annotations.controls ?? [] }
    set { annotations.controls = newValue }
  }
}
