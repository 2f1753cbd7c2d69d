/// An inclusive range of numbers: addresses, ports, ids.
public struct AddressRange<Value: FixedWidthInteger & UnsignedInteger & Sendable>: Sendable, Hashable {
  public var lower: Value
  public var upper: Value

  @inlinable
  public init(_ lower: Value, _ upper: Value) {
    precondition(lower <= upper, "a range runs upwards")
    self.lower = lower
    self.upper = upper
  }
}

/// A set of numbers as ranges.
///
/// INVARIANT: `ranges` is ascending, disjoint and merged: adjacent ranges are one. So equal sets are equal
/// values.
///
/// Public and inlinable, because other modules would otherwise ask witness tables how to compare two numbers: the
/// compiler inlines nothing of a package across its modules.
public struct IntervalSet<Value: FixedWidthInteger & UnsignedInteger & Sendable>: Sendable, Hashable {
  public let ranges: [AddressRange<Value>]

  /// Ranges in any order; overlapping and adjacent ones are merged.
  @inlinable
  public init(_ ranges: [AddressRange<Value>] = []) {
    guard ranges.count > 1 else {
      self.ranges = ranges
      return
    }
    var merged: [AddressRange<Value>] = []
    merged.reserveCapacity(ranges.count)
    // Most lists are in order already.
    var isAscending = true
    for index in 1..<ranges.count where ranges[index - 1].lower > ranges[index].lower {
      isAscending = false
      break
    }
    for range in isAscending ? ranges : ranges.sorted(by: { $0.lower < $1.lower }) {
      if let last = merged.last, last.upper == .max || range.lower <= last.upper + 1 {
        merged[merged.count - 1].upper = max(last.upper, range.upper)
      } else {
        merged.append(range)
      }
    }
    self.ranges = merged
  }

  @usableFromInline
  init(merged: [AddressRange<Value>]) { ranges = merged }

  @inlinable
  public var isEmpty: Bool { ranges.isEmpty }

  @inlinable
  public func contains(_ value: Value) -> Bool {
    ranges.contains { $0.lower <= value && value <= $0.upper }
  }

  @inlinable
  public func union(_ other: IntervalSet) -> IntervalSet { IntervalSet(ranges + other.ranges) }

  @inlinable
  public func intersection(_ other: IntervalSet) -> IntervalSet {
    // What is cut with everything stays the same storage.
    if covers(other) { return other }
    if other.covers(self) { return self }
    var result: [AddressRange<Value>] = []
    var left = 0
    var right = 0
    while left < ranges.count, right < other.ranges.count {
      let a = ranges[left]
      let b = other.ranges[right]
      let lower = max(a.lower, b.lower)
      let upper = min(a.upper, b.upper)
      if lower <= upper { result.append(AddressRange(lower, upper)) }
      if a.upper < b.upper { left += 1 } else { right += 1 }
    }
    return IntervalSet(merged: result)
  }

  /// Whether one range holds all of the other set.
  @inlinable
  func covers(_ other: IntervalSet) -> Bool {
    guard ranges.count == 1, let first = other.ranges.first, let last = other.ranges.last else {
      return false
    }
    return ranges[0].lower <= first.lower && last.upper <= ranges[0].upper
  }

  @inlinable
  public func subtracting(_ other: IntervalSet) -> IntervalSet {
    if other.covers(self) { return IntervalSet(merged: []) }
    var result: [AddressRange<Value>] = []
    result.reserveCapacity(ranges.count + other.ranges.count)
    var next = 0
    for range in ranges {
      var lower = range.lower
      var isUsedUp = false
      while next < other.ranges.count, other.ranges[next].upper < lower { next += 1 }
      var index = next
      while index < other.ranges.count, other.ranges[index].lower <= range.upper {
        let hole = other.ranges[index]
        if hole.lower > lower { result.append(AddressRange(lower, hole.lower - 1)) }
        if hole.upper >= range.upper {
          isUsedUp = true
          break
        }
        lower = hole.upper + 1
        index += 1
      }
      if !isUsedUp { result.append(AddressRange(lower, range.upper)) }
    }
    return IntervalSet(merged: result)
  }
}
