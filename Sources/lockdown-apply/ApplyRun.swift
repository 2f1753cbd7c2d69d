import CLinux

/// One run of the stages, in their order, and what came of them.
final class ApplyRun {
  private let options: Options
  private let reader: BundleReader
  private let surroundings: Surroundings
  private let firewall = FirewallReport()
  private var firewallOutcome: FirewallOutcome?
  private var sysctls: SysctlStage?
  private var mounts: MountStage?
  private var refusal: StaticString?

  init(_ options: Options, _ reader: BundleReader, _ surroundings: Surroundings) {
    self.options = options
    self.reader = reader
    self.surroundings = surroundings
  }

  // MARK: Stages

  func run() -> ExitCode {
    // Everything is looked at before anything is changed.
    if options.domains.sysctl { sysctls = SysctlStage(reader, surroundings) }
    if options.domains.mounts { mounts = MountStage(reader, surroundings) }
    if !options.isCheck, sysctls?.isRefusedBeforehand ?? false {
      refusal = "a key cannot be written"
      return .refused
    }
    if !options.isCheck, mounts?.count(.refused) ?? 0 > 0 {
      refusal = "a mount cannot be changed"
      return .refused
    }
    if options.domains.firewall, !reader.messages.isEmpty {
      do {
        var stage = try FirewallStage(reader)
        firewallOutcome = stage.run(options, firewall)
        // Here, while the stage's socket is open: closing it waits for the kernel after a deletion.
        if case .equal? = firewallOutcome { applyRest() }
      } catch {
        firewall.fail("no netlink socket", errorNumber: error.errorNumber)
        firewallOutcome = .refused
      }
    } else {
      applyRest()
    }
    return code()
  }

  private func applyRest() {
    guard !options.isCheck else { return }
    sysctls?.apply()
    guard !(sysctls?.hasFailed ?? false) else { return }
    mounts?.apply()
    if mounts?.hasFailed ?? false { sysctls?.putBack() }
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
    if options.isCheck {
      let differs = (sysctls?.count(.different) ?? 0) + (mounts?.count(.different) ?? 0)
      if differs > 0 { return .refused }
    }
    if sysctls?.hasFailed ?? false || mounts?.hasFailed ?? false {
      // What was taken back is a gap beside a new firewall; without one, the state from before is there.
      let isBack = (sysctls?.count(.notPutBack) ?? 0) + (mounts?.count(.notPutBack) ?? 0) == 0
      return isBack && !hasChangedFirewall ? .refused : .gaps
    }
    return hasGaps ? .gaps : .equal
  }

  private var hasGaps: Bool {
    let results: [SysctlStage.Result] = [.waiting, .absent, .outOfReach, .refused]
    return results.contains { sysctls?.count($0) ?? 0 > 0 || mounts?.count($0) ?? 0 > 0 }
      || !options.isPartial && !reader.notEnforced.isEmpty
  }

  // MARK: Reporting

  func report(_ code: ExitCode) {
    printFirewall()
    printSysctls()
    printMounts()
    if !options.isPartial {
      for entry in reader.notEnforced {
        var line = Line("not enforced: ")
        line.text.add(reader.bytes[entry])
        line.print()
      }
    }
    writeStatus(code)
    var line = Line("policy `")
    line.text.add(reader.bytes[reader.policyName])
    line.text.add("` sha256:")
    // Twelve digits name it on a console; the status file has all of them.
    line.text.addHex(reader.bytes[reader.policyDigest].prefix(6))
    line.text.add(": ")
    line.text.add(outcome(code))
    if let refusal {
      line.text.add(", ")
      line.text.add(refusal)
    }
    line.print()
  }

  private func outcome(_ code: ExitCode) -> StaticString {
    switch code {
    case .equal:
      if options.isCheck { return "the host equals it" }
      return "applied"
    case .gaps:
      return options.isCheck ? "the host equals it, but for what is named" : "applied, but for what is named"
    case .refused: return options.isCheck ? "the host differs" : "refused, the state from before is there"
    case .unknown: return "could not tell what is loaded"
    case .usage, .busy: return "not run"
    }
  }

  private var firewallResult: StaticString {
    switch firewallOutcome {
    case .equal(.unchanged)?: "unchanged"
    case .equal(.fresh)?: "applied to a host without a table of ours"
    case .equal(.replaced)?: "replaced"
    case .different?: "different"
    case .refused?: "refused"
    case .unknown?: "could not tell"
    case nil: reader.messages.isEmpty ? "not in the policy" : "not asked for"
    }
  }

