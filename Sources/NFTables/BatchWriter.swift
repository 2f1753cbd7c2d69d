internal import CNFTables
internal import Ruleset
internal import SHA2
internal import SideThread

/// Collects the messages of one batch and hands out the numbers of its sets.
struct BatchWriter: ~Copyable {
  private(set) var messages: [EncodedMessage] = []
  private var buffer = MessageBuffer()
  // Numbers are local to the batch; 0 is the kernel's "none".
  private var lastSetID: UInt32 = 0

  // NFT_RULE_MAXEXPRS, include/net/netfilter/nf_tables.h of the kernel.
  private static let maximumExpressions = 128
  // Messages of 500 to 2,000 elements load fastest.
  private static let maximumElementsPerMessage = 2_000
  // The list is one attribute, whose length has 16 bits: the rest is for the element that follows the check.
  private static let maximumListLength = 60_000
  // The first bytes of its spec digest label a named set.
  private static let setLabelLength = 8
  // The kernel puts the first free number in.
  private static let anonymousName = "__set%d"
  private static let anonymousMapName = "__map%d"

  // nf_tables objects: linux/netlink.h flags.
  private static let create = UInt16(NLM_F_REQUEST | NLM_F_CREATE)
  private static let append = UInt16(NLM_F_REQUEST | NLM_F_CREATE | NLM_F_APPEND)

  /// What all rules of a table have in common.
  private struct RuleContext: Sendable {
    var table: String
    var family: UInt8
    var expressions: @Sendable (KernelRule) -> [Expression]
    var sourceIndex: @Sendable (String) -> UInt32
    var namedSets: [String: UInt32]
  }

  private let longList: Int

  /// - Parameters:
  ///   - longList: The length from which on the halves of a list of rules are written side by side.
  ///   - lastSetID: The last number that was given to a set of the batch.
  init(longList: Int = 1_000, lastSetID: UInt32 = 0) {
    self.longList = longList
    self.lastSetID = lastSetID
  }

  mutating func write(
    _ table: Table, expressions: @escaping @Sendable (KernelRule) -> [Expression],
    sourceIndex: @escaping @Sendable (String) -> UInt32
  ) throws(NFTablesError) {
    let family = table.family.rawValue
    let tableName = try ExpressionEncoder.checkedName(table.name)
    let native = try NativeTable()
    try native.set(name: tableName, flags: 0)
    let userdata = try Userdata.records(comment: table.comment, label: [])
    if !userdata.isEmpty { try native.setUserdata(userdata) }
    buffer.begin(NFT_MSG_NEWTABLE, family: family, flags: Self.create, sequence: 0)
    native.write(to: &buffer)
    finish(.table)

    for chain in table.chains { try write(chain, table: tableName, family: family) }
    for object in table.objects { try write(object, table: tableName, family: family) }
    let firstUsers = Self.firstUsersOfSets(in: table)
    var namedSets: [String: UInt32] = [:]
    for set in table.sets {
      guard let name = set.name else { throw .invalidName("") }
      namedSets[name] = try write(
        set, name: name, table: tableName, family: family,
        sequence: firstUsers[name].map(sourceIndex) ?? 0)
    }
    let context = RuleContext(
      table: tableName, family: family, expressions: expressions, sourceIndex: sourceIndex,
      namedSets: namedSets)
    for chain in table.chains { try write(chain.rules, of: chain.name, context) }
  }

  private mutating func write(
    _ rules: [KernelRule], of chain: String, _ context: RuleContext
  ) throws(NFTablesError) {
    guard rules.count >= longList else { return try write(rules[...], of: chain, context) }
    let middle = rules.count / 2
    // Sets are numbered in the order of the rules.
    let setCount = rules[..<middle].reduce(0) { $0 + $1.anonymousSets.count }
    let lastID = lastSetID + UInt32(setCount)
    let beside = SideThread {
      Result { () throws(NFTablesError) in
        var writer = BatchWriter(lastSetID: lastID)
        try writer.write(rules[middle...], of: chain, context)
        return (messages: writer.messages, lastSetID: writer.lastSetID)
      }
    }
    try write(rules[..<middle], of: chain, context)
    let second = try beside.wait().get()
    messages += second.messages
    lastSetID = second.lastSetID
  }

