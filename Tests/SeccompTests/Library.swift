import CSeccomp
import Glibc
import PolicyModel
import Seccomp

/// libseccomp's tables and programs.
enum Library {
  struct Refusal: Error, CustomStringConvertible {
    var call: String
    var code: Int32
    var description: String { "\(call): \(code)" }
  }

  /// SCMP_ARCH_* of seccomp.h, which are AUDIT_ARCH_* and, for x32, one of the library's own.
  static func token(_ abi: SystemCallABI) -> UInt32 {
    switch abi {
    case .x86_64: 0xc000_003e
    case .x32: 0x4000_003e
    case .i386: 0x4000_0003
    case .aarch64: 0xc000_00b7
    case .arm: 0x4000_0028
    }
  }

  /// As the kernel reports the machine; x32 is told from x86_64 by its numbers only.
  static func auditArchitecture(_ abi: SystemCallABI) -> UInt32 { token(abi == .x32 ? .x86_64 : abi) }

  static func name(_ number: UInt32, on abi: SystemCallABI) -> String? {
    guard let text = seccomp_syscall_resolve_num_arch(token(abi), Int32(bitPattern: number)) else {
      return nil
    }
    defer { free(text) }
    return String(cString: text)
  }

  /// Negative: the library's own numbers for what the ABI has not, or has inside `socketcall` and `ipc`.
  static func number(_ name: String, on abi: SystemCallABI) -> Int32 {
    seccomp_syscall_resolve_name_arch(token(abi), name)
  }

  struct Rule {
    var name: String
    var action: UInt32
    /// By argument: the bits under a mask.
    var comparisons: [(argument: UInt32, mask: UInt64, value: UInt64)] = []
  }

  /// The library's program for rules on some ABIs; x86_64 is among them, as the library has it on this machine.
  static func program(
    default defaultAction: UInt32, _ rules: [Rule], on abis: [SystemCallABI]
  ) throws -> [FilterInstruction] {
    guard let context = seccomp_init(defaultAction) else { throw Refusal(call: "init", code: 0) }
    defer { seccomp_release(context) }
    func check(_ call: String, _ code: Int32) throws {
      if code != 0 { throw Refusal(call: call, code: code) }
    }
    for abi in abis where seccomp_arch_exist(context, token(abi)) != 0 {
      try check("arch_add", seccomp_arch_add(context, token(abi)))
    }
    if !abis.contains(.x86_64) {
      try check("arch_remove", seccomp_arch_remove(context, token(.x86_64)))
    }
    try check("attr_set", seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2))
    for rule in rules {
      let comparisons = rule.comparisons.map {
        scmp_arg_cmp(arg: $0.argument, op: SCMP_CMP_MASKED_EQ, datum_a: $0.mask, datum_b: $0.value)
      }
      let code = seccomp_rule_add_array(
        context, rule.action, seccomp_syscall_resolve_name(rule.name), UInt32(comparisons.count), comparisons)
      try check("rule_add \(rule.name)", code)
    }
    guard let stream = tmpfile() else { throw Refusal(call: "tmpfile", code: errno) }
    defer { fclose(stream) }
    let file = fileno(stream)
    try check("export", seccomp_export_bpf(context, file))
    var bytes = [UInt8](repeating: 0, count: Int(lseek(file, 0, SEEK_END)))
    let count = pread(file, &bytes, bytes.count, 0)
    guard count == bytes.count else { throw Refusal(call: "pread", code: errno) }
    return stride(from: 0, to: bytes.count, by: 8).map { start in
      let code = UInt16(bytes[start]) | UInt16(bytes[start + 1]) << 8
      var k: UInt32 = 0
      for index in 0..<4 { k |= UInt32(bytes[start + 4 + index]) << UInt32(8 * index) }
      return FilterInstruction(code, k, jumpTrue: bytes[start + 2], jumpFalse: bytes[start + 3])
    }
  }
}
