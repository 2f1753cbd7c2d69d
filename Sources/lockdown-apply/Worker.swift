import CLinux

/// Does what the command line asks for, from the bundle's file to the report.
struct Worker {
  private let options: Options

  init(_ options: Options) { self.options = options }

  /// What a run came to.
  struct Outcome {
    var code: ExitCode
    /// Keys or mounts were refused after the firewall was there, and those of this run were taken back.
    var isTakenBack = false
  }

  func run() -> Outcome {
    let surroundings = Surroundings()
    guard let reader = open(surroundings) else { return Outcome(code: .refused) }
    guard hasRights(reader, surroundings) else { return Outcome(code: .unknown) }
    // Only what the run may change needs the lock.
    let lock: ApplierLock?
    if options.isCheck {
      lock = nil
    } else {
      lock = ApplierLock.take(forHost: wantsSysctls(reader) || wantsMounts(reader))
      guard lock != nil else { return Outcome(code: .busy) }
    }
    let run = ApplyRun(options, reader, surroundings)
    let code = run.run()
    run.report(code)
    return Outcome(code: code, isTakenBack: run.isTakenBack)
  }

  // MARK: The bundle

  /// Nil after a message: the bundle is refused, and nothing was changed.
  private func open(_ surroundings: Surroundings) -> BundleReader? {
    let bytes: [UInt8]
    do {
      bytes = try TrustedFile.read(options.bundlePath, checksOwners: !surroundings.isInUserNamespace)
    } catch {
      var line = Line("refused: ")
      line.text.addForeign(error.path)
      line.text.add(": ")
      line.text.add(error.reason)
      if error.errorNumber != 0 {
        line.text.add(": ")
        line.text.add(errorNumber: error.errorNumber)
      }
      line.print()
      return nil
    }
    if surroundings.isInUserNamespace {
      Line("note: owners of the bundle and its folders are not checked in a user namespace").print()
    }
    let reader: BundleReader
    do { reader = try BundleReader(bytes) } catch {
      var line = Line("refused: ")
      line.text.addForeign(options.bundlePath, 0..<(options.bundlePath.count - 1))
      line.text.add(": ")
      line.text.add(error.reason.text)
      line.text.add(" (")
      line.text.add(error.section.name)
      line.text.add(", byte ")
      line.text.add(error.offset)
      line.text.add(")")
      line.print()
      return nil
    }
    return accepts(reader) ? reader : nil
  }

  private func accepts(_ reader: BundleReader) -> Bool {
    if !options.pin.isEmpty, !reader.bytes.isEqual(reader.checksum, options.pin, 0..<options.pin.count) {
      var line = Line("refused: the bundle's SHA-256 is not the one that --pin names, but ")
      line.text.addHex(reader.bytes, reader.checksum)
      line.print()
      return false
    }
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
    if wantsFirewall(reader), !reader.isManagementProved, !options.isForced, !options.isCheck {
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
    if wantsMounts(reader), !options.isCheck, !surroundings.mayMount {
      Line("no privilege: mounts want CAP_SYS_ADMIN").print()
      return false
    }
    return true
  }
}
