/// How what the kernel holds differs from what the bundle wants, and so what a replace has to take away.
final class TableComparison {
  /// One line each, for people; at most `maximumLines`.
  private(set) var lines: [[UInt8]] = []
  private(set) var differenceCount = 0
  /// Indices into the live table's lists: what is no longer wanted, or is there in another form.
  private(set) var staleSets: [Int] = []
  private(set) var staleObjects: [Int] = []
  private(set) var staleRegularChains: [Int] = []
  private(set) var staleBaseChains: [Int] = []
  /// Base chains whose name is wanted for another place: they go before the new one comes.
  private(set) var misplacedChains: [Int] = []
  /// Messages of the bundle that are not kept as they are.
  private(set) var newSets: [Int] = []
  private(set) var newObjects: [Int] = []

  private let wanted: WantedTable
  private let live: LiveTable
  private let attributes: AttributeComparison

  // A report names the first of them; a replaced policy differs in everything.
  private static let maximumLines = 40

  var isEqual: Bool { differenceCount == 0 }

  /// - Precondition: the live table is there.
  init(wanted: WantedTable, live: LiveTable) {
    self.wanted = wanted
    self.live = live
    attributes = AttributeComparison(sent: wanted.reader.bytes, dumped: live.bytes)
    if let table = live.table, !attributes.isEqual(wanted.attributes(wanted.table), table, .table) {
      note("table `lockdown` has other flags", name: nil)
    }
    compareChains()
    compareObjects()
    compareSets()
    compareRules()
  }

  private func note(_ text: StaticString, name: [UInt8]?) {
    differenceCount += 1
    guard lines.count < Self.maximumLines else { return }
    var line = Text(text)
    if let name {
      line.add(" `")
      line.addForeign(name)
      line.add(byte: 0x60)
    }
    lines.append(line.bytes)
  }

  private func wantedName(_ message: Int) -> [UInt8] { Array(wanted.reader.bytes[wanted.name(message)]) }

  private func isNamed(_ item: LiveTable.Item, _ message: Int) -> Bool {
    live.bytes.isEqual(item.name, wanted.reader.bytes, wanted.name(message))
  }

  // MARK: Chains

  // NFTA_CHAIN_HOOK, TYPE, USERDATA.
  private static let hook: UInt16 = 4
  private static let type: UInt16 = 7
  private static let userdata: UInt16 = 12

  private func compareChains() {
    var isKept = [Bool](repeating: false, count: live.chains.count)
    for message in wanted.chains {
      guard let index = live.chains.firstIndex(where: { isNamed($0, message) }) else {
        note("missing: chain", name: wantedName(message))
        continue
      }
      let chain = live.chains[index]
      if attributes.isEqual(wanted.attributes(message), chain.attributes, .chain) {
        isKept[index] = true
        continue
      }
      note("changed: chain", name: wantedName(message))
      // Of an existing chain the kernel takes a new policy and nothing else.
      if hasSamePlace(message, chain) { isKept[index] = true } else { misplacedChains.append(index) }
    }
    for index in live.chains.indices where !isKept[index] && !misplacedChains.contains(index) {
      note("not in the policy: chain", name: Array(live.bytes[live.chains[index].name]))
      if isBase(live.chains[index]) {
        staleBaseChains.append(index)
      } else {
        staleRegularChains.append(index)
      }
    }
  }

  private func isBase(_ chain: LiveTable.Item) -> Bool {
    live.bytes.attribute(Self.hook, in: chain.attributes) != nil
  }

  private func hasSamePlace(_ message: Int, _ chain: LiveTable.Item) -> Bool {
    let sent = wanted.attributes(message)
    func payloads(_ number: UInt16) -> (Range<Int>, Range<Int>) {
      (
        wanted.reader.bytes.attribute(number, in: sent) ?? 0..<0,
        live.bytes.attribute(number, in: chain.attributes) ?? 0..<0
      )
    }
    let (hook, liveHook) = payloads(Self.hook)
    let (type, liveType) = payloads(Self.type)
    let (userdata, liveUserdata) = payloads(Self.userdata)
    return attributes.isEqual(hook, liveHook, .hook)
      && wanted.reader.bytes.isEqual(
        wanted.reader.bytes.withoutZeros(type), live.bytes, live.bytes.withoutZeros(liveType))
      && wanted.reader.bytes.isEqual(userdata, live.bytes, liveUserdata)
  }

