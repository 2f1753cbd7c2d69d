import Diagnostics
import PolicyModel
import PolicySyntax

/// `modules` and `kernel` of several files (LANGUAGE.md §5.3, §8).
extension Checker {
  // MARK: Modules

  mutating func mergedModules(_ parts: Inheritance) -> SyntaxNode? {
    guard let first = parts.all.first else { return nil }
    // A list of its own that takes off needs no other file to be wrong.
    guard parts.all.count > 1 || first.value.entry("undeny") != nil else { return first.value }
    var entries: [SyntaxEntry] = []
    for (key, order) in [
      ("default", ["allow", "deny"]), ("seal", ["never", "after-boot"]), ("compressed", ["pass", "deny"]),
    ] {
      if let word = mergedWord("`\(key)` of modules", parts[key], order: order) { entries.append(word) }
    }
    func name(_ scalar: SyntaxScalar) -> String { String(scalar.text.map { $0 == "-" ? "_" : $0 }) }
    for key in ["allow", "require"] {
      guard let list = parts[key].all.first else { continue }
      entries.append(list.with(.sequence(ownAndInherited(parts[key], by: name))))
    }
    if let list = parts["deny"].all.first {
      entries.append(list.with(.sequence(denied(parts, by: name))))
    } else if let undeny = parts["undeny"].own {
      for item in undeny.value.sequence ?? [] { unknownUndeny(item, among: [], by: name) }
    }
    reportOpenedByAnother(parts.inherited, own: parts.own, by: name)
    return SyntaxNode(.mapping(entries), span: first.value.span, isFlow: first.value.isFlow)
  }

  /// The file's own items as written, faults too, and behind them what others list.
  private func ownAndInherited(_ parts: Inheritance, by name: (SyntaxScalar) -> String) -> [SyntaxNode] {
    let own = parts.own?.value.sequence ?? []
    let stated = Set(own.compactMap { $0.scalar.map(name) })
    return own
      + union(parts.inherited, sorted: true, by: name).filter { item in
        item.scalar.map { !stated.contains(name($0)) } ?? false
      }
  }

  /// `undeny` takes off what others deny, and nothing of the file's own.
  private mutating func denied(_ parts: Inheritance, by name: (SyntaxScalar) -> String) -> [SyntaxNode] {
    var inherited = union(parts["deny"].inherited, sorted: true, by: name)
    let own = parts["deny"].own?.value.sequence ?? []
    let stated = Set(own.compactMap { $0.scalar.map(name) })
    for item in parts["undeny"].own?.value.sequence ?? [] {
      guard let scalar = item.scalar else { continue }
      let pattern = ModulePattern(name(scalar), span: scalar.span)
      if let denied = own.first(where: { $0.scalar.map(name) == pattern.pattern }) {
        error(
          .moduleConflict, scalar.span,
          "`\(scalar.text)` is denied here and taken off the list of denied modules",
          related: [Diagnostic.Label(denied.span, "denied here")])
        continue
      }
      let isTaken = { (node: SyntaxNode) -> Bool in
        guard let denied = node.scalar.map({ ModulePattern(name($0), span: $0.span) }) else { return false }
        return denied.pattern == pattern.pattern || (!denied.isGlob && pattern.matches(denied.pattern))
      }
      if !inherited.contains(where: isTaken) { unknownUndeny(item, among: inherited, by: name) }
      inherited.removeAll(where: isTaken)
    }
    return own + inherited.filter { item in item.scalar.map { !stated.contains(name($0)) } ?? false }
  }

  private mutating func unknownUndeny(
    _ item: SyntaxNode, among denied: [SyntaxNode], by name: (SyntaxScalar) -> String
  ) {
    guard let scalar = item.scalar else { return }
    let patterns = denied.compactMap { $0.scalar.map { ModulePattern(name($0), span: $0.span) } }
    let glob = patterns.first { $0.isGlob && $0.matches(name(scalar)) }
    error(
      .extendsUnknownName, scalar.span,
      glob == nil
        ? "`undeny` takes `\(scalar.text)` off a list on which it is not"
        : "`\(scalar.text)` is denied by a glob, which cannot be taken off in part",
      help: glob.map { ["`undeny: [\"\($0.pattern)\"]` takes the whole glob off"] }
        ?? suggestion(
          for: name(scalar), among: patterns.map(\.pattern),
          otherwise: "nothing that this file includes or extends denies it"),
      related: glob.map { [Diagnostic.Label($0.span, "denied by this")] } ?? [])
  }

  /// A list of allowed modules is a promise of its file; what another file allows or requires besides would break it.
  private mutating func reportOpenedByAnother(
    _ inherited: [SyntaxEntry], own: SyntaxEntry?, by name: (SyntaxScalar) -> String
  ) {
    guard own?.value.entry("default") == nil else { return }
    func opened(_ entry: SyntaxEntry) -> [SyntaxScalar] {
      ["allow", "require"].flatMap { entry.value.entry($0)?.value.sequence ?? [] }.compactMap(\.scalar)
    }
    let stated = Set(own.map { opened($0).map(name) } ?? [])
    for closed in inherited where closed.value.entry("default")?.value.scalar?.text == "deny" {
      let allowed = opened(closed).map { ModulePattern(name($0), span: $0.span) }
      for other in inherited where other.key.span != closed.key.span {
        for scalar in opened(other) where !stated.contains(name(scalar)) {
          let isAllowed = allowed.contains {
            $0.pattern == name(scalar)
              || (!ModulePattern(name(scalar), span: scalar.span).isGlob && $0.matches(name(scalar)))
          }
          guard !isAllowed, let word = closed.value.entry("default") else { continue }
          incomparable(
            "the default for the module `\(scalar.text)`", ("deny", word.key.span), ("allow", scalar.span))
        }
      }
    }
  }

