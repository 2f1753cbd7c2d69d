/// How what the kernel holds differs from what the bundle wants, and so what a replace has to take away.
final class TableComparison {
  /// One line each, for people; at most `maximumLines`.
  private(set) var lines: [[UInt8]] = []
  private(set) var differenceCount = 0
  /// Indices into the live table's lists: what is no longer wanted, or is there in another form.
  private(set) var staleSets: [Int] = []
  private(set) var staleObjects: [Int] = []
  /// Regular chains, and base chains whose name is wanted for another place: they go before the new ones come.
  private(set) var staleChains: [Int] = []
  private(set) var staleBaseChains: [Int] = []
  /// What of the bundle is not kept as it is: messages of objects, indices of sets.
  private(set) var newSets: [Int] = []
  private(set) var newObjects: [Int] = []
  /// Of `newSets` those that must be loaded before the rules that look them up.
  private(set) var setsAhead: [Int] = []
  /// Names of sets that are taken away with what packets and other programs have put into them.
  private(set) var lost: [[UInt8]] = []

  /// Indices of live sets that are kept if they hold what the bundle's set holds: they were not dumped.
  private(set) var largeSets: [Int] = []

  /// The table sleeps, or has another flag. The kernel takes no base chain in the batch that wakes it (EINVAL).
  private(set) var hasOtherFlags = false

  /// The host is opened for a time (`Trial`), or what that has left is there yet: no difference of the policy.
  private(set) var isOpened = false

  private let wanted: WantedTable
  private let live: LiveTable
  private let attributes: AttributeComparison

  // A report names the first of them; a replaced policy differs in everything.
  private static let maximumLines = 40

  var isEqual: Bool { differenceCount == 0 && !isOpened }

  /// - Precondition: the live table is there.
  init(wanted: WantedTable, live: LiveTable) {
    self.wanted = wanted
    self.live = live
    attributes = AttributeComparison(sent: wanted.bytes, dumped: live.bytes)
    if let table = live.table, !attributes.isEqual(wanted.attributes(WantedTable.table), table, .table) {
      note("changed: flags of table", wanted.bytes, wanted.name(WantedTable.table))
      hasOtherFlags = true
    }
    compareChains()
    compareObjects()
    compareSets()
    compareRules()
  }

  // MARK: Names

  /// -1: none.
  @inline(never)
  private func find(_ message: Int, in items: [LiveTable.Item]) -> Int {
    for index in 0..<items.count
    where wanted.bytes.isEqual(wanted.name(message), live.bytes, items[index].name) {
      return index
    }
    return -1
  }

  @inline(never)
  private func note(_ text: Literal, _ bytes: [UInt8], _ name: Range<Int>, rule: Int = 0) {
    differenceCount += 1
    guard lines.count < Self.maximumLines else { return }
    var line = Text(text)
    if rule > 0 {
      line.add(" ")
      line.add(rule)
      line.add(" of chain")
    }
    line.add(" `")
    line.addForeign(bytes, name)
    line.add(byte: 0x60)
    lines.append(line.bytes)
  }

  private func noteWanted(_ text: Literal, _ message: Int, rule: Int = 0) {
    note(text, wanted.bytes, wanted.name(message), rule: rule)
  }

  private func noteLive(_ text: Literal, _ item: LiveTable.Item) { note(text, live.bytes, item.name) }

  /// A table of ours beside the policy's is a difference for who only looks; an apply takes it away at its end.
  func noteOthers() {
    if live.others.closed { noteOther(.closed) }
    if live.others.trying { noteOther(.trying) }
  }

  @inline(never)
  private func noteOther(_ table: OwnTable) {
    let name = Array(table.name)
    note("still there: table", name, 0..<name.count)
  }

  // MARK: Chains

  // NFTA_CHAIN_HOOK, TYPE, USERDATA.
  private static let hook: UInt16 = 4
  private static let type: UInt16 = 7
  private static let userdata: UInt16 = 12

