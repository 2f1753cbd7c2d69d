internal import CNFTables
package import Ruleset

/// Puts messages together to tables: those of a dump, or those of a stored batch.
struct DumpAssembler {
  private struct PendingSet {
    var value: DumpedSet
    var isAnonymous: Bool
    var elements = ElementDecoder()
  }

  private struct PendingRule {
    var attributes: Attributes
    var source: UInt32
  }

  private struct PendingTable {
    var value: DumpedTable
    /// By the name in dumps, by number in batches, where all anonymous sets share one name.
    var sets: [SetKey: PendingSet] = [:]
    var rules: [PendingRule] = []
  }

  private enum SetKey: Hashable {
    case name(String)
    case number(UInt32)

    init(name: String, id: UInt32?, in sets: [SetKey: PendingSet]) {
      // The kernel asks for the name first.
      if sets[.name(name)] == nil, let id, sets[.number(id)] != nil {
        self = .number(id)
      } else {
        self = .name(name)
      }
    }
  }

  private struct TableKey: Hashable {
    var family: UInt8
    var name: String
  }

  /// Whether sequence numbers are those of stored messages, and name a source.
  let namesSources: Bool

  private var tables: [PendingTable] = []
  private var indices: [TableKey: Int] = [:]
  private var known = KnownExpressions()

  init(namesSources: Bool) {
    self.namesSources = namesSources
  }

  /// Takes a NEW message of nf_tables; any other is malformed.
  mutating func take(_ message: Message) throws(NFTablesError) {
    let attributes = try message.attributes()
    switch message.tablesType {
    case NFT_MSG_NEWTABLE.rawValue: try takeTable(attributes, family: message.family)
    case NFT_MSG_NEWCHAIN.rawValue: try takeChain(attributes, family: message.family)
    case NFT_MSG_NEWOBJ.rawValue: try takeObject(attributes, family: message.family)
    case NFT_MSG_NEWSET.rawValue: try takeSet(attributes, family: message.family)
    case NFT_MSG_NEWSETELEM.rawValue: try takeElements(attributes, family: message.family)
    case NFT_MSG_NEWRULE.rawValue:
      let source = namesSources ? message.sequence : 0
      try change(message.family, attributes.string(NFTA_RULE_TABLE)) { table in
        table.rules.append(PendingRule(attributes: attributes, source: source))
      }
    default: throw .malformed(what: "message type \(message.type)", offset: message.whole.startIndex)
    }
  }

  /// The tables, in the order of their messages.
  func assembled() throws(NFTablesError) -> [DumpedTable] {
    try tables.map { (pending) throws(NFTablesError) in try Self.assemble(pending) }
  }

  /// A rule whose table and sets have been taken.
  mutating func rule(_ message: Message) throws(NFTablesError) -> DumpedRule {
    let attributes = try message.attributes()
    guard let table = attributes.string(NFTA_RULE_TABLE),
      let index = indices[TableKey(family: message.family, name: table)]
    else { throw .malformed(what: "message of an unknown table", offset: 0) }
    let pending = PendingRule(attributes: attributes, source: namesSources ? message.sequence : 0)
    return try Self.decode(pending, sets: tables[index].sets, &known)
  }

  /// All sets, without their elements.
  var sets: [DumpedSet] { tables.flatMap { $0.sets.values.map(\.value) } }

  /// A set of the one table by its name or, in sent messages, its number.
  func set(name: String, id: UInt32?) -> DumpedSet? {
    guard let table = tables.first else { return nil }
    return table.sets[SetKey(name: name, id: id, in: table.sets)].map(Self.finished)
  }

  // MARK: Messages

  private mutating func change(
    _ family: UInt8, _ name: String?, _ body: (inout PendingTable) throws(NFTablesError) -> Void
  ) throws(NFTablesError) {
    guard let name, let index = indices[TableKey(family: family, name: name)] else {
      throw .malformed(what: "message of an unknown table", offset: 0)
    }
    try body(&tables[index])
  }

