extension KernelRule {
  /// The kernel's program of the rule, as stock nft 1.0.6 makes it of the rule's text.
  package var expressions: [Expression] {
    var writer = ProgramWriter(statementCount: statements.count)
    var index = 0
    while index < statements.count {
      if statements[index].mayBeJoined, index + 1 < statements.count,
        writer.writeJoined(statements[index], statements[index + 1])
      {
        index += 2
      } else {
        writer.write(statements[index])
        index += 1
      }
    }
    return writer.program
  }
}

extension RuleStatement {
  /// Whether it asks for the lower of two fields that nft loads at once.
  fileprivate var mayBeJoined: Bool {
    switch self {
    case .match(.sourcePort, .equal, _), .match(.icmpType, .equal, _), .match(.icmpv6Type, .equal, _),
      .match(.linkDestination, .equal, _):
      true
    default: false
    }
  }
}

/// Writes a rule's program, one expression behind the other.
private struct ProgramWriter {
  typealias Field = RuleStatement.Field

  private(set) var program: [Expression] = []

  // Registers of linux/netfilter/nf_tables.h: NFT_REG_1, and NFT_REG32_01, its second word.
  private static let register: UInt32 = 1
  private static let secondWord: UInt32 = 9

  // NF_NAT_RANGE_MAP_IPS, PROTO_SPECIFIED, NETMAP of linux/netfilter/nf_nat.h.
  private static let addressesAreGiven: UInt32 = 1
  private static let portsAreGiven: UInt32 = 2
  private static let bitsStay: UInt32 = 0x40

  init(statementCount: Int) {
    // Most statements are a load and a comparison.
    program.reserveCapacity(2 * statementCount)
  }

  /// nft loads fields that touch at once: of what the lowering writes, both ports, ICMP type and code, and both
  /// link-layer addresses. The lowering puts them side by side, the lower one first. False: these do not touch.
  mutating func writeJoined(_ first: RuleStatement, _ second: RuleStatement) -> Bool {
    guard case .match(let lowField, .equal, .value(let low)) = first,
      case .match(let highField, .equal, .value(let high)) = second
    else { return false }
    let base: Expression.PayloadBase
    switch (lowField, highField) {
    case (.sourcePort, .destinationPort), (.icmpType, .icmpCode), (.icmpv6Type, .icmpv6Code):
      base = .transport
    case (.linkDestination, .linkSource): base = .linkLayer
    default: return false
    }
    load(base, 0, UInt32(low.count + high.count))
    program.append(.compare(register: Self.register, .equal, low + high))
    return true
  }

  mutating func write(_ statement: RuleStatement) {
    let register = Self.register
    switch statement {
    case .match(let field, let comparison, let operand): match(field, comparison, operand)
    case .counter(nil): program.append(.counter)
    // NFT_OBJECT_COUNTER.
    case .counter(let name?): program.append(.objectReference(type: 1, name: name))
    case .limit(let rate, let seconds, let burst, let isBytes, let isOver):
      program.append(.limit(rate: rate, seconds: seconds, burst: burst, isBytes: isBytes, isOver: isOver))
    case .quota(let bytes, let isOver): program.append(.quota(bytes: bytes, isOver: isOver))
    case .log(let prefix, let level, let group):
      program.append(.log(prefix: prefix, level: level.map(UInt32.init), group: group))
    case .reject(let reject): program.append(.reject(type: reject.type, code: reject.code))
    case .change(let change): self.change(change)
    case .setUpdate(let update): setUpdate(update)
    case .notrack: program.append(.notrack)
    case .verdict(let verdict): program.append(.verdict(verdict))
    case .verdictMap(let field, let map):
      load(field)
      // Register 0 is the verdict's.
      program.append(.mapLookup(register: register, map, destination: 0))
    case .masquerade: program.append(.masquerade)
    case .redirect(nil): program.append(.redirect(ports: nil, flags: 0))
    case .redirect(let port?):
      program.append(.immediate(register: register, port))
      program.append(.redirect(ports: register...register, flags: Self.portsAreGiven))
    case .nat(let nat): self.nat(nat)
    case .natMap(let isV6, let field, let map):
      load(field)
      program.append(.mapLookup(register: register, map, destination: register))
      // The port is in the register of 4 bytes behind the address; behind 16 bytes that is the second register.
      program.append(
        .nat(
          isSource: false, family: isV6 ? 10 : 2, addresses: register...register,
          ports: isV6 ? 2...2 : Self.secondWord...Self.secondWord,
          flags: Self.addressesAreGiven | Self.portsAreGiven))
    }
  }