  private func compareChains() {
    var isSeen = [Bool](repeating: false, count: live.chains.count)
    for message in wanted.chains {
      let index = find(message, in: live.chains)
      guard index >= 0 else {
        noteWanted("missing: chain", message)
        continue
      }
      isSeen[index] = true
      let chain = live.chains[index]
      if attributes.isEqual(wanted.attributes(message), chain.attributes, .chain) { continue }
      noteWanted("changed: chain", message)
      // Of an existing chain the kernel takes a new policy and nothing else.
      if !hasSamePlace(message, chain) { staleChains.append(index) }
    }
    for index in 0..<live.chains.count where !isSeen[index] {
      noteLive("not in the policy: chain", live.chains[index])
      if live.bytes.attribute(Self.hook, in: live.chains[index].attributes) != nil {
        staleBaseChains.append(index)
      } else {
        staleChains.append(index)
      }
    }
  }

  private func hasSamePlace(_ message: Int, _ chain: LiveTable.Item) -> Bool {
    let sent = wanted.attributes(message)
    for number in [Self.hook, Self.type, Self.userdata] {
      let left = wanted.bytes.attribute(number, in: sent) ?? 0..<0
      let right = live.bytes.attribute(number, in: chain.attributes) ?? 0..<0
      let isSame =
        number == Self.hook
        ? attributes.isEqual(left, right, .hook) : wanted.bytes.isEqual(left, live.bytes, right)
      if !isSame { return false }
    }
    return true
  }

  // MARK: Objects

  // NFT_OBJECT_COUNTER.
  private static let counter: UInt32 = 1

  private func compareObjects() {
    var isWanted = [Bool](repeating: false, count: live.objects.count)
    for message in wanted.objects {
      let sent = wanted.attributes(message)
      let isCounter = wanted.bytes.number(3, in: sent) == Self.counter
      let index = find(message, in: live.objects)
      var isKept = false
      if index < 0 {
        noteWanted("missing: object", message)
      } else {
        isWanted[index] = true
        isKept = attributes.isEqual(sent, live.objects[index].attributes, .object(isCounter: isCounter))
        if !isKept { noteWanted("changed: object", message) }
      }
      // The identity is made anew in every batch, so that no batch of ours changes nothing.
      if wanted.bytes.holds(Wire.digestName, at: wanted.name(message)) { isKept = false }
      if isKept { continue }
      newObjects.append(message)
      if index >= 0 { staleObjects.append(index) }
    }
    for index in 0..<live.objects.count where !isWanted[index] {
      noteLive("not in the policy: object", live.objects[index])
      staleObjects.append(index)
    }
  }

  // MARK: Sets

  private func compareSets() {
    var isWanted = [Bool](repeating: false, count: live.sets.count)
    for position in 0..<wanted.sets.count {
      let set = wanted.sets[position]
      let index = find(set.message, in: live.sets)
      if index < 0 {
        noteWanted("missing: set", set.message)
        if wanted.isInterval(position) { setsAhead.append(position) }
      } else {
        isWanted[index] = true
        if isEqualSet(set, live.sets[index], isAnonymous: false) {
          if live.sets[index].large >= 0 { largeSets.append(index) }
          continue
        }
        noteWanted("changed: set", set.message)
        takeAway(index)
      }
      newSets.append(position)
    }
    for index in 0..<live.sets.count where !isWanted[index] && !live.sets[index].isAnonymous {
      if live.bytes.holds(Trial.Clock.open.name, at: live.sets[index].name) {
        isOpened = true
      } else {
        noteLive("not in the policy: set", live.sets[index])
      }
      takeAway(index)
    }
  }

  /// One of `largeSets` does not hold what it should.
  func takeAwayLarge(_ index: Int) {
    let position = live.sets[index].large
    noteWanted("changed: set", wanted.sets[position].message)
    takeAway(index)
    newSets.append(position)
  }

  @inline(never)
  private func takeAway(_ index: Int) {
    staleSets.append(index)
    guard live.sets[index].isFilled else { return }
    let name = live.sets[index].name
    // What a clock holds is nobody's.
    if live.bytes.holds(Trial.Clock.trying.name, at: name)
      || live.bytes.holds(Trial.Clock.open.name, at: name)
    {
      return
    }
    var text = Text()
    text.addForeign(live.bytes, name)
    lost.append(text.bytes)
  }

