extension KernelRule {
  /// The kernel's program of the rule, as stock nft 1.0.6 makes it of the rule's text.
  package var expressions: [Expression] {
    var result: [Expression] = []
    var rest = statements[...]
    while let statement = rest.popFirst() {
      if let next = rest.first, let joined = RuleStatement.joinedLoad(statement, next) {
        rest.removeFirst()
        result += joined
      } else {
        result += statement.expressions
      }
    }
    return result
  }
}

extension RuleStatement {
  // Registers of linux/netfilter/nf_tables.h: NFT_REG_1, and NFT_REG32_01, its second word.
  private static let register: UInt32 = 1
  private static let secondWord: UInt32 = 9

  /// nft loads fields that touch at once: of what the lowering writes, both ports, ICMP type and code, and both
  /// link-layer addresses. The lowering puts them side by side, the lower one first.
  fileprivate static func joinedLoad(_ first: RuleStatement, _ second: RuleStatement) -> [Expression]? {
    guard case .match(let lowField, .equal, .value(let low)) = first,
      case .match(let highField, .equal, .value(let high)) = second
    else { return nil }
    let base: Expression.PayloadBase
    switch (lowField, highField) {
    case (.sourcePort, .destinationPort), (.icmpType, .icmpCode), (.icmpv6Type, .icmpv6Code):
      base = .transport
    case (.linkDestination, .linkSource): base = .linkLayer
    default: return nil
    }
    return [
      .payload(base, offset: 0, length: UInt32(low.count + high.count), register: register),
      .compare(register: register, .equal, low + high),
    ]
  }

  fileprivate var expressions: [Expression] {
    switch self {
    case .match(let field, let comparison, let operand):
      Self.expressions(field, comparison, operand)
    case .counter(nil): [.counter]
    // NFT_OBJECT_COUNTER.
    case .counter(let name?): [.objectReference(type: 1, name: name)]
    case .limit(let rate, let seconds, let burst, let isBytes, let isOver):
      [.limit(rate: rate, seconds: seconds, burst: burst, isBytes: isBytes, isOver: isOver)]
    case .quota(let bytes, let isOver): [.quota(bytes: bytes, isOver: isOver)]
    case .log(let prefix, let level, let group):
      [.log(prefix: prefix, level: level.map(UInt32.init), group: group)]
    case .reject(let reject): [.reject(type: reject.type, code: reject.code)]
    case .change(let change): Self.expressions(change)
    case .setUpdate(let update): Self.expressions(update)
    case .notrack: [.notrack]
    case .verdict(let verdict): [.verdict(verdict)]
    case .verdictMap(let field, let map):
      // Register 0 is the verdict's.
      Self.load(field) + [.mapLookup(register: Self.register, map, destination: 0)]
    case .masquerade: [.masquerade]
    case .redirect(nil): [.redirect(ports: nil, flags: 0)]
    case .redirect(let port?):
      [
        .immediate(register: Self.register, port),
        .redirect(ports: Self.register...Self.register, flags: Self.portsAreGiven),
      ]
    case .nat(let nat): nat.expressions
    case .natMap(let isV6, let field, let map):
      // The port is in the register of 4 bytes behind the address; behind 16 bytes that is the second register.
      Self.load(field) + [
        .mapLookup(register: Self.register, map, destination: Self.register),
        .nat(
          isSource: false, family: isV6 ? 10 : 2, addresses: Self.register...Self.register,
          ports: isV6 ? 2...2 : Self.secondWord...Self.secondWord,
          flags: Self.addressesAreGiven | Self.portsAreGiven),
      ]
    }
  }

  // NF_NAT_RANGE_MAP_IPS, PROTO_SPECIFIED, NETMAP of linux/netfilter/nf_nat.h.
  fileprivate static let addressesAreGiven: UInt32 = 1
  fileprivate static let portsAreGiven: UInt32 = 2
  fileprivate static let bitsStay: UInt32 = 0x40

  private static func expressions(
    _ field: Field, _ comparison: Operator, _ operand: Operand
  ) -> [Expression] {
    let isNegated = comparison == .notEqual
    if comparison == .anyBit, case .value(let mask) = operand {
      let zero = [UInt8](repeating: 0, count: mask.count)
      return load(field) + [
        .bitwise(register: register, destination: register, mask: mask, xor: zero),
        .compare(register: register, .notEqual, zero),
      ]
    }
    let compare: Expression.Comparison = isNegated ? .notEqual : .equal
    switch operand {
    case .value(let value), .prefix(let value):
      return load(field) + [.compare(register: register, compare, value)]
    case .network(let network, let bits):
      if bits % 8 == 0 {
        let bytes = bits / 8
        return load(field, bytes: UInt32(bytes)) + [
          .compare(register: register, compare, Array(network.prefix(bytes)))
        ]
      }
      return load(field) + [
        .bitwise(
          register: register, destination: register, mask: mask(bits: bits, count: network.count),
          xor: [UInt8](repeating: 0, count: network.count)),
        .compare(register: register, compare, network),
      ]
    case .range(let lower, let upper):
      let loaded = load(field) + turnedRound(field)
      if isNegated {
        return loaded + [.range(register: register, isNegated: true, lower: lower, upper: upper)]
      }
      return loaded + [
        .compare(register: register, .greaterOrEqual, lower),
        .compare(register: register, .lessOrEqual, upper),
      ]
    case .set(let reference, let isInterval):
      return load(field, isInterval: isInterval) + (isInterval ? turnedRound(field) : []) + [
        .lookup(register: register, reference, isNegated: isNegated)
      ]
    }
  }

