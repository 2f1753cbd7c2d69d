import NFTables
import PolicyModel
import Ruleset

/// Matches and targets of iptables, which iptables-nft puts into rules where nftables has no words of its own, or had
/// none: their structures are those of linux/netfilter/xt_*.h.
struct RuleExtension {
  let name: String
  let revision: UInt32
  private let bytes: [UInt8]

  /// - Parameter data: attributes NFTA_MATCH_NAME, _REV and _INFO, or the same of a target.
  init(_ data: [UInt8]) throws(LiftError) {
    var name: [UInt8]?
    var revision: UInt32 = 0
    var bytes: [UInt8]?
    var offset = 0
    while offset + 4 <= data.count {
      // Length and type of `struct nlattr` are in host order, which is that of x86 and arm64.
      let length = Int(data[offset]) | Int(data[offset + 1]) << 8
      guard length >= 4, offset + length <= data.count else { break }
      let value = Array(data[(offset + 4)..<(offset + length)])
      switch data[offset + 2] {
      case 1: name = Array(value.prefix { $0 != 0 })
      case 2 where value.count == 4:
        revision = UInt32(truncatingIfNeeded: ConditionLift.number(value))
      case 3: bytes = value
      default: break
      }
      offset += (length + 3) & ~3
    }
    guard let name, let bytes, offset >= data.count else {
      throw LiftError("a match of iptables that cannot be read")
    }
    (self.name, self.revision, self.bytes) = (String(decoding: name, as: UTF8.self), revision, bytes)
  }

  /// As it is in the structure.
  func bytes(_ offset: Int, _ count: Int) throws(LiftError) -> [UInt8] {
    guard offset + count <= bytes.count else { throw LiftError("`\(name)` of iptables is cut off") }
    return Array(bytes[offset..<(offset + count)])
  }

  func byte(_ offset: Int) throws(LiftError) -> UInt8 { try bytes(offset, 1)[0] }

  /// A number in host order.
  func number(_ offset: Int, _ count: Int) throws(LiftError) -> UInt32 {
    UInt32(truncatingIfNeeded: ConditionLift.number(try bytes(offset, count).reversed()))
  }

  /// A port in host order, as the bytes of a header.
  func port(_ offset: Int) throws(LiftError) -> [UInt8] { try bytes(offset, 2).reversed() }

  func text(_ offset: Int, _ count: Int) throws(LiftError) -> String {
    String(decoding: try bytes(offset, count).prefix { $0 != 0 }, as: UTF8.self)
  }

  var unknown: LiftError { LiftError("`\(name)` of iptables, which the model has no word for") }
}

extension RuleLift {
  // MARK: Matches

  mutating func match(_ data: [UInt8]) throws(LiftError) {
    try beforeCondition()
    let match = try RuleExtension(data)
    switch (match.name, match.revision) {
    case ("mac", 0):
      // struct xt_mac_info: the address, and behind two bytes whether it must be another. Inverted it fails without
      // an address too, which is no negation.
      let inverted = try match.number(8, 4)
      guard inverted == 0 else { throw match.unknown }
      let value = UInt64(truncatingIfNeeded: ConditionLift.number(try match.bytes(0, 6)))
      conditions.matches.append(Match(.linkAddresses(.source, [LinkAddress(value)])))
    case ("conntrack", 2...3): try connection(match)
    case ("multiport", 1): try ports(match)
    case ("recent", 1): try recent(match)
    case ("sctp", 0): try associationPorts(match)
    case ("length", 0): try length(match)
    default: throw match.unknown
    }
  }

  /// struct xt_conntrack_mtinfo3: only the state is asked.
  private mutating func connection(_ match: RuleExtension) throws(LiftError) {
    let (asked, inverted) = (try match.number(146, 2), try match.number(148, 2))
    // XT_CONNTRACK_STATE; XT_CONNTRACK_STATE_ALIAS says that it was written as `state`.
    guard asked & ~0x2000 == 1, inverted & ~1 == 0 else { throw match.unknown }
    let bits = try match.number(150, 2)
    // XT_CONNTRACK_STATE_INVALID, _BIT of established, related and new, and _UNTRACKED.
    let words: [(UInt32, ConntrackStates)] = [
      (1, .invalid), (2, .established), (4, .related), (8, .new), (256, .untracked),
    ]
    guard bits & ~words.reduce(0, { $0 | $1.0 }) == 0 else { throw match.unknown }
    var states: ConntrackStates = []
    for (bit, state) in words where (bits & bit != 0) != (inverted == 1) { states.insert(state) }
    guard !states.isEmpty else { throw match.unknown }
    conditions.matches.append(Match(.states(states)))
  }

  /// struct xt_multiport_v1: flags, number of ports, 15 ports, for each whether the next is the end of its range, and
  /// whether none of them must be it.
  private mutating func ports(_ match: RuleExtension) throws(LiftError) {
    let (side, count) = (try match.byte(0), Int(try match.byte(1)))
    // XT_MULTIPORT_SOURCE, _DESTINATION; one of both has no word.
    guard side <= 1, (1...15).contains(count) else { throw match.unknown }
    var spans: [ConditionLift.Span] = []
    var index = 0
    while index < count {
      let isRange = try match.byte(32 + index) != 0
      guard !isRange || index + 1 < count else { throw match.unknown }
      spans.append((try match.port(2 + index * 2), try match.port(2 + (index + (isRange ? 1 : 0)) * 2)))
      index += isRange ? 2 : 1
    }
    try ports(spans, isSource: side == 0, isNegated: try match.byte(47) != 0, match)
  }