  // MARK: Kernel

  mutating func mergedKernel(_ parts: Inheritance) -> SyntaxNode? {
    guard let first = parts.all.first, parts.all.count > 1 || !parts.fragments.isEmpty else {
      return parts.all.first?.value
    }
    var entries: [SyntaxEntry] = []
    if let lockdown = mergedWord(
      "the lockdown level", parts["lockdown"], order: KernelSettings.Lockdown.allCases.map(\.rawValue))
    {
      entries.append(lockdown)
    }
    if let list = parts["command-line"].all.first {
      entries.append(list.with(.sequence(mergedParameters(parts["command-line"]))))
    }
    return SyntaxNode(.mapping(entries), span: first.value.span, isFlow: first.value.isFlow)
  }

  /// The base's parameters in their order, then those that only fragments set, sorted, so that the order of fragments
  /// does not count, then the file's own; a parameter replaces its namesake in its place.
  private mutating func mergedParameters(_ parts: Inheritance) -> [SyntaxNode] {
    let own = parts.own?.value.sequence ?? []
    let base = parts.base?.value.sequence ?? []
    let added = parts.fragments.flatMap { $0.value.sequence ?? [] }
    let stated = Set(own.compactMap(Self.parameter))
    var result: [SyntaxNode] = []
    for item in base where !result.contains(where: { Self.isSame($0, item) }) {
      result.append(
        strongest(item, among: base + added, isStated: stated.contains(Self.parameter(item) ?? "")))
    }
    var further: [SyntaxNode] = []
    for item in added where !(result + further).contains(where: { Self.isSame($0, item) }) {
      further.append(strongest(item, among: added, isStated: stated.contains(Self.parameter(item) ?? "")))
    }
    result += further.sorted { ($0.scalar?.text ?? "") < ($1.scalar?.text ?? "") }
    for item in own {
      for fragment in added { reportWeakened(item, fragment) }
      // What the file itself says twice is found there.
      let index = result.firstIndex { Self.isSame($0, item) && $0.span.source != item.span.source }
      if let index { result[index] = item } else { result.append(item) }
    }
    return result
  }

  private static func parameter(_ item: SyntaxNode) -> String? {
    item.scalar.map { KernelParameter.name($0.text) }
  }

  /// Whether two items set the same parameter; of one that adds up, to the same value.
  private static func isSame(_ a: SyntaxNode, _ b: SyntaxNode) -> Bool {
    guard let name = parameter(a), name == parameter(b) else { return false }
    return !KernelParameter.isRepeatable(name) || a.scalar?.text == b.scalar?.text
  }

  private mutating func strongest(_ item: SyntaxNode, among items: [SyntaxNode], isStated: Bool) -> SyntaxNode
  {
    let values = items.filter { Self.isSame($0, item) }
    // The policy's own statement will take its place.
    guard !isStated, values.count > 1, let name = Self.parameter(item) else { return item }
    return meet("`\(name)`", values, place: { ($0.scalar?.text ?? "", $0.span) }) {
      KernelParameter.strength(of: $0.scalar?.text ?? "", comparedWith: $1.scalar?.text ?? "")
    } ?? item
  }

  private mutating func reportWeakened(_ own: SyntaxNode, _ fragment: SyntaxNode) {
    guard Self.isSame(own, fragment), let a = own.scalar, let b = fragment.scalar,
      KernelParameter.strength(of: a.text, comparedWith: b.text) ?? 0 < 0
    else { return }
    weakened("`\(KernelParameter.name(a.text))`", (a.text, a.span), (b.text, b.span))
  }
}

extension KernelParameter {
  /// Parameters that say nothing about what may be done: consoles, and where the system is found.
  static func isNeutral(_ name: String) -> Bool {
    [
      "console", "earlycon", "quiet", "loglevel", "log_buf_len", "printk.devkmsg", "root", "rootfstype",
      "rootflags",
      "rootdelay", "rootwait", "ro", "rw", "init", "panic", "hung_task_panic", "nmi_watchdog",
      "watchdog_thresh",
      "transparent_hugepage", "hugepages", "hugepagesz", "clocksource", "tsc",
    ].contains(name)
  }

  /// Parameters that are stronger when they are there, with the value that is the strongest; and what the kernel does
  /// without one. Documentation/admin-guide/kernel-parameters.txt.
  private static let strongest: [String: String] = [
    "slab_nomerge": "", "nosmt": "", "mitigations": "auto,nosmt", "init_on_alloc": "1", "init_on_free": "1",
    "page_alloc.shuffle": "1", "randomize_kstack_offset": "on", "vsyscall": "none", "debugfs": "off",
    "module.sig_enforce": "1", "iommu.strict": "1", "iommu.passthrough": "0", "hardened_usercopy": "on",
    "pti": "on",
    "spec_store_bypass_disable": "on", "audit": "1", "oops": "panic",
  ]

  /// Whether a parameter is as strong as another, or as the kernel without it; nil: not known.
  static func isAtLeast(_ text: String, _ other: String?) -> Bool? {
    // `module.sig_enforce` alone means 1.
    let value = value(text)
    if let best = strongest[name(text)], value == best || (value == nil && ["", "1"].contains(best)) {
      return true
    }
    guard let other else { return nil }
    return strength(of: text, comparedWith: other).map { $0 >= 0 }
  }

  /// Less than zero weaker, zero equal, more stronger; nil incomparable or unknown.
  static func strength(of a: String, comparedWith b: String) -> Int? {
    if a == b { return 0 }
    guard let order = order(of: name(a)), let first = order.firstIndex(of: value(a) ?? ""),
      let second = order.firstIndex(of: value(b) ?? "")
    else { return nil }
    return first - second
  }
}
