/// Whether the messages of a bundle can only add to our own table, in the order that batches rely on.
///
/// The kernel is the judge of what a rule means. This check is about what a broken or hostile file could
/// make the applier do elsewhere: other tables, other kinds of messages, other lengths.
struct MessageCheck {
  private let bytes: [UInt8]
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
  init(_ bytes: [UInt8], _ section: BundleSection, sourceCount: Int) {
    self.bytes = bytes
    self.section = section
    rank = section == .late ? 0 : -1
    self.sourceCount = sourceCount
  }

  /// Checks the next message, which begins at `offset`; its place and its attributes' names come back.
  mutating func check(at offset: Int, end: Int, kind: BundleMessageKind) throws(BundleError)
    -> BundleReader.Message
  {
    guard let header = NetlinkHeader(bytes, at: offset, end: end),
      header.length >= NetlinkHeader.byteCountWithFamily, header.length % 4 == 0
    else { throw error(offset, .badMessageFrame) }
    let range = offset..<(offset + header.length)
    guard header.type == Self.subsystem | UInt16(Self.type(of: kind)) else {
      throw error(offset + 4, .badMessageType)
    }
    guard header.port == 0, Self.allows(header.flags, in: kind) else {
      throw error(offset + 6, .badMessageFlags)
    }
    guard header.sequence <= UInt32(clamping: sourceCount) else { throw error(offset + 8, .unknownSource) }
    let family = offset + NetlinkHeader.byteCount
    // version and res_id of struct nfgenmsg stay 0.
    guard bytes[family] == Self.inet, bytes[family + 1] == 0, bytes[family + 2] == 0, bytes[family + 3] == 0
    else { throw error(family, .badMessageFamily) }

    let name = try checkAttributes(
      (offset + NetlinkHeader.byteCountWithFamily)..<range.upperBound, kind: kind)
    try checkOrder(kind, name: name, at: offset)
    return BundleReader.Message(
      kind: kind, range: range, name: name, source: header.sequence)
  }

  /// After the last message.
  func finish(at offset: Int) throws(BundleError) {
    switch previousKind {
    case .anonymousSet?, .anonymousElements?: throw error(offset, .badMessageOrder)
    default: break
    }
  }

  private func error(_ offset: Int, _ reason: BundleError.Reason) -> BundleError {
    BundleError(section, at: offset, reason)
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

  private func checkAttributes(_ range: Range<Int>, kind: BundleMessageKind) throws(BundleError) -> Range<
    Int
  > {
    let allowed = Self.allowedAttributes(in: kind)
    var seen: UInt64 = 0
    var name: Range<Int>?
    var isAnonymous = false
    var offset = range.lowerBound
    while offset < range.upperBound {
      guard let attribute = NetlinkAttribute(bytes, at: offset, end: range.upperBound) else {
        throw error(offset, .badAttribute)
      }
      guard attribute.number < 64, allowed & 1 << UInt64(attribute.number) != 0 else {
        throw error(offset, .attributeNotAllowed)
      }
      let bit: UInt64 = 1 << UInt64(attribute.number)
      guard seen & bit == 0 else { throw error(offset, .duplicateAttribute) }
      seen |= bit
      if attribute.number == 1 {
        let name = attribute.payload
        let length = section == .closedMessages ? Self.tableName.count : 8
        guard name.count == length + 1, bytes[name.upperBound - 1] == 0,
          bytes[name].prefix(length).elementsEqual(Self.tableName.prefix(length))
        else { throw error(offset, .foreignTable) }
      }
      if attribute.number == Self.nameAttribute(of: kind) {
        name = try checkedName(attribute.payload)
      }
      if attribute.number == 3, kind == .set || kind == .anonymousSet {
        guard attribute.payload.count == 4 else { throw error(offset, .badAttribute) }
        isAnonymous = bytes[attribute.payload.upperBound - 1] & Self.anonymousFlag != 0
      }
      if attribute.isNested { try checkNest(attribute.payload, depth: 1) }
      for index in attribute.payload.upperBound..<attribute.next where bytes[index] != 0 {
        throw error(index, .paddingNotZero)
      }
      offset = attribute.next
    }
    guard seen & 1 << 1 != 0, let name else { throw error(range.lowerBound, .missingAttribute) }
    // NFTA_CHAIN_HOOK is what makes a base chain.
    if kind == .baseChain, seen & 1 << 4 == 0 { throw error(range.lowerBound, .kindMismatch) }
    if kind == .set && isAnonymous || kind == .anonymousSet && !isAnonymous {
      throw error(range.lowerBound, .kindMismatch)
    }
    return name
  }

  /// Every nest adds up, all the way down. A real message has seven levels at most.
  private func checkNest(_ range: Range<Int>, depth: Int) throws(BundleError) {
    guard depth < 16 else { throw error(range.lowerBound, .badAttribute) }
    var offset = range.lowerBound
    while offset < range.upperBound {
      guard let attribute = NetlinkAttribute(bytes, at: offset, end: range.upperBound) else {
        throw error(offset, .badAttribute)
      }
      if attribute.isNested { try checkNest(attribute.payload, depth: depth + 1) }
      offset = attribute.next
    }
  }

  /// The name without the zero byte that ends it.
  private func checkedName(_ payload: Range<Int>) throws(BundleError) -> Range<Int> {
    guard payload.count >= 2, payload.count <= Self.maximumNameLength, bytes[payload.upperBound - 1] == 0
    else {
      throw error(payload.lowerBound, .badName)
    }
    let name = payload.lowerBound..<(payload.upperBound - 1)
    for index in name where bytes[index] < 0x21 || bytes[index] > 0x7e {
      throw error(index, .badName)
    }
    return name
  }

  private mutating func checkOrder(_ kind: BundleMessageKind, name: Range<Int>, at offset: Int)
    throws(BundleError)
  {
    let newRank =
      switch kind {
      case .table: 0
      case .baseChain, .chain: 1
      case .object: 2
      case .set, .elements: 3
      case .anonymousSet, .anonymousElements, .rule: 4
      }
    guard newRank >= rank, (newRank == 0) == (rank == -1) else { throw error(offset, .badMessageOrder) }
    rank = newRank
    switch kind {
    case .set, .anonymousSet: openSet = name
    // Late, the set is there.
    case .elements where section == .late: break
    case .elements, .anonymousElements:
      guard let openSet, bytes[openSet].elementsEqual(bytes[name]) else {
        throw error(offset, .badMessageOrder)
      }
    case .table, .baseChain, .chain, .object, .rule: openSet = nil
    }
    previousKind = kind
  }
}
