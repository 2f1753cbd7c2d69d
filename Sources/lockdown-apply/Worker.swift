import CLinux

/// Does what the command line asks for, from the bundle's file to the report.
struct Worker {
  private let options: Options

  init(_ options: Options) { self.options = options }

  /// What a run came to.
  struct Outcome {
    var code: ExitCode
    /// What failed behind the firewall has taken all of it back.
    var isTakenBack = false
    /// The kernel, or another writer, stood in the way: once more it may not.
    var isPassing = false
  }

  func run() -> Outcome {
    let surroundings = Surroundings()
    switch options.verdict {
    case .none: break
    case .confirm, .revert, .open: return Outcome(code: judge(surroundings))
    }
    guard let reader = open(surroundings) else {
      record(.refused, nil, surroundings)
      return Outcome(code: .refused)
    }
    guard hasRights(reader, surroundings) else { return Outcome(code: .unknown) }
    // Only what the run may change needs the lock.
    let lock: ApplierLock?
    if options.isCheck {
      lock = nil
    } else {
      lock = ApplierLock.take(forHost: wantsSysctls(reader) || wantsMounts(reader))
      guard lock != nil else { return Outcome(code: .busy) }
    }
    let (opening, pending) = TryStage.left()
    if opening > 0 { sayOpen(opening) }
    let isTryPending = pending > 0 && !options.isCheck
    if isTryPending, !options.isLate { return Outcome(code: waitFor(pending)) }
    // The one that is there is then the try's.
    let journal = isTryPending ? nil : journal(reader, surroundings)
    let left = options.isCheck || isTryPending ? nil : Journal.read(surroundings)
    let isLeft = !(left?.isEmpty ?? true)
    if isLeft {
      Line("note: an earlier run did not come to its end; what it has left is looked at as anything else")
        .print()
    }
    if options.trySeconds > 0 {
      // Keys and mounts wait for the confirmation, and what may be old or new stays named until then.
      if let left { journal?.keepItems(of: left) }
      guard mayTry(reader, journal, surroundings) else { return Outcome(code: .refused) }
    }
    let run = ApplyRun(options, reader, surroundings, journal)
    run.isTryPending = isTryPending
    run.opening = opening
    let code = run.run()
    run.report(code)
    run.removeJournal(isLeft && options.trySeconds == 0)
    if isTryPending { completeTry(surroundings) }
    if !options.isLate || !run.isQuiet(code) { record(code, reader, surroundings) }
    return Outcome(code: code, isTakenBack: run.isGivenUp, isPassing: run.isPassing)
  }

  /// Without items. Nil: none can be kept, for /run/lockdown is somebody else's, or the path is not to be noted.
  private func journal(_ reader: BundleReader, _ surroundings: Surroundings) -> Journal? {
    guard !surroundings.isInUserNamespace || options.trySeconds > 0, !options.isClosedStage,
      var path = try? TrustedFile.Walk.absolute(options.bundlePath)
    else { return nil }
    if path.last != 0 { path.append(0) }
    if path.index(of: 0x0a, in: 0..<path.count) != nil {
      // Nobody could confirm it.
      if options.trySeconds > 0 { return nil }
      path = [0x3f, 0]
    }
    var checksum = Text()
    checksum.addHex(reader.bytes, reader.checksum)
    return Journal(bundlePath: path, checksum: checksum.bytes, domains: options.domains)
  }

  // MARK: Tries

  /// Whether there is something to try, and a note of it for who confirms.
  private func mayTry(_ reader: BundleReader, _ journal: Journal?, _ surroundings: Surroundings) -> Bool {
    guard wantsFirewall(reader) else {
      _ = refuse("there is no firewall to try")
      return false
    }
    guard let journal else {
      _ = refuse("no journal, which --try needs: the bundle's path is not to be noted")
      return false
    }
    let errorNumber = journal.write(surroundings)
    guard errorNumber != 0 else { return true }
    var line = Line("refused: no journal, which --try needs: ")
    line.text.add(errorNumber: errorNumber)
    line.print()
    return false
  }

  @inline(never)
  private func refuse(_ reason: Literal) -> ExitCode {
    var line = Line("refused: ")
    line.text.add(reason)
    line.print()
    return .refused
  }

  private func waitFor(_ left: Int) -> ExitCode {
    var line = Line("busy: a policy is tried for another ")
    line.text.add((left + 999) / 1_000)
    line.text.add(" s: `lockdown confirm` keeps it, `lockdown revert` ends it")
    line.print()
    return .busy
  }