  // MARK: Objects

  // NFT_OBJECT_COUNTER.
  private static let counter: UInt32 = 1

  private func compareObjects() {
    var isKept = [Bool](repeating: false, count: live.objects.count)
    for message in wanted.objects {
      let sent = wanted.attributes(message)
      let isCounter = wanted.reader.bytes.number(3, in: sent) == Self.counter
      let index = live.objects.firstIndex { isNamed($0, message) }
      let isEqual =
        index.map { attributes.isEqual(sent, live.objects[$0].attributes, .object(isCounter: isCounter)) }
        ?? false
      if !isEqual { note(index == nil ? "missing: object" : "changed: object", name: wantedName(message)) }
      // Made anew in every batch, so that no batch of ours changes nothing.
      let isIdentity = wanted.reader.bytes.holds(Wire.digestName, at: wanted.name(message))
      if isEqual, !isIdentity, let index { isKept[index] = true } else { newObjects.append(message) }
      if isIdentity, let index { isKept[index] = false }
    }
    for index in live.objects.indices where !isKept[index] {
      staleObjects.append(index)
      if !wanted.objects.contains(where: { isNamed(live.objects[index], $0) }) {
        note("not in the policy: object", name: Array(live.bytes[live.objects[index].name]))
      }
    }
  }

  // MARK: Sets

  private func compareSets() {
    var isKept = [Bool](repeating: false, count: live.sets.count)
    for (position, set) in wanted.sets.enumerated() {
      let index = live.sets.firstIndex { isNamed($0.item, set.message) }
      if let index, isEqualSet(set, live.sets[index], isAnonymous: false) {
        isKept[index] = true
      } else {
        note(index == nil ? "missing: set" : "changed: set", name: wantedName(set.message))
        newSets.append(position)
      }
    }
    for (index, set) in live.sets.enumerated() where !isKept[index] && !set.isAnonymous {
      staleSets.append(index)
      if !wanted.sets.contains(where: { isNamed(set.item, $0.message) }) {
        note("not in the policy: set", name: Array(live.bytes[set.item.name]))
      }
    }
  }

  private func isEqualSet(_ set: WantedTable.Set, _ other: LiveTable.Set, isAnonymous: Bool) -> Bool {
    guard
      attributes.isEqual(
        wanted.attributes(set.message), other.item.attributes, .set(isAnonymous: isAnonymous))
    else { return false }
    let sent = wanted.elements(of: set)
    guard sent.count == other.elements.count else { return false }
    let dumped = live.elements[other.elements]
    // Trees keep their order; hash tables do not.
    if zip(sent, dumped).allSatisfy({ attributes.isEqual($0, $1, .element) }) { return true }
    let sentBytes = wanted.reader.bytes
    let liveBytes = live.bytes
    let sorted = sent.sorted { Self.precedes(sentBytes, $0, $1) }
    let sortedDump = dumped.sorted { Self.precedes(liveBytes, $0, $1) }
    return zip(sorted, sortedDump).allSatisfy { attributes.isEqual($0, $1, .element) }
  }

  /// By key, then by whether it ends an interval: no set has two elements alike in both.
  private static func precedes(_ bytes: [UInt8], _ left: Range<Int>, _ right: Range<Int>) -> Bool {
    func key(_ element: Range<Int>) -> Range<Int> {
      // NFTA_SET_ELEM_KEY {NFTA_DATA_VALUE}.
      bytes.attribute(1, in: element).flatMap { bytes.attribute(1, in: $0) } ?? 0..<0
    }
    let (leftKey, rightKey) = (key(left), key(right))
    if bytes.isEqual(leftKey, bytes, rightKey) {
      return bytes.number(3, in: left) ?? 0 < bytes.number(3, in: right) ?? 0
    }
    return bytes[leftKey].lexicographicallyPrecedes(bytes[rightKey])
  }

