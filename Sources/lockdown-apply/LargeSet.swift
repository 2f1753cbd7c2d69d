/// Proof of a large set without a dump of it.
///
/// Each reply to a dump is at most 32 KiB, and for each the kernel walks the set again from its first element:
/// a million ranges take minutes (nft_rbtree_walk, net/netfilter/nft_set_rbtree.c). Asking for an element by its
/// key costs a look-up.
extension NetlinkSocket {
  // Answers wait in the socket's buffer, up to 9 kB each, and without rights it holds 416 KiB.
  private static let elementsPerRequest = 32
  // NFTA_SET_ELEM_LIST_ELEMENTS, a nest.
  private static let list: UInt16 = 3
  private static let nested: UInt16 = 0x8000

  /// Whether the kernel's set has every element of the bundle's, with what belongs to it.
  ///
  /// - Precondition: `set` is named.
  mutating func holdsElements(of set: WantedTable.Part, in wanted: WantedTable) throws(Failure) -> Bool {
    for message in set.parts {
      guard let nest = wanted.bytes.attribute(Self.list, in: wanted.attributes(message)) else { continue }
      var offset = nest.lowerBound
      while offset < nest.upperBound {
        var items: [Range<Int>] = []
        let start = offset
        while items.count < Self.elementsPerRequest,
          let item = NetlinkAttribute(wanted.bytes, at: offset, end: nest.upperBound)
        {
          // The kernel finds no element by the key before the first one.
          if wanted.isBeforeAll(item.payload) {
            guard items.isEmpty else { break }
            offset = item.next
            break
          }
          items.append(item.payload)
          offset = item.next
        }
        if items.isEmpty && offset == start { return false }
        if items.isEmpty { continue }
        var request = Self.request(Wire.getElements, wanted.kind)
        request.append(2, name: wanted.bytes, wanted.name(set.message))
        request.append(Self.list | Self.nested, payload: wanted.bytes.copy(start..<offset))
        guard try holds(items, request, wanted) else { return false }
      }
    }
    return true
  }

  /// The answers come in the order of the request; the first element that is not there ends it.
  private mutating func holds(_ items: [Range<Int>], _ request: MessageWriter, _ wanted: WantedTable)
    throws(Failure) -> Bool
  {
    try send(request)
    for item in items {
      var reply: [UInt8] = []
      guard let attributes = try take(into: &reply) else { return false }
      let list = reply.attribute(Self.list, in: attributes) ?? 0..<0
      guard let element = NetlinkAttribute(reply, at: list.lowerBound, end: list.upperBound),
        AttributeComparison(sent: wanted.bytes, dumped: reply).isEqual(item, element.payload, .element)
      else {
        // What else was asked for is still to be heard.
        try drain()
        return false
      }
    }
    return true
  }
}

extension WantedTable {
  // Bytes of messages, where a dump begins to cost more than asking for each element.
  private static let largeLength = 2 << 20
  // NFT_SET_INTERVAL; NFT_SET_ELEM_INTERVAL_END.
  private static let interval: UInt32 = 4
  private static let intervalEnd: UInt32 = 1

  /// The position of the set with this name, if its elements are many; -1: none.
  func largeSet(named bytes: [UInt8], _ name: Range<Int>) -> Int {
    for position in 0..<sets.count {
      let parts = sets[position].parts
      guard !parts.isEmpty, self.bytes.isEqual(self.name(sets[position].message), bytes, name) else {
        continue
      }
      let length = range(parts.upperBound - 1).upperBound - range(parts.lowerBound).lowerBound
      return length > Self.largeLength ? position : -1
    }
    return -1
  }

  /// Whether the kernel's count of elements is that of the set; nil where it gives none.
  ///
  /// It comes from Linux 6.16 on, of ranges where there are any. Before, the set's size says it: the kernel takes
  /// no more elements than that, and it is the number of those in the bundle.
  func hasCount(_ count: UInt32?, of set: Part) -> Bool? {
    guard let count else { return nil }
    let elements = UInt32(clamping: elements(of: set).count)
    // NFTA_SET_FLAGS.
    let isInterval = bytes.number(3, in: attributes(set.message)) ?? 0 & Self.interval != 0
    return count == elements || isInterval && count == (elements - 1) / 2
  }

  /// The end of the range before the first one: the kernel keeps it, but nothing begins there.
  fileprivate func isBeforeAll(_ element: Range<Int>) -> Bool {
    // NFTA_SET_ELEM_FLAGS; NFTA_SET_ELEM_KEY {NFTA_DATA_VALUE}.
    guard bytes.number(3, in: element) == Self.intervalEnd, let data = bytes.attribute(1, in: element),
      let key = bytes.attribute(1, in: data)
    else { return false }
    for index in key where bytes[index] != 0 { return false }
    return true
  }
}
