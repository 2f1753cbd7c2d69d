import Glibc

/// What really came through, found by packets from a second network namespace.
struct ProbeReport {
  struct FamilyReport {
    /// `IPv4` or `IPv6`.
    var name: String
    /// Ports whose packets reached the host: it answered, with or without a listener. Ascending.
    var tcp: [UInt16]
    var udp: [UInt16]
    var answersEcho: Bool
  }

  var families: [FamilyReport]
  /// The kernel limits ICMP errors: where many UDP ports are open, the list is a lower bound.
  var mayMissUDP: Bool
  /// Ports tried for each protocol and family.
  var portsTried: Int
  var seconds: Double
}

/// A system call of a probe that failed.
struct ProbeError: Error, CustomStringConvertible {
  var doing: String
  /// errno.
  var code: Int32

  var description: String { "\(doing): \(String(cString: strerror(code)))" }
}
