import PolicyModel

/// Hash-consed decision diagrams over the classes of each field, and over the bits of marks.
///
/// A terminal is an outcome (``OutcomeTable``) or a truth value. Equal functions are equal numbers. Nothing is ever
/// freed: a diagram lives as long as one question does.
struct Diagram: ~Copyable {
  /// A node, or a terminal if the top bit is set.
  typealias Reference = UInt32

  private struct Node: BitwiseCopyable {
    var variable: UInt32
    var low: Reference
    var high: Reference
  }

  /// The last result of an operation on some operands; what is overwritten is computed again.
  private struct Entry: BitwiseCopyable {
    var a: UInt32
    var b: UInt32
    var c: UInt32
    var result: Reference
  }

  let atoms: AtomTable
  let layout: DiagramLayout
  var outcomes = OutcomeTable()

  // Number 0 is none.
  private var nodes = FlatBuffer<Node>(capacity: 1 << 12)
  /// By node: the first variable that an outcome below it alters.
  private var altered = FlatBuffer<UInt32>(capacity: 1 << 12)
  private var alteredByOutcome: [UInt32] = []
  /// Nodes by open addressing, each with some bits of its hash above its number; 0 is free.
  private var table = FlatBuffer<UInt32>(repeating: 0, count: 1 << 13)
  /// To which the table grows at once.
  private let expectedSize: Int
  private var cache = FlatBuffer<Entry>(repeating: Entry(a: 0, b: 0, c: 0, result: 0), count: 1 << 13)
  /// Results since the cache grew.
  private var remembered = 0
  private let budget: Int
  /// Whether nodes ran out; every result since then is worthless.
  private(set) var isExhausted = false
  private var operations: UInt32 = 2

  /// Nodes, about 30 bytes each with their tables.
  static let defaultBudget = 24_000_000

  /// - Parameter ruleCount: of so many rules room is made for the nodes at once, which else doubles again and again.
  init(
    _ atoms: consuming AtomTable, order: [Int] = DiagramField.order, budget: Int = Diagram.defaultBudget,
    ruleCount: Int = 0
  ) {
    layout = DiagramLayout(atoms, order: order)
    self.atoms = atoms
    self.budget = budget
    assert(budget <= Self.numberBits, "the number of a node leaves room for the bits of its hash")
    var size = table.count
    if ruleCount >= 1 << 10 {
      // A rule for one port and one network has about a dozen nodes of its own.
      let expected = min(ruleCount, 1 << 18) * 12
      nodes = FlatBuffer(capacity: expected)
      altered = FlatBuffer(capacity: expected)
      while size < expected * 2 { size *= 2 }
    }
    expectedSize = size
    nodes.append(Node(variable: 0, low: 0, high: 0))
    altered.append(.max)
  }

  var nodeCount: Int { nodes.count }

  // MARK: Nodes

  private static let terminalBit: UInt32 = 1 << 31

  static let isFalse = terminalBit | OutcomeTable.isFalse
  static let isTrue = terminalBit | OutcomeTable.isTrue
  static let pass = terminalBit | OutcomeTable.pass
  static let impossible = terminalBit | OutcomeTable.impossible

  @inline(__always)
  static func isTerminal(_ reference: Reference) -> Bool { reference >= terminalBit }

  static func terminal(_ outcome: UInt32) -> Reference { terminalBit | outcome }

  static func outcome(_ terminal: Reference) -> UInt32 { terminal & ~terminalBit }

  mutating func terminal(_ outcome: OutcomeTable.Outcome) -> Reference {
    Self.terminal(outcomes.intern(outcome))
  }

  /// Of the root; of terminals larger than any.
  @inline(__always)
  func variable(_ reference: Reference) -> UInt32 {
    Self.isTerminal(reference) ? .max : nodes[Int(reference)].variable
  }

  func children(_ reference: Reference) -> (low: Reference, high: Reference) {
    let node = nodes[Int(reference)]
    return (node.low, node.high)
  }

  @inline(__always)
  func cofactors(_ reference: Reference, _ variable: UInt32) -> (low: Reference, high: Reference) {
    guard !Self.isTerminal(reference) else { return (reference, reference) }
    let node = nodes[Int(reference)]
    return node.variable == variable ? (node.low, node.high) : (reference, reference)
  }