  private mutating func write(
    _ rules: ArraySlice<KernelRule>, of chain: String, _ context: RuleContext
  ) throws(NFTablesError) {
    messages.reserveCapacity(messages.count + rules.count)
    for rule in rules { try write(rule, chain: chain, context) }
  }

  /// A device's own base chain with its rule, which looks up no set.
  mutating func write(
    deviceChain chain: Chain, of table: Table,
    expressions: @escaping @Sendable (KernelRule) -> [Expression],
    sourceIndex: @escaping @Sendable (String) -> UInt32
  ) throws(NFTablesError) {
    let (tableName, family) = (try ExpressionEncoder.checkedName(table.name), table.family.rawValue)
    try write(chain, table: tableName, family: family)
    let context = RuleContext(
      table: tableName, family: family, expressions: expressions, sourceIndex: sourceIndex, namedSets: [:])
    try write(chain.rules, of: chain.name, context)
  }

  /// One element with a key of zeros at the message's end, for a set that is there.
  mutating func lateElement(of set: String, in table: Table, sequence: UInt32)
    throws(NFTablesError) -> EncodedMessage
  {
    buffer.begin(NFT_MSG_NEWSETELEM, family: table.family.rawValue, flags: Self.create, sequence: sequence)
    buffer.append(NFTA_SET_ELEM_LIST_TABLE, string: try ExpressionEncoder.checkedName(table.name))
    buffer.append(NFTA_SET_ELEM_LIST_SET, string: try ExpressionEncoder.checkedName(set))
    let element = try NativeElement()
    let key = [UInt8](repeating: 0, count: KernelSet.KeyType.controlGroup.keyLength)
    try element.fill(ElementEncoder.Item(key: key, endsInterval: false))
    buffer.nest(NFTA_SET_ELEM_LIST_ELEMENTS) { element.write(to: &$0) }
    return EncodedMessage(kind: .elements, bytes: buffer.finished())
  }

  /// The first rule that uses each named set: what the kernel says of a set is about that rule's line.
  private static func firstUsersOfSets(in table: Table) -> [String: String] {
    var users: [String: String] = [:]
    if table.sets.isEmpty { return users }
    for chain in table.chains {
      for rule in chain.rules {
        for statement in rule.statements {
          switch statement {
          case .match(_, _, .set(.named(let name), _)): users[name] = users[name] ?? rule.id
          case .setUpdate(let update): users[update.set] = users[update.set] ?? rule.id
          default: break
          }
        }
      }
    }
    return users
  }

  private mutating func finish(_ kind: EncodedMessage.Kind) {
    messages.append(EncodedMessage(kind: kind, bytes: buffer.finished()))
  }

  private mutating func write(_ chain: Chain, table: String, family: UInt8) throws(NFTablesError) {
    let native = try NativeChain()
    try native.set(NFTNL_CHAIN_TABLE, string: table)
    try native.set(NFTNL_CHAIN_NAME, string: ExpressionEncoder.checkedName(chain.name))
    if let base = chain.base {
      if let device = base.device { try native.set(NFTNL_CHAIN_DEV, string: device) }
      try native.set(NFTNL_CHAIN_TYPE, string: base.type.rawValue)
      native.set(NFTNL_CHAIN_HOOKNUM, base.hook)
      native.set(NFTNL_CHAIN_PRIO, base.priority)
      native.set(NFTNL_CHAIN_POLICY, UInt32(base.accepts ? NF_ACCEPT : NF_DROP))
    }
    buffer.begin(NFT_MSG_NEWCHAIN, family: family, flags: Self.create, sequence: 0)
    native.write(to: &buffer)
    finish(chain.base == nil ? .chain : .baseChain)
  }

  private mutating func write(_ object: NamedObject, table: String, family: UInt8) throws(NFTablesError) {
    let native = try NativeCounter()
    try native.set(table: table, name: ExpressionEncoder.checkedName(object.name))
    let userdata = try Userdata.records(comment: object.comment, label: object.label)
    if !userdata.isEmpty { try native.setUserdata(userdata) }
    buffer.begin(NFT_MSG_NEWOBJ, family: family, flags: Self.create, sequence: 0)
    native.write(to: &buffer)
    finish(.object)
  }

