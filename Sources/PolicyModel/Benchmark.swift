package import Diagnostics

/// A set of statements about any policy, each under the id of the control that asks for it.
package struct Benchmark: Sendable {
  /// One thing that a control asks for.
  package enum Claim: Sendable {
    /// One of these holds; one alone, in most claims.
    case anyOf([Statement])
    /// What no rule decides is refused at a place, in these families.
    case closed(Hook, Families, SourceSpan)
  }

  package struct Control: Sendable {
    package var id: String
    package var title: String
    package var claims: [Claim]
    /// Where one of these holds, the control does not apply.
    package var exclusions: [Statement]
    /// What it is about; all of the language, if not stated.
    package var architectures: [Target.Architecture]
    /// What else it asks for that no policy can say; nil: nothing.
    package var rest: String?
    /// Of the id.
    package var span: SourceSpan

    package init(id: String, title: String, span: SourceSpan) {
      self.id = id
      self.title = title
      self.span = span
      claims = []
      exclusions = []
      architectures = Target.Architecture.allCases
      rest = nil
    }
  }

  package var name: String
  package var description: String?
  /// The document that the controls are of.
  package var source: String
  /// Those of the benchmarks that it includes first.
  package var controls: [Control]

  package init(name: String, description: String?, source: String, controls: [Control]) {
    self.name = name
    self.description = description
    self.source = source
    self.controls = controls
  }
}
