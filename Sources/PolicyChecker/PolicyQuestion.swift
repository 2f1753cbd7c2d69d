package import Diagnostics
package import PolicyModel
import PolicySyntax

/// A statement or a region in the words of one policy, asked from outside of its file.
package enum PolicyQuestion: Sendable {
  /// As an item of `expect`.
  case statement(Statement)
  /// A place and what packets there are asked about.
  case region(Region)

  package enum Kind: Sendable {
    case statement
    case region
  }
}

extension PolicyChecker {
  /// Checks a policy, and then a question with its definitions and zones.
  ///
  /// - Parameter question: A file of its own among the sources; its text is one statement or region.
  package static func check(
    _ file: SourceFile, asking question: SourceFile, _ kind: PolicyQuestion.Kind,
    in sources: inout SourceFiles,
    reader: any SourceReader, diagnostics: inout DiagnosticList
  ) -> (policy: HostPolicy, question: PolicyQuestion)? {
    var checker = Checker(diagnostics: diagnostics, sources: sources, reader: reader)
    checker.judgesFacts = false
    let policy = checker.policy(file)
    let answer = policy == nil ? nil : checker.question(question, kind)
    diagnostics = checker.diagnostics
    sources = checker.sources
    guard !diagnostics.hasErrors, let policy, let answer else { return nil }
    return (policy, answer)
  }
}

extension Checker {
  fileprivate mutating func question(_ file: SourceFile, _ kind: PolicyQuestion.Kind) -> PolicyQuestion? {
    if let policyFile { files.show(policyFile, to: file.id) }
    let text = String(decoding: file.bytes, as: UTF8.self)
    let scalar = SyntaxScalar(
      text: text, style: .plain, span: SourceSpan(file.id, 0, file.bytes.count),
      runs: [SyntaxScalar.Run(decodedStart: 0, sourceStart: 0)])
    switch kind {
    case .region:
      guard let region = self.region(scalar) else { return nil }
      return .region(region)
    case .statement:
      guard let syntax = StatementSyntax.parse(scalar, diagnostics: &diagnostics),
        let body = body(syntax, scalar.span, in: .expect)
      else { return nil }
      return .statement(Statement(name: nil, body: body, text: syntax.canonicalText, span: scalar.span))
    }
  }
}
