import CLinux

/// Keeps the deadline; a forked worker does the rest.
///
/// A worker can hang in the kernel, and one that an oops ended may leave the nf_tables mutex held. Then this
/// process still ends, with a line that says so.
struct Supervisor {
  private let options: Options

  // What a worker is given to die in, and what a second child is given to read the end state, in milliseconds.
  private static let grace: Int64 = 2_000
  // PID_MAX has no meaning here: wait results from 256 on are signals (`lockdown_end_of`).
  private static let firstSignal = 256

  /// A worker of this process hangs in the kernel: who asks netlink now may hang as well.
  nonisolated(unsafe) private(set) static var hasHung = false

  init(_ options: Options) { self.options = options }

  func run() -> Int32 {
    let end = lockdown_milliseconds() + Int64(options.deadline) * 1_000
    guard let child = Child.start({ Self.work(options).rawValue }) else {
      Line("no process could be started").print()
      return ExitCode.unknown.rawValue
    }
    if child.wait(until: end) {
      if let code = child.result() { return code }
      let status = child.end()
      if status < Self.firstSignal { return Int32(status) }
      var line = Line("the worker was ended by signal ")
      line.text.add(status - Self.firstSignal)
      line.print()
    } else {
      child.kill()
      var line = Line("deadline of ")
      line.text.add(options.deadline)
      line.text.add(" s: the worker is ended")
      line.print()
      guard child.wait(until: lockdown_milliseconds() + Self.grace) else {
        Line("it hangs in the kernel, and so may netlink: nothing more is asked").print()
        unsafe Self.hasHung = true
        return ExitCode.unknown.rawValue
      }
      _ = child.end()
    }
    reportEndState()
    return ExitCode.unknown.rawValue
  }

  private static func work(_ options: Options) -> ExitCode {
    options.slotsPath.isEmpty ? Worker(options).run().code : SlotBoot(options).run()
  }

  private func reportEndState() {
    let child = Child.start {
      var line = Line("loaded now: ")
      line.text.add(LoadedIdentity.read())
      line.print()
      return 0
    }
    guard let child, child.wait(until: lockdown_milliseconds() + Self.grace), child.result() == 0 else {
      Line("loaded now: could not tell").print()
      return
    }
  }
}

/// A forked process, and the pipe that gets its exit code, or hangs up when it ends without one.
private struct Child: ~Copyable {
  private let process: Int32
  private let pipe: Int32

  private init(process: Int32, pipe: Int32) {
    self.process = process
    self.pipe = pipe
  }

  deinit { close(pipe) }

  /// Nil if no process can be started. The body's value is the exit code.
  static func start(_ body: () -> Int32) -> Child? {
    var reading: Int32 = -1
    var writing: Int32 = -1
    guard unsafe lockdown_pipe(&reading, &writing) == 0 else { return nil }
    let parent = getpid()
    let process = lockdown_fork_worker()
    if process == 0 {
      close(reading)
      lockdown_die_with_parent()
      // The parent may have gone before the line above.
      if getppid() != parent { _exit(ExitCode.unknown.rawValue) }
      let code = body()
      _ = unsafe lockdown_write(writing, [UInt8(truncatingIfNeeded: code)], 1)
      _exit(code)
    }
    close(writing)
    guard process > 0 else {
      close(reading)
      return nil
    }
    return Child(process: Int32(process), pipe: reading)
  }

  /// Its exit code; nil: it ended without one. Nobody waits until the kernel has taken the process apart, which
  /// costs as much time as a tenth of its work: the system's first process collects it, or a parent that stays
  /// (`lockdown_collect`).
  func result() -> Int32? {
    var code: [UInt8] = [0]
    return unsafe lockdown_read(pipe, &code, 1) == 1 ? Int32(code[0]) : nil
  }

  /// Whether it finished or ended before `end`, in milliseconds of CLOCK_MONOTONIC.
  func wait(until end: Int64) -> Bool {
    while true {
      let left = end - lockdown_milliseconds()
      let result = lockdown_wait_for(pipe, Int32(clamping: max(left, 0)))
      if result > 0 { return true }
      if result == 0 && left <= 0 || result < 0 && -result != ErrorNumber.interrupted { return false }
    }
  }

  func kill() { _ = lockdown_kill(process) }

  /// - Precondition: it has ended; else this waits.
  func end() -> Int { lockdown_end_of(process) }
}
