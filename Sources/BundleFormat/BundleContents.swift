/// What a bundle holds, before it is encoded and after it is read whole. Text is UTF-8 bytes: the Embedded
/// applier compares and prints bytes and links no Unicode tables.
package struct BundleContents: Equatable {
  package var policyName: [UInt8]
  /// SHA-256 of the canonical policy, 32 bytes.
  package var policyDigest: [UInt8]
  /// The oldest kernel the messages may be sent to.
  package var minimumKernel: KernelRelease
  /// Whether the regions of `management` were proved reachable; otherwise the applier wants `--force`.
  package var isManagementProved: Bool
  /// The root file system is one over the network, and the policy says so.
  package var hasNetworkRoot: Bool
  /// Where no closed firewall can be loaded, what needs the network starts all the same.
  package var staysUnprotected: Bool
  /// Where the applier is process 1 and no policy can be applied, it halts the machine and starts nothing.
  package var haltsOnFailure: Bool
  /// Finished netlink messages, in the order of the fresh batch, without BATCH_BEGIN and BATCH_END.
  package var messages: [BundleMessage]
  /// The same for the table that stands before the policy's; none: there is no such stage.
  package var closed: [BundleMessage]
  /// Ids of the source rules; a message's sequence number is an index into this list, 1-based.
  package var sources: [BundleSource]
  package var sysctls: [BundleSysctl]
  package var mounts: [BundleMount]
  /// Nil: the policy has none.
  package var systemCalls: BundleFilter?
  package var late: [BundleLateItem]
  /// Sorted by kind.
  package var kernel: [BundleKernelItem]
  package var programs: [BundleProgram]
  /// Sorted by program and instruction.
  package var relocations: [BundleRelocation]
  /// What is in the policy but not in this bundle's power, one line each, for the status report.
  package var notEnforced: [[UInt8]]
  /// The text of `policy.map.json`.
  package var sourceMap: [UInt8]

  package init(policyName: [UInt8], policyDigest: [UInt8], minimumKernel: KernelRelease) {
    self.policyName = policyName
    self.policyDigest = policyDigest
    self.minimumKernel = minimumKernel
    isManagementProved = false
    hasNetworkRoot = false
    staysUnprotected = false
    haltsOnFailure = false
    messages = []
    closed = []
    sources = []
    sysctls = []
    mounts = []
    late = []
    kernel = []
    programs = []
    relocations = []
    notEnforced = []
    sourceMap = []
  }

  /// Whether bytes begin as a bundle does; nothing else can.
  package static func isBundle(_ bytes: [UInt8]) -> Bool { bytes.starts(with: BundleLayout.magic) }

  /// The SHA-256 that a bundle has in it, of all its bytes with that field as zeros: what `--pin` names, and a signature is
  /// of.
  ///
  /// - Precondition: it was read without an error.
  package static func checksum(in bytes: [UInt8]) -> ArraySlice<UInt8> {
    bytes[BundleLayout.checksumOffset..<(BundleLayout.checksumOffset + BundleLayout.digestLength)]
  }
}

/// One finished nf_tables message, from its nlmsghdr to its last padding byte.
package struct BundleMessage: Equatable {
  package typealias Kind = BundleMessageKind

  package var kind: BundleMessageKind
  package var bytes: [UInt8]

  package init(kind: BundleMessageKind, bytes: [UInt8]) {
    self.kind = kind
    self.bytes = bytes
  }
}

/// Where an item of the policy was written.
package struct BundleSource: Equatable {
  /// Item id, as in `input/ssh`.
  package var id: [UInt8]
  /// `FILE:LINE`.
  package var place: [UInt8]

  package init(id: [UInt8], place: [UInt8]) {
    self.id = id
    self.place = place
  }
}

