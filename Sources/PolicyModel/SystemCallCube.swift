/// Arguments with some bits fixed: what comparisons under a mask can tell, and nothing else is needed to say any
/// condition.
package struct SystemCallCube: Sendable, Equatable {
  /// By argument; a value has no bit outside its mask.
  package private(set) var masks: [UInt64]
  package private(set) var values: [UInt64]

  /// All arguments.
  package static let all = SystemCallCube(
    masks: [UInt64](repeating: 0, count: 6), values: [UInt64](repeating: 0, count: 6))

  private func fixing(_ argument: Int, _ mask: UInt64, _ value: UInt64) -> SystemCallCube {
    var cube = self
    cube.masks[argument] |= mask
    cube.values[argument] = (cube.values[argument] & ~mask) | (value & mask)
    return cube
  }

  /// Nil where there are no arguments in both.
  private func intersection(_ other: SystemCallCube) -> SystemCallCube? {
    var cube = self
    for argument in masks.indices {
      let common = masks[argument] & other.masks[argument]
      guard (values[argument] ^ other.values[argument]) & common == 0 else { return nil }
      cube = cube.fixing(argument, other.masks[argument], other.values[argument])
    }
    return cube
  }

  /// What is here and not there, in disjoint cubes.
  private func subtracting(_ other: SystemCallCube) -> [SystemCallCube] {
    guard intersection(other) != nil else { return [self] }
    var rest: [SystemCallCube] = []
    var inside = self
    for argument in masks.indices {
      var open = other.masks[argument] & ~masks[argument]
      while open != 0 {
        // From the top, as an address is told from a prefix.
        let bit: UInt64 = 1 << UInt64(63 - open.leadingZeroBitCount)
        open &= ~bit
        rest.append(inside.fixing(argument, bit, ~other.values[argument]))
        inside = inside.fixing(argument, bit, other.values[argument])
      }
    }
    return rest
  }

  /// More than this is no policy but a table, and runtimes take seconds for it.
  package static let limit = 1024

  /// What is in the first list and not in the second; nil beyond the limit.
  package static func difference(_ cubes: [SystemCallCube], _ others: [SystemCallCube]) -> [SystemCallCube]? {
    var rest = cubes
    for other in others {
      rest = rest.flatMap { $0.subtracting(other) }
      guard rest.count <= limit else { return nil }
    }
    return rest
  }

  /// The arguments for which one of the alternatives holds, in disjoint cubes; nil beyond the limit.
  package static func cubes(of alternatives: SystemCallDecision.Alternatives) -> [SystemCallCube]? {
    var union: [SystemCallCube] = []
    for conditions in alternatives {
      var cubes = [all]
      for condition in conditions {
        guard let fitting = fitting(condition) else { return nil }
        cubes = cubes.flatMap { cube in fitting.compactMap(cube.intersection) }
        guard cubes.count <= limit else { return nil }
      }
      guard let new = difference(cubes, union) else { return nil }
      union += new
    }
    return union.count <= limit ? union : nil
  }

  /// The same arguments, each in one cube.
  private static func disjoint(_ cubes: [SystemCallCube]) -> [SystemCallCube]? {
    var union: [SystemCallCube] = []
    for cube in cubes {
      guard let new = difference([cube], union) else { return nil }
      union += new
      guard union.count <= limit else { return nil }
    }
    return union
  }

  private static func fitting(_ condition: SystemCallFilter.Condition) -> [SystemCallCube]? {
    let width: UInt64 = condition.isLong ? .max : 0xffff_ffff
    var cubes: [SystemCallCube] = []
    for value in condition.values {
      switch value {
      case .bits(let bits, let mask): cubes.append(all.fixing(condition.argument, mask & width, bits))
      case .range(let range):
        cubes += blocks(range, width).map { all.fixing(condition.argument, $0.mask, $0.value) }
      }
    }
    // Values may overlap.
    return condition.isNegated ? difference([all], cubes) : disjoint(cubes)
  }

  /// A range as blocks whose size is a power of two.
  private static func blocks(
    _ range: ClosedRange<UInt64>, _ width: UInt64
  ) -> [(value: UInt64, mask: UInt64)] {
    var blocks: [(value: UInt64, mask: UInt64)] = []
    var start = range.lowerBound
    while true {
      // Bits below `free` may be anything.
      var free: UInt64 = 0
      while free < width, case let next = free << 1 | 1, start & next == 0, range.upperBound - start >= next {
        free = next
      }
      blocks.append((start, width & ~free))
      let (following, isOver) = (start | free).addingReportingOverflow(1)
      guard !isOver, following <= range.upperBound, following != 0 else { return blocks }
      start = following
    }
  }
}
