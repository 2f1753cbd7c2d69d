/// One transaction: the bundle's finished messages, and what has to go.
struct Batch {
  private(set) var head: [UInt8]
  /// Messages of the bundle, sent from where they lie.
  private(set) var body: Range<Int>
  private(set) var tail: [UInt8]
  /// What the removals take away: the message with sequence number `Wire.firstRemoval + n` removes the n-th.
  private(set) var removals: [[UInt8]] = []

  var count: Int { head.count + body.count + tail.count }

  // NFNL_BATCH_GENID; res_id names the subsystem.
  private static let generationAttribute: UInt16 = 1
  private static let subsystem: UInt16 = 10

  /// Where no table of ours is: everything is added, and a table that appears meanwhile is an error.
  static func fresh(_ wanted: WantedTable, generation: UInt32) -> Batch {
    var head = beginning(generation)
    head.append(finished: wanted.reader.bytes[wanted.reader.messages[wanted.table].range])
    head.setFlags(Wire.exclusive)
    return Batch(wanted, head: head, from: wanted.table + 1, removals: [], stale: [])
  }

  /// Where a table of ours is: its chains stay hooked, its rules are replaced.
  ///
  /// The order is the one in which no packet gets through that both policies deny, and in which the kernel
  /// finds nothing in use: rules go first, base chains that are not wanted any more go last.
  static func replacing(
    _ live: LiveTable, by wanted: WantedTable, _ comparison: TableComparison, generation: UInt32
  )
    -> Batch
  {
    var head = beginning(generation)
    head.append(finished: wanted.reader.bytes[wanted.reader.messages[wanted.table].range])
    head.clearFlags(Wire.exclusive)
    var removals: [[UInt8]] = []

    func remove(
      _ type: UInt16, _ what: StaticString, nameAttribute: UInt16, _ name: Range<Int>?, type object: UInt32?
    )
      -> MessageWriter
    {
      var message = MessageWriter()
      var text = Text(what)
      message.begin(
        Wire.subsystem | type, flags: Wire.request, sequence: Wire.firstRemoval + UInt32(removals.count),
        family: Wire.inet)
      message.append(1, text: Wire.tableName)
      if let name {
        message.append(nameAttribute, name: live.bytes[name])
        text.add(" `")
        text.addForeign(live.bytes[name])
        text.add(byte: 0x60)
      }
      if let object { message.append(3, number: object) }
      removals.append(text.bytes)
      return message
    }

    func add(_ message: MessageWriter) { head.append(finished: message.bytes[...]) }

    add(remove(Wire.deleteRule, "all rules", nameAttribute: 0, nil, type: nil))
    for index in comparison.staleSets {
      add(remove(Wire.deleteSet, "set", nameAttribute: 2, live.sets[index].item.name, type: nil))
    }
    for index in comparison.staleObjects {
      let object = live.objects[index]
      add(
        remove(
          Wire.deleteObject, "object", nameAttribute: 2, object.name,
          type: live.bytes.number(3, in: object.attributes) ?? 0))
    }
    for index in comparison.staleRegularChains + comparison.misplacedChains {
      add(remove(Wire.deleteChain, "chain", nameAttribute: 3, live.chains[index].name, type: nil))
    }
    for message in wanted.chains + comparison.newObjects {
      head.append(finished: wanted.reader.bytes[wanted.reader.messages[message].range])
    }
    for position in comparison.newSets {
      let set = wanted.sets[position]
      head.append(finished: wanted.reader.bytes[wanted.reader.messages[set.message].range])
      for message in set.elements {
        head.append(finished: wanted.reader.bytes[wanted.reader.messages[message].range])
      }
    }
    var stale: [MessageWriter] = []
    for index in comparison.staleBaseChains {
      stale.append(
        remove(Wire.deleteChain, "base chain", nameAttribute: 3, live.chains[index].name, type: nil))
    }
    return Batch(wanted, head: head, from: wanted.firstRuleMessage, removals: removals, stale: stale)
  }

  private static func beginning(_ generation: UInt32) -> MessageWriter {
    var head = MessageWriter()
    head.begin(Wire.batchBegin, flags: Wire.request, sequence: 0, family: Wire.anyFamily, resource: subsystem)
    head.append(generationAttribute, number: generation)
    return head
  }

  /// Only the last message before the end asks for an acknowledgement, so the bundle's last one is copied.
  private init(
    _ wanted: WantedTable, head: MessageWriter, from first: Int, removals: [[UInt8]], stale: [MessageWriter]
  ) {
    var head = head
    var tail = MessageWriter()
    let messages = wanted.reader.messages
    if first < messages.count {
      let last = messages[messages.count - 1].range
      body = messages[first].range.lowerBound..<last.lowerBound
      tail.append(finished: wanted.reader.bytes[last])
      for message in stale { tail.append(finished: message.bytes[...]) }
      tail.setFlags(Wire.acknowledge)
    } else if stale.isEmpty {
      body = 0..<0
      head.setFlags(Wire.acknowledge)
    } else {
      body = 0..<0
      for message in stale { tail.append(finished: message.bytes[...]) }
      tail.setFlags(Wire.acknowledge)
    }
    tail.begin(
      Wire.batchEnd, flags: Wire.request, sequence: 0, family: Wire.anyFamily, resource: Self.subsystem)
    self.head = head.bytes
    self.tail = tail.bytes
    self.removals = removals
  }
}