  private mutating func takeTable(_ a: Attributes, family: UInt8) throws(NFTablesError) {
    guard let name = a.string(NFTA_TABLE_NAME), let known = TableFamily(rawValue: family) else {
      throw .malformed(what: "table", offset: 0)
    }
    let key = TableKey(family: family, name: name)
    guard indices[key] == nil else { return }
    let userdata = a[NFTA_TABLE_USERDATA].flatMap { Userdata.read($0) }
    let value = DumpedTable(
      family: known, name: name, flags: a.uint32(NFTA_TABLE_FLAGS) ?? 0, comment: userdata?.comment)
    indices[key] = tables.count
    tables.append(PendingTable(value: value))
  }

  private mutating func takeChain(_ a: Attributes, family: UInt8) throws(NFTablesError) {
    guard let name = a.string(NFTA_CHAIN_NAME) else { throw .malformed(what: "chain", offset: 0) }
    let chain = DumpedChain(name: name, base: BaseHook(a), isBase: a[NFTA_CHAIN_HOOK] != nil)
    try change(family, a.string(NFTA_CHAIN_TABLE)) { $0.value.chains.append(chain) }
  }

  private mutating func takeObject(_ a: Attributes, family: UInt8) throws(NFTablesError) {
    let object = try DumpedObject(a)
    try change(family, a.string(NFTA_OBJ_TABLE)) { $0.value.objects.append(object) }
  }

  private mutating func takeSet(_ a: Attributes, family: UInt8) throws(NFTablesError) {
    guard let name = a.string(NFTA_SET_NAME) else { throw .malformed(what: "set", offset: 0) }
    let flags = a.uint32(NFTA_SET_FLAGS) ?? 0
    let isAnonymous = flags & NFT_SET_ANONYMOUS.rawValue != 0
    let userdata = a[NFTA_SET_USERDATA].flatMap { Userdata.read($0, commentType: Userdata.setCommentType) }
    let value = DumpedSet(
      name: isAnonymous ? nil : name, flags: flags, keyTypeNumber: a.uint32(NFTA_SET_KEY_TYPE) ?? 0,
      keyLength: a.uint32(NFTA_SET_KEY_LEN) ?? 0, dataTypeNumber: a.uint32(NFTA_SET_DATA_TYPE),
      dataLength: a.uint32(NFTA_SET_DATA_LEN), size: a.nest(NFTA_SET_DESC)?.uint32(NFTA_SET_DESC_SIZE),
      timeout: a.uint64(NFTA_SET_TIMEOUT), comment: userdata?.comment, label: userdata?.label ?? [],
      elements: [], otherElements: [],
      otherAttributes: a.all.map(\.type).filter { !Self.setAttributes.contains($0) })
    // Every set of a batch has a number, and only anonymous ones share a name.
    let key = isAnonymous ? a.uint32(NFTA_SET_ID).map { SetKey.number($0) } ?? .name(name) : .name(name)
    try change(family, a.string(NFTA_SET_TABLE)) {
      $0.sets[key] = PendingSet(value: value, isAnonymous: isAnonymous)
    }
  }

  /// What a set of ours has, and what the kernel adds to every set: HANDLE, and from 6.18 on the name of the
  /// backend (19, without kallsyms an address) and the number of elements (20).
  private static let setAttributes: Set<UInt16> = Set(
    [
      NFTA_SET_TABLE, NFTA_SET_NAME, NFTA_SET_FLAGS, NFTA_SET_KEY_TYPE, NFTA_SET_KEY_LEN, NFTA_SET_DESC,
      NFTA_SET_ID, NFTA_SET_USERDATA, NFTA_SET_HANDLE, NFTA_SET_DATA_TYPE, NFTA_SET_DATA_LEN,
      NFTA_SET_TIMEOUT,
    ].map { UInt16($0.rawValue) } + [19, 20])

  private mutating func takeElements(_ a: Attributes, family: UInt8) throws(NFTablesError) {
    guard let name = a.string(NFTA_SET_ELEM_LIST_SET), let list = a[NFTA_SET_ELEM_LIST_ELEMENTS] else {
      return
    }
    let id = a.uint32(NFTA_SET_ELEM_LIST_SET_ID)
    try change(family, a.string(NFTA_SET_ELEM_LIST_TABLE)) { (table) throws(NFTablesError) in
      let key = SetKey(name: name, id: id, in: table.sets)
      guard table.sets[key] != nil else { throw .malformed(what: "elements of an unknown set", offset: 0) }
      try table.sets[key]?.elements.take(list)
    }
  }

