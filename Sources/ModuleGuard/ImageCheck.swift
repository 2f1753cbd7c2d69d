// The program that this file puts together is under the GPL, version 2 or later, as the kernel demands of a program that reads
// its memory; see LICENSE.

package import PolicyModel

/// The check of a module's image when the kernel has read it: by the name inside, whatever the file is called.
///
/// The name is found as the kernel finds it (kernel/module/main.c): in the first section that is allocated and called
/// `.gnu.linkonce.this_module`. What the kernel could not load either, or what has more sections than the program
/// looks at, is refused.
package struct ImageCheck {
  /// Where a hook has the image and what it was read for: indexes of its arguments.
  private struct Hook {
    var name: String
    var image: Int
    var size: Int
    var purpose: Int
    var module: String
  }

  private static let hooks = [
    // finit_module(2), with which the kernel's own requests end too.
    Hook(name: "kernel_post_read_file", image: 1, size: 2, purpose: 3, module: "READING_MODULE"),
    // init_module(2).
    Hook(name: "kernel_post_load_data", image: 0, size: 1, purpose: 2, module: "LOADING_MODULE"),
  ]

  /// Offsets are 16 bits wide, and a bundle takes no longer program.
  package static let maximumLength = 16_384
  // Debian's largest driver, amdgpu, has about 120.
  private static let maximumSections: Int32 = 256

  // The stack, from its end: the name, what is looked at, and what outlives the loop.
  private static let name = -56
  private static let buffer = -120
  private static let found = -128
  private static let strings = -136
  private static let counter = -144

  private let modules: ModulePolicy

  package init(_ modules: ModulePolicy) { self.modules = modules }

  /// The patterns that it can match: with one `*` at most.
  package static func covers(_ pattern: ModulePattern) -> Bool {
    pattern.pattern.utf8.split(separator: UInt8(ascii: "*"), omittingEmptySubsequences: false).count <= 2
  }

  /// None: the policy denies nothing that a program can match, or more than one can hold.
  package var programs: [KernelProgram] {
    guard modules.deniesByDefault || modules.deniesCompressed || modules.denied.contains(where: Self.covers)
    else { return [] }
    // A pattern that cannot be matched allows what was to be denied, so that all else must be left alone.
    if modules.deniesByDefault, !modules.allowed.allSatisfy(Self.covers) { return [] }
    let programs = Self.hooks.compactMap(program)
    return programs.count == Self.hooks.count ? programs : []
  }

  /// Nil: it would be too long.
  private func program(_ hook: Hook) -> KernelProgram? {
    var code = BPFAssembler()
    let (allow, deny, start) = (code.label(), code.label(), code.label())
    code.jump(to: start)
    // Here, so that jumps from everywhere reach them.
    code.place(allow)
    code.end(0)
    code.place(deny)
    code.end(-1)
    code.place(start)
    Self.readHeader(&code, hook, compressed: modules.deniesCompressed ? deny : allow, allow, deny)
    Self.findName(&code, deny)
    for (patterns, end) in [
      (modules.denied, deny), (modules.deniesByDefault ? modules.allowed + modules.required : [], allow),
    ] {
      for pattern in patterns where Self.covers(pattern) {
        let next = code.label()
        Self.match(&code, Array(pattern.pattern.utf8), orJumpTo: next)
        code.jump(to: end)
        code.place(next)
      }
    }
    code.jump(to: modules.deniesByDefault ? deny : allow)
    guard code.instructions.count <= Self.maximumLength else { return nil }
    return code.finish(.policy, hook.name)
  }

  // MARK: The image

  /// Leaves the image in r6, its size in r7, the first section header in r9 and the end of them in r8, as addresses.
  private static func readHeader(
    _ code: inout BPFAssembler, _ hook: Hook, compressed: BPFAssembler.Label, _ allow: BPFAssembler.Label,
    _ deny: BPFAssembler.Label
  ) {
    code.load(.double, .r6, .r1, 8 * hook.image)
    code.load(.double, .r7, .r1, 8 * hook.size)
    code.load(.double, .r2, .r1, 8 * hook.purpose)
    code.compute(.shiftLeft, .r2, 32)
    code.compute(.shiftRight, .r2, 32)
    code.jump(to: allow, if: .r2, .notEqual, symbol: .enumerator(hook.module))
    code.move(.r0, 0)
    for word in 0..<7 { code.store(.double, .frame, name + 8 * word, .r0) }
    code.jump(to: deny, if: .r7, .less, 64)
    // Elf64_Ehdr of elf.h.
    code.read(64, to: Int32(buffer), from: .r6, orJumpTo: deny)
    let isELF = code.label()
    code.load(.word, .r1, .frame, buffer)
    code.jump(to: isELF, if: .r1, .equal, 0x464c_457f)
    magic(&code, compressed)
    code.jump(to: deny)
    code.place(isELF)
    code.load(.byte, .r1, .frame, buffer + 4)
    code.jump(to: deny, if: .r1, .notEqual, 2)  // ELFCLASS64
    code.load(.half, .r1, .frame, buffer + 0x3a)
    code.jump(to: deny, if: .r1, .notEqual, 64)  // e_shentsize
    code.load(.half, .r8, .frame, buffer + 0x3c)  // e_shnum
    code.jump(to: deny, if: .r8, .greater, maximumSections)
    code.load(.double, .r9, .frame, buffer + 0x28)  // e_shoff
    code.jump(to: deny, if: .r9, .greater, .r7)
    code.move(.r1, .r8)
    code.compute(.shiftLeft, .r1, 6)
    code.compute(.add, .r1, .r9)
    code.jump(to: deny, if: .r1, .greater, .r7)
    code.load(.half, .r3, .frame, buffer + 0x3e)  // e_shstrndx
    code.jump(to: deny, if: .r3, .greaterOrEqual, .r8)
    code.compute(.shiftLeft, .r3, 6)
    code.compute(.add, .r3, .r9)
    code.compute(.add, .r3, .r6)
    code.read(64, to: Int32(buffer), from: .r3, orJumpTo: deny)
    code.load(.double, .r1, .frame, buffer + 24)  // sh_offset
    code.jump(to: deny, if: .r1, .greater, .r7)
    code.store(.double, .frame, strings, .r1)
    code.compute(.shiftLeft, .r8, 6)
    code.compute(.add, .r8, .r9)
    code.compute(.add, .r8, .r6)
    code.compute(.add, .r9, .r6)
  }

  /// gzip, zstd and xz: what kernels with CONFIG_MODULE_DECOMPRESS unpack themselves.
  private static func magic(_ code: inout BPFAssembler, _ label: BPFAssembler.Label) {
    code.move(.r2, .r1)
    code.compute(.shiftLeft, .r2, 48)
    code.compute(.shiftRight, .r2, 48)
    code.jump(to: label, if: .r2, .equal, 0x8b1f)
    code.moveWide(.r2, 0xfd2f_b528)
    code.jump(to: label, if: .r1, .equal, .r2)
    code.load(.double, .r1, .frame, buffer)
    code.compute(.shiftLeft, .r1, 16)
    code.moveWide(.r2, 0x005a_587a_37fd_0000)
    code.jump(to: label, if: .r1, .equal, .r2)
  }

  /// Leaves the name on the stack, `-` as `_`.
  private static func findName(_ code: inout BPFAssembler, _ deny: BPFAssembler.Label) {
    let loop = code.label()
    code.move(.r1, 1)
    code.store(.double, .frame, counter, .r1)
    code.place(loop)
    code.load(.double, .r1, .frame, counter)
    code.jump(to: deny, if: .r1, .greaterOrEqual, maximumSections)
    code.add(.r1, 1)
    code.store(.double, .frame, counter, .r1)
    // Section 0 is none.
    code.add(.r9, 64)
    code.jump(to: deny, if: .r9, .greaterOrEqual, .r8)
    code.read(64, to: Int32(buffer), from: .r9, orJumpTo: deny)
    code.load(.double, .r1, .frame, buffer + 8)  // sh_flags
    code.compute(.and, .r1, 2)  // SHF_ALLOC
    code.jump(to: loop, if: .r1, .equal, 0)
    code.load(.double, .r3, .frame, strings)
    code.load(.word, .r1, .frame, buffer)  // sh_name
    code.compute(.add, .r3, .r1)
    code.jump(to: deny, if: .r3, .greater, .r7)
    code.load(.double, .r1, .frame, buffer + 24)  // sh_offset
    code.store(.double, .frame, found, .r1)
    code.compute(.add, .r3, .r6)
    let section = Array(".gnu.linkonce.this_module".utf8)
    code.read(Int32(section.count + 1), to: Int32(name), from: .r3, orJumpTo: deny)
    compare(&code, section + [0], at: name, orJumpTo: loop)
    code.load(.double, .r3, .frame, found)
    code.jump(to: deny, if: .r3, .greater, .r7)
    code.add(.r3, .member("module.name"), plus: 56)
    code.jump(to: deny, if: .r3, .greater, .r7)
    code.compute(.add, .r3, .r6)
    code.add(.r3, -56)
    code.read(56, to: Int32(name), from: .r3, orJumpTo: deny)
    code.moveWide(.r3, 0x2d2d_2d2d_2d2d_2d2d)
    code.moveWide(.r4, 0x7f7f_7f7f_7f7f_7f7f)
    for word in 0..<7 {
      code.load(.double, .r1, .frame, name + 8 * word)
      // 0x80 in each byte that is `-`, eight at once and without a carry from one to the next.
      code.move(.r2, .r1)
      code.compute(.xor, .r2, .r3)
      code.move(.r5, .r2)
      code.compute(.and, .r2, .r4)
      code.compute(.add, .r2, .r4)
      code.compute(.or, .r2, .r5)
      code.compute(.or, .r2, .r4)
      code.compute(.xor, .r2, -1)
      code.compute(.shiftRight, .r2, 7)
      code.compute(.multiply, .r2, 0x72)
      code.compute(.xor, .r1, .r2)
      code.store(.double, .frame, name + 8 * word, .r1)
    }
  }

  // MARK: Names

  /// Goes on where the name matches.
  private static func match(
    _ code: inout BPFAssembler, _ pattern: [UInt8], orJumpTo next: BPFAssembler.Label
  ) {
    guard let star = pattern.firstIndex(of: UInt8(ascii: "*")) else {
      return compare(&code, pattern + [0], at: name, orJumpTo: next)
    }
    let (head, tail) = (Array(pattern[..<star]), Array(pattern[(star + 1)...]))
    compare(&code, head, at: name, orJumpTo: next)
    guard !tail.isEmpty else { return }
    // The length of the name into r4.
    let hasLength = code.label()
    for length in 0..<56 {
      code.load(.byte, .r1, .frame, name + length)
      code.move(.r4, Int32(length))
      code.jump(to: hasLength, if: .r1, .equal, 0)
    }
    code.jump(to: next)
    code.place(hasLength)
    code.jump(to: next, if: .r4, .less, Int32(head.count + tail.count))
    code.move(.r3, .frame)
    code.compute(.add, .r3, .r4)
    code.add(.r3, Int32(name - tail.count))
    code.read(Int32(tail.count), to: Int32(buffer), from: .r3, orJumpTo: next)
    compare(&code, tail, at: buffer, orJumpTo: next)
  }

  /// Goes on where the bytes on the stack are those, `?` any but the end.
  private static func compare(
    _ code: inout BPFAssembler, _ bytes: [UInt8], at offset: Int, orJumpTo next: BPFAssembler.Label
  ) {
    for start in stride(from: 0, to: bytes.count, by: 8) {
      var (value, mask): (UInt64, UInt64) = (0, 0)
      for index in start..<min(start + 8, bytes.count) where bytes[index] != UInt8(ascii: "?") {
        value |= UInt64(bytes[index]) << UInt64(8 * (index - start))
        mask |= 0xff << UInt64(8 * (index - start))
      }
      guard mask != 0 else { continue }
      code.load(.double, .r1, .frame, offset + start)
      if mask != .max {
        code.moveWide(.r2, mask)
        code.compute(.and, .r1, .r2)
      }
      code.moveWide(.r2, value)
      code.jump(to: next, if: .r1, .notEqual, .r2)
    }
    for (index, byte) in bytes.enumerated() where byte == UInt8(ascii: "?") {
      code.load(.byte, .r1, .frame, offset + index)
      code.jump(to: next, if: .r1, .equal, 0)
    }
  }
}
