/// What a message of a bundle makes.
package enum BundleMessageKind: UInt8 {
  case table = 1
  case baseChain = 2
  case chain = 3
  case object = 4
  /// A named set.
  case set = 5
  /// Elements of a named set.
  case elements = 6
  /// An anonymous set of the rule that follows, and its elements.
  case anonymousSet = 7
  case anonymousElements = 8
  case rule = 9
}

/// When a key is written, and whether it can be taken back.
package enum BundleSysctlClass: UInt8 {
  case restorable = 0
  case lossy = 1
  case oneWay = 2
  case neutral = 3
}

/// Who a filter of system calls is for.
package enum BundleFilterScope: UInt8 {
  /// All processes: it is installed before PID 1 runs.
  case everyProcess = 0
  /// Services and containers, by those who start them; the applier leaves it.
  case services = 1
}

/// What a late item waits for.
package enum BundleLateKind: UInt8 {
  /// A network device: the messages of its own base chain.
  case device = 1
  /// A control group: the message of the one element that a set takes, its number, which is not known before.
  case controlGroup = 2
}

/// What the kernel is asked for beside rules, keys and mounts. In the order of the section.
package enum BundleKernelKind: UInt8 {
  /// The level of the lockdown LSM, by its name.
  case lockdown = 1
  /// What lasts until reboot waits for a healthy boot, and then no module is loaded any more.
  case sealAfterBoot = 2
  case denyModules = 3
  /// Images of modules that are compressed.
  case denyCompressed = 4
  /// A name or pattern, as the three that follow.
  case deniedModule = 5
  case allowedModule = 6
  /// A name: loaded before anything is sealed.
  case requiredModule = 7

  package var isModule: Bool { rawValue >= BundleKernelKind.deniedModule.rawValue }
}

/// When a program for a hook of the kernel is loaded.
package enum BundleProgramStage: UInt8 {
  case policy = 1
  case seal = 2
}

/// What is added to the immediate of an instruction, for only the running kernel knows it.
package enum BundleRelocationKind: UInt8 {
  /// The value of an enumerator.
  case enumerator = 1
  /// The byte offset of a member: `STRUCT.MEMBER`.
  case member = 2
  case negativeMember = 3
  /// The number of the file system that holds the programs' names.
  case device = 4
  /// The number of its mount, `0`, or of the one that this hangs from, `1`, and so on.
  case mount = 5
  /// The number of the namespace of mounts.
  case mountNamespace = 6
}

package struct KernelRelease: Equatable {
  package var major: UInt16
  package var minor: UInt16

  package init(major: UInt16, minor: UInt16) {
    self.major = major
    self.minor = minor
  }
}
