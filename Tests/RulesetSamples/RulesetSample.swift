package import Ruleset

/// One ruleset written twice by hand: as nft text, and as the kernel's expressions.
///
/// Neither is derived from the other, nor by the code under test; the kernel says whether they are the same.
package struct RulesetSample: Sendable {
  package var name: String
  package var sets: [SampleSet] = []
  package var rules: [SampleRule]
  /// Rules of the regular chain `extra`; none: no such chain.
  package var extraRules: [SampleRule] = []
  package var hook = SampleHook.input

  package init(_ name: String, rules: [SampleRule]) {
    self.name = name
    self.rules = rules
  }
}

package struct SampleHook: Sendable {
  package var text: String
  package var hook: BaseHook
  package var name: String

  package static let input = SampleHook(
    text: "type filter hook input priority -5; policy drop;",
    hook: BaseHook(type: .filter, hook: 1, priority: -5, accepts: false), name: "input")
  package static let output = SampleHook(
    text: "type filter hook output priority -5; policy accept;",
    hook: BaseHook(type: .filter, hook: 3, priority: -5, accepts: true), name: "output")
  package static let prerouting = SampleHook(
    text: "type filter hook prerouting priority -155; policy accept;",
    hook: BaseHook(type: .filter, hook: 0, priority: -155, accepts: true), name: "prerouting")
}

package struct SampleSet: Sendable {
  /// What stands between the braces of `set NAME {}`.
  package var text: String
  package var set: KernelSet

  package init(_ text: String, _ set: KernelSet) {
    self.text = text
    self.set = set
  }
}

package struct SampleRule: Sendable {
  package var text: String
  package var sets: [KernelSet]
  package var expressions: [Expression]
  package var comment: String?

  package init(
    _ text: String, sets: [KernelSet] = [], comment: String? = nil, _ expressions: [Expression]
  ) {
    self.text = text
    self.sets = sets
    self.comment = comment
    self.expressions = expressions
  }
}

extension RulesetSample {
  /// The table `inet lockdown` as nft text.
  package var text: String {
    var lines = [
      "table inet lockdown {", "comment \"lockdown\"", "counter policy_digest { comment \"sample\"; }",
    ]
    lines += sets.map { "set \($0.set.name ?? "") { \($0.text) }" }
    func line(_ rule: SampleRule) -> String { rule.text + (rule.comment.map { " comment \"\($0)\"" } ?? "") }
    if !extraRules.isEmpty { lines += ["chain extra {"] + extraRules.map(line) + ["}"] }
    lines += ["chain \(hook.name) {", hook.text] + rules.map(line) + ["}", "}"]
    return lines.map { $0 + "\n" }.joined()
  }

  /// The same as data. A rule's id is `CHAIN/INDEX`.
  package var ruleset: Ruleset {
    func chain(_ name: String, _ base: BaseHook?, _ rules: [SampleRule]) -> Chain {
      Chain(
        name: name, base: base,
        rules: rules.enumerated().map { index, rule in
          KernelRule(
            id: "\(name)/\(index)", part: 0, comment: rule.comment, label: [1, 2, 3, 4, 5, 6, 7, 0],
            anonymousSets: rule.sets, statements: [])
        })
    }
    let extra = extraRules.isEmpty ? [] : [chain("extra", nil, extraRules)]
    var table = Table(
      family: .inet, name: "lockdown",
      objects: [
        NamedObject(name: "policy_digest", comment: "sample", label: [UInt8](repeating: 9, count: 32))
      ],
      sets: sets.map(\.set), chains: extra + [chain(hook.name, hook.hook, rules)])
    table.comment = "lockdown"
    return Ruleset(tables: [table])
  }

  /// The expressions of a rule of `ruleset`.
  package func expressions(of rule: KernelRule) -> [Expression] {
    let parts = rule.id.split(separator: "/")
    guard parts.count == 2, let index = Int(parts[1]) else { return [] }
    return (parts[0] == "extra" ? extraRules : rules)[index].expressions
  }
}
