internal import CNFTables

/// The messages of a stored batch, decoded for people and for comparisons.
package enum StoredBatch {
  /// Decodes NEW messages, which may come without BATCH_BEGIN and BATCH_END. Each rule's `source` is its
  /// message's sequence number.
  package static func decode(_ messages: [[UInt8]]) throws(NFTablesError) -> [DumpedTable] {
    var assembler = DumpAssembler(namesSources: true)
    for bytes in messages {
      for message in try Message.all(in: bytes) { try assembler.take(message) }
    }
    return try assembler.assembled()
  }

  /// The set that a message's elements are for; nil: it brings none.
  package static func elementsSet(of message: [UInt8]) throws(NFTablesError) -> String? {
    for message in try Message.all(in: message) where message.tablesType == NFT_MSG_NEWSETELEM.rawValue {
      return try message.attributes().string(NFTA_SET_ELEM_LIST_SET)
    }
    return nil
  }
}
