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

package struct KernelRelease: Equatable {
  package var major: UInt16
  package var minor: UInt16

  package init(major: UInt16, minor: UInt16) {
    self.major = major
    self.minor = minor
  }
}
