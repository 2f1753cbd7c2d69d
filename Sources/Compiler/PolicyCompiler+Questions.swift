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
}

extension PolicyCompiler {
  /// How findings name the text of a question.
  package static let questionName = "<question>"

  /// Decides one statement, in the words of the policy.
  package static func query(
    _ statement: String, of path: String, bytes: [UInt8], reader: any SourceReader = SourceDictionary()
  ) -> AnsweredPolicy<StatementAnswer> {
    ask(statement, .statement, path, bytes, reader) { policy, question, diagnostics in
      guard case .statement(let statement) = question else { return nil }
      if let judgement = StatementJudge(policy).judge(statement.body) {
        if case .fails(let reason) = judgement { return .setting(statement, failure: reason) }
        return .setting(statement, failure: nil)
      }
      if case .refines(_, let other) = statement.body {
        return .setting(statement, failure: packetsWidened(policy, over: other)?.message)
      }
      guard let answer = Analysis.answer(statement, for: policy) else {
        diagnostics.report(emptyRegion(statement.span))
        return nil
      }
      return .packets(statement, answer)
    }
  }

  /// Follows one packet of a region, in the words of the policy.
  package static func explain(
    _ region: String, of path: String, bytes: [UInt8], reader: any SourceReader = SourceDictionary()
  ) -> AnsweredPolicy<PacketPath> {
    ask(region, .region, path, bytes, reader) { policy, question, diagnostics in
      guard case .region(let region) = question else { return nil }
      guard let path = Analysis.path(of: region, in: policy) else {
        diagnostics.report(emptyRegion(region.span))
        return nil
      }
      return path
    }
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
}
