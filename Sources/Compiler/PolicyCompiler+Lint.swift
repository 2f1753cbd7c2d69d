internal import Analysis
package import Diagnostics

extension PolicyCompiler {
  /// What is said of rules that do nothing, conflict, or forget what they need; a compile does not need them.
  package static func lint(_ policy: CompiledPolicy, in sources: SourceFiles) -> [Diagnostic] {
    Lint.check(policy.policy, in: sources) + Lint.neighbours(policy.policy)
  }
}
