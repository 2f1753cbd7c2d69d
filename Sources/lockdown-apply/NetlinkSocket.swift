import CLinux

/// A socket to nf_tables, and the buffer its answers come in.
struct NetlinkSocket: ~Copyable {
  struct Failure: Error {
    var errorNumber: Int
  }

  /// The kernel also tells a process and its name: those of whoever asks, and not of the last writer
  /// (nf_tables_fill_gen_info of net/netfilter/nf_tables_api.c).
  struct Generation {
    var number: UInt32
  }

  private let descriptor: Int32
  private var buffer: [UInt8]

  // A dump's datagram is at most 32 KiB (netlink_dump, net/netlink/af_netlink.c); single answers are smaller.
  private static let bufferLength = 65_536
  // EIO: an answer that is none.
  private static let badReply = 5
  // Errors of a batch take about 0.8 kB each.
  private static let receiveRoom: Int32 = 1 << 20

  init() throws(Failure) {
    let result = lockdown_netfilter_socket()
    guard result >= 0 else { throw Failure(errorNumber: -result) }
    descriptor = Int32(result)
    buffer = unsafe [UInt8](unsafeUninitializedCapacity: Self.bufferLength) { _, count in
      count = Self.bufferLength
    }
  }

  deinit { close(descriptor) }

  mutating func generation() throws(Failure) -> Generation {
    var reply: [UInt8] = []
    let request = Self.request(Wire.getGeneration, family: Wire.anyFamily)
    guard let attributes = try get(request, into: &reply), let number = reply.number(1, in: attributes) else {
      throw Failure(errorNumber: Self.badReply)
    }
    return Generation(number: number)
  }

  /// A request about a table of ours; more attributes may be appended.
  static func request(
    _ type: UInt16, _ table: OwnTable = .policy, family: UInt8 = Wire.inet, isDump: Bool = false
  ) -> MessageWriter {
    var request = MessageWriter()
    let flags = isDump ? Wire.request | Wire.dump : Wire.request
    request.begin(Wire.subsystem | type, flags: flags, sequence: 0, family: family)
    // NFTA_*_TABLE and NFTA_TABLE_NAME are 1 everywhere.
    if family == Wire.inet { request.append(1, text: table.name) }
    return request
  }

  /// The kernel's generation of rulesets, by a socket of its own; nil: it does not say.
  @inline(never)
  static func generation() -> UInt32? {
    do {
      var socket = try NetlinkSocket()
      return try socket.generation().number
    } catch { return nil }
  }

  mutating func holds(_ table: OwnTable) throws(Failure) -> Bool {
    var reply: [UInt8] = []
    return try get(Self.request(Wire.getTable, table), into: &reply) != nil
  }

  /// Whether a table is there and awake, with a base chain; that of the closed stage with one that closes.
  @inline(never)
  mutating func rules(_ table: OwnTable) throws(Failure) -> Bool {
    var bytes: [UInt8] = []
    // NFTA_TABLE_FLAGS; NFT_TABLE_F_DORMANT.
    guard let attributes = try get(Self.request(Wire.getTable, table), into: &bytes),
      (bytes.number(2, in: attributes) ?? 0) & 1 == 0
    else { return false }
    for chain in try baseChains(of: table, into: &bytes) {
      if case .policy = table { return true }
      // NFTA_CHAIN_POLICY: NF_DROP.
      if bytes.number(5, in: chain) == 0 { return true }
    }
    return false
  }

  /// The attributes of each, in `bytes`.
  @inline(never)
  mutating func baseChains(of table: OwnTable, into bytes: inout [UInt8]) throws(Failure) -> [Range<Int>] {
    var list: [Range<Int>] = []
    for chain in try items(Self.request(Wire.getChain, table, isDump: true), into: &bytes) {
      // A dump of chains does not ask for the table. NFTA_CHAIN_HOOK.
      guard bytes.holds(table.name, at: bytes.name(1, in: chain) ?? 0..<0),
        bytes.attribute(4, in: chain) != nil
      else { continue }
      list.append(chain)
    }
    return list
  }

  /// Appends the one message of the answer to `bytes`; its attributes, or nil if there is no such thing.
  mutating func get(_ request: MessageWriter, into bytes: inout [UInt8]) throws(Failure) -> Range<Int>? {
    try send(request)
    return try take(into: &bytes)
  }

