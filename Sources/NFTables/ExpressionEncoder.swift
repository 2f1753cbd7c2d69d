internal import CNFTables
internal import Ruleset

/// Turns one expression into libnftnl's form.
///
/// Defaults that the kernel would add to its dump are sent (docs/kernel-dump-differences.md), so that what
/// was sent and what is read back differ as little as possible.
struct ExpressionEncoder {
  /// Id of the rule, for messages.
  let rule: String
  /// The batch-local numbers of sets, by name and by their place in the rule.
  private let namedSets: [String: UInt32]
  private let anonymousIDs: [UInt32]
  private let anonymousSets: [KernelSet]

  init(rule: KernelRule, namedSets: [String: UInt32], anonymousIDs: [UInt32]) {
    self.rule = rule.id
    self.namedSets = namedSets
    self.anonymousIDs = anonymousIDs
    anonymousSets = rule.anonymousSets
  }

  /// Name and batch-local number of a set that a look-up names.
  private func resolve(_ reference: SetReference) -> (name: String, id: UInt32)? {
    switch reference {
    case .named(let name): namedSets[name].map { (name, $0) }
    case .anonymous(let index):
      anonymousIDs.indices.contains(index)
        ? (BatchWriter.anonymousName(of: anonymousSets[index]), anonymousIDs[index]) : nil
    }
  }

  // NFT_NAME_MAXLEN counts the NUL, linux/netfilter/nf_tables.h.
  static let maximumNameLength = 255
  // NF_LOG_PREFIXLEN 128 counts the NUL, linux/netfilter/nf_log.h.
  static let maximumPrefixLength = 127
  // LOGLEVEL_WARNING: what the kernel takes where neither level nor group is given (nft_log_init).
  static let defaultLogLevel: UInt32 = 4

  static func checkedName(_ name: String) throws(NFTablesError) -> String {
    guard (1...maximumNameLength).contains(name.utf8.count), !name.utf8.contains(0) else {
      throw .invalidName(name)
    }
    return name
  }

  /// Registers 8, 12, 16, 20 are the first words of 1, 2, 3, 4, and the kernel dumps them so.
  static func canonicalRegister(_ register: UInt32) -> UInt32 {
    // NFT_REG32_00 = 8; a register of 16 bytes has four words.
    register >= 8 && register % 4 == 0 ? (register - 8) / 4 + 1 : register
  }

