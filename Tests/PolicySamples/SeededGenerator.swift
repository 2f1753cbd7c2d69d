/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers for the same seed, everywhere.
package struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  package init(seed: UInt64) { state = seed }

  package mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}

extension SeededGenerator {
  package mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }

  /// `list` is not empty.
  package mutating func pick<T>(_ list: [T]) -> T { list[Int.random(in: 0..<list.count, using: &self)] }

  /// Between one and `count` elements, in the list's order.
  package mutating func some<T>(of list: [T], atMost count: Int) -> [T] {
    let wanted = Int.random(in: 1...min(count, list.count), using: &self)
    var indices = Set<Int>()
    while indices.count < wanted { indices.insert(Int.random(in: 0..<list.count, using: &self)) }
    return indices.sorted().map { list[$0] }
  }
}
