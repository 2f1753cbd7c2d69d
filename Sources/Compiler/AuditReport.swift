package import CanonicalJSON
package import Diagnostics
internal import PolicyModel

/// An audit as people and tools read it.
package struct AuditReport {
  private let audit: Audit
  private let policy: (name: String, sources: SourceFiles)
  private let benchmark: (name: String, sources: SourceFiles)
  private let leftOut: [String]

  package init(
    _ audit: Audit, of policy: (name: String, sources: SourceFiles),
    against benchmark: (name: String, sources: SourceFiles), leavingOut leftOut: [String] = []
  ) {
    self.audit = audit
    self.policy = policy
    self.benchmark = benchmark
    self.leftOut = leftOut
  }

  // MARK: Judgement

  package enum Threshold: String, CaseIterable, Sendable {
    /// A control that fails.
    case fail
    /// The same, or one of which nobody could tell.
    case any
    case none
  }

  /// 0: nothing of that kind, 1: a control fails, 2: of one it could not be told (DESIGN §8).
  package func exitCode(failingOn threshold: Threshold) -> Int32 {
    let verdicts = Set(audit.results.map(\.verdict))
    if threshold != .none, verdicts.contains(.fail) { return 1 }
    return threshold == .any && verdicts.contains(.unknown) ? 2 : 0
  }

  private func count(_ verdict: Audit.Verdict) -> Int { audit.results.count { $0.verdict == verdict } }

  // MARK: Text

  package var text: String {
    var lines = ["\(policy.name) against \(audit.benchmark.name): \(audit.benchmark.source)", ""]
    for result in audit.results {
      lines.append("\(result.verdict.rawValue): \(headline(result))")
      lines += details(result).map { "  \($0)" }
    }
    let counts = [Audit.Verdict.pass, .fail, .unknown, .inapplicable].compactMap { verdict -> String? in
      let count = count(verdict)
      return count == 0 ? nil : "\(count) \(verdict.rawValue)"
    }
    let noun = audit.results.count == 1 ? "control" : "controls"
    lines += ["", "\(audit.results.count) \(noun): \(counts.joined(separator: ", "))"]
    return lines.joined(separator: "\n") + "\n"
  }

  private func headline(_ result: Audit.Result) -> String {
    let reason = result.verdict == .inapplicable ? result.reason.map { ", because \($0)" } ?? "" : ""
    return "\(result.control.id): \(result.control.title)\(reason)"
  }

  private func details(_ result: Audit.Result) -> [String] {
    var lines: [String] = []
    for finding in result.findings {
      // Where a control fails, what could not be told besides is marked.
      let mark = finding.verdict == result.verdict ? "" : "\(finding.verdict.rawValue): "
      lines.append("\(mark)\(finding.claim): \(finding.reason)")
      if let packet = finding.packet {
        lines.append("  for example: \(packet)")
        lines.append("  decided by \(decision(finding.rule))")
      }
    }
    if result.verdict != .inapplicable, let reason = result.reason { lines.append(reason) }
    if result.verdict != .pass {
      lines += result.answeringRules.map { "said to be answered by \(decision($0))" }
    }
    return lines
  }

  private func decision(_ rule: Rule?) -> String {
    guard let rule else { return "no rule: the policy of a chain, or no chain" }
    return "\(place(rule.span)): \(rule.text == rule.id ? rule.id : "\(rule.id): \(rule.text)")"
  }

  private func place(_ span: SourceSpan) -> String { Self.place(span, policy.sources) }

  private static func place(_ span: SourceSpan, _ sources: SourceFiles) -> String {
    let file = sources[span.source]
    return "\(file.path):\(file.position(of: span.start).line)"
  }

  // MARK: Other formats

  package var json: JSONValue {
    .object([
      .init("benchmark", .string(audit.benchmark.name)), .init("controls", .array(audit.results.map(json))),
      .init("not-looked-at", JSONValue(leftOut)), .init("policy", .string(policy.name)),
      .init("source", .string(audit.benchmark.source)),
      .init(
        "summary",
        .object([
          .init("fail", JSONValue(count(.fail))), .init("not-applicable", JSONValue(count(.inapplicable))),
          .init("pass", JSONValue(count(.pass))), .init("unknown", JSONValue(count(.unknown))),
        ])),
    ])
  }

  private func json(_ result: Audit.Result) -> JSONValue {
    .object([
      .init("answered-by", JSONValue(result.answeringRules.map(\.id))),
      .init("findings", .array(result.findings.map(json))), .init("id", .string(result.control.id)),
      .init("line", .string(Self.place(result.control.span, benchmark.sources))),
      .init("reason", result.reason.map(JSONValue.string) ?? .null),
      .init("title", .string(result.control.title)), .init("verdict", .string(Self.word(result.verdict))),
    ])
  }

  /// One word of each verdict, for programs.
  private static func word(_ verdict: Audit.Verdict) -> String {
    switch verdict {
    case .fail: "fail"
    case .unknown: "unknown"
    case .inapplicable: "not-applicable"
    case .pass: "pass"
    }
  }

  private func json(_ finding: Audit.Finding) -> JSONValue {
    .object([
      .init("claim", .string(finding.claim)),
      .init("packet", finding.packet.map(JSONValue.string) ?? .null),
      .init("reason", .string(finding.reason)),
      .init(
        "rule",
        finding.rule.map { rule in
          .object([
            .init("id", .string(rule.id)), .init("line", .string(place(rule.span))),
            .init("text", .string(rule.text)),
          ])
        } ?? .null),
      .init("verdict", .string(Self.word(finding.verdict))),
    ])
  }

  /// For code hosts: a control that fails is an error, one of which nobody could tell a warning, one that does not
  /// apply a note; those that pass are left out. Each stands at the rule of the policy that decides, else at the policy.
  package func sarif(version: String, exitCode: Int32) -> JSONValue {
    var findings: [SARIFRenderer.Finding] = []
    for result in audit.results {
      let severity: Severity
      switch result.verdict {
      case .fail: severity = .error
      case .unknown: severity = .warning
      case .inapplicable: severity = .note
      case .pass: continue
      }
      let lines = ["\(result.verdict.rawValue): \(headline(result))"] + details(result)
      findings.append(
        .init(
          "\(audit.benchmark.name)/\(result.control.id)", severity,
          at: result.findings.lazy.compactMap(\.rule).first?.span, lines.joined(separator: "\n")))
    }
    var renderer = SARIFRenderer(version: version, exitCode: exitCode)
    renderer.add(findings, of: policy.name, policy.sources)
    return renderer.log()
  }
}