  /// Of all but those that ``ProgramWriter`` writes itself.
  func encode(_ expression: Expression) throws(NFTablesError) -> NativeExpression {
    switch expression {
    case .meta, .payload, .conntrack, .compare, .bitwise, .verdict:
      preconditionFailure("these are written without libnftnl")
    case .fib(let result, let flags, let register):
      let native = try NativeExpression("fib")
      native.set(NFTNL_EXPR_FIB_DREG, Self.canonicalRegister(register))
      native.set(NFTNL_EXPR_FIB_RESULT, result.rawValue)
      native.set(NFTNL_EXPR_FIB_FLAGS, flags)
      return native
    case .extensionHeader(let type, let offset, let length, let register):
      let native = try extensionHeader(type, offset: offset, length: length, NFT_EXTHDR_OP_IPV6)
      native.set(NFTNL_EXPR_EXTHDR_FLAGS, UInt32(0))
      native.set(NFTNL_EXPR_EXTHDR_DREG, Self.canonicalRegister(register))
      return native
    case .setTCPOption(let kind, let offset, let length, let register):
      // No flags: the kernel refuses them here (nft_exthdr_tcp_set_init).
      let native = try extensionHeader(kind, offset: offset, length: length, NFT_EXTHDR_OP_TCPOPT)
      native.set(NFTNL_EXPR_EXTHDR_SREG, Self.canonicalRegister(register))
      return native
    case .route(let key, let register):
      let native = try NativeExpression("rt")
      native.set(NFTNL_EXPR_RT_KEY, key.rawValue)
      native.set(NFTNL_EXPR_RT_DREG, Self.canonicalRegister(register))
      return native
    case .socketControlGroup(let level, let register):
      let native = try NativeExpression("socket")
      native.set(NFTNL_EXPR_SOCKET_KEY, UInt32(NFT_SOCKET_CGROUPV2.rawValue))
      native.set(NFTNL_EXPR_SOCKET_LEVEL, level)
      native.set(NFTNL_EXPR_SOCKET_DREG, Self.canonicalRegister(register))
      return native
    case .setMeta(let key, let register):
      let native = try NativeExpression("meta")
      native.set(NFTNL_EXPR_META_KEY, key.rawValue)
      native.set(NFTNL_EXPR_META_SREG, Self.canonicalRegister(register))
      return native
    case .setConntrack(let key, let register):
      let native = try NativeExpression("ct")
      native.set(NFTNL_EXPR_CT_KEY, key.rawValue)
      native.set(NFTNL_EXPR_CT_SREG, Self.canonicalRegister(register))
      return native
    case .setPayload(let base, let offset, let length, let register, let checksum):
      let native = try NativeExpression("payload")
      native.set(NFTNL_EXPR_PAYLOAD_SREG, Self.canonicalRegister(register))
      native.set(NFTNL_EXPR_PAYLOAD_BASE, base.rawValue)
      native.set(NFTNL_EXPR_PAYLOAD_OFFSET, offset)
      native.set(NFTNL_EXPR_PAYLOAD_LEN, length)
      let type = checksum == nil ? NFT_PAYLOAD_CSUM_NONE : NFT_PAYLOAD_CSUM_INET
      native.set(NFTNL_EXPR_PAYLOAD_CSUM_TYPE, type.rawValue)
      native.set(NFTNL_EXPR_PAYLOAD_CSUM_OFFSET, checksum ?? 0)
      native.set(NFTNL_EXPR_PAYLOAD_FLAGS, UInt32(0))
      return native
    case .notrack: return try NativeExpression("notrack")
    case .range(let register, let isNegated, let lower, let upper):
      return try range(register: register, isNegated: isNegated, lower: lower, upper: upper)
    case .byteOrder(let register, let destination, let toNetwork, let length, let size):
      let native = try NativeExpression("byteorder")
      native.set(NFTNL_EXPR_BYTEORDER_SREG, Self.canonicalRegister(register))
      native.set(NFTNL_EXPR_BYTEORDER_DREG, Self.canonicalRegister(destination))
      let operation = toNetwork ? NFT_BYTEORDER_HTON : NFT_BYTEORDER_NTOH
      native.set(NFTNL_EXPR_BYTEORDER_OP, operation.rawValue)
      native.set(NFTNL_EXPR_BYTEORDER_LEN, length)
      native.set(NFTNL_EXPR_BYTEORDER_SIZE, size)
      return native
    case .lookup(let register, let reference, let isNegated):
      return try lookup(register: register, reference, isNegated: isNegated)
    case .mapLookup(let register, let reference, let destination):
      let native = try lookup(register: register, reference, isNegated: false)
      native.set(NFTNL_EXPR_LOOKUP_DREG, Self.canonicalRegister(destination))
      return native
    case .counter:
      return try NativeExpression("counter")
    case .objectReference(let type, let name):
      let native = try NativeExpression("objref")
      native.set(NFTNL_EXPR_OBJREF_IMM_TYPE, type)
      try native.set(NFTNL_EXPR_OBJREF_IMM_NAME, string: Self.checkedName(name))
      return native
    case .limit(let rate, let seconds, let burst, let isBytes, let isOver):
      return try Self.encode(
        .limit(rate: rate, seconds: seconds, burst: burst, isBytes: isBytes, isOver: isOver))
    case .dynamicSet(let register, let set, let operation, let timeout, let state):
      return try dynamicSet(register: register, set, operation, timeout: timeout, state)
    case .quota(let bytes, let isOver):
      let native = try NativeExpression("quota")
      native.set(NFTNL_EXPR_QUOTA_BYTES, bytes)
      native.set(NFTNL_EXPR_QUOTA_FLAGS, isOver ? UInt32(NFT_QUOTA_F_INV.rawValue) : 0)
      return native
    case .log(let prefix, let level, let group):
      return try log(prefix: prefix, level: level, group: group)
    case .reject(let type, let code):
      let native = try NativeExpression("reject")
      native.set(NFTNL_EXPR_REJECT_TYPE, type)
      if let code { native.set(NFTNL_EXPR_REJECT_CODE, code) }
      return native
    case .immediate(let register, let data):
      let native = try NativeExpression("immediate")
      native.set(NFTNL_EXPR_IMM_DREG, Self.canonicalRegister(register))
      try native.set(NFTNL_EXPR_IMM_DATA, data: data, owner: rule)
      return native
    case .nat(let isSource, let family, let addresses, let ports, let flags):
      let native = try NativeExpression("nat")
      let type = isSource ? NFT_NAT_SNAT : NFT_NAT_DNAT
      native.set(NFTNL_EXPR_NAT_TYPE, type.rawValue)
      native.set(NFTNL_EXPR_NAT_FAMILY, family)
      native.set(NFTNL_EXPR_NAT_REG_ADDR_MIN, Self.canonicalRegister(addresses.lowerBound))
      native.set(NFTNL_EXPR_NAT_REG_ADDR_MAX, Self.canonicalRegister(addresses.upperBound))
      if let ports {
        native.set(NFTNL_EXPR_NAT_REG_PROTO_MIN, Self.canonicalRegister(ports.lowerBound))
        native.set(NFTNL_EXPR_NAT_REG_PROTO_MAX, Self.canonicalRegister(ports.upperBound))
      }
      native.set(NFTNL_EXPR_NAT_FLAGS, flags)
      return native
    case .masquerade: return try NativeExpression("masq")
    case .redirect(let ports, let flags):
      let native = try NativeExpression("redir")
      if let ports {
        native.set(NFTNL_EXPR_REDIR_REG_PROTO_MIN, Self.canonicalRegister(ports.lowerBound))
        native.set(NFTNL_EXPR_REDIR_REG_PROTO_MAX, Self.canonicalRegister(ports.upperBound))
        native.set(NFTNL_EXPR_REDIR_FLAGS, flags)
      }
      return native
    case .unknown(let name, _):
      throw .notEncodable(rule: rule, expression: name)
    }
  }

