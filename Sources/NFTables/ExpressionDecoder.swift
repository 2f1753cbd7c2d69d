internal import CNFTables
internal import Ruleset

/// Reads one expression back from its attributes, as sent or as dumped.
///
/// It decodes what it can carry in full, and nothing else: an attribute that `Expression` has no place for
/// makes the whole expression `.unknown`.
struct ExpressionDecoder {
  /// Finds a look-up's set by its name and, in sent messages, its batch-local number.
  let resolve: (_ name: String, _ id: UInt32?) -> SetReference

  func decode(name: String, data: ArraySlice<UInt8>) throws(NFTablesError) -> Expression {
    let attributes = try Attributes(data, what: "expression `\(name)`")
    return expression(name, attributes) ?? .unknown(name: name, Array(data))
  }

  private func expression(_ name: String, _ a: Attributes) -> Expression? {
    switch name {
    case "meta": meta(a)
    case "payload": payload(a)
    case "ct": conntrack(a)
    case "fib": fib(a)
    case "exthdr": extensionHeader(a)
    case "rt": route(a)
    case "socket": socket(a)
    case "notrack": a.isEmpty ? .notrack : nil
    case "cmp": compare(a)
    case "range": range(a)
    case "bitwise": bitwise(a)
    case "byteorder": byteOrder(a)
    case "lookup": lookup(a)
    // Its values are state, not policy.
    case "counter":
      a.holdsOnly([NFTA_COUNTER_BYTES, NFTA_COUNTER_PACKETS, NFTA_COUNTER_PAD]) ? .counter : nil
    case "objref": objectReference(a)
    case "dynset": dynamicSet(a)
    case "limit": limit(a)
    case "quota": quota(a)
    case "log": log(a)
    case "reject": reject(a)
    case "immediate": immediate(a)
    case "nat": nat(a)
    case "masq": a.isEmpty ? .masquerade : nil
    case "redir": redirect(a)
    default: nil
    }
  }

  private func meta(_ a: Attributes) -> Expression? {
    guard let key = a.uint32(NFTA_META_KEY).flatMap(Expression.MetaKey.init) else { return nil }
    if a.holdsOnly([NFTA_META_DREG, NFTA_META_KEY]), let register = a.uint32(NFTA_META_DREG) {
      return .meta(key, register: register)
    }
    guard a.holdsOnly([NFTA_META_SREG, NFTA_META_KEY]), let register = a.uint32(NFTA_META_SREG) else {
      return nil
    }
    return .setMeta(key, register: register)
  }

  private func socket(_ a: Attributes) -> Expression? {
    guard a.holdsOnly([NFTA_SOCKET_KEY, NFTA_SOCKET_DREG, NFTA_SOCKET_LEVEL]),
      a.uint32(NFTA_SOCKET_KEY) == UInt32(NFT_SOCKET_CGROUPV2.rawValue),
      let register = a.uint32(NFTA_SOCKET_DREG), let level = a.uint32(NFTA_SOCKET_LEVEL)
    else { return nil }
    return .socketControlGroup(level: level, register: register)
  }

  private func payload(_ a: Attributes) -> Expression? {
    let place = [NFTA_PAYLOAD_BASE, NFTA_PAYLOAD_OFFSET, NFTA_PAYLOAD_LEN]
    guard let base = a.uint32(NFTA_PAYLOAD_BASE).flatMap(Expression.PayloadBase.init),
      let offset = a.uint32(NFTA_PAYLOAD_OFFSET), let length = a.uint32(NFTA_PAYLOAD_LEN)
    else { return nil }
    if a.holdsOnly(place + [NFTA_PAYLOAD_DREG]), let register = a.uint32(NFTA_PAYLOAD_DREG) {
      return .payload(base, offset: offset, length: length, register: register)
    }
    guard
      a.holdsOnly(
        place + [
          NFTA_PAYLOAD_SREG, NFTA_PAYLOAD_CSUM_TYPE, NFTA_PAYLOAD_CSUM_OFFSET, NFTA_PAYLOAD_CSUM_FLAGS,
        ]),
      let register = a.uint32(NFTA_PAYLOAD_SREG),
      let type = a.uint32(NFTA_PAYLOAD_CSUM_TYPE, orAbsent: NFT_PAYLOAD_CSUM_NONE.rawValue),
      let checksum = a.uint32(NFTA_PAYLOAD_CSUM_OFFSET, orAbsent: 0),
      a.uint32(NFTA_PAYLOAD_CSUM_FLAGS, orAbsent: 0) == 0,
      type == NFT_PAYLOAD_CSUM_INET.rawValue || type == NFT_PAYLOAD_CSUM_NONE.rawValue && checksum == 0
    else { return nil }
    return .setPayload(
      base, offset: offset, length: length, register: register,
      checksum: type == NFT_PAYLOAD_CSUM_INET.rawValue ? checksum : nil)
  }