  /// struct xt_recent_mtinfo_v1: seconds, number of hits, what is done, whether it is inverted, name, side, mask.
  ///
  /// Who is in the list often enough changes from packet to packet, as who is in a set that others fill: the question
  /// is such a membership, one for each way to ask.
  private mutating func recent(_ match: RuleExtension) throws(LiftError) {
    let (seconds, hits) = (try match.number(0, 4), try match.number(4, 4))
    let (actions, inverted) = (try match.byte(8), try match.byte(9))
    let (name, side) = (try match.text(10, 200), try match.byte(210))
    let mask = try match.bytes(212, 4)
    // XT_RECENT_CHECK, _SET, _UPDATE, _REMOVE alone; XT_RECENT_SOURCE, _DEST.
    guard [1, 2, 4, 8].contains(actions), inverted <= 1, side <= 1, conditions.families == .ipv4,
      mask == [0xff, 0xff, 0xff, 0xff]
    else { throw match.unknown }
    // To put an address in always works.
    if actions == 2 {
      guard inverted == 0 else { throw match.unknown }
      return
    }
    let set =
      "recent \(name)" + (hits > 0 ? " \(hits) times" : "") + (seconds > 0 ? " in \(seconds)s" : "")
    context.keys.fill(set)
    let addresses = AddressMatch(addresses: AddressSet(), sets: [set])
    conditions.matches.append(
      Match(.addresses(side == 0 ? .source : .destination, addresses), isNegated: inverted == 1))
  }

  /// struct xt_sctp_info: ranges of destination and source ports, sets of chunks, what of it is asked, and what of that is
  /// inverted.
  private mutating func associationPorts(_ match: RuleExtension) throws(LiftError) {
    let (asked, inverted) = (try match.number(284, 4), try match.number(288, 4))
    // XT_SCTP_SRC_PORTS, _DEST_PORTS; of chunks nothing is known.
    guard asked & ~3 == 0, inverted & ~asked == 0 else { throw match.unknown }
    for (bit, offset) in [(UInt32(1), 4), (2, 0)] where asked & bit != 0 {
      try ports(
        [(try match.port(offset), try match.port(offset + 2))], isSource: bit == 1,
        isNegated: inverted & bit != 0, match)
    }
  }

  /// struct xt_length_info: the least and the largest length, and whether it must be another.
  private mutating func length(_ match: RuleExtension) throws(LiftError) {
    let (least, largest, inverted) = (try match.number(0, 2), try match.number(2, 2), try match.byte(4))
    guard least <= largest, inverted <= 1 else { throw match.unknown }
    conditions.matches.append(Match(.length([AddressRange(least, largest)]), isNegated: inverted == 1))
  }

  private mutating func ports(
    _ spans: [ConditionLift.Span], isSource: Bool, isNegated: Bool, _ match: RuleExtension
  ) throws(LiftError) {
    guard conditions.hasPorts, spans.allSatisfy({ !$0.upper.lexicographicallyPrecedes($0.lower) }) else {
      throw match.unknown
    }
    let sorted = spans.sorted { $0.lower.lexicographicallyPrecedes($1.lower) }
    let field = LoadedField(.payload(.transport, offset: isSource ? 0 : 2), length: 2)
    try conditions.add(field, sorted, isNegated: isNegated)
  }

  // MARK: Targets

  mutating func target(_ data: [UInt8]) throws(LiftError) {
    let target = try RuleExtension(data)
    switch target.name {
    case "CT":
      // struct xt_ct_target_info: XT_CT_NOTRACK and nothing else; XT_CT_NOTRACK_ALIAS says that it was written so.
      let flags = try target.number(0, 2)
      guard flags & ~2 == 1 else { throw target.unknown }
      verdict = .notrack
    case "REJECT": verdict = .reject(try rejection(target))
    case "LOG":
      // struct xt_log_info: level, flags, 30 bytes of text.
      guard rule.log == nil else { throw LiftError("two logs in one rule") }
      rule.log = Self.log(try target.text(2, 30), UInt32(try target.byte(0)), nil)
    case "SNAT": verdict = .translate(.source(try translated(target)))
    case "DNAT": verdict = .translate(.destination(try translated(target)))
    case "MASQUERADE":
      let flags = try target.number(4, 4)
      guard flags == 0 else { throw target.unknown }
      verdict = .translate(.masquerade)
    default: throw target.unknown
    }
  }

  /// enum ipt_reject_with of linux/netfilter_ipv4/ipt_REJECT.h, as the codes that nftables has for them.
  private func rejection(_ target: RuleExtension) throws(LiftError) -> RejectKind {
    guard conditions.families == .ipv4 else { throw target.unknown }
    switch try target.number(0, 4) {
    case 0: return try kind(0, 0)
    case 1: return try kind(0, 1)
    case 3: return try kind(0, 3)
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
    let bits = try target.number(flags, 4)
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
