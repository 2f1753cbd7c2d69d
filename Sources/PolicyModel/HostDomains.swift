package import Diagnostics

/// How a sysctl may be taken back (APPLY.md §10).
package enum SysctlClass: String, Sendable, CaseIterable {
  case restorable
  /// A round trip loses state: `ip_forward`, `forwarding`, `disable_ipv6`.
  case lossy
  /// Cannot be lowered until reboot: latches. Belongs to the seal.
  case oneWay = "one-way"
  /// No security order; restorable.
  case neutral
}

/// Which of the interfaces a key speaks of.
package enum SysctlScope: String, Sendable, CaseIterable {
  case host
  /// `conf.all`, `conf.default` or `conf.IFACE` (or `neigh.…`): one interface's tree.
  case interface
  /// Written with `*`: `all`, `default` and each interface, now and when one appears.
  case everyInterface = "every-interface"
}

/// One `sysctl: KEY: value`.
package struct SysctlSetting: Sendable {
  /// Dotted, as written; `*` stands for all interfaces, `/` for a dot inside an interface's name.
  package var key: String
  package var value: String
  package var strengthClass: SysctlClass
  package var scope: SysctlScope
  /// Per network namespace (`net.*` mostly), so that a sandbox can apply it.
  package var isNamespaced: Bool
  package var isKnown: Bool
  package var span: SourceSpan

  package init(
    key: String, value: String, strengthClass: SysctlClass, scope: SysctlScope, isNamespaced: Bool,
    isKnown: Bool, span: SourceSpan
  ) {
    self.key = key
    self.value = value
    self.strengthClass = strengthClass
    self.scope = scope
    self.isNamespaced = isNamespaced
    self.isKnown = isKnown
    self.span = span
  }

  /// The path below /proc/sys, `*` kept: dots become `/`, and `/` becomes `.`.
  package var path: String {
    String(key.map { $0 == "." ? "/" : $0 == "/" ? "." : $0 })
  }
}

/// A per-mount flag and its opposite.
package enum MountFlag: String, Sendable, CaseIterable {
  case readOnly = "ro"
  case readWrite = "rw"
  case noSuid = "nosuid"
  case suid
  case noDevices = "nodev"
  case devices = "dev"
  case noExec = "noexec"
  case exec
  case noSymlinkFollow = "nosymfollow"
  case symlinkFollow = "symfollow"

  package var opposite: MountFlag {
    switch self {
    case .readOnly: .readWrite
    case .readWrite: .readOnly
    case .noSuid: .suid
    case .suid: .noSuid
    case .noDevices: .devices
    case .devices: .noDevices
    case .noExec: .exec
    case .exec: .noExec
    case .noSymlinkFollow: .symlinkFollow
    case .symlinkFollow: .noSymlinkFollow
    }
  }
}

/// One `mounts: PATH: …`; a flag not named is left as it is.
package struct MountSetting: Sendable {
  /// Absolute, without `.`, `..` or a trailing slash.
  package var path: String
  /// In the order of `MountFlag.allCases`.
  package var flags: [MountFlag]
  /// `bind: self`: bound onto itself first, so that the flags have a mount of their own.
  package var isSelfBind: Bool
  /// Options of the file system (`size=16g`), as written.
  package var options: [String]
  package var span: SourceSpan

  package init(path: String, flags: [MountFlag], isSelfBind: Bool, options: [String], span: SourceSpan) {
    self.path = path
    self.flags = flags
    self.isSelfBind = isSelfBind
    self.options = options
    self.span = span
  }
}

/// A module name or glob; `-` is written `_`.
package struct ModulePattern: Sendable, Hashable {
  package var pattern: String
  package var span: SourceSpan

  package init(_ pattern: String, span: SourceSpan) {
    self.pattern = pattern
    self.span = span
  }

  package var isGlob: Bool { pattern.contains { "*?[".contains($0) } }
}

package struct ModulePolicy: Sendable {
  package enum Seal: String, Sendable, CaseIterable {
    case never
    case afterBoot = "after-boot"
  }

  package var deniesByDefault = false
  /// Each list sorted by pattern, without repetition.
  package var denied: [ModulePattern] = []
  package var allowed: [ModulePattern] = []
  package var required: [ModulePattern] = []
  package var seal = Seal.never
  package var deniesCompressed = false

  package init() {}
}

package struct KernelSettings: Sendable {
  package enum Lockdown: String, Sendable, CaseIterable {
    case none
    case integrity
    case confidentiality
  }

  package var lockdown: Lockdown?
  /// In the order written, without `module_blacklist`.
  package var commandLine: [Parameter] = []

  package struct Parameter: Sendable {
    package var text: String
    package var span: SourceSpan

    package init(_ text: String, span: SourceSpan) {
      self.text = text
      self.span = span
    }
  }

  package init() {}
}

/// `boot:`: the closed stage, and what is done where it or the policy fails.
package struct BootSettings: Sendable {
  package enum Stage: String, Sendable, CaseIterable {
    case closed
    case none
  }

  package enum Root: String, Sendable, CaseIterable {
    case local
    case network
  }

  package enum Unprotected: String, Sendable, CaseIterable {
    case stop
    case `continue`
  }

  package enum OnFailure: String, Sendable, CaseIterable {
    case `init`
    case halt
  }

  package var stage = Stage.closed
  package var input: [Rule] = []
  package var root = Root.local
  /// Seconds.
  package var managementAfter: UInt64 = 120
  package var unprotected = Unprotected.stop
  package var onFailure = OnFailure.`init`
  /// Nil: the policy has no `boot`.
  package var span: SourceSpan?

  package init() {}
}
