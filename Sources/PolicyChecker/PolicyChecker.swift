package import Diagnostics
package import PolicyModel
package import PolicySyntax

/// Gives a parsed document its meaning: types, names, ranges, and what the parts say about each other.
package enum PolicyChecker {
  /// The checked policy, or nil if there are errors, here or in `diagnostics` already.
  ///
  /// Reports as much as it can in one run: a damaged part hides no other part's faults.
  package static func check(
    _ tree: SyntaxTree, file: SourceFile, diagnostics: inout DiagnosticList
  ) -> HostPolicy? {
    guard let root = tree.root else { return nil }
    var checker = Checker(diagnostics: diagnostics)
    let policy = checker.policy(root, file: file)
    diagnostics = checker.diagnostics
    return diagnostics.hasErrors ? nil : policy
  }
}