  @inline(__always)
  private static func wideHash(_ a: UInt32, _ b: UInt32, _ c: UInt32) -> UInt64 {
    var hash = (UInt64(a) << 32 | UInt64(b)) &* 0x9e37_79b9_7f4a_7c15
    hash ^= UInt64(c) &* 0xc2b2_ae3d_27d4_eb4f
    hash ^= hash >> 32
    return hash &* 0xff51_afd7_ed55_8ccd
  }

  @inline(__always)
  private static func hash(_ a: UInt32, _ b: UInt32, _ c: UInt32) -> Int {
    Int(truncatingIfNeeded: wideHash(a, b, c) >> 33)
  }

  /// The number of a node in the table; the bits above are of its hash, so that most others need not be looked at.
  private static let numberBits = 1 << 25 - 1

  mutating func node(_ variable: UInt32, _ low: Reference, _ high: Reference) -> Reference {
    if low == high { return low }
    let hash = Self.wideHash(low, high, variable)
    let tag = UInt32(truncatingIfNeeded: hash) & ~UInt32(Self.numberBits)
    var slot = Int(truncatingIfNeeded: hash >> 33) & (table.count - 1)
    while true {
      let found = table[slot]
      if found == 0 { break }
      if (found ^ tag) & ~UInt32(Self.numberBits) == 0 {
        let number = found & UInt32(Self.numberBits)
        let node = nodes[Int(number)]
        if node.low == low, node.high == high, node.variable == variable { return number }
      }
      slot = (slot + 1) & (table.count - 1)
    }
    guard nodes.count < budget else {
      isExhausted = true
      return low
    }
    let reference = UInt32(nodes.count)
    nodes.append(Node(variable: variable, low: low, high: high))
    altered.append(min(firstAltered(low), firstAltered(high)))
    table[slot] = reference | tag
    if nodes.count * 2 > table.count { grow() }
    return reference
  }

  /// The first variable that an outcome below alters; larger than any, if none does.
  @inline(__always)
  private mutating func firstAltered(_ reference: Reference) -> UInt32 {
    guard Self.isTerminal(reference) else { return altered[Int(reference)] }
    let number = Int(Self.outcome(reference))
    if number >= alteredByOutcome.count { extendAltered() }
    return alteredByOutcome[number]
  }

  private mutating func extendAltered() {
    for number in alteredByOutcome.count..<outcomes.outcomes.count {
      let outcome = outcomes[UInt32(number)]
      switch outcome.kind {
      case .accept, .pass, .returned:
        alteredByOutcome.append(layout.firstAltered(by: outcomes.alterations[Int(outcome.detail)]))
      case .branch:
        alteredByOutcome.append(
          min(alteredByOutcome[Int(outcome.first)], alteredByOutcome[Int(outcome.second)]))
      case .drop, .reject, .effect, .impossible, .miss: alteredByOutcome.append(.max)
      }
    }
  }

  private mutating func grow() {
    var larger = FlatBuffer<UInt32>(repeating: 0, count: max(table.count * 2, expectedSize))
    for index in 1..<nodes.count {
      let node = nodes[index]
      let hash = Self.wideHash(node.low, node.high, node.variable)
      var slot = Int(truncatingIfNeeded: hash >> 33) & (larger.count - 1)
      while larger[slot] != 0 { slot = (slot + 1) & (larger.count - 1) }
      larger[slot] = UInt32(index) | UInt32(truncatingIfNeeded: hash) & ~UInt32(Self.numberBits)
    }
    table = larger
  }

  /// What is remembered grows with what there is to remember: a diagram that was made in one go has asked for nothing.
  private mutating func growCache() {
    remembered = 0
    guard cache.count < 1 << 21 else { return }
    var entries = FlatBuffer<Entry>(repeating: Entry(a: 0, b: 0, c: 0, result: 0), count: cache.count * 2)
    for index in 0..<cache.count where cache[index].a != 0 {
      let entry = cache[index]
      entries[Self.hash(entry.a, entry.b, entry.c) & (entries.count - 1)] = entry
    }
    cache = entries
  }