  private func dynamicSet(
    register: UInt32, _ set: String, _ operation: Expression.SetOperation, timeout: UInt64?,
    _ state: ElementState?
  ) throws(NFTablesError) -> NativeExpression {
    guard let known = resolve(.named(set)) else { throw .unknownSet(rule: rule, name: "`\(set)`") }
    let native = try NativeExpression("dynset")
    native.set(NFTNL_EXPR_DYNSET_SREG_KEY, Self.canonicalRegister(register))
    native.set(NFTNL_EXPR_DYNSET_OP, operation.rawValue)
    try native.set(NFTNL_EXPR_DYNSET_SET_NAME, string: known.name)
    native.set(NFTNL_EXPR_DYNSET_SET_ID, known.id)
    if let timeout { native.set(NFTNL_EXPR_DYNSET_TIMEOUT, timeout) }
    if let state { try native.set(NFTNL_EXPR_DYNSET_EXPR, expression: Self.encode(state)) }
    return native
  }

  private static func encode(_ state: ElementState) throws(NFTablesError) -> NativeExpression {
    switch state {
    case .limit(let rate, let seconds, let burst, let isBytes, let isOver):
      let native = try NativeExpression("limit")
      native.set(NFTNL_EXPR_LIMIT_RATE, rate)
      native.set(NFTNL_EXPR_LIMIT_UNIT, seconds)
      native.set(NFTNL_EXPR_LIMIT_BURST, burst)
      let type = isBytes ? NFT_LIMIT_PKT_BYTES : NFT_LIMIT_PKTS
      native.set(NFTNL_EXPR_LIMIT_TYPE, type.rawValue)
      native.set(NFTNL_EXPR_LIMIT_FLAGS, isOver ? UInt32(NFT_LIMIT_F_INV.rawValue) : 0)
      return native
    case .connections(let count, let isOver):
      let native = try NativeExpression("connlimit")
      native.set(NFTNL_EXPR_CONNLIMIT_COUNT, count)
      native.set(NFTNL_EXPR_CONNLIMIT_FLAGS, isOver ? NFT_CONNLIMIT_F_INV.rawValue : 0)
      return native
    }
  }

