/// Numbers of the file format; docs/bundle-format.md describes it. All integers are little-endian.
enum BundleLayout {
  /// A byte above 127, then a line end of each kind: a transfer as text shows in the first bytes.
  static let magic: [UInt8] = [0x89, 0x4c, 0x4b, 0x44, 0x0d, 0x0a, 0x1a, 0x0a]
  static let version: UInt16 = 1
  /// Byte order of the messages; the kernel's word size does not matter to them.
  static let littleEndian: UInt8 = 1
  /// Any machine of that byte order. Other values are for sections that depend on the instruction set.
  static let anyArchitecture: UInt16 = 0
  static let managementProvedFlag: UInt8 = 1
  static let networkRootFlag: UInt8 = 2
  static let staysUnprotectedFlag: UInt8 = 4
  static let haltsOnFailureFlag: UInt8 = 8
  static let knownFlags: UInt8 = 15

  static let versionOffset = 8
  static let byteOrderOffset = 10
  static let flagsOffset = 11
  static let architectureOffset = 12
  static let sectionCountOffset = 14
  static let totalLengthOffset = 16
  static let kernelMajorOffset = 24
  static let kernelMinorOffset = 26
  static let reservedOffset = 28
  static let policyDigestOffset = 32
  static let checksumOffset = 64
  static let tableOffset = 96

  static let digestLength = 32
  /// kind u32, entries u32, offset u64, length u64.
  static let tableEntryLength = 24
  static let alignment = 8

  // MOUNT_ATTR_RDONLY, NOSUID, NODEV, NOEXEC, NOSYMFOLLOW, linux/mount.h.
  static let knownMountAttributes: UInt64 = 0x1 | 0x2 | 0x4 | 0x8 | 0x20_0000

  // SECCOMP_FILTER_FLAG_SPEC_ALLOW of linux/seccomp.h.
  static let knownFilterFlags: UInt32 = 4

  // 16,384 instructions of 8 bytes.
  static let maximumProgramLength = 131_072

  static var headerLength: Int { tableOffset + tableEntryLength * BundleSection.allInFile.count }
  // Offsets stay far from the end of any Int, and the applier reads the file into memory.
  static let maximumLength = 1 << 30

  static func aligned(_ offset: Int, to alignment: Int = alignment) -> Int {
    (offset + alignment - 1) & ~(alignment - 1)
  }
}

/// Parts of a bundle, with the number that the section table gives them.
package enum BundleSection: UInt8, Sendable {
  case header = 0
  case policyName = 1
  case sources = 2
  case messageKinds = 3
  case messages = 4
  case sysctls = 5
  case mounts = 6
  case notEnforced = 7
  case sourceMap = 8
  case systemCalls = 9
  case late = 10
  case closedKinds = 11
  case closedMessages = 12
  case kernel = 13
  case programs = 14
  case relocations = 15

  /// In the order of the file; every bundle has all of them.
  static let allInFile: [BundleSection] = [
    .policyName, .sources, .messageKinds, .messages, .sysctls, .mounts, .notEnforced, .sourceMap,
    .systemCalls, .late, .closedKinds, .closedMessages, .kernel, .programs, .relocations,
  ]

  /// What messages call it.
  package var name: StaticString {
    switch self {
    case .header: "header"
    case .policyName: "policy name"
    case .sources: "sources"
    case .messageKinds: "message kinds"
    case .messages: "messages"
    case .sysctls: "sysctls"
    case .mounts: "mounts"
    case .notEnforced: "not enforced"
    case .sourceMap: "source map"
    case .systemCalls: "system calls"
    case .late: "late"
    case .closedKinds: "closed kinds"
    case .closedMessages: "closed messages"
    case .kernel: "kernel"
    case .programs: "programs"
    case .relocations: "relocations"
    }
  }
}
