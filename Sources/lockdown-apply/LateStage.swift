import CLinux

/// What no batch of a whole policy can have: the chain of a device, and the number of a control group, which are there only
/// while those are. Each comes into, or goes from, a table of ours that stands; whatever else that holds stays as it is.
struct LateStage {
  let reader: BundleReader
  let table: OwnTable
  /// The bundle's, where the messages that come late name that table.
  let bytes: [UInt8]
  private(set) var hasChanged = false

  private static var maximumRounds: Int { 5 }

  init(_ reader: BundleReader, _ table: OwnTable) {
    self.reader = reader
    self.table = table
    var bytes = reader.bytes
    if case .trying = table {
      for item in reader.late { Trial.rename(item.messages, in: &bytes) }
    }
    self.bytes = bytes
  }

  /// Settles what live tables of this policy lack, the one of a try as well.
  ///
  /// - Parameter rules: becomes true where the policy is not only tried.
  static func run(_ reader: BundleReader, _ report: FirewallReport, rules: inout Bool) -> FirewallOutcome {
    let label = LoadedIdentity.label(of: reader)
    var isLive = false
    var hasChanged = false
    var failure: FirewallOutcome?
    do {
      var socket = try NetlinkSocket()
      report.generation.before = try socket.generation().number
      for table in [OwnTable.policy, .trying] {
        guard let held = try LoadedIdentity.label(of: table, &socket), held.isEqual(label) else { continue }
        isLive = true
        if case .policy = table { rules = true }
        report.loadedBefore = held
        var stage = LateStage(reader, table)
        for device in 0..<reader.late.count where reader.late[device].kind == .device {
          failure = try stage.settle(device, &socket, looksOnly: false, report) ?? failure
        }
        failure = try stage.settle(nil, &socket, looksOnly: false, report) ?? failure
        if stage.hasChanged { hasChanged = true }
      }
    } catch {
      report.fail("netlink", errorNumber: error.errorNumber)
      return .unknown
    }
    guard isLive else {
      report.fail("no table of this policy is live", errorNumber: 0)
      return .refused
    }
    return failure ?? .equal(hasChanged ? .completed : .unchanged)
  }

  /// Each device in a batch of its own, for one that is gone again makes the kernel refuse the whole; or, for nil, all control
  /// groups. What the table holds then decides, not an answer of the kernel. Nil: it is so.
  @inline(never)
  mutating func settle(
    _ device: Int?, _ socket: inout NetlinkSocket, looksOnly: Bool, _ report: FirewallReport
  ) throws(NetlinkSocket.Failure) -> FirewallOutcome? {
    // Each question to the kernel counts at boot.
    if reader.late.isEmpty { return nil }
    for _ in 0...Self.maximumRounds {
      let before = try socket.generation()
      let batch = Batch(before)
      if let device {
        try addChain(device, batch, &socket)
      } else {
        for index in 0..<reader.late.count { try addGroups(index, batch, &socket) }
      }
      report.generation.after = before.number
      if batch.isEmpty { return nil }
      if looksOnly {
        report.differences.append(Array("control groups are others"))
        return .different
      }
      batch.end()
      guard try socket.makeSendRoom(batch.count) >= batch.count else {
        throw NetlinkSocket.Failure(errorNumber: ErrorNumber.tooLong)
      }
      try batch.send(socket, [])
      let answers = BatchAnswers(&socket)
      guard let error = answers.error else {
        hasChanged = true
        continue
      }
      switch error.errorNumber {
      // Another writer; or the device, or what goes with it, has gone meanwhile.
      case ErrorNumber.restart: break
      case ErrorNumber.notFound, ErrorNumber.noDevice: if device == nil { fallthrough }
      default:
        return fail(
          device, "a control group is refused", "the chain of a device is refused", error.errorNumber, report)
      }
    }
    return fail(device, "control groups are others each time", "a device is another each time", 0, report)
  }

  /// Without a chain the table is as before; of the numbers some may be there.
  private func fail(
    _ device: Int?, _ groups: Literal, _ chain: Literal, _ errorNumber: Int, _ report: FirewallReport
  ) -> FirewallOutcome {
    report.fail(device == nil ? groups : chain, errorNumber: errorNumber)
    return device == nil ? .unknown : .refused
  }

  /// What gives the table the chain of a device that is there, and takes away one of a device that is gone or has another name.
  private func addChain(
    _ index: Int, _ batch: Batch, _ socket: inout NetlinkSocket
  ) throws(NetlinkSocket.Failure) {
    let chain = reader.late[index].messages[0]
    let wanted = (chain.range.lowerBound + NetlinkHeader.byteCountWithFamily)..<chain.range.upperBound
    let isThere = WaitingChains.isThere(reader, index)
    var dumped: [UInt8] = []
    var isBound = false
    for found in try socket.items(NetlinkSocket.request(Wire.getChain, table, isDump: true), into: &dumped) {
      // A dump of chains does not ask for the table. NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME.
      guard dumped.holds(table.name, at: dumped.name(1, in: found) ?? 0..<0),
        bytes.isEqual(chain.name, dumped, dumped.name(3, in: found) ?? 0..<0)
      else { continue }
      isBound = isThere && AttributeComparison(sent: bytes, dumped: dumped).isEqual(wanted, found, .chain)
      if isBound { break }
      // NFTA_RULE_CHAIN, NFTA_CHAIN_NAME.
      batch.beginRemoval(Wire.deleteRule, table)
      batch.head.append(2, name: bytes, chain.name)
      batch.beginRemoval(Wire.deleteChain, table)
      batch.head.append(3, name: bytes, chain.name)
    }
    guard isThere, !isBound else { return }
    for message in reader.late[index].messages { batch.head.append(finished: bytes, message.range) }
    // Of a table and the one that is tried in its place one is silent.
    switch table {
    case .trying: Trial.addLead(.trying, of: table, bytes.copy(chain.name), whileItRuns: false, &batch.head)
    case .policy, .closed:
      guard try Trial.has(Trial.Clock.trying.name, table, &socket) else { return }
      Trial.addLead(.trying, of: table, bytes.copy(chain.name), whileItRuns: true, &batch.head)
    }
  }
}
