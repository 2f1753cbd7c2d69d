internal import CNFTables
package import Ruleset

/// The elements that a batch's messages bring to sets that have names, read as they stand and compared one by one with
/// what the sets shall hold.
///
/// A list may have millions, so nothing is made of an element, and none is kept. Elements are taken in the order in
/// which nft sends them and in no other: of a set of ranges the first key of each, and the one behind its last with the
/// mark that it ends a range; of concatenated keys both bounds at once.
package enum StoredElements {
  /// What is wrong about a set.
  package struct Fault: Error, Equatable {
    package var set: String
    package var reason: String
  }

  // linux/netlink.h: every message makes something.
  private static let create = UInt16(NLM_F_REQUEST | NLM_F_CREATE)
  // struct nlmsghdr of linux/netlink.h, struct nfgenmsg of linux/netfilter/nfnetlink.h.
  private static let familyOffset = 16
  private static let start = 20

  /// - Parameters:
  ///   - messages: all that bring elements to sets with names, in their order.
  ///   - table: of the batch, with all its sets.
  ///   - lists: what each set shall hold. Other sets get nothing.
  package static func compare(
    _ messages: some Sequence<[UInt8]>, of table: DumpedTable, with lists: [String: ElementList]
  ) throws(Fault) {
    let sets = Dictionary(table.sets.map { ($0.name ?? "", $0) }) { first, _ in first }
    var left: [String: OpenSet] = [:]
    for (name, list) in lists.sorted(by: { $0.key < $1.key }) {
      guard let set = sets[name] else { throw Fault(set: name, reason: "it is missing") }
      guard let open = OpenSet(name, list, set) else {
        throw Fault(set: name, reason: "it is a set of another kind")
      }
      if !list.isEmpty { left[name] = open }
    }
    var open: OpenSet?
    let (family, tableName) = (table.family.rawValue, Array(table.name.utf8) + [0])
    for message in messages {
      guard let parts = attributes(message, family),
        message[parts[NFTA_SET_ELEM_LIST_TABLE]] == tableName[...]
      else { throw Fault(set: open?.name ?? "", reason: "a message with its elements cannot be read") }
      let place = parts[NFTA_SET_ELEM_LIST_SET]
      if !(open?.isNamed(message[place]) ?? false) {
        try open?.checkEnd()
        let name = String(decoding: message[place].dropLast(), as: UTF8.self)
        open = left.removeValue(forKey: name)
        guard open?.isNamed(message[place]) ?? false else {
          throw Fault(set: name, reason: "there are elements that nobody wrote")
        }
      }
      try open?.take(message, parts[NFTA_SET_ELEM_LIST_ELEMENTS])
    }
    try open?.checkEnd()
    if let name = left.keys.min() { throw Fault(set: name, reason: "its elements are missing") }
  }

  /// Nil where something is there that no such message has, or is not there.
  private static func attributes(_ message: [UInt8], _ family: UInt8) -> AttributeTable? {
    let bytes = unsafe message.span.bytes
    guard message.count >= start, bytes.uint32(at: 0) == message.count,
      bytes.uint16(at: 4) == UInt16(NFNL_SUBSYS_NFTABLES) << 8 | UInt16(NFT_MSG_NEWSETELEM.rawValue),
      bytes.uint16(at: 6) == create, message[familyOffset] == family,
      let parts = AttributeTable(bytes, start..<message.count),
      parts.holdsExactly(
        1 << NFTA_SET_ELEM_LIST_TABLE.rawValue | 1 << NFTA_SET_ELEM_LIST_SET.rawValue
          | 1 << NFTA_SET_ELEM_LIST_ELEMENTS.rawValue, orAlso: 1 << NFTA_SET_ELEM_LIST_SET_ID.rawValue)
    else { return nil }
    return parts
  }
}

/// A set, some of whose elements were seen.
private struct OpenSet {
  private enum Form {
    case keys
    case edges
    case pairs
  }

  let name: String
  private let wireName: [UInt8]
  private let form: Form
  /// Of each element the lower bound and the upper one.
  private let bounds: [UInt8]
  private let keyLength: Int
  /// Of the next element, in `bounds`.
  private var place = 0
  /// Of the upper bound of a range that has begun, in `bounds`.
  private var upper: Int?
  private var isFirst = true

  /// Nil: the set is no constant one of such keys, or gets elements by other messages.
  init?(_ name: String, _ list: ElementList, _ set: DumpedSet) {
    let flags = set.flags & ~NFT_SET_CONSTANT.rawValue
    switch flags {
    case 0: form = .keys
    case NFT_SET_INTERVAL.rawValue: form = .edges
    case NFT_SET_INTERVAL.rawValue | NFT_SET_CONCAT.rawValue: form = .pairs
    default: return nil
    }
    keyLength = Int(set.keyLength)
    guard flags != set.flags, set.timeout == nil, set.dataTypeNumber == nil, set.dataLength == nil,
      set.elements.isEmpty, set.otherElements.isEmpty, keyLength > 0
    else { return nil }
    self.name = name
    wireName = Array(name.utf8) + [0]
    if let packed = list.packed {
      guard packed.keyLength == keyLength else { return nil }
      bounds = packed.bytes
    } else {
      var bounds: [UInt8] = []
      for element in list {
        guard element.data == nil, element.lower.count == keyLength, element.upper.count == keyLength else {
          return nil
        }
        bounds += element.lower + element.upper
      }
      self.bounds = bounds
    }
  }

  func isNamed(_ name: ArraySlice<UInt8>) -> Bool { name.elementsEqual(wireName) }