  private func conntrack(_ a: Attributes) -> Expression? {
    guard let key = a.uint32(NFTA_CT_KEY).flatMap(Expression.ConntrackKey.init) else { return nil }
    if a.holdsOnly([NFTA_CT_DREG, NFTA_CT_KEY]), let register = a.uint32(NFTA_CT_DREG) {
      return .conntrack(key, register: register)
    }
    guard a.holdsOnly([NFTA_CT_SREG, NFTA_CT_KEY]), let register = a.uint32(NFTA_CT_SREG) else { return nil }
    return .setConntrack(key, register: register)
  }

  private func extensionHeader(_ a: Attributes) -> Expression? {
    let place = [NFTA_EXTHDR_TYPE, NFTA_EXTHDR_OFFSET, NFTA_EXTHDR_LEN, NFTA_EXTHDR_FLAGS, NFTA_EXTHDR_OP]
    guard let type = a[NFTA_EXTHDR_TYPE]?.first, a[NFTA_EXTHDR_TYPE]?.count == 1,
      let offset = a.uint32(NFTA_EXTHDR_OFFSET), let length = a.uint32(NFTA_EXTHDR_LEN),
      a.uint32(NFTA_EXTHDR_FLAGS, orAbsent: 0) == 0,
      let operation = a.uint32(NFTA_EXTHDR_OP, orAbsent: NFT_EXTHDR_OP_IPV6.rawValue)
    else { return nil }
    if operation == NFT_EXTHDR_OP_IPV6.rawValue, a.holdsOnly(place + [NFTA_EXTHDR_DREG]),
      let register = a.uint32(NFTA_EXTHDR_DREG)
    {
      return .extensionHeader(type: type, offset: offset, length: length, register: register)
    }
    guard operation == NFT_EXTHDR_OP_TCPOPT.rawValue, a.holdsOnly(place + [NFTA_EXTHDR_SREG]),
      let register = a.uint32(NFTA_EXTHDR_SREG)
    else { return nil }
    return .setTCPOption(kind: type, offset: offset, length: length, register: register)
  }

  private func route(_ a: Attributes) -> Expression? {
    guard a.holdsOnly([NFTA_RT_DREG, NFTA_RT_KEY]), let register = a.uint32(NFTA_RT_DREG),
      let key = a.uint32(NFTA_RT_KEY).flatMap(Expression.RouteKey.init)
    else { return nil }
    return .route(key, register: register)
  }

  private func fib(_ a: Attributes) -> Expression? {
    guard a.holdsOnly([NFTA_FIB_DREG, NFTA_FIB_RESULT, NFTA_FIB_FLAGS]),
      let register = a.uint32(NFTA_FIB_DREG), let flags = a.uint32(NFTA_FIB_FLAGS),
      let result = a.uint32(NFTA_FIB_RESULT).flatMap(Expression.FIBResult.init)
    else { return nil }
    return .fib(result: result, flags: flags, register: register)
  }

  private func compare(_ a: Attributes) -> Expression? {
    guard a.holdsOnly([NFTA_CMP_SREG, NFTA_CMP_OP, NFTA_CMP_DATA]), let register = a.uint32(NFTA_CMP_SREG),
      let operation = a.uint32(NFTA_CMP_OP).flatMap(Expression.Comparison.init),
      let data = a.value(NFTA_CMP_DATA)
    else { return nil }
    return .compare(register: register, operation, data)
  }

  private func range(_ a: Attributes) -> Expression? {
    guard a.holdsOnly([NFTA_RANGE_SREG, NFTA_RANGE_OP, NFTA_RANGE_FROM_DATA, NFTA_RANGE_TO_DATA]),
      let register = a.uint32(NFTA_RANGE_SREG), let operation = a.uint32(NFTA_RANGE_OP),
      let lower = a.value(NFTA_RANGE_FROM_DATA), let upper = a.value(NFTA_RANGE_TO_DATA),
      operation == NFT_RANGE_EQ.rawValue || operation == NFT_RANGE_NEQ.rawValue
    else { return nil }
    let isNegated = operation == NFT_RANGE_NEQ.rawValue
    return .range(register: register, isNegated: isNegated, lower: lower, upper: upper)
  }

