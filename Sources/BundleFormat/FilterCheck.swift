/// What the kernel asks of a filter of system calls: bpf_check_classic() of net/core/filter.c and
/// seccomp_check_filter() of kernel/seccomp.c, as far as our programs go.
enum FilterCheck {
  static func check(_ program: Range<Int>, _ cursor: inout ByteCursor) {
    let bytes = cursor.bytes
    let length = 8
    let count = program.count / length
    // BPF_MAXINSNS of linux/bpf_common.h.
    guard program.count % length == 0, count > 0, count <= 4096 else {
      return cursor.fail(at: program.lowerBound, .badFilter)
    }
    for index in 0..<count {
      let start = program.lowerBound + index * length
      let code = UInt16(bytes[start]) | UInt16(bytes[start + 1]) << 8
      let k =
        UInt32(bytes[start + 4]) | UInt32(bytes[start + 5]) << 8 | UInt32(bytes[start + 6]) << 16
        | UInt32(bytes[start + 7]) << 24
      // Jumps go forward and stay inside.
      let rest = count - index - 1
      let isGood: Bool
      switch code {
      // BPF_LD | BPF_W | BPF_ABS: a word of `struct seccomp_data`, which has 64 bytes.
      case 0x20: isGood = k & 3 == 0 && k < 64 && rest > 0
      // BPF_ALU | BPF_AND | BPF_K.
      case 0x54: isGood = rest > 0
      // BPF_JMP | BPF_JA.
      case 0x05: isGood = UInt64(k) < UInt64(rest)
      // BPF_JMP with BPF_JEQ, BPF_JGT, BPF_JGE.
      case 0x15, 0x25, 0x35: isGood = Int(bytes[start + 2]) < rest && Int(bytes[start + 3]) < rest
      // BPF_RET | BPF_K.
      case 0x06: isGood = true
      default: isGood = false
      }
      guard isGood else { return cursor.fail(at: start, .badFilter) }
    }
  }
}
