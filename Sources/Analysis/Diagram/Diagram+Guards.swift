import PolicyModel

extension Diagram {
  /// A guard as a diagram of truth values.
  mutating func condition(_ form: GuardForm) -> Reference { guarded(form, Self.isTrue, Self.isFalse) }

  /// `hit`, a terminal, where the guard holds, else `miss`, a terminal.
  mutating func guarded(_ form: GuardForm, _ hit: Reference, _ miss: Reference) -> Reference {
    var literals: [(field: Int, set: UInt32, isNegated: Bool)] = []
    var others: [GuardForm] = []
    guard collect(form, &literals, &others) else { return miss }
    // From the last field to the first, each before what was made of the ones behind it: no operation is needed.
    literals.sort { (layout.first[$0.field], $0.field) > (layout.first[$1.field], $1.field) }
    var result = hit
    var index = 0
    while index < literals.count {
      let literal = literals[index]
      index += 1
      var runs = atoms.runs(of: literal.set, literal.field)
      var isNegated = literal.isNegated
      let count = layout.classCount[literal.field]
      while index < literals.count, literals[index].field == literal.field {
        let next = literals[index]
        index += 1
        if isNegated { runs = ClassRun.complement(runs, count)[...] }
        isNegated = false
        let others = atoms.runs(of: next.set, literal.field)
        runs =
          ClassRun.intersection(runs, next.isNegated ? ClassRun.complement(others, count)[...] : others)[...]
      }
      result = isNegated ? test(literal.field, runs, miss, result) : test(literal.field, runs, result, miss)
    }
    for form in others {
      let condition = otherCondition(form)
      result = choose(condition, result, miss)
    }
    return result
  }

  /// The packets whose sender is not in two control groups that no process can be in.
  mutating func realSenders() -> Reference {
    var result = Self.isTrue
    for slot in atoms.controlGroups.indices.reversed() {
      var alone = Self.isTrue
      for field in atoms.fields(apartFrom: slot).filter({ $0 > DiagramField.controlGroup(slot) }).reversed() {
        alone = test(field, [atoms.classIndex(of: 1, field)], Self.isFalse, alone)
      }
      let field = DiagramField.controlGroup(slot)
      let isIn = test(field, [atoms.classIndex(of: 1, field)], Self.isTrue, Self.isFalse)
      let possible = choose(isIn, alone, Self.isTrue)
      result = and(result, possible)
    }
    return result
  }

  /// Parts a conjunction; false if it never holds.
  private func collect(
    _ form: GuardForm, _ literals: inout [(field: Int, set: UInt32, isNegated: Bool)],
    _ others: inout [GuardForm]
  ) -> Bool {
    switch form {
    case .member(let field, let set): literals.append((field, set, false))
    case .not(.member(let field, let set)): literals.append((field, set, true))
    case .all(let forms):
      for form in forms where !collect(form, &literals, &others) { return false }
    case .any(let forms):
      if forms.isEmpty { return false }
      if forms.count == 1 { return collect(forms[0], &literals, &others) }
      others.append(form)
    case .controlGroup(let slot, let set):
      literals.append((DiagramField.controlGroup(slot), set, false))
      // Each is asked for one value, so its set is the same number.
      literals += atoms.fields(apartFrom: slot).map { ($0, set, true) }
    case .mark, .not: others.append(form)
    }
    return true
  }

  /// Classes outside of which no packet meets a guard, by field.
  func classes(of form: GuardForm, _ classes: inout [Int: [ClassRun]]) {
    switch form {
    case .member(let field, let set): narrow(&classes, field, atoms.runs(of: set, field))
    case .not(.member(let field, let set)):
      narrow(&classes, field, ClassRun.complement(atoms.runs(of: set, field), layout.classCount[field])[...])
    case .all(let forms): for form in forms { self.classes(of: form, &classes) }
    case .any(let forms): if forms.count == 1 { self.classes(of: forms[0], &classes) }
    case .mark, .controlGroup, .not: break
    }
  }

  private func narrow(_ classes: inout [Int: [ClassRun]], _ field: Int, _ runs: ArraySlice<ClassRun>) {
    classes[field] = classes[field].map { ClassRun.intersection($0[...], runs) } ?? Array(runs)
  }

  /// False where a guard asks for a class that is not among those of its field.
  func mayMeet(_ form: GuardForm, _ classes: [Int: [ClassRun]]) -> Bool {
    switch form {
    case .member(let field, let set):
      guard let known = classes[field] else { return true }
      return ClassRun.haveCommon(known[...], atoms.runs(of: set, field))
    case .all(let forms): return forms.allSatisfy { mayMeet($0, classes) }
    case .any(let forms): return forms.contains { mayMeet($0, classes) }
    case .mark, .controlGroup, .not: return true
    }
  }

  private mutating func otherCondition(_ form: GuardForm) -> Reference {
    switch form {
    case .member(let field, let set):
      return test(field, atoms.runs(of: set, field), Self.isTrue, Self.isFalse)
    case .all, .controlGroup: return condition(form)
    case .any(let forms):
      var result = Self.isFalse
      for form in forms {
        let next = condition(form)
        result = or(result, next)
      }
      return result
    case .not(let form):
      let positive = condition(form)
      return not(positive)
    case .mark(let kind, let values):
      var result = Self.isFalse
      for range in values.ranges {
        let next = mark(kind, range, values.mask)
        result = or(result, next)
      }
      return result
    }
  }

