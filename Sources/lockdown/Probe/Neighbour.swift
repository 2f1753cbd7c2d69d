import CLinux
import Glibc

/// A second network namespace, joined to the one of the calling process by a veth pair.
///
/// Made before a policy is applied, so that the policy meets the interface as at a boot.
struct Neighbour {
  /// Descriptors of both network namespaces.
  let hostNamespace: Int32
  let ownNamespace: Int32
  /// The host's interface.
  let interface: String
  let families: [Family]

  struct Family {
    /// 4 or 16 bytes, network order.
    var host: [UInt8]
    var neighbour: [UInt8]
    var isIPv6: Bool { host.count == 16 }
  }

  private static let ownInterface = "probe0"

  // Addresses that a policy is unlikely to refuse as nobody's: 44.128.0.0/16 is set aside for tests among
  // radio amateurs, 2620:4f:8000::/48 for AS112 (RFC 7534). Nothing leaves the namespaces.
  private static let standard = [
    Family(host: [44, 128, 0, 1], neighbour: [44, 128, 0, 2]),
    Family(
      host: [0x26, 0x20, 0, 0x4f, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
      neighbour: [0x26, 0x20, 0, 0x4f, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]),
  ]

  /// - Parameter sources: addresses of the neighbour, at most one of each family; for others the standard one.
  init(interface: String, sources: [[UInt8]]) throws(ProbeError) {
    self.interface = interface
    families = Self.standard.map { family in
      Family(
        host: family.host, neighbour: sources.first { $0.count == family.host.count } ?? family.neighbour)
    }
    hostNamespace = try Self.namespace()
    guard lockdown_unshare_network() == 0 else {
      throw ProbeError(doing: "making a neighbour namespace", code: errno)
    }
    ownNamespace = try Self.namespace()
    try LinkRequest.makeVirtualPair(name: Self.ownInterface, peer: interface, peerNamespace: hostNamespace)
    try configure(Self.ownInterface) { $0.neighbour }
    try enter(hostNamespace)
    try configure(interface) { $0.host }
  }

  /// Every address is on the link, so that a chosen source needs no route of its own.
  private func configure(_ name: String, _ address: (Family) -> [UInt8]) throws(ProbeError) {
    for family in families {
      try LinkRequest.addAddress(address(family), bits: family.isIPv6 ? 128 : 32, interface: name)
    }
    try LinkRequest.setUp(interface: name)
    for family in families { try LinkRequest.addDefaultRoute(isIPv6: family.isIPv6, interface: name) }
  }

  /// Runs `body` inside the neighbour; a socket belongs to the namespace it was opened in.
  func inside<T>(_ body: () throws(ProbeError) -> T) throws(ProbeError) -> T {
    try enter(ownNamespace)
    let result = Result<T, ProbeError> { () throws(ProbeError) -> T in try body() }
    try enter(hostNamespace)
    return try result.get()
  }

  private func enter(_ namespace: Int32) throws(ProbeError) {
    guard lockdown_enter_network(namespace) == 0 else {
      throw ProbeError(doing: "entering a network namespace", code: errno)
    }
  }

  private static func namespace() throws(ProbeError) -> Int32 {
    let descriptor = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw ProbeError(doing: "opening the network namespace", code: errno) }
    return descriptor
  }
}
