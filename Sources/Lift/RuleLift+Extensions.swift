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
    guard let attributes = NetlinkAttributes(data), let name = attributes[1], let bytes = attributes[3] else {
      throw LiftError("a match of iptables that cannot be read")
    }
    self.name = String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
    revision = attributes.number(2) ?? 0
    self.bytes = bytes
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
  mutating func match(_ data: [UInt8]) throws(LiftError) {
    let match = try RuleExtension(data)
    // xt_comment says nothing about packets.
    if match.name == "comment", !context.isStrict { return }
    if match.name == "connlimit", match.revision == 1, !context.isStrict { return try connections(match) }
    try beforeCondition()
    let keys = context.keys
    try ask { (conditions) throws(LiftError) in try conditions.match(match, keys) }
  }

  /// struct xt_connlimit_info: the mask, the number of connections, and whether it must be at most that or the
  /// destination's.
  private mutating func connections(_ match: RuleExtension) throws(LiftError) {
    let (count, flags) = (try match.number(16, 4), try match.number(20, 4))
    guard conditions.families == .ipv4, flags & ~3 == 0 else { throw match.unknown }
    var key = AddressKey(side: flags & 2 == 0 ? .source : .destination)
    key.ipv4Bits = try ConditionLift.prefixLength(try match.bytes(0, 4)) ?? 32
    try enter(.connections)
    rule.connections = ConnectionLimit(
      isOver: flags & 1 == 0, count: count, key: key.ipv4Bits == 0 ? nil : key)
  }
}

extension ConditionLift {
  mutating func match(_ match: RuleExtension, _ keys: SetKeys) throws(LiftError) {
    switch (match.name, match.revision) {
    case ("mac", 0):
      // struct xt_mac_info: the address, and behind two bytes whether it must be another. Inverted it fails without
      // an address too, which is no negation.
      let inverted = try match.number(8, 4)
      guard inverted == 0 else { throw match.unknown }
      let value = UInt64(truncatingIfNeeded: Self.number(try match.bytes(0, 6)))
      matches.append(Match(.linkAddresses(.source, [LinkAddress(value)])))
    case ("conntrack", 2...3): try connection(match)
    case ("multiport", 1): try ports(match)
    case ("recent", 1): try recent(match, keys)
    case ("sctp", 0): try associationPorts(match)
    case ("dccp", 0): try datagramPorts(match)
    case ("length", 0): try length(match)
    case ("policy", 0): try ipsec(match)
    case ("icmp", 0), ("icmp6", 0): try icmp(match)
    case ("addrtype", 1): try addressTypes(match)
    case ("connmark", 1): try connectionMark(match)
    case ("iprange", 1): try addressRanges(match)
    case ("owner", 1): try owner(match)
    case ("pkttype", 0):
      // struct xt_pkttype_info: the type, and whether it must be another.
      let (type, inverted) = (try match.number(0, 4), try match.number(4, 4))
      guard type < 4 else { throw match.unknown }
      matches.append(Match(.packetTypes(PacketTypes(rawValue: 1 << UInt8(type))), isNegated: inverted != 0))
    case ("ttl", 0), ("hl", 0): try timeToLive(match)
    case ("dscp", 0):
      // struct xt_dscp_info: the code point, and whether it must be another.
      let (code, inverted) = (try match.byte(0), try match.byte(1))
      guard code < 64 else { throw match.unknown }
      matches.append(Match(.dscp([AddressRange(code, code)]), isNegated: inverted != 0))
    default: throw match.unknown
    }
  }

  /// struct ipt_icmp, struct ip6t_icmp: the type, 255 for any; the first and the last code; whether it is inverted.
  private mutating func icmp(_ match: RuleExtension) throws(LiftError) {
    let (type, inverted) = (try match.byte(0), try match.byte(3))
    let codes = (UInt128(try match.byte(1)), UInt128(try match.byte(2)))
    guard inverted <= 1, codes.0 <= codes.1 else { throw match.unknown }
    let span = type == 255 ? (0, 255, 0, 255) : (UInt128(type), UInt128(type), codes.0, codes.1)
    try types([span], isNegated: inverted == 1)
  }

