import CLinux

/// What came of the firewall where something failed behind it.
enum Retreat {
  /// Nothing did, or the firewall was not changed.
  case none
  case lastGood
  case closed
  /// There is nothing to go back to that is not wider.
  case stays
  case failed

  var name: Literal {
    switch self {
    case .none: ""
    case .lastGood: "the last-known-good one is live"
    case .closed: "the closed one is live"
    case .stays: "it stays: there is no last-known-good one, and the policy has no closed stage"
    case .failed: "neither the last-known-good one nor the closed one could be loaded"
    }
  }
}

/// The last-known-good bundle: that of the last run on this host that was whole and read back as its policy says.
/// Where there are slots, it is the current one.
enum LastGood {
  /// Beside the slots.
  static let path: Literal = "/var/lib/lockdown/last-good.bundle"
  private static let folder: Literal = "/var/lib/lockdown"

  /// Copies a bundle there, if it is not there yet.
  ///
  /// - Parameter path: NUL at the end; empty: nowhere.
  static func keep(_ reader: BundleReader, at path: [UInt8]) {
    guard !path.isEmpty else { return }
    let head = SmallFile.read(path, limit: reader.checksum.upperBound) ?? []
    if head.count == reader.checksum.upperBound, head.isEqual(reader.checksum, reader.bytes, reader.checksum)
    {
      return
    }
    _ = unsafe lockdown_make_folder(Array(folder).terminated(), 0o755)
    var text = Text()
    text.add(reader.bytes)
    let errorNumber = StatusFile.write(text, to: path)
    guard errorNumber != 0 else { return StatusFile.syncFolder(of: path) }
    var line = Line("note: the last-known-good bundle is not kept: ")
    line.text.add(errorNumber: errorNumber)
    line.print()
  }

  /// Nil: there is none, or after a message: it is refused.
  static func open(_ options: Options, at path: [UInt8], _ surroundings: Surroundings) -> BundleReader? {
    guard !path.isEmpty else { return nil }
    let descriptor = unsafe lockdown_open_at(lockdown_here, path, lockdown_open_key, 0)
    guard descriptor >= 0 else { return nil }
    close(Int32(descriptor))
    let (bundlePath, pin, keyPath) = (options.bundlePath, options.pin, options.keyPath)
    let isForced = options.isForced
    defer {
      (options.bundlePath, options.pin, options.keyPath) = (bundlePath, pin, keyPath)
      options.isForced = isForced
    }
    options.bundlePath = path
    options.pin = []
    // Signatures stand beside the bundles of slots.
    if options.slotsPath.isEmpty { options.keyPath = [] }
    // It was accepted before.
    options.isForced = true
    return Worker(options).open(surroundings)
  }

  /// Puts its firewall in the place of what is loaded. False after a message.
  static func apply(_ reader: BundleReader, _ options: Options) -> Bool {
    let report = FirewallReport()
    do {
      var stage = try FirewallStage(reader, .policy)
      if case .equal = stage.run(options, report) { return true }
    } catch { report.fail("no netlink socket", errorNumber: error.errorNumber) }
    var line = Line("firewall: the last-known-good one fails too: ")
    line.text.add(report.failure)
    line.print()
    return false
  }
}