  /// - Parameter list: the attribute with the elements.
  mutating func take(_ message: [UInt8], _ list: Range<Int>) throws(StoredElements.Fault) {
    let (bytes, bounds) = (unsafe message.span.bytes, bounds)
    let wanted = unsafe bounds.span.bytes
    var position = list.lowerBound
    while position < list.upperBound {
      guard let element = AttributeRange(bytes, at: position, before: list.upperBound),
        element.type == NFTA_LIST_ELEM.rawValue, let item = item(bytes, element.payload),
        take(item, bytes, wanted)
      else {
        throw StoredElements.Fault(set: name, reason: "it would not hold what the policy has in it")
      }
      position = element.end
    }
  }

  /// All have been seen.
  func checkEnd() throws(StoredElements.Fault) {
    guard place == bounds.count, upper == nil else {
      throw StoredElements.Fault(set: name, reason: "some of what the policy has in it is missing")
    }
  }

  /// Where the keys of an element stand in its message.
  private struct Item {
    var key = 0
    var end: Int?
    var endsRange = false
    /// That a range which ends with the last key of all is no mistake.
    var isOpen = false
  }

  /// Nil for what has more than these.
  private func item(_ bytes: RawSpan, _ attributes: Range<Int>) -> Item? {
    var item = Item()
    var seen: UInt32 = 0
    var position = attributes.lowerBound
    while position < attributes.upperBound {
      guard let attribute = AttributeRange(bytes, at: position, before: attributes.upperBound),
        attribute.type < 32, seen & 1 << attribute.type == 0
      else { return nil }
      seen |= 1 << attribute.type
      let payload = attribute.payload
      switch attribute.type {
      case NFTA_SET_ELEM_KEY.rawValue:
        guard let key = key(bytes, payload) else { return nil }
        item.key = key
      case NFTA_SET_ELEM_KEY_END.rawValue:
        guard let key = key(bytes, payload) else { return nil }
        item.end = key
      case NFTA_SET_ELEM_FLAGS.rawValue:
        guard payload.count == 4 else { return nil }
        let flags = UInt32(bigEndian: bytes.uint32(at: payload.lowerBound))
        guard flags & ~NFT_SET_ELEM_INTERVAL_END.rawValue == 0 else { return nil }
        item.endsRange = flags != 0
      case NFTA_SET_ELEM_USERDATA.rawValue:
        let mark = Userdata.openInterval
        guard payload.count == mark.count,
          mark.indices.allSatisfy({ bytes.byte(payload.lowerBound + $0) == mark[$0] })
        else { return nil }
        item.isOpen = true
      default: return nil
      }
      position = attribute.end
    }
    return seen & 1 << NFTA_SET_ELEM_KEY.rawValue != 0 ? item : nil
  }

  private func key(_ bytes: RawSpan, _ nest: Range<Int>) -> Int? {
    guard let value = AttributeRange(bytes, at: nest.lowerBound, before: nest.upperBound),
      value.type == NFTA_DATA_VALUE.rawValue, value.payload.count == keyLength, value.end >= nest.upperBound
    else { return nil }
    return value.payload.lowerBound
  }

  /// Whether it is what comes next.
  private mutating func take(_ item: Item, _ bytes: RawSpan, _ wanted: RawSpan) -> Bool {
    defer { isFirst = false }
    if item.endsRange {
      guard form == .edges, item.end == nil, !item.isOpen else { return false }
      if let upper {
        self.upper = nil
        return isBehind(bytes, item.key, wanted, upper)
      }
      // nft begins with an end at zero, where no range starts there. It ends nothing.
      return isFirst && isOnly(0, bytes, item.key) && !isOnly(0, wanted, 0)
    }
    guard upper == nil, place < bounds.count, isSame(bytes, item.key, wanted, place) else { return false }
    let last = place + keyLength
    place += 2 * keyLength
    switch form {
    case .keys: return item.end == nil && !item.isOpen && isSame(bytes, item.key, wanted, last)
    case .pairs: return !item.isOpen && item.end.map { isSame(bytes, $0, wanted, last) } ?? false
    case .edges:
      let isOpen = isOnly(0xff, wanted, last)
      if !isOpen { upper = last }
      return item.end == nil && item.isOpen == isOpen
    }
  }

  // MARK: Keys

  private func isSame(_ a: RawSpan, _ first: Int, _ b: RawSpan, _ second: Int) -> Bool {
    switch keyLength {
    case 4: return a.uint32(at: first) == b.uint32(at: second)
    case 16: return a.uint128(at: first) == b.uint128(at: second)
    default:
      for offset in 0..<keyLength where a.byte(first + offset) != b.byte(second + offset) { return false }
      return true
    }
  }

  /// Whether the first is the second and one.
  private func isBehind(_ a: RawSpan, _ first: Int, _ b: RawSpan, _ second: Int) -> Bool {
    switch keyLength {
    case 4: return UInt32(bigEndian: a.uint32(at: first)) == UInt32(bigEndian: b.uint32(at: second)) &+ 1
    case 16:
      return UInt128(bigEndian: a.uint128(at: first)) == UInt128(bigEndian: b.uint128(at: second)) &+ 1
    default:
      var carry: UInt8 = 1
      for offset in (0..<keyLength).reversed() {
        let (sum, isOver) = b.byte(second + offset).addingReportingOverflow(carry)
        if a.byte(first + offset) != sum { return false }
        carry = isOver ? 1 : 0
      }
      return carry == 0
    }
  }

  private func isOnly(_ byte: UInt8, _ bytes: RawSpan, _ key: Int) -> Bool {
    for offset in 0..<keyLength where bytes.byte(key + offset) != byte { return false }
    return true
  }
}
