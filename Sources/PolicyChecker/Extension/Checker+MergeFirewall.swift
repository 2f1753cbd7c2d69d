import Diagnostics
import PolicySyntax

/// `firewall` of several files: chains of a base with the edits of the policy that extends it, and the regular chains
/// of fragments (LANGUAGE.md §5.3, §5.4).
extension Checker {
  /// Keys that change the rules of a base.
  private static let edits = ["replace", "remove", "before", "after"]

  mutating func mergedFirewall(_ parts: Inheritance) -> SyntaxNode? {
    guard let first = parts.all.first else { return nil }
    var entries: [SyntaxEntry] = []
    for key in PolicyKeys.firewall.keys {
      let part = parts[key.name]
      guard let entry = part.all.first else { continue }
      switch key.name {
      case "chains", "nat", "between":
        let isNamed = key.name == "chains"
        entries.append(entry.with(.mapping(mergedChains(part, takesFragments: isNamed))))
      default:
        if let chain = mergedChain(own: part.own, base: part.base) { entries.append(chain) }
      }
    }
    return SyntaxNode(.mapping(entries), span: first.value.span, isFlow: first.value.isFlow)
  }

  /// Chains below one key, by name: `A  to B` is `A to B`.
  private mutating func mergedChains(_ parts: Inheritance, takesFragments: Bool) -> [SyntaxEntry] {
    func name(_ entry: SyntaxEntry) -> String {
      entry.key.text.split(separator: " ").joined(separator: " ")
    }
    let base = parts.base?.value.mapping ?? []
    let own = parts.own?.value.mapping ?? []
    var chains = base.map { chain in
      mergedChain(own: own.first { name($0) == name(chain) }, base: chain) ?? chain
    }
    let added = own.filter { chain in !base.contains { name($0) == name(chain) } }
    for chain in added {
      reportEditsWithoutBase(chain)
      chains.append(chain)
    }
    guard takesFragments else { return chains }
    for fragment in parts.fragments {
      for chain in fragment.value.mapping ?? [] {
        let places = own + base + chains
        guard let other = places.first(where: { name($0) == name(chain) }) else {
          chains.append(chain)
          continue
        }
        if other.key.span == chain.key.span { continue }  // by two ways the same chain
        error(
          .includeChainTwice, chain.key.span, "`\(name(chain))` is a chain of another part of the policy too",
          help: ["a chain has its rules in one file: give one of both another name"],
          related: [Diagnostic.Label(other.key.span, "the other chain")])
      }
    }
    return chains
  }

  private mutating func mergedChain(own: SyntaxEntry?, base: SyntaxEntry?) -> SyntaxEntry? {
    guard let own else { return base }
    guard let base else {
      reportEditsWithoutBase(own)
      return own
    }
    var members: [SyntaxEntry] = []
    for key in ["hook", "policy", "priority", "devices"] {
      if let entry = own.value.entry(key) ?? base.value.entry(key) { members.append(entry) }
    }
    let rules = SyntaxNode(
      .sequence(editedRules(own, Self.rules(of: base.value))), span: own.value.span, isFlow: own.value.isFlow)
    let key = own.value.entry("rules")?.key ?? base.value.entry("rules")?.key
    members.append(SyntaxEntry(key: key ?? own.key.renamed("rules"), value: rules))
    return SyntaxEntry(
      key: own.key, value: SyntaxNode(.mapping(members), span: own.value.span, isFlow: own.value.isFlow))
  }

  private static func rules(of chain: SyntaxNode) -> [SyntaxNode] {
    chain.sequence ?? chain.entry("rules")?.value.sequence ?? []
  }

  // MARK: Edits

