/// What the kernel holds of our table, at one generation.
final class LiveTable {
  struct Item {
    /// The attributes, in `bytes`.
    var attributes: Range<Int>
    var name: Range<Int>
  }

  struct Set {
    var item: Item
    var isAnonymous: Bool
    /// Indices of `elements`.
    var elements: Range<Int>
  }

  /// A base chain of somebody else's on a hook of inet, ip or ip6.
  struct ForeignChain {
    var family: UInt8
    var attributes: Range<Int>
  }

  private(set) var bytes: [UInt8] = []
  /// Nil: our table is not there.
  private(set) var table: Range<Int>?
  private(set) var chains: [Item] = []
  private(set) var objects: [Item] = []
  private(set) var sets: [Set] = []
  /// In the order of evaluation, chain by chain; the name is the chain's.
  private(set) var rules: [Item] = []
  private(set) var elements: [Range<Int>] = []
  private(set) var foreign: [ForeignChain] = []
  private let generation: UInt32
  /// Whether every reply was of this generation.
  private(set) var isConsistent = true

  // NFT_SET_ANONYMOUS, linux/netfilter/nf_tables.h.
  private static let anonymousFlag: UInt32 = 1

  /// Reads all there is; the caller looks at `isConsistent`, and at the generation again.
  init(_ socket: inout NetlinkSocket, generation: UInt32) throws(NetlinkSocket.Failure) {
    self.generation = generation
    bytes.reserveCapacity(16_384)
    table = try socket.get(NetlinkSocket.request(Wire.getTable), into: &bytes)
    for attributes in try dump(
      &socket, NetlinkSocket.request(Wire.getChain, family: Wire.anyFamily, isDump: true))
    {
      take(chain: attributes)
    }
    guard table != nil else { return }
    for attributes in try dump(&socket, NetlinkSocket.request(Wire.getObject, isDump: true)) {
      objects.append(item(attributes, nameAttribute: 2))
    }
    for attributes in try dump(&socket, NetlinkSocket.request(Wire.getSet, isDump: true)) {
      let flags = bytes.number(3, in: attributes) ?? 0
      sets.append(
        Set(
          item: item(attributes, nameAttribute: 2), isAnonymous: flags & Self.anonymousFlag != 0,
          elements: 0..<0))
    }
    for index in sets.indices {
      let start = elements.count
      var request = NetlinkSocket.request(Wire.getElements, isDump: true)
      request.append(2, name: bytes[sets[index].item.name])
      for attributes in try dump(&socket, request) {
        // NFTA_SET_ELEM_LIST_ELEMENTS.
        if let nest = bytes.attribute(3, in: attributes) { bytes.appendItems(of: nest, to: &elements) }
      }
      sets[index].elements = start..<elements.count
    }
    for attributes in try dump(&socket, NetlinkSocket.request(Wire.getRule, isDump: true)) {
      rules.append(item(attributes, nameAttribute: 2))
    }
  }

  /// The attributes of each message of a dump.
  private func dump(_ socket: inout NetlinkSocket, _ request: MessageWriter)
    throws(NetlinkSocket.Failure) -> [Range<Int>]
  {
    let (messages, isWhole) = try socket.dump(request, into: &bytes)
    if !isWhole { isConsistent = false }
    var list: [Range<Int>] = []
    var offset = messages.lowerBound
    while let header = NetlinkHeader(bytes, at: offset, end: messages.upperBound),
      header.length >= NetlinkHeader.byteCountWithFamily
    {
      let family = offset + NetlinkHeader.byteCount
      // res_id is be16(generation & 0xffff); a dump of elements shows a change only there.
      let resource = UInt16(bytes[family + 2]) << 8 | UInt16(bytes[family + 3])
      if resource != UInt16(truncatingIfNeeded: generation) { isConsistent = false }
      list.append((family + 4)..<(offset + header.length))
      offset += (header.length + 3) & ~3
    }
    return list
  }

  private func item(_ attributes: Range<Int>, nameAttribute: UInt16) -> Item {
    Item(attributes: attributes, name: bytes.name(nameAttribute, in: attributes) ?? 0..<0)
  }

  /// All chains come, whatever their table: the others' base chains are noted.
  private func take(chain attributes: Range<Int>) {
    let family = bytes[attributes.lowerBound - 4]
    let table = bytes.name(1, in: attributes) ?? 0..<0
    if family == Wire.inet, bytes.holds(Wire.tableName, at: table) {
      chains.append(item(attributes, nameAttribute: 3))
    } else if bytes.attribute(4, in: attributes) != nil {
      foreign.append(ForeignChain(family: family, attributes: attributes))
    }
  }
}
