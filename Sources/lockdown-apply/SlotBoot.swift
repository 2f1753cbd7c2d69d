import CLinux

/// Applies the slot that a boot begins with, and keeps count of the boots that try a new one (SlotState).
struct SlotBoot {
  private let options: Options
  /// NUL at the end.
  private let statePath: [UInt8]

  // How often one slot is tried in a boot, and what others are given in between, in milliseconds.
  private static let attempts = 3
  private static let pause: Int32 = 200

  init(_ options: Options) {
    self.options = options
    statePath = Self.path(options.slotsPath, "/slots", [], "")
  }

  func run() -> ExitCode {
    // The command line changes slots under the same lock; it ends with this process.
    guard ApplierLock.takeFile(Self.path(options.slotsPath, "/lock", [], "")) != nil else { return .busy }
    let checksOwners = !Surroundings().isInUserNamespace
    let bytes: [UInt8]
    do { bytes = try TrustedFile.read(statePath, checksOwners: checksOwners) } catch {
      return refuse(error.reason, error.errorNumber)
    }
    guard var state = SlotState(bytes) else { return refuse("it is no list of slots", 0) }
    guard let boot = Self.bootID() else { return refuse("the kernel tells no boot id", 0) }
    if options.isSeal || options.isLate {
      // The mark of a healthy boot has made current what this boot tried.
      let name = options.isLate && state.trial == boot ? state.next : state.current
      return name.count == 0 ? refuse("no slot holds a bundle", 0) : apply(name, state).code
    }
    if options.isClosedStage {
      // The bundle is what is signed; the closed stage apart is for an initramfs.
      return apply(
        state.current.count > 0 ? state.current : state.next, state,
        options.keyPath.isEmpty ? ".closed" : ".bundle"
      ).code
    }
    if options.isSick { return giveUp(&state, boot) }
    if options.isHealthy { return keep(&state, boot) }
    let code = start(&state, boot)
    switch code {
    case .refused, .unknown: return ClosedTable.endWait() ? .closed : code
    default: return code
    }
  }

  // MARK: The health mark

  private func keep(_ state: inout SlotState, _ boot: [UInt8]) -> ExitCode {
    guard state.reachHealth(boot) else { return sayNothingNew() }
    let errorNumber = write(state)
    guard errorNumber == 0 else { return fail("what this boot tried is not kept", errorNumber) }
    say("slots: kept, it is the current one now: ", state.current)
    return .equal
  }

  /// What can be taken back goes back in this boot, and the next one begins with the current slot.
  private func giveUp(_ state: inout SlotState, _ boot: [UInt8]) -> ExitCode {
    guard state.trial == boot, !state.current.isEmpty else { return sayNothingNew() }
    state.giveUp()
    let code = fallBackFromFailed(state)
    // Not as if nothing were known: the next boot begins with that slot, whatever keeps it away now.
    switch code {
    case .refused, .busy: return .unknown
    default: return code
    }
  }

  private func sayNothingNew() -> ExitCode {
    Line("slots: this boot tried nothing new").print()
    return .equal
  }

  // MARK: The boot

  private func start(_ state: inout SlotState, _ boot: [UInt8]) -> ExitCode {
    let before = state
    switch state.beginBoot(boot) {
    case .nothing: return refuse("no slot holds a bundle", 0)
    case .current: return apply(state.current, state).code
    case .currentAfterGivingUp: return fallBackFromFailed(state)
    case .next:
      // Counted before anything is applied: a bundle that stops the host is tried as often as it was given.
      let errorNumber = state == before ? 0 : write(state)
      guard errorNumber == 0 else {
        _ = fail("the boot cannot be counted, so the next slot is not tried", errorNumber)
        return state.current.count == 0 ? .refused : fallBack(state)
      }
      return tryNext(&state)
    }
  }

  @inline(never)
  private func fallBackFromFailed(_ state: SlotState) -> ExitCode {
    say("slots: given up, no boot with it reached the health mark: ", state.failed)
    let errorNumber = write(state)
    if errorNumber != 0 { _ = fail("the slots are not written", errorNumber) }
    return fallBack(state)
  }