  // MARK: Rules

  private func compareRules() {
    var isSeen = [Bool](repeating: false, count: live.rules.count)
    for chain in wanted.chains {
      let name = wanted.name(chain)
      let sent = wanted.rules.indices.filter {
        wanted.reader.bytes.isEqual(wanted.name(wanted.rules[$0].message), wanted.reader.bytes, name)
      }
      let dumped = live.rules.indices.filter {
        live.bytes.isEqual(live.rules[$0].name, wanted.reader.bytes, name)
      }
      for index in dumped { isSeen[index] = true }
      for position in 0..<max(sent.count, dumped.count) {
        if position < sent.count, position < dumped.count {
          if !isEqualRule(wanted.rules[sent[position]], live.rules[dumped[position]]) {
            noteRule("changed: rule ", position, chain: wantedName(chain))
          }
        } else {
          noteRule(
            position < sent.count ? "missing: rule " : "not in the policy: rule ", position,
            chain: wantedName(chain))
        }
      }
    }
    for index in live.rules.indices where !isSeen[index] {
      note("not in the policy: a rule of chain", name: Array(live.bytes[live.rules[index].name]))
    }
  }

  private func noteRule(_ what: StaticString, _ position: Int, chain: [UInt8]) {
    differenceCount += 1
    guard lines.count < Self.maximumLines else { return }
    var line = Text(what)
    line.add(position + 1)
    line.add(" of chain `")
    line.addForeign(chain)
    line.add(byte: 0x60)
    lines.append(line.bytes)
  }

  private func isEqualRule(_ rule: WantedTable.Rule, _ other: LiveTable.Item) -> Bool {
    let sent = wanted.attributes(rule.message)
    guard attributes.isEqual(sent, other.attributes, .rule) else { return false }
    // NFTA_RULE_EXPRESSIONS; a rule may have none.
    return hasEqualSets(
      rule, wanted.reader.bytes.attribute(4, in: sent) ?? 0..<0,
      live.bytes.attribute(4, in: other.attributes) ?? 0..<0)
  }

  /// The sets that a rule's look-ups name, in order: named ones by name, anonymous ones by what they hold,
  /// for the kernel gives those a name of its own.
  private func hasEqualSets(_ rule: WantedTable.Rule, _ list: Range<Int>, _ dumpedList: Range<Int>) -> Bool {
    let sentBytes = wanted.reader.bytes
    var (at, other) = (list.lowerBound, dumpedList.lowerBound)
    while let item = NetlinkAttribute(sentBytes, at: at, end: list.upperBound),
      let dumpedItem = NetlinkAttribute(live.bytes, at: other, end: dumpedList.upperBound)
    {
      (at, other) = (item.next, dumpedItem.next)
      guard let name = sentBytes.name(1, in: item.payload), sentBytes.holds("lookup", at: name) else {
        continue
      }
      // NFTA_LOOKUP_SET, NFTA_LOOKUP_SET_ID.
      guard let data = sentBytes.attribute(2, in: item.payload),
        let dumpedData = live.bytes.attribute(2, in: dumpedItem.payload),
        let set = sentBytes.name(1, in: data), let dumpedSet = live.bytes.name(1, in: dumpedData)
      else { return false }
      let id = sentBytes.number(4, in: data) ?? 0
      guard let position = rule.sets.first(where: { wanted.anonymousSets[$0].id == id }) else {
        guard sentBytes.isEqual(set, live.bytes, dumpedSet) else { return false }
        continue
      }
      guard
        let found = live.sets.first(where: {
          $0.isAnonymous && live.bytes.isEqual($0.item.name, live.bytes, dumpedSet)
        }), isEqualSet(wanted.anonymousSets[position], found, isAnonymous: true)
      else { return false }
    }
    return true
  }
}
