import CLinux

/// What came of the firewall stage.
enum FirewallOutcome {
  /// The kernel holds it; `form` says how it came there.
  case equal(FirewallForm)
  /// Only looked: it differs.
  case different
  /// The state from before is there.
  case refused
  /// Sent, but what is loaded is not known, or not what was sent.
  case unknown
}

/// How a wanted table came into the kernel.
enum FirewallForm {
  case unchanged
  case fresh
  /// `removals`: messages that took something away, the flush of all rules among them.
  case replaced(removals: Int)
  /// It has got what was not there before.
  case completed
}

/// Makes a table of ours, in the kernel, what the bundle says, and reads it back.
///
/// No answer of the kernel is believed by itself: an acknowledgement arrives for batches that were dropped,
/// and none for some that were committed. What counts is the generation and what a dump shows.
struct FirewallStage: ~Copyable {
  let wanted: WantedTable
  var socket: NetlinkSocket

  // Limits of what is done again, each for its own cause (docs/apply.md).
  private static let maximumRestarts = 5
  private static let maximumRetries = 3
  private static let maximumDumps = 5

  private var aheadRounds = 0
  private var restarts = 0
  private var retries = 0
  private var hasMetNewTable = false
  /// Sets of the bundle, by position, that were loaded before the rules that look them up.
  private var ahead: [Int] = []
  /// Sets of the bundle, by position, that batches of this run have made, and the generation that the last of these
  /// has led to: as long as it is the kernel's, they hold what was sent.
  private var made: (sets: [Int], generation: UInt32) = ([], 0)
  /// Tables of ours that stand beside, at the last look.
  private var others = OtherTables()
  /// The closed firewall takes the place of a policy, whatever that is: it is loaded beside it, and then the policy goes.
  var isTakingOver = false

  init(_ reader: BundleReader, _ table: OwnTable) throws(NetlinkSocket.Failure) {
    wanted = WantedTable(reader, table)
    socket = try NetlinkSocket()
  }

  /// The socket stays open until this value ends: where something was deleted, closing it waits for the
  /// kernel's own clean-up, and other work can be done meanwhile.
  mutating func run(_ options: Options, _ report: FirewallReport) -> FirewallOutcome {
    let outcome = attemptAll(options, report)
    switch outcome {
    case .refused: takeBackSetsAhead(report)
    case .equal(let form):
      if wanted.isClosedStage, !isTakingOver { return outcome }
      others.policy = isTakingOver
      do {
        let behind = others.isEmpty ? outcome : try removeOthers(form, report)
        guard case .equal = behind, !isTakingOver else { return behind }
        var late = LateStage(wanted.reader, .policy)
        return try late.settle(nil, &socket, looksOnly: options.looksOnly, report) ?? behind
      } catch {
        report.fail("netlink", errorNumber: error.errorNumber)
        return .unknown
      }
    case .different, .unknown: break
    }
    return outcome
  }

  private mutating func attemptAll(_ options: Options, _ report: FirewallReport) -> FirewallOutcome {
    while true {
      do {
        if let outcome = try attempt(options, report) { return outcome }
      } catch {
        report.fail("netlink", errorNumber: error.errorNumber)
        return report.wasSent ? .unknown : .refused
      }
    }
  }

