/// One transaction: the bundle's finished messages, and what has to go. A class for the size of the program: who makes one
/// hands it over.
final class Batch {
  var head = MessageWriter()
  /// Messages of the bundle, sent from where they lie.
  private(set) var body = 0..<0
  private var tail = MessageWriter()
  /// What the removals take away: the message with sequence number `Wire.firstRemoval + n` removes the n-th.
  private(set) var removals: [[UInt8]] = []

  /// Positions of the sets that it makes, with their elements.
  private(set) var sets: [Int] = []
  /// Bytes that every batch begins with.
  private let start: Int

  /// Whether there is anything in it.
  var isEmpty: Bool { head.count == start }
  var count: Int { head.count + body.count + tail.count }

  // NFNL_BATCH_GENID; res_id names the subsystem.
  private static let generationAttribute: UInt16 = 1
  private static let subsystem: UInt16 = 10

  /// For no other generation than that, which whoever computed it has seen.
  @inline(never)
  init(_ generation: NetlinkSocket.Generation) {
    head.begin(
      Wire.batchBegin, flags: Wire.request, sequence: 0, family: Wire.anyFamily, resource: Self.subsystem)
    head.append(Self.generationAttribute, number: generation.number)
    start = head.count
  }

  /// With the table of `wanted`, which must not be there before, or may.
  convenience init(_ generation: NetlinkSocket.Generation, _ wanted: WantedTable, isNew: Bool) {
    self.init(generation)
    head.append(finished: wanted, WantedTable.table)
    if isNew { head.setFlags(Wire.exclusive) } else { head.clearFlags(Wire.exclusive) }
  }

  /// Where no table of ours is: everything is added, and a table that appears meanwhile is an error.
  static func fresh(_ wanted: WantedTable, _ generation: NetlinkSocket.Generation) -> Batch {
    let batch = Batch(generation, wanted, isNew: true)
    for position in 0..<wanted.sets.count { batch.sets.append(position) }
    batch.finish(wanted, from: WantedTable.table + 1)
    return batch
  }

  /// Where a table of ours is: its chains stay hooked, its rules are replaced.
  ///
  /// The order is the one in which no packet gets through that both policies deny, and in which the kernel
  /// finds nothing in use: rules go first, base chains that are not wanted any more go last.
  static func replacing(
    _ live: LiveTable, by wanted: WantedTable, _ comparison: TableComparison,
    _ generation: NetlinkSocket.Generation
  ) -> Batch {
    let batch = Batch(generation, wanted, isNew: false)
    batch.remove(Wire.deleteRule, "all rules", live, nil)
    for index in comparison.staleSets { batch.remove(Wire.deleteSet, "set", live, live.sets[index]) }
    for index in comparison.staleObjects {
      let object = live.objects[index]
      batch.remove(Wire.deleteObject, "object", live, object)
      batch.head.append(3, number: live.bytes.number(3, in: object.attributes) ?? 0)
    }
    for index in comparison.staleChains { batch.remove(Wire.deleteChain, "chain", live, live.chains[index]) }
    for message in wanted.chains { batch.head.append(finished: wanted, message) }
    for message in comparison.newObjects { batch.head.append(finished: wanted, message) }
    batch.add(comparison.newSets, of: wanted)
    // What is taken away from here on goes last.
    let head = batch.head
    batch.head = MessageWriter()
    for index in comparison.staleBaseChains {
      batch.remove(Wire.deleteChain, "base chain", live, live.chains[index])
    }
    let stale = batch.head
    batch.head = head
    batch.finish(wanted, from: wanted.firstRuleMessage, behind: stale)
    return batch
  }

  /// Interval sets that are not there yet, beside those in use: no rule looks them up before the next batch.
  ///
  /// The kernel publishes the elements of such sets a moment after the rules of the same batch.
  static func ahead(_ sets: [Int], of wanted: WantedTable, _ generation: NetlinkSocket.Generation) -> Batch {
    let batch = Batch(generation, wanted, isNew: false)
    batch.add(sets, of: wanted)
    batch.end()
    return batch
  }

  /// Takes sets that were sent ahead away again.
  static func takingBack(_ sets: [Int], of wanted: WantedTable, _ generation: NetlinkSocket.Generation)
    -> Batch
  {
    let batch = Batch(generation)
    for position in sets {
      batch.beginRemoval(Wire.deleteSet, wanted.kind)
      batch.head.append(2, name: wanted.bytes, wanted.name(wanted.sets[position].message))
    }
    batch.end()
    return batch
  }

  /// Tables that others have taken the place of; nobody may be on the way from one of their hooks to theirs.
  static func removing(_ tables: OtherTables, _ generation: NetlinkSocket.Generation) -> Batch {
    let batch = Batch(generation)
    if tables.policy { batch.beginRemoval(Wire.deleteTable, .policy) }
    if tables.closed { batch.beginRemoval(Wire.deleteTable, .closed) }
    if tables.trying { batch.beginRemoval(Wire.deleteTable, .trying) }
    batch.end()
    return batch
  }

  /// Sets of the bundle with their elements.
  private func add(_ sets: [Int], of wanted: WantedTable) {
    self.sets = sets
    for position in sets {
      head.append(finished: wanted, wanted.sets[position].message)
      for message in wanted.sets[position].parts { head.append(finished: wanted, message) }
    }
  }

  @inline(never)
  private func remove(_ type: UInt16, _ what: Literal, _ live: LiveTable, _ item: LiveTable.Item?) {
    beginRemoval(type, live.kind)
    var text = Text(what)
    if let item {
      // NFTA_CHAIN_NAME is 3, the other names are 2.
      head.append(type == Wire.deleteChain ? 3 : 2, name: live.bytes, item.name)
      text.add(" `")
      text.addForeign(live.bytes, item.name)
      text.add(byte: 0x60)
    }
    removals.append(text.bytes)
  }

  @inline(never)
  func beginRemoval(_ type: UInt16, _ table: OwnTable) {
    head.begin(
      Wire.subsystem | type, flags: Wire.request, sequence: Wire.firstRemoval + UInt32(removals.count),
      family: Wire.inet)
    head.append(1, text: table.name)
  }

  /// All elements of a set.
  func empty(_ set: Literal, of table: OwnTable) {
    beginRemoval(Wire.deleteElements, table)
    // Without a list of elements it is about all of them.
    head.append(2, text: set)
  }

  /// Nothing comes behind what is in the head.
  func end() {
    head.setFlags(Wire.acknowledge)
    addEnd()
  }

  private func addEnd() {
    tail.begin(
      Wire.batchEnd, flags: Wire.request, sequence: 0, family: Wire.anyFamily, resource: Self.subsystem)
  }

  /// Messages of the bundle to the last, and then others. Only the last message before the end asks for an
  /// acknowledgement, so the bundle's last one is copied.
  func finish(_ wanted: WantedTable, from first: Int, behind others: MessageWriter = MessageWriter()) {
    let last = wanted.messages.count - 1
    if first <= last {
      body = wanted.range(first).lowerBound..<wanted.range(last).lowerBound
      tail.append(finished: wanted, last)
    }
    tail.append(others)
    if tail.count > 0 { tail.setFlags(Wire.acknowledge) } else { head.setFlags(Wire.acknowledge) }
    addEnd()
  }

  /// - Parameter whole: what `body` lies in.
  func send(_ socket: borrowing NetlinkSocket, _ whole: [UInt8]) throws(NetlinkSocket.Failure) {
    try socket.send(head.bytes, whole, body, tail.bytes)
  }
}
