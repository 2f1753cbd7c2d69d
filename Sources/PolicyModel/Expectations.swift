/// What a file expects, to be asked of another source than itself.
package struct Expectations: Sendable {
  package var statements: [Statement]
  /// The file itself, if it is a policy.
  package var policy: HostPolicy?

  package init(statements: [Statement], policy: HostPolicy?) {
    self.statements = statements
    self.policy = policy
  }
}
