import Diagnostics
import PolicyModel
import PolicySyntax

/// `modules` (LANGUAGE.md §2).
extension Checker {
  mutating func modules(_ node: SyntaxNode?) -> ModulePolicy {
    var policy = ModulePolicy()
    guard let node, node.mapping != nil else { return policy }
    policy.deniesByDefault = node.entry("default")?.value.scalar?.text == "deny"
    policy.denied = modulePatterns(node.entry("deny")?.value, allowsGlobs: true)
    policy.allowed = modulePatterns(node.entry("allow")?.value, allowsGlobs: true)
    policy.required = modulePatterns(node.entry("require")?.value, allowsGlobs: false)
    policy.seal = node.entry("seal")?.value.scalar.flatMap { ModulePolicy.Seal(rawValue: $0.text) } ?? .never
    policy.deniesCompressed = node.entry("compressed")?.value.scalar?.text == "deny"
    for pattern in policy.denied { items.append(Item("module/\(pattern.pattern)", pattern.span)) }
    for (list, word) in [(policy.allowed, "allowed"), (policy.required, "required")] {
      for module in list {
        guard let denied = policy.denied.first(where: { $0.matches(module.pattern) }) else { continue }
        error(
          .moduleConflict, module.span, "`\(module.pattern)` is \(word) and denied",
          related: [Diagnostic.Label(denied.span, "denied here")])
      }
    }
    return policy
  }

  private mutating func modulePatterns(_ node: SyntaxNode?, allowsGlobs: Bool) -> [ModulePattern] {
    var patterns: [ModulePattern] = []
    for item in node?.sequence ?? [] {
      guard let scalar = item.scalar else { continue }
      let text = String(scalar.text.map { $0 == "-" ? "_" : $0 })
      let pattern = ModulePattern(text, span: scalar.span)
      if let fault = Self.fault(of: text) {
        error(
          .moduleBadName, scalar.span,
          text.isEmpty ? "an empty text is no name of a module" : "`\(scalar.text)` is no name of a module",
          help: [fault])
      } else if pattern.isGlob, !allowsGlobs {
        error(
          .moduleBadName, scalar.span, "`require` takes names, not globs",
          help: ["a glob does not say which modules are to be loaded"])
      } else if let earlier = patterns.first(where: { $0.pattern == text }) {
        error(
          .moduleConflict, scalar.span, "`\(scalar.text)` is listed twice",
          help: text.contains("_") ? ["`-` and `_` are the same in the name of a module"] : [],
          related: [Diagnostic.Label(earlier.span, "first here")])
      } else {
        if !pattern.isGlob { reportMisspelledModule(text, scalar.span) }
        patterns.append(pattern)
      }
    }
    return patterns.sorted { $0.pattern < $1.pattern }
  }

  /// A name that is nearly that of a known module: nothing else would ever tell.
  mutating func reportMisspelledModule(_ name: String, _ span: SourceSpan) {
    guard let meant = ModuleNames.meant(by: name) else { return }
    warning(
      .moduleUnknownName, span, "no known module is called `\(name)`", help: ["did you mean `\(meant)`?"])
  }

  private static func fault(of text: String) -> String? {
    if text.hasSuffix(".ko") || text.hasSuffix(".ko.xz") || text.hasSuffix(".ko.zst")
      || text.hasSuffix(".ko.gz")
    {
      return "name the module, not its file: without `.ko`"
    }
    // MODULE_NAME_LEN of linux/module.h: 64 less a long, with its NUL.
    if text.isEmpty || text.utf8.count > 55 { return "a name has 1 to 55 bytes" }
    let isGood = text.utf8.allSatisfy {
      (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0)
        || [UInt8(ascii: "_"), UInt8(ascii: "*"), UInt8(ascii: "?")].contains($0)
    }
    return isGood ? nil : "names hold letters, digits, `_` and `-`; globs also `*` and `?`"
  }
}

extension ModulePattern {
  /// Whether the pattern stands for a module; names as the kernel has them, with `_`.
  func matches(_ name: String) -> Bool { Self.matches(Array(pattern.utf8)[...], Array(name.utf8)[...]) }

  /// Iterative, so that no pattern costs more than its length times the name's.
  private static func matches(_ pattern: ArraySlice<UInt8>, _ name: ArraySlice<UInt8>) -> Bool {
    var (p, n) = (pattern.startIndex, name.startIndex)
    var star: (pattern: Int, name: Int)?
    while n < name.endIndex {
      if p < pattern.endIndex, pattern[p] == UInt8(ascii: "*") {
        star = (p + 1, n)
        p += 1
      } else if p < pattern.endIndex, pattern[p] == UInt8(ascii: "?") || pattern[p] == name[n] {
        p += 1
        n += 1
      } else if let last = star {
        star = (last.pattern, last.name + 1)
        (p, n) = (last.pattern, last.name + 1)
      } else {
        return false
      }
    }
    return pattern[p...].allSatisfy { $0 == UInt8(ascii: "*") }
  }
}
