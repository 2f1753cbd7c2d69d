import PolicyModel

/// Which rules of a list packets meet, and what would decide those packets in a rule's place.
///
/// Packets that nothing asked tells apart are one cell: of each cell it is known which rules they meet, one behind the
/// other, until one decides. What stands behind that one is a list again, and lists that are equal are one node. So it
/// costs as much as a diagram of the rules, and makes none of its nodes.
struct RuleDuties {
  /// What becomes of a packet, as a bit of a set.
  typealias Ends = UInt32

  /// Something that no rule with a plain verdict stands in for.
  static let other: Ends = 1 << 31

  /// A rule of the list.
  struct Duty {
    /// What becomes of the packets that meet it; nil: they go on with the next rule as if it were not there.
    var ends: Ends?
    /// What it does itself with all of them, or with those that its limit lets by; nil: it is not needless, whatever
    /// stands behind it.
    var own: Ends?
    /// Whether no packet that meets it goes on.
    var isFinal: Bool
  }

  private struct Node: BitwiseCopyable {
    /// A place in the list of duties, where all packets meet the rule first; else they are parted.
    var rule: UInt32
    /// Where the nodes they are parted into stand; of a rule, the node of what stands behind it.
    var start: UInt32
    var end: UInt32
    /// What is sure to become of some of the packets, whichever rules are found needless.
    var sure: Ends
  }

  private static let parted = UInt32.max
  /// In place of what stands behind a rule that stays.
  private static let none = UInt32.max

  private let duties: [Duty]
  private var nodes: [Node] = []
  private var children: [UInt32] = []
  /// Rules of which it was seen on the way that packets meet them, and those that moreover stay.
  private var isSurelyMet: [Bool]
  private var stays: [Bool]
  /// Lists looked at, by their lengths.
  private var work = 0
  private var depth = 0
  /// By rule, whether packets meet it.
  private(set) var isMet: [Bool]
  /// Rules that decide, each with a node of what stands behind it; ascending.
  private var places: [(rule: UInt32, behind: UInt32)] = []
  /// By node, what becomes of its packets; 0: it was not asked yet.
  private var ends: [Ends] = []

  /// Lists in each other; each is a frame on the stack.
  private static let mostDepth = 2_000
  /// Of the work for each rule.
  private static let mostWork = 400

  /// Nil: the rules overlap so much that diagrams are smaller.
  ///
  /// - Parameters:
  ///   - list: all of whose rules have a duty.
  ///   - end: what becomes of packets that no rule decides.
  init?(
    _ list: consuming RuleListBuilder, _ duties: [Duty], endedBy end: Ends, _ diagram: borrowing Diagram
  ) {
    self.duties = duties
    isSurelyMet = [Bool](repeating: false, count: duties.count)
    stays = isSurelyMet
    isMet = isSurelyMet
    // The end is node 0.
    nodes.append(Node(rule: Self.parted, start: 0, end: 0, sure: end))
    for index in 0..<list.entries.count { list.entries[index].isLast = false }
    let all = list.allItems()
    guard let root = node(of: all, in: &list, diagram, isMet: true) else { return nil }
    findMet(from: root)
    ends = [Ends](repeating: 0, count: nodes.count)
    ends[0] = end
  }

  // MARK: Nodes

  /// - Parameter isMet: whether packets come to the list, and not only if a rule before it were not there.
  private mutating func node(
    of list: Range<Int>, in rules: inout RuleListBuilder, _ diagram: borrowing Diagram, isMet: Bool
  ) -> UInt32? {
    guard let front = list.first else { return 0 }
    work += list.count
    depth += 1
    defer { depth -= 1 }
    guard depth <= Self.mostDepth, work <= Self.mostWork * (duties.count + 1_000) else { return nil }
    let (variable, hash) = rules.look(at: list, 0)
    if variable == .max { return row(list, rules, isMet: isMet) }
    if let known = rules.lookUp(list, hash, 0) { return known }
    let first = rules.items[front]
    let entry = rules.entries[Int(first.entry)]
    let result: UInt32
    if first.next == entry.end {
      guard let known = leaf(entry.rule, before: list, in: &rules, diagram, isMet: isMet) else { return nil }
      result = known
    } else if let known = alone(list, in: &rules, diagram, isMet: isMet) {
      guard let known else { return nil }
      result = known
    } else {
      guard let parts = rules.parts(of: list, by: variable, diagram) else { return nil }
      var below: [UInt32] = []
      below.reserveCapacity(parts.lists.count)
      var last: (list: Range<Int>, node: UInt32)?
      for part in parts.lists {
        if let last, last.list == part { continue }
        guard let node = node(of: part, in: &rules, diagram, isMet: isMet) else { return nil }
        last = (part, node)
        below.append(node)
      }
      result = fork(below)
    }
    rules.remember(
      RuleListBuilder.Known(hash: hash, start: front, count: list.count, otherwise: 0, result: result))
    return result
  }

