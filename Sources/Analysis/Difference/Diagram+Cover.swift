import PolicyModel

/// A product of sets of classes, and of bits of marks; a field that is not named is any.
struct Cube {
  /// By field, ascending: the classes it may be in, ascending.
  var members: [(field: Int, classes: [UInt32])] = []
  /// Bits of marks by variable.
  var bits: [(variable: UInt32, isSet: Bool)] = []
}

extension Diagram {
  /// An irredundant prime cover: cubes that make up a region, none of which can be made larger in a field and none of
  /// which can be left out. Not the smallest one, which is hard to find.
  ///
  /// - Parameter possible: packets that there are; cubes may hold others too.
  /// - Returns: at most `limit` cubes, and whether they are all.
  mutating func cover(
    of region: Reference, among possible: Reference = isTrue, limit: Int
  ) -> (cubes: [Cube], isComplete: Bool) {
    var rest = and(region, possible)
    let impossible = not(possible)
    let largest = or(region, impossible)
    var cubes: [(cube: Cube, diagram: Reference)] = []
    while rest != Self.isFalse, cubes.count < limit, !isExhausted {
      var cube = firstCube(in: rest)
      widen(&cube, in: largest)
      let diagram = diagram(of: cube)
      cubes.append((cube, diagram))
      rest = subtract(rest, diagram)
    }
    guard rest == Self.isFalse else { return (cubes.map(\.cube), false) }
    // Later ones may have made an earlier one needless.
    var index = 0
    while index < cubes.count, cubes.count > 1 {
      var others = Self.isFalse
      for other in cubes.indices where other != index { others = or(others, cubes[other].diagram) }
      others = or(others, impossible)
      let isNeedless = subtract(cubes[index].diagram, others) == Self.isFalse
      // Without nodes nobody can tell.
      if isExhausted { break }
      if isNeedless {
        cubes.remove(at: index)
      } else {
        index += 1
      }
    }
    return (cubes.map(\.cube), !isExhausted)
  }

  mutating func diagram(of cube: Cube) -> Reference {
    var result = Self.isTrue
    for bit in cube.bits.sorted(by: { $0.variable > $1.variable }) {
      result =
        bit.isSet ? node(bit.variable, Self.isFalse, result) : node(bit.variable, result, Self.isFalse)
    }
    let ordered = cube.members.sorted {
      (layout.first[$0.field], $0.field) > (layout.first[$1.field], $1.field)
    }
    for literal in ordered { result = test(literal.field, literal.classes, result, Self.isFalse) }
    return result
  }

  /// Follows the widest way to truth, field by field.
  private func firstCube(in region: Reference) -> Cube {
    var cube = Cube()
    var reference = region
    while !Self.isTerminal(reference) {
      let variable = variable(reference)
      let field = layout.meaning(variable).field
      guard field < DiagramField.count else {
        let (low, high) = children(reference)
        let isSet = low == Self.isFalse
        cube.bits.append((variable, isSet))
        reference = isSet ? high : low
        continue
      }
      // INVARIANT: a node that is not false leads to truth.
      guard
        let widest = edges(of: reference, field).filter({ $0.child != Self.isFalse }).max(by: {
          $0.classes.count < $1.classes.count
        })
      else { break }
      cube.members.append((field, widest.classes))
      reference = widest.child
    }
    return cube
  }

  /// Where the classes of a field lead, each place once.
  private func edges(of reference: Reference, _ field: Int) -> [(child: Reference, classes: [UInt32])] {
    var places: [Reference: Int] = [:]
    var edges: [(child: Reference, classes: [UInt32])] = []
    let count = layout.classCount[field]
    func visit(_ reference: Reference, _ level: Int, _ base: Int) {
      guard base < count else { return }
      let variable = variable(reference)
      if variable >= layout.end(field) {
        let place = places[reference] ?? edges.count
        if place == edges.count {
          places[reference] = place
          edges.append((reference, []))
        }
        let end = min(base + 1 << (layout.bits[field] - level), count)
        edges[place].classes += (base..<end).map { UInt32($0) }
        return
      }
      let half = 1 << (layout.bits[field] - level - 1)
      let isAsked = variable == layout.first[field] + UInt32(level)
      let (low, high) = isAsked ? children(reference) : (reference, reference)
      visit(low, level + 1, base)
      visit(high, level + 1, base + half)
    }
    visit(reference, 0, 0)
    return edges
  }

  /// Drops what a cube need not ask for, and adds to its sets what the region has besides.
  private mutating func widen(_ cube: inout Cube, in region: Reference) {
    let outside = not(region)
    for literal in cube.bits.reversed() {
      var wider = cube
      wider.bits.removeAll { $0.variable == literal.variable }
      if and(diagram(of: wider), outside) == Self.isFalse { cube = wider }
    }
    // What is rarely asked for is dropped first.
    for literal in cube.members.reversed() {
      var wider = cube
      wider.members.removeAll { $0.field == literal.field }
      let excess = and(diagram(of: wider), outside)
      if excess == Self.isFalse {
        cube = wider
        continue
      }
      let refused = classes(of: literal.field, in: excess)
      let classes = (0..<UInt32(layout.classCount[literal.field])).filter { !refused.contains($0) }
      wider.members.append((literal.field, classes))
      wider.members.sort { (layout.first[$0.field], $0.field) < (layout.first[$1.field], $1.field) }
      cube = wider
    }
  }

  /// The classes of a field that some packet of a region is in.
  private func classes(of field: Int, in region: Reference) -> Set<UInt32> {
    var seen: Set<Reference> = []
    var result: Set<UInt32> = []
    var waiting = [region]
    while let reference = waiting.popLast() {
      guard reference != Self.isFalse, seen.insert(reference).inserted else { continue }
      if variable(reference) >= layout.first[field] {
        for edge in edges(of: reference, field) where edge.child != Self.isFalse {
          result.formUnion(edge.classes)
        }
      } else {
        let (low, high) = children(reference)
        waiting.append(low)
        waiting.append(high)
      }
    }
    return result
  }
}
