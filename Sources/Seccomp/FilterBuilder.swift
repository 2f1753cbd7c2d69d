/// A program of forward jumps, written from its last instruction to its first: whatever is jumped to is there already,
/// and its distance known.
struct FilterBuilder {
  /// A place in the program, counted from its end.
  struct Label: Equatable {
    fileprivate let position: Int
  }

  /// The last instruction first.
  private var reversed: [FilterInstruction] = []

  /// First to last.
  var program: [FilterInstruction] { reversed.reversed() }

  private mutating func add(_ instruction: FilterInstruction) -> Label {
    reversed.append(instruction)
    return Label(position: reversed.count)
  }

  /// Ends the program with a SECCOMP_RET value. Not more than one stands near.
  mutating func ret(_ value: UInt32) -> Label {
    let instruction = FilterInstruction(FilterInstruction.return, value)
    for distance in 0..<min(reversed.count, Self.reach) {
      let position = reversed.count - distance
      if reversed[position - 1] == instruction { return Label(position: position) }
    }
    return add(instruction)
  }

  /// A = a word of `struct seccomp_data`; goes on at the label.
  mutating func load(_ offset: UInt32, then next: Label) -> Label {
    fallThrough(to: next)
    return add(FilterInstruction(FilterInstruction.load, offset))
  }

  /// A = A & mask; goes on at the label.
  mutating func and(_ mask: UInt32, then next: Label) -> Label {
    fallThrough(to: next)
    return add(FilterInstruction(FilterInstruction.and, mask))
  }

  mutating func branch(_ code: UInt16, _ k: UInt32, _ ifTrue: Label, _ ifFalse: Label) -> Label {
    guard ifTrue != ifFalse else { return ifTrue }
    // Both stepping stones first: the second moves the first one farther away.
    let ifTrue = near(ifTrue, room: 1)
    let ifFalse = near(ifFalse, room: 0)
    return add(
      FilterInstruction(
        code, k, jumpTrue: UInt8(reversed.count - ifTrue.position),
        jumpFalse: UInt8(reversed.count - ifFalse.position)))
  }

  /// A conditional jump skips at most 255 instructions.
  private static let reach = 255

  private mutating func near(_ label: Label, room: Int) -> Label {
    guard reversed.count + room - label.position > Self.reach else { return label }
    let target = reversed[label.position - 1]
    // An end may as well stand here.
    if target.code == FilterInstruction.return { return add(target) }
    return add(FilterInstruction(FilterInstruction.jump, UInt32(reversed.count - label.position)))
  }

  private mutating func fallThrough(to label: Label) {
    guard label.position != reversed.count else { return }
    let target = reversed[label.position - 1]
    _ =
      target.code == FilterInstruction.return
      ? add(target) : add(FilterInstruction(FilterInstruction.jump, UInt32(reversed.count - label.position)))
  }
}
