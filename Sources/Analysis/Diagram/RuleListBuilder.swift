import PolicyModel

/// Rules one behind the other that ask for sets of values only and whose decisions are terminals, as one diagram.
///
/// It is made in one go: field by field, the classes are parted by the rules that they leave, and where no rule asks for
/// more there is a terminal. Nothing is combined that is thrown away again. Where rules overlap so much that the parts
/// would be many more than the rules, the two halves are made and combined instead.
struct RuleListBuilder: ~Copyable {
  struct Literal: BitwiseCopyable {
    /// The first variable of its field, by which fields are in order.
    var variable: UInt32
    var field: UInt32
    /// In the list of runs.
    var start: UInt32
    var end: UInt32
  }

  /// A conjunction of a rule's guard; a rule that has several ways to be met has several, one behind the other.
  struct Entry: BitwiseCopyable {
    var outcome: Diagram.Reference
    var rule: UInt32
    /// In the list of literals, which are in the order of their fields.
    var start: UInt32
    var end: UInt32
    /// Whether no packet that meets it goes on.
    var isFinal: Bool
    /// Whether nothing is asked of the rules behind it where it is met.
    var isLast: Bool
  }

  /// An entry, of whose literals those from `next` on are still to be asked.
  struct Item: BitwiseCopyable {
    var entry: UInt32
    var next: UInt32
  }

  /// Items of a list that was made before, and its diagram.
  struct Known: BitwiseCopyable {
    var hash: UInt64
    var start: Int
    var count: Int
    var otherwise: Diagram.Reference
    var result: Diagram.Reference
  }

  private struct Term {
    var field: Int
    var set: UInt32
    var isNegated: Bool
  }

  var entries = FlatBuffer<Entry>()
  private(set) var literals = FlatBuffer<Literal>()
  private var runs: [ClassRun] = []
  private var terms: [Term] = []
  private(set) var ruleCount: UInt32 = 0
  /// All lists, one behind the other.
  private(set) var items = FlatBuffer<Item>()
  // Of power of two; a slot without items is free.
  private var known = FlatBuffer<Known>(
    repeating: Known(hash: 0, start: 0, count: 0, otherwise: 0, result: 0), count: 64)
  private var knownCount = 0
  /// Whether only the outcomes are asked for, and no node is made.
  private var isListing = false
  /// Whether they could be had so.
  private var isListed = true
  /// By outcome, whether some packet comes to it.
  private var reached: [Bool] = []

  init() {}

  var isEmpty: Bool { ruleCount == 0 }

  /// Ways to meet one rule.
  private static let alternativesLimit = 16
  /// Parts of a list for each of its rules, from which on its halves are combined instead.
  private static let partsLimit = 16

  // MARK: Rules

  /// Adds a rule behind all others; false if its guard asks for more than sets of values.
  ///
  /// - Parameter outcome: a terminal behind which no packet goes on changed.
  mutating func append(_ guardForm: GuardForm, _ outcome: Diagram.Reference, _ diagram: borrowing Diagram)
    -> Bool
  {
    let isFinal = !Meaning.passes(diagram.outcomes, Diagram.outcome(outcome))
    terms.removeAll(keepingCapacity: true)
    if Self.collect(guardForm, isNegated: false, &terms) {
      add(terms, outcome, isFinal, diagram)
    } else {
      guard let alternatives = Self.alternatives(guardForm, isNegated: false) else { return false }
      for alternative in alternatives { add(alternative, outcome, isFinal, diagram) }
    }
    ruleCount += 1
    return true
  }

  /// The literals of a conjunction; false if it is none.
  private static func collect(_ form: GuardForm, isNegated: Bool, _ terms: inout [Term]) -> Bool {
    switch form {
    case .member(let field, let set):
      terms.append(Term(field: field, set: set, isNegated: isNegated))
      return true
    case .not(let form): return collect(form, isNegated: !isNegated, &terms)
    case .all(let forms) where !isNegated, .any(let forms) where isNegated:
      return forms.allSatisfy { collect($0, isNegated: isNegated, &terms) }
    case .all(let forms), .any(let forms):
      return forms.count == 1 && collect(forms[0], isNegated: isNegated, &terms)
    case .mark, .controlGroup: return false
    }
  }

