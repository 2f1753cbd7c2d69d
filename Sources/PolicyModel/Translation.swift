/// What a rule of a nat chain does with the packet that opens a connection, and with it to the whole connection.
package enum Translation: Sendable, Equatable {
  /// The source becomes an address of the interface that the packet leaves by.
  case masquerade
  /// To this host; nil: the port stays.
  case redirect(UInt16?)
  case source(NATTarget)
  case destination(NATTarget)
  /// By the packet's destination port; of one family, ascending by port. Packets to other ports go on.
  case destinationByPort([PortTarget])

  /// Whether it sets a port, which only some protocols have.
  package var namesPorts: Bool {
    switch self {
    case .masquerade, .redirect(nil): false
    case .redirect, .destinationByPort: true
    case .source(let target), .destination(let target): target.ports != nil
    }
  }

  /// The families in which it means something.
  package var families: Families {
    switch self {
    case .masquerade, .redirect: .both
    case .source(let target), .destination(let target): target.addresses.families
    case .destinationByPort(let targets): targets.first?.address.families ?? .both
    }
  }
}

/// Addresses that the kernel may choose from, of one family.
package enum NATAddresses: Sendable, Equatable {
  case ipv4(IPv4Range)
  case ipv6(IPv6Range)

  package var families: Families {
    switch self {
    case .ipv4: .ipv4
    case .ipv6: .ipv6
    }
  }

  /// Whether it is one address.
  package var isSingle: Bool {
    switch self {
    case .ipv4(let range): range.lower == range.upper
    case .ipv6(let range): range.lower == range.upper
    }
  }

  /// The set of them.
  package var set: AddressSet {
    switch self {
    case .ipv4(let range): AddressSet(ipv4: [range])
    case .ipv6(let range): AddressSet(ipv6: [range])
    }
  }
}

package struct NATTarget: Sendable, Equatable {
  package var addresses: NATAddresses
  /// The addresses are a prefix that takes the place of the packet's own; the bits behind it stay (NETMAP).
  package var isPrefix: Bool
  /// Nil: the port stays, as far as it is free.
  package var ports: AddressRange<UInt16>?

  package init(addresses: NATAddresses, isPrefix: Bool, ports: AddressRange<UInt16>?) {
    self.addresses = addresses
    self.isPrefix = isPrefix
    self.ports = ports
  }
}

/// One line of a map of targets.
package struct PortTarget: Sendable, Equatable {
  /// The port that the packet is sent to.
  package var port: UInt16
  /// One address.
  package var address: NATAddresses
  package var targetPort: UInt16

  package init(port: UInt16, address: NATAddresses, targetPort: UInt16) {
    self.port = port
    self.address = address
    self.targetPort = targetPort
  }
}