  private func judge(_ surroundings: Surroundings) -> ExitCode {
    guard surroundings.mayWriteFirewall else {
      Line("no privilege: the firewall wants CAP_NET_ADMIN").print()
      return .unknown
    }
    let lock = ApplierLock.take(forHost: true)
    guard lock != nil else { return .busy }
    switch options.verdict {
    case .confirm: return confirm(surroundings)
    case .open: return openHost(surroundings)
    case .revert, .none: return revert(surroundings)
    }
  }

  private func openHost(_ surroundings: Surroundings) -> ExitCode {
    let left = TryStage.left().trying
    if left > 0 { return waitFor(left) }
    let report = FirewallReport()
    var outcome = FirewallOutcome.refused
    do {
      var stage = try TryStage()
      outcome = try stage.open(seconds: options.openSeconds, report)
    } catch { report.fail("netlink", errorNumber: error.errorNumber) }
    if case .equal = outcome {
      sayOpen(options.openSeconds * 1_000)
      record(.equal, nil, surroundings, as: .open)
      return .equal
    }
    var line = Line("refused: ")
    line.text.add(report.failure)
    line.print()
    record(.refused, nil, surroundings, as: .open)
    if case .unknown = outcome { return .unknown }
    return .refused
  }

  /// - Parameter left: milliseconds.
  @inline(never)
  private func sayOpen(_ left: Int) {
    var line = Line("open: everything passes this firewall ")
    if left < Trial.endless {
      line.text.add("for another ")
      line.text.add((left + 999) / 1_000)
      line.text.add(" s, or ")
    }
    line.text.add("until a policy is applied")
    line.print()
  }

  private func revert(_ surroundings: Surroundings) -> ExitCode {
    let (opening, pending) = TryStage.left()
    let report = FirewallReport()
    var isAway = false
    do {
      var stage = try TryStage()
      isAway = try stage.takeAway(report)
    } catch { report.fail("netlink", errorNumber: error.errorNumber) }
    guard isAway else {
      var line = Line("not reverted, the kernel does it by itself: ")
      line.text.add(report.failure)
      line.print()
      return .unknown
    }
    // One with items is of a run that did not come to its end: the next one says so.
    if Journal.read(surroundings)?.isEmpty ?? false { Journal.remove(surroundings) }
    guard opening + pending > 0 else { return refuse("no try is pending, and nothing is open") }
    record(.equal, nil, surroundings, as: .revert)
    if pending > 0 { Line("try: reverted, the firewall from before rules").print() }
    if opening > 0 { Line("open: reverted, the firewall rules again").print() }
    return .equal
  }

  private func confirm(_ surroundings: Surroundings) -> ExitCode {
    let left = TryStage.left().trying
    guard left > 0 else { return refuse("no try is pending") }
    guard let journal = Journal.read(surroundings) else {
      return refuse("no journal says what is tried")
    }
    // What is begun now must be done before the kernel goes back.
    guard left >= 2_000 else {
      return refuse("less than two seconds are left, and then the firewall from before rules")
    }
    if !options.isAtConsole {
      guard let ends = Connection.ofCaller() else {
        return refuse("this is no SSH connection; --console confirms at the machine")
      }
      guard TryStage.isFresh(ends) else {
        return refuse("this connection is older than the try: open a new connection and confirm there")
      }
    }
    options.verdict = .none
    options.domains = journal.domains
    options.isPartial = journal.domains.digit != Options.Domains.all.digit
    guard let reader = openTried(journal, surroundings) else { return .refused }
    let run = ApplyRun(
      options, reader, surroundings,
      Journal(bundlePath: journal.bundlePath, checksum: journal.checksum, domains: journal.domains))
    let code = run.run()
    run.report(code)
    switch code {
    case .equal, .gaps: Journal.remove(surroundings)
    default: break
    }
    record(code, reader, surroundings, as: .confirm)
    return code
  }

  /// The bundle that is tried; nil after a message.
  private func openTried(_ journal: Journal, _ surroundings: Surroundings) -> BundleReader? {
    options.bundlePath = journal.bundlePath
    // Whoever tried it has said so.
    options.isForced = true
    guard let reader = open(surroundings) else { return nil }
    var checksum = Text()
    checksum.addHex(reader.bytes, reader.checksum)
    if checksum.bytes.isEqual(journal.checksum) { return reader }
    _ = refuse("the bundle is another one than was tried")
    return nil
  }

  /// The tried policy rules as long as the try lasts, and what has come is for it as well.
  private func completeTry(_ surroundings: Surroundings) {
    guard let journal = Journal.read(surroundings) else { return }
    options.pin = []
    options.keyPath = []
    guard let tried = openTried(journal, surroundings) else { return }
    let report = FirewallReport()
    var rules = false
    guard case .equal = LateStage.run(tried, report, rules: &rules) else {
      var line = Line("try: what has come is not in place: ")
      line.text.add(report.failure)
      return line.print()
    }
  }