  /// Conjunctions one of which holds where the form does; nil: they would be too many, or ask for bits of marks.
  private static func alternatives(_ form: GuardForm, isNegated: Bool) -> [[Term]]? {
    switch form {
    case .member(let field, let set): return [[Term(field: field, set: set, isNegated: isNegated)]]
    case .not(let form): return alternatives(form, isNegated: !isNegated)
    case .all(let forms) where !isNegated, .any(let forms) where isNegated:
      var result: [[Term]] = [[]]
      for form in forms {
        guard let next = alternatives(form, isNegated: isNegated),
          result.count * next.count <= alternativesLimit
        else { return nil }
        result = result.flatMap { terms in next.map { terms + $0 } }
      }
      return result
    case .all(let forms), .any(let forms):
      var result: [[Term]] = []
      for form in forms {
        guard let next = alternatives(form, isNegated: isNegated),
          result.count + next.count <= alternativesLimit
        else { return nil }
        result += next
      }
      return result
    case .mark, .controlGroup: return nil
    }
  }

  private mutating func add(
    _ terms: [Term], _ outcome: Diagram.Reference, _ isFinal: Bool, _ diagram: borrowing Diagram
  ) {
    let start = literals.count
    var terms = terms
    if terms.count > 1 { terms.sort { diagram.layout.first[$0.field] < diagram.layout.first[$1.field] } }
    for term in terms {
      let count = diagram.layout.classCount[term.field]
      var asked = diagram.atoms.runs(of: term.set, term.field)
      if term.isNegated { asked = ClassRun.complement(asked, count)[...] }
      if count == 1, !asked.isEmpty { continue }
      if literals.count > start, Int(literals[literals.count - 1].field) == term.field {
        let last = literals[literals.count - 1]
        asked = ClassRun.intersection(runs[Int(last.start)..<Int(last.end)], asked)[...]
        literals.removeLast()
      }
      guard let first = asked.first else {
        // Nothing meets it.
        while literals.count > start { literals.removeLast() }
        return
      }
      if first.first == 0, first.last == UInt32(count - 1) { continue }
      let place = runs.count
      runs += asked
      literals.append(
        Literal(
          variable: diagram.layout.first[term.field], field: UInt32(term.field), start: UInt32(place),
          end: UInt32(runs.count)))
    }
    entries.append(
      Entry(
        outcome: outcome, rule: ruleCount, start: UInt32(start), end: UInt32(literals.count),
        isFinal: isFinal,
        isLast: isFinal))
  }

  // MARK: The diagram

  /// What the rules decide; `otherwise`, a terminal, where they do not. The list is empty afterwards.
  mutating func build(_ diagram: inout Diagram, otherwise: Diagram.Reference) -> Diagram.Reference {
    let result = build(allItems(), &diagram, otherwise)
    self = RuleListBuilder()
    return result
  }

  /// The outcomes that some packet comes to, ascending: those of the diagram, of which no node is made. Nil: the rules
  /// overlap so much that a diagram must be made. The list is empty afterwards.
  mutating func outcomes(_ diagram: inout Diagram, otherwise: Diagram.Reference) -> [UInt32]? {
    isListing = true
    _ = build(allItems(), &diagram, otherwise)
    let (found, isListed) = (reached, isListed)
    self = RuleListBuilder()
    guard isListed else { return nil }
    return found.indices.filter { found[$0] }.map { UInt32($0) }
  }

  mutating func allItems() -> Range<Int> {
    let start = items.count
    for index in 0..<entries.count {
      let entry = entries[index]
      items.append(Item(entry: UInt32(index), next: entry.start))
      if entry.isLast, entry.start == entry.end { break }
    }
    return start..<items.count
  }

  /// Some packet comes to this terminal.
  @inline(__always)
  private mutating func reach(_ terminal: Diagram.Reference) {
    let number = Int(Diagram.outcome(terminal))
    while reached.count <= number { reached.append(false) }
    reached[number] = true
  }

  private mutating func build(
    _ list: Range<Int>, _ diagram: inout Diagram, _ otherwise: Diagram.Reference
  ) -> Diagram.Reference {
    guard !list.isEmpty, isListed, !diagram.isExhausted else {
      if isListing { reach(otherwise) }
      return otherwise
    }
    if list.count == 1 { return single(items[list.lowerBound], &diagram, otherwise) }
    let (variable, hash) = look(at: list, otherwise)
    if variable == .max {
      let result = decided(list, &diagram, otherwise)
      if isListing { reach(result) }
      return result
    }
    if let result = first(list, &diagram, otherwise) { return result }
    if let result = lookUp(list, hash, otherwise) { return result }
    let result =
      parted(list, by: variable, &diagram, otherwise) ?? combined(list, &diagram, otherwise)
    remember(
      Known(hash: hash, start: list.lowerBound, count: list.count, otherwise: otherwise, result: result))
    return result
  }

