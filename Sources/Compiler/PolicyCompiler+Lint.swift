internal import Analysis
package import Diagnostics

extension PolicyCompiler {
  /// Warnings about rules that do nothing; a compile does not need them.
  package static func lint(_ policy: CompiledPolicy) -> [Diagnostic] { Lint.check(policy.policy) }
}
