internal import Analysis
package import Diagnostics

extension PolicyCompiler {
  /// Warnings about rules that do nothing; a compile does not need them.
  package static func lint(_ policy: CompiledPolicy, in sources: SourceFiles) -> [Diagnostic] {
    Lint.check(policy.policy, in: sources)
  }
}
