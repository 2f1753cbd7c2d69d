internal import Analysis
package import Diagnostics
internal import PolicyChecker
package import PolicyModel

/// A file of expectations, read.
package struct ExpectationFile: Sendable {
  /// As it was named.
  package var name: String
  /// It, and those that it names.
  package var sources: SourceFiles
  package var diagnostics: DiagnosticList
  /// Nil: it has errors.
  package var expectations: Expectations?
}

/// Expectations asked of one source.
package struct ExpectationRun: Sendable {
  package struct Result: Sendable {
    package var statement: Statement
    package var decision: StatementDecision
  }

  /// Which of the source's rules the expectations are about.
  package enum Coverage: Sendable {
    /// The rules that decide about no packet of any statement, and the number of all that decide.
    case rules(undecided: [Rule], all: Int)
    case unknown
  }

  /// By file.
  package var files: [(file: ExpectationFile, results: [Result])]
  /// Nil: not asked for.
  package var coverage: Coverage?

  /// Nil if a file has errors, or a statement is about no packet; the files say so.
  package init?(_ files: inout [ExpectationFile], of source: ComparedSource, withCoverage: Bool) {
    guard files.allSatisfy({ $0.expectations != nil }) else { return nil }
    let statements = files.flatMap { $0.expectations?.statements ?? [] }
    var decisions = PolicyCompiler.decide(statements, of: source)[...]
    self.files = []
    for index in files.indices {
      let own = files[index].expectations?.statements ?? []
      let results = own.map { Result(statement: $0, decision: decisions.removeFirst()) }
      for result in results {
        guard case .empty = result.decision else { continue }
        files[index].diagnostics.report(
          Diagnostic(
            .expectEmptyRegion, at: result.statement.span,
            "no packet is in the region of `\(result.statement.text)`",
            help: ["a statement about nothing always holds and proves nothing"]))
      }
      self.files.append((files[index], results))
    }
    guard !files.contains(where: \.diagnostics.hasErrors) else { return nil }
    if withCoverage { coverage = Self.coverage(of: statements, source.policy) }
  }

  private static func coverage(of statements: [Statement], _ policy: HostPolicy) -> Coverage {
    guard let undecided = Analysis.undecidedRules(statements, of: policy) else { return .unknown }
    let none = Analysis.undecidedRules([], of: policy) ?? []
    return .rules(undecided: undecided, all: none.count)
  }

  /// 0: all hold, 1: one does not, 2: could not tell (DESIGN §8).
  package var exitCode: Int32 {
    var code: Int32 = 0
    for result in files.flatMap(\.results) {
      switch result.decision {
      case .holds, .empty: continue
      case .fails: return 1
      case .unknown: code = 2
      }
    }
    return code
  }
}

extension PolicyCompiler {
  /// Reads what a file expects of another source.
  ///
  /// - Parameter asked: the policy that is asked, if the source is one: a fragment may name what it defines.
  package static func expectations(
    path: String, bytes: [UInt8], of asked: (path: String, bytes: [UInt8])?,
    reader: any SourceReader = SourceDictionary()
  ) -> ExpectationFile {
    var sources = SourceFiles()
    var diagnostics = DiagnosticList()
    let file = sources.add(path: path, bytes: bytes)
    let policy = asked.map { sources.add(path: $0.path, bytes: $0.bytes) }
    let expectations = PolicyChecker.expectations(
      file, of: policy, in: &sources, reader: reader, diagnostics: &diagnostics)
    diagnostics.sortByPlace()
    return ExpectationFile(
      name: path, sources: sources, diagnostics: diagnostics, expectations: expectations)
  }
}
