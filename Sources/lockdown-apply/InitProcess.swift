import CLinux

/// The applier as process 1 (`init=/usr/sbin/lockdown-apply`): closes the host, applies the policy, filters the system
/// calls of all that comes behind it, and becomes the system's own init. It never ends.
///
/// `--- COMMAND …` names that init, and what stands before is then the applier's own; else all words are for the init, as
/// the kernel hands them over, and the policy is that of the slots.
@safe struct InitProcess {
  private let words: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
  private let arguments: [[UInt8]]

  private static let slots: Literal = "/var/lib/lockdown"
  // As kernel_init() of init/main.c tries them.
  private static let programs: [Literal] = ["/sbin/init", "/etc/init", "/bin/init", "/bin/sh"]

  init(_ words: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>, _ arguments: [[UInt8]]) {
    unsafe self.words = unsafe words
    self.arguments = arguments
  }

  func run() -> Never {
    // Without an initramfs nobody has mounted them. Where somebody has, this is refused.
    for (kind, place) in [("proc", "/proc"), ("sysfs", "/sys")] as [(Literal, Literal)] {
      if unsafe lockdown_open_at(lockdown_here, Self.probe(place), lockdown_open_place, 0) < 0 {
        _ = unsafe lockdown_mount_kind(Array(kind).terminated(), Array(place).terminated())
      }
    }
    unsafe Self.shared = lockdown_share(Self.sharedSize)
    let isApplied = apply() && filter()
    if !isApplied {
      if Self.halts {
        Line("process 1: no policy is applied, and it says that the machine then halts").print()
        lockdown_halt()
        Line("process 1: it does not halt, and waits").print()
        Self.sleep()
      }
      Line("process 1: no policy is applied: init starts all the same").print()
    }
    start()
  }

  /// What only the mounted file system has.
  private static func probe(_ place: Literal) -> [UInt8] {
    var path = Text(place)
    path.add(place.count == 5 ? "/self" : "/kernel")
    path.add(byte: 0)
    return path.bytes
  }

  // MARK: The policy

  private func apply() -> Bool {
    var own: [[UInt8]] = []
    for index in 0..<(separator ?? 0) {
      // What the kernel did not know comes first: `splash`, `single`.
      let isOurs = arguments[index].first == 0x2d || arguments[index].first == 0x2f
      if isOurs || !own.isEmpty { own.append(arguments[index]) }
    }
    let options = own.isEmpty ? Options() : Options.parse(own)
    if own.isEmpty { options?.slotsPath = Array(Self.slots).terminated() }
    if let options, options.appliesPolicy {
      let domains = (options.domains, options.isPartial)
      if !close(options), !own.isEmpty { closeBySlots() }
      options.isClosedStage = false
      (options.domains, options.isPartial) = domains
      switch ExitCode(rawValue: Supervisor(options).run()) {
      case .equal?, .gaps?, .fallback?: return true
      default: return false
      }
    }
    Line("process 1: its own words apply no policy").print()
    for word in own where word.first == 0x2f {
      let other = Options()
      other.bundlePath = word.terminated()
      if close(other) { return false }
    }
    closeBySlots()
    return false
  }

  /// Loads the closed stage alone; whether it is there.
  @inline(never)
  private func close(_ options: Options) -> Bool {
    options.isClosedStage = true
    options.domains = .none
    options.isPartial = true
    return Supervisor(options).run() == ExitCode.equal.rawValue
  }

  private func closeBySlots() {
    let options = Options()
    options.slotsPath = Array(Self.slots).terminated()
    _ = close(options)
  }

  /// Position of `--`, which a kernel's own command line can hold only once: there it is `---`.
  private var separator: Int? {
    for index in 0..<arguments.count where arguments[index].holds("--") || arguments[index].holds("---") {
      return index
    }
    return nil
  }

  // MARK: Init

  private func start() -> Never {
    if let separator, separator + 1 < arguments.count {
      // The program is the first word of those.
      unsafe fail(arguments[separator + 1], words.advanced(by: separator + 2))
    }
    let rest = unsafe separator == nil ? words : words.advanced(by: arguments.count)
    for program in Self.programs { unsafe fail(Array(program), rest) }
    Line("process 1: no init can be started").print()
    Self.sleep()
  }

  /// Comes back only where it cannot be started.
  private func fail(_ program: [UInt8], _ words: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) {
    let errorNumber = unsafe lockdown_become(program.terminated(), words)
    var line = Line("process 1: cannot be started: ")
    line.text.addForeign(program)
    line.text.add(": ")
    line.text.add(errorNumber: -errorNumber)
    line.print()
  }

  private static func sleep() -> Never {
    while true { lockdown_sleep(1_000_000) }
  }

  // MARK: What the worker hands over

  // Shared with it: a byte for `on-failure`, one that a filter is there, its length, flags, and instructions of struct
  // sock_filter, at most BPF_MAXINSNS.
  nonisolated(unsafe) private static var shared: Int = 0
  private static let programStart = 8
  private static let maximumInstructions = 4096
  private static var sharedSize: Int { programStart + 8 * maximumInstructions }

  /// Called by the worker when it has accepted a bundle.
  static func take(_ reader: BundleReader) {
    guard unsafe shared != 0, let memory = unsafe UnsafeMutablePointer<UInt8>(bitPattern: shared) else {
      return
    }
    unsafe memory[0] = reader.haltsOnFailure ? 1 : 0
    unsafe memory[1] = 0
    guard let calls = reader.systemCalls, case .everyProcess = calls.scope,
      calls.program.count <= 8 * maximumInstructions
    else { return }
    unsafe memory[1] = 1
    let count = calls.program.count / 8
    unsafe memory[2] = UInt8(truncatingIfNeeded: count)
    unsafe memory[3] = UInt8(truncatingIfNeeded: count >> 8)
    unsafe memory[4] = UInt8(truncatingIfNeeded: calls.flags)
    for index in 0..<calls.program.count {
      unsafe memory[programStart + index] = reader.bytes[calls.program.lowerBound + index]
    }
  }

  private static var halts: Bool {
    guard let memory = unsafe UnsafeMutablePointer<UInt8>(bitPattern: shared) else { return false }
    return unsafe memory[0] == 1
  }

  /// Last, for what is denied here is denied to all that follows. True also where the policy has no filter.
  private func filter() -> Bool {
    guard let memory = unsafe UnsafeMutablePointer<UInt8>(bitPattern: Self.shared), unsafe memory[1] == 1
    else {
      return true
    }
    let count = unsafe UInt16(memory[2]) | UInt16(memory[3]) << 8
    let result = unsafe lockdown_filter_calls(memory + Self.programStart, count, UInt32(memory[4]))
    guard result != 0 else { return true }
    var line = Line("process 1: the filter of system calls is refused: ")
    line.text.add(errorNumber: -result)
    line.print()
    return false
  }
}
