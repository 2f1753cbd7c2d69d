import PolicyModel

/// A set of marks, exact under any mask: cubes of fixed and free bits. A packet may also have none.
///
/// Intervals would not do: `mark 0x4000/0x4000` alone is 131,072 of them.
struct MarkSet: Sendable, Hashable {
  /// The marks whose bits under `mask` are `value`.
  struct Cube: Sendable, Hashable {
    // INVARIANT: value & ~mask == 0.
    var value: UInt32
    var mask: UInt32

    func intersection(_ other: Cube) -> Cube? {
      guard (value ^ other.value) & mask & other.mask == 0 else { return nil }
      return Cube(value: value | other.value, mask: mask | other.mask)
    }

    /// Disjoint: each fixes one more bit to what the other cube does not have.
    func subtracting(_ other: Cube) -> [Cube] {
      guard intersection(other) != nil else { return [self] }
      var pieces: [Cube] = []
      var rest = self
      var open = other.mask & ~mask
      while open != 0 {
        let bit = open & (~open &+ 1)
        open ^= bit
        pieces.append(Cube(value: rest.value | (~other.value & bit), mask: rest.mask | bit))
        rest = Cube(value: rest.value | (other.value & bit), mask: rest.mask | bit)
      }
      return pieces
    }
  }

  // INVARIANT: disjoint.
  private(set) var cubes: [Cube]
  private(set) var includesAbsent: Bool

  /// Every mark, and none at all.
  static let all = MarkSet(cubes: [Cube(value: 0, mask: 0)], includesAbsent: true)
  /// Every mark: what packets have.
  static let present = MarkSet(cubes: [Cube(value: 0, mask: 0)], includesAbsent: false)
  static let absent = MarkSet(cubes: [], includesAbsent: true)

  private init(cubes: [Cube], includesAbsent: Bool) {
    self.cubes = cubes
    self.includesAbsent = includesAbsent
  }

  init(_ values: MarkValues) {
    let ranges = values.ranges
    cubes =
      values.mask == .max
      ? ranges.flatMap(Self.cubes) : ranges.map { Cube(value: $0.lower & values.mask, mask: values.mask) }
    includesAbsent = false
  }

  /// A range as aligned blocks, the largest that fit.
  private static func cubes(of range: AddressRange<UInt32>) -> [Cube] {
    var cubes: [Cube] = []
    var start = UInt64(range.lower)
    while start <= UInt64(range.upper) {
      var bits: UInt64 = start == 0 ? 32 : UInt64(min(32, start.trailingZeroBitCount))
      while start + (1 << bits) - 1 > UInt64(range.upper) { bits -= 1 }
      cubes.append(Cube(value: UInt32(start), mask: UInt32(truncatingIfNeeded: ~UInt64(0) << bits)))
      start += 1 << bits
    }
    return cubes
  }

  var isEmpty: Bool { cubes.isEmpty && !includesAbsent }

  func contains(_ mark: UInt32) -> Bool { cubes.contains { mark & $0.mask == $0.value } }

  func intersection(_ other: MarkSet) -> MarkSet {
    MarkSet(
      cubes: cubes.flatMap { cube in other.cubes.compactMap(cube.intersection) },
      includesAbsent: includesAbsent && other.includesAbsent)
  }

  func subtracting(_ other: MarkSet) -> MarkSet {
    var rest = cubes
    for cube in other.cubes { rest = rest.flatMap { $0.subtracting(cube) } }
    return MarkSet(cubes: rest, includesAbsent: includesAbsent && !other.includesAbsent)
  }

  func union(absentIf isAbsent: Bool) -> MarkSet {
    MarkSet(cubes: cubes, includesAbsent: includesAbsent || isAbsent)
  }

  /// A mark of the set, 0 if it can be; nil if it holds only "none".
  var sample: UInt32? { contains(0) ? 0 : cubes.map(\.value).min() }
}
