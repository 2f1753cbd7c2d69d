import PolicyModel
import PolicySyntax

/// Names of ICMP types that language 1 knows; nft's, and `neighbour-discovery` for IPv6 (LANGUAGE.md §3).
enum ICMPTypeNames {
  /// The types of a name, or nil if the family has none of that name.
  static func types(of name: String, _ family: IPFamily) -> [ICMPType]? {
    if family == .ipv6, name == "neighbour-discovery" { return (133...136).map { ICMPType(type: $0) } }
    return table(family)[name].map { [ICMPType(type: $0)] }
  }

  /// Sorted.
  static func names(_ family: IPFamily) -> [String] {
    (Array(table(family).keys) + (family == .ipv6 ? ["neighbour-discovery"] : [])).sorted()
  }

  /// What people call them, in both families.
  static let otherNames = [
    "ping": "echo-request", "pong": "echo-reply", "unreachable": "destination-unreachable",
  ]

  private static func table(_ family: IPFamily) -> [String: UInt8] { family == .ipv4 ? icmp : icmpv6 }

  /// RFC 792, 950, 1256; linux/icmp.h.
  private static let icmp: [String: UInt8] = [
    "echo-reply": 0, "destination-unreachable": 3, "source-quench": 4, "redirect": 5, "echo-request": 8,
    "router-advertisement": 9, "router-solicitation": 10, "time-exceeded": 11, "parameter-problem": 12,
    "timestamp-request": 13, "timestamp-reply": 14, "info-request": 15, "info-reply": 16,
    "address-mask-request": 17, "address-mask-reply": 18,
  ]

  /// RFC 4443, 2710, 3810, 4861, 2894, 3122; linux/icmpv6.h.
  private static let icmpv6: [String: UInt8] = [
    "destination-unreachable": 1, "packet-too-big": 2, "time-exceeded": 3, "parameter-problem": 4,
    "echo-request": 128, "echo-reply": 129, "mld-listener-query": 130, "mld-listener-report": 131,
    "mld-listener-done": 132, "mld-listener-reduction": 132, "nd-router-solicit": 133,
    "nd-router-advert": 134,
    "nd-neighbor-solicit": 135, "nd-neighbor-advert": 136, "nd-redirect": 137, "router-renumbering": 138,
    "ind-neighbor-solicit": 141, "ind-neighbor-advert": 142, "mld2-listener-report": 143,
  ]
}
