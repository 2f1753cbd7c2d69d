import CLinux

/// One applier at a time: a listening abstract socket, one per network namespace, and a locked file for the
/// domains of the host. Both are courtesy; the generation in each batch is what makes it right.
struct ApplierLock: ~Copyable {
  private var socket: Int32
  private var file: Int32

  // Milliseconds.
  private static let patience: Int64 = 10_000
  private static let pause: Int32 = 20
  private static let name: Literal = "lockdown-apply"

  deinit {
    if socket >= 0 { close(socket) }
    if file >= 0 { close(file) }
  }

  /// Nil after a message: another applier was still at work after ten seconds.
  static func take(forHost: Bool) -> ApplierLock? {
    let end = lockdown_milliseconds() + patience
    guard let socket = takeSocket(until: end) else { return nil }
    var lock = ApplierLock(socket: socket, file: -1)
    if forHost {
      Runtime.makeFolder()
      guard let file = takeFile(Array("/run/lockdown/lock").terminated()) else { return nil }
      lock.file = file
    }
    return lock
  }

  /// -1 where the name is taken by somebody who is no applier.
  private static func takeSocket(until end: Int64) -> Int32? {
    let name = Array(Self.name)
    var deafAttempts = 0
    while true {
      let listening = unsafe lockdown_listen_abstract(name, name.count)
      if listening >= 0 { return Int32(listening) }
      guard -listening == ErrorNumber.addressInUse else {
        warn("no lock could be taken: ", errorNumber: listening)
        return -1
      }
      let connected = unsafe lockdown_connect_abstract(name, name.count)
      if connected >= 0 {
        defer { close(Int32(connected)) }
        var process: Int32 = 0
        var user: UInt32 = 0
        _ = unsafe lockdown_peer(Int32(connected), &process, &user)
        guard user == 0 || user == getuid() else {
          var line = Line("the name of the lock is held by a process of another user, ignored: pid ")
          line.text.add(Int(process))
          line.text.add(", uid ")
          line.text.add(Int(user))
          line.print()
          return -1
        }
        // It hangs up when it ends.
        let left = end - lockdown_milliseconds()
        if left <= 0 || lockdown_wait_for(Int32(connected), Int32(clamping: left)) == 0 {
          var line = Line("busy: another applier is at work, pid ")
          line.text.add(Int(process))
          line.print()
          return nil
        }
      } else {
        // Between its bind and its listen an applier is deaf too, for microseconds; and a queue that others have filled
        // empties when its owner ends. Whose it is cannot be seen.
        deafAttempts += 1
        if -connected == ErrorNumber.connectionRefused ? deafAttempts > 10 : lockdown_milliseconds() >= end {
          warn(
            "the name of the lock is held by a process that does not answer: it is ignored", errorNumber: 0)
          return -1
        }
        lockdown_sleep(pause)
      }
    }
  }

  /// Of a file that only root can open. Nil after a message: another process of root still held it after ten
  /// seconds. -1 where it cannot be had.
  ///
  /// - Parameter path: NUL at the end.
  static func takeFile(_ path: [UInt8]) -> Int32? {
    let end = lockdown_milliseconds() + patience
    let file = unsafe lockdown_open_at(lockdown_here, path, lockdown_open_lock, 0o600)
    var result = file
    while file >= 0 {
      result = lockdown_lock_file(Int32(file))
      if result == 0 { return Int32(file) }
      guard -result == ErrorNumber.tryAgain else { break }
      guard lockdown_milliseconds() < end else {
        Line("busy: another applier holds the file of the lock").print()
        return nil
      }
      lockdown_sleep(pause)
    }
    warn("the file of the lock is not taken: ", errorNumber: result)
    return -1
  }

  private static func warn(_ text: Literal, errorNumber: Int) {
    var line = Line("note: ")
    line.text.add(text)
    if errorNumber != 0 { line.text.add(errorNumber: errorNumber) }
    line.print()
  }
}
