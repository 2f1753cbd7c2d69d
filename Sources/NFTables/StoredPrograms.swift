internal import CNFTables
internal import Ruleset

/// One table's batch, as a compile makes it, whose rules are read one by one, in whatever way each needs.
package struct StoredPrograms: Sendable {
  /// A rule's message.
  package struct Program: Sendable {
    /// The index of its source item.
    package var source: UInt32
    fileprivate var message: Int32
  }

  /// Chains, sets and objects; no chain has its rules.
  package let table: DumpedTable
  /// By the index of their chain in `table`, as the kernel would ask them.
  package let chains: [[Program]]

  private let messages: [[UInt8]]
  private var assembler: DumpAssembler

  // linux/netlink.h: every message makes something, and a rule goes behind those that are there.
  private static let create = UInt16(NLM_F_REQUEST | NLM_F_CREATE)
  private static let append = UInt16(NLM_F_REQUEST | NLM_F_CREATE | NLM_F_APPEND)

  /// - Throws: also for what no compile writes: a second table, a rule that does not go to the end of its chain, two
  ///   chains of one name.
  package init(_ messages: [[UInt8]]) throws(NFTablesError) {
    self.messages = messages
    assembler = DumpAssembler(namesSources: true)
    var rules: [Int] = []
    for (index, message) in messages.enumerated() {
      if try Self.isRule(message) { rules.append(index) } else { try Self.take(message, &assembler) }
    }
    let tables = try assembler.assembled()
    guard let table = tables.first, tables.count == 1 else {
      throw .malformed(what: "batch of \(tables.count) tables", offset: 0)
    }
    guard table.flags == 0 else { throw .malformed(what: "flags of a table", offset: 0) }
    for set in assembler.sets { try Self.check(set) }
    self.table = table
    chains = try Self.sorted(rules, messages, table)
  }

  /// The whole rule, as values.
  package mutating func rule(_ program: Program) throws(NFTablesError) -> DumpedRule {
    let parts = try Message.all(in: messages[Int(program.message)])
    guard let message = parts.first, parts.count == 1 else {
      throw .malformed(what: "message of a rule", offset: 0)
    }
    return try assembler.rule(message)
  }

  /// What the rule does, step by step; false where that takes more than steps can say.
  package func read(_ program: Program, into steps: inout [ProgramStep]) -> Bool {
    steps.removeAll(keepingCapacity: true)
    let message = messages[Int(program.message)]
    guard let place = Self.attributes(message)?[NFTA_RULE_EXPRESSIONS] else { return false }
    return ProgramReader(message).read(place, into: &steps)
  }

  /// A name that a step of the rule says.
  package func name(_ step: ProgramStep, in program: Program) -> ArraySlice<UInt8> {
    messages[Int(program.message)][step.nameStart..<step.nameStart + step.nameLength]
  }

  /// The set that a step looks up, with its elements where it has no name.
  package func set(_ step: ProgramStep, in program: Program) -> DumpedSet? {
    assembler.set(
      name: String(decoding: name(step, in: program), as: UTF8.self), id: step.key == 0 ? nil : step.key)
  }

  // MARK: Messages

  /// - Throws: if it is a rule that would go elsewhere than to the end of its chain.
  private static func isRule(_ message: [UInt8]) throws(NFTablesError) -> Bool {
    let bytes = unsafe message.span.bytes
    guard message.count >= ruleStart, bytes.uint32(at: 0) == message.count,
      bytes.uint16(at: 4) == UInt16(NFNL_SUBSYS_NFTABLES) << 8 | UInt16(NFT_MSG_NEWRULE.rawValue)
    else { return false }
    guard bytes.uint16(at: 6) == append else {
      throw .malformed(what: "flags of a rule's message", offset: 6)
    }
    return true
  }

  private static func take(_ message: [UInt8], _ assembler: inout DumpAssembler) throws(NFTablesError) {
    for part in try Message.all(in: message) {
      guard part.flags == create, part.tablesType != NFT_MSG_NEWRULE.rawValue else {
        throw .malformed(what: "flags of a message", offset: 6)
      }
      try assembler.take(part)
    }
  }

  /// - Throws: for a set with anything that none of ours has, or an anonymous one that would not stay as it is.
  private static func check(_ set: DumpedSet) throws(NFTablesError) {
    let kinds =
      NFT_SET_ANONYMOUS.rawValue | NFT_SET_CONSTANT.rawValue | NFT_SET_INTERVAL.rawValue
      | NFT_SET_MAP.rawValue
      | NFT_SET_CONCAT.rawValue
    let isConstant = set.flags & NFT_SET_CONSTANT.rawValue != 0
    // The kernel fills in the name of an anonymous set where `%d` stands.
    let isNamed = set.name.map { !$0.utf8.contains(UInt8(ascii: "%")) } ?? false
    guard set.otherAttributes.isEmpty, !isConstant || set.timeout == nil,
      isNamed || set.name == nil && isConstant && set.flags & ~kinds == 0
    else { throw .malformed(what: "set", offset: 0) }
  }

  private static func sorted(
    _ rules: [Int], _ messages: [[UInt8]], _ table: DumpedTable
  ) throws(NFTablesError) -> [[Program]] {
    var indices: [String: Int] = [:]
    for (index, chain) in table.chains.enumerated() {
      guard indices.updateValue(index, forKey: chain.name) == nil else {
        throw .malformed(what: "a second chain `\(chain.name)`", offset: 0)
      }
    }
    var chains = [[Program]](repeating: [], count: table.chains.count)
    let (family, tableName) = (table.family.rawValue, Array(table.name.utf8) + [0])
    // Rules of one chain stand side by side.
    var (last, index): (ArraySlice<UInt8>, Int) = ([], 0)
    for rule in rules {
      let message = messages[rule]
      guard let parts = attributes(message), message[familyOffset] == family,
        message[parts[NFTA_RULE_TABLE]] == tableName[...]
      else { throw .malformed(what: "rule", offset: 0) }
      let name = message[parts[NFTA_RULE_CHAIN]]
      if name != last || last.isEmpty {
        guard name.last == 0, let known = indices[String(decoding: name.dropLast(), as: UTF8.self)] else {
          throw .malformed(what: "rule of an unknown chain", offset: 0)
        }
        (last, index) = (name, known)
      }
      let source = unsafe message.span.bytes.uint32(at: 8)
      chains[index].append(Program(source: source, message: Int32(rule)))
    }
    return chains
  }

  // struct nlmsghdr of linux/netlink.h, struct nfgenmsg of linux/netfilter/nfnetlink.h.
  private static let familyOffset = 16
  private static let ruleStart = 20

  /// Nil where something is there that no rule of ours has, or is not there.
  private static func attributes(_ message: [UInt8]) -> AttributeTable? {
    let wanted = [NFTA_RULE_TABLE, NFTA_RULE_CHAIN].reduce(0 as UInt32) { $0 | 1 << $1.rawValue }
    let allowed = [NFTA_RULE_EXPRESSIONS, NFTA_RULE_USERDATA].reduce(0 as UInt32) { $0 | 1 << $1.rawValue }
    guard let parts = AttributeTable(unsafe message.span.bytes, ruleStart..<message.count),
      parts.holdsExactly(wanted, orAlso: allowed)
    else { return nil }
    return parts
  }
}