  private func bitwise(_ a: Attributes) -> Expression? {
    guard
      a.holdsOnly([
        NFTA_BITWISE_SREG, NFTA_BITWISE_DREG, NFTA_BITWISE_LEN, NFTA_BITWISE_MASK, NFTA_BITWISE_XOR,
        NFTA_BITWISE_OP,
      ]), let register = a.uint32(NFTA_BITWISE_SREG), let destination = a.uint32(NFTA_BITWISE_DREG),
      let length = a.uint32(NFTA_BITWISE_LEN), let mask = a.value(NFTA_BITWISE_MASK),
      let xor = a.value(NFTA_BITWISE_XOR), mask.count == Int(length), xor.count == mask.count,
      // Kernels before 5.6 do not know the operation and dump none.
      a.uint32(NFTA_BITWISE_OP, orAbsent: NFT_BITWISE_MASK_XOR.rawValue) == NFT_BITWISE_MASK_XOR.rawValue
    else { return nil }
    return .bitwise(register: register, destination: destination, mask: mask, xor: xor)
  }

  private func byteOrder(_ a: Attributes) -> Expression? {
    guard
      a.holdsOnly([
        NFTA_BYTEORDER_SREG, NFTA_BYTEORDER_DREG, NFTA_BYTEORDER_OP, NFTA_BYTEORDER_LEN, NFTA_BYTEORDER_SIZE,
      ]), let register = a.uint32(NFTA_BYTEORDER_SREG), let destination = a.uint32(NFTA_BYTEORDER_DREG),
      let operation = a.uint32(NFTA_BYTEORDER_OP), let length = a.uint32(NFTA_BYTEORDER_LEN),
      let size = a.uint32(NFTA_BYTEORDER_SIZE),
      operation == NFT_BYTEORDER_HTON.rawValue || operation == NFT_BYTEORDER_NTOH.rawValue
    else { return nil }
    let toNetwork = operation == NFT_BYTEORDER_HTON.rawValue
    return .byteOrder(
      register: register, destination: destination, toNetwork: toNetwork, length: length, size: size)
  }

  private func lookup(_ a: Attributes) -> Expression? {
    guard
      a.holdsOnly([
        NFTA_LOOKUP_SET, NFTA_LOOKUP_SREG, NFTA_LOOKUP_SET_ID, NFTA_LOOKUP_FLAGS, NFTA_LOOKUP_DREG,
      ]), let register = a.uint32(NFTA_LOOKUP_SREG), let name = a.string(NFTA_LOOKUP_SET),
      let flags = a.uint32(NFTA_LOOKUP_FLAGS, orAbsent: 0), flags & ~UInt32(NFT_LOOKUP_F_INV.rawValue) == 0
    else { return nil }
    let set = resolve(name, a.uint32(NFTA_LOOKUP_SET_ID))
    guard a[NFTA_LOOKUP_DREG] != nil else {
      return .lookup(register: register, set, isNegated: flags != 0)
    }
    guard let destination = a.uint32(NFTA_LOOKUP_DREG), flags == 0 else { return nil }
    return .mapLookup(register: register, set, destination: destination)
  }

  private func objectReference(_ a: Attributes) -> Expression? {
    guard a.holdsOnly([NFTA_OBJREF_IMM_TYPE, NFTA_OBJREF_IMM_NAME]),
      let type = a.uint32(NFTA_OBJREF_IMM_TYPE),
      let name = a.string(NFTA_OBJREF_IMM_NAME)
    else { return nil }
    return .objectReference(type: type, name: name)
  }

  private func limit(_ a: Attributes) -> Expression? {
    guard
      a.holdsOnly([
        NFTA_LIMIT_RATE, NFTA_LIMIT_UNIT, NFTA_LIMIT_BURST, NFTA_LIMIT_TYPE, NFTA_LIMIT_FLAGS, NFTA_LIMIT_PAD,
      ]), let rate = a.uint64(NFTA_LIMIT_RATE), let unit = a.uint64(NFTA_LIMIT_UNIT),
      let burst = a.uint32(NFTA_LIMIT_BURST, orAbsent: 0),
      let type = a.uint32(NFTA_LIMIT_TYPE, orAbsent: NFT_LIMIT_PKTS.rawValue),
      type == NFT_LIMIT_PKTS.rawValue || type == NFT_LIMIT_PKT_BYTES.rawValue,
      let flags = a.uint32(NFTA_LIMIT_FLAGS, orAbsent: 0), flags & ~UInt32(NFT_LIMIT_F_INV.rawValue) == 0
    else { return nil }
    return .limit(
      rate: rate, seconds: unit, burst: burst, isBytes: type == NFT_LIMIT_PKT_BYTES.rawValue,
      isOver: flags != 0)
  }

