import Diagnostics
import PolicySyntax

/// Merging is syntax: of a file and all it names one tree is made, which the domains read like that of one file
/// (LANGUAGE.md §5). Each node keeps its span, so a finding names the file it is about.
extension Checker {
  /// What a file states over what it inherits.
  struct Inheritance {
    /// The file's own value under a key; nil if it does not state it.
    var own: SyntaxEntry?
    /// The merged base's.
    var base: SyntaxEntry?
    /// The merged fragments', in the order included.
    var fragments: [SyntaxEntry]

    var inherited: [SyntaxEntry] { (base.map { [$0] } ?? []) + fragments }
    var all: [SyntaxEntry] { (own.map { [$0] } ?? []) + inherited }

    /// The same for a key of mappings.
    subscript(key: String) -> Inheritance {
      Inheritance(
        own: own?.value.entry(key), base: base?.value.entry(key),
        fragments: fragments.compactMap { $0.value.entry(key) })
    }
  }

  /// The tree of a file with all it includes and extends. A fragment is merged with its own fragments alone.
  mutating func merged(_ file: PolicyFile) -> SyntaxNode {
    if let tree = mergedTrees[file.id] { return tree }
    // A list that takes off what no other file denies is a fault, and is found by merging.
    let takesOff = file.root.entry("modules")?.value.entry("undeny") != nil
    let tree = file.namings.isEmpty && !takesOff ? file.root : merge(file)
    mergedTrees[file.id] = tree
    return tree
  }

  private mutating func merge(_ file: PolicyFile) -> SyntaxNode {
    let base = file.base.flatMap { files[$0.file] }.map { merged($0) }
    var fragments: [SyntaxNode] = []
    var seen: Set<SourceID> = []
    for naming in file.includes where seen.insert(naming.file).inserted {
      if let fragment = files[naming.file] { fragments.append(merged(fragment)) }
    }
    var entries: [SyntaxEntry] = []
    for key in PolicyKeys.root.keys {
      let parts = Inheritance(
        own: file.root.entry(key.name), base: base?.entry(key.name),
        fragments: fragments.compactMap { $0.entry(key.name) })
      guard let value = mergedValue(key.name, parts, base: base), let entry = parts.all.first else {
        continue
      }
      entries.append(SyntaxEntry(key: entry.key, value: value))
    }
    return SyntaxNode(.mapping(entries), span: file.root.span, isFlow: file.root.isFlow)
  }

  /// Nil: the policy has no such key.
  private mutating func mergedValue(
    _ key: String, _ parts: Inheritance, base: SyntaxNode?
  ) -> SyntaxNode? {
    switch key {
    case "target", "boot": return overridden(parts)
    case "management": return (parts.own ?? parts.base)?.value
    case "firewall": return mergedFirewall(parts)
    case "zones": return mergedZones(parts)
    case "sysctl": return mergedSysctls(parts)
    case "mounts": return mergedMounts(parts)
    case "modules": return mergedModules(parts)
    case "kernel": return mergedKernel(parts)
    case "syscalls": return mergedSystemCalls(parts)
    case "guarantee": return concatenated([parts.base.map { held($0, of: base) }, parts.own])
    case "expect": return concatenated([parts.own] + parts.fragments)
    default: return parts.own?.value
    }
  }

  /// The zones of both: pairs of the base mean what they mean there.
  private mutating func mergedZones(_ parts: Inheritance) -> SyntaxNode? {
    guard let own = parts.own?.value, let base = parts.base?.value.mapping else {
      return (parts.own ?? parts.base)?.value
    }
    var zones = base
    for zone in own.mapping ?? [] {
      guard let earlier = base.first(where: { $0.key.text == zone.key.text }) else {
        zones.append(zone)
        continue
      }
      error(
        .extendsZoneTwice, zone.key.span, "`\(zone.key.text)` is a zone of the base too",
        help: ["what belongs to a zone of the base is for the base to say: give this one another name"],
        related: [Diagnostic.Label(earlier.key.span, "in the base")])
    }
    return SyntaxNode(.mapping(zones), span: own.span, isFlow: own.isFlow)
  }

  /// A mapping of which the file's own keys replace the base's.
  private func overridden(_ parts: Inheritance) -> SyntaxNode? {
    guard let own = parts.own?.value else { return parts.base?.value }
    guard let stated = own.mapping, let inherited = parts.base?.value.mapping else { return own }
    let kept = inherited.filter { entry in !stated.contains { $0.key.text == entry.key.text } }
    return SyntaxNode(.mapping(stated + kept), span: own.span, isFlow: own.isFlow)
  }

