import Diagnostics
import PolicyModel
import PolicySyntax

/// `boot` (LANGUAGE.md §2).
extension Checker {
  mutating func boot(_ node: SyntaxNode?) -> BootSettings {
    var settings = BootSettings()
    guard let node, node.mapping != nil else { return settings }
    settings.span = node.span
    func word(_ key: String) -> String { node.entry(key)?.value.scalar?.text ?? "" }
    settings.stage = BootSettings.Stage(rawValue: word("stage")) ?? settings.stage
    settings.root = BootSettings.Root(rawValue: word("root")) ?? settings.root
    settings.unprotected = BootSettings.Unprotected(rawValue: word("unprotected")) ?? settings.unprotected
    settings.onFailure = BootSettings.OnFailure(rawValue: word("on-failure")) ?? settings.onFailure
    if let scalar = node.entry("management-after")?.value.scalar, let seconds = Self.duration(scalar) {
      settings.managementAfter = seconds
    }
    if let input = node.entry("input"), settings.stage == .none {
      error(
        .bootRule, input.key.span, "`stage: none` has no closed firewall that could accept anything",
        help: ["leave `input` out, or the stage closed"])
    }
    let place = Place(name: "boot.input", hook: .input, priority: Hook.input.defaultPriority)
    settings.input = rules(readItems(node.entry("input")?.value.sequence ?? []), at: place)
    for rule in settings.input {
      if rule.verdict != .accept {
        error(
          .bootRule, rule.span, "`boot.input` lists what is accepted besides, and this is `\(rule.text)`",
          help: ["everything else is dropped by the closed firewall itself"])
      } else if rule.isLimiting {
        error(
          .bootRule, rule.span, "a rule of `boot.input` has no `limit`, `connections` or `quota`",
          help: ["the closed firewall is replaced by the policy, and its counts with it"])
      } else if let set = rule.dynamicSets.first {
        error(
          .bootRule, rule.span,
          "a rule of `boot.input` uses no dynamic or external set, and this uses `$\(set)`",
          help: ["the closed firewall has no such set: nobody could have filled it"])
      } else if rule.matches.contains(where: \.asksControlGroup) {
        error(
          .bootRule, rule.span, "a rule of `boot.input` has no `cgroup`",
          help: ["no service has started when the closed firewall is loaded, so that its group has no number"]
        )
      }
    }
    return settings
  }

  /// The policy's own parameters; `lockdown install` asks the host's.
  mutating func checkRoot(of policy: HostPolicy) {
    guard policy.firewall != nil, policy.boot.stage == .closed, policy.boot.root == .local else { return }
    for parameter in policy.kernel.commandLine where NetworkRoot.isNamed(by: Array(parameter.text.utf8)) {
      error(
        .bootNetworkRoot, parameter.span,
        "`\(parameter.text)` has the root file system come over the network, and `boot.root` is `local`",
        help: ["write `boot: { root: network }`, and see that the policy lets it through"])
    }
  }

  /// Seconds, or nil if the text is no duration.
  static func duration(_ scalar: SyntaxScalar) -> UInt64? {
    try? QuantityText.parseDuration(Array(scalar.text.utf8)[...]).seconds
  }
}

extension Match {
  fileprivate var asksControlGroup: Bool {
    if case .controlGroups = condition { true } else { false }
  }
}
