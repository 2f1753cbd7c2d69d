import CLinux

extension ApplyRun {
  /// Prints what came of the run, and writes the status file.
  func report(_ code: ExitCode) {
    if firewallOutcome != nil, !options.isClosedStage { noteWaiting() }
    // Most of what a follower hears of is nothing to the policy.
    if options.follows, isQuiet(code) { return writeStatus(code) }
    printFirewall()
    printItems("sysctl", keys)
    printItems("mounts", places)
    printItems("kernel", latches)
    printItems("required modules", required)
    printItems("kernel programs", checks, reasonsOnce: true)
    for name in programs?.kept ?? [] {
      var line = Line("kernel programs: of an earlier policy, until the next boot: ")
      line.text.add(name)
      line.print()
    }
    printItems("denied modules", denied)
    if let seal, seal.result != .nothing, !options.isCheck {
      var line = Line("seal: ")
      line.text.add(seal.result.name)
      line.print()
    }
    if !options.isPartial {
      for entry in reader.notEnforced {
        var line = Line("not enforced: ")
        line.text.add(reader.bytes, entry)
        line.print()
      }
    }
    writeStatus(code)
    var line = Line("policy `")
    line.text.add(reader.bytes, reader.policyName)
    line.text.add("` sha256:")
    // Twelve digits name it on a console; the status file has all of them.
    let digest = reader.policyDigest.lowerBound
    line.text.addHex(reader.bytes, digest..<(digest + 6))
    line.text.add(": ")
    line.text.add(outcome(code))
    Self.add(refusal, &line)
    line.print()
  }

  private func noteWaiting() {
    for index in 0..<reader.late.count {
      let name = reader.late[index].name
      switch reader.late[index].kind {
      case .device:
        if WaitingChains.isThere(reader, index) { continue }
        firewall.note("until it is there waits the chain of device ", reader.bytes, name)
      case .controlGroup:
        if ControlGroup.number(reader.bytes, name) != 0 { continue }
        firewall.note("until it is there waits cgroup ", reader.bytes, name)
      }
    }
  }

  private func outcome(_ code: ExitCode) -> Literal {
    switch code {
    case .equal:
      options.looksOnly
        ? "the host equals it"
        : options.trySeconds > 0
          ? "tried, and then as before: `lockdown confirm` keeps it"
          : options.isClosedStage
            ? "closed until a policy is applied, or none of it is wanted"
            : options.isLate ? "what has come is in place" : "applied"
    case .gaps:
      options.looksOnly
        ? "the host equals it, but for what is named"
        : options.isLate
          ? "what has come is in place, but for what is named" : "applied, but for what is named"
    case .refused: options.looksOnly ? "the host differs" : "refused, the state from before is there"
    case .unknown: "could not tell what is loaded"
    case .fallback: "taken back, the last-known-good firewall is live"
    case .closed: "taken back, the host is closed"
    case .usage, .busy: "not run"
    }
  }

  private var firewallResult: Literal {
    switch firewallOutcome {
    case .equal(.unchanged)?: "unchanged"
    case .equal(.fresh)?: options.trySeconds > 0 ? "tried" : "applied"
    case .equal(.replaced)?: "replaced"
    case .equal(.completed)?: "completed"
    case .different?: "different"
    case .refused?: "refused"
    case .unknown?: "could not tell"
    case nil: reader.messages.isEmpty || options.isClosedStage ? "not in the policy" : "not asked for"
    }
  }

  /// A reason behind a comma.
  @inline(never)
  private static func add(_ reason: Literal, _ line: inout Line) {
    guard !reason.isEmpty else { return }
    line.text.add(", ")
    line.text.add(reason)
  }

  private func printFirewall() {
    guard let firewallOutcome else { return }
    var line = Line(options.isClosedStage ? "closed firewall: " : "firewall: ")
    line.text.add(firewallResult)
    if !firewall.failure.isEmpty {
      line.text.add(": ")
      line.text.add(firewall.failure)
    }
    line.print()
    printList(firewall.notes, "")
    if case .equal = firewallOutcome {
      printList(firewall.lost, "contents lost: set ")
      // A replaced policy differs in everything; a drift is what has the right label and other content.
      if isDrift { printList(firewall.differences, "repaired: ") }
    } else {
      printList(firewall.differences, "")
    }
    guard retreat != .none else { return }
    var last = Line("firewall: ")
    last.text.add(retreat.name)
    last.print()
  }

  private func printList(_ lines: [[UInt8]], _ prefix: Literal) {
    for entry in lines {
      var line = Line("firewall: ")
      line.text.add(prefix)
      line.text.add(entry)
      line.print()
    }
  }

  /// Whether the table had this policy's label before, and yet differed.
  private var isDrift: Bool {
    guard let label = firewall.loadedBefore, firewall.differenceCount > 0 else { return false }
    return label.isEqual(LoadedIdentity.label(of: reader))
  }