  // MARK: Assembly

  private static func assemble(_ pending: PendingTable) throws(NFTablesError) -> DumpedTable {
    var table = pending.value
    table.objects.sort { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    table.sets = pending.sets.values.filter { !$0.isAnonymous }.map(finished)
    table.sets.sort { ($0.name ?? "").utf8.lexicographicallyPrecedes(($1.name ?? "").utf8) }
    var indices: [String: Int] = [:]
    for (index, chain) in table.chains.enumerated() { indices[chain.name] = index }
    var known = KnownExpressions()
    for rule in pending.rules {
      let decoded = try decode(rule, sets: pending.sets, &known)
      guard let index = indices[decoded.chain] else {
        throw .malformed(what: "rule of an unknown chain", offset: 0)
      }
      table.chains[index].rules.append(decoded)
    }
    return table
  }

  private static func finished(_ pending: PendingSet) -> DumpedSet {
    var set = pending.value
    if set.flags & (NFT_SET_EVAL.rawValue | NFT_SET_TIMEOUT.rawValue) != 0 { return set }
    let isInterval = set.flags & NFT_SET_INTERVAL.rawValue != 0
    let isConcatenation = set.flags & NFT_SET_CONCAT.rawValue != 0
    set.elements = pending.elements.elements(joinsEdges: isInterval && !isConcatenation)
    set.otherElements = pending.elements.other.sorted { $0.lexicographicallyPrecedes($1) }
    if !set.otherElements.isEmpty {
      set.plainElements = pending.elements.withoutNotes()?
        .elements(joinsEdges: isInterval && !isConcatenation)
    }
    return set
  }

  private static func decode(
    _ rule: PendingRule, sets: [SetKey: PendingSet], _ known: inout KnownExpressions
  ) throws(NFTablesError) -> DumpedRule {
    let a = rule.attributes
    guard let chain = a.string(NFTA_RULE_CHAIN) else { throw .malformed(what: "rule", offset: 0) }
    var programme: [Item] = []
    if let list = a[NFTA_RULE_EXPRESSIONS] {
      let items = try Attributes(list, what: "expressions").all
      programme.reserveCapacity(items.count)
      for item in items {
        if let expression = known[item.payload] {
          programme.append(Item(bytes: item.payload, name: "", data: [], expression: expression))
          continue
        }
        let element = try Attributes(item.payload, what: "expression")
        guard let name = element.string(NFTA_EXPR_NAME) else {
          throw .malformed(what: "expression", offset: item.payload.startIndex)
        }
        programme.append(Item(bytes: item.payload, name: name, data: element[NFTA_EXPR_DATA] ?? []))
      }
    }

    var anonymous: [SetKey] = []
    for item in programme where item.name == "lookup" {
      let lookup = try Attributes(item.data, what: "look-up")
      guard let setName = lookup.string(NFTA_LOOKUP_SET) else { continue }
      let key = SetKey(name: setName, id: lookup.uint32(NFTA_LOOKUP_SET_ID), in: sets)
      if sets[key]?.isAnonymous == true, !anonymous.contains(key) { anonymous.append(key) }
    }
    let decoder = ExpressionDecoder { name, id in
      let key = SetKey(name: name, id: id, in: sets)
      return anonymous.firstIndex(of: key).map { .anonymous($0) } ?? .named(name)
    }
    var expressions: [Expression] = []
    expressions.reserveCapacity(programme.count)
    for item in programme {
      if let expression = item.expression {
        expressions.append(expression)
        continue
      }
      let expression = try decoder.decode(name: item.name, data: item.data)
      // Which set a name stands for is another thing in another rule.
      if item.name != "lookup" { known.add(expression, item.bytes) }
      expressions.append(expression)
    }
    let userdata = a[NFTA_RULE_USERDATA].flatMap { Userdata.read($0) }
    return DumpedRule(
      chain: chain, handle: a.uint64(NFTA_RULE_HANDLE) ?? 0, source: rule.source, comment: userdata?.comment,
      label: userdata?.label ?? [], anonymousSets: anonymous.compactMap { sets[$0].map(finished) },
      expressions: expressions)
  }
}

/// One expression of a program.
private struct Item {
  var bytes: ArraySlice<UInt8>
  var name: String
  var data: ArraySlice<UInt8>
  /// Nil: it is still to be read.
  var expression: Expression?
}

/// Expressions that were read before, by their bytes: most of a rule's stand in the rules around it too.
private struct KnownExpressions {
  private var slots = [(bytes: ArraySlice<UInt8>, expression: Expression)?](repeating: nil, count: 256)

