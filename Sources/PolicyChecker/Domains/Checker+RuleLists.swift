import Diagnostics
import PolicyModel
import PolicySyntax
import SideThread

/// Lists of rules. The second half of a long one is read and resolved beside the first, by a copy of the checker; where
/// it would have mattered what the first half found, that is done again behind it.
extension Checker {
  /// The names of a place, and how to point at their rules.
  typealias RuleNames = [String: Diagnostic.Label]

  /// What rules of one place must not have twice.
  struct TakenNames {
    var names: RuleNames = [:]
    /// How many rules without a name have each id, but for its ordinal.
    var counts: [String: Int] = [:]

    mutating func ordinal(of id: String) -> Int {
      func next(_ count: inout Int) -> Int {
        count += 1
        return count
      }
      return next(&counts[id, default: 0])
    }

    /// Whether rules behind these have nothing of what they have.
    func isDisjoint(with other: TakenNames) -> Bool {
      other.names.keys.allSatisfy { names[$0] == nil } && other.counts.keys.allSatisfy { counts[$0] == nil }
    }
  }

  /// A copy that has found nothing yet.
  private var fresh: Checker {
    var checker = self
    checker.diagnostics = DiagnosticList()
    checker.items = []
    return checker
  }

  // MARK: Reading

  /// The items that could be read.
  mutating func readItems(_ nodes: [SyntaxNode]) -> [RuleItemSyntax] {
    guard nodes.count >= longList else { return readItems(nodes[...], room: nodes.count) }
    let middle = nodes.count / 2
    let beside = SideThread { [fresh] in
      var checker = fresh
      let items = checker.readItems(nodes[middle...], room: nodes.count - middle)
      return (items: items, isClean: checker.diagnostics.isEmpty)
    }
    var items = readItems(nodes[..<middle], room: nodes.count)
    let second = beside.wait()
    items += second.isClean ? second.items : readItems(nodes[middle...], room: nodes.count - middle)
    return items
  }

  private mutating func readItems(_ nodes: ArraySlice<SyntaxNode>, room count: Int) -> [RuleItemSyntax] {
    var items: [RuleItemSyntax] = []
    items.reserveCapacity(count)
    for node in nodes {
      if let item = RuleItemSyntax.parse(node, diagnostics: &diagnostics) { items.append(item) }
      checkRuleItemScalars(node)
    }
    return items
  }

  // MARK: Resolving

  /// Rules in order, `containers` items expanded.
  mutating func rules(_ list: [RuleItemSyntax], at place: Place) -> [Rule] {
    var taken = TakenNames()
    guard list.count >= longList else { return rules(list[...], at: place, &taken, room: list.count) }
    let middle = list.count / 2
    let beside = SideThread { [fresh] in
      var checker = fresh
      var taken = TakenNames()
      let rules = checker.rules(list[middle...], at: place, &taken, room: list.count - middle)
      return (rules: rules, checker: checker, taken: taken)
    }
    var rules = rules(list[..<middle], at: place, &taken, room: list.count)
    let second = beside.wait()
    guard second.checker.diagnostics.isEmpty, definitions.mergeUses(of: second.checker.definitions),
      taken.isDisjoint(with: second.taken)
    else {
      rules += self.rules(list[middle...], at: place, &taken, room: list.count - middle)
      return rules
    }
    items += second.checker.items
    rules += second.rules
    return rules
  }

  private mutating func rules(
    _ list: ArraySlice<RuleItemSyntax>, at place: Place, _ taken: inout TakenNames, room count: Int
  ) -> [Rule] {
    var rules: [Rule] = []
    rules.reserveCapacity(count)
    if list.count >= longList / 2 {
      items.reserveCapacity(items.count + count)
      taken.counts.reserveCapacity(taken.counts.count + count)
    }
    for item in list {
      if let name = item.name { checkRuleName(name, &taken.names, at: place) }
      let syntax: RuleSyntax
      switch item.body {
      case .rule(let rule): syntax = rule
      case .verdictMap(let map):
        // The form has a name.
        let id = ItemID.named(place.name, item.name?.value ?? "")
        items.append(Item(id, item.span))
        if let rule = dispatchRule(map, item, id: id, at: place) { rules.append(rule) }
        continue
      }
      if case .containers(let kind) = syntax.verdict.value {
        rules += containers(kind, item, syntax, at: place, &taken.names)
        continue
      }
      let text = syntax.canonicalText
      let id: String
      if let name = item.name {
        id = ItemID.named(place.name, name.value)
      } else {
        let first = ItemID.unnamed(place.name, syntax, text: text)
        id = ItemID.repeated(first, ordinal: taken.ordinal(of: first))
      }
      items.append(Item(id, item.span))
      if let rule = rule(syntax, item, id: id, text: text, at: place) { rules.append(rule) }
    }
    return rules
  }

  private mutating func checkRuleName(
    _ name: Spanned<String>, _ names: inout RuleNames, at place: Place
  ) {
    if let earlier = names[name.value] {
      error(
        .duplicateRuleName, name.span, "a second rule `\(name.value)` in `\(place.name)`",
        help: ["a name says one rule of its place"], related: [earlier]
      )
    } else {
      names[name.value] = Diagnostic.Label(name.span, "the first is here")
    }
  }
}
