import Diagnostics
import PolicyModel
import PolicySyntax

/// Modules that the policy itself cannot do without, held against what it denies.
extension Checker {
  /// - Parameter node: `modules`.
  mutating func checkModuleNeeds(_ policy: HostPolicy, _ node: SyntaxNode?) {
    guard policy.modules.deniesByDefault || !policy.modules.denied.isEmpty else { return }
    let byDefault = node?.entry("default")?.key.span
    if let firewall = policy.firewall { checkNeeds(ModuleNeeds(of: firewall, policy), policy, byDefault) }
    for setting in policy.sysctls {
      guard let key = try? SysctlKey(setting.key),
        case .module(let module)? = SysctlTable.row(for: key)?.provider,
        let denial = denial(of: module, policy.modules, byDefault)
      else { continue }
      warning(
        .moduleBlocksPolicy, setting.span, "`\(setting.key)` is a setting of `\(module)`, which may not load",
        help: ["where the module is not built into the kernel, the setting is absent and reported so"],
        related: [denial.label])
    }
  }

  private mutating func checkNeeds(_ needs: ModuleNeeds, _ policy: HostPolicy, _ byDefault: SourceSpan?) {
    var seen: Set<String> = []
    var missing: [(chain: [String], need: ModuleNeeds.Need, denial: ModuleDenial)] = []
    for need in needs.all {
      for chain in ModuleNeeds.chains(from: need.module) {
        guard let module = chain.last, seen.insert(module).inserted,
          let denial = denial(of: module, policy.modules, byDefault)
        else { continue }
        guard case .byName(let pattern) = denial else {
          missing.append((chain, need, denial))
          continue
        }
        let steps = zip(chain, chain.dropFirst()).map { "`\($0)` needs `\($1)`" }
        error(
          .moduleBlocksPolicy, pattern.span, "`\(module)` is denied, and the policy's own firewall needs it",
          help: (steps.isEmpty ? [] : [steps.joined(separator: ", ")]) + [
            "take it out of `deny`, by `undeny` where a base or a fragment has it"
          ],
          related: [Diagnostic.Label(need.span, "\(need.reason): `\(need.module)`")])
      }
    }
    guard let first = missing.first else { return }
    let names = missing.compactMap(\.chain.last).map { "`\($0)`" }.joined(separator: ", ")
    warning(
      .moduleBlocksPolicy, first.denial.label.span,
      "the policy's own firewall needs modules that may not load: \(names)",
      help: [
        "built into the kernel they are there all the same; else no firewall can be loaded",
        first.denial.isByGlob
          ? "narrow the pattern" : "put them in `require`, which loads them first, or in `allow`",
      ],
      related: [Diagnostic.Label(first.need.span, "\(first.need.reason): `\(first.need.module)`")])
  }

  private func denial(
    of module: String, _ modules: ModulePolicy, _ byDefault: SourceSpan?
  ) -> ModuleDenial? {
    if let pattern = modules.denied.first(where: { $0.pattern == module }) { return .byName(pattern) }
    if let pattern = modules.denied.first(where: { $0.matches(module) }) { return .byGlob(pattern) }
    guard modules.deniesByDefault, let byDefault else { return nil }
    let isAllowed = (modules.allowed + modules.required).contains { $0.matches(module) }
    return isAllowed ? nil : .byDefault(byDefault)
  }
}

/// How a module is kept from loading.
private enum ModuleDenial {
  /// Whoever writes the name means the module.
  case byName(ModulePattern)
  /// Where all of it is built into the kernel, a glob may cover it and nothing is lost.
  case byGlob(ModulePattern)
  case byDefault(SourceSpan)

  var isByGlob: Bool { if case .byGlob = self { true } else { false } }

  var label: Diagnostic.Label {
    switch self {
    case .byName(let pattern), .byGlob(let pattern): Diagnostic.Label(pattern.span, "denied here")
    case .byDefault(let span): Diagnostic.Label(span, "denied by this, for it is not listed")
    }
  }
}