  private static func expressions(_ update: SetUpdate) -> [Expression] {
    let masked = update.mask.map { mask -> [Expression] in
      [
        .bitwise(
          register: register, destination: register, mask: mask,
          xor: [UInt8](repeating: 0, count: mask.count))
      ]
    }
    return load(update.key) + (masked ?? []) + [
      .dynamicSet(
        register: register, set: update.set, update.operation, timeout: update.timeout.map { $0 * 1000 },
        update.state)
    ]
  }

  private static func expressions(_ change: Change) -> [Expression] {
    switch change {
    case .packetMark(let mark):
      [.immediate(register: register, mark.littleEndianBytes), .setMeta(.mark, register: register)]
    case .connectionMark(let mark):
      [.immediate(register: register, mark.littleEndianBytes), .setConntrack(.mark, register: register)]
    case .restoreMark: [.conntrack(.mark, register: register), .setMeta(.mark, register: register)]
    case .saveMark: [.meta(.mark, register: register), .setConntrack(.mark, register: register)]
    // The kernel mends checksums of two bytes at a time, so the byte before or after is written too.
    case .ipv4DSCP(let code):
      rewrite(mask: [0xff, 0x03], value: [0, code << 2], checksum: 10)  // linux/ip.h check
    case .ipv6DSCP(let code):
      rewrite(mask: [0xf0, 0x3f], value: (UInt16(code) << 6).bigEndianBytes, checksum: nil)
    case .segmentSize(let bytes):
      (bytes.map { [.immediate(register: register, $0.bigEndianBytes)] }
        ?? [
          .route(.segmentSize, register: register),
          .byteOrder(register: register, destination: register, toNetwork: true, length: 2, size: 2),
        ]) + [.setTCPOption(kind: 2, offset: 2, length: 2, register: register)]  // linux/tcp.h TCPOPT_MSS
    }
  }

  private static func rewrite(mask: [UInt8], value: [UInt8], checksum: UInt32?) -> [Expression] {
    [
      .payload(.network, offset: 0, length: 2, register: register),
      .bitwise(register: register, destination: register, mask: mask, xor: value),
      .setPayload(.network, offset: 0, length: 2, register: register, checksum: checksum),
    ]
  }

  /// A comparison of order needs host-order numbers the other way round.
  private static func turnedRound(_ field: Field) -> [Expression] {
    switch field {
    case .socketUser, .socketGroup, .packetMark, .connectionMark, .packetLength, .hour:
      [.byteOrder(register: register, destination: register, toNetwork: true, length: 4, size: 4)]
    default: []
    }
  }

  private static func mask(bits: Int, count: Int) -> [UInt8] {
    (0..<count).map { index in
      let kept = max(0, min(8, bits - index * 8))
      return UInt8(truncatingIfNeeded: 0xff00 >> kept)
    }
  }

