import PolicyModel
import PolicySyntax

/// What the protocol words of a rule stand for.
enum ProtocolNumbers {
  /// The protocol, with the ports and families its name brings along (LANGUAGE.md §3, §4.7).
  static func service(_ syntax: ProtocolSyntax) -> Service? {
    switch syntax {
    case .number(let number): Service(protocolNumber: number, ports: nil)
    case .named(let name): named[name]
    }
  }

  private static let named: [String: Service] = [
    "tcp": Service(protocolNumber: 6, ports: nil),
    "udp": Service(protocolNumber: 17, ports: nil),
    "sctp": Service(protocolNumber: 132, ports: nil),
    "dccp": Service(protocolNumber: 33, ports: nil),
    "udplite": Service(protocolNumber: 136, ports: nil),
    "esp": Service(protocolNumber: 50, ports: nil),
    "ah": Service(protocolNumber: 51, ports: nil),
    "gre": Service(protocolNumber: 47, ports: nil),
    "vrrp": Service(protocolNumber: 112, ports: nil),
    "ospf": Service(protocolNumber: 89, ports: nil),
    "icmp": Service(protocolNumber: 1, ports: nil, families: .ipv4),
    "igmp": Service(protocolNumber: 2, ports: nil, families: .ipv4),
    "icmpv6": Service(protocolNumber: 58, ports: nil, families: .ipv6),
    "dhcp": Service(protocolNumber: 17, ports: PortSet([AddressRange(67, 68)]), families: .ipv4),
    "dhcpv6": Service(protocolNumber: 17, ports: PortSet([AddressRange(546, 547)]), families: .ipv6),
    "mdns": Service(protocolNumber: 17, ports: PortSet([AddressRange(5353, 5353)])),
  ]

  /// Whether a packet of the protocol has ports where the kernel's `th` expression looks for them.
  static func hasPorts(_ number: UInt8) -> Bool { [6, 17, 33, 132, 136].contains(number) }
}

extension [Service] {
  /// Ascending by protocol and families; entries of both the same are one, ports united.
  var merged: [Service] {
    var result: [Service] = []
    for service in self {
      if let index = result.firstIndex(where: {
        $0.protocolNumber == service.protocolNumber && $0.families == service.families
      }) {
        // A whole protocol holds all of its ports.
        if let old = result[index].ports, let new = service.ports {
          result[index].ports = PortSet(old.ranges + new.ranges)
        } else {
          result[index].ports = nil
        }
      } else {
        result.append(service)
      }
    }
    return result.sorted {
      ($0.protocolNumber, $0.families.rawValue) < ($1.protocolNumber, $1.families.rawValue)
    }
  }
}
