/// What a try puts into the kernel beside the policy, which is the table `inet lockdowntry`.
///
/// The kernel holds its clock: in each table a set `trying` with both families, as elements that end by themselves.
/// While they live, the tables from before accept at the head of each base chain, that is say nothing, and the new one
/// rules; behind their end it is the other way round. The old ones end a second before, so that for a moment both rule,
/// and at none neither.
///
/// Where a host is opened for a time, the same stands in the chains that close, with a set `open`, and no other table rules.
enum Trial {
  /// A set whose elements end by themselves, and the comment of the rules that look them up.
  enum Clock {
    case trying
    case open

    var name: Literal {
      switch self {
      case .trying: "trying"
      case .open: "open"
      }
    }
  }

  // NLA_F_NESTED of linux/netlink.h.
  private static let nested: UInt16 = 0x8000

  // MARK: Names

  /// Moves finished messages to the table of the try, whose name fits where the policy's stood: 8 bytes, a zero, and
  /// three of padding.
  static func rename(_ messages: [BundleReader.Message], in bytes: inout [UInt8]) {
    let name = Array(OwnTable.trying.name).terminated()
    for message in messages {
      let attributes =
        (message.range.lowerBound + NetlinkHeader.byteCountWithFamily)..<message.range.upperBound
      guard let old = bytes.attribute(1, in: attributes) else { continue }
      for index in 0..<name.count { bytes[old.lowerBound + index] = name[index] }
      // nla_len of struct nlattr.
      bytes[old.lowerBound - NetlinkAttribute.headerLength] = UInt8(
        NetlinkAttribute.headerLength + name.count)
    }
  }

  // MARK: Messages

  /// The clock of a table, which does not run yet.
  static func addClock(_ clock: Clock, of table: OwnTable, _ writer: inout MessageWriter) {
    // NFT_SET_TIMEOUT; nft's TYPE_NFPROTO, of one byte.
    addSet(table, clock.name, flags: 0x10, type: 2, length: 1, size: 4, seconds: 0, &writer)
  }

  /// Lets it run, for so many seconds.
  static func startClock(_ clock: Clock, of table: OwnTable, seconds: Int, _ writer: inout MessageWriter) {
    begin(Wire.newElements, table, &writer)
    writer.append(2, text: clock.name)
    // NFTA_SET_ELEM_TIMEOUT.
    let timeout = attribute(4, milliseconds(seconds))
    var list = attribute(1 | nested, key([2]) + timeout)
    list.append(contentsOf: attribute(1 | nested, key([10]) + timeout))
    writer.append(3 | nested, payload: list)
  }

  /// Lets that of the tried table run anew: one that runs cannot be set.
  static func restartClock(seconds: Int, _ batch: Batch) {
    batch.empty(Clock.trying.name, of: .trying)
    startClock(.trying, of: .trying, seconds: seconds, &batch.head)
  }

  @inline(never)
  private static func addSet(
    _ table: OwnTable, _ name: Literal, flags: UInt32, type: UInt32, length: UInt32, size: UInt32,
    seconds: Int, _ writer: inout MessageWriter
  ) {
    begin(Wire.newSet, table, &writer)
    writer.append(2, text: name)
    writer.append(3, number: flags)
    writer.append(4, number: type)
    writer.append(5, number: length)
    writer.append(9 | nested, payload: attribute(1, bigEndian(UInt64(size), count: 4)))
    // NFTA_SET_ID: the compiler counts from 1.
    writer.append(10, number: 0xffff_ff00 | length)
    if seconds > 0 { writer.append(11, payload: milliseconds(seconds)) }
    // KEYBYTEORDER: host order, or that of each field.
    writer.append(13, payload: [0, 4, length == 1 ? 1 : 0, 0, 0, 0])
  }

  /// The rule at the head of a base chain by which that says nothing, while a clock runs or while it does not.
  @inline(never)
  static func addLead(
    _ clock: Clock, of table: OwnTable, _ chain: [UInt8], whileItRuns: Bool, _ writer: inout MessageWriter
  ) {
    var expressions = lead
    let name = Array(clock.name).terminated()
    // nla_len of struct nlattr; there is room for eight bytes.
    expressions[leadName - NetlinkAttribute.headerLength] = UInt8(NetlinkAttribute.headerLength + name.count)
    for index in 0..<name.count { expressions[leadName + index] = name[index] }
    if !whileItRuns { expressions[inversion] = 1 }
    addRule(table, chain, expressions, clock, &writer)
  }

  /// Whether a rule of a dump is one that `addLead` makes.
  static func isLead(_ clock: Clock, _ bytes: [UInt8], _ rule: Range<Int>) -> Bool {
    guard let userdata = bytes.attribute(7, in: rule) else { return false }
    let mark = mark(clock)
    return bytes.isEqual(userdata, mark, 0..<mark.count)
  }