  private func tryNext(_ state: inout SlotState) -> ExitCode {
    say("slots: trying ", state.next)
    let outcome = apply(state.next, state)
    var isRefused = outcome.isTakenBack
    if case .refused = outcome.code { isRefused = true }
    guard isRefused else { return outcome.code }
    state.giveUp()
    say("slots: given up, it cannot be applied: ", state.failed)
    let errorNumber = write(state)
    if errorNumber != 0 { _ = fail("the slots are not written", errorNumber) }
    return state.current.count == 0 ? outcome.code : fallBack(state)
  }

  /// Applies the current slot in place of the next one.
  private func fallBack(_ state: SlotState) -> ExitCode {
    let outcome = apply(state.current, state)
    switch outcome.code {
    case .equal, .gaps, .fallback:
      say("slots: live again: ", state.current)
      if Surroundings().isHost {
        AuditTrail.record(.fallback, policy: [], digest: [], bundle: state.current, code: .fallback)
      }
      return .fallback
    default: return outcome.code
    }
  }

  /// The current slot is the last-known-good one.
  private func apply(_ name: [UInt8], _ state: SlotState, _ end: Literal = ".bundle") -> Worker.Outcome {
    options.bundlePath = Self.path(options.slotsPath, "/bundles/", name, end)
    if !state.current.isEmpty {
      options.lastGoodPath = Self.path(options.slotsPath, "/bundles/", state.current, ".bundle")
    }
    // What stood in the way once may be gone.
    for _ in 1..<Self.attempts {
      let outcome = Worker(options).run()
      guard outcome.isPassing, !options.isLate else { return outcome }
      lockdown_sleep(Self.pause)
    }
    return Worker(options).run()
  }

  // MARK: Files

  private func write(_ state: SlotState) -> Int {
    var text = Text()
    text.add(state.text)
    let errorNumber = StatusFile.write(text, to: statePath)
    guard errorNumber == 0 else { return errorNumber }
    // Else a power cut could take the count back.
    let folder = unsafe lockdown_open_at(lockdown_here, options.slotsPath, lockdown_open_list, 0)
    guard folder >= 0 else { return -folder }
    defer { close(Int32(folder)) }
    let synced = lockdown_sync(Int32(folder))
    return -synced == ErrorNumber.invalid ? 0 : -synced
  }

  private static func bootID() -> [UInt8]? {
    guard let text = SmallFile.read("/proc/sys/kernel/random/boot_id", limit: 64) else { return nil }
    let end = text.index(of: 0x0a, in: 0..<text.count) ?? text.count
    let id = text.copy(0..<end)
    return SlotState.isBootID(id) ? id : nil
  }

  private static func path(
    _ folder: [UInt8], _ middle: Literal, _ name: [UInt8], _ end: Literal
  ) -> [UInt8] {
    var path = Text()
    path.add(folder, 0..<(folder.count - 1))
    path.add(middle)
    path.add(name)
    path.add(end)
    path.add(byte: 0)
    return path.bytes
  }

  // MARK: Messages

  private func say(_ text: Literal, _ name: [UInt8]) {
    var line = Line(text)
    // As for policies, twelve digits on a console; the file has all of them.
    line.text.add(name, 0..<min(12, name.count))
    line.print()
  }

  private func fail(_ text: Literal, _ errorNumber: Int) -> ExitCode {
    var line = Line("slots: ")
    line.text.add(text)
    line.text.add(": ")
    line.text.add(errorNumber: errorNumber)
    line.print()
    return .refused
  }

  private func refuse(_ reason: Literal, _ errorNumber: Int) -> ExitCode {
    var line = Line("refused: ")
    line.text.addForeign(statePath, 0..<(statePath.count - 1))
    line.text.add(": ")
    line.text.add(reason)
    if errorNumber != 0 {
      line.text.add(": ")
      line.text.add(errorNumber: errorNumber)
    }
    line.print()
    return .refused
  }
}