  /// Nil: once more.
  private mutating func attempt(_ options: Options, _ report: FirewallReport) throws(NetlinkSocket.Failure)
    -> FirewallOutcome?
  {
    // What is asked behind the generation is so when the batch comes, or that is refused.
    var before = try socket.generation()
    let batch: Batch
    let form: FirewallForm
    report.attempts += 1
    if wanted.isClosedStage, !isTakingOver {
      // A name is no firewall: a table can be asleep, be empty, or be what an ended try has left.
      if try socket.rules(.policy) { return .equal(.unchanged) }
    }
    if try !socket.holds(wanted.kind) {
      report.loadedBefore = []
      if options.looksOnly {
        report.differences = [Array("the table is not there")]
        return .different
      }
      batch = .fresh(wanted, before)
      form = .fresh
    } else {
      guard let (generation, live, comparison) = try compare() else {
        report.fail("the ruleset changed during each of 5 dumps", errorNumber: 0)
        return report.wasSent ? .unknown : .refused
      }
      if !wanted.isClosedStage { before = generation }
      report.take(foreign: live)
      report.loadedBefore = LoadedIdentity.label(of: live)
      guard let comparison else { return nil }
      if options.looksOnly { comparison.noteOthers() }
      if comparison.isOpened, options.looksOnly {
        report.note("opened, or what an opening has left is there: a policy that is applied takes it away")
      }
      if comparison.isEqual {
        report.generation = (before.number, before.number)
        return .equal(report.committedForm ?? .unchanged)
      }
      report.take(differences: comparison)
      if options.looksOnly { return .different }
      if options.readsBack, comparison.hasOtherFlags || !comparison.setsAhead.isEmpty {
        return try sendAhead(comparison.setsAhead, before: before, report)
      }
      batch = .replacing(live, by: wanted, comparison, before)
      form = .replaced(removals: batch.removals.count)
    }
    return try commit(batch, form, before: before, options, report)
  }

  /// Loads interval sets that are new, wakes the table, and then all is looked at again.
  private mutating func sendAhead(
    _ sets: [Int], before: NetlinkSocket.Generation, _ report: FirewallReport
  ) throws(NetlinkSocket.Failure) -> FirewallOutcome? {
    let batch = Batch.ahead(sets, of: wanted, before)
    guard try send(batch, before, report) else { return .refused }
    let answers = BatchAnswers(&socket)
    let after = try socket.generation()
    noteMade(batch, answers, before: before, after: after)
    if let error = answers.error {
      return decide(error, answers, batch, .unchanged, before: before, after: after, report)
    }
    if after.number != before.number { ahead += sets }
    // Who takes them away each time makes this end.
    aheadRounds += 1
    if aheadRounds <= Self.maximumRetries { return nil }
    report.fail("sets that were loaded are gone again each time", errorNumber: 0)
    return .refused
  }

  /// The state from before, to the last set; what does not succeed here the next run does.
  private mutating func takeBackSetsAhead(_ report: FirewallReport) {
    guard !ahead.isEmpty else { return }
    do {
      let before = try socket.generation()
      let batch = Batch.takingBack(ahead, of: wanted, before)
      guard try socket.makeSendRoom(batch.count) >= batch.count else { return report.note(Self.leftBehind) }
      try batch.send(socket, wanted.bytes)
      let answers = BatchAnswers(&socket)
      let after = try socket.generation()
      if answers.error != nil || after.number == before.number { report.note(Self.leftBehind) }
    } catch { report.note(Self.leftBehind) }
  }

  private static var leftBehind: Literal { "sets that no rule uses are left; the next run removes them" }

  /// Takes away what stood in the policy's place, in a batch of its own: the hook of a table that goes accepts what comes,
  /// and a packet that set out before may have no other one before it.
  private mutating func removeOthers(
    _ form: FirewallForm, _ report: FirewallReport
  ) throws(NetlinkSocket.Failure) -> FirewallOutcome {
    lockdown_wait_for_packets()
    var form = form
    for _ in 0...Self.maximumRestarts {
      let before = try socket.generation()
      if isTakingOver {
        others.policy = try socket.holds(.policy)
      } else {
        others.closed = try socket.holds(.closed)
      }
      others.trying = try socket.holds(.trying)
      if others.isEmpty { return .equal(form) }
      guard try socket.holds(wanted.kind) else {
        report.fail("somebody took the table away", errorNumber: 0)
        report.isNeither = true
        return .unknown
      }
      let batch = Batch.removing(others, before)
      guard try send(batch, before, report) else { return .unknown }
      report.wasSent = true
      let answers = BatchAnswers(&socket)
      let after = try socket.generation()
      report.generation = (report.generation.before, after.number)
      guard let error = answers.error else {
        if case .unchanged = form { form = .replaced(removals: others.closed && others.trying ? 2 : 1) }
        continue
      }
      if error.errorNumber == ErrorNumber.restart { continue }
      report.fail("the table from before cannot be taken away", errorNumber: error.errorNumber)
      return .unknown
    }
    report.fail("the table from before is there again each time", errorNumber: 0)
    return .unknown
  }

