import Diagnostics
import PolicyModel
import Testing

/// A policy of one chain for tests of rules.
struct OneChain {
  var hook = "input"
  var policy = "accept"
  var priority: String?
  var define: [String] = []
  var rules: [String]

  init(_ rules: String..., hook: String = "input", policy: String = "accept", define: [String] = []) {
    self.rules = rules
    self.hook = hook
    self.policy = policy
    self.define = define
  }

  var text: String {
    var lines = ["policy: test", "language: 1", "target: { kernel: \"6.1\" }"]
    if !define.isEmpty { lines += ["define:"] + define.map { "  " + $0 } }
    lines += ["firewall:", "  \(hook):", "    policy: \(policy)"]
    if let priority { lines.append("    priority: \(priority)") }
    lines += ["    rules:"] + rules.map { "      - " + $0 }
    return lines.joined(separator: "\n") + "\n"
  }

  var checked: Checked { Checked(text) }

  /// The rules of the chain; an issue if there are errors.
  func checkedRules(sourceLocation: SourceLocation = #_sourceLocation) throws -> [Rule] {
    let checked = checked
    let policy = try #require(checked.policy, "\(checked.rendered)", sourceLocation: sourceLocation)
    return try #require(policy.firewall, sourceLocation: sourceLocation).baseChains[0].rules
  }

  func rule(sourceLocation: SourceLocation = #_sourceLocation) throws -> Rule {
    try #require(checkedRules(sourceLocation: sourceLocation).first, sourceLocation: sourceLocation)
  }
}