  private func printFirewall() {
    guard firewallOutcome != nil else { return }
    var line = Line("firewall: ")
    line.text.add(firewallResult)
    if !firewall.failure.isEmpty {
      line.text.add(": ")
      line.text.add(firewall.failure)
    }
    line.print()
    printList(firewall.notes, "firewall: ")
    if case .equal? = firewallOutcome {
      // A replaced policy differs in everything; a drift is what has the right label and other content.
      if isDrift { printList(firewall.differences, "firewall: repaired: ") }
    } else {
      printList(firewall.differences, "firewall: ")
    }
  }

  private func printList(_ lines: [[UInt8]], _ prefix: StaticString) {
    for entry in lines {
      var line = Line(prefix)
      line.text.add(entry)
      line.print()
    }
  }

  /// Whether the table had this policy's label before, and yet differed.
  private var isDrift: Bool {
    guard let label = firewall.loadedBefore, firewall.differenceCount > 0 else { return false }
    var wanted = Text()
    wanted.add(reader.bytes[reader.policyName])
    wanted.add(" sha256:")
    wanted.addHex(reader.bytes[reader.policyDigest])
    return label.elementsEqual(wanted.bytes)
  }

  private static let reported: [SysctlStage.Result] = [
    .applied, .equal, .different, .waiting, .absent, .outOfReach, .refused, .putBack, .notPutBack,
  ]

  private func printSysctls() {
    guard let sysctls, !sysctls.keys.isEmpty else { return }
    var line = Line("sysctl:")
    for result in Self.reported where sysctls.count(result) > 0 {
      line.text.add(" ")
      line.text.add(sysctls.count(result))
      line.text.add(" ")
      line.text.add(result.name)
      line.text.add(",")
    }
    Self.endList(&line)
    line.print()
    for key in sysctls.keys {
      switch key.result {
      case .equal, .applied: continue
      case .outOfReach: continue  // One line says it for all of them.
      default: break
      }
      var line = Line("sysctl: ")
      line.text.add(key.path)
      line.text.add(": ")
      line.text.add(key.result.name)
      if let reason = reason(key) {
        line.text.add(", ")
        line.text.add(reason)
      }
      addSource(reader.sysctls[key.setting].source, &line)
      line.print()
    }
    if sysctls.count(.outOfReach) > 0 {
      Line("sysctl: keys of the whole host are out of reach in this namespace; the status file lists them")
        .print()
    }
  }

  private func reason(_ key: SysctlStage.Key) -> StaticString? {
    if key.isUnstable { return "it reads back otherwise" }
    if key.errorNumber != 0 { return ErrorNumber.name(key.errorNumber) }
    guard case .waiting = key.result else { return nil }
    switch reader.sysctls[key.setting].strengthClass {
    case .lossy: return "taking it back would lose state: for a later stage"
    default: return "it cannot be taken back: for the seal"
    }
  }

  private func printMounts() {
    guard let mounts, !mounts.places.isEmpty else { return }
    var line = Line("mounts:")
    for result in Self.reported where mounts.count(result) > 0 {
      line.text.add(" ")
      line.text.add(mounts.count(result))
      line.text.add(" ")
      line.text.add(result.name)
      line.text.add(",")
    }
    Self.endList(&line)
    line.print()
    for place in mounts.places {
      switch place.result {
      case .equal, .applied: continue
      default: break
      }
      let mount = reader.mounts[place.setting]
      var line = Line("mounts: ")
      line.text.add(reader.bytes[mount.path])
      line.text.add(": ")
      line.text.add(place.result.name)
      if place.reason.utf8CodeUnitCount > 0 {
        line.text.add(", ")
        line.text.add(place.reason)
      }
      if place.errorNumber != 0 {
        line.text.add(", ")
        line.text.add(errorNumber: place.errorNumber)
      }
      addSource(mount.source, &line)
      line.print()
    }
  }

  private static func endList(_ line: inout Line) {
    // The last comma.
    line.text.removeLast()
  }

  private func addSource(_ index: UInt32, _ line: inout Line) {
    guard index > 0 else { return }
    line.text.add(" (")
    line.text.add(reader.bytes[reader.sources[Int(index) - 1].place])
    line.text.add(")")
  }

  // MARK: The status file

  private func writeStatus(_ code: ExitCode) {
    // In a user namespace /run/lockdown is somebody else's.
    guard !options.statusPath.isEmpty || !surroundings.isInUserNamespace && !options.isCheck else { return }
    let isDefault = options.statusPath.isEmpty
    if isDefault { _ = unsafe lockdown_make_folder(Array("/run/lockdown") + [0], 0o755) }
    let path = isDefault ? Array("/run/lockdown/status.json") + [0] : options.statusPath
    let errorNumber = StatusFile.write(status(code), to: path)
    guard errorNumber != 0 else { return }
    var line = Line("note: the status file is not written: ")
    line.text.add(errorNumber: errorNumber)
    line.print()
  }

