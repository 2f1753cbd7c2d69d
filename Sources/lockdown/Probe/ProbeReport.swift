import Glibc

/// What really came through, found by packets from a second network namespace.
struct ProbeReport {
  /// What became of one port's packet.
  enum Fate {
    /// It reached the host's sockets, and an answer came back.
    case open
    /// It reached the host's sockets; no answer came back.
    case unanswered
    /// It did not reach them, and the sender was told so.
    case rejected
    /// Silence.
    case dropped
  }

  struct FamilyReport {
    /// `IPv4` or `IPv6`.
    var name: String
    /// The neighbour's address, which the packets came from.
    var source: String
    /// One fate for each port from 1 on.
    var tcp: [Fate]
    var udp: [Fate]
    /// Of an echo request.
    var echo: Fate
  }

  var interface: String
  var families: [FamilyReport]
  /// Packets the kernel could not hand over for want of memory: then a port may seem closed.
  var lost: Int
  var seconds: Double

  /// Ports tried for each protocol and family.
  static let portCount = 65_535

  /// Ports of one fate, ascending.
  static func ports(_ fates: [Fate], _ wanted: Fate) -> [UInt16] {
    fates.indices.filter { fates[$0] == wanted }.map { UInt16($0 + 1) }
  }

  /// `22, 80-90`.
  static func ranges(_ ports: [UInt16]) -> [String] {
    var parts: [String] = []
    var index = 0
    while index < ports.count {
      var end = index
      while end + 1 < ports.count, ports[end + 1] == ports[end] + 1 { end += 1 }
      parts.append(end == index ? "\(ports[index])" : "\(ports[index])-\(ports[end])")
      index = end + 1
    }
    return parts
  }
}

/// A system call of a probe that failed.
struct ProbeError: Error, CustomStringConvertible {
  var doing: String
  /// errno.
  var code: Int32

  var description: String { "\(doing): \(String(cString: strerror(code)))" }
}