  /// Where only the first rule asks for more; nil: others do. The inner nil: it is too much.
  private mutating func alone(
    _ list: Range<Int>, in rules: inout RuleListBuilder, _ diagram: borrowing Diagram, isMet: Bool
  ) -> UInt32?? {
    let rest = list.lowerBound + 1..<list.upperBound
    for index in rest where rules.items[index].next < rules.entries[Int(rules.items[index].entry)].end {
      return nil
    }
    let rule = rules.entries[Int(rules.items[list.lowerBound].entry)].rule
    guard let hit = leaf(rule, before: list, in: &rules, diagram, isMet: isMet) else { return .some(nil) }
    return fork([hit, row(rest, rules, isMet: isMet)])
  }

  private mutating func fork(_ below: [UInt32]) -> UInt32 {
    let start = UInt32(children.count)
    children += below
    let sure = below.reduce(0) { $0 | nodes[Int($1)].sure }
    return add(Node(rule: Self.parted, start: start, end: UInt32(children.count), sure: sure))
  }

  private mutating func add(_ node: Node) -> UInt32 {
    nodes.append(node)
    return UInt32(nodes.count - 1)
  }

  /// Rules all of which are met.
  private mutating func row(_ list: Range<Int>, _ rules: borrowing RuleListBuilder, isMet: Bool) -> UInt32 {
    if isMet {
      for index in list {
        let rule = Int(rules.entries[Int(rules.items[index].entry)].rule)
        isSurelyMet[rule] = true
        if duties[rule].isFinal { break }
      }
    }
    var behind: UInt32 = 0
    for index in list.reversed() {
      let rule = rules.entries[Int(rules.items[index].entry)].rule
      // A rule that is met in two ways acts once.
      if index > list.lowerBound, rules.entries[Int(rules.items[index - 1].entry)].rule == rule { continue }
      behind = leaf(rule, behind: behind)
    }
    return behind
  }

  /// The first rule of a list is met.
  private mutating func leaf(
    _ rule: UInt32, before list: Range<Int>, in rules: inout RuleListBuilder, _ diagram: borrowing Diagram,
    isMet: Bool
  ) -> UInt32? {
    if isMet { isSurelyMet[Int(rule)] = true }
    if stays[Int(rule)] { return leaf(rule, behind: Self.none) }
    var next = list.lowerBound + 1
    while next < list.upperBound, rules.entries[Int(rules.items[next].entry)].rule == rule { next += 1 }
    let duty = duties[Int(rule)]
    if duty.isFinal, isMet, duty.own == nil { return keep(rule, &rules) }
    guard
      let behind = node(
        of: next..<list.upperBound, in: &rules, diagram, isMet: isMet && !duty.isFinal)
    else { return nil }
    if duty.isFinal, isMet, let own = duty.own, nodes[Int(behind)].sure & ~own != 0 {
      return keep(rule, &rules)
    }
    return leaf(rule, behind: behind)
  }

  /// The rule stays: what stands behind it need not be known where it is met.
  private mutating func keep(_ rule: UInt32, _ rules: inout RuleListBuilder) -> UInt32 {
    stays[Int(rule)] = true
    // Ways to meet a rule stand one behind the other.
    var (low, high) = (0, rules.entries.count)
    while low < high {
      let middle = (low + high) / 2
      if rules.entries[middle].rule < rule { low = middle + 1 } else { high = middle }
    }
    while low < rules.entries.count, rules.entries[low].rule == rule {
      rules.entries[low].isLast = true
      low += 1
    }
    return leaf(rule, behind: Self.none)
  }

  private mutating func leaf(_ rule: UInt32, behind: UInt32) -> UInt32 {
    let duty = duties[Int(rule)]
    let isSure = stays[Int(rule)] || isSurelyMet[Int(rule)] && duty.own == nil
    let sure = duty.ends.map { isSure ? $0 : 0 } ?? nodes[Int(behind)].sure
    return add(Node(rule: rule, start: behind, end: 0, sure: sure))
  }

  // MARK: Rules