  private func dynamicSet(_ a: Attributes) -> Expression? {
    guard
      a.holdsOnly([
        NFTA_DYNSET_SET_NAME, NFTA_DYNSET_SET_ID, NFTA_DYNSET_OP, NFTA_DYNSET_SREG_KEY, NFTA_DYNSET_TIMEOUT,
        NFTA_DYNSET_EXPR, NFTA_DYNSET_FLAGS, NFTA_DYNSET_PAD,
      ]), let set = a.string(NFTA_DYNSET_SET_NAME), let register = a.uint32(NFTA_DYNSET_SREG_KEY),
      let operation = a.uint32(NFTA_DYNSET_OP).flatMap(Expression.SetOperation.init),
      a.uint32(NFTA_DYNSET_FLAGS, orAbsent: 0) == 0
    else { return nil }
    var timeout: UInt64?
    if a[NFTA_DYNSET_TIMEOUT] != nil {
      guard let milliseconds = a.uint64(NFTA_DYNSET_TIMEOUT) else { return nil }
      // The kernel dumps 0 for none.
      timeout = milliseconds == 0 ? nil : milliseconds
    }
    var state: ElementState?
    if a[NFTA_DYNSET_EXPR] != nil {
      guard let inner = elementState(a.nest(NFTA_DYNSET_EXPR)) else { return nil }
      state = inner
    }
    return .dynamicSet(register: register, set: set, operation, timeout: timeout, state)
  }

  private func elementState(_ a: Attributes?) -> ElementState? {
    guard let a, let data = a.nest(NFTA_EXPR_DATA) else { return nil }
    switch a.string(NFTA_EXPR_NAME) {
    case "limit":
      guard case .limit(let rate, let seconds, let burst, let isBytes, let isOver)? = limit(data) else {
        return nil
      }
      return .limit(rate: rate, seconds: seconds, burst: burst, isBytes: isBytes, isOver: isOver)
    case "connlimit":
      guard data.holdsOnly([NFTA_CONNLIMIT_COUNT, NFTA_CONNLIMIT_FLAGS]),
        let count = data.uint32(NFTA_CONNLIMIT_COUNT),
        let flags = data.uint32(NFTA_CONNLIMIT_FLAGS, orAbsent: 0), flags & ~NFT_CONNLIMIT_F_INV.rawValue == 0
      else { return nil }
      return .connections(count: count, isOver: flags != 0)
    default: return nil
    }
  }

  private func quota(_ a: Attributes) -> Expression? {
    // NFTA_QUOTA_CONSUMED is state.
    guard a.holdsOnly([NFTA_QUOTA_BYTES, NFTA_QUOTA_FLAGS, NFTA_QUOTA_PAD, NFTA_QUOTA_CONSUMED]),
      let bytes = a.uint64(NFTA_QUOTA_BYTES), let flags = a.uint32(NFTA_QUOTA_FLAGS, orAbsent: 0),
      // NFT_QUOTA_F_DEPLETED is state too.
      flags & ~UInt32(NFT_QUOTA_F_INV.rawValue | NFT_QUOTA_F_DEPLETED.rawValue) == 0
    else { return nil }
    return .quota(bytes: bytes, isOver: flags & UInt32(NFT_QUOTA_F_INV.rawValue) != 0)
  }

  private func log(_ a: Attributes) -> Expression? {
    let prefix = a.string(NFTA_LOG_PREFIX) ?? ""
    // Empty and absent are not the same to the kernel, and we never send an empty one.
    guard a[NFTA_LOG_PREFIX] == nil || !prefix.isEmpty else { return nil }
    if let group = a[NFTA_LOG_GROUP] {
      guard let group = NetworkOrder.uint16(group), a.holdsOnly([NFTA_LOG_PREFIX, NFTA_LOG_GROUP]) else {
        return nil
      }
      return .log(prefix: prefix, level: nil, group: group)
    }
    guard a.holdsOnly([NFTA_LOG_PREFIX, NFTA_LOG_LEVEL]),
      let level = a.uint32(NFTA_LOG_LEVEL, orAbsent: ExpressionEncoder.defaultLogLevel)
    else { return nil }
    return .log(prefix: prefix, level: level, group: nil)
  }

  private func reject(_ a: Attributes) -> Expression? {
    guard a.holdsOnly([NFTA_REJECT_TYPE, NFTA_REJECT_ICMP_CODE]), let type = a.uint32(NFTA_REJECT_TYPE)
    else { return nil }
    // nft sends a code with a TCP reset too; the kernel forgets it.
    if type == NFT_REJECT_TCP_RST.rawValue { return .reject(type: type, code: nil) }
    guard let code = a[NFTA_REJECT_ICMP_CODE], code.count == 1 else { return nil }
    return .reject(type: type, code: code.first)
  }