  /// Operations by number in the third place of the cache, where nodes stay below 1 << 31 and terminals below
  /// 0xc000_0000.
  enum Operation {
    static let branch: UInt32 = 0xc000_0000
    static let alter: UInt32 = 0xd000_0000
    static let named: UInt32 = 0xe000_0000

    static func compose(_ onward: Onward) -> UInt32 { onward == .pass ? named | 1 : named | 2 }
  }

  /// A number for an operation that was never used before.
  mutating func newOperation() -> UInt32 {
    operations += 1
    return Operation.named | operations
  }

  @inline(__always)
  func known(_ a: UInt32, _ b: UInt32, _ c: UInt32) -> Reference? {
    let entry = cache[Self.hash(a, b, c) & (cache.count - 1)]
    return entry.a == a && entry.b == b && entry.c == c ? entry.result : nil
  }

  @inline(__always)
  mutating func remember(_ a: UInt32, _ b: UInt32, _ c: UInt32, _ result: Reference) {
    remembered += 1
    if remembered > cache.count { growCache() }
    cache[Self.hash(a, b, c) & (cache.count - 1)] = Entry(a: a, b: b, c: c, result: result)
  }

  // MARK: Truth values

  /// `condition` is a diagram of truth values.
  mutating func choose(_ condition: Reference, _ then: Reference, _ otherwise: Reference) -> Reference {
    if condition == Self.isTrue || then == otherwise { return then }
    if condition == Self.isFalse { return otherwise }
    if then == Self.isTrue, otherwise == Self.isFalse { return condition }
    if let result = known(condition, then, otherwise) { return result }
    if isExhausted { return otherwise }
    let top = min(variable(condition), variable(then), variable(otherwise))
    let (conditions, thens, others) = (
      cofactors(condition, top), cofactors(then, top), cofactors(otherwise, top)
    )
    let low = choose(conditions.low, thens.low, others.low)
    let high = choose(conditions.high, thens.high, others.high)
    let result = node(top, low, high)
    remember(condition, then, otherwise, result)
    return result
  }

  mutating func and(_ a: Reference, _ b: Reference) -> Reference { choose(a, b, Self.isFalse) }

  mutating func or(_ a: Reference, _ b: Reference) -> Reference { choose(a, Self.isTrue, b) }

  mutating func not(_ a: Reference) -> Reference { choose(a, Self.isFalse, Self.isTrue) }

  mutating func subtract(_ a: Reference, _ b: Reference) -> Reference { choose(b, Self.isFalse, a) }

  // MARK: Sets of values

  /// `hit` where the field is in one of the classes, which are ascending, else `miss`; both ask only for what comes
  /// later.
  mutating func test(_ field: Int, _ classes: [UInt32], _ hit: Reference, _ miss: Reference) -> Reference {
    var runs: [ClassRun] = []
    ClassRun.append(classes, to: &runs)
    return test(field, runs[...], hit, miss)
  }

  mutating func test(
    _ field: Int, _ runs: ArraySlice<ClassRun>, _ hit: Reference, _ miss: Reference
  ) -> Reference {
    test(
      layout.first[field], layout.bits[field], base: 0, count: layout.classCount[field], runs, hit, miss)
  }

  /// - Parameter runs: those that have classes from `base` on, below the end of the subtree.
  private mutating func test(
    _ variable: UInt32, _ bits: Int, base: Int, count: Int, _ runs: ArraySlice<ClassRun>,
    _ hit: Reference, _ miss: Reference
  ) -> Reference {
    guard let first = runs.first else { return miss }
    let end = min(base + 1 << bits, count)
    if Int(first.first) <= base, Int(first.last) >= end - 1 { return hit }
    // Numbers past the last class stand for it, so that equal sets are equal diagrams.
    let middle = base + (1 << (bits - 1))
    if middle >= count {
      // The upper half is all padding: what the last class is.
      let low = test(variable + 1, bits - 1, base: base, count: count, runs, hit, miss)
      let isLast = Int(runs[runs.endIndex - 1].last) >= count - 1
      return node(variable, low, isLast ? hit : miss)
    }
    var (low, high) = (runs.startIndex, runs.endIndex)
    while low < high {
      let index = (low + high) / 2
      if Int(runs[index].first) < middle { low = index + 1 } else { high = index }
    }
    // A run may reach over the middle.
    let reachesOver = low > runs.startIndex && Int(runs[low - 1].last) >= middle
    let left = test(variable + 1, bits - 1, base: base, count: count, runs[..<low], hit, miss)
    let right = test(
      variable + 1, bits - 1, base: middle, count: count, runs[(reachesOver ? low - 1 : low)...], hit, miss)
    return node(variable, left, right)
  }