  private mutating func match(
    _ field: Field, _ comparison: RuleStatement.Operator, _ operand: RuleStatement.Operand
  ) {
    let register = Self.register
    let isNegated = comparison == .notEqual
    if comparison == .anyBit, case .value(let bits) = operand {
      load(field)
      mask(bits)
      program.append(.compare(register: register, .notEqual, [UInt8](repeating: 0, count: bits.count)))
      return
    }
    let compare: Expression.Comparison = isNegated ? .notEqual : .equal
    switch operand {
    case .value(let value), .prefix(let value):
      load(field)
      program.append(.compare(register: register, compare, value))
    case .network(let network, let bits):
      if bits % 8 == 0 {
        let bytes = bits / 8
        load(field, bytes: UInt32(bytes))
        program.append(.compare(register: register, compare, Array(network.prefix(bytes))))
      } else {
        load(field)
        mask(Self.mask(bits: bits, count: network.count))
        program.append(.compare(register: register, compare, network))
      }
    case .range(let lower, let upper):
      load(field)
      turnRound(field)
      if isNegated {
        program.append(.range(register: register, isNegated: true, lower: lower, upper: upper))
      } else {
        program.append(.compare(register: register, .greaterOrEqual, lower))
        program.append(.compare(register: register, .lessOrEqual, upper))
      }
    case .set(let reference, let isInterval):
      load(field, isInterval: isInterval)
      if isInterval { turnRound(field) }
      program.append(.lookup(register: register, reference, isNegated: isNegated))
    }
  }

  private static func mask(bits: Int, count: Int) -> [UInt8] {
    (0..<count).map { index in
      let kept = max(0, min(8, bits - index * 8))
      return UInt8(truncatingIfNeeded: 0xff00 >> kept)
    }
  }

  /// A comparison of order needs host-order numbers the other way round.
  private mutating func turnRound(_ field: Field) {
    switch field {
    case .socketUser, .socketGroup, .packetMark, .connectionMark, .packetLength, .hour:
      turnRound(Self.register, length: 4, size: 4)
    default: break
    }
  }

  private mutating func turnRound(_ register: UInt32, length: UInt32, size: UInt32) {
    program.append(
      .byteOrder(register: register, destination: register, toNetwork: true, length: length, size: size))
  }

  // MARK: Changes

  private mutating func setUpdate(_ update: RuleStatement.SetUpdate) {
    load(update.key)
    if let bits = update.mask { mask(bits) }
    program.append(
      .dynamicSet(
        register: Self.register, set: update.set, update.operation,
        timeout: update.timeout.map { $0 * 1000 }, update.state))
  }

