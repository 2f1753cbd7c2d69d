internal import CNFTables

/// Room for one message while libnftnl and libmnl write it.
///
/// Their builders never ask how large the buffer is, so whoever appends first asks `hasRoom`.
@safe struct MessageBuffer: ~Copyable {
  // The list of a message is one attribute, whose 16-bit length ends at 64 KiB; twice that is beyond what
  // a builder can write after the checks of name, data and expression count.
  static let capacity = 128 * 1024

  private let memory: UnsafeMutableRawPointer
  private let header: UnsafeMutablePointer<nlmsghdr>

  init() {
    unsafe memory = UnsafeMutableRawPointer.allocate(byteCount: Self.capacity, alignment: 16)
    unsafe memory.initializeMemory(as: UInt8.self, repeating: 0, count: Self.capacity)
    unsafe header = unsafe memory.assumingMemoryBound(to: nlmsghdr.self)
  }

  deinit {
    unsafe memory.deallocate()
  }

  /// Begins a message of nf_tables `type` (NFT_MSG_*).
  mutating func begin(_ type: nf_tables_msg_types, family: UInt8, flags: UInt16, sequence: UInt32) {
    // What the last message left behind must not show up in this one.
    unsafe memory.initializeMemory(as: UInt8.self, repeating: 0, count: Int(header.pointee.nlmsg_len))
    _ = unsafe nftnl_nlmsg_build_hdr(
      memory.assumingMemoryBound(to: CChar.self), UInt16(type.rawValue), UInt16(family), flags, sequence)
  }

  /// Begins a message of connection tracking (IPCTNL_MSG_CT_*).
  mutating func begin(_ type: cntl_msg_types, family: UInt8, flags: UInt16, sequence: UInt32) {
    begin(nf_tables_msg_types(type.rawValue), family: family, flags: flags, sequence: sequence)
    unsafe header.pointee.nlmsg_type = UInt16(NFNL_SUBSYS_CTNETLINK) << 8 | UInt16(type.rawValue)
  }

  /// Appends an attribute as it came from the kernel.
  mutating func append(number: UInt16, _ payload: ArraySlice<UInt8>) {
    unsafe payload.withUnsafeBytes { bytes in
      unsafe mnl_attr_put(header, number, bytes.count, bytes.baseAddress)
    }
  }

  /// Lets a builder of libnftnl append to the message.
  mutating func append(_ body: (UnsafeMutablePointer<nlmsghdr>) -> Void) {
    unsafe body(header)
  }

  /// Appends a NUL-terminated string.
  mutating func append(_ attribute: some RawRepresentable<UInt32>, string: String) {
    unsafe mnl_attr_put_strz(header, UInt16(attribute.rawValue), string)
  }

  /// Appends a big-endian number.
  mutating func append(_ attribute: some RawRepresentable<UInt32>, number: UInt32) {
    unsafe mnl_attr_put_u32(header, UInt16(attribute.rawValue), number.bigEndian)
  }

  /// Appends one attribute that holds what `body` appends.
  mutating func nest<Failure: Error>(
    _ attribute: some RawRepresentable<UInt32>, _ body: (inout MessageBuffer) throws(Failure) -> Void
  ) throws(Failure) {
    let start = unsafe mnl_attr_nest_start(header, UInt16(attribute.rawValue))
    try body(&self)
    unsafe mnl_attr_nest_end(header, start)
  }

  /// Appends the header of an attribute, behind which the caller puts so many bytes, or others and their length at the
  /// end.
  mutating func putHeader(_ type: UInt16, length: Int) {
    let start = count
    precondition(start + Self.attributeHeader + length + 4 <= Self.capacity, "a rule fits its message")
    // SAFETY: the precondition; attributes are aligned to 4 bytes.
    unsafe memory.storeBytes(
      of: UInt16(truncatingIfNeeded: Self.attributeHeader + length), toByteOffset: start, as: UInt16.self)
    unsafe memory.storeBytes(of: type, toByteOffset: start + 2, as: UInt16.self)
    unsafe header.pointee.nlmsg_len += UInt32(Self.attributeHeader)
  }

  /// Gives an attribute that was begun at an offset its length.
  mutating func setLength(of start: Int, to length: Int) {
    precondition(start >= 0 && start + Self.attributeHeader <= count && length <= Int(UInt16.max))
    // SAFETY: the precondition.
    unsafe memory.storeBytes(of: UInt16(length), toByteOffset: start, as: UInt16.self)
  }

  /// Behind a header whose length is 4.
  mutating func put(_ value: UInt32) {
    precondition(count + 4 <= Self.capacity)
    // SAFETY: the precondition.
    unsafe memory.storeBytes(of: value, toByteOffset: count, as: UInt32.self)
    unsafe header.pointee.nlmsg_len += 4
  }

  /// Behind a header whose length is that of the bytes and of so many zeros; padded to 4 bytes.
  mutating func put(_ bytes: UnsafeRawBufferPointer, terminator: Int) {
    let length = (bytes.count + terminator + 3) & ~3
    precondition(count + length <= Self.capacity)
    // SAFETY: the precondition. What is behind the end of the message is zero.
    unsafe UnsafeMutableRawBufferPointer(start: memory + count, count: length).copyMemory(from: bytes)
    unsafe header.pointee.nlmsg_len += UInt32(length)
  }

  /// Appends an element with a key and no data, as `nftnl_set_elem_nlmsg_build` does.
  ///
  /// - Parameters:
  ///   - keyLength: A multiple of 4, at most 16; whoever appends has asked for room.
  ///   - key: Its bytes, by index.
  mutating func appendElement(
    keyLength: Int, endsInterval: Bool, userdata: [UInt8] = [], key: (Int) -> UInt8
  ) {
    precondition(keyLength % 4 == 0 && keyLength <= 16 && count + 128 + userdata.count <= Self.capacity)
    let element = unsafe mnl_attr_nest_start(header, UInt16(NFTA_LIST_ELEM.rawValue))
    if endsInterval { append(NFTA_SET_ELEM_FLAGS, number: NFT_SET_ELEM_INTERVAL_END.rawValue) }
    let data = unsafe mnl_attr_nest_start(header, UInt16(NFTA_SET_ELEM_KEY.rawValue))
    // SAFETY: the precondition leaves room; netlink attributes are aligned to 4 bytes.
    unsafe memory.storeBytes(
      of: UInt16(Self.attributeHeader + keyLength), toByteOffset: count, as: UInt16.self)
    unsafe memory.storeBytes(of: UInt16(NFTA_DATA_VALUE.rawValue), toByteOffset: count + 2, as: UInt16.self)
    for index in 0..<keyLength {
      unsafe memory.storeBytes(
        of: key(index), toByteOffset: count + Self.attributeHeader + index, as: UInt8.self)
    }
    unsafe header.pointee.nlmsg_len += UInt32(Self.attributeHeader + keyLength)
    unsafe mnl_attr_nest_end(header, data)
    if !userdata.isEmpty {
      unsafe mnl_attr_put(header, UInt16(NFTA_SET_ELEM_USERDATA.rawValue), userdata.count, userdata)
    }
    unsafe mnl_attr_nest_end(header, element)
  }

  // struct nlattr, linux/netlink.h.
  private static let attributeHeader = 4

  /// Bytes of the message so far.
  var count: Int { unsafe Int(header.pointee.nlmsg_len) }

  /// A copy of the finished message.
  borrowing func finished() -> [UInt8] {
    unsafe Array(UnsafeRawBufferPointer(start: memory, count: count))
  }
}