  /// The guarantees of a base but for those it has loosened itself: it does not give them on.
  private func held(_ guarantees: SyntaxEntry, of base: SyntaxNode?) -> SyntaxEntry {
    let loosened = (base?.entry("loosen")?.value.sequence ?? []).compactMap {
      $0.entry("guarantee")?.value.scalar?.text
    }
    let kept = (guarantees.value.sequence ?? []).filter { item in
      !loosened.contains { name in item.mapping?.first?.key.text == name }
    }
    return guarantees.with(.sequence(kept))
  }

  private func concatenated(_ lists: [SyntaxEntry?]) -> SyntaxNode? {
    let nodes = lists.compactMap(\.?.value)
    guard let first = nodes.first, nodes.count > 1 else { return nodes.first }
    return SyntaxNode(
      .sequence(nodes.flatMap { $0.sequence ?? [] }), span: first.span, isFlow: first.isFlow)
  }

  // MARK: The meet

  /// Two inherited values of which neither is the stronger, and the policy states none of its own.
  mutating func incomparable(
    _ what: String, _ first: (text: String, span: SourceSpan), _ second: (text: String, span: SourceSpan)
  ) {
    // The same finding whichever file is included first.
    let (a, b) =
      (first.span.source, first.span.start) < (second.span.source, second.span.start)
      ? (first, second) : (second, first)
    error(
      .includeIncomparable, b.span,
      "\(what) is `\(b.text)` here and `\(a.text)` in another part of the policy",
      help: ["neither is known to be the stronger: state it in the policy itself, which decides"],
      related: [Diagnostic.Label(a.span, "`\(a.text)` here")])
  }

  /// The strongest of several values; if none is known to be as strong as all others, the first of them, and reported.
  mutating func meet<Value>(
    _ what: String, _ values: [Value], place: (Value) -> (text: String, span: SourceSpan),
    strength: (Value, Value) -> Int?
  ) -> Value? {
    func isStrongest(_ value: Value) -> Bool { values.allSatisfy { strength(value, $0) ?? -1 >= 0 } }
    if let strongest = values.first(where: isStrongest) { return strongest }
    for (index, value) in values.enumerated() {
      if let other = values[..<index].first(where: { strength(value, $0) == nil }) {
        incomparable(what, place(other), place(value))
        break
      }
    }
    return values.first
  }

  /// A statement of the file's own that is weaker than what a fragment brings.
  mutating func weakened(
    _ what: String, _ own: (text: String, span: SourceSpan), _ fragment: (text: String, span: SourceSpan)
  ) {
    warning(
      .includeWeakened, own.span,
      "\(what) is `\(own.text)` here, weaker than the `\(fragment.text)` of a fragment",
      help: ["the policy's own statement holds; leave it out for the stronger one"],
      related: [Diagnostic.Label(fragment.span, "`\(fragment.text)` here")])
  }

  /// The stronger of several words of one key.
  ///
  /// - Parameter order: Weakest first.
  mutating func mergedWord(_ what: String, _ parts: Inheritance, order: [String]) -> SyntaxEntry? {
    func rank(_ entry: SyntaxEntry) -> Int {
      entry.value.scalar.flatMap { order.firstIndex(of: $0.text) } ?? -1
    }
    guard let own = parts.own else {
      return parts.inherited.max { rank($0) < rank($1) }
    }
    for fragment in parts.fragments where rank(own) < rank(fragment) {
      weakened(
        what, (own.value.scalar?.text ?? "", own.value.span),
        (fragment.value.scalar?.text ?? "", fragment.value.span))
    }
    return own
  }

  /// Texts of several lists, each once; the first list keeps its order, further ones are sorted, so that the order of
  /// fragments does not count.
  func union(
    _ lists: [SyntaxEntry], sorted: Bool, by identity: (SyntaxScalar) -> String = { $0.text }
  ) -> [SyntaxNode] {
    var seen: Set<String> = []
    var items: [SyntaxNode] = []
    for list in lists {
      for item in list.value.sequence ?? [] {
        guard let scalar = item.scalar else { continue }
        // What one list says twice is its own fault, and is reported there.
        if seen.insert(identity(scalar)).inserted { items.append(item) }
      }
    }
    return sorted ? items.sorted { ($0.scalar?.text ?? "") < ($1.scalar?.text ?? "") } : items
  }
}

extension SyntaxEntry {
  /// The entry with another value in the place of its own.
  func with(_ content: SyntaxNode.Content) -> SyntaxEntry {
    SyntaxEntry(key: key, value: SyntaxNode(content, span: value.span, isFlow: value.isFlow))
  }
}
