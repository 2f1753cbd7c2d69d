/// One transaction: the bundle's finished messages, and what has to go.
struct Batch {
  private(set) var head: [UInt8] = []
  /// Messages of the bundle, sent from where they lie.
  private(set) var body = 0..<0
  private(set) var tail: [UInt8] = []
  /// What the removals take away: the message with sequence number `Wire.firstRemoval + n` removes the n-th.
  private(set) var removals: [[UInt8]] = []

  /// Positions of the sets that it makes, with their elements.
  private(set) var sets: [Int] = []

  var count: Int { head.count + body.count + tail.count }

  // NFNL_BATCH_GENID; res_id names the subsystem.
  private static let generationAttribute: UInt16 = 1
  private static let subsystem: UInt16 = 10

  /// Where no table of ours is: everything is added, and a table that appears meanwhile is an error.
  static func fresh(_ wanted: WantedTable, generation: UInt32) -> Batch {
    var batch = Batch()
    var head = beginning(wanted, generation)
    head.setFlags(Wire.exclusive)
    for position in 0..<wanted.sets.count { batch.sets.append(position) }
    batch.finish(wanted, head, from: WantedTable.table + 1, stale: MessageWriter())
    return batch
  }

  /// Where a table of ours is: its chains stay hooked, its rules are replaced.
  ///
  /// The order is the one in which no packet gets through that both policies deny, and in which the kernel
  /// finds nothing in use: rules go first, base chains that are not wanted any more go last.
  static func replacing(
    _ live: LiveTable, by wanted: WantedTable, _ comparison: TableComparison, generation: UInt32
  ) -> Batch {
    var batch = Batch()
    var head = beginning(wanted, generation)
    head.clearFlags(Wire.exclusive)
    batch.remove(Wire.deleteRule, "all rules", live, nil, &head)
    for index in comparison.staleSets { batch.remove(Wire.deleteSet, "set", live, live.sets[index], &head) }
    for index in comparison.staleObjects {
      let object = live.objects[index]
      batch.remove(Wire.deleteObject, "object", live, object, &head)
      head.append(3, number: live.bytes.number(3, in: object.attributes) ?? 0)
    }
    for index in comparison.staleChains {
      batch.remove(Wire.deleteChain, "chain", live, live.chains[index], &head)
    }
    for message in wanted.chains { head.append(finished: wanted, message) }
    for message in comparison.newObjects { head.append(finished: wanted, message) }
    batch.sets = comparison.newSets
    for position in comparison.newSets { head.append(finished: wanted, set: position) }
    var stale = MessageWriter()
    for index in comparison.staleBaseChains {
      batch.remove(Wire.deleteChain, "base chain", live, live.chains[index], &stale)
    }
    batch.finish(wanted, head, from: wanted.firstRuleMessage, stale: stale)
    return batch
  }

  /// Interval sets that are not there yet, beside those in use: no rule looks them up before the next batch.
  ///
  /// The kernel publishes the elements of such sets a moment after the rules of the same batch.
  static func ahead(_ sets: [Int], of wanted: WantedTable, generation: UInt32) -> Batch {
    var batch = Batch()
    var head = beginning(wanted, generation)
    head.clearFlags(Wire.exclusive)
    batch.sets = sets
    for position in sets { head.append(finished: wanted, set: position) }
    batch.end(head)
    return batch
  }

  /// Takes sets that were sent ahead away again.
  static func takingBack(_ sets: [Int], of wanted: WantedTable, generation: UInt32) -> Batch {
    var batch = Batch()
    var head = MessageWriter()
    begin(&head, generation)
    for position in sets {
      head.begin(
        Wire.subsystem | Wire.deleteSet, flags: Wire.request, sequence: Wire.firstRemoval, family: Wire.inet)
      head.append(1, text: wanted.kind.name)
      head.append(2, name: wanted.bytes, wanted.name(wanted.sets[position].message))
    }
    batch.end(head)
    return batch
  }

