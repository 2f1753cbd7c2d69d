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
  private(set) var refusal: Literal = ""
  /// Keys, mounts and programs were gone through.
  private var hasApplied = false
  private(set) var retreat = Retreat.none
  private let journal: Journal?
  private var hasJournal = false
  /// Milliseconds for which the host was yet open on purpose, when this run began (`Trial`).
  var opening = 0
  /// Another policy is tried in the place of this one: what cannot be taken back waits.
  var isTryPending = false
  /// What this run changes could not be written down before.
  private var hasNoJournal = false

  /// - Parameter journal: without items; nil: none is kept.
  init(_ options: Options, _ reader: BundleReader, _ surroundings: Surroundings, _ journal: Journal?) {
    self.options = options
    self.reader = reader
    self.surroundings = surroundings
    self.journal = journal
  }

  var keys: [Item] { sysctls?.keys ?? [] }
  var places: [Item] { mounts?.places ?? [] }
  var latches: [Item] { seal?.latches ?? [] }
  var required: [Item] { preload?.items ?? [] }
  var checks: [Item] { programs?.items ?? [] }

  /// A key or mount was refused, and those of this run were taken back.
  private var isTakenBack: Bool { sysctls?.hasFailed ?? false || mounts?.hasFailed ?? false }
  /// The policy did not stay.
  var isGivenUp: Bool { isTakenBack || retreat != .none }

  /// The firewall alone stood in the way.
  var isPassing: Bool {
    switch firewallOutcome {
    case .refused?, .unknown?: !options.looksOnly && retreat == .none
    default: false
    }
  }

  // MARK: Stages

  func run() -> ExitCode {
    if options.isClosedStage { return runClosedStage() }
    // Everything is looked at before anything is changed.
    if options.domains.sysctl { sysctls = SysctlStage(reader, surroundings) }
    if options.domains.mounts { mounts = MountStage(reader, surroundings) }
    if options.isLate { return runLate() }
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
    writeJournal()
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
    // The slots keep their own.
    if isVerified, !options.isPartial, !options.looksOnly, options.slotsPath.isEmpty {
      LastGood.keep(reader, at: lastGoodPath)
    }
    if let programs { denied = ModuleReport(reader, programs, isOutOfReach: !surroundings.isHost).items }
    return code()
  }

  private func runFirewall(_ table: OwnTable) {
    do {
      var stage = try FirewallStage(reader, table)
      firewallOutcome = stage.run(options, firewall)
      // Here, while the stage's socket is open: closing it waits for the kernel after a deletion.
      if case .equal(let form)? = firewallOutcome {
        applyRest()
        if hasApplied { lookAgain(&stage, form) }
      }
    } catch {
      firewall.fail("no netlink socket", errorNumber: error.errorNumber)
      firewallOutcome = .refused
    }
    if case .policy = table, firewall.isNeither || isTakenBack && hasChangedFirewall { goBack() }
  }

  /// Others may have changed the table while keys and mounts were set: it is loaded again, once.
  private func lookAgain(_ stage: inout FirewallStage, _ form: FirewallForm) {
    guard let now = NetlinkSocket.generation(), now != firewall.generation.after else { return }
    firewallOutcome = stage.run(options, firewall)
    guard case .equal(.unchanged)? = firewallOutcome else {
      return firewall.note("the table was changed behind this run, and loaded again")
    }
    firewallOutcome = .equal(form)
  }

  /// Something failed behind the new firewall, or it is not what was sent: it gives way, and never to a wider one than was
  /// there before.
  private func goBack() {
    // What nobody knows does not stay a moment longer than it must.
    var isClosed = firewall.isNeither && closes()
    if let good = LastGood.open(options, at: lastGoodPath, surroundings), LastGood.apply(good, options) {
      retreat = .lastGood
      return
    }
    if !isClosed { isClosed = closes() }
    retreat = isClosed ? .closed : firewall.isNeither || !reader.closed.isEmpty ? .failed : .stays
    if isClosed { _ = ClosedTable.endWait() }
  }

  private func closes() -> Bool { !reader.closed.isEmpty && ClosedTable.takeOver(reader, options) }

  /// Empty: there is none, and none is kept. NUL at the end.
  private var lastGoodPath: [UInt8] {
    if !options.lastGoodPath.isEmpty || !options.slotsPath.isEmpty || !surroundings.isHost {
      return options.lastGoodPath
    }
    return Array(LastGood.path).terminated()
  }

  // MARK: The journal

  private func writeJournal() {
    guard !options.isCheck, options.trySeconds == 0, let journal else { return }
    // Also where lossy keys are written alone.
    let isSealing = seal != nil || options.isLate
    journal.add("sysctl", keys, isSealing: isSealing)
    journal.add("mounts", places, isSealing: isSealing)
    journal.add("kernel", latches, isSealing: isSealing)
    journal.add("required modules", required, isSealing: isSealing)
    journal.add("kernel programs", checks, isSealing: isSealing)
    guard !journal.isEmpty else { return }
    let errorNumber = journal.write(surroundings)
    hasJournal = errorNumber == 0
    hasNoJournal = !hasJournal
    guard hasNoJournal else { return }
    var line = Line("no journal: what this run changes is noted nowhere before: ")
    line.text.add(errorNumber: errorNumber)
    line.print()
  }

  /// The run has come to its end, and its report says what became of each.
  ///
  /// - Parameter isLeft: an earlier run has left one.
  func removeJournal(_ isLeft: Bool) { if hasJournal || isLeft { Journal.remove(surroundings) } }

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

  /// What was not there before. Each for itself: what is refused is listed, and what waits goes on waiting.
  private func runLate() -> ExitCode {
    if options.domains.firewall, !reader.messages.isEmpty {
      var rules = false
      firewallOutcome = LateStage.run(reader, firewall, rules: &rules)
      // Keys and mounts of a policy that is not live, or only tried, wait for it.
      guard rules else {
        sysctls?.holdBack()
        mounts?.holdBack()
        return code()
      }
    }
    writeJournal()
    sysctls?.apply(takesBack: false)
    mounts?.apply(takesBack: false)
    if !isTryPending { sysctls?.writeLossy() }
    return code()
  }

  /// Whether a late run has changed something, or could not.
  func isQuiet(_ code: ExitCode) -> Bool {
    switch firewallOutcome {
    case .equal(.unchanged)?, nil: break
    default: return false
    }
    return keys.count(.applied) + places.count(.applied) + keys.count(.refused) + places.count(.refused) == 0
  }

  private func runClosedStage() -> ExitCode {
    if NetworkRoot.isNamed(by: SmallFile.read("/proc/cmdline", limit: 4096) ?? []),
      !reader.hasNetworkRoot
    {
      Line("note: the root file system is one over the network, and `boot.root` does not say so").print()
    }
    if opening > 0, !options.isCheck {
      firewallOutcome = .equal(.unchanged)
    } else if !reader.closed.isEmpty {
      runFirewall(.closed)
    }
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
    hasApplied = true
    sysctls?.apply()
    guard !(sysctls?.hasFailed ?? false) else { return }
    mounts?.apply()
    if mounts?.hasFailed ?? false { return sysctls?.putBack() ?? () }
    programs?.apply()
  }

  private var hasChangedFirewall: Bool {
    switch firewallOutcome {
    case .equal(.fresh)?, .equal(.replaced)?: true
    default: false
    }
  }

  private func code() -> ExitCode {
    switch retreat {
    case .none: break
    case .lastGood: return .fallback
    case .closed: return .closed
    case .stays: return .gaps
    case .failed: return .unknown
    }
    switch firewallOutcome {
    case .unknown?: return .unknown
    case .refused?: return .refused
    case .different?: return .refused
    case .equal?, nil: break
    }
    if options.looksOnly {
      let differs = differenceCount + latches.count(.different)
      if differs > 0 || seal?.result == .notVerified { return .refused }
    }
    if isTakenBack {
      // The firewall is as it was.
      return keys.count(.notPutBack) + places.count(.notPutBack) == 0 ? .refused : .gaps
    }
    return hasGaps || hasNoJournal ? .gaps : .equal
  }

  private var hasGaps: Bool {
    keys.hasGaps || places.hasGaps || latches.hasGaps || required.hasGaps || checks.hasGaps || denied.hasGaps
      || !options.isPartial && !reader.notEnforced.isEmpty
  }
}
