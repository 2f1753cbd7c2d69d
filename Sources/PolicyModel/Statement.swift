package import Diagnostics

/// The packets a statement is about: all that meet every match. Bare `any` has none.
package struct Region: Sendable {
  package var hook: Hook
  package var families: Families
  package var matches: [Match]
  /// False: only packets that open a flow (state new or untracked). A state list or `any-state` lifts it.
  package var hasStateClause: Bool
  /// Whether packets on `lo` are meant; `in lo` or `out lo` lifts the default.
  package var includesLoopback: Bool
  /// What sets are taken to hold, other than anything.
  package var assumptions: [Assumption] = []
  package var text: String
  /// The place of a region that must stay reachable, where it is not `input`: a hook or a pair of zones.
  package var place: String?
  package var span: SourceSpan

  package init(
    hook: Hook, families: Families, matches: [Match], hasStateClause: Bool, includesLoopback: Bool,
    text: String, span: SourceSpan
  ) {
    self.hook = hook
    self.families = families
    self.matches = matches
    self.hasStateClause = hasStateClause
    self.includesLoopback = includesLoopback
    self.text = text
    self.span = span
  }

  /// With its place, where one is written.
  package var placedText: String { place.map { "\($0) \(text)" } ?? text }
}

/// What a statement takes a dynamic or external set to hold when the packet comes.
package struct Assumption: Sendable, Equatable {
  package var set: String
  /// Only addresses of these; none: it is empty.
  package var within: AddressSet

  package init(set: String, within: AddressSet) {
    self.set = set
    self.within = within
  }
}

/// Regions that must stay reachable.
package enum Management: Sendable {
  case unstated
  /// A console-only host.
  case none
  case regions([Region])
}

package struct Statement: Sendable {
  package enum Mode: String, Sendable {
    case plain
    case always
    case sometimes
    case may
  }

  package enum Outcome: String, Sendable {
    case accept
    case drop
    case reject
  }

  package enum Comparison: Sendable, Equatable {
    case mentioned
    case equal(String)
    case atLeast(String)
  }

  package enum Body: Sendable {
    case packets(Region, Mode, Outcome)
    case sysctl(String, Comparison)
    case kernel(String, Comparison)
    case module(String, denied: Bool)
    case systemCall(String, denied: Bool)
    case mount(String, isNegated: Bool, [MountFlag])
    /// Nothing is weaker than in another policy, by the name of its file.
    case refines(String, HostPolicy)
  }

  package var name: String?
  package var body: Body
  /// Canonical text.
  package var text: String
  package var span: SourceSpan

  package init(name: String?, body: Body, text: String, span: SourceSpan) {
    self.name = name
    self.body = body
    self.text = text
    self.span = span
  }
}
