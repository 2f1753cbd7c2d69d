/// Whether the messages of a bundle can only add to our own table, in the order that batches rely on.
///
/// The kernel is the judge of what a rule means. This check is about what a broken or hostile file could
/// make the applier do elsewhere: other tables, other kinds of messages, other lengths.
struct MessageCheck {
  private let section: BundleSection
  private let sourceCount: Int
  private var rank: Int
  private var previousKind: BundleMessageKind?
  /// Name of the set whose elements may follow.
  private var openSet: Range<Int>?

  // `lockdown-closed`; the policy's has its first eight.
  private static let tableName: [UInt8] = [
    0x6c, 0x6f, 0x63, 0x6b, 0x64, 0x6f, 0x77, 0x6e, 0x2d, 0x63, 0x6c, 0x6f, 0x73, 0x65, 0x64,
  ]
  // NFNL_SUBSYS_NFTABLES << 8, linux/netfilter/nfnetlink.h; below it NFT_MSG_*.
  private static let subsystem: UInt16 = 10 << 8
  // NLM_F_REQUEST | NLM_F_CREATE, NLM_F_EXCL, NLM_F_APPEND, linux/netlink.h.
  private static let create: UInt16 = 0x401
  private static let exclusive: UInt16 = 0x200
  private static let append: UInt16 = 0x800
  // NFPROTO_INET.
  private static let inet: UInt8 = 1
  // NFT_NAME_MAXLEN counts the zero byte.
  private static let maximumNameLength = 256
  // NFT_SET_ANONYMOUS.
  private static let anonymousFlag: UInt8 = 1

  /// - Parameter section: the messages of a whole batch, or some that come late, when the table is there.
  init(_ section: BundleSection, sourceCount: Int) {
    self.section = section
    rank = section == .late ? 0 : -1
    self.sourceCount = sourceCount
  }

  /// Checks the next message, which ends at `limit` at the latest, and takes it with its name.
  @inline(never)
  mutating func take(
    _ cursor: inout ByteCursor, _ kind: BundleMessageKind, upTo limit: Int = .max,
    into list: inout [BundleReader.Message]
  ) {
    let offset = cursor.offset
    let bytes = cursor.bytes
    guard let header = NetlinkHeader(bytes, at: offset, end: min(cursor.end, limit)),
      header.length >= NetlinkHeader.byteCountWithFamily, header.length % 4 == 0
    else { return cursor.fail(at: offset, .badMessageFrame) }
    let range = cursor.take(header.length)
    if header.type != Self.subsystem | UInt16(Self.type(of: kind)) {
      cursor.fail(at: offset + 4, .badMessageType)
    }
    if header.port != 0 || !Self.allows(header.flags, in: kind) {
      cursor.fail(at: offset + 6, .badMessageFlags)
    }
    if header.sequence > UInt32(clamping: sourceCount) { cursor.fail(at: offset + 8, .unknownSource) }
    let family = offset + NetlinkHeader.byteCount
    // version and res_id of struct nfgenmsg stay 0.
    if bytes[family] != Self.inet || bytes[family + 1] | bytes[family + 2] | bytes[family + 3] != 0 {
      cursor.fail(at: family, .badMessageFamily)
    }
    let name = checkAttributes(
      (offset + NetlinkHeader.byteCountWithFamily)..<range.upperBound, kind, &cursor)
    guard cursor.isGood else { return }
    checkOrder(kind, name, at: offset, &cursor)
    list.append(BundleReader.Message(kind: kind, range: range, name: name, source: header.sequence))
  }

  /// After the last message.
  func finish(_ cursor: inout ByteCursor) {
    switch previousKind {
    case .anonymousSet?, .anonymousElements?: cursor.fail(at: cursor.offset, .badMessageOrder)
    default: break
    }
  }

  // NFT_MSG_*, linux/netfilter/nf_tables.h.
  private static func type(of kind: BundleMessageKind) -> UInt8 {
    switch kind {
    case .table: 0
    case .baseChain, .chain: 3
    case .rule: 6
    case .set, .anonymousSet: 9
    case .elements, .anonymousElements: 12
    case .object: 18
    }
  }

  private static func allows(_ flags: UInt16, in kind: BundleMessageKind) -> Bool {
    switch kind {
    case .table: flags == create || flags == create | exclusive
    case .rule: flags == create | append
    default: flags == create
    }
  }