  /// Tables that others have taken the place of; nobody may be on the way from one of their hooks to theirs.
  static func removing(_ tables: OtherTables, generation: UInt32) -> Batch {
    var batch = Batch()
    var head = MessageWriter()
    begin(&head, generation)
    if tables.policy { batch.beginRemoval(Wire.deleteTable, .policy, &head) }
    if tables.closed { batch.beginRemoval(Wire.deleteTable, .closed, &head) }
    if tables.trying { batch.beginRemoval(Wire.deleteTable, .trying, &head) }
    batch.end(head)
    return batch
  }

  static func beginning(_ wanted: WantedTable, _ generation: UInt32) -> MessageWriter {
    var head = MessageWriter()
    begin(&head, generation)
    head.append(finished: wanted, WantedTable.table)
    return head
  }

  static func begin(_ head: inout MessageWriter, _ generation: UInt32) {
    head.begin(Wire.batchBegin, flags: Wire.request, sequence: 0, family: Wire.anyFamily, resource: subsystem)
    head.append(generationAttribute, number: generation)
  }

  /// A batch of `head` alone.
  mutating func end(_ head: MessageWriter) {
    var head = head
    head.setFlags(Wire.acknowledge)
    self.head = head.bytes
    tail = Self.ending.bytes
  }

  private static var ending: MessageWriter {
    var tail = MessageWriter()
    tail.begin(Wire.batchEnd, flags: Wire.request, sequence: 0, family: Wire.anyFamily, resource: subsystem)
    return tail
  }

  @inline(never)
  private mutating func remove(
    _ type: UInt16, _ what: Literal, _ live: LiveTable, _ item: LiveTable.Item?,
    _ writer: inout MessageWriter
  ) {
    beginRemoval(type, live.kind, &writer)
    var text = Text(what)
    if let item {
      // NFTA_CHAIN_NAME is 3, the other names are 2.
      writer.append(type == Wire.deleteChain ? 3 : 2, name: live.bytes, item.name)
      text.add(" `")
      text.addForeign(live.bytes, item.name)
      text.add(byte: 0x60)
    }
    removals.append(text.bytes)
  }

  func beginRemoval(_ type: UInt16, _ table: OwnTable, _ writer: inout MessageWriter) {
    writer.begin(
      Wire.subsystem | type, flags: Wire.request, sequence: Wire.firstRemoval + UInt32(removals.count),
      family: Wire.inet)
    writer.append(1, text: table.name)
  }

  /// Lets the regions of `management` through the closed table from now on: nobody waits any more.
  static func endingWait(generation: UInt32) -> Batch {
    var batch = Batch()
    var head = MessageWriter()
    begin(&head, generation)
    empty("waiting", of: .closed, &head)
    batch.end(head)
    return batch
  }

  @inline(never)
  static func empty(_ set: Literal, of table: OwnTable, _ writer: inout MessageWriter) {
    writer.begin(Wire.subsystem | Wire.deleteElements, flags: Wire.request, sequence: 0, family: Wire.inet)
    writer.append(1, text: table.name)
    // Without a list of elements it is about all of them.
    writer.append(2, text: set)
  }

  /// Only the last message before the end asks for an acknowledgement, so the bundle's last one is copied.
  mutating func finish(
    _ wanted: WantedTable, _ head: MessageWriter, from first: Int, stale: MessageWriter
  ) {
    var head = head
    var tail = MessageWriter()
    let last = wanted.messages.count - 1
    if first <= last {
      body = wanted.range(first).lowerBound..<wanted.range(last).lowerBound
      tail.append(finished: wanted, last)
    }
    tail.append(stale)
    if tail.count > 0 { tail.setFlags(Wire.acknowledge) } else { head.setFlags(Wire.acknowledge) }
    tail.append(Self.ending)
    self.head = head.bytes
    self.tail = tail.bytes
  }
}
