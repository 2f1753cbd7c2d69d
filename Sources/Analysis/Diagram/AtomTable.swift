import PolicyModel

/// The classes of values of each field that no guard of all policies at hand tells apart.
///
/// First all sets of values are named, then `finish` makes the classes: the elementary intervals between the
/// bounds of all sets, those in the same sets being one class. Which sets an interval is in is a trie over their
/// numbers, hash-consed, so that two intervals are compared exactly and by one number.
struct AtomTable: ~Copyable {
  /// Of one field: `first` in the list of its intervals, which are ascending.
  private struct FieldAtoms {
    var starts: [UInt128] = []
    var classes: [UInt32] = []
    var classCount = 1
    /// By set: its classes, ascending.
    var members: [[UInt32]] = []
  }

  let family: Families
  private var sets: [[[AddressRange<UInt128>]]]
  private var numbers: [[IntervalSet<UInt128>: UInt32]]
  private var atoms: [FieldAtoms] = []
  /// Dynamic and external sets; the place is the slot of ``DiagramField/membership(_:_:)``.
  private(set) var dynamicSets: [String] = []
  /// The place is the slot of ``DiagramField/controlGroup(_:)``.
  private(set) var controlGroups: [ControlGroup] = []

  init(_ family: Families) {
    self.family = family
    sets = Array(repeating: [], count: DiagramField.count)
    numbers = Array(repeating: [:], count: DiagramField.count)
  }

  // MARK: Sets

  /// Where a dynamic or external set has its fields; nil: there is no room for it.
  mutating func slot(of set: String) -> Int? {
    if let slot = dynamicSets.firstIndex(of: set) { return slot }
    guard dynamicSets.count < DiagramField.maximumSets else { return nil }
    dynamicSets.append(set)
    return dynamicSets.count - 1
  }

  /// Where a control group has its field; nil: there is no room for it.
  mutating func slot(of group: ControlGroup) -> Int? {
    if let slot = controlGroups.firstIndex(of: group) { return slot }
    guard controlGroups.count < DiagramField.maximumControlGroups else { return nil }
    controlGroups.append(group)
    return controlGroups.count - 1
  }

  /// The control group that a field asks about; nil for any other field.
  func controlGroup(_ field: Int) -> ControlGroup? {
    controlGroups.indices.first { DiagramField.controlGroup($0) == field }.map { controlGroups[$0] }
  }

  /// The fields of the groups that no process of one group is in.
  func fields(apartFrom slot: Int) -> [Int] {
    controlGroups.indices.filter { !controlGroups[$0].overlaps(controlGroups[slot]) }
      .map { DiagramField.controlGroup($0) }
  }

  /// What a field asks about a dynamic or external set; nil for any other field.
  func question(_ field: Int) -> Membership? {
    for (slot, set) in dynamicSets.enumerated() {
      for side in [AddressSide.source, .destination]
      where field == DiagramField.membership(slot, side) {
        return Membership(set: set, side: side)
      }
    }
    return nil
  }

  /// The number of a set of values of a field.
  mutating func add(_ values: IntervalSet<UInt128>, _ field: Int) -> UInt32 {
    if let number = numbers[field][values] { return number }
    let number = UInt32(sets[field].count)
    numbers[field][values] = number
    sets[field].append(values.ranges)
    return number
  }

  /// The number of a set that was added.
  func number(of values: IntervalSet<UInt128>, _ field: Int) -> UInt32? { numbers[field][values] }

  // MARK: Classes

  mutating func finish() {
    for field in sets.indices { atoms.append(Self.atoms(sets[field], DiagramField.maximum(field, family))) }
  }

  /// Where a set begins or ends.
  private struct Edge {
    var place: UInt128
    var set: UInt32
  }

  private static func atoms(_ sets: [[AddressRange<UInt128>]], _ maximum: UInt128) -> FieldAtoms {
    var result = FieldAtoms()
    let edges = sorted(
      sets.enumerated().map { number, ranges in
        var edges: [Edge] = []
        edges.reserveCapacity(ranges.count * 2)
        for range in ranges {
          edges.append(Edge(place: range.lower, set: UInt32(number)))
          if range.upper < maximum { edges.append(Edge(place: range.upper + 1, set: UInt32(number))) }
        }
        return edges
      })
    var signatures = SignatureTrie(sets.count)
    var classes = PairTable()
    var classCount: UInt32 = 0
    var signature: UInt32 = 0
    var next = 0
    var start: UInt128 = 0
    while true {
      while next < edges.count, edges[next].place == start {
        signature = signatures.toggling(edges[next].set, in: signature)
        next += 1
      }
      let number = classes.number(of: signature, 0, next: classCount)
      if number == classCount { classCount += 1 }
      result.starts.append(start)
      result.classes.append(number)
      guard next < edges.count else { break }
      start = edges[next].place
    }
    result.classCount = Int(classCount)
    var seenBy = FlatBuffer<UInt32>(repeating: .max, count: Int(classCount))
    for (number, ranges) in sets.enumerated() {
      var members: [UInt32] = []
      var index = 0
      for range in ranges {
        index = place(of: range.lower, in: result.starts, from: index)
        while index < result.starts.count, result.starts[index] <= range.upper {
          let member = result.classes[index]
          if seenBy[Int(member)] != UInt32(number) {
            seenBy[Int(member)] = UInt32(number)
            members.append(member)
          }
          index += 1
        }
      }
      members.sort()
      result.members.append(members)
    }
    return result
  }

