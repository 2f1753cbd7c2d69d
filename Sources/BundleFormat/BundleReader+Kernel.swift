extension BundleReader {
  static func readKernel(_ start: ByteCursor, count: Int, sourceCount: Int) throws(BundleError)
    -> [KernelItem]
  {
    var cursor = start
    var list: [KernelItem] = []
    list.reserveCapacity(count)
    var last: UInt8 = 0
    for _ in 0..<count {
      let offset = cursor.offset
      let number: UInt32 = try cursor.integer()
      guard number <= 0xff, let kind = BundleKernelKind(rawValue: UInt8(number)),
        // Each thing once, but for modules.
        kind.rawValue > last || kind.rawValue == last && kind.isModule
      else { throw BundleError(.kernel, at: offset, .badValue) }
      last = kind.rawValue
      let source = try readSource(&cursor, sourceCount)
      let length: UInt32 = try cursor.integer()
      let text = try cursor.text(length, mayBeEmpty: true)
      guard isGood(text, kind, cursor.bytes) else {
        throw BundleError(.kernel, at: text.lowerBound, .badName)
      }
      try cursor.pad(to: 4)
      list.append(KernelItem(kind: kind, text: text, source: source))
    }
    try finish(cursor)
    return list
  }

  // The kernel verifies what a program does; this is about the file.
  static func readPrograms(_ start: ByteCursor, count: Int) throws(BundleError) -> [Program] {
    var cursor = start
    var list: [Program] = []
    list.reserveCapacity(count)
    for _ in 0..<count {
      let offset = cursor.offset
      let number: UInt32 = try cursor.integer()
      guard number <= 0xff, let stage = BundleProgramStage(rawValue: UInt8(number)) else {
        throw BundleError(.programs, at: offset, .badValue)
      }
      let hookLength: UInt32 = try cursor.integer()
      let length: UInt32 = try cursor.integer()
      let hook = try cursor.text(hookLength)
      // It becomes a part of a file's name.
      for index in hook where !isLetter(cursor.bytes[index]) {
        throw BundleError(.programs, at: index, .badName)
      }
      try cursor.pad(to: 8)
      let instructions = try cursor.take(Int(length))
      guard !instructions.isEmpty, length % 8 == 0, Int(length) <= BundleLayout.maximumProgramLength else {
        throw BundleError(.programs, at: instructions.lowerBound, .badProgram)
      }
      list.append(Program(stage: stage, hook: hook, instructions: instructions))
    }
    try finish(cursor)
    return list
  }

  private static func isLetter(_ byte: UInt8) -> Bool { byte >= 0x61 && byte <= 0x7a || byte == 0x5f }

  static func readRelocations(_ start: ByteCursor, count: Int, _ programs: [Program]) throws(BundleError)
    -> [Relocation]
  {
    var cursor = start
    var list: [Relocation] = []
    list.reserveCapacity(count)
    for _ in 0..<count {
      let offset = cursor.offset
      let program: UInt32 = try cursor.integer()
      let instruction: UInt32 = try cursor.integer()
      let number: UInt32 = try cursor.integer()
      let length: UInt32 = try cursor.integer()
      guard program >= 1, Int(program) <= programs.count, number <= 0xff,
        let kind = BundleRelocationKind(rawValue: UInt8(number)),
        Int(instruction) < programs[Int(program) - 1].instructions.count / 8,
        (kind == .device || kind == .mountNamespace) == (length == 0)
      else { throw BundleError(.relocations, at: offset, .badValue) }
      if let last = list.last {
        let before = (last.program, last.instruction)
        guard before < (Int(program) - 1, Int(instruction)) else {
          throw BundleError(.relocations, at: offset, .badValue)
        }
      }
      let text = try cursor.text(length, mayBeEmpty: true)
      try cursor.pad(to: 4)
      list.append(
        Relocation(program: Int(program) - 1, instruction: Int(instruction), kind: kind, text: text))
    }
    try finish(cursor)
    return list
  }

  private static func isGood(_ text: Range<Int>, _ kind: BundleKernelKind, _ bytes: [UInt8]) -> Bool {
    switch kind {
    case .lockdown:
      return bytes[text].elementsEqual(LockdownLevel.integrity.text)
        || bytes[text].elementsEqual(LockdownLevel.confidentiality.text)
    case .sealAfterBoot, .denyModules, .denyCompressed: return text.isEmpty
    case .deniedModule, .allowedModule, .requiredModule: break
    }
    // MODULE_NAME_LEN of linux/module.h, less its NUL.
    guard !text.isEmpty, text.count <= 55 else { return false }
    return text.allSatisfy {
      switch bytes[$0] {
      case 0x30...0x39, 0x41...0x5a, 0x5f, 0x61...0x7a: true
      // `*` and `?`.
      case 0x2a, 0x3f: kind != .requiredModule
      default: false
      }
    }
  }
}

/// Levels of the lockdown LSM, as /sys/kernel/security/lockdown names them, in rising order.
package enum LockdownLevel: UInt8 {
  case none = 0
  case integrity = 1
  case confidentiality = 2

  package var text: [UInt8] {
    switch self {
    case .none: [0x6e, 0x6f, 0x6e, 0x65]
    case .integrity: [0x69, 0x6e, 0x74, 0x65, 0x67, 0x72, 0x69, 0x74, 0x79]
    case .confidentiality:
      [0x63, 0x6f, 0x6e, 0x66, 0x69, 0x64, 0x65, 0x6e, 0x74, 0x69, 0x61, 0x6c, 0x69, 0x74, 0x79]
    }
  }
}