  /// A line of counts, and one for each item that is not as the policy says.
  ///
  /// - Parameter reasonsOnce: they stand or fall together: the first one says why.
  private func printItems(_ domain: Literal, _ items: [Item], reasonsOnce: Bool = false) {
    if items.isEmpty { return }
    var line = Line(domain)
    var separator: Literal = ": "
    for result in Item.Result.all where items.count(result) > 0 {
      line.text.add(separator)
      line.text.add(items.count(result))
      line.text.add(" ")
      line.text.add(result.name)
      separator = ", "
    }
    line.print()
    for item in items {
      switch item.result {
      // Keys of the whole host are many in a sandbox, and so are modules: the status file lists them.
      case .equal, .applied, .outOfReach, .againstAccident: continue
      default: break
      }
      var line = Line(domain)
      line.text.add(": ")
      line.text.add(item.name)
      line.text.add(": ")
      line.text.add(item.result.name)
      Self.add(item.reason, &line)
      if item.errorNumber != 0 { Self.add(ErrorNumber.name(item.errorNumber), &line) }
      if item.source > 0 {
        line.text.add(" (")
        line.text.add(reader.bytes, reader.sources[item.source - 1].place)
        line.text.add(")")
      }
      line.print()
      if reasonsOnce { return }
    }
  }

  // MARK: The status file

  private func writeStatus(_ code: ExitCode) {
    // In a user namespace /run/lockdown is somebody else's.
    let isDefault = options.statusPath.isEmpty
    if isDefault, surroundings.isInUserNamespace || options.isCheck { return }
    if isDefault { Runtime.makeFolder() }
    let place: Literal = options.isLate ? "/run/lockdown/late.json" : "/run/lockdown/status.json"
    let path = isDefault ? Array(place).terminated() : options.statusPath
    var line = Line("note: the status file is not written: ")
    var there = lockdown_file_status()
    // The new one would take its place: /dev/null's, say.
    if unsafe lockdown_status_at(lockdown_here, path, &there) == 0, !there.isRegularFile {
      line.text.add("what is there is not a file")
      return line.print()
    }
    let errorNumber = StatusFile.write(status(code), to: path, isShared: true)
    guard errorNumber != 0 else { return }
    line.text.add(errorNumber: errorNumber)
    line.print()
  }

  private func status(_ code: ExitCode) -> Text {
    var json = JSON()
    json.openObject()
    json.add("format", 1)
    json.add("policy", reader.bytes, reader.policyName)
    json.add("digest", hex: reader.bytes, reader.policyDigest)
    json.add("bundle", hex: reader.bytes, reader.checksum)
    json.add("check", options.isCheck)
    json.add("exit", Int(code.rawValue))
    json.add("outcome", text: outcome(code))
    json.add("owners-checked", !surroundings.isInUserNamespace)
    json.add("pinned", !options.pin.isEmpty)
    json.add("signed", !options.keyPath.isEmpty)
    addFirewall(&json)
    add("sysctl", keys, &json)
    add("mounts", places, &json)
    add("kernel", latches, &json)
    add("required-modules", required, &json)
    add("programs", checks, &json)
    json.add("programs-of-before", strings: programs?.kept ?? [])
    add("denied-modules", denied, &json)
    if let seal { json.add("seal", text: seal.result.name) }
    var lines: [[UInt8]] = []
    for entry in reader.notEnforced { lines.append(reader.bytes.copy(entry)) }
    json.add("not-enforced", strings: lines)
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
    json.add("generation-before", Int(firewall.generation.before))
    json.add("generation-after", Int(firewall.generation.after))
    json.add("failure", firewall.failure)
    json.add("drift", isDrift)
    if opening > 0 { json.add("open-for", opening == Trial.endless ? -1 : (opening + 999) / 1_000) }
    json.add("differences", strings: firewall.differences)
    json.add("contents-lost", strings: firewall.lost)
    json.add("difference-count", firewall.differenceCount)
    json.add("notes", strings: firewall.notes)
    json.add("retreat", text: retreat.name)
    json.add("foreign-chains", strings: firewall.foreign)
    json.closeObject()
  }

  private func add(_ domain: Literal, _ items: [Item], _ json: inout JSON) {
    json.openArray(domain)
    for item in items {
      json.openObject()
      json.add("name", item.name)
      json.add("result", text: item.result.name)
      json.add("wanted", item.wanted)
      json.add("found", item.found)
      if item.source > 0 {
        json.add("id", reader.bytes, reader.sources[item.source - 1].id)
        json.add("place", reader.bytes, reader.sources[item.source - 1].place)
      }
      json.add("reason", text: item.reason)
      if item.errorNumber != 0 { json.add("error", text: ErrorNumber.name(item.errorNumber)) }
      json.closeObject()
    }
    json.closeArray()
  }
}
