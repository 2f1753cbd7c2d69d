import Diagnostics
import PolicyModel
import PolicySyntax

/// `loosen` (LANGUAGE.md §5.9).
extension Checker {
  mutating func exceptions(_ entry: SyntaxEntry?, of file: PolicyFile, _ policy: HostPolicy)
    -> [PolicyException]
  {
    guard let entry else { return [] }
    guard file.base != nil else {
      error(
        .loosenUnused, entry.key.span, "this policy extends none, so there is nothing to loosen",
        help: ["a policy without a base states its own values"])
      return []
    }
    var exceptions: [PolicyException] = []
    for item in entry.value.sequence ?? [] {
      if let until = item.entry("until")?.value.scalar { checkDate(until) }
      guard item.mapping != nil, let (target, text) = exceptionTarget(item, policy) else { continue }
      func word(_ key: String) -> String { item.entry(key)?.value.scalar?.text ?? "" }
      exceptions.append(
        PolicyException(
          target: target, text: text, because: word("because"), owner: word("owner"), until: word("until"),
          policy: policy.name, file: sources[item.span.source].name,
          span: item.mapping?.first?.key.span ?? item.span))
    }
    return exceptions
  }

  private mutating func checkDate(_ scalar: SyntaxScalar) {
    guard scalar.text != "never" else { return }
    let bytes = Array(scalar.text.utf8)
    do {
      _ = try QuantityText.parseDate(bytes[...])
    } catch {
      var error = error
      error.help.append("or `never`")
      report(error.diagnostic(in: scalar, length: bytes.count))
    }
  }

  private mutating func exceptionTarget(
    _ item: SyntaxNode, _ policy: HostPolicy
  ) -> (PolicyException.Target, String)? {
    let named = (item.mapping ?? []).filter { PolicyKeys.exceptionTargets.contains($0.key.text) }
    guard let entry = named.first else {
      error(
        .loosenForm, item.mapping?.first?.key.span ?? item.span,
        "this exception does not say what it is about",
        help: ["write one of \(PolicyKeys.exceptionTargets.map { "`\($0)`" }.joined(separator: ", "))"])
      return nil
    }
    if named.count > 1 {
      error(
        .loosenForm, named[1].key.span, "an exception is about one thing, and this is a second",
        help: ["make two entries of it: each has its own reason and end"],
        related: [Diagnostic.Label(entry.key.span, "the first is here")])
      return nil
    }
    checkQualifiers(item, entry)
    guard let text = entry.value.scalar?.text, !isDamaged(entry.value.span) else { return nil }
    switch entry.key.text {
    case "packets":
      guard let syntax = StatementItemSyntax.parse(entry.value, diagnostics: &diagnostics) else { return nil }
      guard case .packets(let statement) = syntax.statement else {
        error(
          .loosenForm, entry.value.span, "`packets` takes a statement about packets",
          help: ["write `PLACE accept REGION`; settings have entries of their own, such as `sysctl: KEY`"])
        return nil
      }
      guard case .packets(let region, _, _)? = packets(statement, in: .loosen) else { return nil }
      return (.packets(region), syntax.statement.canonicalText)
    case "sysctl":
      guard let key = sysctlKey(text, entry.value.span), let to = item.entry("to")?.value.scalar else {
        return nil
      }
      let value = SysctlTable.row(for: key)?.normalized(to.text) ?? to.text
      return (.sysctl(key.text, to: value), "sysctl \(key.text) to \(value)")
    case "module":
      let name = String(text.map { $0 == "-" ? "_" : $0 })
      return (.module(name), "module \(name)")
    case "mount":
      if let fault = MountPath.fault(of: text) {
        error(.mountBadPath, entry.value.span, "`\(text)` is no path of a mount point", help: [fault])
        return nil
      }
      guard let list = item.entry("flags")?.value.sequence else { return nil }
      let flags = list.compactMap { $0.scalar.flatMap { MountFlag(rawValue: $0.text) } }
      return (.mount(text, flags), "mount \(text) \(flags.map(\.rawValue).joined(separator: ", "))")
    case "kernel":
      guard let to = item.entry("to")?.value.scalar else { return nil }
      let name = KernelParameter.name(text)
      return (.kernel(name, to: to.text), "kernel \(name) to \(to.text)")
    case "syscalls":
      guard SystemCallGroups.calls(of: text) != nil || isSystemCall(text, entry.value.span) else {
        return nil
      }
      return (.systemCalls(text), "syscalls \(text)")
    case "boot": return (.bootStage, "boot none")
    case "guarantee":
      guard let guarantee = policy.guarantees.first(where: { $0.name == text }) else {
        let names = policy.guarantees.compactMap(\.name)
        error(
          .extendsUnknownName, entry.value.span, "the base has no guarantee `\(text)`",
          help: suggestion(
            for: text, among: names,
            otherwise: names.isEmpty
              ? "none of its guarantees has a name" : "its guarantees are \(names.alternatives)"))
        return nil
      }
      if guarantee.span.source == entry.value.span.source {
        error(
          .loosenForm, entry.value.span, "`\(text)` is a guarantee of this policy itself",
          help: ["take it out where it stands"], related: [Diagnostic.Label(guarantee.span, "here")])
        return nil
      }
      return (.guarantee(text), "guarantee \(text)")
    default: return nil
    }
  }

  /// `to` and `flags` stand where they say something, and nowhere else.
  private mutating func checkQualifiers(_ item: SyntaxNode, _ target: SyntaxEntry) {
    for (key, targets) in [("to", ["sysctl", "kernel"]), ("flags", ["mount"])] {
      let isWanted = targets.contains(target.key.text)
      if let entry = item.entry(key), !isWanted {
        error(
          .loosenForm, entry.key.span, "`\(key)` says nothing about `\(target.key.text)`",
          help: ["it belongs to \(targets.alternatives)"])
      } else if isWanted, item.entry(key) == nil, isComplete {
        error(
          .missingKey, target.key.span, "an exception with `\(target.key.text)` needs the key `\(key)`",
          help: ["write what the policy sets: `\(key): …`"])
      }
    }
  }
}
