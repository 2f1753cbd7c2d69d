import CLinux

/// Stays, and runs the stage `late` at each event that may bring, or take away, what the policy has something for: links,
/// modules, mounts and control groups. Each run looks at everything, so that events that were lost cost nothing.
///
/// This process has no bundle and changes nothing: a child does, as in any other run.
struct Follower {
  private let options: Options

  // Milliseconds in which what comes together is taken together.
  private static let pause: Int32 = 50
  // For a run that could not tell what it left, and between such runs, in milliseconds.
  private static let maximumAttempts = 3
  private static let respite: Int32 = 1_000
  // NETLINK_ROUTE and NETLINK_KOBJECT_UEVENT, linux/netlink.h.
  private static let routeProtocol: Int32 = 0
  private static let deviceProtocol: Int32 = 15
  // udev's own writing of keys to a new link takes less than this, in milliseconds; then all is looked at again.
  private static let settling: Int32 = 1_000
  // The kernel's messages about a link or device are shorter.
  private static let bufferLength = 16_384

  // Where a run notes the folders that control groups come in; -1: nobody follows.
  nonisolated(unsafe) private static var groups: Int32 = -1

  init(_ options: Options) { self.options = options }

  /// Comes back only where events cannot be had, or runs could not tell what they left behind.
  func run() -> Int32 {
    let links = lockdown_event_socket(Self.routeProtocol)
    guard links >= 0 else { return fail(links) }
    let devices = lockdown_event_socket(Self.deviceProtocol)
    guard devices >= 0 else { return fail(devices) }
    let mounts = unsafe lockdown_open_at(
      lockdown_here, literal("/proc/self/mountinfo"), lockdown_open_key, 0)
    guard mounts >= 0 else { return fail(mounts) }
    let folders = lockdown_folder_events()
    // Without them what becomes of control groups waits for another event.
    if folders < 0 { _ = fail(folders) }
    unsafe Self.groups = Int32(folders)
    var attempts = 0
    var isSettled = false
    while true {
      lockdown_collect()
      // What comes meanwhile waits.
      let code = Supervisor(options).run()
      // Another applier was at work for ten seconds, and what had come is still to be done.
      if code == ExitCode.busy.rawValue { continue }
      if code == ExitCode.unknown.rawValue {
        attempts += 1
        guard attempts < Self.maximumAttempts, unsafe !Supervisor.hasHung else { return code }
        lockdown_sleep(Self.respite)
        continue
      }
      attempts = 0
      var isRelevant = false
      while !isRelevant {
        let ready = unsafe lockdown_wait_for_events(
          Int32(links), Int32(devices), Self.groups, Int32(mounts), isSettled ? -1 : Self.settling)
        guard ready >= 0 else { return fail(ready) }
        if ready == 0 {
          isSettled = true
          break
        }
        lockdown_sleep(Self.pause)
        if ready & 1 != 0, drain(Int32(links), Self.isAboutLink) { isRelevant = true }
        if ready & 2 != 0, drain(Int32(devices), Self.isAboutDevice) { isRelevant = true }
        if ready & 4 != 0 {
          isRelevant = true
          var entries = [UInt8](repeating: 0, count: 4096)
          while unsafe lockdown_read(Self.groups, &entries, entries.count) > 0 {}
        }
        if ready & 8 != 0 { isRelevant = true }
        if isRelevant { isSettled = false }
      }
    }
  }

  private func fail(_ errorNumber: Int) -> Int32 {
    var line = Line("events of the kernel cannot be had: ")
    line.text.add(errorNumber: -errorNumber)
    line.print()
    return ExitCode.unknown.rawValue
  }

  /// Takes what is there; whether some of it is relevant, or was lost.
  private func drain(_ socket: Int32, _ isRelevant: ([UInt8], Int) -> Bool) -> Bool {
    var found = false
    var message = [UInt8](repeating: 0, count: Self.bufferLength)
    while true {
      let length = unsafe lockdown_netlink_receive(socket, &message, message.count, 0)
      switch -length {
      case ErrorNumber.tryAgain: return found
      // Some were lost, or one is longer than any of ours.
      case ErrorNumber.noBuffers, ErrorNumber.tooLong: found = true
      case 1...: return true
      default: if isRelevant(message, length) { found = true }
      }
    }
  }

  /// A link that comes, goes or changes its name; one that goes up or down has only flags that change.
  private static func isAboutLink(_ message: [UInt8], _ length: Int) -> Bool {
    // ifi_change of struct ifinfomsg, behind struct nlmsghdr: all ones, or none where other things changed.
    guard length >= 32 else { return true }
    let change = message.littleEndian(28)
    return change == 0 || change == .max
  }

  /// `ACTION@PATH` of a network device, or of a module, which brings keys.
  private static func isAboutDevice(_ message: [UInt8], _ length: Int) -> Bool {
    guard let start = message.index(of: 0x40, in: 0..<length) else { return false }
    let end = message.index(of: 0, in: start..<length) ?? length
    if message.holds("@/module/", at: start..<min(start + 9, end)) { return true }
    for index in start..<end where message.holds("/net/", at: index..<min(index + 5, end)) { return true }
    return false
  }

  /// Called in a run, before it looks for a control group: the folder in which that comes or goes, or the last one on the way
  /// that is there.
  static func watch(_ path: [UInt8]) {
    guard unsafe groups >= 0 else { return }
    var end = path.count - 1
    while true {
      end -= 1
      while end > 0, path[end] != 0x2f { end -= 1 }
      guard end > 0 else { return }
      let result = unsafe lockdown_watch_folder(groups, path.terminated(0..<end))
      if result >= 0 { return }
      if -result == ErrorNumber.notFound { continue }
      var line = Line("note: what comes into this folder is not heard of: ")
      line.text.addForeign(path, 0..<end)
      line.text.add(": ")
      line.text.add(errorNumber: result)
      return line.print()
    }
  }
}
