/// Layer-4 protocols with ports, by the name that nft gives their header.
package enum TransportHeader {
  /// `th` for several: the ports of all of them lie at the same place.
  static func name(of protocols: [UInt8]?) -> String {
    guard let number = protocols?.first, protocols?.count == 1 else { return "th" }
    return name(of: number) ?? "th"
  }

  private static func name(of number: UInt8) -> String? {
    switch number {
    case 6: "tcp"
    case 17: "udp"
    case 33: "dccp"
    case 132: "sctp"
    case 136: "udplite"
    default: nil
    }
  }
}