  /// What a field leads to, class by class: `results[n]` from `starts[n]` on, which are ascending from 0. All ask only for
  /// what comes later.
  mutating func parted(_ field: Int, _ starts: [UInt32], _ results: [Reference]) -> Reference {
    parted(layout.first[field], layout.bits[field], base: 0, starts, results, 0..<starts.count)
  }

  /// - Parameter parts: those that have classes of the subtree.
  private mutating func parted(
    _ variable: UInt32, _ bits: Int, base: Int, _ starts: [UInt32], _ results: [Reference],
    _ parts: Range<Int>
  ) -> Reference {
    // Numbers past the last class stand for it.
    if parts.count == 1 { return results[parts.lowerBound] }
    let middle = base + 1 << (bits - 1)
    var (low, high) = (parts.lowerBound, parts.upperBound)
    while low < high {
      let index = (low + high) / 2
      if Int(starts[index]) < middle { low = index + 1 } else { high = index }
    }
    // A part may reach over the middle.
    let upper = low < parts.upperBound && Int(starts[low]) == middle ? low : low - 1
    let left = parted(variable + 1, bits - 1, base: base, starts, results, parts.lowerBound..<low)
    let right = parted(variable + 1, bits - 1, base: middle, starts, results, upper..<parts.upperBound)
    return node(variable, left, right)
  }

  /// Whether a bit of a mark is set.
  mutating func bit(_ variable: UInt32) -> Reference { node(variable, Self.isFalse, Self.isTrue) }

  // MARK: Generic operations

  /// A diagram with its terminals replaced.
  mutating func map(_ a: Reference, _ operation: UInt32, _ leaf: (inout OutcomeTable, UInt32) -> UInt32)
    -> Reference
  {
    if Self.isTerminal(a) { return Self.terminal(leaf(&outcomes, Self.outcome(a))) }
    if let result = known(a, 0, operation) { return result }
    let node = nodes[Int(a)]
    let low = map(node.low, operation, leaf)
    let high = map(node.high, operation, leaf)
    let result = self.node(node.variable, low, high)
    remember(a, 0, operation, result)
    return result
  }

  /// Two diagrams as one, by a function of their terminals.
  ///
  /// - Parameter equal: what two equal diagrams make, where that is known without their terminals.
  mutating func combine(
    _ a: Reference, _ b: Reference, _ operation: UInt32, equal: Reference? = nil,
    _ leaf: (inout OutcomeTable, UInt32, UInt32) -> UInt32
  ) -> Reference {
    if a == b, let equal { return equal }
    if Self.isTerminal(a), Self.isTerminal(b) {
      return Self.terminal(leaf(&outcomes, Self.outcome(a), Self.outcome(b)))
    }
    if let result = known(a, b, operation) { return result }
    if isExhausted { return Self.isFalse }
    let top = min(variable(a), variable(b))
    let (left, right) = (cofactors(a, top), cofactors(b, top))
    let low = combine(left.low, right.low, operation, equal: equal, leaf)
    let high = combine(left.high, right.high, operation, equal: equal, leaf)
    let result = node(top, low, high)
    remember(a, b, operation, result)
    return result
  }

  /// A question to an oracle, whose answers lead to two diagrams.
  mutating func branch(_ oracle: UInt32, _ a: Reference, _ b: Reference) -> Reference {
    if a == b || b == Self.impossible { return a }
    if a == Self.impossible { return b }
    if Self.isTerminal(a), Self.isTerminal(b) {
      return Self.terminal(outcomes.branch(oracle, Self.outcome(a), Self.outcome(b)))
    }
    let operation = Operation.branch | oracle
    if let result = known(a, b, operation) { return result }
    if isExhausted { return b }
    let top = min(variable(a), variable(b))
    let (left, right) = (cofactors(a, top), cofactors(b, top))
    let low = branch(oracle, left.low, right.low)
    let high = branch(oracle, left.high, right.high)
    let result = node(top, low, high)
    remember(a, b, operation, result)
    return result
  }