  private func isEqualSet(_ set: WantedTable.Part, _ other: LiveTable.Item, isAnonymous: Bool) -> Bool {
    guard
      attributes.isEqual(wanted.attributes(set.message), other.attributes, .set(isAnonymous: isAnonymous))
    else { return false }
    // What it holds now is no policy.
    if other.isFilled { return true }
    // The caller asks, and calls `takeAwayLarge` where it is another.
    if other.large >= 0 { return true }
    var sent = wanted.elements(of: set)
    guard sent.count == other.elements.count else { return false }
    var dumped: [Range<Int>] = []
    dumped.reserveCapacity(sent.count)
    for index in other.elements { dumped.append(live.elements[index]) }
    // Trees keep their order; hash tables do not.
    if areEqual(sent, dumped) { return true }
    ElementOrder(bytes: wanted.bytes).sort(&sent)
    ElementOrder(bytes: live.bytes).sort(&dumped)
    return areEqual(sent, dumped)
  }

  private func areEqual(_ sent: [Range<Int>], _ dumped: [Range<Int>]) -> Bool {
    for index in 0..<sent.count where !attributes.isEqual(sent[index], dumped[index], .element) {
      return false
    }
    return true
  }

  // MARK: Rules

  private func compareRules() {
    for chain in wanted.chains { compareRules(of: chain) }
    // Chains come one after the other, so do their rules.
    var last = -1
    for index in 0..<live.rules.count {
      let rule = live.rules[index]
      if last >= 0, live.bytes.isEqual(rule.name, live.bytes, live.rules[last].name) { continue }
      last = index
      let isKnown = wanted.chains.contains { live.bytes.isEqual(rule.name, wanted.bytes, wanted.name($0)) }
      if !isKnown { noteLive("not in the policy: rules of chain", rule) }
    }
  }

  private func compareRules(of chain: Int) {
    let name = wanted.name(chain)
    var (sent, dumped, position) = (0, 0, 0)
    while true {
      while sent < wanted.rules.count,
        !wanted.bytes.isEqual(wanted.name(wanted.rules[sent].message), wanted.bytes, name)
      { sent += 1 }
      while dumped < live.rules.count,
        !live.bytes.isEqual(live.rules[dumped].name, wanted.bytes, name) || opens(live.rules[dumped])
      { dumped += 1 }
      position += 1
      let isSent = sent < wanted.rules.count
      let isDumped = dumped < live.rules.count
      if !isSent && !isDumped { return }
      if !isSent {
        noteWanted("not in the policy: rule", chain, rule: position)
      } else if !isDumped {
        noteWanted("missing: rule", chain, rule: position)
      } else if !isEqualRule(wanted.rules[sent], live.rules[dumped]) {
        noteWanted("changed: rule", chain, rule: position)
      }
      sent += 1
      dumped += 1
    }
  }

  /// Whether it is the rule of an opening, in all that it says.
  @inline(never)
  private func opens(_ rule: LiveTable.Item) -> Bool {
    guard isOpened, Trial.isLead(.open, live.bytes, rule.attributes) else { return false }
    var writer = MessageWriter()
    Trial.addLead(.open, of: wanted.kind, live.bytes.copy(rule.name), whileItRuns: true, &writer)
    let sent = NetlinkHeader.byteCountWithFamily..<writer.count
    guard AttributeComparison(sent: writer.bytes, dumped: live.bytes).isEqual(sent, rule.attributes, .rule)
    else { return false }
    // Which set is looked up is not compared there. NFTA_RULE_EXPRESSIONS, NFTA_EXPR_DATA, NFTA_LOOKUP_SET.
    var expressions: [Range<Int>] = []
    live.bytes.appendItems(of: live.bytes.attribute(4, in: rule.attributes) ?? 0..<0, to: &expressions)
    let data = live.bytes.attribute(2, in: expressions[1]) ?? 0..<0
    return live.bytes.holds(Trial.Clock.open.name, at: live.bytes.name(1, in: data) ?? 0..<0)
  }

