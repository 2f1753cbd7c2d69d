import NFTables
import PolicyModel
import Ruleset

/// What a rule does.
extension RuleLift {
  mutating func act(_ expression: Expression) throws(LiftError) {
    switch expression {
    case .counter:
      guard rule.counter == nil else { throw LiftError("two counters in one rule") }
      rule.counter = .anonymous
    // NFT_OBJECT_COUNTER, _QUOTA, _LIMIT.
    case .objectReference(type: 1, let name):
      guard rule.counter == nil else { throw LiftError("two counters in one rule") }
      rule.counter = .named(context.counters[name] ?? name)
    case .objectReference(type: 2, let name): try refer(2, name)
    case .objectReference(type: 4, let name): try refer(4, name)
    case .limit(let rate, let seconds, let burst, let isBytes, let isOver):
      try enter(.limit)
      rule.limit = Limit(
        isOver: isOver, rate: try self.rate(rate, isBytes, seconds), burst: burst)
    case .quota(let bytes, let isOver):
      try enter(.quota)
      rule.quota = Quota(isOver: isOver, bytes: bytes)
    case .log(let prefix, let level, let group):
      guard rule.log == nil else { throw LiftError("two logs in one rule") }
      rule.log = Self.log(prefix, level, group)
    case .setMeta(.mark, let register): try setMark(register)
    case .setConntrack(.mark, let register): try setConnectionMark(register)
    case .setPayload(.network, let offset, let length, let register, let checksum):
      try setCodePoint(Int(offset), Int(length), try field(register), checksum)
    case .setTCPOption(kind: 2, offset: 2, length: 2, let register):
      try enter(.segmentSize, orEndingWith: "a TCP option that may be missing")
      if case .field(let field)? = registers[register] {
        guard case .route(.segmentSize) = field.source, field.isTurned, field.mask == nil else {
          throw LiftError("a segment size that is computed")
        }
        rule.changes.segmentSize = .pathMTU
      } else {
        let bytes = try constant(register, 2)
        rule.changes.segmentSize = .bytes(UInt16(truncatingIfNeeded: ConditionLift.number(bytes)))
      }
      guard conditions.isTCP else { throw LiftError("a TCP option of a packet whose protocol was not asked") }
    case .notrack: verdict = .notrack
    case .reject(let type, let code): verdict = .reject(try kind(type, code))
    case .verdict(let found): verdict = Self.verdict(found)
    case .masquerade: verdict = .translate(.masquerade)
    case .redirect(let ports, let flags):
      // NF_NAT_RANGE_PROTO_SPECIFIED.
      guard known(flags) == (ports == nil ? 0 : 2) else {
        throw LiftError("a translation with flags that the model has not")
      }
      let port = try ports.map { ports throws(LiftError) in
        guard ports.lowerBound == ports.upperBound else { throw LiftError("a redirect to several ports") }
        return UInt16(truncatingIfNeeded: ConditionLift.number(try constant(ports.lowerBound, 2)))
      }
      verdict = .translate(.redirect(port))
    case .nat(let isSource, let family, let addresses, let ports, let flags):
      verdict = .translate(try translation(isSource, family, addresses, ports, flags))
    case .unknown(let name, let data): try actForeign(name, data)
    default: throw LiftError("an expression that the model has no word for")
    }
  }

  private mutating func setMark(_ register: UInt32) throws(LiftError) {
    guard case .field(let field)? = registers[register] else {
      let bytes = try constant(register, 4)
      try enter(.mark)
      rule.changes.mark = Self.hostNumber(bytes)
      return
    }
    if field.source == .meta(.mark) {
      let (value, mask) = try bits(field)
      try enter(.mark)
      (rule.changes.mark, rule.changes.markMask) = (value, mask)
      return
    }
    guard field == LoadedField(.conntrack(.mark), length: 4) else {
      throw LiftError("a mark that is computed")
    }
    // The kernel has ended the rule for a packet without connection when it read that one's mark.
    try enter(.restoredMark, orEndingWith: "the mark of a connection that there may not be")
    rule.changes.restoresMark = true
  }

  /// A mark of which some bits are set and cleared, and the others stay: their values, and which those are.
  private func bits(_ field: LoadedField) throws(LiftError) -> (value: UInt32, mask: UInt32) {
    guard !context.isStrict, !field.isTurned, field.length == 4, let mask = field.mask else {
      throw LiftError("a mark that is computed")
    }
    let (kept, value) = (Self.hostNumber(mask), Self.hostNumber(field.flipped ?? [0, 0, 0, 0]))
    guard kept & value == 0 else { throw LiftError("a mark whose bits are turned over") }
    return (value, ~kept)
  }

  private mutating func setConnectionMark(_ register: UInt32) throws(LiftError) {
    guard case .field(let field)? = registers[register] else {
      let bytes = try constant(register, 4)
      try enter(.connectionMark)
      rule.changes.connectionMark = Self.hostNumber(bytes)
      return
    }
    if field.source == .conntrack(.mark) {
      let (value, mask) = try bits(field)
      try enter(.connectionMark, orEndingWith: "the mark of a connection that there may not be")
      (rule.changes.connectionMark, rule.changes.connectionMarkMask) = (value, mask)
      return
    }
    guard field == LoadedField(.meta(.mark), length: 4) else { throw LiftError("a mark that is computed") }
    try enter(.savedMark)
    rule.changes.savesMark = true
  }