  /// Runs, each ascending, as one.
  private static func sorted(_ runs: [[Edge]]) -> [Edge] {
    var runs = runs.filter { !$0.isEmpty }
    // Short ones with short ones, so that one long list is copied once or twice.
    runs.sort { $0.count < $1.count }
    while runs.count > 1 {
      var merged: [[Edge]] = []
      merged.reserveCapacity((runs.count + 1) / 2)
      for index in stride(from: 0, to: runs.count, by: 2) {
        merged.append(index + 1 < runs.count ? merge(runs[index], runs[index + 1]) : runs[index])
      }
      runs = merged
    }
    return runs.first ?? []
  }

  private static func merge(_ a: [Edge], _ b: [Edge]) -> [Edge] {
    var merged: [Edge] = []
    merged.reserveCapacity(a.count + b.count)
    var (left, right) = (0, 0)
    while left < a.count, right < b.count {
      if a[left].place <= b[right].place {
        merged.append(a[left])
        left += 1
      } else {
        merged.append(b[right])
        right += 1
      }
    }
    merged += a[left...]
    merged += b[right...]
    return merged
  }

  /// The interval that holds a value, not before `from`.
  private static func place(of value: UInt128, in starts: [UInt128], from: Int) -> Int {
    var (low, high) = (from, starts.count)
    while high - low > 1 {
      let middle = (low + high) / 2
      if starts[middle] <= value { low = middle } else { high = middle }
    }
    return low
  }

  func classCount(_ field: Int) -> Int { atoms[field].classCount }

  /// Ascending.
  func classes(of set: UInt32, _ field: Int) -> [UInt32] { atoms[field].members[Int(set)] }

  func classIndex(of value: UInt128, _ field: Int) -> UInt32 {
    atoms[field].classes[Self.place(of: value, in: atoms[field].starts, from: 0)]
  }

  /// All values of the classes for which `isMember` holds.
  func values(_ field: Int, where isMember: (UInt32) -> Bool) -> IntervalSet<UInt128> {
    let atoms = atoms[field]
    var ranges: [AddressRange<UInt128>] = []
    for index in atoms.starts.indices where isMember(atoms.classes[index]) {
      let end =
        index + 1 < atoms.starts.count ? atoms.starts[index + 1] - 1 : DiagramField.maximum(field, family)
      ranges.append(AddressRange(atoms.starts[index], end))
    }
    return IntervalSet(ranges)
  }
}

/// Sets of small numbers as hash-consed tries: equal sets are equal numbers.
private struct SignatureTrie: ~Copyable {
  private struct Pair: BitwiseCopyable {
    var low: UInt32
    var high: UInt32
  }

  private let depth: Int
  private var pairs = FlatBuffer<Pair>()
  private var table = PairTable()

  init(_ count: Int) {
    var depth = 0
    while 1 << depth < count { depth += 1 }
    self.depth = depth
    // 0 is the empty set of any depth, 1 the one number of depth 0.
    pairs.append(Pair(low: 0, high: 0))
    pairs.append(Pair(low: 0, high: 0))
  }

  mutating func toggling(_ number: UInt32, in set: UInt32) -> UInt32 { toggling(number, in: set, depth) }

  private mutating func toggling(_ number: UInt32, in set: UInt32, _ level: Int) -> UInt32 {
    guard level > 0 else { return 1 - set }
    var pair = set == 0 ? Pair(low: 0, high: 0) : pairs[Int(set)]
    if number >> UInt32(level - 1) & 1 == 0 {
      pair.low = toggling(number, in: pair.low, level - 1)
    } else {
      pair.high = toggling(number, in: pair.high, level - 1)
    }
    if pair.low == 0, pair.high == 0 { return 0 }
    let next = UInt32(pairs.count)
    let result = table.number(of: pair.low, pair.high, next: next)
    if result == next { pairs.append(pair) }
    return result
  }
}
