package import PolicyModel

/// What was proved of a policy, for the summary of a compile and for the bundle.
package struct ProofSummary: Sendable {
  /// One way in (or through) that new flows have.
  package struct Opening: Sendable {
    package var hook: Hook
    /// Id of the rule that accepts; nil where the chain's policy does.
    package var ruleID: String?
    /// What the rule accepts, in the language's words; `everything else` for a policy.
    package var text: String
    /// Whether a limit or quota may refuse some of it.
    package var isLimited: Bool
  }

  /// Whether the applier may load the policy without `--force`.
  package var isManagementProved: Bool
  /// Management regions that are reachable up to a limit only.
  package var limitedManagement: [String]
  /// In the order of hooks and rules.
  package var openings: [Opening]
  /// Expectations and guarantees about packets that hold.
  package var provedStatements: Int

  package init() {
    isManagementProved = false
    limitedManagement = []
    openings = []
    provedStatements = 0
  }
}
