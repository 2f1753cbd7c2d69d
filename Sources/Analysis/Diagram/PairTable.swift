/// Numbers for pairs of numbers, by open addressing.
struct PairTable: ~Copyable {
  private struct Slot: BitwiseCopyable {
    var key: UInt64
    var value: UInt32
  }

  /// No pair: both numbers at their largest.
  private static let free = Slot(key: .max, value: 0)

  private var slots = FlatBuffer<Slot>(repeating: Self.free, count: 64)
  private var used = 0

  private static func hash(_ key: UInt64) -> Int {
    var hash = key &* 0x9e37_79b9_7f4a_7c15
    hash ^= hash >> 32
    return Int(truncatingIfNeeded: hash & 0x7fff_ffff)
  }

  /// The number of a pair; a new pair takes `next`.
  mutating func number(of left: UInt32, _ right: UInt32, next: UInt32) -> UInt32 {
    let key = UInt64(left) << 32 | UInt64(right)
    var slot = Self.hash(key) & (slots.count - 1)
    while slots[slot].key != .max {
      if slots[slot].key == key { return slots[slot].value }
      slot = (slot + 1) & (slots.count - 1)
    }
    slots[slot] = Slot(key: key, value: next)
    used += 1
    if used * 2 > slots.count { grow() }
    return next
  }

  private mutating func grow() {
    var larger = FlatBuffer<Slot>(repeating: Self.free, count: slots.count * 2)
    for index in 0..<slots.count where slots[index].key != .max {
      var slot = Self.hash(slots[index].key) & (larger.count - 1)
      while larger[slot].key != .max { slot = (slot + 1) & (larger.count - 1) }
      larger[slot] = slots[index]
    }
    slots = larger
  }
}
