package typealias IPv4Range = AddressRange<UInt32>
package typealias IPv6Range = AddressRange<UInt128>

/// A set of addresses of both families. Equal sets are equal values.
package struct AddressSet: Sendable, Hashable {
  private let ipv4Set: IntervalSet<UInt32>
  private let ipv6Set: IntervalSet<UInt128>

  /// Ranges in any order; overlapping and adjacent ones are merged.
  package init(ipv4: [IPv4Range] = [], ipv6: [IPv6Range] = []) {
    self.init(IntervalSet(ipv4), IntervalSet(ipv6))
  }

  private init(_ ipv4: IntervalSet<UInt32>, _ ipv6: IntervalSet<UInt128>) {
    ipv4Set = ipv4
    ipv6Set = ipv6
  }

  package static let all = AddressSet(ipv4: [IPv4Range(0, .max)], ipv6: [IPv6Range(0, .max)])

  /// Ascending, disjoint and merged.
  package var ipv4: [IPv4Range] { ipv4Set.ranges }
  /// Ascending, disjoint and merged.
  package var ipv6: [IPv6Range] { ipv6Set.ranges }

  package var isEmpty: Bool { ipv4Set.isEmpty && ipv6Set.isEmpty }

  package func union(_ other: AddressSet) -> AddressSet {
    AddressSet(ipv4Set.union(other.ipv4Set), ipv6Set.union(other.ipv6Set))
  }

  package func subtracting(_ other: AddressSet) -> AddressSet {
    AddressSet(ipv4Set.subtracting(other.ipv4Set), ipv6Set.subtracting(other.ipv6Set))
  }

  package func intersection(_ other: AddressSet) -> AddressSet {
    AddressSet(ipv4Set.intersection(other.ipv4Set), ipv6Set.intersection(other.ipv6Set))
  }
}
