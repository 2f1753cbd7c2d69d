import CLinux

/// Loads a policy beside what is there, for a time that the kernel keeps (`Trial`), and takes it away again.
struct TryStage: ~Copyable {
  var socket: NetlinkSocket
  /// The last dump.
  private var dumped: [UInt8] = []
  // As for other batches (FirewallStage).
  static let maximumRestarts = 5

  init() throws(NetlinkSocket.Failure) { socket = try NetlinkSocket() }

  private enum Step {
    case load
    case rule
    /// By `lockdown_milliseconds`.
    case silence(before: Int64)
  }

  /// Seconds for which the new table rules beside the one from before, until that falls silent.
  private static let overlap = 4

  /// What came of a batch.
  enum Sent {
    case committed
    case outrun
    /// Nothing of it is in the kernel.
    case refused
    /// It may be.
    case doubtful
  }

  // MARK: Loading

  /// In three batches. The new table comes first and says nothing, for the kernel publishes elements of interval sets a
  /// moment after the rules of their batch. Then it rules, beside the one from before; and when no packet is on its way
  /// that has met neither, the one from before falls silent.
  mutating func load(_ reader: BundleReader, seconds: Int, _ report: FirewallReport) -> FirewallOutcome {
    let wanted = WantedTable(reader, .trying)
    var step = Step.load
    do {
      for _ in 0...(3 * Self.maximumRestarts) {
        // What an earlier try has left, and an opening.
        if case .load = step, try !takeAway(report) { return .refused }
        let generation = try socket.generation()
        var isFirst = true
        let batch: Batch
        switch step {
        case .load: batch = Self.loading(wanted, seconds, generation)
        case .rule: batch = Self.ruleFirst(generation)
        case .silence(let end):
          // The end of that clock must not come first.
          guard lockdown_milliseconds() < end else {
            step = .rule
            continue
          }
          batch = try silencing(seconds, generation, &isFirst)
        }
        report.attempts += 1
        let sent = lockdown_milliseconds()
        switch try send(batch, wanted.bytes, generation, report, wanted) {
        case .committed:
          switch step {
          case .load:
            step = .rule
            var late = LateStage(reader, .trying)
            _ = try late.settle(nil, &socket, looksOnly: false, report)
          case .rule:
            lockdown_wait_for_packets()
            step = .silence(before: sent + Int64(Self.overlap) * 500)
          case .silence:
            if isFirst {
              report.note(
                "there was no firewall of ours before: behind the try the host is as open as now")
            }
            return .equal(.fresh)
          }
        case .outrun: continue
        case .refused:
          if case .load = step {} else { _ = try takeAway(report) }
          return .refused
        case .doubtful: return try takeAway(report) ? .refused : .unknown
        }
      }
      if case .load = step {} else { _ = try takeAway(report) }
      report.fail("other writers changed the ruleset each time", errorNumber: ErrorNumber.restart)
      return .refused
    } catch {
      report.fail("netlink", errorNumber: error.errorNumber)
      // The kernel ends what may be there.
      return report.wasSent ? .unknown : .refused
    }
  }

  private static func loading(_ wanted: WantedTable, _ seconds: Int, _ generation: NetlinkSocket.Generation)
    -> Batch
  {
    let batch = Batch(generation, wanted, isNew: true)
    // What comes besides stands behind the policy's own, and each rule goes to the head of its chain.
    var besides = MessageWriter()
    Trial.addClock(.trying, of: .trying, &besides)
    for message in wanted.chains {
      switch wanted.messages[message].kind {
      case .baseChain:
        Trial.addLead(
          .trying, of: .trying, wanted.bytes.copy(wanted.name(message)), whileItRuns: false, &besides)
      default: continue
      }
    }
    Trial.addFresh(seconds: seconds + 1, &besides)
    batch.finish(wanted, from: WantedTable.table + 1, behind: besides)
    return batch
  }

  private static func ruleFirst(_ generation: NetlinkSocket.Generation) -> Batch {
    let batch = Batch(generation)
    Trial.restartClock(seconds: overlap, batch)
    batch.end()
    return batch
  }

  /// - Parameter isFirst: whether there is no table of ours from before.
  private mutating func silencing(
    _ seconds: Int, _ generation: NetlinkSocket.Generation, _ isFirst: inout Bool
  ) throws(NetlinkSocket.Failure) -> Batch {
    let batch = Batch(generation)
    try addLeads(.trying, of: .policy, seconds, batch)
    try addLeads(.trying, of: .closed, seconds, batch)
    isFirst = batch.isEmpty
    Trial.restartClock(seconds: seconds + 1, batch)
    batch.end()
    return batch
  }