  // MARK: One behind the other

  /// What goes on behind the first diagram.
  enum Onward {
    /// What no rule has decided, to the next rule.
    case pass
    /// What a base chain accepts, to the next base chain.
    case accept
  }

  /// What the first leaves open, the second decides. Associative.
  mutating func compose(_ a: Reference, _ b: Reference, _ onward: Onward) -> Reference {
    if Self.isTerminal(a) { return continued(a, b, onward) }
    if onward == .pass, b == Self.pass { return a }
    if let result = known(a, b, Operation.compose(onward)) { return result }
    if isExhausted { return a }
    let top = min(variable(a), variable(b))
    let result: Reference
    if top < firstAltered(a) {
      let (left, right) = (cofactors(a, top), cofactors(b, top))
      let low = compose(left.low, right.low, onward)
      let high = compose(left.high, right.high, onward)
      result = node(top, low, high)
    } else {
      // What the second asks for is no longer what came: it is asked behind each outcome of the first.
      let node = nodes[Int(a)]
      let low = compose(node.low, b, onward)
      let high = compose(node.high, b, onward)
      result = ordered(node.variable, low, high)
    }
    remember(a, b, Operation.compose(onward), result)
    return result
  }

  private mutating func continued(_ terminal: Reference, _ b: Reference, _ onward: Onward) -> Reference {
    let outcome = outcomes[Self.outcome(terminal)]
    switch (outcome.kind, onward) {
    case (.branch, _):
      if let result = known(terminal, b, Operation.compose(onward)) { return result }
      let first = continued(Self.terminal(outcome.first), b, onward)
      let second = continued(Self.terminal(outcome.second), b, onward)
      let result = branch(outcome.detail, first, second)
      remember(terminal, b, Operation.compose(onward), result)
      return result
    case (.pass, .pass), (.accept, .accept): return behind(outcome.detail, b)
    default: return terminal
    }
  }

  // MARK: Reading

  /// The terminal of one packet.
  func terminal(_ a: Reference, _ value: (UInt32) -> Bool) -> Reference {
    var reference = a
    while !Self.isTerminal(reference) {
      let node = nodes[Int(reference)]
      reference = value(node.variable) ? node.high : node.low
    }
    return reference
  }

  /// Whether a packet of a region leads to a terminal for which `holds` does.
  func leads(_ a: Reference, from region: Reference, to holds: (UInt32) -> Bool) -> Bool {
    var seen = PairTable()
    var count: UInt32 = 0
    var waiting = [(region, a)]
    while let (region, reference) = waiting.popLast() {
      if region == Self.isFalse { continue }
      guard seen.number(of: region, reference, next: count) == count else { continue }
      count += 1
      if Self.isTerminal(region), Self.isTerminal(reference) {
        if holds(Self.outcome(reference)) { return true }
        continue
      }
      let top = min(variable(region), variable(reference))
      let (packets, outcomes) = (cofactors(region, top), cofactors(reference, top))
      waiting.append((packets.low, outcomes.low))
      waiting.append((packets.high, outcomes.high))
    }
    return false
  }

  /// All terminals that some packet leads to, in the order of the diagram.
  func terminals(_ a: Reference) -> [Reference] {
    var seen = FlatBuffer<Bool>(repeating: false, count: nodes.count)
    var seenTerminals: Set<Reference> = []
    var result: [Reference] = []
    var waiting = [a]
    while let reference = waiting.popLast() {
      if Self.isTerminal(reference) {
        if seenTerminals.insert(reference).inserted { result.append(reference) }
      } else if !seen[Int(reference)] {
        seen[Int(reference)] = true
        let node = nodes[Int(reference)]
        waiting.append(node.high)
        waiting.append(node.low)
      }
    }
    return result
  }
}