  /// NFTA_RULE_USERDATA: a comment. Rules of policies have a label besides.
  private static func mark(_ clock: Clock) -> [UInt8] {
    let name = Array(clock.name).terminated()
    return [0, UInt8(name.count)] + name
  }

  @inline(never)
  private static func addRule(
    _ table: OwnTable, _ chain: [UInt8], _ expressions: [UInt8], _ clock: Clock, _ writer: inout MessageWriter
  ) {
    // Without NLM_F_APPEND it goes to the head of its chain.
    begin(Wire.newRule, table, &writer)
    writer.append(2, payload: chain.terminated())
    writer.append(4 | nested, payload: expressions)
    writer.append(7, payload: mark(clock))
  }

  /// What proves that a connection was let in by the tried policy: behind all filters, of others too, the ends of each
  /// new one of TCP are noted.
  static func addFresh(seconds: Int, _ writer: inout MessageWriter) {
    let chain = Array("_fresh" as Literal)
    // NFT_SET_TIMEOUT, NFT_SET_EVAL; nft's numbers of address, port, address, port in six bits each.
    addSet(
      .trying, "fresh4", flags: 0x30, type: 7 << 18 | 13 << 12 | 7 << 6 | 13, length: 16, size: 65_535,
      seconds: seconds, &writer)
    addSet(
      .trying, "fresh6", flags: 0x30, type: 8 << 18 | 13 << 12 | 8 << 6 | 13, length: 40, size: 65_535,
      seconds: seconds, &writer)
    begin(Wire.newChain, .trying, &writer)
    writer.append(3, payload: chain.terminated())
    // NF_INET_LOCAL_IN, at 300, behind NF_IP_PRI_NAT_SRC and all filters; accept.
    writer.append(4 | nested, payload: [8, 0, 1, 0, 0, 0, 0, 1, 8, 0, 2, 0, 0, 0, 1, 0x2c])
    writer.append(5, number: 1)
    writer.append(7, text: "filter")
    var expressions = fresh
    addRule(.trying, chain, expressions, .trying, &writer)
    // In IPv6 addresses are longer and elsewhere, and what comes behind them moves.
    for index in 0..<(differences.count / 2) {
      expressions[Int(differences[2 * index])] = UInt8(truncatingIfNeeded: differences[2 * index + 1])
    }
    addRule(.trying, chain, expressions, .trying, &writer)
  }

  @inline(never)
  private static func begin(_ type: UInt16, _ table: OwnTable, _ writer: inout MessageWriter) {
    writer.begin(
      Wire.subsystem | type, flags: Wire.request | Wire.create, sequence: 0, family: Wire.inet)
    writer.append(1, text: table.name)
  }

  // MARK: Bytes

  @inline(never)
  private static func attribute(_ number: UInt16, _ payload: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = []
    let length = NetlinkAttribute.headerLength + payload.count
    for value in 0..<4 {
      bytes.append(UInt8(truncatingIfNeeded: (length | Int(number) << 16) >> (8 * value)))
    }
    for byte in payload { bytes.append(byte) }
    while bytes.count % 4 != 0 { bytes.append(0) }
    return bytes
  }

  /// NFTA_SET_ELEM_KEY {NFTA_DATA_VALUE}.
  private static func key(_ bytes: [UInt8]) -> [UInt8] { attribute(1 | nested, attribute(1, bytes)) }

  private static func milliseconds(_ seconds: Int) -> [UInt8] { bigEndian(UInt64(seconds) * 1_000, count: 8) }

