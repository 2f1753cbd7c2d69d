internal import CNFTables
internal import Glibc

/// A netlink socket to the nf_tables of the network namespace it was opened in. Needs CAP_NET_ADMIN there.
@safe package struct NetlinkSocket: ~Copyable {
  private let pointer: OpaquePointer
  private var lastSequence: UInt32 = 0
  private var buffer = MessageBuffer()

  // A reply never has more: the kernel builds dumps in 32 KiB (netlink_dump), and our batches ask for one answer.
  private static let receiveLength = 64 * 1024

  /// Opens and binds the socket. The corresponding calls are socket(2) and bind(2).
  package init() throws(NFTablesError) {
    guard let pointer = unsafe mnl_socket_open2(NETLINK_NETFILTER, Int32(SOCK_CLOEXEC.rawValue)) else {
      throw .system(call: "socket", errorNumber: errno)
    }
    guard unsafe mnl_socket_bind(pointer, 0, MNL_SOCKET_AUTOPID) == 0 else {
      let errorNumber = errno
      _ = unsafe mnl_socket_close(pointer)
      throw .system(call: "bind", errorNumber: errorNumber)
    }
    // Errors then come with the offset of the offending attribute, and without an echo of the message.
    var on: Int32 = 1
    for option in [NETLINK_EXT_ACK, NETLINK_CAP_ACK] {
      let length = socklen_t(MemoryLayout<Int32>.size)
      // A kernel that knows neither still reports errors.
      _ = unsafe mnl_socket_setsockopt(pointer, option, &on, length)
    }
    unsafe self.pointer = pointer
  }

  deinit {
    _ = unsafe mnl_socket_close(pointer)
  }

  private var descriptor: Int32 { unsafe mnl_socket_get_fd(pointer) }

  // MARK: Requests

  /// What a request was answered with.
  struct Reply {
    var messages: [Message]
    /// NLM_F_DUMP_INTR: the kernel noticed that the list changed while it was dumped.
    var isInterrupted: Bool
  }

  /// Sends one request and gathers all that answers it, in order.
  ///
  /// - Parameter isDump: asks for all objects that match, not for one.
  mutating func request(
    _ type: nf_tables_msg_types, family: UInt8, isDump: Bool, _ body: (inout MessageBuffer) -> Void = { _ in }
  ) throws(NFTablesError) -> Reply {
    lastSequence += 1
    let flags = UInt16(NLM_F_REQUEST) | (isDump ? UInt16(NLM_F_DUMP) : 0)
    buffer.begin(type, family: family, flags: flags, sequence: lastSequence)
    body(&buffer)
    return try reply(isDump: isDump)
  }

  /// The same of connection tracking; what is no dump is acknowledged.
  mutating func request(
    _ type: cntl_msg_types, family: UInt8, isDump: Bool, _ body: (inout MessageBuffer) -> Void = { _ in }
  ) throws(NFTablesError) -> Reply {
    lastSequence += 1
    let flags = UInt16(NLM_F_REQUEST) | (isDump ? UInt16(NLM_F_DUMP) : UInt16(NLM_F_ACK))
    buffer.begin(type, family: family, flags: flags, sequence: lastSequence)
    body(&buffer)
    return try reply(isDump: isDump)
  }

  /// Sends the message that is in the buffer, and gathers what answers it.
  private mutating func reply(isDump: Bool) throws(NFTablesError) -> Reply {
    try send(buffer.finished())

    var reply = Reply(messages: [], isInterrupted: false)
    while true {
      for message in try Message.all(in: receive()) where message.sequence == lastSequence {
        if message.flags & UInt16(NLM_F_DUMP_INTR) != 0 { reply.isInterrupted = true }
        if message.isControl {
          if let error = Self.error(in: message) { throw error }
          // NLMSG_DONE, or the acknowledgement of a request without an answer.
          return reply
        }
        reply.messages.append(message)
        if !isDump { return reply }
      }
    }
  }

  /// NLMSG_ERROR and NLMSG_DONE begin with a negative error number, or 0.
  private static func error(in message: Message) -> NFTablesError? {
    guard message.isControl, message.body.count >= 4 else { return nil }
    let number = Int32(bitPattern: HostOrder.uint32(message.body))
    guard number < 0 else { return nil }
    return .refused(errorNumber: -number, sequence: message.sequence, offset: offset(in: message))
  }

  /// NLMSGERR_ATTR_OFFS: where in the refused message the offending attribute begins.
  private static func offset(in message: Message) -> UInt32? {
    // The header of the refused message follows the number; NLM_F_CAPPED says that its payload does not.
    let attributesStart = 4 + Message.headerLength
    guard message.flags & UInt16(NLM_F_ACK_TLVS) != 0, message.flags & UInt16(NLM_F_CAPPED) != 0,
      message.body.count > attributesStart,
      // A report that cannot be read leaves the error number, which is what counts.
      let attributes = try? Attributes(message.body.dropFirst(attributesStart), what: "error report"),
      let offset = attributes[NLMSGERR_ATTR_OFFS], offset.count == 4
    else { return nil }
    return HostOrder.uint32(offset)
  }

  private func send(_ bytes: [UInt8]) throws(NFTablesError) {
    let sent = unsafe mnl_socket_sendto(pointer, bytes, bytes.count)
    guard sent == bytes.count else { throw .system(call: "sendto", errorNumber: errno) }
  }

  private func receive() throws(NFTablesError) -> [UInt8] {
    guard let datagram = try receive(flags: 0) else { throw .system(call: "recv", errorNumber: EAGAIN) }
    return datagram
  }

  /// One datagram; nil if `flags` forbid to wait and there is none.
  private func receive(flags: Int) throws(NFTablesError) -> [UInt8]? {
    var datagram = [UInt8](repeating: 0, count: Self.receiveLength)
    while true {
      // MSG_TRUNC makes the result the datagram's length, so that a cut one is noticed.
      let count = unsafe recv(descriptor, &datagram, datagram.count, Int32(flags | MSG_TRUNC))
      if count < 0 {
        if errno == EINTR { continue }
        if errno == EAGAIN { return nil }
        throw .system(call: "recv", errorNumber: errno)
      }
      guard count <= datagram.count else { throw .system(call: "recv", errorNumber: EMSGSIZE) }
      return Array(datagram.prefix(count))
    }
  }

  // MARK: The generation

  /// The number that each committed transaction of the namespace raises by one.
  package mutating func generation() throws(NFTablesError) -> UInt32 {
    let reply = try request(NFT_MSG_GETGEN, family: UInt8(NFPROTO_UNSPEC), isDump: false)
    guard let number = try reply.messages.first?.attributes().uint32(NFTA_GEN_ID) else {
      throw .malformed(what: "generation", offset: 0)
    }
    return number
  }

  // MARK: Batches

  /// Sends messages as one transaction, and returns when the kernel has committed it.
  ///
  /// Only the last message asks for an acknowledgement. What proves the commit is the generation: an
  /// acknowledgement also comes when nothing was committed.
  package mutating func commit(_ messages: [[UInt8]]) throws(NFTablesError) {
    guard var last = messages.last else { return }
    let before = try generation()
    let acknowledge = HostOrder.uint16(last[6...]) | UInt16(NLM_F_ACK)
    last.replaceSubrange(6..<8, with: unsafe withUnsafeBytes(of: acknowledge) { unsafe Array($0) })

    var batch = batchFrame(UInt16(NFNL_MSG_BATCH_BEGIN), generation: before)
    for message in messages.dropLast() { batch += message }
    batch += last
    batch += batchFrame(UInt16(NFNL_MSG_BATCH_END), generation: nil)

    try reserveSendBuffer(batch.count)
    try send(batch)
    try checkAnswers()
    guard try generation() != before else { throw .notCommitted }
  }

  private func batchFrame(_ type: UInt16, generation: UInt32?) -> [UInt8] {
    var bytes: [UInt8] = []
    func put(_ value: some FixedWidthInteger) {
      unsafe withUnsafeBytes(of: value) { unsafe bytes.append(contentsOf: $0) }
    }
    put(UInt32(generation == nil ? 20 : 28))
    put(type)
    put(UInt16(NLM_F_REQUEST))
    put(UInt32(0))
    put(UInt32(0))
    bytes += [UInt8(NFPROTO_UNSPEC), UInt8(NFNETLINK_V0)]
    put(UInt16(NFNL_SUBSYS_NFTABLES).bigEndian)
    if let generation {
      // NFNL_BATCH_GENID: the kernel refuses the batch when somebody else was faster.
      put(UInt16(8))
      put(UInt16(NFNL_BATCH_GENID.rawValue))
      put(generation.bigEndian)
    }
    return bytes
  }

  /// A batch is one datagram, which must fit into the send buffer.
  private func reserveSendBuffer(_ count: Int) throws(NFTablesError) {
    var size = Int32(clamping: count)
    let length = socklen_t(MemoryLayout<Int32>.size)
    // Without CAP_NET_ADMIN in the initial user namespace only the plain option is left; what does not fit
    // then fails in sendto with EMSGSIZE.
    if unsafe setsockopt(descriptor, SOL_SOCKET, SO_SNDBUFFORCE, &size, length) != 0 {
      guard unsafe setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, length) == 0 else {
        throw .system(call: "setsockopt", errorNumber: errno)
      }
    }
  }

  /// Reads all answers; they are queued when the send returns.
  private func checkAnswers() throws(NFTablesError) {
    var first: NFTablesError?
    while let datagram = try receive(flags: MSG_DONTWAIT) {
      for message in try Message.all(in: datagram) {
        // The first error names the message that is wrong; later ones often follow from it.
        first = first ?? Self.error(in: message)
      }
    }
    if let first { throw first }
  }
}