  /// struct xt_addrtype_info_v1: a bit for each type of the source and of the destination, and what is inverted.
  private mutating func addressTypes(_ match: RuleExtension) throws(LiftError) {
    let flags = try match.number(4, 4)
    // XT_ADDRTYPE_INVERT_SOURCE, _DEST; _LIMIT_IFACE_IN and _OUT ask for addresses of one interface.
    guard families == .ipv4, flags & ~3 == 0 else { throw match.unknown }
    for (offset, side, bit) in [(0, AddressSide.source, UInt32(1)), (2, .destination, 2)] {
      let bits = try match.number(offset, 2)
      guard bits != 0 else { continue }
      try addressTypes(
        Set((0..<16).filter { bits >> UInt32($0) & 1 == 1 }), side, isNegated: flags & bit != 0)
    }
  }

  /// struct xt_connmark_mtinfo1: the mark, its mask, whether it must be another.
  private mutating func connectionMark(_ match: RuleExtension) throws(LiftError) {
    let (mark, mask, inverted) = (try match.number(0, 4), try match.number(4, 4), try match.byte(8))
    guard mark & ~mask == 0, inverted <= 1 else { throw match.unknown }
    if inverted == 1 { hasEntry() }
    matches.append(
      Match(.mark(.connmark, MarkValues([AddressRange(mark, mark)], mask: mask)), isNegated: inverted == 1))
  }

  /// struct xt_iprange_mtinfo: the first and the last source, the first and the last destination, and what is asked.
  private mutating func addressRanges(_ match: RuleExtension) throws(LiftError) {
    let flags = try match.byte(64)
    let width = families == .ipv4 ? 4 : 16
    guard families != .both, flags & ~0x33 == 0 else { throw match.unknown }
    // IPRANGE_SRC, _DST, _SRC_INV, _DST_INV.
    for (offset, side, bit) in [(0, AddressSide.source, UInt8(1)), (32, .destination, 2)]
    where flags & bit != 0 {
      let lower = Self.number(try match.bytes(offset, width))
      let upper = Self.number(try match.bytes(offset + 16, width))
      guard lower <= upper else { throw match.unknown }
      let set =
        families == .ipv4
        ? AddressSet(ipv4: [IPv4Range(UInt32(truncatingIfNeeded: lower), UInt32(truncatingIfNeeded: upper))])
        : AddressSet(ipv6: [AddressRange(lower, upper)])
      matches.append(
        Match(.addresses(side, AddressMatch(addresses: set)), isNegated: flags & (bit << 4) != 0))
    }
  }

  /// struct xt_owner_match_info: ranges of users and groups, what of it is asked, and what is inverted. Without a socket
  /// what is inverted holds.
  private mutating func owner(_ match: RuleExtension) throws(LiftError) {
    let (asked, inverted) = (try match.byte(16), try match.byte(17))
    // XT_OWNER_UID, _GID.
    guard asked & ~3 == 0, asked != 0, inverted & ~asked == 0 else { throw match.unknown }
    for (bit, offset) in [(UInt8(1), 0), (2, 8)] where asked & bit != 0 {
      let (lower, upper) = (try match.number(offset, 4), try match.number(offset + 4, 4))
      guard lower <= upper else { throw match.unknown }
      let range = [AddressRange(lower, upper)]
      matches.append(Match(bit == 1 ? .user(range) : .group(range), isNegated: inverted & bit != 0))
    }
  }

  /// struct ipt_ttl_info, struct ip6t_hl_info: how it is compared, and with what.
  private mutating func timeToLive(_ match: RuleExtension) throws(LiftError) {
    let (mode, value) = (try match.byte(0), try match.byte(1))
    // IPT_TTL_EQ, _NE, _LT, _GT.
    switch mode {
    case 0, 1: matches.append(Match(.timeToLive([AddressRange(value, value)]), isNegated: mode == 1))
    case 2 where value > 0: matches.append(Match(.timeToLive([AddressRange(0, value - 1)])))
    case 3 where value < 255: matches.append(Match(.timeToLive([AddressRange(value + 1, 255)])))
    default: throw match.unknown
    }
  }