  /// Marks whose bits under a mask are in a range.
  private mutating func mark(_ kind: MarkKind, _ range: AddressRange<UInt32>, _ mask: UInt32) -> Reference {
    func variable(_ bit: Int) -> UInt32 {
      kind == .mark ? layout.markBit(bit) : layout.connectionMarkBit(bit)
    }
    // From the lowest bit up: what is at least the lower bound, and what is at most the upper one.
    var least = Self.isTrue
    var most = Self.isTrue
    for bit in (0..<32).reversed() {
      let weight = UInt32(1) << UInt32(31 - bit)
      guard mask & weight != 0 else { continue }
      least =
        range.lower & weight != 0
        ? node(variable(bit), Self.isFalse, least) : node(variable(bit), least, Self.isTrue)
      most =
        range.upper & weight != 0
        ? node(variable(bit), Self.isTrue, most) : node(variable(bit), most, Self.isFalse)
    }
    return and(least, most)
  }

  /// A packet box of the packets that one path to `target` stands for; nil if none leads there.
  func box(on path: Reference, to target: Reference = Self.isTrue) -> PacketBox? {
    guard let bits = self.path(path, to: target) else { return nil }
    return box(bits)
  }

  /// A packet of each bit that a path asks for.
  func box(_ bits: [UInt32: Bool]) -> PacketBox {
    var box = PacketBox(all: atoms.family)
    var values = [IntervalSet<UInt128>?](repeating: nil, count: DiagramField.count)
    for field in 0..<DiagramField.count {
      let asked = (0..<layout.bits[field]).filter { bits[layout.first[field] + UInt32($0)] != nil }
      guard !asked.isEmpty else { continue }
      let last = layout.classCount[field] - 1
      values[field] = atoms.values(field) { member in
        // Numbers past the last class stand for it.
        let candidates =
          Int(member) == last ? last..<(1 << layout.bits[field]) : Int(member)..<(Int(member) + 1)
        return candidates.contains { number in
          asked.allSatisfy { bit in
            (number >> (layout.bits[field] - 1 - bit) & 1 == 1) == bits[layout.first[field] + UInt32(bit)]
          }
        }
      }
    }
    for field in PacketBox.Field.allCases { if let set = values[field.rawValue] { box[field] = set } }
    if let names = values[DiagramField.input] { box.inputInterface = NameSet(numbers: names) }
    if let names = values[DiagramField.output] { box.outputInterface = NameSet(numbers: names) }
    for (slot, set) in atoms.dynamicSets.enumerated() {
      for side in [AddressSide.source, .destination] {
        guard let known = values[DiagramField.membership(slot, side)], known.ranges.count == 1,
          let value = known.ranges.first, value.lower == value.upper
        else { continue }
        box.memberships[Membership(set: set, side: side)] = value.lower == 1
      }
    }
    for (slot, group) in atoms.controlGroups.enumerated() {
      guard let known = values[DiagramField.controlGroup(slot)], known.ranges.count == 1,
        let value = known.ranges.first, value.lower == value.upper
      else { continue }
      box.controlGroups[group] = value.lower == 1
    }
    func cube(_ variable: (Int) -> UInt32) -> MarkSet {
      var (value, mask): (UInt32, UInt32) = (0, 0)
      for bit in 0..<32 {
        guard let isSet = bits[variable(bit)] else { continue }
        mask |= 1 << UInt32(31 - bit)
        if isSet { value |= 1 << UInt32(31 - bit) }
      }
      return MarkSet(MarkValues([AddressRange(value, value)], mask: mask))
    }
    box.mark = cube(layout.markBit)
    let tracked = box[.state].intersection(PacketBox.trackedStates)
    box.connectionMark =
      tracked.isEmpty
      ? .absent : cube(layout.connectionMarkBit).union(absentIf: tracked != box[.state])
    return box
  }

  /// The bits of one path to a terminal.
  private func path(_ a: Reference, to target: Reference) -> [UInt32: Bool]? {
    var dead: Set<Reference> = []
    var bits: [UInt32: Bool] = [:]
    func search(_ reference: Reference) -> Bool {
      if Self.isTerminal(reference) { return reference == target }
      if dead.contains(reference) { return false }
      let (low, high) = children(reference)
      for (child, bit) in [(low, false), (high, true)] {
        bits[variable(reference)] = bit
        if search(child) { return true }
      }
      bits[variable(reference)] = nil
      dead.insert(reference)
      return false
    }
    return search(a) ? bits : nil
  }
}

extension NameSet {
  /// As numbers of ``NameNumber``.
  var numbers: IntervalSet<UInt128> {
    func number(_ bytes: [UInt8]) -> UInt128 {
      // One past a name is the name and a NUL.
      let isNext = bytes.last == 0
      let name = NameNumber.of(bytes: isNext ? bytes.dropLast() : bytes[...])
      return isNext ? name + 1 : name
    }
    return IntervalSet(
      intervals.map { interval in
        AddressRange(number(interval.lower), interval.upper.map { number($0) - 1 } ?? .max)
      })
  }

  init(numbers: IntervalSet<UInt128>) {
    self.init(
      intervals: numbers.ranges.map { range in
        Interval(
          lower: NameNumber.bytes(range.lower),
          upper: range.upper == .max ? nil : NameNumber.bytes(range.upper + 1))
      })
  }
}