  /// - Parameter bytes: only so many leading bytes of the field.
  /// - Parameter isInterval: for a concatenation, whether ranges are looked up.
  private static func load(
    _ field: Field, bytes: UInt32? = nil, isInterval: Bool = false, into register: UInt32 = register
  ) -> [Expression] {
    func network(_ offset: UInt32, _ length: UInt32) -> [Expression] {
      [.payload(.network, offset: offset, length: bytes ?? length, register: register)]
    }
    func transport(_ offset: UInt32, _ length: UInt32, into register: UInt32) -> [Expression] {
      [.payload(.transport, offset: offset, length: length, register: register)]
    }
    func transport(_ offset: UInt32, _ length: UInt32) -> [Expression] {
      transport(offset, length, into: register)
    }
    func masked(_ mask: [UInt8]) -> [Expression] {
      [
        .bitwise(
          register: register, destination: register, mask: mask,
          xor: [UInt8](repeating: 0, count: mask.count))
      ]
    }
    // Offsets of the fields in linux/if_ether.h, linux/ip.h, linux/ipv6.h, linux/tcp.h and linux/icmp.h.
    return switch field {
    case .family: [.meta(.family, register: register)]
    case .transportProtocol: [.meta(.transportProtocol, register: register)]
    case .inputInterfaceName: [.meta(.inputInterfaceName, register: register)]
    case .outputInterfaceName: [.meta(.outputInterfaceName, register: register)]
    case .ipv4Source: network(12, 4)
    case .ipv4Destination: network(16, 4)
    case .ipv6Source: network(8, 16)
    case .ipv6Destination: network(24, 16)
    case .masked(let field, let mask): load(field) + masked(mask)
    case .sourcePort: transport(0, 2)
    case .destinationPort: transport(2, 2)
    case .icmpType, .icmpv6Type: transport(0, 1)
    case .icmpCode, .icmpv6Code: transport(1, 1)
    case .conntrackState: [.conntrack(.state, register: register)]
    case .conntrackStatus: [.conntrack(.status, register: register)]
    case .socketUser: [.meta(.socketUser, register: register)]
    case .socketGroup: [.meta(.socketGroup, register: register)]
    case .socketControlGroup(let level): [.socketControlGroup(level: level, register: register)]
    // NFTA_FIB_F_SADDR 1, NFTA_FIB_F_DADDR 2.
    case .fibSourceType: [.fib(result: .addressType, flags: 1, register: register)]
    case .fibDestinationType: [.fib(result: .addressType, flags: 2, register: register)]
    case .packetMark(nil): [.meta(.mark, register: register)]
    case .packetMark(let mask):
      [.meta(.mark, register: register)] + (mask.map { masked($0.littleEndianBytes) } ?? [])
    case .connectionMark(let mask):
      [.conntrack(.mark, register: register)] + (mask.map { masked($0.littleEndianBytes) } ?? [])
    case .tcpFlags(let mask): transport(13, 1) + masked([mask])
    case .inputInterfaceType: [.meta(.inputInterfaceType, register: register)]
    case .linkDestination: [.payload(.linkLayer, offset: 0, length: 6, register: register)]
    case .linkSource: [.payload(.linkLayer, offset: 6, length: 6, register: register)]
    case .ipv4DSCP: network(1, 1) + masked([0xfc])
    case .ipv6DSCP: network(0, 2) + masked([0x0f, 0xc0])
    case .ipv4TimeToLive: network(8, 1)
    case .ipv6HopLimit: network(7, 1)
    case .packetLength: [.meta(.length, register: register)]
    case .packetType: [.meta(.packetType, register: register)]
    case .hour: [.meta(.hour, register: register)]
    case .day: [.meta(.day, register: register)]
    case .ipv4FragmentOffset: network(6, 2) + masked([0x1f, 0xff])
    case .ipv6FragmentOffset:
      // IPPROTO_FRAGMENT; the low three bits are flags.
      [.extensionHeader(type: 44, offset: 2, length: 2, register: register)] + masked([0xff, 0xf8])
    // NFTA_FIB_F_SADDR, _IIF, _PRESENT.
    case .reverseRoute: [.fib(result: .outputInterface, flags: 1 | 8 | 32, register: register)]
    case .securityPath: [.meta(.securityPath, register: register)]
    case .protocolAndDestinationPort:
      [.meta(.transportProtocol, register: register)]
        // nft turns the host-order field round in words of two bytes; of its one byte that leaves all.
        + (isInterval
          ? [.byteOrder(register: register, destination: register, toNetwork: true, length: 1, size: 2)] : [])
        + transport(2, 2, into: secondWord)
    case .icmpTypeAndCode, .icmpv6TypeAndCode: transport(0, 1) + transport(1, 1, into: secondWord)
    case .concatenated(let fields): concatenation(fields, isInterval: isInterval)
    }
  }

  private static func concatenation(_ fields: [Field], isInterval: Bool) -> [Expression] {
    var loads: [Expression] = []
    // Registers of 4 bytes begin at 8, NFT_REG32_00; where a register of 16 bytes begins, nft names that.
    var word: UInt32 = 0
    for field in fields {
      let place = word % 4 == 0 ? word / 4 + 1 : word + 8
      loads += load(field, into: place)
      if isInterval, case .packetMark = field {
        loads.append(
          .byteOrder(register: place, destination: place, toNetwork: true, length: 4, size: 4))
      }
      word += words(of: field)
    }
    return loads
  }

  /// Registers of 4 bytes that a field of a concatenation takes.
  private static func words(of field: Field) -> UInt32 {
    switch field {
    case .inputInterfaceName, .outputInterfaceName, .ipv6Source, .ipv6Destination: 4
    case .protocolAndDestinationPort, .icmpTypeAndCode, .icmpv6TypeAndCode: 2
    case .concatenated(let fields): fields.reduce(0) { $0 + words(of: $1) }
    default: 1
    }
  }
}

extension RuleStatement.NAT {
  /// Each bound in the next register of 16 bytes.
  fileprivate var expressions: [Expression] {
    var loads: [Expression] = []
    func load(_ lower: [UInt8], _ upper: [UInt8]) -> ClosedRange<UInt32> {
      let first = UInt32(loads.count + 1)
      loads.append(.immediate(register: first, lower))
      if lower == upper { return first...first }
      loads.append(.immediate(register: first + 1, upper))
      return first...(first + 1)
    }
    let addresses = load(lower, upper)
    let ports = ports.map { load($0.lower, $0.upper) }
    var flags = RuleStatement.addressesAreGiven
    if ports != nil { flags |= RuleStatement.portsAreGiven }
    if isPrefix { flags |= RuleStatement.bitsStay }
    // linux/netfilter.h NFPROTO_IPV4, NFPROTO_IPV6.
    return loads + [
      .nat(isSource: isSource, family: isV6 ? 10 : 2, addresses: addresses, ports: ports, flags: flags)
    ]
  }
}
