internal import CNFTables
package import Ruleset

/// What a network namespace holds at one generation.
package struct LiveRuleset: Sendable, Equatable {
  package var generation: UInt32
  /// The tables asked for, in the kernel's order.
  package var tables: [DumpedTable]
  /// All other tables.
  package var foreignTables: [TableName]
  /// Base chains of the other tables.
  package var foreignBaseChains: [ForeignChain]

  package struct TableName: Sendable, Hashable {
    /// linux/netfilter.h NFPROTO_*.
    package var family: UInt8
    package var name: String

    package init(family: UInt8, name: String) {
      self.family = family
      self.name = name
    }
  }

  package struct ForeignChain: Sendable, Equatable {
    package var table: TableName
    package var name: String
    /// Nil for a hook on a device, and for what we never write.
    package var base: BaseHook?
  }

  // A writer that is faster than a dump five times in a row will be so a sixth time.
  private static let attempts = 5

  /// Reads the tables that `isOwn` selects in full, and of the others what stands in our way.
  ///
  /// All replies are of one generation: the kernel marks a dump of elements that changed meanwhile with nothing
  /// but the generation in each reply.
  package static func read(
    _ socket: inout NetlinkSocket, isOwn: (TableName) -> Bool
  ) throws(NFTablesError) -> LiveRuleset {
    for _ in 0..<attempts {
      if let ruleset = try attempt(&socket, isOwn: isOwn) { return ruleset }
    }
    throw .changedWhileReading(attempts: attempts)
  }

  /// Nil if the ruleset changed meanwhile.
  private static func attempt(
    _ socket: inout NetlinkSocket, isOwn: (TableName) -> Bool
  ) throws(NFTablesError) -> LiveRuleset? {
    let generation = try socket.generation()
    var isConsistent = true
    func dump(
      _ type: nf_tables_msg_types, family: UInt8 = UInt8(NFPROTO_UNSPEC), _ socket: inout NetlinkSocket,
      _ body: (inout MessageBuffer) -> Void = { _ in }
    ) throws(NFTablesError) -> [Message] {
      let reply: NetlinkSocket.Reply
      do {
        reply = try socket.request(type, family: family, isDump: true, body)
      } catch .refused(let errorNumber, _, _) where errorNumber == LiveRuleset.vanished {
        // What the dump before named has gone meanwhile.
        isConsistent = false
        return []
      }
      let expected = UInt16(truncatingIfNeeded: generation)
      if reply.isInterrupted || reply.messages.contains(where: { $0.resource != expected }) {
        isConsistent = false
      }
      return reply.messages
    }

    var assembler = DumpAssembler(namesSources: false)
    var own: [TableName] = []
    var foreign: [TableName] = []
    for message in try dump(NFT_MSG_GETTABLE, &socket) {
      let name = TableName(
        family: message.family, name: try message.attributes().string(NFTA_TABLE_NAME) ?? "")
      if isOwn(name) {
        own.append(name)
        try assembler.take(message)
      } else {
        foreign.append(name)
      }
    }
    var foreignChains: [ForeignChain] = []
    for message in try dump(NFT_MSG_GETCHAIN, &socket) {
      let attributes = try message.attributes()
      let table = TableName(family: message.family, name: attributes.string(NFTA_CHAIN_TABLE) ?? "")
      if own.contains(table) {
        try assembler.take(message)
      } else if attributes[NFTA_CHAIN_HOOK] != nil {
        foreignChains.append(
          ForeignChain(
            table: table, name: attributes.string(NFTA_CHAIN_NAME) ?? "", base: BaseHook(attributes)))
      }
    }
    for table in own {
      for message in try dump(
        NFT_MSG_GETOBJ, family: table.family, &socket, { $0.append(NFTA_OBJ_TABLE, string: table.name) })
      {
        try assembler.take(message)
      }
      let sets = try dump(NFT_MSG_GETSET, family: table.family, &socket) {
        $0.append(NFTA_SET_TABLE, string: table.name)
      }
      for message in sets { try assembler.take(message) }
      for message in sets {
        guard let set = try message.attributes().string(NFTA_SET_NAME) else { continue }
        let elements = try dump(NFT_MSG_GETSETELEM, family: table.family, &socket) { request in
          request.append(NFTA_SET_ELEM_LIST_TABLE, string: table.name)
          request.append(NFTA_SET_ELEM_LIST_SET, string: set)
        }
        for message in elements { try assembler.take(message) }
      }
      for message in try dump(
        NFT_MSG_GETRULE, family: table.family, &socket, { $0.append(NFTA_RULE_TABLE, string: table.name) })
      {
        try assembler.take(message)
      }
    }
    guard isConsistent, try socket.generation() == generation else { return nil }
    return LiveRuleset(
      generation: generation, tables: try assembler.assembled(), foreignTables: foreign,
      foreignBaseChains: foreignChains)
  }

  // ENOENT, asm-generic/errno-base.h.
  private static let vanished: Int32 = 2

  /// One named counter; nil if it, or its table, is not there.
  package static func counter(
    _ name: String, in table: TableName, _ socket: inout NetlinkSocket
  ) throws(NFTablesError) -> DumpedObject? {
    do {
      let reply = try socket.request(NFT_MSG_GETOBJ, family: table.family, isDump: false) { request in
        request.append(NFTA_OBJ_TABLE, string: table.name)
        request.append(NFTA_OBJ_NAME, string: name)
        request.append(NFTA_OBJ_TYPE, number: UInt32(NFT_OBJECT_COUNTER))
      }
      guard let message = reply.messages.first else { return nil }
      return try DumpedObject(message.attributes())
    } catch .refused(let errorNumber, _, _) where errorNumber == vanished {
      return nil
    }
  }
}
