internal import BundleFormat
internal import Diagnostics
internal import ModuleGuard
internal import NFTables
internal import PolicyModel
internal import Seccomp

/// Puts together what the applier needs.
enum BundleAssembly {
  static func bundle(
    _ policy: HostPolicy, digest: [UInt8], _ messages: KernelMessages, items: ItemList,
    filter: [FilterInstruction]?, isManagementProved: Bool, notEnforced: [String], sourceMap: [UInt8]
  ) -> BundleContents {
    let kernel = policy.target.kernel
    var bundle = BundleContents(
      policyName: Array(policy.name.utf8), policyDigest: digest,
      minimumKernel: KernelRelease(
        major: UInt16(clamping: kernel.major), minor: UInt16(clamping: kernel.minor)))
    bundle.isManagementProved = isManagementProved
    bundle.hasNetworkRoot = policy.boot.root == .network
    bundle.staysUnprotected = policy.boot.unprotected == .continue
    bundle.haltsOnFailure = policy.boot.onFailure == .halt
    bundle.messages = messages.rules.map { BundleMessage($0) }
    bundle.closed = messages.closed.map { BundleMessage($0) }
    bundle.sources = sources(items)
    bundle.sysctls = policy.sysctls.map { setting in
      BundleSysctl(
        path: Array(setting.path.utf8), value: Array(setting.value.utf8),
        strengthClass: BundleSysctl.Class(setting.strengthClass), isNamespaced: setting.isNamespaced,
        source: items.index(of: ItemID.sysctl(setting)))
    }
    bundle.mounts = policy.mounts.map { mount in
      BundleMount(
        path: Array(mount.path.utf8), attributesSet: attributes(mount.flags, isSet: true),
        attributesCleared: attributes(mount.flags, isSet: false), isSelfBind: mount.isSelfBind,
        options: Array(mount.options.joined(separator: ",").utf8),
        source: items.index(of: ItemID.mount(mount)))
    }
    bundle.systemCalls = filter.map { program in
      BundleFilter(
        scope: policy.systemCalls?.scope == .services ? .services : .everyProcess, flags: Self.specAllow,
        program: program.flatMap(\.bytes))
    }
    bundle.late = messages.deviceChains.map { chain in
      BundleLateItem(
        kind: .device, name: Array(chain.device.utf8), messages: chain.messages.map { BundleMessage($0) },
        source: chain.source)
    }
    bundle.late += messages.controlGroups.map { element in
      BundleLateItem(
        kind: .controlGroup, name: Array(element.path.utf8), messages: [BundleMessage(element.message)],
        source: element.source)
    }
    bundle.kernel = kernelItems(policy, items)
    let programs = ImageCheck(policy.modules).programs
    // Nothing is to be kept where nothing is loaded.
    for program in programs.isEmpty ? [] : programs + PinGuard.programs { bundle.add(program) }
    bundle.notEnforced = notEnforced.map { Array($0.utf8) }
    bundle.sourceMap = sourceMap
    return bundle
  }

  private static func sources(_ items: ItemList) -> [BundleSource] {
    var list: [BundleSource] = []
    list.reserveCapacity(items.items.count)
    // Lent out: the file's name is the same for all, and each copy would count a reference to it.
    let items = items.items.span
    for index in items.indices {
      var place: [UInt8] = []
      place.reserveCapacity(items[index].file.utf8.count + 12)
      place += items[index].file.utf8
      place.append(UInt8(ascii: ":"))
      place += String(items[index].position.line).utf8
      list.append(BundleSource(id: Array(items[index].id.utf8), place: place))
    }
    return list
  }

