/// What the kernel holds of our table, at one generation.
final class LiveTable {
  struct Item {
    /// The attributes, in `bytes`.
    var attributes: Range<Int>
    /// Of a rule its chain.
    var name: Range<Int>
    /// Of a set.
    var isAnonymous = false
    /// Of a set that packets or other programs fill: what it holds is no policy, and is not read.
    var isFilled = false
    /// Of a set: indices of `elements`.
    var elements = 0..<0
    /// Of a set: its position in the bundle, where it is too large for a dump; -1: its elements were read.
    var large = -1
    /// NFPROTO_* of a chain that is not ours.
    var family: UInt8 = Wire.inet
  }

  private(set) var bytes: [UInt8] = []
  /// Nil: our table is not there.
  private(set) var table: Range<Int>?
  private(set) var chains: [Item] = []
  private(set) var objects: [Item] = []
  private(set) var sets: [Item] = []
  /// In the order of evaluation, chain by chain.
  private(set) var rules: [Item] = []
  private(set) var elements: [Range<Int>] = []
  /// Base chains of others.
  private(set) var foreign: [Item] = []
  /// Those of our tables that are there beside the policy's.
  private(set) var others = OtherTables()
  let kind: OwnTable
  private let generation: UInt32
  /// Whether every reply was of this generation.
  private(set) var isConsistent = true

  // NFT_SET_ANONYMOUS; NFT_SET_TIMEOUT and NFT_SET_EVAL, linux/netfilter/nf_tables.h.
  private static let anonymousFlag: UInt32 = 1
  private static let filledFlags: UInt32 = 0x30

  /// Reads all there is; the caller looks at `isConsistent`, and at the generation again.
  ///
  /// - Parameter wanted: its large sets are not dumped.
  init(_ socket: inout NetlinkSocket, generation: UInt32, _ wanted: WantedTable) throws(NetlinkSocket.Failure)
  {
    self.generation = generation
    kind = wanted.kind
    bytes.reserveCapacity(16_384)
    table = try socket.get(NetlinkSocket.request(Wire.getTable, kind), into: &bytes)
    // All chains come, whatever their table.
    for chain in try dump(&socket, Wire.getChain, family: Wire.anyFamily) { takeChain(chain) }
    guard table != nil else { return }
    objects = try dump(&socket, Wire.getObject)
    sets = try dump(&socket, Wire.getSet)
    for index in 0..<sets.count { try readElements(of: index, &socket, wanted) }
    rules = try dump(&socket, Wire.getRule)
  }

  private func readElements(of index: Int, _ socket: inout NetlinkSocket, _ wanted: WantedTable)
    throws(NetlinkSocket.Failure)
  {
    let flags = bytes.number(3, in: sets[index].attributes) ?? 0
    sets[index].isAnonymous = flags & Self.anonymousFlag != 0
    sets[index].isFilled = flags & Self.filledFlags != 0
    if sets[index].isFilled { return }
    sets[index].large = wanted.largeSet(named: bytes, sets[index].name)
    if sets[index].large >= 0 { return }
    let start = elements.count
    for message in try dump(&socket, Wire.getElements, set: sets[index].name) {
      // NFTA_SET_ELEM_LIST_ELEMENTS.
      if let nest = bytes.attribute(3, in: message.attributes) { bytes.appendItems(of: nest, to: &elements) }
    }
    sets[index].elements = start..<elements.count
  }

  /// The messages of a dump.
  @inline(never)
  private func dump(
    _ socket: inout NetlinkSocket, _ type: UInt16, family: UInt8 = Wire.inet, set: Range<Int> = 0..<0
  ) throws(NetlinkSocket.Failure) -> [Item] {
    var request = NetlinkSocket.request(type, kind, family: family, isDump: true)
    if !set.isEmpty { request.append(2, name: bytes, set) }
    let (messages, isWhole) = try socket.dump(request, into: &bytes)
    if !isWhole { isConsistent = false }
    var items: [Item] = []
    var offset = messages.lowerBound
    while let header = NetlinkHeader(bytes, at: offset, end: messages.upperBound),
      header.length >= NetlinkHeader.byteCountWithFamily
    {
      let family = offset + NetlinkHeader.byteCount
      // res_id is be16(generation & 0xffff); a dump of elements shows a change only there.
      let resource = UInt16(bytes[family + 2]) << 8 | UInt16(bytes[family + 3])
      if resource != UInt16(truncatingIfNeeded: generation) { isConsistent = false }
      let attributes = (family + 4)..<(offset + header.length)
      // NFTA_CHAIN_NAME is 3, the other names are 2.
      let name = bytes.name(type == Wire.getChain ? 3 : 2, in: attributes) ?? 0..<0
      var item = Item(attributes: attributes, name: name)
      item.family = bytes[family]
      items.append(item)
      offset += (header.length + 3) & ~3
    }
    return items
  }

  private func takeChain(_ chain: Item) {
    let table = bytes.name(1, in: chain.attributes) ?? 0..<0
    let isInet = chain.family == Wire.inet
    if isInet, bytes.holds(kind.name, at: table) {
      chains.append(chain)
    } else if isInet, bytes.holds(OwnTable.closed.name, at: table) {
      others.closed = true
    } else if isInet, bytes.holds(OwnTable.trying.name, at: table) {
      others.trying = true
    } else if bytes.attribute(4, in: chain.attributes) != nil {
      foreign.append(chain)
    }
  }
}