  /// Numbers of the top-level attributes that may stand in a message, as bits. Handles and positions are
  /// the kernel's, and what points at them could move a rule.
  private static func allowedAttributes(in kind: BundleMessageKind) -> UInt64 {
    let numbers: [UInt64] =
      switch kind {
      case .table: [1, 2, 6]
      case .baseChain: [1, 3, 4, 5, 7, 10, 12]
      case .chain: [1, 3, 10, 12]
      case .object: [1, 2, 3, 4, 8]
      case .set, .anonymousSet: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 17, 18]
      case .elements, .anonymousElements: [1, 2, 3, 4]
      case .rule: [1, 2, 4, 7]
      }
    return numbers.reduce(0) { $0 | 1 << $1 }
  }

  /// The attribute that holds the object's name: of a rule its chain, of elements their set.
  private static func nameAttribute(of kind: BundleMessageKind) -> UInt16 {
    switch kind {
    case .table: 1
    case .baseChain, .chain: 3
    case .object, .set, .anonymousSet, .elements, .anonymousElements, .rule: 2
    }
  }

  /// The name; empty after a failure.
  private func checkAttributes(_ range: Range<Int>, _ kind: BundleMessageKind, _ cursor: inout ByteCursor)
    -> Range<Int>
  {
    let bytes = cursor.bytes
    let allowed = Self.allowedAttributes(in: kind)
    var seen: UInt64 = 0
    var name = 0..<0
    var isAnonymous = false
    var offset = range.lowerBound
    while offset < range.upperBound {
      guard let attribute = NetlinkAttribute(bytes, at: offset, end: range.upperBound) else {
        cursor.fail(at: offset, .badAttribute)
        return name
      }
      guard attribute.number < 64, allowed & 1 << UInt64(attribute.number) != 0 else {
        cursor.fail(at: offset, .attributeNotAllowed)
        return name
      }
      let bit: UInt64 = 1 << UInt64(attribute.number)
      if seen & bit != 0 { cursor.fail(at: offset, .duplicateAttribute) }
      seen |= bit
      if attribute.number == 1, !isOwnTable(bytes, attribute.payload) {
        cursor.fail(at: offset, .foreignTable)
      }
      if attribute.number == Self.nameAttribute(of: kind) { name = checkedName(attribute.payload, &cursor) }
      if attribute.number == 3, kind == .set || kind == .anonymousSet {
        if attribute.payload.count == 4 {
          isAnonymous = bytes[attribute.payload.upperBound - 1] & Self.anonymousFlag != 0
        } else {
          cursor.fail(at: offset, .badAttribute)
        }
      }
      if attribute.isNested { checkNest(attribute.payload, depth: 1, &cursor) }
      for index in attribute.payload.upperBound..<attribute.next where bytes[index] != 0 {
        cursor.fail(at: index, .paddingNotZero)
      }
      offset = attribute.next
    }
    if seen & 1 << 1 == 0 || name.isEmpty {
      cursor.fail(at: range.lowerBound, .missingAttribute)
    }
    // NFTA_CHAIN_HOOK is what makes a base chain.
    if kind == .baseChain && seen & 1 << 4 == 0 || kind == .set && isAnonymous
      || kind == .anonymousSet && !isAnonymous
    {
      cursor.fail(at: range.lowerBound, .kindMismatch)
    }
    return name
  }

  private func isOwnTable(_ bytes: [UInt8], _ name: Range<Int>) -> Bool {
    let length = section == .closedMessages ? Self.tableName.count : 8
    return name.count == length + 1 && bytes[name.upperBound - 1] == 0
      && bytes[name].prefix(length).elementsEqual(Self.tableName.prefix(length))
  }

  /// Every nest adds up, all the way down. A real message has seven levels at most.
  private func checkNest(_ range: Range<Int>, depth: Int, _ cursor: inout ByteCursor) {
    guard depth < 16 else { return cursor.fail(at: range.lowerBound, .badAttribute) }
    var offset = range.lowerBound
    while offset < range.upperBound {
      guard let attribute = NetlinkAttribute(cursor.bytes, at: offset, end: range.upperBound) else {
        return cursor.fail(at: offset, .badAttribute)
      }
      if attribute.isNested { checkNest(attribute.payload, depth: depth + 1, &cursor) }
      offset = attribute.next
    }
  }

  /// The name without the zero byte that ends it.
  private func checkedName(_ payload: Range<Int>, _ cursor: inout ByteCursor) -> Range<Int> {
    let bytes = cursor.bytes
    guard payload.count >= 2, payload.count <= Self.maximumNameLength, bytes[payload.upperBound - 1] == 0
    else {
      cursor.fail(at: payload.lowerBound, .badName)
      return payload
    }
    let name = payload.lowerBound..<(payload.upperBound - 1)
    for index in name where bytes[index] < 0x21 || bytes[index] > 0x7e { cursor.fail(at: index, .badName) }
    return name
  }

  private mutating func checkOrder(
    _ kind: BundleMessageKind, _ name: Range<Int>, at offset: Int, _ cursor: inout ByteCursor
  ) {
    let newRank =
      switch kind {
      case .table: 0
      case .baseChain, .chain: 1
      case .object: 2
      case .set, .elements: 3
      case .anonymousSet, .anonymousElements, .rule: 4
      }
    if newRank < rank || (newRank == 0) != (rank == -1) { cursor.fail(at: offset, .badMessageOrder) }
    rank = newRank
    switch kind {
    case .set, .anonymousSet: openSet = name
    // Late, the set is there.
    case .elements where section == .late: break
    case .elements, .anonymousElements:
      let isOpen = openSet.map { cursor.bytes[$0].elementsEqual(cursor.bytes[name]) } ?? false
      if !isOpen { cursor.fail(at: offset, .badMessageOrder) }
    case .table, .baseChain, .chain, .object, .rule: openSet = nil
    }
    previousKind = kind
  }
}
