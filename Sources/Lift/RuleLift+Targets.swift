import PolicyModel
import Ruleset

/// Targets of iptables.
extension RuleLift {
  mutating func target(_ data: [UInt8]) throws(LiftError) {
    let target = try RuleExtension(data)
    switch target.name {
    case "CT":
      // struct xt_ct_target_info: XT_CT_NOTRACK and nothing else; XT_CT_NOTRACK_ALIAS says that it was written so.
      let flags = try target.number(0, 2)
      guard flags & ~2 == 1 else {
        // Helpers, time-outs and zones are nothing that the model asks.
        guard !context.isStrict, flags & 1 == 0 else { throw target.unknown }
        return
      }
      verdict = .notrack
    case "REJECT": verdict = .reject(try rejection(target))
    case "LOG":
      // struct xt_log_info: level, flags, 30 bytes of text.
      guard rule.log == nil || !context.isStrict else { throw LiftError("two logs in one rule") }
      rule.log = Self.log(try target.text(2, 30), UInt32(try target.byte(0)), nil)
    case "SNAT": verdict = .translate(.source(try translated(target)))
    case "DNAT": verdict = .translate(.destination(try translated(target)))
    case "MASQUERADE":
      // Which port is taken is not asked: any may be.
      let flags = try target.number(4, 4)
      guard flags == 0 || !context.isStrict && flags & ~0x1e == 0 else { throw target.unknown }
      verdict = .translate(.masquerade)
    case "REDIRECT": verdict = .translate(.redirect(try redirected(target)))
    case "MARK":
      // struct xt_mark_tginfo2: the mark and its mask.
      let (mark, mask) = (try target.number(0, 4), try target.number(4, 4))
      guard target.revision == 2, mark & ~mask == 0 else { throw target.unknown }
      try enter(.mark)
      (rule.changes.mark, rule.changes.markMask) = (mark, mask)
    case "CONNMARK": try setConnectionMark(target)
    case "DSCP":
      guard try target.byte(0) < 64 else { throw target.unknown }
      try enter(.dscp)
      rule.changes.dscp = try target.byte(0)
    case "TCPMSS":
      // struct xt_tcpmss_info: the size, XT_TCPMSS_CLAMP_PMTU for that of the path.
      guard conditions.isTCP else { throw target.unknown }
      try enter(.segmentSize)
      let size = UInt16(truncatingIfNeeded: try target.number(0, 2))
      rule.changes.segmentSize = size == .max ? .pathMTU : .bytes(size)
    // They do nothing to the packet that is asked for.
    case "AUDIT", "CHECKSUM", "CLASSIFY", "CONNSECMARK", "IDLETIMER", "LED", "NFLOG", "RATEEST", "SECMARK",
      "SET",
      "TEE", "TRACE":
      guard !context.isStrict else { throw target.unknown }
    default: throw target.unknown
    }
  }

  /// struct xt_connmark_tginfo1: the mark, which bits of the connection's and of the packet's count, what is done; in
  /// xt_connmark_tginfo2 a direction and a number of bits to shift by stand before that.
  private mutating func setConnectionMark(_ target: RuleExtension) throws(LiftError) {
    let (mask, packetMask, mode) = (
      try target.number(4, 4), try target.number(8, 4), try target.byte(target.revision == 2 ? 14 : 12)
    )
    let isShifted = target.revision == 2 ? try target.byte(13) != 0 : false
    guard (1...2).contains(target.revision), !isShifted, mode == 0 || mask == .max && packetMask == .max
    else {
      throw target.unknown
    }
    // XT_CONNMARK_SET, _SAVE, _RESTORE.
    switch mode {
    case 0:
      let mark = try target.number(0, 4)
      guard mark & ~mask == 0 else { throw target.unknown }
      try enter(.connectionMark)
      (rule.changes.connectionMark, rule.changes.connectionMarkMask) = (mark, mask)
    case 1:
      try enter(.savedMark)
      rule.changes.savesMark = true
    case 2:
      try enter(.restoredMark)
      rule.changes.restoresMark = true
    default: throw target.unknown
    }
  }

  /// The port of struct nf_nat_ipv4_multi_range_compat, which holds one, or of struct nf_nat_range; nil: it stays.
  private func redirected(_ target: RuleExtension) throws(LiftError) -> UInt16? {
    let isOld = target.revision == 0 && conditions.families == .ipv4
    let (flags, ports) = isOld ? (4, 16) : (0, 36)
    // NF_NAT_RANGE_PROTO_SPECIFIED.
    let bits = known(try target.number(flags, 4))
    guard bits & ~2 == 0, isOld ? try target.number(0, 4) == 1 : true else { throw target.unknown }
    guard bits == 2 else { return nil }
    let (first, last) = (try target.bytes(ports, 2), try target.bytes(ports + 2, 2))
    guard first == last else { throw target.unknown }
    return UInt16(truncatingIfNeeded: ConditionLift.number(first))
  }

  /// enum ipt_reject_with of linux/netfilter_ipv4/ipt_REJECT.h, as the codes that nftables has for them.
  private func rejection(_ target: RuleExtension) throws(LiftError) -> RejectKind {
    if conditions.families == .ipv6 {
      // enum ip6t_reject_with of linux/netfilter_ipv6/ip6t_REJECT.h.
      switch try target.number(0, 4) {
      case 0: return try kind(0, 0)
      case 1: return try kind(0, 1)
      case 3: return try kind(0, 3)
      case 4: return try kind(0, 4)
      case 6: return try kind(1, nil)
      case 7: return try kind(0, 5)
      case 8: return try kind(0, 6)
      default: throw target.unknown
      }
    }
    guard conditions.families == .ipv4 else { throw target.unknown }
    switch try target.number(0, 4) {
    case 0: return try kind(0, 0)
    case 1: return try kind(0, 1)
    case 2: return try kind(0, 2)
    case 3: return try kind(0, 3)
    case 5: return try kind(0, 9)
    case 6: return try kind(0, 10)
    case 7: return try kind(1, nil)
    case 8: return try kind(0, 13)
    default: throw target.unknown
    }
  }

  /// struct nf_nat_ipv4_multi_range_compat, which holds one, or nf_nat_range and nf_nat_range2, which begin alike.
  private func translated(_ target: RuleExtension) throws(LiftError) -> NATTarget {
    guard conditions.families == .ipv4 else { throw target.unknown }
    let isOld = target.revision == 0
    // Of the second kind addresses have 16 bytes.
    let (flags, lower, upper, ports) = isOld ? (4, 8, 12, 16) : (0, 4, 20, 36)
    // NF_NAT_RANGE_MAP_IPS, _PROTO_SPECIFIED.
    let bits = known(try target.number(flags, 4))
    let count = isOld ? try target.number(0, 4) : 1
    guard bits & ~3 == 0, bits & 1 != 0, count == 1 else { throw target.unknown }
    let addresses = try addresses(
      ConditionLift.number(try target.bytes(lower, 4)), ConditionLift.number(try target.bytes(upper, 4)))
    guard bits & 2 != 0 else { return NATTarget(addresses: addresses, isPrefix: false, ports: nil) }
    let first = UInt16(truncatingIfNeeded: ConditionLift.number(try target.bytes(ports, 2)))
    let last = UInt16(truncatingIfNeeded: ConditionLift.number(try target.bytes(ports + 2, 2)))
    guard first <= last else { throw target.unknown }
    return NATTarget(addresses: addresses, isPrefix: false, ports: AddressRange(first, last))
  }
}
