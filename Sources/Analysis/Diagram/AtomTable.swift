import PolicyModel

/// The classes of values of each field that no guard of all policies at hand tells apart.
///
/// First all sets of values are named, then `finish` makes the classes: the elementary intervals between the
/// bounds of all sets, those in the same sets being one class. Which sets an interval is in is a trie over their
/// numbers, hash-consed, so that two intervals are compared exactly and by one number.
struct AtomTable: ~Copyable {
  /// All sets of values of one field, their ranges one behind the other.
  private struct FieldSets {
    var ranges: [AddressRange<UInt128>] = []
    /// By set: the end of its ranges.
    var ends: [Int] = []
    /// Numbers of sets from 1 on by open addressing, each with some bits of its hash above it, so that most others need
    /// not be looked at; 0 is free.
    private var table: [UInt64] = []

    func ranges(of set: Int) -> Range<Int> { (set == 0 ? 0 : ends[set - 1])..<ends[set] }

    /// The number of a set that is there.
    func number(of values: [AddressRange<UInt128>]) -> UInt32? {
      if table.isEmpty { return nil }
      return Self.set(table[slot(of: values[...], Self.hash(values[...]))])
    }

    private static func set(_ entry: UInt64) -> UInt32? {
      UInt32(truncatingIfNeeded: entry).checkedDecrement
    }

    private static func slot(_ hash: UInt64, _ count: Int) -> Int { Int(hash & UInt64(count - 1)) }

    mutating func add(_ values: [AddressRange<UInt128>]) -> UInt32 {
      let start = ranges.count
      ranges += values
      return numberOfLast(from: start)
    }

    // Apart from the other one: a list may have a million ranges, and is copied once.
    mutating func add(_ values: [AddressRange<UInt32>]) -> UInt32 {
      let start = ranges.count
      if values.count > ranges.count { ranges.reserveCapacity(ranges.count + values.count) }
      for range in values { ranges.append(AddressRange(UInt128(range.lower), UInt128(range.upper))) }
      return numberOfLast(from: start)
    }

    /// The number of the set whose ranges stand last; they are taken away again if it is there already.
    private mutating func numberOfLast(from start: Int) -> UInt32 {
      if (ends.count + 1) * 2 > table.count { grow() }
      let hash = Self.hash(ranges[start...])
      let slot = slot(of: ranges[start...], hash)
      if let known = Self.set(table[slot]) {
        ranges.removeLast(ranges.count - start)
        return known
      }
      ends.append(ranges.count)
      table[slot] = hash & ~UInt64(UInt32.max) | UInt64(ends.count)
      return UInt32(ends.count - 1)
    }

    /// Where a set stands, or where it would stand.
    private func slot(of values: ArraySlice<AddressRange<UInt128>>, _ hash: UInt64) -> Int {
      var slot = Self.slot(hash >> 32, table.count)
      while let set = Self.set(table[slot]) {
        if table[slot] >> 32 == hash >> 32 {
          let known = ranges(of: Int(set))
          if known.count == values.count, ranges[known] == values { return slot }
        }
        slot = (slot + 1) & (table.count - 1)
      }
      return slot
    }

    private mutating func grow() {
      var larger = [UInt64](repeating: 0, count: max(table.count * 2, 16))
      for entry in table where entry != 0 {
        var slot = Self.slot(entry >> 32, larger.count)
        while larger[slot] != 0 { slot = (slot + 1) & (larger.count - 1) }
        larger[slot] = entry
      }
      table = larger
    }

    private static func hash(_ values: ArraySlice<AddressRange<UInt128>>) -> UInt64 {
      var hash: UInt64 = 0
      for range in values {
        for number in [range.lower, range.upper] {
          hash = (hash ^ UInt64(truncatingIfNeeded: number)) &* 0x9e37_79b9_7f4a_7c15
          hash ^= hash >> 32
          hash = (hash ^ UInt64(truncatingIfNeeded: number >> 64)) &* 0xff51_afd7_ed55_8ccd
          hash ^= hash >> 29
        }
      }
      return hash
    }
  }