  private func immediate(_ a: Attributes) -> Expression? {
    guard a.holdsOnly([NFTA_IMMEDIATE_DREG, NFTA_IMMEDIATE_DATA]),
      let register = a.uint32(NFTA_IMMEDIATE_DREG)
    else { return nil }
    guard register == UInt32(NFT_REG_VERDICT.rawValue) else {
      return a.value(NFTA_IMMEDIATE_DATA).map { .immediate(register: register, $0) }
    }
    return a.nest(NFTA_IMMEDIATE_DATA)?.verdict.map { .verdict($0) }
  }

  private func nat(_ a: Attributes) -> Expression? {
    guard
      a.holdsOnly([
        NFTA_NAT_TYPE, NFTA_NAT_FAMILY, NFTA_NAT_REG_ADDR_MIN, NFTA_NAT_REG_ADDR_MAX, NFTA_NAT_REG_PROTO_MIN,
        NFTA_NAT_REG_PROTO_MAX, NFTA_NAT_FLAGS,
      ]), let type = a.uint32(NFTA_NAT_TYPE), type == NFT_NAT_SNAT.rawValue || type == NFT_NAT_DNAT.rawValue,
      let family = a.uint32(NFTA_NAT_FAMILY),
      let addresses = registers(a, NFTA_NAT_REG_ADDR_MIN, NFTA_NAT_REG_ADDR_MAX) ?? nil,
      let ports = registers(a, NFTA_NAT_REG_PROTO_MIN, NFTA_NAT_REG_PROTO_MAX),
      let flags = a.uint32(NFTA_NAT_FLAGS, orAbsent: 0)
    else { return nil }
    return .nat(
      isSource: type == NFT_NAT_SNAT.rawValue, family: family, addresses: addresses, ports: ports,
      flags: flags)
  }

  private func redirect(_ a: Attributes) -> Expression? {
    guard a.holdsOnly([NFTA_REDIR_REG_PROTO_MIN, NFTA_REDIR_REG_PROTO_MAX, NFTA_REDIR_FLAGS]),
      let ports = registers(a, NFTA_REDIR_REG_PROTO_MIN, NFTA_REDIR_REG_PROTO_MAX),
      let flags = a.uint32(NFTA_REDIR_FLAGS, orAbsent: 0)
    else { return nil }
    return .redirect(ports: ports, flags: flags)
  }

  /// Nil for registers that are no range; `.some(nil)` where there are none.
  private func registers<Number: RawRepresentable<UInt32>>(
    _ a: Attributes, _ minimum: Number, _ maximum: Number
  ) -> ClosedRange<UInt32>?? {
    guard a[minimum] != nil else { return a[maximum] == nil ? .some(nil) : nil }
    guard let lower = a.uint32(minimum), let upper = a.uint32(maximum, orAbsent: lower), lower <= upper else {
      return nil
    }
    return .some(lower...upper)
  }
}

extension Attributes {
  /// The verdict that this data holds; nil for other data, and for a verdict that we never write.
  var verdict: KernelVerdict? {
    guard holdsOnly([NFTA_DATA_VERDICT]), let verdict = nest(NFTA_DATA_VERDICT),
      verdict.holdsOnly([NFTA_VERDICT_CODE, NFTA_VERDICT_CHAIN]), let code = verdict.uint32(NFTA_VERDICT_CODE)
    else { return nil }
    return VerdictCode(number: Int32(bitPattern: code), chain: verdict.string(NFTA_VERDICT_CHAIN)).verdict
  }
}

extension Attributes {
  /// Nil if it is there and malformed.
  func uint32(_ type: some RawRepresentable<UInt32>, orAbsent absent: UInt32) -> UInt32? {
    self[type] == nil ? absent : uint32(type)
  }

  /// The attributes inside; nil if it is absent or malformed.
  func nest(_ type: some RawRepresentable<UInt32>) -> Attributes? {
    guard let payload = self[type] else { return nil }
    // A malformed nest is a reason not to understand the expression, which is then kept as bytes.
    return try? Attributes(payload, what: "nest")
  }

  /// Register bytes: an NFTA_DATA_VALUE in its nest, and nothing beside it.
  func value(_ type: some RawRepresentable<UInt32>) -> [UInt8]? {
    guard let data = nest(type), data.holdsOnly([NFTA_DATA_VALUE]) else { return nil }
    return data[NFTA_DATA_VALUE].map(Array.init)
  }
}