  /// The first variable that is asked for in a list, larger than any if none is, and a hash of the list.
  func look(at list: Range<Int>, _ otherwise: Diagram.Reference) -> (variable: UInt32, hash: UInt64) {
    var variable = UInt32.max
    var hash = UInt64(otherwise)
    for index in list {
      let item = items[index]
      hash = (hash ^ (UInt64(item.entry) << 32 | UInt64(item.next))) &* 0x9e37_79b9_7f4a_7c15
      hash ^= hash >> 29
      if item.next < entries[Int(item.entry)].end {
        variable = min(variable, literals[Int(item.next)].variable)
      }
    }
    return (variable, hash)
  }

  private mutating func single(_ item: Item, _ diagram: inout Diagram, _ otherwise: Diagram.Reference)
    -> Diagram.Reference
  {
    let entry = entries[Int(item.entry)]
    var result = entry.isFinal ? entry.outcome : diagram.compose(entry.outcome, otherwise, .pass)
    if isListing {
      // A literal that is kept leaves out some class, and is met by another.
      reach(result)
      if item.next < entry.end { reach(otherwise) }
      return result
    }
    var index = Int(entry.end)
    while index > Int(item.next) {
      index -= 1
      let literal = literals[index]
      result = diagram.test(
        Int(literal.field), runs[Int(literal.start)..<Int(literal.end)], result, otherwise)
    }
    return result
  }

  /// Where only the first rule asks for more, and no packet that meets it goes on; nil: others do.
  private mutating func first(
    _ list: Range<Int>, _ diagram: inout Diagram, _ otherwise: Diagram.Reference
  ) -> Diagram.Reference? {
    guard entries[Int(items[list.lowerBound].entry)].isFinal else { return nil }
    let rest = list.lowerBound + 1..<list.upperBound
    for index in rest where items[index].next < entries[Int(items[index].entry)].end { return nil }
    return single(items[list.lowerBound], &diagram, decided(rest, &diagram, otherwise))
  }

  /// Of rules all of which are met.
  private func decided(
    _ list: Range<Int>, _ diagram: inout Diagram, _ otherwise: Diagram.Reference
  ) -> Diagram.Reference {
    var result = otherwise
    for index in list.reversed() {
      let entry = entries[Int(items[index].entry)]
      // A rule that is met in two ways acts once.
      if index > list.lowerBound, entries[Int(items[index - 1].entry)].rule == entry.rule { continue }
      result = entry.isFinal ? entry.outcome : diagram.compose(entry.outcome, result, .pass)
    }
    return result
  }

  private mutating func combined(
    _ list: Range<Int>, _ diagram: inout Diagram, _ otherwise: Diagram.Reference
  ) -> Diagram.Reference {
    guard !isListing else {
      isListed = false
      return otherwise
    }
    let middle = list.lowerBound + list.count / 2
    let first = build(list.lowerBound..<middle, &diagram, Diagram.pass)
    let second = build(middle..<list.upperBound, &diagram, otherwise)
    return diagram.compose(first, second, .pass)
  }

  /// By the classes of one field; nil: the parts are too many.
  private mutating func parted(
    _ list: Range<Int>, by variable: UInt32, _ diagram: inout Diagram, _ otherwise: Diagram.Reference
  ) -> Diagram.Reference? {
    guard let parts = parts(of: list, by: variable, diagram) else { return nil }
    var results: [Diagram.Reference] = []
    results.reserveCapacity(parts.lists.count)
    for list in parts.lists { results.append(build(list, &diagram, otherwise)) }
    if isListing { return otherwise }
    return diagram.parted(parts.field, parts.starts, results)
  }

  /// What is left of a list for the classes of one field: `lists[n]` from the class `starts[n]` on.
  struct Parts {
    var field = 0
    var starts: [UInt32] = []
    var lists: [Range<Int>] = []
  }

