/// Puts a program together, instruction by instruction; jumps are to labels.
struct BPFAssembler {
  enum Register: UInt8 {
    /// Results, and what a helper gives back.
    case r0 = 0
    /// Arguments of helpers, which do not outlive a call.
    case r1, r2, r3, r4, r5
    /// What does.
    case r6, r7, r8, r9
    /// End of the stack.
    case frame
  }

  enum Width: UInt8 {
    case byte = 0x10
    case half = 0x08
    case word = 0x00
    case double = 0x18
  }

  enum Condition: UInt8 {
    case equal = 0x10
    case greater = 0x20
    case greaterOrEqual = 0x30
    case notEqual = 0x50
    case less = 0xa0
  }

  enum Operation: UInt8 {
    case add = 0x00
    case multiply = 0x20
    case or = 0x40
    case and = 0x50
    case shiftLeft = 0x60
    case shiftRight = 0x70
    case xor = 0xa0
    case move = 0xb0
  }

  struct Label: Hashable {
    fileprivate var number: Int
  }

  private(set) var instructions: [BPFInstruction] = []
  private(set) var relocations: [KernelProgram.Relocation] = []
  private var places: [Label: Int] = [:]
  private var jumps: [(at: Int, to: Label)] = []
  private var labelCount = 0

  // Classes and modes of linux/bpf_common.h and linux/bpf.h.
  private static let load: UInt8 = 0x61
  private static let store: UInt8 = 0x63
  private static let jump: UInt8 = 0x05
  private static let jumpByWord: UInt8 = 0x06
  private static let arithmetic: UInt8 = 0x07
  private static let fromRegister: UInt8 = 0x08
  private static let wide: UInt8 = 0x18
  private static let call: UInt8 = 0x85
  private static let exit: UInt8 = 0x95

  private mutating func emit(
    _ code: UInt8, _ destination: UInt8 = 0, _ source: UInt8 = 0, _ offset: Int = 0, _ immediate: Int32 = 0
  ) {
    instructions.append(
      BPFInstruction(
        code: code, destination: destination, source: source, offset: Int16(offset), immediate: immediate))
  }

  // MARK: Values

  mutating func compute(_ operation: Operation, _ target: Register, _ value: Int32) {
    emit(Self.arithmetic | operation.rawValue, target.rawValue, 0, 0, value)
  }

  mutating func compute(_ operation: Operation, _ target: Register, _ other: Register) {
    emit(Self.arithmetic | Self.fromRegister | operation.rawValue, target.rawValue, other.rawValue)
  }

  mutating func move(_ target: Register, _ value: Int32) { compute(.move, target, value) }

  mutating func move(_ target: Register, _ other: Register) { compute(.move, target, other) }

  mutating func add(_ target: Register, _ value: Int32) { compute(.add, target, value) }

  /// Adds what the running kernel tells.
  mutating func add(_ target: Register, _ symbol: KernelProgram.Symbol, plus value: Int32 = 0) {
    relocations.append(KernelProgram.Relocation(instruction: instructions.count, symbol: symbol))
    add(target, value)
  }

  /// All 64 bits.
  mutating func moveWide(_ target: Register, _ value: UInt64) {
    emit(Self.wide, target.rawValue, 0, 0, Int32(bitPattern: UInt32(truncatingIfNeeded: value)))
    emit(0, 0, 0, 0, Int32(bitPattern: UInt32(value >> 32)))
  }

  mutating func load(_ width: Width, _ target: Register, _ base: Register, _ offset: Int) {
    emit(Self.load | width.rawValue, target.rawValue, base.rawValue, offset)
  }

  mutating func store(_ width: Width, _ base: Register, _ offset: Int, _ value: Register) {
    emit(Self.store | width.rawValue, base.rawValue, value.rawValue, offset)
  }

  // MARK: Flow

  mutating func label() -> Label {
    labelCount += 1
    return Label(number: labelCount)
  }

  mutating func place(_ label: Label) { places[label] = instructions.count }

  mutating func jump(to label: Label) {
    jumps.append((instructions.count, label))
    emit(Self.jump)
  }

  mutating func jump(to label: Label, if register: Register, _ condition: Condition, _ value: Int32) {
    jumps.append((instructions.count, label))
    emit(Self.jump | condition.rawValue, register.rawValue, 0, 0, value)
  }

  mutating func jump(to label: Label, if register: Register, _ condition: Condition, _ other: Register) {
    jumps.append((instructions.count, label))
    emit(Self.jump | Self.fromRegister | condition.rawValue, register.rawValue, other.rawValue)
  }

  /// With a value of 32 bits that the running kernel tells.
  mutating func jump(
    to label: Label, if register: Register, _ condition: Condition, symbol: KernelProgram.Symbol
  ) {
    relocations.append(KernelProgram.Relocation(instruction: instructions.count, symbol: symbol))
    jumps.append((instructions.count, label))
    emit(Self.jumpByWord | condition.rawValue, register.rawValue)
  }

  /// `bpf_probe_read_kernel(stack + offset, count, source)` of linux/bpf.h, to which only programs under the GPL have
  /// a right. It reads nothing that is not there: then the jump is taken.
  mutating func read(_ count: Int32, to offset: Int32, from source: Register, orJumpTo label: Label) {
    if source != .r3 { move(.r3, source) }
    move(.r1, .frame)
    add(.r1, offset)
    move(.r2, count)
    emit(Self.call, 0, 0, 0, 113)
    jump(to: label, if: .r0, .notEqual, 0)
  }

  mutating func end(_ result: Int32) {
    move(.r0, result)
    emit(Self.exit)
  }

  /// - Precondition: every label that is jumped to was placed, within 32 KiB of instructions.
  consuming func finish(_ stage: KernelProgram.Stage, _ hook: String) -> KernelProgram {
    for jump in jumps {
      guard let place = places[jump.to] else { preconditionFailure("a jump to a label without a place") }
      instructions[jump.at].offset = Int16(place - jump.at - 1)
    }
    return KernelProgram(
      stage: stage, hook: hook, instructions: instructions, relocations: relocations)
  }
}
