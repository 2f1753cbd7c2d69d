import ModuleGuard

/// Runs a program as the kernel would, over memory that is given: what our programs use of the machine, written from
/// the kernel's description of the instructions (Documentation/bpf/instruction-set.rst), and nothing else.
struct BPFMachine {
  enum Fault: Error, Equatable {
    case unknownInstruction(Int)
    case outsideOfProgram(Int)
    case uninitializedStack(Int)
    case tooManySteps
  }

  /// Where the image lies, as an address.
  static let imageStart: UInt64 = 0x1_0000_0000
  private static let stackEnd: UInt64 = 0x8000_0000
  private static let contextStart: UInt64 = 0x7000_0000

  var program: KernelProgram
  var arguments: [UInt64]
  var image: [UInt8]
  /// Values of enumerators and members on the kernel that is played.
  var symbols: [String: Int32] = ["READING_MODULE": 2, "LOADING_MODULE": 2, "module.name": 24]

  private var registers = [UInt64](repeating: 0, count: 11)
  private var stack = [UInt8?](repeating: nil, count: 512)

  init(_ program: KernelProgram, arguments: [UInt64], image: [UInt8]) {
    self.program = program
    self.arguments = arguments
    self.image = image
  }

  mutating func run() throws(Fault) -> Int64 {
    var code = program.instructions
    for relocation in program.relocations {
      switch relocation.symbol {
      case .enumerator(let name), .member(let name):
        code[relocation.instruction].immediate &+= symbols[name] ?? 0
      case .negativeMember(let name): code[relocation.instruction].immediate &-= symbols[name] ?? 0
      case .device, .mount, .mountNamespace: break
      }
    }
    registers[1] = Self.contextStart
    registers[10] = Self.stackEnd
    var at = 0
    for _ in 0..<100_000 {
      guard code.indices.contains(at) else { throw .outsideOfProgram(at) }
      let instruction = code[at]
      let (target, source) = (Int(instruction.destination), Int(instruction.source))
      let immediate = UInt64(bitPattern: Int64(instruction.immediate))
      let address = { (base: UInt64) in base &+ UInt64(bitPattern: Int64(instruction.offset)) }
      at += 1
      switch instruction.code {
      case 0x95: return Int64(bitPattern: registers[0])
      case 0x18:
        guard code.indices.contains(at) else { throw .outsideOfProgram(at) }
        registers[target] =
          UInt64(UInt32(bitPattern: instruction.immediate))
          | UInt64(UInt32(bitPattern: code[at].immediate)) << 32
        at += 1
      case 0x85: try callHelper(instruction.immediate, at)
      case 0x61, 0x69, 0x71, 0x79:
        registers[target] = try load(address(registers[source]), Self.width(instruction.code), at)
      case 0x63, 0x6b, 0x73, 0x7b:
        try store(address(registers[target]), Self.width(instruction.code), registers[source], at)
      default:
        let other = instruction.code & 0x08 != 0 ? registers[source] : immediate
        switch instruction.code & 0x07 {
        case 0x07:
          guard let value = Self.compute(instruction.code & 0xf0, registers[target], other) else {
            throw .unknownInstruction(at - 1)
          }
          registers[target] = value
        case 0x05, 0x06:
          let isWord = instruction.code & 0x07 == 0x06
          let a = isWord ? registers[target] & 0xffff_ffff : registers[target]
          let b = isWord ? other & 0xffff_ffff : other
          guard let jumps = Self.compare(instruction.code & 0xf0, a, b) else {
            throw .unknownInstruction(at - 1)
          }
          if jumps { at += Int(instruction.offset) }
        default: throw .unknownInstruction(at - 1)
        }
      }
    }
    throw .tooManySteps
  }

  private static func width(_ code: UInt8) -> Int {
    switch code & 0x18 {
    case 0x00: 4
    case 0x08: 2
    case 0x10: 1
    default: 8
    }
  }

  private static func compute(_ operation: UInt8, _ a: UInt64, _ b: UInt64) -> UInt64? {
    switch operation {
    case 0x00: a &+ b
    case 0x20: a &* b
    case 0x40: a | b
    case 0x50: a & b
    case 0x60: a << (b & 63)
    case 0x70: a >> (b & 63)
    case 0xa0: a ^ b
    case 0xb0: b
    default: nil
    }
  }

  private static func compare(_ operation: UInt8, _ a: UInt64, _ b: UInt64) -> Bool? {
    switch operation {
    case 0x00: true
    case 0x10: a == b
    case 0x20: a > b
    case 0x30: a >= b
    case 0x50: a != b
    case 0xa0: a < b
    default: nil
    }
  }

  // MARK: Memory

  private func load(_ address: UInt64, _ count: Int, _ at: Int) throws(Fault) -> UInt64 {
    if address >= Self.contextStart, address < Self.contextStart + UInt64(8 * arguments.count) {
      return arguments[Int(address - Self.contextStart) / 8]
    }
    var value: UInt64 = 0
    for index in (0..<count).reversed() {
      guard let byte = stackByte(address + UInt64(index)) else { throw .uninitializedStack(at) }
      value = value << 8 | UInt64(byte)
    }
    return value
  }

  private func stackByte(_ address: UInt64) -> UInt8? {
    guard address >= Self.stackEnd - 512, address < Self.stackEnd else { return nil }
    return stack[Int(address - (Self.stackEnd - 512))]
  }

  private mutating func store(_ address: UInt64, _ count: Int, _ value: UInt64, _ at: Int) throws(Fault) {
    for index in 0..<count {
      let place = address + UInt64(index)
      guard place >= Self.stackEnd - 512, place < Self.stackEnd else { throw .uninitializedStack(at) }
      stack[Int(place - (Self.stackEnd - 512))] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index))
    }
  }

  /// bpf_probe_read_kernel: what cannot be read leaves zeros and an error.
  private mutating func callHelper(_ number: Int32, _ at: Int) throws(Fault) {
    guard number == 113 else { throw .unknownInstruction(at - 1) }
    let (target, count, source) = (registers[1], Int(registers[2]), registers[3])
    var bytes: [UInt8]? = []
    for index in 0..<count {
      let place = source &+ UInt64(index)
      if place >= Self.imageStart, place < Self.imageStart + UInt64(image.count) {
        bytes?.append(image[Int(place - Self.imageStart)])
      } else if let byte = stackByte(place) {
        bytes?.append(byte)
      } else {
        bytes = nil
        break
      }
    }
    for index in 0..<count {
      try store(target + UInt64(index), 1, UInt64(bytes?[index] ?? 0), at)
    }
    registers[0] = bytes == nil ? UInt64(bitPattern: -14) : 0
    // Arguments do not outlive a call.
    for register in 1...5 { registers[register] = 0xdead_dead_dead_dead }
  }
}