  subscript(_ bytes: ArraySlice<UInt8>) -> Expression? {
    guard let known = slots[slot(of: bytes)], known.bytes == bytes else { return nil }
    return known.expression
  }

  mutating func add(_ expression: Expression, _ bytes: ArraySlice<UInt8>) {
    slots[slot(of: bytes)] = (bytes, expression)
  }

  private func slot(of bytes: ArraySlice<UInt8>) -> Int {
    var hash = UInt64(bytes.count)
    // Attributes are aligned to 4 bytes, but for the end of the last one.
    let words = unsafe bytes.span.bytes
    for position in stride(from: 0, to: words.byteCount & ~3, by: 4) {
      // SAFETY: the stride ends before the last whole word does.
      let word = unsafe words.unsafeLoadUnaligned(fromByteOffset: position, as: UInt32.self)
      hash = (hash ^ UInt64(word)) &* 0x9e37_79b9_7f4a_7c15
    }
    return Int(truncatingIfNeeded: hash >> 56)
  }
}

extension DumpedObject {
  init(_ a: Attributes) throws(NFTablesError) {
    guard let name = a.string(NFTA_OBJ_NAME), let type = a.uint32(NFTA_OBJ_TYPE) else {
      throw .malformed(what: "object", offset: 0)
    }
    let userdata = a[NFTA_OBJ_USERDATA].flatMap { Userdata.read($0) }
    let isCounter = type == UInt32(NFT_OBJECT_COUNTER)
    self.init(
      name: name, type: type, comment: userdata?.comment, label: userdata?.label ?? [],
      data: isCounter ? [] : a[NFTA_OBJ_DATA].map(Array.init) ?? [])
  }
}

extension DumpedObject {
  /// What a rule does that names it; nil: it is no limit and no quota.
  package var expression: Expression? {
    let name: String
    switch type {
    case UInt32(NFT_OBJECT_QUOTA): name = "quota"
    case UInt32(NFT_OBJECT_LIMIT): name = "limit"
    default: return nil
    }
    let decoder = ExpressionDecoder { name, _ in .named(name) }
    guard let expression = try? decoder.decode(name: name, data: data[...]) else { return nil }
    if case .unknown = expression { return nil }
    return expression
  }
}

extension BaseHook {
  /// Nil for a regular chain, and for what we never write: another type, several devices, an odd number.
  init?(_ chain: Attributes) {
    guard let hook = chain.nest(NFTA_CHAIN_HOOK),
      hook.holdsOnly([NFTA_HOOK_HOOKNUM, NFTA_HOOK_PRIORITY, NFTA_HOOK_DEV, NFTA_HOOK_DEVS]),
      // One device is dumped in both forms, several in the second alone.
      hook[NFTA_HOOK_DEVS] == nil || hook[NFTA_HOOK_DEV] != nil,
      let number = hook.uint32(NFTA_HOOK_HOOKNUM), let priority = hook.uint32(NFTA_HOOK_PRIORITY),
      let type = chain.string(NFTA_CHAIN_TYPE).flatMap(ChainType.init),
      let policy = chain.uint32(NFTA_CHAIN_POLICY), policy <= UInt32(NF_ACCEPT)
    else { return nil }
    self.init(
      type: type, hook: number, priority: Int32(bitPattern: priority), accepts: policy == UInt32(NF_ACCEPT),
      device: hook.string(NFTA_HOOK_DEV))
  }
}
