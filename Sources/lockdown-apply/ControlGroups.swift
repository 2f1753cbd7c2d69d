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
    Follower.watch(path.bytes)
    return unsafe lockdown_control_group(path.bytes)
  }
}

extension LateStage {
  /// What makes the set of a late item hold what it should, with the first of the items that have one set.
  @inline(never)
  func addGroups(
    _ first: Int, _ batch: Batch, _ socket: inout NetlinkSocket
  ) throws(NetlinkSocket.Failure) {
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
      adding.append(element: message.range, of: bytes, key: number)
    }
    var request = NetlinkSocket.request(Wire.getElements, table, isDump: true)
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
      batch.beginRemoval(Wire.deleteElements, table)
      // Without a list of elements it is about all of them.
      batch.head.append(2, name: reader.bytes, name)
    }
    batch.head.append(adding)
  }
}
