import CLinux
import Glibc

/// Sends real packets from a neighbour at the calling process's network namespace, and sees which of them reach
/// the host's sockets.
///
/// A raw socket of the host gets a copy of what passed the input hook, whether or not somebody listens. So an
/// open port needs no listener, and a port that is only refused politely does not look open.
enum PacketProbe {
  private static let sourcePort: UInt16 = 40_000

  static func run(_ neighbour: Neighbour) throws(ProbeError) -> ProbeReport {
    let start = lockdown_monotonic_seconds()
    // Answers count too, and the kernel gives only so many errors a second; on this host of nobody it may.
    unlimited("/proc/sys/net/ipv4/icmp_ratemask", "0")
    unlimited("/proc/sys/net/ipv6/icmp/ratemask", "255")
    var report = ProbeReport(interface: neighbour.interface, families: [], lost: 0, seconds: 0)
    for family in neighbour.families {
      let scan = Scan(family: family, neighbour: neighbour, sourcePort: sourcePort)
      // The first packet also resolves the link address, so that the scans themselves lose none in its queue.
      let echo = try scan.echo()
      let tcp = try scan.ports(.tcp)
      let udp = try scan.ports(.udp)
      report.lost += tcp.lost + udp.lost
      report.families.append(
        ProbeReport.FamilyReport(
          name: family.isIPv6 ? "IPv6" : "IPv4", source: NumericAddress.text(family.neighbour),
          tcp: tcp.fates, udp: udp.fates, echo: echo))
    }
    report.seconds = lockdown_monotonic_seconds() - start
    return report
  }

  /// Best effort: without it more ports count as unanswered, and none as closed.
  private static func unlimited(_ path: String, _ value: String) {
    let file = open(path, O_WRONLY | O_CLOEXEC)
    guard file >= 0 else { return }
    _ = write(file, value, value.utf8.count)
    close(file)
  }
}