  private mutating func change(_ change: RuleStatement.Change) {
    let register = Self.register
    switch change {
    case .packetMark(let mark):
      program.append(.immediate(register: register, mark.littleEndianBytes))
      program.append(.setMeta(.mark, register: register))
    case .connectionMark(let mark):
      program.append(.immediate(register: register, mark.littleEndianBytes))
      program.append(.setConntrack(.mark, register: register))
    case .restoreMark:
      program.append(.conntrack(.mark, register: register))
      program.append(.setMeta(.mark, register: register))
    case .saveMark:
      program.append(.meta(.mark, register: register))
      program.append(.setConntrack(.mark, register: register))
    // The kernel mends checksums of two bytes at a time, so the byte before or after is written too.
    case .ipv4DSCP(let code):
      rewrite(mask: [0xff, 0x03], value: [0, code << 2], checksum: 10)  // linux/ip.h check
    case .ipv6DSCP(let code):
      rewrite(mask: [0xf0, 0x3f], value: (UInt16(code) << 6).bigEndianBytes, checksum: nil)
    case .segmentSize(let bytes):
      if let bytes {
        program.append(.immediate(register: register, bytes.bigEndianBytes))
      } else {
        program.append(.route(.segmentSize, register: register))
        turnRound(register, length: 2, size: 2)
      }
      // linux/tcp.h TCPOPT_MSS
      program.append(.setTCPOption(kind: 2, offset: 2, length: 2, register: register))
    }
  }

  private mutating func rewrite(mask: [UInt8], value: [UInt8], checksum: UInt32?) {
    let register = Self.register
    load(.network, 0, 2)
    program.append(.bitwise(register: register, destination: register, mask: mask, xor: value))
    program.append(.setPayload(.network, offset: 0, length: 2, register: register, checksum: checksum))
  }

  /// Each bound in the next register of 16 bytes.
  private mutating func nat(_ nat: RuleStatement.NAT) {
    var last: UInt32 = 0
    func load(_ lower: [UInt8], _ upper: [UInt8], _ program: inout [Expression]) -> ClosedRange<UInt32> {
      last += 1
      let first = last
      program.append(.immediate(register: first, lower))
      if lower == upper { return first...first }
      last += 1
      program.append(.immediate(register: last, upper))
      return first...last
    }
    let addresses = load(nat.lower, nat.upper, &program)
    let ports = nat.ports.map { load($0.lower, $0.upper, &program) }
    var flags = Self.addressesAreGiven
    if ports != nil { flags |= Self.portsAreGiven }
    if nat.isPrefix { flags |= Self.bitsStay }
    // linux/netfilter.h NFPROTO_IPV4, NFPROTO_IPV6.
    program.append(
      .nat(
        isSource: nat.isSource, family: nat.isV6 ? 10 : 2, addresses: addresses, ports: ports, flags: flags))
  }

  // MARK: Loads

  private mutating func load(
    _ base: Expression.PayloadBase, _ offset: UInt32, _ length: UInt32, into register: UInt32 = register
  ) {
    program.append(.payload(base, offset: offset, length: length, register: register))
  }

  private mutating func mask(_ mask: [UInt8], _ register: UInt32 = register) {
    program.append(
      .bitwise(
        register: register, destination: register, mask: mask,
        xor: [UInt8](repeating: 0, count: mask.count)))
  }

