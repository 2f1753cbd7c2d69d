/// A set of interface names, as half-open intervals of byte strings in lexicographic order.
///
/// An exact name `s` is the interval from `s` to its successor `s` + NUL; all names that begin with `p` are
/// the interval from `p` to the next string that does not. Both kinds, and so every list of patterns and
/// every complement, are exact.
struct NameSet: Sendable, Hashable {
  struct Interval: Sendable, Hashable {
    var lower: [UInt8]
    /// Exclusive; nil: no end.
    var upper: [UInt8]?
  }

  // INVARIANT: ascending, disjoint, none empty.
  private(set) var intervals: [Interval]

  static let all = NameSet(intervals: [Interval(lower: [], upper: nil)])

  init(intervals: [Interval]) { self.intervals = intervals }

  static func exactly(_ name: String) -> NameSet {
    let bytes = Array(name.utf8)
    return NameSet(intervals: [Interval(lower: bytes, upper: bytes + [0])])
  }

  static func startingWith(_ prefix: String) -> NameSet {
    // IFNAMSIZ: no name is longer.
    if prefix.utf8.count >= 15 { return .exactly(prefix) }
    var upper = Array(prefix.utf8)
    while let last = upper.last, last == 0xff { upper.removeLast() }
    guard let last = upper.popLast() else { return .all }
    upper.append(last + 1)
    return NameSet(intervals: [Interval(lower: Array(prefix.utf8), upper: upper)])
  }

  var isEmpty: Bool { intervals.isEmpty }

  func intersection(_ other: NameSet) -> NameSet {
    var result: [Interval] = []
    for a in intervals {
      for b in other.intervals {
        let lower = Self.less(a.lower, b.lower) ? b.lower : a.lower
        let upper = Self.earlier(a.upper, b.upper)
        if Self.isBefore(lower, upper) { result.append(Interval(lower: lower, upper: upper)) }
      }
    }
    return NameSet(intervals: result)
  }

  func subtracting(_ other: NameSet) -> NameSet {
    intersection(other.complement)
  }

  /// For disjoint sets as well as for overlapping ones.
  func union(_ other: NameSet) -> NameSet {
    complement.intersection(other.complement).complement
  }

  private var complement: NameSet {
    var result: [Interval] = []
    var start: [UInt8]? = []
    for interval in intervals {
      guard let lower = start else { break }
      if Self.less(lower, interval.lower) {
        result.append(Interval(lower: lower, upper: interval.lower))
      }
      start = interval.upper
    }
    if let lower = start { result.append(Interval(lower: lower, upper: nil)) }
    return NameSet(intervals: result)
  }

  /// Interfaces for examples, the most usual first.
  static let usual = ["eth0", "eth1", "eth2", "ens3", "wlan0", "lo"]

  /// A name of the set that an interface could have, if one is found; a usual one is preferred.
  func sample(preferring usual: [String] = Self.usual) -> String? {
    for name in usual where !intersection(.exactly(name)).isEmpty { return name }
    for interval in intervals {
      // A bound that is a successor ends in NUL, which no name holds.
      let stem = interval.lower.last == 0 ? interval.lower.dropLast() : interval.lower[...]
      for suffix in ["", "0", "a"] {
        let candidate = String(decoding: stem, as: UTF8.self) + suffix
        let isName =
          (1...15).contains(candidate.utf8.count)
          && candidate.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != 0x2f }
        if isName, !intersection(.exactly(candidate)).isEmpty { return candidate }
      }
    }
    return nil
  }

  private static func less(_ a: [UInt8], _ b: [UInt8]) -> Bool { a.lexicographicallyPrecedes(b) }

  private static func isBefore(_ lower: [UInt8], _ upper: [UInt8]?) -> Bool {
    guard let upper else { return true }
    return less(lower, upper)
  }

  private static func earlier(_ a: [UInt8]?, _ b: [UInt8]?) -> [UInt8]? {
    guard let a else { return b }
    guard let b else { return a }
    return less(a, b) ? a : b
  }
}