  /// False: not sent, and the report says why.
  mutating func send(
    _ batch: Batch, _ before: NetlinkSocket.Generation, _ report: FirewallReport
  ) throws(NetlinkSocket.Failure) -> Bool {
    let room = try socket.makeSendRoom(batch.count)
    guard batch.count <= room else {
      report.failForRoom(batch.count, room: room)
      return false
    }
    do { try batch.send(socket, wanted.bytes) } catch {
      report.fail("the batch could not be sent", errorNumber: error.errorNumber)
      // An error is believed no more than an acknowledgement; answers may wait in this socket.
      return NetlinkSocket.generation() != before.number
    }
    return true
  }

  private mutating func commit(
    _ batch: Batch, _ form: FirewallForm, before: NetlinkSocket.Generation, _ options: Options,
    _ report: FirewallReport
  ) throws(NetlinkSocket.Failure) -> FirewallOutcome? {
    guard try send(batch, before, report) else { return .refused }
    report.wasSent = true
    let answers = BatchAnswers(&socket)
    if !options.readsBack {
      // For measuring what sending alone costs; nothing is claimed.
      report.fail("not read back, as asked", errorNumber: 0)
      return .unknown
    }
    let after = try socket.generation()
    report.generation = (before.number, after.number)
    noteMade(batch, answers, before: before, after: after)
    if let error = answers.error {
      return decide(error, answers, batch, form, before: before, after: after, report)
    }
    guard after.number != before.number else {
      // The kernel did not commit: the end of the batch was lost.
      return again("the kernel did not commit the batch", report)
    }
    guard let (_, live, comparison) = try compare() else {
      report.fail("the ruleset changed during each of 5 dumps", errorNumber: 0)
      return .unknown
    }
    report.take(foreign: live)
    if let comparison {
      if comparison.isEqual {
        if after.number != before.number &+ 1 { report.note("another writer was at work too") }
        if !answers.isAcknowledged || answers.isIncomplete {
          report.note("delivery doubtful: not all answers came")
        }
        return .equal(form)
      }
      report.take(differences: comparison)
    } else {
      report.differences = [Array("the table is not there")]
    }
    // Ours or not, the next attempt starts from what is there now.
    report.committedForm = form
    report.note("what was read back is not what was sent")
    return again("what was read back is not what was sent", report)
  }

  /// An error of the kernel means that nothing of the batch is applied.
  private mutating func decide(
    _ error: BatchAnswers.Failure, _ answers: BatchAnswers, _ batch: Batch, _ form: FirewallForm,
    before: NetlinkSocket.Generation, after: NetlinkSocket.Generation, _ report: FirewallReport
  ) -> FirewallOutcome? {
    if error.errorNumber == ErrorNumber.exists, case .fresh = form, error.type == Wire.newTable,
      !hasMetNewTable
    {
      hasMetNewTable = true
      return nil
    }
    if answers.isOutrun {
      restarts += 1
      report.note("another writer was faster")
      if restarts <= Self.maximumRestarts { return nil }
      report.fail("other writers changed the ruleset each time", errorNumber: ErrorNumber.restart)
      return .refused
    }
    report.take(error, batch: batch, wanted: wanted)
    return .refused
  }

  private mutating func again(_ reason: Literal, _ report: FirewallReport) -> FirewallOutcome? {
    retries += 1
    if retries < Self.maximumRetries { return nil }
    report.fail(reason, errorNumber: 0)
    report.isNeither = report.generation.before != report.generation.after
    return report.isNeither ? .unknown : .refused
  }

  /// A batch that was taken whole, with nobody else's in between, has made its sets as they were sent.
  private mutating func noteMade(
    _ batch: Batch, _ answers: BatchAnswers, before: NetlinkSocket.Generation, after: NetlinkSocket.Generation
  ) {
    guard answers.error == nil, answers.isAcknowledged, !answers.isIncomplete,
      after.number == before.number &+ 1
    else { return }
    made = (before.number == made.generation ? made.sets + batch.sets : batch.sets, after.number)
  }