  /// - Parameter bytes: only so many leading bytes of the field, which is an address.
  /// - Parameter isInterval: for a concatenation, whether ranges are looked up.
  private mutating func load(
    _ field: Field, bytes: UInt32? = nil, isInterval: Bool = false, into register: UInt32 = register
  ) {
    // Offsets of the fields in linux/if_ether.h, linux/ip.h, linux/ipv6.h, linux/tcp.h and linux/icmp.h.
    switch field {
    case .family: program.append(.meta(.family, register: register))
    case .transportProtocol: program.append(.meta(.transportProtocol, register: register))
    case .inputInterfaceName: program.append(.meta(.inputInterfaceName, register: register))
    case .outputInterfaceName: program.append(.meta(.outputInterfaceName, register: register))
    case .ipv4Source: load(.network, 12, bytes ?? 4, into: register)
    case .ipv4Destination: load(.network, 16, bytes ?? 4, into: register)
    case .ipv6Source: load(.network, 8, bytes ?? 16, into: register)
    case .ipv6Destination: load(.network, 24, bytes ?? 16, into: register)
    case .masked(let field, let bits):
      load(field, into: register)
      mask(bits, register)
    case .sourcePort: load(.transport, 0, 2, into: register)
    case .destinationPort: load(.transport, 2, 2, into: register)
    case .icmpType, .icmpv6Type: load(.transport, 0, 1, into: register)
    case .icmpCode, .icmpv6Code: load(.transport, 1, 1, into: register)
    case .conntrackState: program.append(.conntrack(.state, register: register))
    case .conntrackStatus: program.append(.conntrack(.status, register: register))
    case .socketUser: program.append(.meta(.socketUser, register: register))
    case .socketGroup: program.append(.meta(.socketGroup, register: register))
    case .socketControlGroup(let level): program.append(.socketControlGroup(level: level, register: register))
    // NFTA_FIB_F_SADDR 1, NFTA_FIB_F_DADDR 2.
    case .fibSourceType: program.append(.fib(result: .addressType, flags: 1, register: register))
    case .fibDestinationType: program.append(.fib(result: .addressType, flags: 2, register: register))
    case .packetMark(let bits):
      program.append(.meta(.mark, register: register))
      if let bits { mask(bits.littleEndianBytes, register) }
    case .connectionMark(let bits):
      program.append(.conntrack(.mark, register: register))
      if let bits { mask(bits.littleEndianBytes, register) }
    case .tcpFlags(let bits):
      load(.transport, 13, 1, into: register)
      mask([bits], register)
    case .inputInterfaceType: program.append(.meta(.inputInterfaceType, register: register))
    case .linkDestination: load(.linkLayer, 0, 6, into: register)
    case .linkSource: load(.linkLayer, 6, 6, into: register)
    case .ipv4DSCP:
      load(.network, 1, 1, into: register)
      mask([0xfc], register)
    case .ipv6DSCP:
      load(.network, 0, 2, into: register)
      mask([0x0f, 0xc0], register)
    case .ipv4TimeToLive: load(.network, 8, 1, into: register)
    case .ipv6HopLimit: load(.network, 7, 1, into: register)
    case .packetLength: program.append(.meta(.length, register: register))
    case .packetType: program.append(.meta(.packetType, register: register))
    case .hour: program.append(.meta(.hour, register: register))
    case .day: program.append(.meta(.day, register: register))
    case .ipv4FragmentOffset:
      load(.network, 6, 2, into: register)
      mask([0x1f, 0xff], register)
    case .ipv6FragmentOffset:
      // IPPROTO_FRAGMENT; the low three bits are flags.
      program.append(.extensionHeader(type: 44, offset: 2, length: 2, register: register))
      mask([0xff, 0xf8], register)
    // NFTA_FIB_F_SADDR, _IIF, _PRESENT.
    case .reverseRoute:
      program.append(.fib(result: .outputInterface, flags: 1 | 8 | 32, register: register))
    case .securityPath: program.append(.meta(.securityPath, register: register))
    case .protocolAndDestinationPort:
      program.append(.meta(.transportProtocol, register: register))
      // nft turns the host-order field round in words of two bytes; of its one byte that leaves all.
      if isInterval { turnRound(register, length: 1, size: 2) }
      load(.transport, 2, 2, into: Self.secondWord)
    case .icmpTypeAndCode, .icmpv6TypeAndCode:
      load(.transport, 0, 1, into: register)
      load(.transport, 1, 1, into: Self.secondWord)
    case .concatenated(let fields): load(concatenated: fields, isInterval: isInterval)
    }
  }

  private mutating func load(concatenated fields: [Field], isInterval: Bool) {
    // Registers of 4 bytes begin at 8, NFT_REG32_00; where a register of 16 bytes begins, nft names that.
    var word: UInt32 = 0
    for field in fields {
      let place = word % 4 == 0 ? word / 4 + 1 : word + 8
      load(field, into: place)
      if isInterval, case .packetMark = field { turnRound(place, length: 4, size: 4) }
      word += Self.words(of: field)
    }
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
