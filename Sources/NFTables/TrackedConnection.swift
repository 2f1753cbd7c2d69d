internal import CNFTables
internal import Glibc

/// One connection that the kernel tracks (linux/netfilter/nfnetlink_conntrack.h).
package struct TrackedConnection: Sendable, Equatable {
  /// The packets of one direction.
  package struct Direction: Sendable, Equatable {
    /// 4 or 16 bytes, in network order.
    package var source: [UInt8]
    package var destination: [UInt8]
    package var protocolNumber: UInt8
    /// Nil: the protocol has none.
    package var sourcePort: UInt16?
    package var destinationPort: UInt16?
    /// Of ICMP and ICMPv6.
    package var icmpType: UInt8?
    package var icmpCode: UInt8?
  }

  package var isIPv6: Bool
  package var original: Direction
  package var reply: Direction
  package var id: UInt32
  /// 0: none.
  package var zone: UInt16
  /// The tuple of the original direction, as the kernel gave it.
  fileprivate var tuple: [UInt8]

  /// - Throws: ``NFTablesError/malformed(what:offset:)``.
  init(_ message: Message) throws(NFTablesError) {
    let attributes = try message.attributes()
    guard let tuple = attributes[CTA_TUPLE_ORIG], let reply = attributes[CTA_TUPLE_REPLY],
      let id = attributes.uint32(CTA_ID)
    else { throw .malformed(what: "connection", offset: 0) }
    isIPv6 = message.family == UInt8(AF_INET6)
    original = try Direction(tuple)
    self.reply = try Direction(reply)
    self.id = id
    zone = attributes[CTA_ZONE].flatMap(Self.uint16) ?? 0
    self.tuple = Array(tuple)
  }

  fileprivate static func uint16(_ bytes: ArraySlice<UInt8>) -> UInt16? {
    bytes.count == 2 ? bytes.reduce(0) { $0 << 8 | UInt16($1) } : nil
  }
}

extension TrackedConnection.Direction {
  fileprivate init(_ tuple: ArraySlice<UInt8>) throws(NFTablesError) {
    let parts = try Attributes(tuple, what: "connection")
    guard let addresses = parts[CTA_TUPLE_IP], let transport = parts[CTA_TUPLE_PROTO] else {
      throw .malformed(what: "connection", offset: tuple.startIndex)
    }
    let address = try Attributes(addresses, what: "connection")
    let fields = try Attributes(transport, what: "connection")
    guard let source = address[CTA_IP_V4_SRC] ?? address[CTA_IP_V6_SRC],
      let destination = address[CTA_IP_V4_DST] ?? address[CTA_IP_V6_DST],
      [4, 16].contains(source.count), source.count == destination.count,
      let number = fields[CTA_PROTO_NUM]?.first
    else { throw .malformed(what: "connection", offset: tuple.startIndex) }
    self.source = Array(source)
    self.destination = Array(destination)
    protocolNumber = number
    sourcePort = fields[CTA_PROTO_SRC_PORT].flatMap(TrackedConnection.uint16)
    destinationPort = fields[CTA_PROTO_DST_PORT].flatMap(TrackedConnection.uint16)
    icmpType = (fields[CTA_PROTO_ICMP_TYPE] ?? fields[CTA_PROTO_ICMPV6_TYPE])?.first
    icmpCode = (fields[CTA_PROTO_ICMP_CODE] ?? fields[CTA_PROTO_ICMPV6_CODE])?.first
  }
}

extension NetlinkSocket {
  /// All connections of the network namespace. Needs CAP_NET_ADMIN in it.
  ///
  /// - Returns: nil: the kernel tracks none, for it was built without.
  package mutating func connections() throws(NFTablesError) -> [TrackedConnection]? {
    do throws(NFTablesError) {
      let reply = try request(IPCTNL_MSG_CT_GET, family: UInt8(AF_UNSPEC), isDump: true)
      var connections: [TrackedConnection] = []
      for message in reply.messages { connections.append(try TrackedConnection(message)) }
      return connections
    } catch .refused(let number, _, _) where number == EINVAL || number == EOPNOTSUPP {
      // nfnetlink has no such subsystem.
      return nil
    }
  }

  /// Makes the kernel forget one connection, and no other that has taken its tuple since.
  ///
  /// - Returns: false: it is gone already.
  package mutating func forget(_ connection: TrackedConnection) throws(NFTablesError) -> Bool {
    let family = UInt8(connection.isIPv6 ? AF_INET6 : AF_INET)
    do throws(NFTablesError) {
      _ = try request(IPCTNL_MSG_CT_DELETE, family: family, isDump: false) { message in
        message.append(number: UInt16(CTA_TUPLE_ORIG.rawValue) | UInt16(NLA_F_NESTED), connection.tuple[...])
        if connection.zone != 0 {
          message.append(number: UInt16(CTA_ZONE.rawValue), Self.bigEndian(connection.zone)[...])
        }
        message.append(number: UInt16(CTA_ID.rawValue), Self.bigEndian(connection.id)[...])
      }
      return true
    } catch .refused(let number, _, _) where number == ENOENT {
      return false
    }
  }

  /// Makes the kernel forget all connections of the network namespace; where it tracks none there is nothing to forget.
  package mutating func forgetConnections() throws(NFTablesError) {
    do throws(NFTablesError) {
      _ = try request(IPCTNL_MSG_CT_DELETE, family: UInt8(AF_UNSPEC), isDump: false)
    } catch .refused(let number, _, _) where number == EINVAL || number == EOPNOTSUPP {
      return
    }
  }

  private static func bigEndian(_ value: some FixedWidthInteger) -> [UInt8] {
    (0..<value.bitWidth / 8).reversed().map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
  }
}