  /// The base's rules as the policy edits them, and behind them its own. Names are those of the base: what one edit
  /// adds, no other can address.
  private mutating func editedRules(_ own: SyntaxEntry, _ base: [SyntaxNode]) -> [SyntaxNode] {
    let names = base.compactMap { $0.itemName?.text }
    func known(_ entry: SyntaxScalar) -> Bool { names.contains(entry.text) }
    func entries(_ key: String) -> [SyntaxEntry] { own.value.entry(key)?.value.mapping ?? [] }
    let removed = (own.value.entry("remove")?.value.sequence ?? []).compactMap(\.scalar)
    let addressed = removed + ["replace", "before", "after"].flatMap(entries).map(\.key)
    for name in addressed where !known(name) { reportUnknownRule(name, among: names, in: own) }
    for replaced in entries("replace") {
      if let name = replaced.value.entry("name"), replaced.isItemOfKeys,
        name.value.scalar?.text != replaced.key.text
      {
        error(
          .ruleForm, name.key.span, "a rule that replaces `\(replaced.key.text)` keeps that name",
          help: [
            "leave `name` out; for a rule of another name `remove` this one and put the new one `after` it"
          ])
      }
      guard let removal = removed.first(where: { $0.text == replaced.key.text }) else { continue }
      error(
        .extendsEditedTwice, replaced.key.span, "`\(replaced.key.text)` is replaced, and removed",
        help: ["leave one of both out"], related: [Diagnostic.Label(removal.span, "removed here")])
    }
    var result: [SyntaxNode] = []
    for item in base {
      guard let name = item.itemName?.text else {
        result.append(item)
        continue
      }
      func beside(_ key: String) -> [SyntaxNode] {
        entries(key).first { $0.key.text == name }?.value.sequence ?? []
      }
      result += beside("before")
      if let replacement = entries("replace").first(where: { $0.key.text == name }) {
        result.append(Self.item(replacement))
      } else if !removed.contains(where: { $0.text == name }) {
        result.append(item)
      }
      result += beside("after")
    }
    return result + Self.rules(of: own.value)
  }

  /// A rule under the name it replaces.
  private static func item(_ entry: SyntaxEntry) -> SyntaxNode {
    let value = entry.value
    guard entry.isItemOfKeys, let members = value.mapping else {
      return SyntaxNode(.mapping([entry]), span: entry.key.span.union(value.span), isFlow: value.isFlow)
    }
    let name = SyntaxNode(.scalar(entry.key), span: entry.key.span, isFlow: value.isFlow)
    return SyntaxNode(
      .mapping(
        [SyntaxEntry(key: entry.key.renamed("name"), value: name)] + members.filter { $0.key.text != "name" }),
      span: entry.key.span.union(value.span), isFlow: value.isFlow)
  }

  private mutating func reportUnknownRule(_ name: SyntaxScalar, among names: [String], in chain: SyntaxEntry)
  {
    let help =
      name.text == "closing"
      ? ["it follows from the `policy` of the chain"]
      : suggestion(
        for: name.text, among: names,
        otherwise: names.isEmpty
          ? "none of its rules has a name, and only named rules can be edited"
          : "its rules are \(names.map { "`\($0)`" }.joined(separator: ", "))")
    error(
      .extendsUnknownName, name.span, "`\(chain.key.text)` of the base has no rule `\(name.text)`",
      help: help,
      fixIts: name.text == "closing" ? [] : correction(of: name.span, word: name.text, among: names))
  }

  mutating func reportEditsWithoutBase(_ chain: SyntaxEntry) {
    for entry in chain.value.mapping ?? [] where Self.edits.contains(entry.key.text) {
      error(
        .extendsNoBase, entry.key.span,
        "`\(entry.key.text)` edits rules of a base, and there is no `\(chain.key.text)` in one",
        help: ["the file's own rules stand under `rules`, in the order they are to have"])
    }
  }

  /// Edits in a file that extends nothing.
  mutating func reportEditsWithoutBase(in firewall: SyntaxNode?) {
    for entry in firewall?.mapping ?? [] {
      switch entry.key.text {
      case "chains", "nat", "between": (entry.value.mapping ?? []).forEach { reportEditsWithoutBase($0) }
      default: reportEditsWithoutBase(entry)
      }
    }
  }
}

extension SyntaxEntry {
  /// Whether its value is a rule item of forms 3 and 4, which has its name among its keys.
  fileprivate var isItemOfKeys: Bool { value.entry("rule") != nil || value.entry("verdict") != nil }
}

extension SyntaxScalar {
  /// Another word at the same place, for a key that was not written.
  func renamed(_ text: String) -> SyntaxScalar {
    SyntaxScalar(text: text, style: .plain, span: span, runs: [])
  }
}

extension SyntaxNode {
  /// The name of an item of a rule list, in whichever form.
  fileprivate var itemName: SyntaxScalar? {
    guard let entries = mapping else { return nil }
    if entry("rule") != nil || entry("verdict") != nil { return entry("name")?.value.scalar }
    return entries.count == 1 && entries[0].key.text != "name" ? entries[0].key : nil
  }
}