  private mutating func setCodePoint(
    _ offset: Int, _ length: Int, _ field: LoadedField, _ checksum: UInt32?
  ) throws(LiftError) {
    try enter(.dscp)
    guard offset == 0, length == 2, field.length == 2, !field.isTurned,
      case .payload(.network, offset: 0) = field.source
    else { throw LiftError("bytes of the network header are rewritten") }
    let value = UInt16(truncatingIfNeeded: ConditionLift.number(field.flipped ?? [0, 0]))
    switch (conditions.families, field.mask, checksum) {
    // The checksum of linux/ip.h, or none.
    case (.ipv4, [0xff, 0x03]?, 10?) where value & ~0xfc == 0:
      rule.changes.dscp = UInt8(truncatingIfNeeded: value >> 2)
    case (.ipv6, [0xf0, 0x3f]?, nil) where value & ~0xfc0 == 0:
      rule.changes.dscp = UInt8(truncatingIfNeeded: value >> 6)
    default: throw LiftError("bytes of the network header are rewritten")
    }
  }

  func kind(_ type: UInt32, _ code: UInt8?) throws(LiftError) -> RejectKind {
    // NFT_REJECT_ICMP_UNREACH, _TCP_RST, _ICMPX_UNREACH; codes of linux/icmp.h and linux/icmpv6.h.
    switch (type, code, conditions.families) {
    case (1, _, _): .tcpReset
    // What a bare `reject` sends.
    case (2, 1?, _), (0, 3?, .ipv4), (0, 4?, .ipv6): .automatic
    case (0, 2?, .ipv4): .protocolUnreachable
    case (0, 9?, .ipv4): .networkProhibited
    case (0, 10?, .ipv4): .hostProhibited
    case (0, 5?, .ipv6): .policyFail
    case (0, 6?, .ipv6): .rejectRoute
    case (2, 2?, _), (0, 1?, .ipv4), (0, 3?, .ipv6): .hostUnreachable
    case (2, 3?, _), (0, 13?, .ipv4), (0, 1?, .ipv6): .adminProhibited
    case (2, 0?, _), (0, 0?, .ipv4), (0, 0?, .ipv6): .noRoute
    default: throw LiftError("a refusal by a code that the model has no word for")
    }
  }

  // MARK: Translation

  func addresses(_ lower: UInt128, _ upper: UInt128) throws(LiftError) -> NATAddresses {
    guard lower <= upper else { throw LiftError("a range that runs downwards") }
    return conditions.families == .ipv4
      ? .ipv4(IPv4Range(UInt32(truncatingIfNeeded: lower), UInt32(truncatingIfNeeded: upper)))
      : .ipv6(IPv6Range(lower, upper))
  }

  private mutating func translation(
    _ isSource: Bool, _ family: UInt32, _ addressRegisters: ClosedRange<UInt32>,
    _ ports: ClosedRange<UInt32>?, _ flags: UInt32
  ) throws(LiftError) -> Translation {
    // NFPROTO_IPV4, NFPROTO_IPV6.
    let own: Families = family == 2 ? .ipv4 : .ipv6
    if !context.isStrict, family == 2 || family == 10, conditions.families.contains(own) {
      // Packets of the other family go on (nft_nat_inet_eval).
      passesOthers = conditions.families != own
      try ask { (conditions) throws(LiftError) in conditions.families.formIntersection(own) }
    }
    guard conditions.families != .both, conditions.families == own else {
      throw LiftError("a translation of the family that was not asked")
    }
    // NF_NAT_RANGE_MAP_IPS, _PROTO_SPECIFIED, _NETMAP; the kernel derives the first two from the registers.
    guard known(flags) & ~0x40 == 1 | (ports == nil ? 0 : 2) else {
      throw LiftError("a translation with flags that the model has not")
    }
    if case .targets(let targets, let width)? = registers[addressRegisters.lowerBound] {
      let word = Registers.word(addressRegisters.lowerBound) + width / 4
      guard !isSource, flags & 0x40 == 0, addressRegisters.lowerBound == addressRegisters.upperBound,
        let ports, ports.lowerBound == ports.upperBound, Registers.word(ports.lowerBound) == word
      else { throw LiftError("a map of targets that is used otherwise") }
      return .destinationByPort(targets)
    }
    let width = family == 2 ? 4 : 16
    let lower = ConditionLift.number(try constant(addressRegisters.lowerBound, width))
    let upper = ConditionLift.number(try constant(addressRegisters.upperBound, width))
    let range = try ports.map { ports throws(LiftError) in
      let first = UInt16(truncatingIfNeeded: ConditionLift.number(try constant(ports.lowerBound, 2)))
      let last = UInt16(truncatingIfNeeded: ConditionLift.number(try constant(ports.upperBound, 2)))
      guard first <= last else { throw LiftError("a range that runs downwards") }
      return AddressRange(first, last)
    }
    let target = NATTarget(addresses: try addresses(lower, upper), isPrefix: flags & 0x40 != 0, ports: range)
    return isSource ? .source(target) : .destination(target)
  }

  /// Without what says how one of several addresses and ports is chosen: any may be.
  func known(_ flags: UInt32) -> UInt32 {
    // NF_NAT_RANGE_PROTO_RANDOM, _PERSISTENT, _PROTO_RANDOM_FULLY.
    context.isStrict ? flags : flags & ~0x1c
  }

  static func verdict(_ verdict: KernelVerdict) -> Verdict {
    switch verdict {
    case .accept: .accept
    case .drop: .drop
    case .continue: .continue
    case .return: .return
    case .jump(let chain): .jump(chain)
    case .goto(let chain): .goto(chain)
    }
  }

  private static func hostNumber(_ bytes: [UInt8]) -> UInt32 {
    UInt32(truncatingIfNeeded: ConditionLift.number(bytes.reversed()))
  }
}
