extension BundleReader {
  static func readKernel(_ header: BundleHeader, _ cursor: inout ByteCursor, sourceCount: Int) -> [KernelItem]
  {
    let count = header.enter(.kernel, &cursor)
    var list: [KernelItem] = []
    list.reserveCapacity(count)
    var last: UInt8 = 0
    for _ in 0..<count {
      let offset = cursor.offset
      guard let kind = BundleKernelKind(rawValue: cursor.kind()),
        // Each thing once, but for modules.
        kind.rawValue > last || kind.rawValue == last && kind.isModule
      else {
        cursor.fail(at: offset, .badValue)
        break
      }
      last = kind.rawValue
      let source = cursor.source(of: sourceCount)
      let length: UInt32 = cursor.integer()
      let text = cursor.text(length, mayBeEmpty: true)
      guard cursor.isGood else { break }
      if !isGood(text, kind, cursor.bytes) { cursor.fail(at: text.lowerBound, .badName) }
      cursor.pad(to: 4)
      list.append(KernelItem(kind: kind, text: text, source: source))
    }
    cursor.leave()
    return list
  }

  // The kernel verifies what a program does; this is about the file.
  static func readPrograms(_ header: BundleHeader, _ cursor: inout ByteCursor) -> [Program] {
    let count = header.enter(.programs, &cursor)
    var list: [Program] = []
    list.reserveCapacity(count)
    for _ in 0..<count {
      let offset = cursor.offset
      guard let stage = BundleProgramStage(rawValue: cursor.kind()) else {
        cursor.fail(at: offset, .badValue)
        break
      }
      let hookLength: UInt32 = cursor.integer()
      let length: UInt32 = cursor.integer()
      let hook = cursor.text(hookLength)
      // It becomes a part of a file's name.
      for index in hook where !isLetter(cursor.bytes[index]) { cursor.fail(at: index, .badName) }
      cursor.pad(to: 8)
      let instructions = cursor.take(Int(length))
      if instructions.isEmpty || length % 8 != 0 || Int(length) > BundleLayout.maximumProgramLength {
        cursor.fail(at: instructions.lowerBound, .badProgram)
      }
      guard cursor.isGood else { break }
      list.append(Program(stage: stage, hook: hook, instructions: instructions))
    }
    cursor.leave()
    return list
  }

  private static func isLetter(_ byte: UInt8) -> Bool { byte >= 0x61 && byte <= 0x7a || byte == 0x5f }

  static func readRelocations(_ header: BundleHeader, _ cursor: inout ByteCursor, _ programs: [Program])
    -> [Relocation]
  {
    let count = header.enter(.relocations, &cursor)
    var list: [Relocation] = []
    list.reserveCapacity(count)
    for _ in 0..<count {
      let offset = cursor.offset
      let program = Int(cursor.integer() as UInt32) - 1
      let instruction = Int(cursor.integer() as UInt32)
      let number = cursor.kind()
      let length: UInt32 = cursor.integer()
      guard program >= 0, program < programs.count, let kind = BundleRelocationKind(rawValue: number),
        instruction < programs[program].instructions.count / 8,
        (kind == .device || kind == .mountNamespace) == (length == 0)
      else {
        cursor.fail(at: offset, .badValue)
        break
      }
      if let last = list.last, (last.program, last.instruction) >= (program, instruction) {
        cursor.fail(at: offset, .badValue)
      }
      let text = cursor.text(length, mayBeEmpty: true)
      cursor.pad(to: 4)
      guard cursor.isGood else { break }
      list.append(Relocation(program: program, instruction: instruction, kind: kind, text: text))
    }
    cursor.leave()
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