  private func isEqualRule(_ rule: WantedTable.Part, _ other: LiveTable.Item) -> Bool {
    let sent = wanted.attributes(rule.message)
    guard attributes.isEqual(sent, other.attributes, .rule) else { return false }
    // NFTA_RULE_EXPRESSIONS; a rule may have none.
    return hasEqualSets(
      rule, wanted.bytes.attribute(4, in: sent) ?? 0..<0,
      live.bytes.attribute(4, in: other.attributes) ?? 0..<0)
  }

  /// The sets that a rule's look-ups name, in order: named ones by name, anonymous ones by what they hold,
  /// for the kernel gives those a name of its own.
  private func hasEqualSets(_ rule: WantedTable.Part, _ list: Range<Int>, _ dumpedList: Range<Int>) -> Bool {
    var (at, other) = (list.lowerBound, dumpedList.lowerBound)
    while let item = NetlinkAttribute(wanted.bytes, at: at, end: list.upperBound),
      let dumpedItem = NetlinkAttribute(live.bytes, at: other, end: dumpedList.upperBound)
    {
      (at, other) = (item.next, dumpedItem.next)
      // NFTA_EXPR_NAME, NFTA_EXPR_DATA.
      guard let name = wanted.bytes.name(1, in: item.payload), wanted.bytes.holds("lookup", at: name) else {
        continue
      }
      guard let data = wanted.bytes.attribute(2, in: item.payload),
        let dumpedData = live.bytes.attribute(2, in: dumpedItem.payload),
        isEqualLookup(rule, data, dumpedData)
      else { return false }
    }
    return true
  }

  private func isEqualLookup(_ rule: WantedTable.Part, _ data: Range<Int>, _ dumpedData: Range<Int>) -> Bool {
    // NFTA_LOOKUP_SET, NFTA_LOOKUP_SET_ID.
    guard let set = wanted.bytes.name(1, in: data), let dumpedSet = live.bytes.name(1, in: dumpedData) else {
      return false
    }
    let id = wanted.bytes.number(4, in: data)
    for position in rule.parts where wanted.anonymousSets[position].id == id {
      for candidate in live.sets
      where candidate.isAnonymous && live.bytes.isEqual(candidate.name, live.bytes, dumpedSet) {
        return isEqualSet(wanted.anonymousSets[position], candidate, isAnonymous: true)
      }
      return false
    }
    return wanted.bytes.isEqual(set, live.bytes, dumpedSet)
  }
}

/// The order of elements by key, then by whether they end an interval: no set has two alike in both.
private struct ElementOrder {
  let bytes: [UInt8]

  /// Heap sort: sets have up to a million elements, and this is a few hundred bytes of code.
  func sort(_ list: inout [Range<Int>]) {
    var start = list.count / 2
    while start > 0 {
      start -= 1
      sink(start, &list, list.count)
    }
    var end = list.count
    while end > 1 {
      end -= 1
      list.swapAt(0, end)
      sink(0, &list, end)
    }
  }

  private func sink(_ start: Int, _ list: inout [Range<Int>], _ end: Int) {
    var root = start
    while true {
      var child = 2 * root + 1
      guard child < end else { return }
      if child + 1 < end, precedes(list[child], list[child + 1]) { child += 1 }
      guard precedes(list[root], list[child]) else { return }
      list.swapAt(root, child)
      root = child
    }
  }

  private func precedes(_ left: Range<Int>, _ right: Range<Int>) -> Bool {
    let (key, other) = (key(left), key(right))
    for offset in 0..<min(key.count, other.count) {
      let byte = bytes[key.lowerBound + offset]
      let otherByte = bytes[other.lowerBound + offset]
      if byte != otherByte { return byte < otherByte }
    }
    // NFTA_SET_ELEM_FLAGS.
    return bytes.number(3, in: left) ?? 0 < bytes.number(3, in: right) ?? 0
  }

  /// NFTA_SET_ELEM_KEY {NFTA_DATA_VALUE}.
  private func key(_ element: Range<Int>) -> Range<Int> {
    guard let data = bytes.attribute(1, in: element) else { return 0..<0 }
    return bytes.attribute(1, in: data) ?? 0..<0
  }
}