  private func extensionHeader(_ type: UInt8, offset: UInt32, length: UInt32, _ operation: nft_exthdr_op)
    throws(NFTablesError) -> NativeExpression
  {
    let native = try NativeExpression("exthdr")
    native.set(NFTNL_EXPR_EXTHDR_TYPE, type)
    native.set(NFTNL_EXPR_EXTHDR_OFFSET, offset)
    native.set(NFTNL_EXPR_EXTHDR_LEN, length)
    native.set(NFTNL_EXPR_EXTHDR_OP, operation.rawValue)
    return native
  }

  private func range(register: UInt32, isNegated: Bool, lower: [UInt8], upper: [UInt8])
    throws(NFTablesError) -> NativeExpression
  {
    guard lower.count == upper.count else { throw .invalidData(owner: rule, length: upper.count) }
    let native = try NativeExpression("range")
    native.set(NFTNL_EXPR_RANGE_SREG, Self.canonicalRegister(register))
    let operation = isNegated ? NFT_RANGE_NEQ : NFT_RANGE_EQ
    native.set(NFTNL_EXPR_RANGE_OP, operation.rawValue)
    try native.set(NFTNL_EXPR_RANGE_FROM_DATA, data: lower, owner: rule)
    try native.set(NFTNL_EXPR_RANGE_TO_DATA, data: upper, owner: rule)
    return native
  }

  private func lookup(register: UInt32, _ reference: SetReference, isNegated: Bool)
    throws(NFTablesError) -> NativeExpression
  {
    guard let set = resolve(reference) else {
      switch reference {
      case .named(let name): throw .unknownSet(rule: rule, name: "`\(name)`")
      case .anonymous(let index): throw .unknownSet(rule: rule, name: "#\(index)")
      }
    }
    let native = try NativeExpression("lookup")
    native.set(NFTNL_EXPR_LOOKUP_SREG, Self.canonicalRegister(register))
    try native.set(NFTNL_EXPR_LOOKUP_SET, string: set.name)
    native.set(NFTNL_EXPR_LOOKUP_SET_ID, set.id)
    native.set(NFTNL_EXPR_LOOKUP_FLAGS, isNegated ? UInt32(NFT_LOOKUP_F_INV.rawValue) : 0)
    return native
  }

  private func log(prefix: String, level: UInt32?, group: UInt16?) throws(NFTablesError) -> NativeExpression {
    guard prefix.utf8.count <= Self.maximumPrefixLength, !prefix.utf8.contains(0) else {
      throw .invalidText(prefix)
    }
    let native = try NativeExpression("log")
    if !prefix.isEmpty { try native.set(NFTNL_EXPR_LOG_PREFIX, string: prefix) }
    if let group {
      guard level == nil else { throw .logLevelAndGroup(rule: rule) }
      native.set(NFTNL_EXPR_LOG_GROUP, group)
    } else {
      native.set(NFTNL_EXPR_LOG_LEVEL, level ?? Self.defaultLogLevel)
    }
    return native
  }
}