  /// Of one field.
  private struct FieldAtoms {
    /// Of the elementary intervals, ascending.
    var starts: [UInt128] = []
    var classes: [UInt32] = []
    var classCount = 1
    /// The classes of all sets, one set behind the other.
    var runs: [ClassRun] = []
    /// By set: the end of its runs.
    var ends: [Int] = []
  }

  let family: Families
  private var sets: [FieldSets]
  private var atoms: [FieldAtoms] = []
  /// Dynamic and external sets; the place is the slot of ``DiagramField/membership(_:_:)``.
  private(set) var dynamicSets: [String] = []
  /// The place is the slot of ``DiagramField/controlGroup(_:)``.
  private(set) var controlGroups: [ControlGroup] = []

  init(_ family: Families) {
    self.family = family
    sets = Array(repeating: FieldSets(), count: DiagramField.count)
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
  mutating func add(_ values: IntervalSet<UInt128>, _ field: Int) -> UInt32 { sets[field].add(values.ranges) }

  /// The same of ranges, which are ascending and merged.
  mutating func add(_ ranges: [AddressRange<UInt32>], _ field: Int) -> UInt32 { sets[field].add(ranges) }

  mutating func add(_ ranges: [AddressRange<UInt128>], _ field: Int) -> UInt32 { sets[field].add(ranges) }

  /// The number of a set that was added.
  func number(of values: IntervalSet<UInt128>, _ field: Int) -> UInt32? {
    sets[field].number(of: values.ranges)
  }

  /// How many sets are asked for.
  func setCount(_ field: Int) -> Int { sets[field].ends.count }

  // MARK: Classes

  mutating func finish() {
    for field in sets.indices { atoms.append(Self.atoms(sets[field], DiagramField.maximum(field, family))) }
  }

  /// Where a set begins or ends.
  private struct Edge {
    var place: UInt128
    var set: UInt32
  }

  private static func atoms(_ sets: FieldSets, _ maximum: UInt128) -> FieldAtoms {
    var result = FieldAtoms()
    var edges: [Edge] = []
    edges.reserveCapacity(sets.ranges.count * 2)
    for set in sets.ends.indices {
      for range in sets.ranges[sets.ranges(of: set)] {
        edges.append(Edge(place: range.lower, set: UInt32(set)))
        if range.upper < maximum { edges.append(Edge(place: range.upper + 1, set: UInt32(set))) }
      }
    }
    edges.sort { $0.place < $1.place }
    result.starts.reserveCapacity(edges.count + 1)
    result.classes.reserveCapacity(edges.count + 1)
    var open = OpenSets(sets.ends.count)
    var classes = PairTable()
    var classCount: UInt32 = 0
    var next = 0
    var start: UInt128 = 0
    while true {
      while next < edges.count, edges[next].place == start {
        open.toggle(edges[next].set)
        next += 1
      }
      let signature = open.signature()
      let number = classes.number(of: signature.kind, signature.number, next: classCount)
      if number == classCount { classCount += 1 }
      result.starts.append(start)
      result.classes.append(number)
      guard next < edges.count else { break }
      start = edges[next].place
    }
    result.classCount = Int(classCount)
    var seenBy = FlatBuffer<UInt32>(repeating: .max, count: Int(classCount))
    var members: [UInt32] = []
    result.ends.reserveCapacity(sets.ends.count)
    for set in sets.ends.indices {
      members.removeAll(keepingCapacity: true)
      var isAscending = true
      var index = 0
      for range in sets.ranges[sets.ranges(of: set)] {
        index = place(of: range.lower, in: result.starts, from: index)
        while index < result.starts.count, result.starts[index] <= range.upper {
          let member = result.classes[index]
          if seenBy[Int(member)] != UInt32(set) {
            seenBy[Int(member)] = UInt32(set)
            if let last = members.last, last > member { isAscending = false }
            members.append(member)
          }
          index += 1
        }
      }
      if !isAscending { members.sort() }
      ClassRun.append(members, to: &result.runs)
      result.ends.append(result.runs.count)
    }
    return result
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

  /// The classes of a set, ascending and merged.
  func runs(of set: UInt32, _ field: Int) -> ArraySlice<ClassRun> {
    let atoms = atoms[field]
    return atoms.runs[(set == 0 ? 0 : atoms.ends[Int(set) - 1])..<atoms.ends[Int(set)]]
  }

  /// Ascending.
  func classes(of set: UInt32, _ field: Int) -> [UInt32] {
    runs(of: set, field).flatMap { Array($0.first...$0.last) }
  }

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

/// Neighbouring classes of a field, from the first to the last.
struct ClassRun: BitwiseCopyable {
  var first: UInt32
  var last: UInt32

  /// Appends classes, which are ascending.
  static func append(_ classes: [UInt32], to runs: inout [ClassRun]) {
    let start = runs.count
    for member in classes {
      if runs.count > start, runs[runs.count - 1].last + 1 == member {
        runs[runs.count - 1].last = member
      } else {
        runs.append(ClassRun(first: member, last: member))
      }
    }
  }

  /// What two lists have in common.
  static func intersection(_ a: ArraySlice<ClassRun>, _ b: ArraySlice<ClassRun>) -> [ClassRun] {
    var runs: [ClassRun] = []
    var (left, right) = (a.startIndex, b.startIndex)
    while left < a.endIndex, right < b.endIndex {
      let first = max(a[left].first, b[right].first)
      let last = min(a[left].last, b[right].last)
      if first <= last { runs.append(ClassRun(first: first, last: last)) }
      if a[left].last < b[right].last { left += 1 } else { right += 1 }
    }
    return runs
  }

  static func haveCommon(_ a: ArraySlice<ClassRun>, _ b: ArraySlice<ClassRun>) -> Bool {
    var (left, right) = (a.startIndex, b.startIndex)
    while left < a.endIndex, right < b.endIndex {
      if max(a[left].first, b[right].first) <= min(a[left].last, b[right].last) { return true }
      if a[left].last < b[right].last { left += 1 } else { right += 1 }
    }
    return false
  }

  static func union(_ a: [ClassRun], _ b: [ClassRun]) -> [ClassRun] {
    var runs: [ClassRun] = []
    for run in (a + b).sorted(by: { $0.first < $1.first }) {
      if let last = runs.last, run.first <= last.last + 1 {
        runs[runs.count - 1].last = max(last.last, run.last)
      } else {
        runs.append(run)
      }
    }
    return runs
  }

  /// What of `count` classes a list leaves.
  static func complement(_ runs: ArraySlice<ClassRun>, _ count: Int) -> [ClassRun] {
    var result: [ClassRun] = []
    var next: UInt32 = 0
    for run in runs {
      if run.first > next { result.append(ClassRun(first: next, last: run.first - 1)) }
      next = run.last + 1
    }
    if next < UInt32(count) { result.append(ClassRun(first: next, last: UInt32(count) - 1)) }
    return result
  }
}

extension UInt32 {
  /// Nil for 0.
  fileprivate var checkedDecrement: UInt32? { self == 0 ? nil : self - 1 }
}

/// The sets that a value at hand is in, and a number for them: equal sets are equal numbers.
///
/// Most values are in one set or in none, and then no trie is asked.
private struct OpenSets: ~Copyable {
  private var isOpen: FlatBuffer<Bool>
  /// Whether the trie's set has a number, which is brought up to date when it is asked.
  private var isInTrie: FlatBuffer<Bool>
  private var touched: [UInt32] = []
  private var count = 0
  /// Of the numbers of the open sets, by exclusive or: of one set its number.
  private var sum: UInt32 = 0
  private var trie: SignatureTrie
  private var trieSet: UInt32 = 0

  init(_ count: Int) {
    isOpen = FlatBuffer(repeating: false, count: count)
    isInTrie = FlatBuffer(repeating: false, count: count)
    trie = SignatureTrie(count)
  }

  mutating func toggle(_ set: UInt32) {
    let opens = !isOpen[Int(set)]
    isOpen[Int(set)] = opens
    count += opens ? 1 : -1
    sum ^= set
    touched.append(set)
  }

  mutating func signature() -> (kind: UInt32, number: UInt32) {
    if count < 2 { return (UInt32(count), count == 0 ? 0 : sum) }
    for set in touched where isOpen[Int(set)] != isInTrie[Int(set)] {
      isInTrie[Int(set)] = isOpen[Int(set)]
      trieSet = trie.toggling(set, in: trieSet)
    }
    touched.removeAll(keepingCapacity: true)
    return (2, trieSet)
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