  /// Appends the next answer, which is one message, to `bytes`; its attributes, or nil where it says that there is
  /// no such thing.
  mutating func take(into bytes: inout [UInt8]) throws(Failure) -> Range<Int>? {
    let received = try receive()
    guard let header = NetlinkHeader(buffer, at: 0, end: received) else {
      throw Failure(errorNumber: Self.badReply)
    }
    if header.type == Wire.errorMessage {
      let failure = failure(at: 0)
      if failure.errorNumber == ErrorNumber.notFound { return nil }
      throw failure
    }
    let start = bytes.count
    bytes.append(contentsOf: buffer[..<header.length])
    return (start + NetlinkHeader.byteCountWithFamily)..<bytes.count
  }

  /// Appends the messages of a dump to `bytes`; where they lie, and whether the kernel says that no change
  /// interrupted it.
  mutating func dump(_ request: MessageWriter, into bytes: inout [UInt8]) throws(Failure)
    -> (messages: Range<Int>, isWhole: Bool)
  {
    try send(request)
    let start = bytes.count
    var isWhole = true
    while true {
      let received = try receive()
      var offset = 0
      while let header = NetlinkHeader(buffer, at: offset, end: received) {
        if header.flags & Wire.interrupted != 0 { isWhole = false }
        if header.type == Wire.errorMessage { throw failure(at: offset) }
        if header.type == Wire.done {
          bytes.append(contentsOf: buffer[..<offset])
          return (start..<bytes.count, isWhole)
        }
        offset += (header.length + 3) & ~3
      }
      bytes.append(contentsOf: buffer[..<min(offset, received)])
    }
  }

  /// The attributes of each message of a dump, in `bytes`.
  @inline(never)
  mutating func items(_ request: MessageWriter, into bytes: inout [UInt8]) throws(Failure) -> [Range<Int>] {
    let range = try dump(request, into: &bytes).messages
    var list: [Range<Int>] = []
    var offset = range.lowerBound
    while let header = NetlinkHeader(bytes, at: offset, end: range.upperBound),
      header.length >= NetlinkHeader.byteCountWithFamily
    {
      list.append((offset + NetlinkHeader.byteCountWithFamily)..<(offset + header.length))
      offset += (header.length + 3) & ~3
    }
    return list
  }

  /// The room there is for a datagram after asking for `count` bytes.
  func makeSendRoom(_ count: Int) throws(Failure) -> Int {
    let room = lockdown_make_send_room(descriptor, Int32(clamping: count + 32))
    guard room >= 0 else { throw Failure(errorNumber: -room) }
    lockdown_make_receive_room(descriptor, Self.receiveRoom)
    return room
  }

  /// Sends a batch: one datagram of three parts, the middle one of `whole`.
  func send(_ head: [UInt8], _ whole: [UInt8], _ body: Range<Int>, _ tail: [UInt8]) throws(Failure) {
    let result = unsafe head.withUnsafeBufferPointer { head in
      unsafe whole.withUnsafeBufferPointer { whole in
        unsafe tail.withUnsafeBufferPointer { tail in
          unsafe lockdown_netlink_send(
            descriptor, head.baseAddress, head.count, whole.baseAddress?.advanced(by: body.lowerBound),
            body.count, tail.baseAddress,
            tail.count)
        }
      }
    }
    guard result >= 0 else { throw Failure(errorNumber: -result) }
  }

  func send(_ request: MessageWriter) throws(Failure) { try send(request.bytes, [], 0..<0, []) }

  /// The next datagram that is already there; nil if there is none. The kernel queues all answers to a batch
  /// before `send` returns.
  mutating func answer() throws(Failure) -> [UInt8]? {
    do {
      let received = try receive(waits: false)
      return buffer.copy(0..<received)
    } catch {
      if error.errorNumber == ErrorNumber.tryAgain { return nil }
      throw error
    }
  }

  /// Throws answers away that are already there.
  mutating func drain() throws(Failure) { while try answer() != nil {} }

  private mutating func receive(waits: Bool = true) throws(Failure) -> Int {
    let result = unsafe buffer.withUnsafeMutableBufferPointer { buffer in
      unsafe lockdown_netlink_receive(descriptor, buffer.baseAddress, buffer.count, waits ? 1 : 0)
    }
    guard result >= 0 else { throw Failure(errorNumber: -result) }
    return result
  }

  private func failure(at offset: Int) -> Failure {
    // struct nlmsgerr begins with the negative error number.
    let code = offset + NetlinkHeader.byteCount
    return Failure(errorNumber: -Int(Int32(bitPattern: buffer.littleEndian(code))))
  }
}
