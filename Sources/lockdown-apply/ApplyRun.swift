import CLinux

/// One run of the stages, in their order, and what came of them.
final class ApplyRun {
  let options: Options
  let reader: BundleReader
  let surroundings: Surroundings
  let firewall = FirewallReport()
  private(set) var firewallOutcome: FirewallOutcome?
  private var sysctls: SysctlStage?
  private var mounts: MountStage?
  private(set) var seal: SealStage?
  private(set) var programs: ProgramStage?
  private var preload: PreloadStage?
  private(set) var denied: [Item] = []
  private(set) var refusal: StaticString = ""

  init(_ options: Options, _ reader: BundleReader, _ surroundings: Surroundings) {
    self.options = options
    self.reader = reader
    self.surroundings = surroundings
  }

  var keys: [Item] { sysctls?.keys ?? [] }
  var places: [Item] { mounts?.places ?? [] }
  var latches: [Item] { seal?.latches ?? [] }
  var required: [Item] { preload?.items ?? [] }
  var checks: [Item] { programs?.items ?? [] }

  /// A key or mount was refused, and those of this run were taken back.
  var isTakenBack: Bool { sysctls?.hasFailed ?? false || mounts?.hasFailed ?? false }

  // MARK: Stages

  func run() -> ExitCode {
    if options.isClosedStage { return runClosedStage() }
    // Everything is looked at before anything is changed.
    if options.domains.sysctl { sysctls = SysctlStage(reader, surroundings) }
    if options.domains.mounts { mounts = MountStage(reader, surroundings) }
    // A try is of the firewall alone: the rest comes with its confirmation.
    if !options.isPartial, options.trySeconds == 0 {
      programs = ProgramStage(reader, surroundings)
      preload = PreloadStage(reader, isOutOfReach: !surroundings.isHost)
      seal = SealStage(reader, sysctls, programs, surroundings)
    }
    if !options.looksOnly, keys.count(.refused) > 0 {
      refusal = "a key cannot be written"
      seal?.refuse()
      return .refused
    }
    if !options.looksOnly, places.count(.refused) > 0 {
      refusal = "a mount cannot be changed"
      seal?.refuse()
      return .refused
    }
    // The batch may need them, and so may keys.
    if !options.looksOnly { preload?.apply() }
    if (preload?.items.count(.refused) ?? 0) > 0 {
      refusal = "a required module does not load"
      seal?.refuse()
      return .refused
    }
    if options.trySeconds > 0 { return tryFirewall() }
    if options.domains.firewall, !reader.messages.isEmpty {
      runFirewall(.policy)
    } else {
      applyRest()
    }
    finish()
    if let programs { denied = ModuleReport(reader, programs, isOutOfReach: !surroundings.isHost).items }
    return code()
  }

  private func runFirewall(_ table: OwnTable) {
    do {
      var stage = try FirewallStage(reader, table)
      firewallOutcome = stage.run(options, firewall)
      // Here, while the stage's socket is open: closing it waits for the kernel after a deletion.
      if case .equal? = firewallOutcome { applyRest() }
    } catch {
      firewall.fail("no netlink socket", errorNumber: error.errorNumber)
      firewallOutcome = .refused
    }
  }

  /// The firewall alone: its clock is the kernel's, and nobody's death keeps it from going back.
  private func tryFirewall() -> ExitCode {
    sysctls?.holdBack()
    mounts?.holdBack()
    do {
      var stage = try TryStage()
      firewallOutcome = stage.load(reader, seconds: options.trySeconds, firewall)
    } catch {
      firewall.fail("no netlink socket", errorNumber: error.errorNumber)
      firewallOutcome = .refused
    }
    switch firewallOutcome {
    case .equal?: return .equal
    case .unknown?: return .unknown
    default: return .refused
    }
  }

  private func runClosedStage() -> ExitCode {
    if NetworkRoot.isNamed(by: SmallFile.read(Array("/proc/cmdline"), limit: 4096) ?? []),
      !reader.hasNetworkRoot
    {
      Line("note: the root file system is one over the network, and `boot.root` does not say so").print()
    }
    if !reader.closed.isEmpty { runFirewall(.closed) }
    switch firewallOutcome {
    case .equal?, nil: return .equal
    case .unknown?: return .unknown
    case .different?: return .refused
    case .refused?:
      refusal = "host unprotected"
      return .refused
    }
  }

  /// What cannot be taken back comes last, and only where everything else was read back.
  private func finish() {
    guard let seal else { return }
    if options.isCheck {
      seal.expectSealed()
    } else if isVerified {
      seal.seal(isHealthy: options.isSeal)
    } else {
      seal.refuse()
    }
  }

  private var isVerified: Bool {
    switch firewallOutcome {
    case .equal?, nil: break
    default: return false
    }
    guard options.readsBack, !isTakenBack else { return false }
    return differenceCount + keys.count(.refused) + places.count(.refused) == 0
  }

  private var differenceCount: Int {
    keys.count(.different) + places.count(.different) + required.count(.different) + checks.count(.different)
  }

  private func applyRest() {
    guard !options.looksOnly else { return }
    sysctls?.apply()
    guard !(sysctls?.hasFailed ?? false) else { return }
    mounts?.apply()
    if mounts?.hasFailed ?? false { return sysctls?.putBack() ?? () }
    programs?.apply()
  }

  private func code() -> ExitCode {
    var hasChangedFirewall = false
    switch firewallOutcome {
    case .unknown?: return .unknown
    case .refused?: return .refused
    case .different?: return .refused
    case .equal(let form)?:
      if case .unchanged = form {} else { hasChangedFirewall = true }
    case nil: break
    }
    if options.looksOnly {
      let differs = differenceCount + latches.count(.different)
      if differs > 0 || seal?.result == .notVerified { return .refused }
    }
    if isTakenBack {
      // What was taken back is a gap beside a new firewall; without one, the state from before is there.
      let isBack = keys.count(.notPutBack) + places.count(.notPutBack) == 0
      return isBack && !hasChangedFirewall ? .refused : .gaps
    }
    return hasGaps ? .gaps : .equal
  }

  private var hasGaps: Bool {
    keys.hasGaps || places.hasGaps || latches.hasGaps || required.hasGaps || checks.hasGaps || denied.hasGaps
      || !options.isPartial && !reader.notEnforced.isEmpty
  }
}
