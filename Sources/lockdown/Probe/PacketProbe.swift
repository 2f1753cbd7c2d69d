import CLinux
import Glibc

/// Sends real packets at the calling process's network namespace, from a namespace it makes as a neighbour.
///
/// A port is open when the host answers: SYN-ACK or RST for TCP, data or "port unreachable" for UDP. Silence
/// means that the packet was dropped before a socket was asked. The calling process ends up in the neighbour
/// namespace, so it must be one that has nothing else to do.
enum PacketProbe {
  // Documentation addresses (RFC 5737, RFC 3849): they can be nobody's.
  private static let hostIPv4: [UInt8] = [198, 51, 100, 2]
  private static let neighbourIPv4: [UInt8] = [198, 51, 100, 1]
  private static let hostIPv6: [UInt8] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]
  private static let neighbourIPv6: [UInt8] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
  /// Silence after the last packet that ends a scan, in milliseconds.
  private static let patience: Int32 = 400
  private static let sourcePort: UInt16 = 40_000

  static func run() throws(ProbeError) -> ProbeReport {
    let start = lockdown_monotonic_seconds()
    let hasGlobalLimit = try connectNeighbour()
    var families: [ProbeReport.FamilyReport] = []
    for (name, host, neighbour) in [
      ("IPv4", hostIPv4, neighbourIPv4), ("IPv6", hostIPv6, neighbourIPv6),
    ] {
      let scan = Scan(host: host, neighbour: neighbour, sourcePort: sourcePort, patience: patience)
      // The first packet also resolves the link address, so that the scan itself loses none in the queue.
      let answersEcho = try scan.echo()
      families.append(
        ProbeReport.FamilyReport(
          name: name, tcp: try scan.tcp(), udp: try scan.udp(), answersEcho: answersEcho))
    }
    return ProbeReport(
      families: families, mayMissUDP: hasGlobalLimit, portsTried: 65_535,
      seconds: lockdown_monotonic_seconds() - start)
  }

  /// Makes a neighbour namespace, joins both by a veth pair and moves into it. Returns whether the kernel
  /// keeps a limit on ICMP errors over all targets, so that a scan of many open UDP ports misses some.
  private static func connectNeighbour() throws(ProbeError) -> Bool {
    let host = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)
    guard host >= 0 else { throw ProbeError(doing: "opening the network namespace", code: errno) }
    guard lockdown_unshare_network() == 0 else {
      throw ProbeError(doing: "making a neighbour namespace", code: errno)
    }
    let neighbour = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)
    guard neighbour >= 0 else { throw ProbeError(doing: "opening the network namespace", code: errno) }
    try LinkRequest.makeVirtualPair(name: "probe0", peer: "eth0", peerNamespace: host)
    try enter(host)
    try LinkRequest.addAddress(hostIPv4, bits: 24, interface: "eth0")
    try LinkRequest.addAddress(hostIPv6, bits: 64, interface: "eth0")
    try LinkRequest.setUp(interface: "eth0")
    // The kernel answers only so many closed ports a second; here each answer is a measurement.
    try write("0", to: "/proc/sys/net/ipv4/icmp_ratelimit")
    try write("0", to: "/proc/sys/net/ipv6/icmp/ratelimit")
    // The limit over all targets belongs to the namespace only on newer kernels (absent or read-only before).
    var hasGlobalLimit = false
    for name in ["icmp_msgs_per_sec", "icmp_msgs_burst"] {
      do { try write("1000000", to: "/proc/sys/net/ipv4/\(name)") } catch { hasGlobalLimit = true }
    }
    try enter(neighbour)
    try LinkRequest.addAddress(neighbourIPv4, bits: 24, interface: "probe0")
    try LinkRequest.addAddress(neighbourIPv6, bits: 64, interface: "probe0")
    try LinkRequest.setUp(interface: "probe0")
    close(host)
    close(neighbour)
    return hasGlobalLimit
  }

  private static func enter(_ namespace: Int32) throws(ProbeError) {
    guard lockdown_enter_network(namespace) == 0 else {
      throw ProbeError(doing: "entering a network namespace", code: errno)
    }
  }

  private static func write(_ text: String, to path: String) throws(ProbeError) {
    let file = open(path, O_WRONLY | O_CLOEXEC)
    guard file >= 0 else { throw ProbeError(doing: "opening \(path)", code: errno) }
    defer { close(file) }
    let bytes = Array(text.utf8)
    guard Glibc.write(file, bytes, bytes.count) == bytes.count else {
      throw ProbeError(doing: "writing \(path)", code: errno)
    }
  }
}
