/// An inclusive range of addresses of one family, as numbers.
package struct AddressRange<Value: FixedWidthInteger & UnsignedInteger & Sendable>: Sendable, Hashable {
  package var lower: Value
  package var upper: Value

  package init(_ lower: Value, _ upper: Value) {
    precondition(lower <= upper, "a range runs upwards")
    self.lower = lower
    self.upper = upper
  }
}

package typealias IPv4Range = AddressRange<UInt32>
package typealias IPv6Range = AddressRange<UInt128>

/// A set of addresses of both families.
///
/// INVARIANT: both lists are ascending, disjoint and merged: adjacent ranges are one. So equal sets are
/// equal values.
package struct AddressSet: Sendable, Hashable {
  package private(set) var ipv4: [IPv4Range]
  package private(set) var ipv6: [IPv6Range]

  /// Ranges in any order; overlapping and adjacent ones are merged.
  package init(ipv4: [IPv4Range] = [], ipv6: [IPv6Range] = []) {
    self.ipv4 = Self.merge(ipv4)
    self.ipv6 = Self.merge(ipv6)
  }

  package static var all: AddressSet {
    AddressSet(ipv4: [IPv4Range(0, .max)], ipv6: [IPv6Range(0, .max)])
  }

  package var isEmpty: Bool { ipv4.isEmpty && ipv6.isEmpty }

  package func union(_ other: AddressSet) -> AddressSet {
    AddressSet(ipv4: ipv4 + other.ipv4, ipv6: ipv6 + other.ipv6)
  }

  package func subtracting(_ other: AddressSet) -> AddressSet {
    AddressSet(
      ipv4: Self.subtract(ipv4, other.ipv4), ipv6: Self.subtract(ipv6, other.ipv6))
  }

  package func intersection(_ other: AddressSet) -> AddressSet {
    subtracting(subtracting(other))
  }

  private static func merge<V>(_ ranges: [AddressRange<V>]) -> [AddressRange<V>] {
    var merged: [AddressRange<V>] = []
    for range in ranges.sorted(by: { ($0.lower, $0.upper) < ($1.lower, $1.upper) }) {
      if let last = merged.last, last.upper == .max || range.lower <= last.upper + 1 {
        merged[merged.count - 1].upper = max(last.upper, range.upper)
      } else {
        merged.append(range)
      }
    }
    return merged
  }

  /// Both lists satisfy the type's invariant.
  private static func subtract<V>(_ from: [AddressRange<V>], _ what: [AddressRange<V>]) -> [AddressRange<V>] {
    var result: [AddressRange<V>] = []
    var next = 0
    for range in from {
      var lower = range.lower
      var isUsedUp = false
      while next < what.count, what[next].upper < lower { next += 1 }
      var index = next
      while index < what.count, what[index].lower <= range.upper {
        if what[index].lower > lower { result.append(AddressRange(lower, what[index].lower - 1)) }
        if what[index].upper >= range.upper {
          isUsedUp = true
          break
        }
        lower = what[index].upper + 1
        index += 1
      }
      if !isUsedUp { result.append(AddressRange(lower, range.upper)) }
    }
    return result
  }
}
