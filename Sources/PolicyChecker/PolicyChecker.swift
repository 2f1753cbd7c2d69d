package import Diagnostics
package import PolicyModel

/// Gives a document its meaning: types, names, ranges, and what the parts say about each other.
package enum PolicyChecker {
  /// The checked policy, or nil if there are errors, here or in `diagnostics` already.
  ///
  /// Reports as much as it can in one run: a damaged part hides no other part's faults.
  ///
  /// - Parameters:
  ///   - sources: Holds the file already; those that the policy names are added.
  ///   - reader: Where those come from.
  ///   - judgesFacts: Whether it is judged what the policy claims of its settings; what it means does not depend on that.
  ///   - keepsRefuted: Whether it is there where no more is wrong than that such a claim does not hold.
  ///   - longList: The length from which on the halves of a list of rules are checked side by side.
  package static func check(
    _ file: SourceFile, in sources: inout SourceFiles, reader: any SourceReader = SourceDictionary(),
    judgesFacts: Bool = true, keepsRefuted: Bool = false, longList: Int = 1_000,
    diagnostics: inout DiagnosticList
  ) -> HostPolicy? {
    var checker = Checker(diagnostics: diagnostics, sources: sources, reader: reader)
    checker.longList = longList
    checker.judgesFacts = judgesFacts
    let policy = checker.policy(file)
    diagnostics = checker.diagnostics
    sources = checker.sources
    guard diagnostics.hasErrors else { return policy }
    let errors = diagnostics.all.count { $0.severity == .error }
    return keepsRefuted && errors == checker.failedFacts ? policy : nil
  }
}
