import PolicyModel

/// Packets that never come to a host's rules while its settings are the kernel's own: the IP layer drops them first.
///
/// Sources: `ip_route_input_slow` and `__fib_validate_source` of Linux (net/ipv4/route.c, fib_frontend.c), where
/// `route_localnet` and `accept_local` are 0, and `ip6_rcv_core` (net/ipv6/ip6_input.c).
enum Martian {
  /// Whether no packet from outside has that address, as source and as destination.
  static func has(_ address: UInt128, _ family: Families) -> Bool {
    reason(source: address, family) != nil || reason(destination: address, family) != nil
  }

  /// Why it cannot arrive; nil: it can, or it is not from outside.
  ///
  /// - Parameter isOwnSource: the routing table calls its source local or a broadcast address.
  static func reason(_ sample: PacketSample, _ hook: Hook, isOwnSource: Bool) -> String? {
    // Rules of prerouting see IPv4 packets before these checks.
    guard hook == .input || hook == .forward, let interface = sample.inputInterface, interface != "lo" else {
      return nil
    }
    return reason(source: sample.source, sample.family) ?? reason(
      destination: sample.destination, sample.family)
      ?? (isOwnSource ? "its source is an address of the host" : nil)
  }

  private static func reason(source: UInt128, _ family: Families) -> String? {
    if family == .ipv6 {
      if source >> 120 == 0xff { return "its source is a multicast address" }
      return source == 1 ? "its source is the loopback address" : nil
    }
    return switch source >> 24 {
    case 0: source == 0 ? nil : "its source is of 0.0.0.0/8"
    case 127: "its source is of 127.0.0.0/8"
    case 224...239: "its source is a multicast address"
    case 255: source == 0xffff_ffff ? "its source is the broadcast address" : nil
    default: nil
    }
  }

  private static func reason(destination: UInt128, _ family: Families) -> String? {
    if family == .ipv6 { return destination == 1 ? "its destination is the loopback address" : nil }
    return switch destination >> 24 {
    case 0: "its destination is of 0.0.0.0/8"
    case 127: "its destination is of 127.0.0.0/8"
    default: nil
    }
  }
}
