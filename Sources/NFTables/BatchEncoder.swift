internal import CNFTables
package import Ruleset

/// What one device's own base chain is made of.
package struct DeviceBatch {
  package var device: String
  /// The sequence number of the rule that leads to the policy's chain.
  package var source: UInt32
  package var messages: [EncodedMessage]
}

/// What a set takes when a control group is there: one message with one element, whose key, the last 8 bytes, is zero
/// and stands for the group's number.
package struct ControlGroupElement {
  /// Below the root of the hierarchy.
  package var path: String
  /// The sequence number of the first rule that looks the set up.
  package var source: UInt32
  package var message: EncodedMessage
}

/// Encodes a ruleset as the messages of a fresh batch, without its BATCH_BEGIN and BATCH_END: for each table
/// itself, all chains, objects, named sets with their elements, and rules, each after its anonymous sets.
///
/// The messages carry NLM_F_CREATE and never ask for an acknowledgement; port id is 0. The same ruleset
/// gives the same bytes.
package enum BatchEncoder {
  /// - Parameter sourceIndex: the sequence number of a policy rule's messages, by the rule's id; the kernel
  ///   echoes it in errors. Everything that belongs to no rule has 0.
  package static func encode(_ ruleset: Ruleset, sourceIndex: @escaping @Sendable (String) -> UInt32)
    throws(NFTablesError) -> [EncodedMessage]
  {
    try encode(ruleset, expressions: { $0.expressions }, sourceIndex: sourceIndex)
  }

  /// The same with programs from elsewhere than the rules' statements.
  ///
  /// - Parameters:
  ///   - longList: The length from which on the halves of a list of rules are encoded side by side.
  ///   - expressions: A rule's program.
  package static func encode(
    _ ruleset: Ruleset, longList: Int = 1_000,
    expressions: @escaping @Sendable (KernelRule) -> [Expression],
    sourceIndex: @escaping @Sendable (String) -> UInt32
  ) throws(NFTablesError) -> [EncodedMessage] {
    var batch = BatchWriter(longList: longList)
    for table in ruleset.tables {
      try batch.write(table, expressions: expressions, sourceIndex: sourceIndex)
    }
    return batch.messages
  }

  /// What the sets for control groups take late.
  package static func encodeControlGroups(
    of ruleset: Ruleset, sourceIndex: (String) -> UInt32
  ) throws(NFTablesError) -> [ControlGroupElement] {
    var elements: [ControlGroupElement] = []
    for table in ruleset.tables {
      for element in table.lateElements {
        var batch = BatchWriter()
        let source = sourceIndex(element.ruleID)
        let message = try batch.lateElement(of: element.set, in: table, sequence: source)
        elements.append(ControlGroupElement(path: element.path, source: source, message: message))
      }
    }
    return elements
  }

  /// What each device's base chain is made of, once the device and the ruleset are there: a batch for each.
  package static func encodeDeviceChains(
    of ruleset: Ruleset, sourceIndex: @escaping @Sendable (String) -> UInt32
  ) throws(NFTablesError) -> [DeviceBatch] {
    var batches: [DeviceBatch] = []
    for table in ruleset.tables {
      for chain in table.deviceChains {
        guard let device = chain.base?.device else { continue }
        var batch = BatchWriter()
        try batch.write(
          deviceChain: chain, of: table, expressions: { $0.expressions }, sourceIndex: sourceIndex)
        let source = chain.rules.first.map { sourceIndex($0.id) } ?? 0
        batches.append(DeviceBatch(device: device, source: source, messages: batch.messages))
      }
    }
    return batches
  }
}
