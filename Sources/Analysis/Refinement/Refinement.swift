package import Diagnostics
package import PolicyModel

/// The packet check of a policy against its base: what it accepts, the base accepts, delegates, or the policy loosens
/// (LANGUAGE.md §5.5–5.9).
///
/// Sound: what is not known to be accepted by the base counts as refused by it, and a diagram that is not finished is
/// reported. With NAT, where a packet is not the one that arrived, the translations must be those of the base, and
/// each chain is compared for itself.
package enum Refinement {
  /// Reports what is wider, what is not decided, exceptions that were not needed and rules without effect; notes in
  /// the policy what its exceptions and its base's delegations were needed for.
  package static func check(
    _ policy: inout HostPolicy, from base: HostPolicy, diagnostics: inout DiagnosticList
  ) {
    let compared = Attempt.first { [policy] attempt in
      var comparison = Comparison(policy: policy, base: base, attempt)
      var findings = DiagnosticList()
      comparison.compareUntracking(&findings)
      comparison.compareSetWriters(&findings)
      if base.isTranslating || policy.isTranslating {
        comparison.compareTranslations(&findings)
        comparison.compareChains(&findings)
      } else {
        for hook in [Hook.input, .forward, .output] { comparison.comparePath(hook, &findings) }
      }
      comparison.compareClosedStage(&findings)
      comparison.compareDelegations(&findings)
      return ((policy: comparison.policy, findings: findings), comparison.isExhausted)
    }
    policy = compared.policy
    for finding in compared.findings.all { diagnostics.report(finding) }
    guard !diagnostics.hasErrors else { return }
    for exception in policy.exceptions where exception.loosened.isEmpty {
      guard case .packets = exception.target else { continue }
      diagnostics.report(
        Diagnostic(
          .loosenUnused, at: exception.span, "`\(exception.text)` loosens nothing",
          help: [
            "of these packets the policy accepts only what its base accepts or delegates: take the exception out"
          ]))
    }
    reportRulesWithoutEffect(policy, &diagnostics)
  }

  /// A rule of the file's own that no packet comes to.
  private static func reportRulesWithoutEffect(_ policy: HostPolicy, _ diagnostics: inout DiagnosticList) {
    guard let firewall = policy.firewall else { return }
    var met: Set<String> = []
    for family in [Families.ipv4, .ipv6] {
      let ids: Set<String>? = Attempt.first { attempt in
        let meaning = Meaning(family, [firewall], regions: [], isLabelled: false, attempt: attempt)
        guard let labels = meaning.rulesMet(0) else { return (nil, true) }
        return (Set(labels.map { meaning.rules[Int($0)].id }), false)
      }
      guard let ids else { return }
      met.formUnion(ids)
    }
    // Of an item that stands for several rules, one is enough.
    var items: Set<String> = []
    for rule in firewall.rules where met.contains(rule.id) {
      if case .expanded(let item) = rule.origin { items.insert(item) }
    }
    for rule in firewall.rules
    where rule.isEnabled && rule.span.source == policy.span.source && !met.contains(rule.id) {
      switch rule.origin {
      case .closing: continue
      case .expanded(let item) where !items.insert(item).inserted: continue
      case .expanded, .written: break
      }
      diagnostics.report(
        Diagnostic(
          .extendsNoEffect, at: rule.span, "no packet comes to `\(rule.text)`: rules before it decide all",
          help: [
            "`rules` stand behind those of the base; `before: { NAME: [ … ] }` puts a rule before one of them"
          ]))
    }
  }
}
