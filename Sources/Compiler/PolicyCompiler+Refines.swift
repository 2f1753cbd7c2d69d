internal import Analysis
internal import Diagnostics
internal import PolicyChecker
internal import PolicyModel

/// `refines FILE`: LANGUAGE.md §5.7 without delegations and exceptions (§6.7).
extension PolicyCompiler {
  /// Where a policy accepts packets that another does not: how it is said, with a witness. Nil: nowhere.
  ///
  /// What settings are weaker is for ``StatementJudge`` to say.
  static func packetsWidened(_ policy: HostPolicy, over other: HostPolicy) -> Diagnostic? {
    var (asked, base) = (policy, other)
    asked.delegations = []
    asked.exceptions = []
    base.delegations = []
    var findings = DiagnosticList()
    Refinement.check(&asked, from: base, diagnostics: &findings)
    return findings.all.first { $0.id == .extendsWidened || $0.id == .extendsUnproved }
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
      if let finding = packetsWidened(policy, over: other) {
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
    guard case .refines(_, let other) = statement.body,
      let finding = packetsWidened(policy, over: other)
    else { return }
    diagnostics.report(
      Diagnostic(
        failure, at: statement.span, "this \(what) does not hold: \(finding.message)",
        related: finding.span.map { [Diagnostic.Label($0, "by this")] } ?? [],
        // Other advice is about a base that is extended.
        help: finding.help.filter { $0.hasPrefix("for example: ") }))
  }
}