  /// Of this host only: a namespace is not what its log is about.
  private func record(
    _ code: ExitCode, _ reader: BundleReader?, _ surroundings: Surroundings, as given: AuditTrail.Event? = nil
  ) {
    guard !options.isCheck, surroundings.isHost else { return }
    var (policy, digest, bundle) = (Text(), Text(), Text())
    if let reader {
      policy.add(reader.bytes, reader.policyName)
      digest.addHex(reader.bytes, reader.policyDigest)
      bundle.addHex(reader.bytes, reader.checksum)
    }
    var event = AuditTrail.Event.apply
    if options.isSeal { event = .seal }
    if options.isClosedStage { event = .close }
    if options.isLate { event = .late }
    if options.trySeconds > 0 { event = .try }
    if let given { event = given }
    if case .refused = code { event = .refuse }
    AuditTrail.record(
      event, policy: policy.bytes, digest: digest.bytes, bundle: bundle.bytes, code: code,
      seconds: options.openSeconds)
  }

  // MARK: The bundle

  /// Nil after a message: the bundle is refused, and nothing was changed.
  func open(_ surroundings: Surroundings) -> BundleReader? {
    guard let bytes = TrustedFile.readOrSay(options.bundlePath, surroundings) else { return nil }
    if surroundings.isInUserNamespace {
      Line("note: owners of the bundle and its folders are not checked in a user namespace").print()
    }
    let reader: BundleReader
    do { reader = try BundleReader(bytes) } catch {
      var line = Line("refused: ")
      line.text.addForeign(options.bundlePath, 0..<(options.bundlePath.count - 1))
      line.text.add(": ")
      line.text.add(Literal(error.reason.text))
      line.text.add(" (")
      line.text.add(Literal(error.section.name))
      line.text.add(", byte ")
      line.text.add(error.offset)
      line.text.add(")")
      line.print()
      return nil
    }
    return accepts(reader, surroundings) ? reader : nil
  }

  private func accepts(_ reader: BundleReader, _ surroundings: Surroundings) -> Bool {
    InitProcess.take(reader)
    if !options.pin.isEmpty, !reader.bytes.isEqual(reader.checksum, options.pin, 0..<options.pin.count) {
      var line = Line("refused: the bundle's SHA-256 is not the one that --pin names, but ")
      line.text.addHex(reader.bytes, reader.checksum)
      line.print()
      return false
    }
    if !options.keyPath.isEmpty, !Signature.isGood(reader, options, surroundings) { return false }
    if let release = Surroundings.kernelRelease() {
      let wanted = reader.minimumKernel
      if release.major < wanted.major || release.major == wanted.major && release.minor < wanted.minor {
        var line = Line("refused: the policy is for kernel ")
        line.text.add(Int(wanted.major))
        line.text.add(".")
        line.text.add(Int(wanted.minor))
        line.text.add(" or newer, this is ")
        line.text.add(Int(release.major))
        line.text.add(".")
        line.text.add(Int(release.minor))
        line.print()
        return false
      }
    }
    if options.isClosedStage { return true }
    if reader.messages.isEmpty, !reader.closed.isEmpty {
      Line("refused: it holds the closed firewall alone; --stage closed loads that").print()
      return false
    }
    if wantsFirewall(reader), !reader.isManagementProved, !options.isForced, !options.looksOnly {
      Line("refused: the compiler has not proved that management stays reachable; --force applies it").print()
      return false
    }
    return true
  }

  private func wantsFirewall(_ reader: BundleReader) -> Bool {
    options.isClosedStage ? !reader.closed.isEmpty : options.domains.firewall && !reader.messages.isEmpty
  }
  private func wantsSysctls(_ reader: BundleReader) -> Bool {
    options.domains.sysctl && !reader.sysctls.isEmpty
  }
  private func wantsMounts(_ reader: BundleReader) -> Bool {
    options.domains.mounts && !reader.mounts.isEmpty
  }

  private func hasRights(_ reader: BundleReader, _ surroundings: Surroundings) -> Bool {
    if wantsFirewall(reader), !surroundings.mayWriteFirewall {
      Line("no privilege: the firewall wants CAP_NET_ADMIN").print()
      return false
    }
    if wantsMounts(reader), !options.looksOnly, !surroundings.mayMount {
      Line("no privilege: mounts want CAP_SYS_ADMIN").print()
      return false
    }
    return true
  }
}
