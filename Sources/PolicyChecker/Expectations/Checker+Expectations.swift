package import Diagnostics
package import PolicyModel
import PolicySyntax

extension PolicyChecker {
  /// The expectations of a policy or a fragment, and the guarantees of a policy; nil if there are errors, here or in
  /// `diagnostics` already.
  ///
  /// A policy speaks in its own words. A fragment may also name zones and definitions of the policy that is asked, as
  /// if that included it; what both define is the fragment's.
  ///
  /// - Parameters:
  ///   - file: one of the sources; those that it names are added.
  ///   - asked: the policy that is asked, one of the sources, and known to be without errors; nil: it is no policy.
  package static func expectations(
    _ file: SourceFile, of asked: SourceFile?, in sources: inout SourceFiles, reader: any SourceReader,
    diagnostics: inout DiagnosticList
  ) -> Expectations? {
    var checker = Checker(diagnostics: DiagnosticList(), sources: sources, reader: reader)
    checker.judgesFacts = false
    if let asked {
      guard checker.policy(asked) != nil else { return nil }
      // They were told where it was checked.
      checker.diagnostics = DiagnosticList()
    }
    var result: Expectations?
    if let loaded = checker.load(file) {
      switch loaded.kind {
      case .fragment: result = checker.expectations(loaded)
      case .policy:
        checker = Checker(diagnostics: DiagnosticList(), sources: sources, reader: reader)
        checker.judgesFacts = false
        result = checker.policy(file).map {
          Expectations(statements: $0.expectations + $0.guarantees, policy: $0)
        }
      }
    }
    if let result, result.statements.isEmpty, !checker.diagnostics.hasErrors {
      checker.reportNothingExpected(file)
    }
    for diagnostic in checker.diagnostics.all { diagnostics.report(diagnostic) }
    sources = checker.sources
    return diagnostics.hasErrors ? nil : result
  }
}

extension Checker {
  fileprivate mutating func expectations(_ file: PolicyFile) -> Expectations {
    let others = definitions
    definitions = Definitions()
    readDefinitions(of: files.inOrder.filter { files.sees(file.id, $0.id) })
    for definition in others.all where policyFile.map({ files.sees($0, definition.span.source) }) == true {
      definitions.add(name: definition.name, span: definition.span, node: definition.node)
    }
    if let policyFile { files.show(policyFile, to: file.id) }
    resolveDefinitions()
    let statements = statements(merged(file).entry("expect")?.value, in: .expect)
    reportUnusedDefinitions(of: file.id)
    return Expectations(statements: statements, policy: nil)
  }

  fileprivate mutating func reportNothingExpected(_ file: SourceFile) {
    error(
      .missingKey, SourceSpan(file.id, 0, 0), "this file expects nothing",
      help: ["a test is a file with statements under `expect`"])
  }
}
