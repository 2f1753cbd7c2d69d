import Seccomp

/// Classic BPF as the kernel runs it for seccomp: bpf_check_classic() of net/core/filter.c, seccomp_check_filter() of
/// kernel/seccomp.c, and the meaning of filter.rst. Written for the tests, apart from the compiler.
struct ClassicBPF {
  /// What a program is asked about: `struct seccomp_data`.
  struct Call {
    var number: UInt32
    var architecture: UInt32
    var arguments: [UInt64] = [0, 0, 0, 0, 0, 0]

    /// The word at a byte offset, little-endian.
    func word(at offset: UInt32) -> UInt32? {
      // The address of the call, which no filter should care for.
      var words: [UInt32] = [number, architecture, 0x5555_5555, 0x7fff_5555]
      for argument in arguments {
        words += [UInt32(truncatingIfNeeded: argument), UInt32(truncatingIfNeeded: argument >> 32)]
      }
      guard offset % 4 == 0, offset / 4 < words.count else { return nil }
      return words[Int(offset / 4)]
    }
  }

  struct Fault: Error, CustomStringConvertible {
    var index: Int
    var reason: String
    var description: String { "instruction \(index): \(reason)" }
  }

  let program: [FilterInstruction]

  /// Refuses what the kernel refuses.
  init(_ program: [FilterInstruction]) throws {
    guard !program.isEmpty, program.count <= 4096 else { throw Fault(index: 0, reason: "length") }
    for (index, instruction) in program.enumerated() {
      func require(_ condition: Bool, _ reason: String) throws {
        if !condition { throw Fault(index: index, reason: reason) }
      }
      switch instruction.code {
      case 0x20: try require(instruction.k % 4 == 0 && instruction.k < 64, "load")
      case 0x54: break
      case 0x05: try require(index + 1 + Int(instruction.k) < program.count, "jump")
      case 0x15, 0x25, 0x35:
        try require(index + 1 + Int(instruction.jumpTrue) < program.count, "true")
        try require(index + 1 + Int(instruction.jumpFalse) < program.count, "false")
      case 0x06: break
      default: try require(false, "code \(instruction.code)")
      }
    }
    guard program.last?.code == 0x06 else { throw Fault(index: program.count - 1, reason: "no end") }
    self.program = program
  }

  /// The SECCOMP_RET value, and how many instructions that took.
  func run(_ call: Call) throws -> (action: UInt32, steps: Int) {
    var accumulator: UInt32 = 0
    var index = 0
    var steps = 0
    while true {
      let instruction = program[index]
      index += 1
      steps += 1
      func jump(_ condition: Bool) {
        index += Int(condition ? instruction.jumpTrue : instruction.jumpFalse)
      }
      switch instruction.code {
      case 0x20:
        guard let word = call.word(at: instruction.k) else { throw Fault(index: index, reason: "load") }
        accumulator = word
      case 0x54: accumulator &= instruction.k
      case 0x05: index += Int(instruction.k)
      case 0x15: jump(accumulator == instruction.k)
      case 0x25: jump(accumulator > instruction.k)
      case 0x35: jump(accumulator >= instruction.k)
      case 0x06: return (instruction.k, steps)
      default: throw Fault(index: index, reason: "code")
      }
    }
  }
}
