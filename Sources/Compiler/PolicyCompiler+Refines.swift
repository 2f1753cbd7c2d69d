internal import Analysis
internal import Diagnostics
internal import PolicyChecker
internal import PolicyModel

/// `refines FILE`: without delegations and exceptions (LANGUAGE.md §6.7).
extension PolicyCompiler {
  /// What a policy permits beyond another, or of which nobody can tell: by the comparison that `lockdown refines` makes.
  struct Beyond {
    /// As the end of a sentence.
    var message: String
    /// Where the policy says so.
    var span: SourceSpan?
    var example: String?
    /// It was not found; it could not be told.
    var isUnknown = false
  }

  /// Nil: nothing. What settings are weaker is for ``StatementJudge`` to say first.
  static func beyond(_ policy: HostPolicy, over other: HostPolicy) -> Beyond? {
    let comparison = PolicyComparison(from: other, to: policy, comparesTold: false).widening
    if let change = comparison.packets.changes.first {
      let region = change.regions.first.map { $0.isEmpty ? "all packets" : "`\($0)`" } ?? ""
      return Beyond(
        message: "in \(change.place) \(region): \(change.before) → \(change.after)",
        span: change.newRule?.span,
        example: change.witness)
    }
    if let setting = comparison.settings.first {
      return Beyond(message: "\(setting.domain) \(setting.text)", span: setting.newSpan)
    }
    return comparison.packets.unknown.first.map {
      Beyond(message: "could not tell: \($0.place): \($0.reason)", isUnknown: true)
    }
  }

  /// Reports each comparison of a policy that does not hold, and an exception from one that does.
  static func judgeComparisons(_ policy: inout HostPolicy, diagnostics: inout DiagnosticList) {
    for statement in policy.expectations {
      judge(statement, policy, failure: .expectFailed, what: "expectation", &diagnostics)
    }
    for statement in policy.guarantees where !policy.isLoosened(statement) {
      judge(statement, policy, failure: .guaranteeFailed, what: "guarantee", &diagnostics)
    }
    for index in policy.exceptions.indices {
      guard case .guarantee(let name) = policy.exceptions[index].target,
        policy.exceptions[index].loosened.isEmpty,
        let guarantee = policy.guarantees.first(where: { $0.name == name }),
        case .refines(_, let other) = guarantee.body
      else { continue }
      if let finding = beyond(policy, over: other) {
        policy.exceptions[index].loosened.append("`\(guarantee.text)`: \(finding.message)")
      } else {
        diagnostics.report(
          Diagnostic(
            .loosenUnused, at: policy.exceptions[index].span,
            "the guarantee `\(name)` holds, so there is nothing to loosen",
            related: [Diagnostic.Label(guarantee.span, "the guarantee")], help: ["take the exception out"]))
      }
    }
  }

  private static func judge(
    _ statement: Statement, _ policy: HostPolicy, failure: DiagnosticID, what: String,
    _ diagnostics: inout DiagnosticList
  ) {
    // Of settings it was judged where the policy was checked.
    guard case .refines(_, let other) = statement.body, StatementJudge(policy).judge(statement.body) == nil,
      let finding = beyond(policy, over: other)
    else { return }
    diagnostics.report(
      Diagnostic(
        failure, at: statement.span, "this \(what) does not hold: \(finding.message)",
        related: finding.span.map { [Diagnostic.Label($0, "by this")] } ?? [],
        help: finding.example.map { ["for example: \($0)"] } ?? []))
  }
}