package struct BundleSysctl: Equatable {
  package typealias Class = BundleSysctlClass

  /// Path below /proc/sys, as in `net/ipv4/conf/*/rp_filter`; `*` stands for all, default and each interface.
  package var path: [UInt8]
  package var value: [UInt8]
  package var strengthClass: BundleSysctlClass
  /// Per network namespace.
  package var isNamespaced: Bool
  /// Index into `sources`, 1-based.
  package var source: UInt32

  package init(
    path: [UInt8], value: [UInt8], strengthClass: BundleSysctlClass, isNamespaced: Bool, source: UInt32
  ) {
    self.path = path
    self.value = value
    self.strengthClass = strengthClass
    self.isNamespaced = isNamespaced
    self.source = source
  }
}

package struct BundleMount: Equatable {
  package var path: [UInt8]
  /// MOUNT_ATTR_* bits (linux/mount.h) to set and to clear.
  package var attributesSet: UInt64
  package var attributesCleared: UInt64
  package var isSelfBind: Bool
  /// Options of the file system, comma-separated as for mount(2); empty: none.
  package var options: [UInt8]
  package var source: UInt32

  package init(
    path: [UInt8], attributesSet: UInt64, attributesCleared: UInt64, isSelfBind: Bool, options: [UInt8],
    source: UInt32
  ) {
    self.path = path
    self.attributesSet = attributesSet
    self.attributesCleared = attributesCleared
    self.isSelfBind = isSelfBind
    self.options = options
    self.source = source
  }
}

/// What can be done only when something is there that the kernel would miss before.
package struct BundleLateItem: Equatable {
  package typealias Kind = BundleLateKind

  package var kind: BundleLateKind
  /// Name of the device, or path of the control group below the root of its hierarchy.
  package var name: [UInt8]
  /// A base chain, then its rules; or an element, whose key is the last 8 bytes, zero until the number is put there.
  package var messages: [BundleMessage]
  /// Index into `sources`, 1-based.
  package var source: UInt32

  package init(kind: BundleLateKind, name: [UInt8], messages: [BundleMessage], source: UInt32) {
    self.kind = kind
    self.name = name
    self.messages = messages
    self.source = source
  }
}

/// The level of the lockdown LSM, the seal, or a module.
package struct BundleKernelItem: Equatable {
  package typealias Kind = BundleKernelKind

  package var kind: BundleKernelKind
  /// Index into `sources`, 1-based; 0: none.
  package var source: UInt32
  /// Level, or name of a module; empty otherwise.
  package var text: [UInt8]

  package init(kind: BundleKernelKind, source: UInt32, text: [UInt8]) {
    self.kind = kind
    self.source = source
    self.text = text
  }
}

/// A program of the BPF LSM.
package struct BundleProgram: Equatable {
  package var stage: BundleProgramStage
  /// Name of the hook, as `kernel_post_read_file`.
  package var hook: [UInt8]
  /// `struct bpf_insn` of linux/bpf.h, one behind the other.
  package var instructions: [UInt8]

  package init(stage: BundleProgramStage, hook: [UInt8], instructions: [UInt8]) {
    self.stage = stage
    self.hook = hook
    self.instructions = instructions
  }
}

package struct BundleRelocation: Equatable {
  /// Index into `programs`, 1-based.
  package var program: UInt32
  /// Index of the instruction, 0-based.
  package var instruction: UInt32
  package var kind: BundleRelocationKind
  /// What it is the number of; empty for a device.
  package var text: [UInt8]

  package init(program: UInt32, instruction: UInt32, kind: BundleRelocationKind, text: [UInt8]) {
    self.program = program
    self.instruction = instruction
    self.kind = kind
    self.text = text
  }
}

/// A filter of system calls, as seccomp(2) takes it.
package struct BundleFilter: Equatable {
  package var scope: BundleFilterScope
  /// SECCOMP_FILTER_FLAG_* of linux/seccomp.h.
  package var flags: UInt32
  /// `struct sock_filter` of linux/filter.h, one behind the other: code u16, jt u8, jf u8, k u32.
  package var program: [UInt8]

  package init(scope: BundleFilterScope, flags: UInt32, program: [UInt8]) {
    self.scope = scope
    self.flags = flags
    self.program = program
  }
}
