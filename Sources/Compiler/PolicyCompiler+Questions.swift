package import Analysis
package import Diagnostics
internal import PolicyChecker
package import PolicyModel

/// A policy that was asked something.
package struct AnsweredPolicy<Answer: Sendable>: Sendable {
  package var sources: SourceFiles
  /// Of the policy and of the question.
  package var diagnostics: DiagnosticList
  /// Nil: there are errors.
  package var answer: Answer?
}

/// The answer to a statement.
package enum StatementAnswer: Sendable {
  case packets(Statement, PacketAnswer)
  /// Of a setting; with the reason why it does not hold.
  case setting(Statement, failure: String?)
  /// Nobody can tell, for a reason.
  case unknown(Statement, reason: String)
}

extension PolicyCompiler {
  /// How findings name the text of a question.
  package static let questionName = "<question>"

  /// Decides one statement, in the words of the policy.
  package static func query(
    _ statement: String, of path: String, bytes: [UInt8], reader: any SourceReader = SourceDictionary()
  ) -> AnsweredPolicy<StatementAnswer> {
    ask(statement, .statement, path, bytes, reader) { policy, question, diagnostics in
      decide(question, policy, &diagnostics)
    }
  }

  /// The same of what a bundle holds. Definitions are not among it.
  package static func query(_ statement: String, of bundle: LiftedPolicy) -> AnsweredPolicy<StatementAnswer> {
    ask(statement, .statement, of: bundle) { policy, question, diagnostics in
      guard case .statement(let statement) = question else { return nil }
      if let reason = ComparedSource.lifted(bundle).reasonNotToKnow(statement.body) {
        return .unknown(statement, reason: reason)
      }
      return decide(question, policy, &diagnostics)
    }
  }

  private static func decide(
    _ question: PolicyQuestion, _ policy: HostPolicy, _ diagnostics: inout DiagnosticList
  ) -> StatementAnswer? {
    guard case .statement(let statement) = question else { return nil }
    if let judgement = StatementJudge(policy).judge(statement.body) {
      if case .unknown(let reason) = judgement { return .unknown(statement, reason: reason) }
      return .setting(statement, failure: judgement.failure)
    }
    if case .refines(_, let other) = statement.body {
      guard let finding = beyond(policy, over: other) else { return .setting(statement, failure: nil) }
      if finding.isUnknown { return .unknown(statement, reason: finding.message) }
      let example = finding.example.map { ", for example \($0)" } ?? ""
      return .setting(statement, failure: finding.message + example)
    }
    guard let answer = Analysis.answer(statement, for: policy) else {
      diagnostics.report(emptyRegion(statement.span))
      return nil
    }
    return .packets(statement, answer)
  }

  /// Follows one packet of a region, in the words of the policy.
  package static func explain(
    _ region: String, of path: String, bytes: [UInt8], reader: any SourceReader = SourceDictionary()
  ) -> AnsweredPolicy<PacketPath> {
    ask(region, .region, path, bytes, reader, follow)
  }

  /// The same through what a bundle holds.
  package static func explain(_ region: String, of bundle: LiftedPolicy) -> AnsweredPolicy<PacketPath> {
    ask(region, .region, of: bundle, follow)
  }

  private static func follow(
    _ policy: HostPolicy, _ question: PolicyQuestion, _ diagnostics: inout DiagnosticList
  ) -> PacketPath? {
    guard case .region(let region) = question else { return nil }
    guard let path = Analysis.path(of: region, in: policy) else {
      diagnostics.report(emptyRegion(region.span))
      return nil
    }
    return path
  }

  private static func emptyRegion(_ span: SourceSpan) -> Diagnostic {
    Diagnostic(
      .expectEmptyRegion, at: span, "no packet is in the region",
      help: [
        "without a state the region is of packets that open a flow, and without `lo` of others than its own"
      ])
  }

  private static func ask<Answer>(
    _ text: String, _ kind: PolicyQuestion.Kind, _ path: String, _ bytes: [UInt8], _ reader: any SourceReader,
    _ decide: (HostPolicy, PolicyQuestion, inout DiagnosticList) -> Answer?
  ) -> AnsweredPolicy<Answer> {
    var sources = SourceFiles()
    var diagnostics = DiagnosticList()
    let file = sources.add(path: path, bytes: bytes)
    let question = sources.add(path: questionName, bytes: Array(text.utf8))
    let checked = PolicyChecker.check(
      file, asking: question, kind, in: &sources, reader: reader, diagnostics: &diagnostics)
    let answer = checked.flatMap { decide($0.policy, $0.question, &diagnostics) }
    diagnostics.sortByPlace()
    return AnsweredPolicy(
      sources: sources, diagnostics: diagnostics, answer: diagnostics.hasErrors ? nil : answer)
  }

  /// In the words of a policy that says nothing, about what the bundle holds.
  private static func ask<Answer>(
    _ text: String, _ kind: PolicyQuestion.Kind, of bundle: LiftedPolicy,
    _ decide: (HostPolicy, PolicyQuestion, inout DiagnosticList) -> Answer?
  ) -> AnsweredPolicy<Answer> {
    var sources = bundle.sources
    var diagnostics = DiagnosticList()
    let kernel = bundle.policy.target.kernel
    let words =
      "policy: \(bundle.policy.name)\nlanguage: 1\ntarget: { kernel: \"\(kernel)\" }\nmanagement: none\n"
    let file = sources.add(path: questionName, bytes: Array(words.utf8))
    let question = sources.add(path: questionName, bytes: Array(text.utf8))
    let checked = PolicyChecker.check(
      file, asking: question, kind, in: &sources, reader: SourceDictionary(), diagnostics: &diagnostics)
    let answer = checked.flatMap { checked -> Answer? in
      var policy = checked.policy
      (policy.firewall, policy.dynamicSets) = (bundle.policy.firewall, bundle.policy.dynamicSets)
      (policy.sysctls, policy.mounts) = (bundle.policy.sysctls, bundle.policy.mounts)
      return decide(policy, checked.question, &diagnostics)
    }
    diagnostics.sortByPlace()
    return AnsweredPolicy(
      sources: sources, diagnostics: diagnostics, answer: diagnostics.hasErrors ? nil : answer)
  }
}
