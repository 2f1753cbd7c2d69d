/// One instruction of classic BPF, as seccomp takes it: `struct sock_filter` of linux/filter.h.
package struct FilterInstruction: Equatable, Sendable {
  package var code: UInt16
  package var jumpTrue: UInt8
  package var jumpFalse: UInt8
  package var k: UInt32

  package init(_ code: UInt16, _ k: UInt32, jumpTrue: UInt8 = 0, jumpFalse: UInt8 = 0) {
    self.code = code
    self.jumpTrue = jumpTrue
    self.jumpFalse = jumpFalse
    self.k = k
  }

  // linux/bpf_common.h: class, size, mode, operation and source in one number.
  /// BPF_LD | BPF_W | BPF_ABS: A = the word of `struct seccomp_data` at offset k.
  static let load: UInt16 = 0x20
  /// BPF_ALU | BPF_AND | BPF_K.
  static let and: UInt16 = 0x54
  /// BPF_JMP | BPF_JA.
  static let jump: UInt16 = 0x05
  /// BPF_JMP | BPF_K with BPF_JEQ, BPF_JGT, BPF_JGE; unsigned.
  static let jumpIfEqual: UInt16 = 0x15
  static let jumpIfGreater: UInt16 = 0x25
  static let jumpIfAtLeast: UInt16 = 0x35
  /// BPF_RET | BPF_K.
  static let `return`: UInt16 = 0x06
}
