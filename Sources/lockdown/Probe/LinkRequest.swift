import CLinux
import Glibc

/// Builds and sends the few rtnetlink requests a probe needs (rtnetlink(7)): a veth pair, addresses, link up.
struct LinkRequest {
  private var bytes: [UInt8]

  private init(type: UInt16, flags: UInt16, header: [UInt8]) {
    bytes = []
    append(UInt32(0))
    append(type)
    append(flags | UInt16(NLM_F_REQUEST | NLM_F_ACK))
    append(UInt32(1))
    append(UInt32(0))
    bytes += header
  }

  /// A veth pair: `name` here, `peer` in the network namespace of the descriptor.
  static func makeVirtualPair(name: String, peer: String, peerNamespace: Int32) throws(ProbeError) {
    var request = LinkRequest(
      type: UInt16(RTM_NEWLINK), flags: UInt16(NLM_F_CREATE | NLM_F_EXCL),
      header: linkHeader(index: 0, up: false))
    request.attribute(UInt16(IFLA_IFNAME), Array(name.utf8) + [0])
    request.nested(UInt16(IFLA_LINKINFO)) { info in
      info.attribute(UInt16(IFLA_INFO_KIND), Array("veth\0".utf8))
      info.nested(UInt16(IFLA_INFO_DATA)) { data in
        data.nested(UInt16(VETH_INFO_PEER)) { other in
          other.bytes += linkHeader(index: 0, up: false)
          other.attribute(UInt16(IFLA_IFNAME), Array(peer.utf8) + [0])
          other.attribute(UInt16(IFLA_NET_NS_FD), Self.words(UInt32(bitPattern: peerNamespace)))
        }
      }
    }
    try request.send("making a veth pair")
  }

  /// Adds an address and skips duplicate address detection, which would take a second.
  static func addAddress(_ address: [UInt8], bits: UInt8, interface: String) throws(ProbeError) {
    let index = try interfaceIndex(interface)
    let family = UInt8(address.count == 4 ? AF_INET : AF_INET6)
    var request = LinkRequest(
      type: UInt16(RTM_NEWADDR), flags: UInt16(NLM_F_CREATE | NLM_F_REPLACE),
      header: [family, bits, UInt8(IFA_F_NODAD), 0] + words(index))
    request.attribute(UInt16(IFA_LOCAL), address)
    request.attribute(UInt16(IFA_ADDRESS), address)
    try request.send("adding an address to \(interface)")
  }

  /// A route to every address of a family, which are then all on the link. Interface up first.
  static func addDefaultRoute(isIPv6: Bool, interface: String) throws(ProbeError) {
    let scope = isIPv6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK
    // struct rtmsg: family, two prefix lengths, type of service, table, protocol, scope, type, flags.
    var request = LinkRequest(
      type: UInt16(RTM_NEWROUTE), flags: UInt16(NLM_F_CREATE | NLM_F_REPLACE),
      header: [
        UInt8(isIPv6 ? AF_INET6 : AF_INET), 0, 0, 0, UInt8(RT_TABLE_MAIN.rawValue), UInt8(RTPROT_STATIC),
        UInt8(scope.rawValue), UInt8(RTN_UNICAST),
      ] + words(0))
    request.attribute(UInt16(RTA_OIF.rawValue), words(try interfaceIndex(interface)))
    try request.send("adding a route by \(interface)")
  }

  static func setUp(interface: String) throws(ProbeError) {
    let request = LinkRequest(
      type: UInt16(RTM_NEWLINK), flags: 0, header: linkHeader(index: try interfaceIndex(interface), up: true))
    try request.send("setting \(interface) up")
  }

  private static func interfaceIndex(_ name: String) throws(ProbeError) -> UInt32 {
    let index = lockdown_interface_index(name)
    guard index != 0 else { throw ProbeError(doing: "looking up interface \(name)", code: errno) }
    return index
  }

  /// struct ifinfomsg: family, padding, type, index, flags, change mask.
  private static func linkHeader(index: UInt32, up: Bool) -> [UInt8] {
    let flag = UInt32(up ? 1 : 0)  // IFF_UP, linux/if.h
    return [UInt8(AF_UNSPEC), 0, 0, 0] + words(index) + words(flag) + words(flag)
  }

  private static func words(_ value: UInt32) -> [UInt8] {
    withUnsafeBytes(of: value) { Array($0) }
  }

  private mutating func append<T: FixedWidthInteger>(_ value: T) {
    withUnsafeBytes(of: value) { bytes += Array($0) }
  }

  private mutating func attribute(_ type: UInt16, _ value: [UInt8]) {
    append(UInt16(value.count + 4))
    append(type)
    bytes += value
    while bytes.count % 4 != 0 { bytes.append(0) }
  }

  private mutating func nested(_ type: UInt16, _ body: (inout LinkRequest) -> Void) {
    let start = bytes.count
    append(UInt16(0))
    append(type)
    body(&self)
    let length = UInt16(bytes.count - start)
    withUnsafeBytes(of: length) { bytes.replaceSubrange(start..<start + 2, with: $0) }
  }

  private func send(_ purpose: String) throws(ProbeError) {
    var message = bytes
    withUnsafeBytes(of: UInt32(message.count)) { message.replaceSubrange(0..<4, with: $0) }
    let socket = Glibc.socket(AF_NETLINK, lockdown_sock_raw_cloexec, NETLINK_ROUTE)
    guard socket >= 0 else { throw ProbeError(doing: purpose, code: errno) }
    defer { close(socket) }
    guard Glibc.send(socket, message, message.count, 0) == message.count else {
      throw ProbeError(doing: purpose, code: errno)
    }
    var answer = [UInt8](repeating: 0, count: 4096)
    let count = recv(socket, &answer, answer.count, 0)
    // nlmsghdr, then nlmsgerr whose first word is the negative errno; 0 is the acknowledgement.
    guard count >= 20 else { throw ProbeError(doing: purpose, code: errno) }
    let code = answer.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 16, as: Int32.self) }
    guard code == 0 else { throw ProbeError(doing: purpose, code: -code) }
  }
}
