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