  /// The live state at one generation, and how it differs, where our table is there; nil if it changed during every
  /// one of five dumps.
  private mutating func compare() throws(NetlinkSocket.Failure)
    -> (NetlinkSocket.Generation, LiveTable, TableComparison?)?
  {
    for _ in 0..<Self.maximumDumps {
      let before = try socket.generation()
      let live: LiveTable
      do { live = try LiveTable(&socket, generation: before.number, wanted) } catch {
        // What one dump named was gone at the next.
        if error.errorNumber == ErrorNumber.notFound || error.errorNumber == ErrorNumber.interrupted {
          continue
        }
        throw error
      }
      let comparison = live.table == nil ? nil : TableComparison(wanted: wanted, live: live)
      if live.isConsistent, let comparison { try askForLargeSets(comparison, live, at: before.number) }
      let after = try socket.generation()
      others = live.others
      if live.isConsistent, before.number == after.number { return (after, live, comparison) }
    }
    return nil
  }

  private mutating func askForLargeSets(
    _ comparison: TableComparison, _ live: LiveTable, at generation: UInt32
  ) throws(NetlinkSocket.Failure) {
    for index in comparison.largeSets {
      let position = live.sets[index].large
      if generation == made.generation, made.sets.contains(position) { continue }
      // NFTA_SET_COUNT.
      let count = live.bytes.number(20, in: live.sets[index].attributes)
      var isHeld = wanted.hasCount(count, of: wanted.sets[position]) ?? true
      if isHeld { isHeld = try socket.holdsElements(of: wanted.sets[position], in: wanted) }
      if !isHeld { comparison.takeAwayLarge(index) }
    }
  }
}

/// What the kernel said to a batch.
struct BatchAnswers {
  struct Failure {
    var errorNumber: Int
    /// Source of the policy, or from `Wire.firstRemoval` on the number of a removal.
    var sequence: UInt32
    /// NFT_MSG_*; of the batch itself 0x10 or 0x11.
    var type: UInt16
    /// Of the attribute in question, from the start of the message, in bytes; nil: none.
    var offset: Int?
  }

  /// The first one: it is the message at fault, and what comes behind may only miss that.
  private(set) var error: Failure?
  /// Another writer came between.
  private(set) var isOutrun = false
  private(set) var isAcknowledged = false
  /// Answers were lost, or could not be read.
  private(set) var isIncomplete = false

  // NLMSGERR_ATTR_OFFS.
  private static let offsetAttribute: UInt16 = 2

  init(_ socket: inout NetlinkSocket) {
    while true {
      do {
        guard let bytes = try socket.answer() else { return }
        take(bytes)
      } catch {
        // ENOBUFS: what was lost comes never; what is queued still does.
        isIncomplete = true
        if error.errorNumber != ErrorNumber.noBuffers { return }
      }
    }
  }

  private mutating func take(_ bytes: [UInt8]) {
    var offset = 0
    while let header = NetlinkHeader(bytes, at: offset, end: bytes.count) {
      defer { offset += (header.length + 3) & ~3 }
      // struct nlmsgerr: the error, then the header of the message it is about.
      let code = offset + NetlinkHeader.byteCount
      guard header.type == Wire.errorMessage, header.length >= 2 * NetlinkHeader.byteCount + 4 else {
        continue
      }
      let errorNumber = -Int(Int32(bitPattern: bytes.littleEndian(code)))
      if errorNumber == ErrorNumber.restart { isOutrun = true }
      if errorNumber == 0 {
        isAcknowledged = true
      } else if error == nil {
        let about = code + 4
        let type = UInt16(bytes[about + 4]) | UInt16(bytes[about + 5]) << 8
        var attributeOffset: Int?
        if header.flags & Wire.acknowledgeRecords != 0 {
          let records = (about + NetlinkHeader.byteCount)..<(offset + header.length)
          if let payload = bytes.attribute(Self.offsetAttribute, in: records), payload.count == 4 {
            attributeOffset = Int(bytes.littleEndian(payload.lowerBound))
          }
        }
        error = Failure(
          errorNumber: errorNumber, sequence: bytes.littleEndian(about + 8), type: type & ~Wire.subsystem,
          offset: attributeOffset)
      }
    }
  }
}