  @inline(never)
  private static func bigEndian(_ value: UInt64, count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    for index in 0..<count {
      bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * (count - 1 - index))))
    }
    return bytes
  }

  // Lists of {LIST_ELEM {NFTA_EXPR_NAME, NFTA_EXPR_DATA}}, as nft sends `meta nfproto @trying accept` …
  private static let lead: [UInt8] = [
    // meta nfproto => reg 1
    0x24, 0, 1, 0x80, 9, 0, 1, 0, 0x6d, 0x65, 0x74, 0x61, 0, 0, 0, 0, 0x14, 0, 2, 0x80,
    8, 0, 1, 0, 0, 0, 0, 1, 8, 0, 2, 0, 0, 0, 0, 0x0f,
    // lookup reg 1 in the clock's set; the last word is NFT_LOOKUP_F_INV or not
    0x30, 0, 1, 0x80, 0x0b, 0, 1, 0, 0x6c, 0x6f, 0x6f, 0x6b, 0x75, 0x70, 0, 0, 0x20, 0, 2, 0x80,
    0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 2, 0, 0, 0, 0, 1,
    8, 0, 5, 0, 0, 0, 0, 0,
    // accept
    0x30, 0, 1, 0x80, 0x0e, 0, 1, 0, 0x69, 0x6d, 0x6d, 0x65, 0x64, 0x69, 0x61, 0x74, 0x65, 0, 0, 0,
    0x1c, 0, 2, 0x80, 8, 0, 1, 0, 0, 0, 0, 0, 0x10, 0, 2, 0x80, 0x0c, 0, 2, 0x80,
    8, 0, 1, 0, 0, 0, 0, 1,
  ]
  private static let leadName = 60
  private static let inversion = 83
  // … and `meta nfproto ipv4 meta l4proto tcp ct state new add @fresh4 { ip saddr . tcp sport . ip daddr . tcp dport }`.
  private static let fresh: [UInt8] = [
    // meta nfproto => reg 1, equal to IPv4's or IPv6's
    0x24, 0, 1, 0x80, 9, 0, 1, 0, 0x6d, 0x65, 0x74, 0x61, 0, 0, 0, 0, 0x14, 0, 2, 0x80,
    8, 0, 1, 0, 0, 0, 0, 1, 8, 0, 2, 0, 0, 0, 0, 0x0f, 0x2c, 0, 1, 0x80,
    8, 0, 1, 0, 0x63, 0x6d, 0x70, 0, 0x20, 0, 2, 0x80, 8, 0, 1, 0, 0, 0, 0, 1,
    8, 0, 2, 0, 0, 0, 0, 0, 0x0c, 0, 3, 0x80, 5, 0, 1, 0, 2, 0, 0, 0,
    // meta l4proto => reg 1, equal to IPPROTO_TCP
    0x24, 0, 1, 0x80, 9, 0, 1, 0, 0x6d, 0x65, 0x74, 0x61, 0, 0, 0, 0, 0x14, 0, 2, 0x80,
    8, 0, 1, 0, 0, 0, 0, 1, 8, 0, 2, 0, 0, 0, 0, 0x10, 0x2c, 0, 1, 0x80,
    8, 0, 1, 0, 0x63, 0x6d, 0x70, 0, 0x20, 0, 2, 0x80, 8, 0, 1, 0, 0, 0, 0, 1,
    8, 0, 2, 0, 0, 0, 0, 0, 0x0c, 0, 3, 0x80, 5, 0, 1, 0, 6, 0, 0, 0,
    // ct state => reg 1, has NF_CT_STATE_BIT(IP_CT_NEW)
    0x20, 0, 1, 0x80, 7, 0, 1, 0, 0x63, 0x74, 0, 0, 0x14, 0, 2, 0x80, 8, 0, 1, 0,
    0, 0, 0, 1, 8, 0, 2, 0, 0, 0, 0, 0, 0x44, 0, 1, 0x80, 0x0c, 0, 1, 0,
    0x62, 0x69, 0x74, 0x77, 0x69, 0x73, 0x65, 0, 0x34, 0, 2, 0x80, 8, 0, 1, 0, 0, 0, 0, 1,
    8, 0, 2, 0, 0, 0, 0, 1, 8, 0, 3, 0, 0, 0, 0, 4, 0x0c, 0, 4, 0x80,
    8, 0, 1, 0, 8, 0, 0, 0, 0x0c, 0, 5, 0x80, 8, 0, 1, 0, 0, 0, 0, 0,
    0x2c, 0, 1, 0x80, 8, 0, 1, 0, 0x63, 0x6d, 0x70, 0, 0x20, 0, 2, 0x80, 8, 0, 1, 0,
    0, 0, 0, 1, 8, 0, 2, 0, 0, 0, 0, 1, 0x0c, 0, 3, 0x80, 8, 0, 1, 0,
    0, 0, 0, 0,
    // source address => from reg32 0 on
    0x34, 0, 1, 0x80, 0x0c, 0, 1, 0, 0x70, 0x61, 0x79, 0x6c, 0x6f, 0x61, 0x64, 0, 0x24, 0, 2, 0x80,
    8, 0, 1, 0, 0, 0, 0, 8, 8, 0, 2, 0, 0, 0, 0, 1, 8, 0, 3, 0,
    0, 0, 0, 0x0c, 8, 0, 4, 0, 0, 0, 0, 4,
    // source port behind it
    0x34, 0, 1, 0x80, 0x0c, 0, 1, 0, 0x70, 0x61, 0x79, 0x6c, 0x6f, 0x61, 0x64, 0, 0x24, 0, 2, 0x80,
    8, 0, 1, 0, 0, 0, 0, 9, 8, 0, 2, 0, 0, 0, 0, 2, 8, 0, 3, 0,
    0, 0, 0, 0, 8, 0, 4, 0, 0, 0, 0, 2,
    // destination address
    0x34, 0, 1, 0x80, 0x0c, 0, 1, 0, 0x70, 0x61, 0x79, 0x6c, 0x6f, 0x61, 0x64, 0, 0x24, 0, 2, 0x80,
    8, 0, 1, 0, 0, 0, 0, 0x0a, 8, 0, 2, 0, 0, 0, 0, 1, 8, 0, 3, 0,
    0, 0, 0, 0x10, 8, 0, 4, 0, 0, 0, 0, 4,
    // destination port
    0x34, 0, 1, 0x80, 0x0c, 0, 1, 0, 0x70, 0x61, 0x79, 0x6c, 0x6f, 0x61, 0x64, 0, 0x24, 0, 2, 0x80,
    8, 0, 1, 0, 0, 0, 0, 0x0b, 8, 0, 2, 0, 0, 0, 0, 2, 8, 0, 3, 0,
    0, 0, 0, 2, 8, 0, 4, 0, 0, 0, 0, 2,
    // add these to the set
    0x30, 0, 1, 0x80, 0x0b, 0, 1, 0, 0x64, 0x79, 0x6e, 0x73, 0x65, 0x74, 0, 0, 0x20, 0, 2, 0x80,
    0x0b, 0, 1, 0, 0x66, 0x72, 0x65, 0x73, 0x68, 0x34, 0, 0, 8, 0, 3, 0, 0, 0, 0, 0,
    8, 0, 4, 0, 0, 0, 0, 8,
  ]
  /// Offset and value by turns: what the same rule has otherwise in IPv6.
  private static let differences: [UInt16] = [
    76, 10, 347, 8, 355, 16, 383, 12, 435, 13, 451, 24, 459, 16, 487, 17, 541, 0x36,
  ]

  // MARK: Questions

  /// Whether a table has such a set: of a clock that runs or not, or of who waits.
  static func has(_ set: Literal, _ table: OwnTable, _ socket: inout NetlinkSocket)
    throws(NetlinkSocket.Failure) -> Bool
  {
    var reply: [UInt8] = []
    var request = NetlinkSocket.request(Wire.getSet, table)
    request.append(2, text: set)
    return try socket.get(request, into: &reply) != nil
  }

  /// Milliseconds that the old tables have yet to wait, or that those which rule are open; 0: not at all.
  static func left(_ clock: Clock, _ socket: inout NetlinkSocket) throws(NetlinkSocket.Failure) -> Int {
    switch clock {
    // The new one's clock ends a second later.
    case .trying: max(0, try longest(clock, .trying, &socket) - 1_000)
    case .open: max(try longest(clock, .policy, &socket), try longest(clock, .closed, &socket))
    }
  }

  /// What an element without an end, which is none of ours, has left.
  static let endless = 1 << 40

  @inline(never)
  private static func longest(_ clock: Clock, _ table: OwnTable, _ socket: inout NetlinkSocket)
    throws(NetlinkSocket.Failure) -> Int
  {
    // Most tables have no clock, and then there is one question to each.
    guard try has(clock.name, table, &socket) else { return 0 }
    var longest = 0
    for family in 0..<2 {
      var reply: [UInt8] = []
      let key: [UInt8] = [family == 0 ? 2 : 10]
      guard let element = try find(key, in: clock.name, of: table, &socket, &reply) else { continue }
      // NFTA_SET_ELEM_EXPIRATION. Above the low word are 49 days.
      guard let expiration = reply.attribute(5, in: element), expiration.count == 8 else { return endless }
      longest = max(longest, Int(reply.bigEndian(expiration.lowerBound + 4)))
    }
    return longest
  }

  /// Whether a new connection with these ends was let in: address and port of the other side, then of this.
  static func isFresh(_ ends: [UInt8], _ socket: inout NetlinkSocket) throws(NetlinkSocket.Failure) -> Bool {
    var reply: [UInt8] = []
    return try find(ends, in: ends.count == 16 ? "fresh4" : "fresh6", of: .trying, &socket, &reply) != nil
  }

  /// The attributes of an element.
  @inline(never)
  private static func find(
    _ bytes: [UInt8], in set: Literal, of table: OwnTable, _ socket: inout NetlinkSocket,
    _ reply: inout [UInt8]
  ) throws(NetlinkSocket.Failure) -> Range<Int>? {
    var request = NetlinkSocket.request(Wire.getElements, table)
    request.append(2, text: set)
    request.append(3 | nested, payload: attribute(1 | nested, key(bytes)))
    guard let attributes = try socket.get(request, into: &reply),
      let nest = reply.attribute(3, in: attributes)
    else { return nil }
    return NetlinkAttribute(reply, at: nest.lowerBound, end: nest.upperBound)?.payload
  }
}
