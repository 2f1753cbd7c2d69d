import CLinux

/// A control group of the unified hierarchy. It has its number only while it is there, and another one each time it is made.
enum ControlGroup {
  /// 0: it is not there, or the hierarchy is not, where systemd mounts it, alone or beside the older ones.
  ///
  /// - Parameter name: the path below the root of the hierarchy.
  static func number(_ bytes: [UInt8], _ name: Range<Int>) -> UInt64 {
    let number = number("/sys/fs/cgroup/", bytes, name)
    return number != 0 ? number : Self.number("/sys/fs/cgroup/unified/", bytes, name)
  }

  @inline(never)
  private static func number(_ root: Literal, _ bytes: [UInt8], _ name: Range<Int>) -> UInt64 {
    var path = Text(root)
    path.add(bytes, name)
    path.add(byte: 0)
    return unsafe lockdown_control_group(path.bytes)
  }
}

extension FirewallStage {
  private static var maximumRounds: Int { 5 }

  /// Puts the numbers of the control groups that are there into their sets, and takes out those of others. What the sets
  /// hold decides, not an answer of the kernel. Nil: it is so.
  @inline(never)
  mutating func fillGroups(_ options: Options, _ report: FirewallReport) throws(NetlinkSocket.Failure)
    -> FirewallOutcome?
  {
    // Each question to the kernel counts at boot.
    if wanted.reader.late.isEmpty { return nil }
    for _ in 0...Self.maximumRounds {
      let before = try socket.generation()
      var batch = Batch()
      var head = MessageWriter()
      Batch.begin(&head, before.number)
      let start = head.count
      for index in 0..<wanted.reader.late.count { try addGroups(index, batch, &head) }
      report.generation.after = before.number
      if head.count == start { return nil }
      if options.looksOnly {
        report.differences.append(Array("control groups are others"))
        return .different
      }
      batch.end(head)
      guard try send(batch, before, report) else { return .unknown }
      for answer in BatchAnswers(&socket).errors where answer.errorNumber != ErrorNumber.restart {
        report.fail("a control group is refused", errorNumber: answer.errorNumber)
        return .unknown
      }
    }
    report.fail("control groups are others each time", errorNumber: 0)
    return .unknown
  }

  /// What makes the set of a late item hold what it should, with the first of the items that have one set.
  @inline(never)
  private mutating func addGroups(
    _ first: Int, _ batch: Batch, _ head: inout MessageWriter
  ) throws(NetlinkSocket.Failure) {
    let reader = wanted.reader
    guard reader.late[first].kind == .controlGroup else { return }
    let name = reader.late[first].messages[0].name
    var adding = MessageWriter()
    var count = 0
    for index in 0..<reader.late.count where reader.late[index].kind == .controlGroup {
      let message = reader.late[index].messages[0]
      guard reader.bytes.isEqual(message.name, reader.bytes, name) else { continue }
      if index < first { return }
      let number = ControlGroup.number(reader.bytes, reader.late[index].name)
      guard number != 0 else { continue }
      count += 1
      adding.append(element: message.range, of: reader.bytes, key: number)
    }
    var request = NetlinkSocket.request(Wire.getElements, isDump: true)
    request.append(2, name: reader.bytes, name)
    var dumped: [UInt8] = []
    var held: [Range<Int>] = []
    for message in try socket.items(request, into: &dumped) {
      // NFTA_SET_ELEM_LIST_ELEMENTS.
      if let nest = dumped.attribute(3, in: message) { dumped.appendItems(of: nest, to: &held) }
    }
    var found = 0
    for element in held {
      // NFTA_SET_ELEM_KEY {NFTA_DATA_VALUE}.
      guard let data = dumped.attribute(1, in: element), let key = dumped.attribute(1, in: data) else {
        continue
      }
      // All messages are of one length, and end in their key.
      for index in 1...max(count, 1) where count > 0 {
        let end = adding.count / count * index
        if adding.bytes.isEqual((end - 8)..<end, dumped, key) { found += 1 }
      }
    }
    if found == count, held.count == count { return }
    if !held.isEmpty {
      batch.beginRemoval(Wire.deleteElements, .policy, &head)
      // Without a list of elements it is about all of them.
      head.append(2, name: reader.bytes, name)
    }
    head.append(adding)
  }
}