  /// Writes a set and its elements; `name` is nil for an anonymous set. Returns the set's number.
  private mutating func write(_ set: KernelSet, name: String?, table: String, family: UInt8, sequence: UInt32)
    throws(NFTablesError) -> UInt32
  {
    lastSetID += 1
    let id = lastSetID
    let kernelName = try name.map { (name) throws(NFTablesError) in try ExpressionEncoder.checkedName(name) }
    let wireName = kernelName ?? Self.anonymousName(of: set)
    let elements: [(bytes: [UInt8], listStart: Int)]
    let size: UInt32
    if var edges = try PackedEdges(set) {
      size = edges.size
      elements = elementMessages(of: wireName, id: id, table: table, family: family, sequence: sequence) {
        edges.writeNext(to: &$0)
      }
    } else {
      let items = try ElementEncoder.items(of: set)
      size = ElementEncoder.size(of: items)
      let element = try NativeElement()
      var rest = items[...]
      elements = try elementMessages(of: wireName, id: id, table: table, family: family, sequence: sequence) {
        (buffer) throws(NFTablesError) in
        guard let item = rest.popFirst() else { return false }
        try element.fill(item)
        element.write(to: &buffer)
        return true
      }
    }
    let native = try nativeSet(set, name: wireName, table: table, size: set.filling?.size ?? size)

    // An anonymous set dies with its rule; a named one survives a replace if its label is the same.
    var label: [UInt8] = []
    if name != nil {
      var digest = SHA256()
      buffer.begin(NFT_MSG_NEWSET, family: family, flags: Self.create, sequence: 0)
      native.write(to: &buffer)
      digest.update(buffer.finished())
      for message in elements { digest.update(message.bytes[message.listStart...]) }
      // An element that is there keeps the limit that it was made with, so another limit needs another set.
      if let state = set.filling?.state { digest.update(Array(DumpText.text(state).utf8)) }
      if let prefix = set.filling?.prefix { digest.update(prefix) }
      label = Array(digest.finish().prefix(Self.setLabelLength))
    }

    var userdata = Self.byteOrders(of: set)
    userdata += try Userdata.records(comment: set.comment, commentType: Userdata.setCommentType, label: label)
    try native.set(NFTNL_SET_USERDATA, data: userdata)
    native.set(NFTNL_SET_ID, id)
    buffer.begin(NFT_MSG_NEWSET, family: family, flags: Self.create, sequence: sequence)
    native.write(to: &buffer)
    finish(kernelName == nil ? .anonymousSet : .set)
    let kind: EncodedMessage.Kind = kernelName == nil ? .anonymousElements : .elements
    messages += elements.map { EncodedMessage(kind: kind, bytes: $0.bytes) }
    return id
  }

  /// Everything of a set that its spec digest covers: neither its number in the batch nor its label.
  private func nativeSet(_ set: KernelSet, name: String, table: String, size: UInt32)
    throws(NFTablesError) -> NativeSet
  {
    let native = try NativeSet()
    try native.set(NFTNL_SET_TABLE, string: table)
    try native.set(NFTNL_SET_NAME, string: name)
    native.set(NFTNL_SET_FLAGS, Self.flags(of: set))
    if let timeout = set.filling?.timeout { native.set(NFTNL_SET_TIMEOUT, timeout * 1000) }
    native.set(NFTNL_SET_KEY_TYPE, set.keyType.number)
    native.set(NFTNL_SET_KEY_LEN, UInt32(set.keyType.keyLength))
    // The kernel chooses its backend by the size, and before about 6.14 counts edges, not ranges.
    if size > 0 { native.set(NFTNL_SET_DESC_SIZE, size) }
    if case .concatenation = set.keyType, set.isInterval {
      try native.set(NFTNL_SET_DESC_CONCAT, data: set.keyType.concatenatedLengths)
    }
    let comment = try Userdata.records(comment: set.comment, commentType: Userdata.setCommentType, label: [])
    try native.set(NFTNL_SET_USERDATA, data: Self.byteOrders(of: set) + comment)
    switch set.dataType {
    case nil: break
    case .value(let type)?:
      native.set(NFTNL_SET_DATA_TYPE, type.number)
      native.set(NFTNL_SET_DATA_LEN, UInt32(type.keyLength))
    case .verdict?:
      // NFT_DATA_VERDICT of linux/netfilter/nf_tables.h. Its length is the kernel's own, sizeof(struct
      // nft_verdict): what is sent is not read, and this is what is dumped.
      native.set(NFTNL_SET_DATA_TYPE, UInt32(0xffff_ff00))
      native.set(NFTNL_SET_DATA_LEN, UInt32(16))
    }
    return native
  }

