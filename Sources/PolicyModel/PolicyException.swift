package import Diagnostics

/// One entry of `loosen`: how a policy is weaker than the one it extends, and why (LANGUAGE.md §5.9).
package struct PolicyException: Sendable {
  package enum Target: Sendable {
    /// Packets that may be accepted.
    case packets(Region)
    case sysctl(String, to: String)
    /// A name or a glob, `-` written `_`.
    case module(String)
    case mount(String, [MountFlag])
    case kernel(String, to: String)
    /// The name of a call or of a group.
    case systemCalls(String)
    /// `boot: none`: no closed stage.
    case bootStage
    /// By its name.
    case guarantee(String)
  }

  package var target: Target
  /// The target in the language's words.
  package var text: String
  package var because: String
  package var owner: String
  /// `YYYY-MM-DD`, the last day it counts, or `never`.
  package var until: String
  /// The policy that holds it.
  package var policy: String
  /// The file that holds it, as outputs name it.
  package var file: String
  /// What it was needed for: the one thing that its reader wants to know.
  package var loosened: [String]
  package var span: SourceSpan

  package init(
    target: Target, text: String, because: String, owner: String, until: String, policy: String, file: String,
    span: SourceSpan
  ) {
    self.target = target
    self.text = text
    self.because = because
    self.owner = owner
    self.until = until
    self.policy = policy
    self.file = file
    loosened = []
    self.span = span
  }
}

/// What a policy opens because its base delegates it (LANGUAGE.md §5.8).
package struct DelegatedOpening: Sendable, Equatable {
  /// The entry of `delegate`, as canonical text.
  package var delegation: String
  /// Settings, or ids of the rules that accept.
  package var opened: [String]

  package init(delegation: String, opened: [String]) {
    self.delegation = delegation
    self.opened = opened
  }
}

extension HostPolicy {
  /// Notes what a delegation was used for; each once.
  package mutating func note(opened: String, by delegation: String) {
    guard let index = openings.firstIndex(where: { $0.delegation == delegation }) else {
      openings.append(DelegatedOpening(delegation: delegation, opened: [opened]))
      return
    }
    if !openings[index].opened.contains(opened) { openings[index].opened.append(opened) }
  }

  /// Whether a guarantee need not hold here.
  package func isLoosened(_ guarantee: Statement) -> Bool {
    exceptions.contains { exception in
      guard case .guarantee(let name) = exception.target else { return false }
      return name == guarantee.name
    }
  }

  /// All exceptions on the way from the root to this policy, the root's first.
  package var allExceptions: [PolicyException] { ancestors.flatMap(\.exceptions) + exceptions }
}
