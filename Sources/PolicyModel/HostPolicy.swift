package import Diagnostics

/// A checked policy: names resolved, types and ranges checked, lists ordered. Values only.
///
/// Every value carries the span it came from; spans never reach an output that has a digest.
package struct HostPolicy: Sendable {
  package var name: String
  package var description: String?
  package var owner: String?
  package var target: Target
  /// Address definitions that rules use by name, sorted by name; each becomes named kernel sets.
  package var addressSets: [NamedAddressSet]
  /// Sets that rules use and that are filled while the policy is in force, sorted by name.
  package var dynamicSets: [DynamicSet]
  package var firewall: Firewall?
  /// Sorted by key.
  package var sysctls: [SysctlSetting]
  /// Sorted by path: a parent stands before its children.
  package var mounts: [MountSetting]
  package var modules: ModulePolicy
  package var kernel: KernelSettings
  /// Nil: the policy says nothing of system calls.
  package var systemCalls: SystemCallFilter?
  package var boot: BootSettings
  package var management: Management
  package var expectations: [Statement]
  package var guarantees: [Statement]
  package var delegations: [Statement]
  /// `loosen` of this policy alone.
  package var exceptions: [PolicyException]
  /// What the delegations of its base were used for, in the order of those.
  package var openings: [DelegatedOpening]
  /// The policies it extends, each as merged, the root first.
  package var ancestors: [HostPolicy]
  /// Of the `policy:` line, for findings about the whole.
  package var span: SourceSpan

  package init(name: String, target: Target, span: SourceSpan) {
    self.name = name
    self.target = target
    addressSets = []
    dynamicSets = []
    sysctls = []
    mounts = []
    modules = ModulePolicy()
    kernel = KernelSettings()
    boot = BootSettings()
    management = .unstated
    expectations = []
    guarantees = []
    delegations = []
    exceptions = []
    openings = []
    ancestors = []
    self.span = span
  }
}

/// What the policy is compiled for.
package struct Target: Sendable, Equatable {
  package enum Architecture: String, Sendable, CaseIterable {
    // The kernel's own name.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    case x86_64
    case aarch64
  }

  /// The oldest kernel to load on.
  package var kernel: KernelVersion
  package var architectures: [Architecture]

  package init(kernel: KernelVersion, architectures: [Architecture] = Architecture.allCases) {
    self.kernel = kernel
    self.architectures = architectures
  }
}

package struct KernelVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
  package var major: Int
  package var minor: Int

  package init(_ major: Int, _ minor: Int) {
    self.major = major
    self.minor = minor
  }

  package static func < (a: KernelVersion, b: KernelVersion) -> Bool {
    (a.major, a.minor) < (b.major, b.minor)
  }

  package var description: String { "\(major).\(minor)" }
}

/// A definition of addresses that rules refer to.
package struct NamedAddressSet: Sendable {
  package var name: String
  package var addresses: AddressSet
  package var span: SourceSpan

  package init(name: String, addresses: AddressSet, span: SourceSpan) {
    self.name = name
    self.addresses = addresses
    self.span = span
  }
}

/// A definition of addresses that are not known when the policy is compiled; one set of the kernel for each family.
package struct DynamicSet: Sendable, Equatable {
  package enum Filler: String, Sendable {
    /// Rules with `add` and `update`.
    case rules
    /// Other programs.
    case others
  }

  package var name: String
  package var filler: Filler
  /// Addresses of each family.
  package var size: UInt32
  /// Seconds that an address stays; nil: until somebody takes it out.
  package var timeout: UInt64?
  /// Leading bits of each address that it holds, 0–32 and 0–128: one that begins with the same is in it.
  package var ipv4Bits: UInt8 = 32
  package var ipv6Bits: UInt8 = 128
  package var span: SourceSpan

  package init(name: String, filler: Filler, size: UInt32, timeout: UInt64?, span: SourceSpan) {
    self.name = name
    self.filler = filler
    self.size = size
    self.timeout = timeout
    self.span = span
  }

  /// nft's and the kernel's times are milliseconds in 64 bits, kept as a signed number of nanoseconds; seconds.
  package static let longestTimeout: UInt64 = 9_223_372_036
  /// Elements of the set of a limiter that has a key.
  package static let limiterSize: UInt32 = 65_535
}