  static func anonymousName(of set: KernelSet) -> String {
    set.dataType == nil ? anonymousName : anonymousMapName
  }

  private static func byteOrders(of set: KernelSet) -> [UInt8] {
    let keys = Userdata.keyByteOrder(set.keyType.byteOrder)
    return switch set.dataType {
    case nil: keys
    case .verdict?: keys + Userdata.dataByteOrder(.none)
    case .value(let type)?: keys + Userdata.dataByteOrder(type.byteOrder)
    }
  }

  private static func flags(of set: KernelSet) -> UInt32 {
    if let filling = set.filling {
      return (filling.isByRules ? NFT_SET_EVAL.rawValue : 0)
        | (filling.hasTimeouts ? NFT_SET_TIMEOUT.rawValue : 0)
    }
    var flags = NFT_SET_CONSTANT.rawValue
    if set.name == nil { flags |= NFT_SET_ANONYMOUS.rawValue }
    if set.dataType != nil { flags |= NFT_SET_MAP.rawValue }
    if set.isInterval {
      flags |= NFT_SET_INTERVAL.rawValue
      if case .concatenation = set.keyType { flags |= NFT_SET_CONCAT.rawValue }
    }
    return flags
  }

  /// The messages that fill a set, and where in each the attribute with its elements begins.
  ///
  /// - Parameter writeNext: Appends the next element; false after the last.
  private mutating func elementMessages<Failure: Error>(
    of set: String, id: UInt32, table: String, family: UInt8, sequence: UInt32,
    writeNext: (inout MessageBuffer) throws(Failure) -> Bool
  ) throws(Failure) -> [(bytes: [UInt8], listStart: Int)] {
    var written: [(bytes: [UInt8], listStart: Int)] = []
    while true {
      buffer.begin(NFT_MSG_NEWSETELEM, family: family, flags: Self.create, sequence: sequence)
      buffer.append(NFTA_SET_ELEM_LIST_TABLE, string: table)
      buffer.append(NFTA_SET_ELEM_LIST_SET, string: set)
      buffer.append(NFTA_SET_ELEM_LIST_SET_ID, number: id)
      let start = buffer.count
      var count = 0
      try buffer.nest(NFTA_SET_ELEM_LIST_ELEMENTS) { (buffer) throws(Failure) in
        while count < Self.maximumElementsPerMessage, buffer.count - start < Self.maximumListLength,
          try writeNext(&buffer)
        {
          count += 1
        }
      }
      guard count > 0 else { return written }
      written.append((buffer.finished(), start))
    }
  }

  private mutating func write(
    _ rule: KernelRule, chain: String, _ context: RuleContext
  ) throws(NFTablesError) {
    let (table, family, sequence) = (context.table, context.family, context.sourceIndex(rule.id))
    let expressions = context.expressions(rule)
    guard expressions.count <= Self.maximumExpressions else {
      throw .tooManyExpressions(rule: rule.id, count: expressions.count)
    }
    var anonymousIDs: [UInt32] = []
    for set in rule.anonymousSets {
      anonymousIDs.append(try write(set, name: nil, table: table, family: family, sequence: sequence))
    }
    let encoder = ExpressionEncoder(
      rule: rule, namedSets: context.namedSets, anonymousIDs: anonymousIDs)
    let userdata = try Userdata.records(comment: rule.comment, label: rule.label)
    buffer.begin(NFT_MSG_NEWRULE, family: family, flags: Self.append, sequence: sequence)
    buffer.put(NFTA_RULE_TABLE, string: table)
    buffer.put(NFTA_RULE_CHAIN, string: chain)
    if !userdata.isEmpty { buffer.put(NFTA_RULE_USERDATA, bytes: userdata) }
    try ProgramWriter(encoder: encoder).write(expressions, to: &buffer)
    finish(.rule)
  }
}