  /// struct xt_conntrack_mtinfo3: what is asked, what of it is inverted, the states, the bits of the status.
  private mutating func connection(_ match: RuleExtension) throws(LiftError) {
    let (asked, inverted) = (try match.number(146, 2), try match.number(148, 2))
    // XT_CONNTRACK_STATE, _STATUS, _DIRECTION; _STATE_ALIAS says that it was written as `state`.
    guard asked & ~0x3041 == 0, asked & 0x1041 != 0, inverted & ~0x1041 == 0 else { throw match.unknown }
    if asked & 1 != 0 { try states(try match.number(150, 2), isNegated: inverted & 1 != 0, match) }
    if asked & 0x40 != 0 {
      let bits = ConntrackStatus(rawValue: try match.number(152, 2))
      guard Self.knownStatus.isSuperset(of: bits) else { throw match.unknown }
      // What has no connection fails either way.
      if inverted & 0x40 != 0 { hasEntry() }
      matches.append(Match(.status(bits), isNegated: inverted & 0x40 != 0))
    }
    if asked & 0x1000 != 0 { try direction(isOriginal: inverted & 0x1000 == 0) }
  }

  private mutating func states(_ bits: UInt32, isNegated: Bool, _ match: RuleExtension) throws(LiftError) {
    // XT_CONNTRACK_STATE_INVALID, _BIT of established, related and new, and _UNTRACKED; _SNAT, _DNAT.
    let words: [(UInt32, ConntrackStates)] = [
      (1, .invalid), (2, .established), (4, .related), (8, .new), (256, .untracked),
    ]
    let translated = ConntrackStatus(rawValue: bits >> 6 & 3 == 0 ? 0 : (bits >> 6 & 3) << 4)
    guard bits & ~(words.reduce(0, { $0 | $1.0 }) | 0xc0) == 0 else { throw match.unknown }
    let listed = words.reduce(into: ConntrackStates()) { if bits & $1.0 != 0 { $0.insert($1.1) } }
    let asked = listed.isEmpty ? [] : [Match(.states(listed), isNegated: isNegated)]
    guard !translated.isEmpty else {
      guard !listed.isEmpty else { throw match.unknown }
      let states = isNegated ? ConntrackStates.all.subtracting(listed) : listed
      return states.isEmpty ? never() : matches.append(Match(.states(states)))
    }
    let other = Match(.status(translated), isNegated: isNegated)
    if isNegated || asked.isEmpty {
      matches += asked + [other]
    } else {
      try requireOne(of: [asked, [Match(.states(listed), isNegated: true), other]])
    }
  }

  /// struct xt_multiport_v1: flags, number of ports, 15 ports, for each whether the next is the end of its range, and
  /// whether none of them must be it.
  private mutating func ports(_ match: RuleExtension) throws(LiftError) {
    let (side, count) = (try match.byte(0), Int(try match.byte(1)))
    // XT_MULTIPORT_SOURCE, _DESTINATION, _EITHER.
    guard side <= 2, (1...15).contains(count) else { throw match.unknown }
    var spans: [Span] = []
    var index = 0
    while index < count {
      let isRange = try match.byte(32 + index) != 0
      guard !isRange || index + 1 < count else { throw match.unknown }
      spans.append((try match.port(2 + index * 2), try match.port(2 + (index + (isRange ? 1 : 0)) * 2)))
      index += isRange ? 2 : 1
    }
    let isNegated = try match.byte(47) != 0
    guard side == 2 else { return try ports(spans, isSource: side == 0, isNegated: isNegated, match) }
    if isNegated {
      for isSource in [true, false] { try ports(spans, isSource: isSource, isNegated: true, match) }
    } else {
      // The source, or else the destination.
      var (one, other) = (fresh(), fresh())
      try one.ports(spans, isSource: true, isNegated: false, match)
      try other.ports(spans, isSource: false, isNegated: false, match)
      other.matches += one.matches.map { Match($0.condition, isNegated: true) }
      try requireOne(of: try one.alone() + (try other.alone()))
    }
  }