  private static func kernelItems(_ policy: HostPolicy, _ items: ItemList) -> [BundleKernelItem] {
    let modules = policy.modules
    var list: [BundleKernelItem] = []
    func add(_ kind: BundleKernelItem.Kind, _ text: String = "", source: UInt32 = 0) {
      list.append(BundleKernelItem(kind: kind, source: source, text: Array(text.utf8)))
    }
    if let level = policy.kernel.lockdown, level != KernelSettings.Lockdown.none {
      add(.lockdown, level.rawValue)
    }
    if modules.seal == .afterBoot { add(.sealAfterBoot) }
    if modules.deniesByDefault { add(.denyModules) }
    if modules.deniesCompressed { add(.denyCompressed) }
    for (kind, patterns) in [
      (BundleKernelItem.Kind.deniedModule, modules.denied), (.allowedModule, modules.allowed),
      (.requiredModule, modules.required),
    ] {
      for module in patterns {
        add(kind, module.pattern, source: items.index(of: ItemID.module(module)))
      }
    }
    return list
  }

  /// SECCOMP_FILTER_FLAG_SPEC_ALLOW of linux/seccomp.h: without it, kernels before 5.16 switch on SSBD and STIBP for
  /// every process under the filter, which is the whole system.
  private static let specAllow: UInt32 = 4

  /// MOUNT_ATTR_* of linux/mount.h.
  private static func attributes(_ flags: [MountFlag], isSet: Bool) -> UInt64 {
    flags.reduce(0) { attributes, flag in
      let (bit, sets): (UInt64, Bool) =
        switch flag {
        case .readOnly: (0x1, true)
        case .readWrite: (0x1, false)
        case .noSuid: (0x2, true)
        case .suid: (0x2, false)
        case .noDevices: (0x4, true)
        case .devices: (0x4, false)
        case .noExec: (0x8, true)
        case .exec: (0x8, false)
        case .noSymlinkFollow: (0x20_0000, true)
        case .symlinkFollow: (0x20_0000, false)
        }
      return sets == isSet ? attributes | bit : attributes
    }
  }
}

extension BundleContents {
  fileprivate mutating func add(_ program: KernelProgram) {
    programs.append(
      BundleProgram(
        stage: program.stage == .policy ? .policy : .seal, hook: Array(program.hook.utf8),
        instructions: program.instructions.flatMap(\.bytes)))
    for relocation in program.relocations {
      let (kind, text): (BundleRelocationKind, String) =
        switch relocation.symbol {
        case .enumerator(let name): (.enumerator, name)
        case .member(let name): (.member, name)
        case .negativeMember(let name): (.negativeMember, name)
        case .device: (.device, "")
        case .mount(let number): (.mount, String(number))
        case .mountNamespace: (.mountNamespace, "")
        }
      relocations.append(
        BundleRelocation(
          program: UInt32(programs.count), instruction: UInt32(relocation.instruction), kind: kind,
          text: Array(text.utf8)))
    }
  }
}

extension FilterInstruction {
  /// `struct sock_filter` of linux/filter.h, little-endian as every target is.
  var bytes: [UInt8] {
    [UInt8(truncatingIfNeeded: code), UInt8(code >> 8), jumpTrue, jumpFalse]
      + (0..<4).map { UInt8(truncatingIfNeeded: k >> (8 * $0)) }
  }
}

extension BundleMessage {
  fileprivate init(_ message: EncodedMessage) {
    self.init(kind: Kind(message.kind), bytes: message.bytes)
  }
}

extension BundleMessage.Kind {
  fileprivate init(_ kind: EncodedMessage.Kind) {
    self =
      switch kind {
      case .table: .table
      case .baseChain: .baseChain
      case .chain: .chain
      case .object: .object
      case .set: .set
      case .elements: .elements
      case .anonymousSet: .anonymousSet
      case .anonymousElements: .anonymousElements
      case .rule: .rule
      }
  }
}

extension BundleSysctl.Class {
  fileprivate init(_ strengthClass: SysctlClass) {
    self =
      switch strengthClass {
      case .restorable: .restorable
      case .lossy: .lossy
      case .oneWay: .oneWay
      case .neutral: .neutral
      }
  }
}
