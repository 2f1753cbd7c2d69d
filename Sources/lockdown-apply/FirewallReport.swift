/// What the firewall stage did, for the console and the status file.
final class FirewallReport {
  var attempts = 0
  var generation: (before: UInt32, after: UInt32) = (0, 0)
  /// The label found first; nil: a table without one; empty: no table.
  var loadedBefore: [UInt8]?
  var differences: [[UInt8]] = []
  var differenceCount = 0
  /// Sets that were replaced or taken away with what they held.
  private(set) var lost: [[UInt8]] = []
  private(set) var notes: [[UInt8]] = []
  private(set) var failure: [UInt8] = []
  private(set) var foreign: [[UInt8]] = []
  var wasSent = false
  /// What is there is neither what was before nor what was sent.
  var isNeither = false
  /// Set when a batch of this run was committed but something else was read back.
  var committedForm: FirewallForm?

  func fail(_ text: Literal, errorNumber: Int) {
    var line = Text(text)
    if errorNumber != 0 {
      line.add(": ")
      line.add(errorNumber: errorNumber)
    }
    failure = line.bytes
  }

  func failForRoom(_ count: Int, room: Int) {
    var line = Text("the batch has ")
    line.add(count)
    line.add(" bytes, this process may send ")
    line.add(room)
    line.add(" (net.core.wmem_max)")
    failure = line.bytes
  }

  func note(_ text: Literal) { notes.append(Text(text).bytes) }

  @inline(never)
  func note(_ text: Literal, _ name: [UInt8], _ range: Range<Int>) {
    var line = Text(text)
    line.add(name, range)
    notes.append(line.bytes)
  }

  func take(differences comparison: TableComparison) {
    differences = comparison.lines
    lost = comparison.lost
    differenceCount = comparison.differenceCount
  }

  /// An error with the place in the policy that it is about.
  func take(_ error: BatchAnswers.Failure, batch: Batch, wanted: WantedTable) {
    var line = Text("refused by the kernel: ")
    line.add(errorNumber: error.errorNumber)
    if error.type == Wire.batchBegin || error.type == Wire.batchEnd {
      line.add(", the batch as a whole")
    } else if error.sequence >= Wire.firstRemoval {
      let index = Int(error.sequence - Wire.firstRemoval)
      line.add(", removing ")
      if index < batch.removals.count { line.add(batch.removals[index]) }
    } else if error.sequence > 0, Int(error.sequence) <= wanted.reader.sources.count {
      let source = wanted.reader.sources[Int(error.sequence) - 1]
      line.add(", `")
      line.add(wanted.bytes, source.id)
      line.add("` at ")
      line.add(wanted.bytes, source.place)
    } else {
      line.add(", ")
      line.add(Self.kind(error.type))
    }
    if let offset = error.offset {
      line.add(", attribute at byte ")
      line.add(offset)
    }
    failure = line.bytes
  }

  private static func kind(_ type: UInt16) -> Literal {
    switch type {
    case Wire.newTable: "the table"
    case Wire.newChain: "a chain"
    case Wire.newObject: "an object"
    case Wire.newSet: "a set"
    case Wire.newRule: "a rule"
    default: "a message of no source"
    }
  }

  // MARK: Foreign chains

  // NF_INET_INGRESS and all before it; the families whose packets pass inet hooks.
  private static let ipv4: UInt8 = 2
  private static let ipv6: UInt8 = 10

  /// Notes base chains of others: an accept of theirs cannot undo a drop of ours, but their drop, NAT and
  /// queue come between.
  func take(foreign live: LiveTable) {
    foreign = []
    for chain in live.foreign {
      // NFTA_CHAIN_HOOK {HOOKNUM, PRIORITY}.
      guard let hook = live.bytes.attribute(4, in: chain.attributes), let family = Self.family(chain.family)
      else {
        continue
      }
      var line = Text(family)
      addName(1, live, chain, &line)
      addName(3, live, chain, &line)
      line.add(" hook ")
      line.add(Self.hook(live.bytes.number(1, in: hook)))
      line.add(" priority ")
      line.add(Int(Int32(bitPattern: live.bytes.number(2, in: hook) ?? 0)))
      line.add(live.bytes.number(5, in: chain.attributes) == 0 ? " policy drop" : " policy accept")
      line.add(" type")
      addName(7, live, chain, &line)
      foreign.append(line.bytes)
    }
  }

  private func addName(_ number: UInt16, _ live: LiveTable, _ chain: LiveTable.Item, _ line: inout Text) {
    line.add(byte: 0x20)
    line.addForeign(live.bytes, live.bytes.name(number, in: chain.attributes) ?? 0..<0)
  }

  /// Nil for a family whose packets pass no inet hook.
  private static func family(_ number: UInt8) -> Literal? {
    switch number {
    case Wire.inet: "inet"
    case ipv4: "ip"
    case ipv6: "ip6"
    default: nil
    }
  }

  private static func hook(_ number: UInt32?) -> Literal {
    switch number {
    case 0: "prerouting"
    case 1: "input"
    case 2: "forward"
    case 3: "output"
    case 4: "postrouting"
    case 5: "ingress"
    default: "unknown"
    }
  }
}
