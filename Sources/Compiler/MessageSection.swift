internal import NFTables
internal import Ruleset
internal import SHA2

/// The finished netlink messages of a policy, labelled with their own digest.
///
/// The label of the object `policy_digest` (userdata record 0x80, 32 bytes) is the SHA-256 of all messages one
/// after the other, in their order, as they stand in the bundle but for that label itself, whose 32 bytes count
/// as zeros. It tells apart what two compilers made of one policy.
enum MessageSection {
  static func encode(
    _ ruleset: Ruleset, sourceIndex: @escaping @Sendable (String) -> UInt32
  ) throws(NFTablesError) -> [EncodedMessage] {
    let zeros = [UInt8](repeating: 0, count: SHA256.byteCount)
    var messages = try encode(labelled(ruleset, zeros), sourceIndex)
    var hasher = SHA256()
    for message in messages { hasher.update(message.bytes) }
    // Only the objects' messages change, and there are few of them.
    var objects = try encode(labelled(objectsOnly(ruleset), hasher.finish()), sourceIndex)
      .filter { $0.kind == .object }[...]
    for index in messages.indices where messages[index].kind == .object {
      guard let object = objects.popFirst() else { break }
      messages[index] = object
    }
    return messages
  }

  private static func encode(
    _ ruleset: Ruleset, _ sourceIndex: @escaping @Sendable (String) -> UInt32
  ) throws(NFTablesError) -> [EncodedMessage] {
    try BatchEncoder.encode(ruleset, sourceIndex: sourceIndex)
  }

  private static func labelled(_ ruleset: Ruleset, _ label: [UInt8]) -> Ruleset {
    var ruleset = ruleset
    for table in ruleset.tables.indices {
      for object in ruleset.tables[table].objects.indices
      where ruleset.tables[table].objects[object].name == KernelName.policyDigest {
        ruleset.tables[table].objects[object].label = label
      }
    }
    return ruleset
  }

  private static func objectsOnly(_ ruleset: Ruleset) -> Ruleset {
    var ruleset = ruleset
    for table in ruleset.tables.indices {
      ruleset.tables[table].chains = []
      ruleset.tables[table].sets = []
    }
    return ruleset
  }
}

/// All messages of a bundle.
struct KernelMessages: Sendable {
  var rules: [EncodedMessage]
  var closed: [EncodedMessage]
  var deviceChains: [DeviceBatch]
  var controlGroups: [ControlGroupElement]

  init(of ruleset: Ruleset, closed: Ruleset, _ items: ItemList) throws(NFTablesError) {
    let sourceIndex: @Sendable (String) -> UInt32 = { items.index(of: $0) }
    rules = try MessageSection.encode(ruleset, sourceIndex: sourceIndex)
    self.closed = try MessageSection.encode(closed, sourceIndex: sourceIndex)
    deviceChains = try BatchEncoder.encodeDeviceChains(of: ruleset, sourceIndex: sourceIndex)
    controlGroups = try BatchEncoder.encodeControlGroups(of: ruleset, sourceIndex: sourceIndex)
  }
}
