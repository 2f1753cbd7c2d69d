internal import Analysis
package import Diagnostics
internal import PolicyChecker
package import PolicyModel

/// A source held to a benchmark: control by control, whether it does what is asked.
package struct Audit: Sendable {
  /// The order is that of how bad it is.
  package enum Verdict: String, Sendable, CaseIterable {
    case fail
    case unknown = "could not tell"
    case inapplicable = "not applicable"
    case pass
  }

  /// One claim of a control that is not known to hold.
  package struct Finding: Sendable {
    package var verdict: Verdict
    /// What was claimed, in the words of the benchmark.
    package var claim: String
    /// As the end of a sentence.
    package var reason: String
    package var packet: String?
    package var rule: Rule?
    /// Whether it is about a packet; then no rule means the policy of a chain.
    package var isAboutPacket: Bool { packet != nil }
  }

  package struct Result: Sendable {
    package var control: Benchmark.Control
    package var verdict: Verdict
    /// Why it does not apply, or what of it no policy can say.
    package var reason: String?
    package var findings: [Finding]
    /// Ids of rules of the policy that say that they answer the control.
    package var answeringRules: [Rule]
  }

  package var benchmark: Benchmark
  package var results: [Result]

  /// - Parameter diagnostics: of the benchmark: statements about no packet.
  package init?(
    of source: ComparedSource, against benchmark: Benchmark, diagnostics: inout DiagnosticList
  ) {
    self.benchmark = benchmark
    // All statements at once, since those about packets share one diagram.
    let statements = benchmark.controls.flatMap { control in
      control.exclusions
        + control.claims.flatMap { claim -> [Statement] in
          if case .anyOf(let statements) = claim { statements } else { [] }
        }
    }
    var decisions = zip(statements, PolicyCompiler.decide(statements, of: source)).map { ($0, $1) }[...]
    for (statement, decision) in decisions {
      guard case .empty = decision else { continue }
      diagnostics.report(
        Diagnostic(
          .expectEmptyRegion, at: statement.span, "no packet is in the region of `\(statement.text)`",
          help: ["a statement about nothing always holds and proves nothing"]))
    }
    guard !diagnostics.hasErrors else { return nil }
    func next(_ count: Int) -> [(Statement, StatementDecision)] {
      defer { decisions = decisions.dropFirst(count) }
      return Array(decisions.prefix(count))
    }
    results = []
    for control in benchmark.controls {
      let exclusions = next(control.exclusions.count)
      let findings = control.claims.compactMap { claim -> Finding? in
        switch claim {
        case .anyOf(let statements): return Self.finding(of: next(statements.count))
        case .closed(let hook, let families, _): return Self.finding(of: hook, families, source.policy)
        }
      }
      results.append(Self.result(control, exclusions, findings, source.policy))
    }
  }

  private static func result(
    _ control: Benchmark.Control, _ exclusions: [(Statement, StatementDecision)], _ findings: [Finding],
    _ policy: HostPolicy
  ) -> Result {
    var result = Result(
      control: control, verdict: .pass, reason: nil, findings: findings,
      answeringRules: (policy.firewall?.rules ?? []).filter { $0.controls.contains(control.id) })
    let architectures = policy.target.architectures
    if !architectures.contains(where: control.architectures.contains) {
      result.reason =
        "it is about \(words(control.architectures)), and the policy is for \(words(architectures))"
    } else if let (statement, _) = exclusions.first(where: { if case .holds = $1 { true } else { false } }) {
      result.reason = "`\(statement.text)` holds"
    }
    if result.reason != nil {
      result.verdict = .inapplicable
      result.findings = []
    } else if let worst = findings.map(\.verdict).min(by: { $0.rank < $1.rank }) {
      result.verdict = worst
    } else if let rest = control.rest {
      (result.verdict, result.reason) = (
        .unknown, "what a policy can say of it holds, and the rest is not its matter: \(rest)"
      )
    }
    return result
  }

  private static func words(_ architectures: [Target.Architecture]) -> String {
    architectures.map(\.rawValue).joined(separator: " and ")
  }

  /// Of statements of which one must hold; nil: one does.
  private static func finding(of alternatives: [(Statement, StatementDecision)]) -> Finding? {
    var findings: [Finding] = []
    for (statement, decision) in alternatives {
      switch decision {
      case .holds, .empty: return nil
      case .fails(let failure):
        findings.append(
          Finding(
            verdict: .fail, claim: statement.text, reason: failure.reason, packet: failure.packet,
            rule: failure.rule))
      case .unknown(let reason):
        findings.append(Finding(verdict: .unknown, claim: statement.text, reason: reason))
      }
    }
    guard findings.count > 1 else { return findings.first }
    // None of them may hold, so if nothing is in doubt all of them fail.
    let isFailing = findings.allSatisfy { $0.verdict == .fail }
    var reasons: [String] = []
    for finding in findings where !reasons.contains(finding.reason) { reasons.append(finding.reason) }
    return Finding(
      verdict: isFailing ? .fail : .unknown, claim: findings.map(\.claim).joined(separator: ", or "),
      reason: reasons.joined(separator: "; "), packet: findings.lazy.compactMap(\.packet).first,
      rule: findings.lazy.compactMap(\.rule).first)
  }

  /// Nil: the place is closed.
  private static func finding(of hook: Hook, _ families: Families, _ policy: HostPolicy) -> Finding? {
    let family = families == .both ? "" : families == .ipv4 ? " ipv4" : " ipv6"
    let claim = "\(hook.rawValue) refuses\(family) what no rule decides"
    switch Analysis.isClosed(hook, families, in: policy) {
    case .closed: return nil
    case .open(let reason): return Finding(verdict: .fail, claim: claim, reason: reason)
    case .unknown(let reason): return Finding(verdict: .unknown, claim: claim, reason: reason)
    }
  }
}

extension Audit.Verdict {
  fileprivate var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}

extension PolicyCompiler {
  /// Reads a benchmark, with those that it includes.
  package static func benchmark(
    path: String, bytes: [UInt8], reader: any SourceReader = SourceDictionary()
  ) -> (sources: SourceFiles, diagnostics: DiagnosticList, benchmark: Benchmark?) {
    var sources = SourceFiles()
    var diagnostics = DiagnosticList()
    let file = sources.add(path: path, bytes: bytes)
    let benchmark = PolicyChecker.benchmark(file, in: &sources, reader: reader, diagnostics: &diagnostics)
    diagnostics.sortByPlace()
    return (sources, diagnostics, benchmark)
  }
}
