/// One instruction of the kernel's BPF machine: `struct bpf_insn` of linux/bpf.h.
package struct BPFInstruction: Equatable, Sendable {
  package var code: UInt8
  package var destination: UInt8
  package var source: UInt8
  package var offset: Int16
  package var immediate: Int32

  /// 8 bytes, little-endian as every target is.
  package var bytes: [UInt8] {
    let offset = UInt16(bitPattern: offset)
    let immediate = UInt32(bitPattern: immediate)
    return [
      code, destination | source << 4, UInt8(truncatingIfNeeded: offset), UInt8(offset >> 8),
    ] + (0..<4).map { UInt8(truncatingIfNeeded: immediate >> (8 * $0)) }
  }
}

/// A program of the BPF LSM, with what only the running kernel can tell left open.
package struct KernelProgram: Equatable, Sendable {
  package enum Stage: Sendable {
    /// With the policy.
    case policy
    /// In the seal: from then on it can no longer be taken back.
    case seal
  }

  /// What stands for a number that differs from kernel to kernel; it is added to an instruction's immediate.
  package enum Symbol: Equatable, Sendable {
    /// Value of an enumerator.
    case enumerator(String)
    /// Byte offset of a member, as `module.name`.
    case member(String)
    /// The same, negative.
    case negativeMember(String)
    /// Number of the file system that holds the programs' names, as its super block has it.
    case device
    /// Number of the mount of that file system, or of one that it hangs from: 0 for its own, and so on up.
    case mount(Int)
    /// Number of the namespace of mounts that it is in.
    case mountNamespace
  }

  package struct Relocation: Equatable, Sendable {
    package var instruction: Int
    package var symbol: Symbol
  }

  package var stage: Stage
  /// Name of the hook, as `kernel_post_read_file`.
  package var hook: String
  package var instructions: [BPFInstruction]
  /// In the order of instructions.
  package var relocations: [Relocation]
}
