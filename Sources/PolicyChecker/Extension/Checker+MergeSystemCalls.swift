import Diagnostics
import PolicyModel
import PolicySyntax

/// `syscalls` of several files (LANGUAGE.md §5.3, §8).
extension Checker {
  mutating func mergedSystemCalls(_ parts: Inheritance) -> SyntaxNode? {
    guard let first = parts.all.first, parts.all.count > 1 else { return parts.all.first?.value }
    var entries: [SyntaxEntry] = []
    for (key, order) in [("default", ["allow", "deny"]), ("scope", ["services", "init"])] {
      if let word = mergedWord("`\(key)` of system calls", parts[key], order: order) { entries.append(word) }
    }
    for key in ["on-deny", "on-unknown"] {
      if let word = mergedRefusal(key, parts[key]) { entries.append(word) }
    }
    for key in ["deny", "allow"] {
      guard let list = parts[key].all.first else { continue }
      let inherited = parts.inherited.flatMap { side in
        key == "deny" ? Self.left(of: side) : side.value.entry(key)?.value.sequence ?? []
      }
      entries.append(list.with(.sequence(ownAndInherited(parts[key].own?.value.sequence ?? [], inherited))))
    }
    // Taken off the whole list when that is read, a base's and its own.
    if let undeny = parts["undeny"].own { entries.append(undeny) }
    reportOpenedByAnother(parts.inherited, own: parts.own)
    return SyntaxNode(.mapping(entries), span: first.value.span, isFlow: first.value.isFlow)
  }

  /// The file's own items as written, faults too, and behind them what others list, sorted.
  private func ownAndInherited(_ own: [SyntaxNode], _ inherited: [SyntaxNode]) -> [SyntaxNode] {
    var seen = Set(own.compactMap { $0.scalar.map(Self.canonical) })
    var further: [(text: String, node: SyntaxNode)] = []
    for node in inherited {
      guard let text = node.scalar.map(Self.canonical), seen.insert(text).inserted else { continue }
      further.append((text, node))
    }
    return own + further.sorted { $0.text < $1.text }.map(\.node)
  }

  private static func canonical(_ scalar: SyntaxScalar) -> String {
    (try? SystemCallText(scalar.text))?.text ?? scalar.text
  }

  /// What a file denies once it has taken off what it takes off.
  private static func left(of side: SyntaxEntry) -> [SyntaxNode] {
    func names(_ text: String) -> [String] { SystemCallGroups.calls(of: text) ?? [text] }
    let taken = Set(
      (side.value.entry("undeny")?.value.sequence ?? []).compactMap(\.scalar).flatMap { names($0.text) })
    var nodes: [SyntaxNode] = []
    for node in side.value.entry("deny")?.value.sequence ?? [] {
      guard let scalar = node.scalar, let syntax = try? SystemCallText(scalar.text) else { continue }
      let members = names(syntax.name)
      guard members.contains(where: taken.contains) else {
        nodes.append(node)
        continue
      }
      for member in members where !taken.contains(member) {
        var rest = scalar
        rest.text = member
        rest.runs = []
        nodes.append(SyntaxNode(.scalar(rest), span: node.span, isFlow: node.isFlow))
      }
    }
    return nodes
  }

  /// `log` refuses nothing; of the others none is stronger than another.
  private mutating func mergedRefusal(_ key: String, _ parts: Inheritance) -> SyntaxEntry? {
    func text(_ entry: SyntaxEntry) -> String { entry.value.scalar?.text ?? "" }
    func strength(_ a: SyntaxEntry, _ b: SyntaxEntry) -> Int? {
      if text(a) == text(b) { return 0 }
      return text(a) == "log" ? -1 : text(b) == "log" ? 1 : nil
    }
    guard let own = parts.own else {
      return meet(
        "`\(key)` of system calls", parts.inherited, place: { (text($0), $0.value.span) }, strength: strength)
    }
    for fragment in parts.fragments where strength(own, fragment) == -1 {
      weakened(
        "`\(key)` of system calls", (text(own), own.value.span), (text(fragment), fragment.value.span))
    }
    return own
  }

  /// A list of permitted calls is a promise of its file; what another file permits besides would break it.
  private mutating func reportOpenedByAnother(_ inherited: [SyntaxEntry], own: SyntaxEntry?) {
    guard own?.value.entry("default") == nil else { return }
    func permitted(_ entry: SyntaxEntry) -> [(text: String, names: [String], span: SourceSpan)] {
      (entry.value.entry("allow")?.value.sequence ?? []).compactMap { node in
        guard let scalar = node.scalar, let syntax = try? SystemCallText(scalar.text) else { return nil }
        return (syntax.text, SystemCallGroups.calls(of: syntax.name) ?? [syntax.name], scalar.span)
      }
    }
    let stated = own.map { permitted($0) } ?? []
    for closed in inherited where closed.value.entry("default")?.value.scalar?.text == "deny" {
      guard let word = closed.value.entry("default") else { continue }
      let promised = permitted(closed)
      // Under conditions an item permits itself and nothing else that is known here.
      let texts = Set((promised + stated).map(\.text))
      let whole = Set((promised + stated).filter { !$0.text.contains(" ") }.flatMap(\.names))
      for other in inherited where other.key.span != closed.key.span {
        for item in permitted(other) where !texts.contains(item.text) {
          // A name that is none is its own fault.
          guard item.names.contains(where: { !whole.contains($0) && SystemCallTable[$0] != nil }) else {
            continue
          }
          incomparable(
            "the default for the system call `\(item.text)`", ("deny", word.key.span), ("allow", item.span))
        }
      }
    }
  }
}