  private func status(_ code: ExitCode) -> Text {
    var json = JSON()
    json.openObject()
    json.add("format", 1)
    json.add("policy", reader.bytes[reader.policyName])
    json.add("digest", Self.hex(reader.bytes[reader.policyDigest]))
    json.add("bundle", Self.hex(reader.bytes[reader.checksum]))
    json.add("check", options.isCheck)
    json.add("exit", code.rawValue)
    json.add("outcome", text: outcome(code))
    json.add("owners-checked", !surroundings.isInUserNamespace)
    json.add("pinned", !options.pin.isEmpty)
    addFirewall(&json)
    json.openArray("sysctl")
    for key in sysctls?.keys ?? [] { add(key, &json) }
    json.closeArray()
    json.openArray("mounts")
    for place in mounts?.places ?? [] { add(place, &json) }
    json.closeArray()
    json.add("not-enforced", strings: reader.notEnforced.map { Array(reader.bytes[$0]) })
    json.add(
      "not-seen-by-the-firewall",
      text: "AF_PACKET and raw link-layer sockets, ARP, XDP, tc, bridged frames without br_netfilter")
    json.closeObject()
    var text = json.text
    text.add(byte: 0x0a)
    return text
  }

  private func addFirewall(_ json: inout JSON) {
    json.openObject("firewall")
    json.add("result", text: firewallResult)
    if let before = firewall.loadedBefore {
      json.add("loaded-before", before)
    } else {
      json.addNull("loaded-before")
    }
    json.add("attempts", firewall.attempts)
    json.add("generation-before", firewall.generation.before)
    json.add("generation-after", firewall.generation.after)
    json.add("failure", firewall.failure)
    json.add("drift", isDrift)
    json.add("differences", strings: firewall.differences)
    json.add("difference-count", firewall.differenceCount)
    json.add("notes", strings: firewall.notes)
    json.add("foreign-chains", strings: firewall.foreign)
    json.closeObject()
  }

  private func add(_ key: SysctlStage.Key, _ json: inout JSON) {
    let setting = reader.sysctls[key.setting]
    json.openObject()
    json.add("key", key.path)
    json.add("wanted", reader.bytes[setting.value])
    json.add("found", key.found)
    json.add("result", text: key.result.name)
    if let reason = reason(key) { json.add("reason", text: reason) }
    add(setting.source, &json)
    json.closeObject()
  }

  private func add(_ place: MountStage.Place, _ json: inout JSON) {
    let mount = reader.mounts[place.setting]
    json.openObject()
    json.add("path", reader.bytes[mount.path])
    json.add("set", mount.attributesSet)
    json.add("clear", mount.attributesCleared)
    json.add("found", place.before)
    json.add("options", reader.bytes[mount.options])
    json.add("result", text: place.result.name)
    if place.reason.utf8CodeUnitCount > 0 { json.add("reason", text: place.reason) }
    if place.errorNumber != 0 { json.add("error", text: ErrorNumber.name(place.errorNumber)) }
    add(mount.source, &json)
    json.closeObject()
  }

  private func add(_ source: UInt32, _ json: inout JSON) {
    guard source > 0 else { return }
    let entry = reader.sources[Int(source) - 1]
    json.add("id", reader.bytes[entry.id])
    json.add("place", reader.bytes[entry.place])
  }

  private static func hex(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    var text = Text()
    text.addHex(bytes)
    return text.bytes
  }
}

/// Writes a file so that a reader sees the old or the new one.
enum StatusFile {
  /// 0, or why not.
  ///
  /// - Parameter path: ends in NUL.
  static func write(_ text: Text, to path: [UInt8]) -> Int {
    var name = Text()
    name.add(path.dropLast())
    name.add(".")
    name.add(getpid())
    name.add(byte: 0)
    let temporary = name.bytes
    let descriptor = unsafe lockdown_open_at(lockdown_here, temporary, lockdown_open_new, 0o644)
    guard descriptor >= 0 else { return -descriptor }
    let isWritten = text.write(to: Int32(descriptor))
    let synced = lockdown_sync(Int32(descriptor))
    close(Int32(descriptor))
    var result = isWritten ? 0 : 28
    // Not every file system can: what matters then is the rename.
    if result == 0, synced != 0, -synced != ErrorNumber.invalid { result = -synced }
    if result == 0 { result = -(unsafe lockdown_rename(temporary, path)) }
    if result != 0 { _ = unsafe lockdown_remove(temporary) }
    return result
  }
}