  /// struct xt_recent_mtinfo_v1: seconds, number of hits, what is done, whether it is inverted, name, side, mask.
  ///
  /// Who is in the list often enough changes from packet to packet, as who is in a set that others fill: the question
  /// is such a membership, one for each way to ask.
  private mutating func recent(_ match: RuleExtension, _ keys: SetKeys) throws(LiftError) {
    let (seconds, hits) = (try match.number(0, 4), try match.number(4, 4))
    let (actions, inverted) = (try match.byte(8), try match.byte(9))
    let (name, side) = (try match.text(10, 200), try match.byte(210))
    let mask = try match.bytes(212, 4)
    // XT_RECENT_CHECK, _SET, _UPDATE, _REMOVE alone; XT_RECENT_SOURCE, _DEST.
    guard [1, 2, 4, 8].contains(actions), inverted <= 1, side <= 1, families == .ipv4,
      mask == [0xff, 0xff, 0xff, 0xff]
    else { throw match.unknown }
    // To put an address in always works.
    if actions == 2 {
      guard inverted == 0 else { throw match.unknown }
      return
    }
    let set =
      "recent \(name)" + (hits > 0 ? " \(hits) times" : "") + (seconds > 0 ? " in \(seconds)s" : "")
    keys.fill(set)
    let addresses = AddressMatch(addresses: AddressSet(), sets: [set])
    matches.append(
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

  /// struct xt_dccp_info: ranges of destination and source ports, what is asked and what of it is inverted.
  private mutating func datagramPorts(_ match: RuleExtension) throws(LiftError) {
    let (asked, inverted) = (try match.number(8, 2), try match.number(10, 2))
    // XT_DCCP_SRC_PORTS, _DEST_PORTS; of types and options nothing is known.
    guard asked & ~3 == 0, inverted & ~asked == 0 else { throw match.unknown }
    for (bit, offset) in [(UInt32(1), 4), (2, 0)] where asked & bit != 0 {
      // Ports of this structure are in host order.
      try ports(
        [(try match.port(offset), try match.port(offset + 2))], isSource: bit == 1,
        isNegated: inverted & bit != 0, match)
    }
  }

  /// struct xt_policy_info: four elements, of which the first may ask nothing; flags; how many they are.
  private mutating func ipsec(_ match: RuleExtension) throws(LiftError) {
    let (flags, length) = (try match.number(304, 2), try match.number(306, 2))
    // XT_POLICY_MATCH_IN, _MATCH_NONE; what elements ask for stands in bits of their byte 74.
    guard flags & ~4 == 1, length <= 1, try match.byte(74) == 0 else { throw match.unknown }
    matches.append(Match(.ipsec, isNegated: flags & 4 != 0))
  }

  /// struct xt_length_info: the least and the largest length, and whether it must be another.
  private mutating func length(_ match: RuleExtension) throws(LiftError) {
    let (least, largest, inverted) = (try match.number(0, 2), try match.number(2, 2), try match.byte(4))
    guard least <= largest, inverted <= 1 else { throw match.unknown }
    matches.append(Match(.length([AddressRange(least, largest)]), isNegated: inverted == 1))
  }

  mutating func ports(
    _ spans: [Span], isSource: Bool, isNegated: Bool, _ match: RuleExtension
  ) throws(LiftError) {
    guard hasPorts, spans.allSatisfy({ !$0.upper.lexicographicallyPrecedes($0.lower) }) else {
      throw match.unknown
    }
    let sorted = spans.sorted { $0.lower.lexicographicallyPrecedes($1.lower) }
    let field = LoadedField(.payload(.transport, offset: isSource ? 0 : 2), length: 2)
    try add(field, sorted, isNegated: isNegated)
  }
}
