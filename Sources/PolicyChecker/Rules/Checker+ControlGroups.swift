import Diagnostics
import PolicyModel
import PolicySyntax

/// `cgroup` (LANGUAGE.md §4.10).
extension Checker {
  // struct nft_socket keeps the level in 8 bits.
  private static let maximumLevel = 255
  // linux/limits.h NAME_MAX.
  private static let maximumComponent = 255
  // linux/limits.h PATH_MAX less `/sys/fs/cgroup/` and the NUL.
  private static let maximumPath = 4080

  /// False means reported.
  mutating func resolveControlGroups(
    _ paths: [Spanned<String>], _ span: SourceSpan, at place: Place, _ resolved: inout ResolvedClauses
  ) -> Bool {
    if let origin = place.origin(without: \.knowsControlGroup) {
      error(
        .wrongHook, span, "the kernel does not tell the control group of a packet in `\(origin.name)`",
        help: ["`cgroup` holds in \(Hook.list(where: \.knowsControlGroup))"],
        related: place.path(from: origin))
      return false
    }
    guard isInTarget(.controlGroup, at: place, span) else { return false }
    var groups: [ControlGroup] = []
    for path in paths {
      guard isPath(path) else { continue }
      groups.append(ControlGroup(path.value))
    }
    guard groups.count == paths.count else { return false }
    resolved.matches.append(Match(.controlGroups(groups.merged)))
    return true
  }

  private mutating func isPath(_ path: Spanned<String>) -> Bool {
    let components = path.value.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    let reason: String? =
      if components.contains(where: \.isEmpty) {
        "begins or ends with a `/`, or has two in a row"
      } else if components.contains(where: { $0.elementsEqual(".".utf8) || $0.elementsEqual("..".utf8) }) {
        "has a component that names no group"
      } else if components.count > Self.maximumLevel {
        "has \(components.count) components; the kernel compares \(Self.maximumLevel)"
      } else if components.contains(where: { $0.count > Self.maximumComponent }) {
        "has a component of over \(Self.maximumComponent) bytes"
      } else if path.value.utf8.count > Self.maximumPath {
        "is over \(Self.maximumPath) bytes long"
      } else if path.value.utf8.contains(UInt8(ascii: "\"")) {
        "holds a `\"`, which no nft file can"
      } else {
        nil
      }
    guard let reason else { return true }
    error(
      .ruleBadValue, path.span, "the path `\(path.value)` \(reason)",
      help: ["write it as it stands below /sys/fs/cgroup, such as `system.slice/backup.service`"])
    return false
  }

  /// §4.10: until the group's number is known the clause does not hold, so a rule with it must not be what keeps
  /// packets out. False means reported.
  mutating func failsClosed(_ syntax: RuleSyntax) -> Bool {
    let clause = syntax.clauses.first { if case .cgroup = $0.value { true } else { false } }
    guard let clause else { return true }
    switch syntax.verdict.value {
    case .accept, .continue: return true
    default: break
    }
    error(
      .cgroupFailsOpen, clause.span,
      "until the group is there no packet is of it, and the rule would let all of them through",
      help: [
        "`cgroup` stands with `accept` or `continue`: accept what the other groups send, and refuse the rest"
      ], related: [Diagnostic.Label(syntax.verdict.span, "not with this verdict")])
    return false
  }
}