  private mutating func findMet(from root: UInt32) {
    var isReached = [Bool](repeating: false, count: nodes.count)
    isReached[Int(root)] = true
    // What a node leads to was made before it.
    for index in nodes.indices.reversed() where isReached[index] {
      let node = nodes[index]
      if node.rule == Self.parted {
        for child in children[Int(node.start)..<Int(node.end)] { isReached[Int(child)] = true }
        continue
      }
      isMet[Int(node.rule)] = true
      let duty = duties[Int(node.rule)]
      if duty.own != nil, !stays[Int(node.rule)] { places.append((node.rule, node.start)) }
      if !duty.isFinal { isReached[Int(node.start)] = true }
    }
    places.sort { $0.rule < $1.rule }
  }

  /// Whether what stands behind a rule does with all packets that meet it what it does. To be asked from the last rule to
  /// the first.
  ///
  /// - Parameter isGone: of the rules behind it, those that may be there or not.
  mutating func isReplaced(_ rule: Int, _ isGone: [Bool]) -> Bool {
    guard let own = duties[rule].own, !stays[rule] else { return false }
    var (low, high) = (0, places.count)
    while low < high {
      let middle = (low + high) / 2
      if Int(places[middle].rule) < rule { low = middle + 1 } else { high = middle }
    }
    while low < places.count, Int(places[low].rule) == rule {
      guard ends(of: places[low].behind, isGone) & ~own == 0 else { return false }
      low += 1
    }
    return true
  }

  /// What becomes of the packets of a node.
  private mutating func ends(of node: UInt32, _ isGone: [Bool]) -> Ends {
    var waiting = [node]
    while let index = waiting.last {
      if ends[Int(index)] != 0 {
        waiting.removeLast()
        continue
      }
      let node = nodes[Int(index)]
      let own = node.rule == Self.parted ? nil : duties[Int(node.rule)].ends
      if let own, !isGone[Int(node.rule)] {
        ends[Int(index)] = own
        continue
      }
      let below =
        node.rule == Self.parted
        ? children[Int(node.start)..<Int(node.end)] : [node.start]
      var (all, isKnown): (Ends, Bool) = (own ?? 0, true)
      for child in below {
        // INVARIANT: a rule behind which nothing is known is not gone.
        guard child != Self.none else { continue }
        all |= ends[Int(child)]
        if ends[Int(child)] == 0 {
          isKnown = false
          waiting.append(child)
        }
      }
      if isKnown { ends[Int(index)] = all == 0 ? Self.other : all }
    }
    return ends[Int(node)]
  }
}

extension Meaning {
  /// Of a base chain of a plain policy whose rules ask for sets of values only and lead to no other chain; nil: of
  /// others, and where it is too much.
  func duties(_ policy: Int, _ chain: Int) -> RuleDuties? {
    let key = ChainPlace(policy: policy, chain: chain)
    if let known = knownDuties[key] { return known }
    let duties = makeDuties(policy, chain)
    knownDuties[key] = .some(duties)
    return duties
  }

  private func makeDuties(_ policy: Int, _ chain: Int) -> RuleDuties? {
    let hook = firewalls[policy].baseChains[chain].hook
    let chain = (rules: firewalls[policy].baseChains[chain].rules, end: end(policy, chain))
    // Packets that there are not would be met.
    guard isPlain(policy), hook.map({ existing(at: $0) == Diagram.isTrue }) ?? true,
      chain.rules.allSatisfy({ Self.isAlone($0.rule.verdict) }),
      let end = Self.ends(of: diagram.outcomes[Diagram.outcome(chain.end)])
    else { return nil }
    var list = RuleListBuilder()
    var duties: [RuleDuties.Duty] = []
    duties.reserveCapacity(chain.rules.count)
    for rule in chain.rules {
      let hit = hit(policy, rule)
      guard Diagram.isTerminal(hit), list.append(rule.condition, hit, diagram) else { return nil }
      let number = Diagram.outcome(hit)
      var duty = RuleDuties.Duty(isFinal: !Self.passes(diagram.outcomes, number))
      if Lint.isSilent(rule.rule) { duty.own = Self.end(of: rule.rule.verdict).flatMap(Self.ends) }
      if diagram.outcomes[number].kind != .pass {
        duty.ends = duty.isFinal && duty.own != nil ? duty.own : RuleDuties.other
      }
      duties.append(duty)
    }
    return RuleDuties(list, duties, endedBy: end, diagram)
  }

  /// Whether a verdict leads nowhere.
  private static func isAlone(_ verdict: Verdict) -> Bool {
    switch verdict {
    case .accept, .drop, .reject, .continue, .return: true
    case .jump, .goto, .dispatch, .translate, .notrack: false
    }
  }

  /// Of a plain verdict; nil: it is none.
  private static func ends(of outcome: OutcomeTable.Outcome) -> RuleDuties.Ends? {
    switch outcome.kind {
    case .accept: 1
    case .drop: 2
    case .reject: 4 << outcome.detail
    default: nil
    }
  }
}
