internal import CNFTables

/// One netlink message, taken apart up to its attributes.
struct Message {
  /// nlmsg_type; an nf_tables message's subsystem is in the upper byte.
  var type: UInt16
  var flags: UInt16
  var sequence: UInt32
  var family: UInt8
  /// nfgenmsg.res_id: in nf_tables replies the lower 16 bits of the generation.
  var resource: UInt16
  /// Everything behind nfgenmsg, or behind nlmsghdr in a control message.
  var body: ArraySlice<UInt8>
  /// The message with its header.
  var whole: ArraySlice<UInt8>

  static let headerLength = 16
  private static let familyHeaderLength = 4

  /// nf_tables message number (NFT_MSG_*), nil for another subsystem and for control messages.
  var tablesType: UInt32? {
    type >> 8 == UInt16(NFNL_SUBSYS_NFTABLES) ? UInt32(type & 0xff) : nil
  }

  /// Whether it is NLMSG_ERROR, NLMSG_DONE or the like.
  var isControl: Bool { type < UInt16(NLMSG_MIN_TYPE) }

  func attributes() throws(NFTablesError) -> Attributes {
    try Attributes(body, what: "message of type \(type)")
  }

  /// The messages of a datagram or of a stored batch.
  static func all(in bytes: [UInt8]) throws(NFTablesError) -> [Message] {
    var messages: [Message] = []
    var rest = bytes[...]
    while !rest.isEmpty {
      let start = rest.startIndex
      guard rest.count >= headerLength else { throw .malformed(what: "netlink header", offset: start) }
      let length = Int(HostOrder.uint32(rest))
      guard length >= headerLength, length <= rest.count else {
        throw .malformed(what: "netlink header", offset: start)
      }
      let type = HostOrder.uint16(rest.dropFirst(4))
      var body = rest[(start + headerLength)..<(start + length)]
      var family: UInt8 = 0
      var resource: UInt16 = 0
      if type >= UInt16(NLMSG_MIN_TYPE) {
        guard body.count >= familyHeaderLength else { throw .malformed(what: "nfgenmsg", offset: start) }
        family = body[body.startIndex]
        resource = body.dropFirst(2).prefix(2).reduce(0) { $0 << 8 | UInt16($1) }
        body = body.dropFirst(familyHeaderLength)
      }
      messages.append(
        Message(
          type: type, flags: HostOrder.uint16(rest.dropFirst(6)),
          sequence: HostOrder.uint32(rest.dropFirst(8)),
          family: family, resource: resource, body: body, whole: rest.prefix(length)))
      rest = rest.dropFirst((length + 3) & ~3)
    }
    return messages
  }
}