  /// Starts a clock in a table, and leads base chains by its rule: all of them, or for an opening those that close.
  @inline(never)
  mutating func addLeads(
    _ clock: Trial.Clock, of table: OwnTable, _ seconds: Int, _ batch: Batch
  ) throws(NetlinkSocket.Failure) {
    var hasClock = false
    dumped = []
    for chain in try socket.baseChains(of: table, into: &dumped) {
      // NFTA_CHAIN_NAME.
      guard let name = dumped.name(3, in: chain) else { continue }
      // NFTA_CHAIN_POLICY: NF_DROP.
      if case .open = clock, dumped.number(5, in: chain) != 0 { continue }
      if !hasClock {
        Trial.addClock(clock, of: table, &batch.head)
        Trial.startClock(clock, of: table, seconds: seconds, &batch.head)
      }
      hasClock = true
      Trial.addLead(clock, of: table, dumped.copy(name), whileItRuns: true, &batch.head)
    }
  }

  /// The attributes of each message of a dump, in `dumped`.
  @inline(never)
  private mutating func items(_ type: UInt16, _ table: OwnTable) throws(NetlinkSocket.Failure) -> [Range<Int>]
  {
    dumped = []
    return try socket.items(NetlinkSocket.request(type, table, isDump: true), into: &dumped)
  }

  mutating func send(
    _ batch: Batch, _ bytes: [UInt8], _ before: NetlinkSocket.Generation, _ report: FirewallReport,
    _ wanted: WantedTable?
  ) throws(NetlinkSocket.Failure) -> Sent {
    let room = try socket.makeSendRoom(batch.count)
    guard batch.count <= room else {
      report.failForRoom(batch.count, room: room)
      return .refused
    }
    do { try batch.send(socket, bytes) } catch {
      report.fail("the batch could not be sent", errorNumber: error.errorNumber)
      if NetlinkSocket.generation() == before.number { return .refused }
      report.wasSent = true
      return .doubtful
    }
    report.wasSent = true
    let answers = BatchAnswers(&socket)
    let after = try socket.generation()
    report.generation = (before.number, after.number)
    guard let error = answers.error else {
      // The kernel took the whole batch, and nobody else's came between (docs/apply.md).
      if answers.isAcknowledged, !answers.isIncomplete, after.number == before.number &+ 1 {
        return .committed
      }
      report.fail("delivery is doubtful", errorNumber: 0)
      return .doubtful
    }
    if answers.isOutrun { return .outrun }
    if let wanted {
      report.take(error, batch: batch, wanted: wanted)
    } else {
      report.fail("refused by the kernel", errorNumber: error.errorNumber)
    }
    return .refused
  }

  // MARK: Taking away

  /// The tables from before rule again, and nothing of a try is left. False: the report says why.
  ///
  /// In two batches: no packet may meet the one from before while that is silent, and the other when that is gone.
  mutating func takeAway(_ report: FirewallReport) throws(NetlinkSocket.Failure) -> Bool {
    for _ in 0...(2 * Self.maximumRestarts) {
      let generation = try socket.generation()
      let batch = Batch(generation)
      for clock in 0..<2 {
        try addRemovals(clock == 0 ? .trying : .open, of: .policy, batch)
        try addRemovals(clock == 0 ? .trying : .open, of: .closed, batch)
      }
      let isLast = batch.isEmpty
      if isLast {
        guard try socket.holds(.trying) else { return true }
        lockdown_wait_for_packets()
        batch.beginRemoval(Wire.deleteTable, .trying)
      } else if try Trial.left(.trying, &socket) > 0 {
        // Whatever becomes of this process, it is no longer than that beside the other.
        Trial.restartClock(seconds: Self.overlap, batch)
      }
      batch.end()
      switch try send(batch, [], generation, report, nil) {
      case .committed where !isLast: continue
      case .committed: return true
      case .refused: return false
      case .outrun, .doubtful: continue
      }
    }
    return false
  }

  @inline(never)
  private mutating func addRemovals(
    _ clock: Trial.Clock, of table: OwnTable, _ batch: Batch
  ) throws(NetlinkSocket.Failure) {
    guard try Trial.has(clock.name, table, &socket) else { return }
    for rule in try items(Wire.getRule, table) {
      // NFTA_RULE_CHAIN, NFTA_RULE_HANDLE.
      guard Trial.isLead(clock, dumped, rule), let chain = dumped.name(2, in: rule),
        let handle = dumped.attribute(3, in: rule)
      else { continue }
      batch.beginRemoval(Wire.deleteRule, table)
      batch.head.append(2, name: dumped, chain)
      batch.head.append(3, payload: dumped.copy(handle))
    }
    batch.beginRemoval(Wire.deleteSet, table)
    batch.head.append(2, text: clock.name)
  }

  // MARK: Questions

  /// Milliseconds until the kernel ends an opening, and a try; 0: there is none, or nobody may ask.
  @inline(never)
  static func left() -> (open: Int, trying: Int) {
    do {
      var socket = try NetlinkSocket()
      return (try Trial.left(.open, &socket), try Trial.left(.trying, &socket))
    } catch { return (0, 0) }
  }

  static func isFresh(_ ends: [UInt8]) -> Bool {
    do {
      var socket = try NetlinkSocket()
      return try Trial.isFresh(ends, &socket)
    } catch { return false }
  }
}