  /// A list by the classes of one field; nil: the parts are too many.
  mutating func parts(of list: Range<Int>, by variable: UInt32, _ diagram: borrowing Diagram) -> Parts? {
    // No list is ever given back, so that they can be compared; that must end somewhere.
    guard items.count <= Self.partsLimit * 4 * entries.count + 1 << 16 else { return nil }
    let limit = items.count + Self.partsLimit * list.count + 256
    var others: [UInt32] = []
    // The class where a run begins or ends, the place in the list, and 1 where it begins.
    var edges: [UInt64] = []
    var result = Parts()
    for place in 0..<UInt32(list.count) {
      let item = items[list.lowerBound + Int(place)]
      guard item.next < entries[Int(item.entry)].end, literals[Int(item.next)].variable == variable else {
        others.append(place)
        continue
      }
      let literal = literals[Int(item.next)]
      result.field = Int(literal.field)
      for run in runs[Int(literal.start)..<Int(literal.end)] {
        edges.append(UInt64(run.first) << 32 | UInt64(place) << 1 | 1)
        edges.append(UInt64(run.last + 1) << 32 | UInt64(place) << 1)
      }
    }
    edges.sort()
    let count = UInt32(diagram.layout.classCount[result.field])
    var active: [UInt32] = []
    var rest: Range<Int>?
    var next = 0
    var start: UInt32 = 0
    while true {
      while next < edges.count, UInt32(edges[next] >> 32) == start {
        let place = UInt32(truncatingIfNeeded: edges[next] & 0xffff_ffff) >> 1
        let index = Self.index(of: place, in: active)
        if edges[next] & 1 == 1 { active.insert(place, at: index) } else { active.remove(at: index) }
        next += 1
      }
      result.starts.append(start)
      if active.isEmpty, let rest {
        result.lists.append(rest)
      } else {
        let part = merge(list, others, active)
        result.lists.append(part)
        if active.isEmpty { rest = part }
      }
      guard items.count <= limit else { return nil }
      guard next < edges.count else { break }
      start = UInt32(edges[next] >> 32)
      if start >= count { break }
    }
    return result
  }

  /// Where a place is in an ascending list, or would be.
  private static func index(of place: UInt32, in list: [UInt32]) -> Int {
    var (low, high) = (0, list.count)
    while low < high {
      let middle = (low + high) / 2
      if list[middle] < place { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// A new list of what is left of another: `active` have been asked once more. Nothing comes behind the first item that
  /// is met by everything and ends the way.
  private mutating func merge(_ list: Range<Int>, _ others: [UInt32], _ active: [UInt32]) -> Range<Int> {
    let start = items.count
    var (left, right) = (0, 0)
    while left < others.count || right < active.count {
      var item: Item
      if right == active.count || left < others.count && others[left] < active[right] {
        item = items[list.lowerBound + Int(others[left])]
        left += 1
      } else {
        item = items[list.lowerBound + Int(active[right])]
        item.next += 1
        right += 1
      }
      items.append(item)
      let entry = entries[Int(item.entry)]
      if entry.isLast, item.next == entry.end { break }
    }
    return start..<items.count
  }

  // MARK: Known lists

  func lookUp(
    _ list: Range<Int>, _ hash: UInt64, _ otherwise: Diagram.Reference
  ) -> Diagram.Reference? {
    var slot = Int(truncatingIfNeeded: hash >> 1) & (known.count - 1)
    while known[slot].count != 0 {
      let candidate = known[slot]
      if candidate.hash == hash, candidate.otherwise == otherwise, candidate.count == list.count,
        areEqual(list.lowerBound, candidate.start, list.count)
      {
        return candidate.result
      }
      slot = (slot + 1) & (known.count - 1)
    }
    return nil
  }

  private func areEqual(_ a: Int, _ b: Int, _ count: Int) -> Bool {
    for index in 0..<count {
      let (one, other) = (items[a + index], items[b + index])
      if one.entry != other.entry || one.next != other.next { return false }
    }
    return true
  }

  mutating func remember(_ list: Known) {
    if (knownCount + 1) * 2 > known.count {
      var larger = FlatBuffer<Known>(
        repeating: Known(hash: 0, start: 0, count: 0, otherwise: 0, result: 0), count: known.count * 2)
      for index in 0..<known.count where known[index].count != 0 {
        Self.insert(known[index], into: &larger)
      }
      known = larger
    }
    Self.insert(list, into: &known)
    knownCount += 1
  }

  private static func insert(_ list: Known, into table: inout FlatBuffer<Known>) {
    var slot = Int(truncatingIfNeeded: list.hash >> 1) & (table.count - 1)
    while table[slot].count != 0 { slot = (slot + 1) & (table.count - 1) }
    table[slot] = list
  }
}
