import CLinux
import Glibc

/// Fresh network and mount namespaces, around them a user namespace where the caller is not root.
///
/// Whatever is namespaced can be applied here and is gone with the last process inside: the host is never
/// touched (DESIGN §6).
enum Sandbox {
  /// Where the bundle stands inside: a directory of root's on a file system of our own, so that the applier's
  /// rule about owners holds whoever owns the original.
  static let directory = "/run/lockdown"

  /// Runs `body` in a child process inside the sandbox and returns its exit code.
  static func run(_ body: () throws(SandboxError) -> Int32) throws(SandboxError) -> Int32 {
    // What was printed so far must not be printed twice, by both processes.
    fflush(nil)
    let child = lockdown_fork()
    guard child >= 0 else { throw SandboxError(doing: "starting a process", code: errno) }
    if child == 0 {
      var code: Int32 = 3
      do throws(SandboxError) {
        try enter()
        code = try body()
      } catch {
        printError("lockdown: sandbox: \(error)")
      }
      fflush(nil)
      _exit(code)
    }
    let code = lockdown_wait(child)
    guard code >= 0 else { throw SandboxError(doing: "waiting for the sandbox", code: errno) }
    return code
  }

  /// Goes on in fresh namespaces that hold no rule. Only while there is one thread.
  static func enterNetwork() throws(SandboxError) {
    try enterNamespaces()
    guard lockdown_make_mounts_private() == 0 else {
      throw SandboxError(doing: "making mounts private", code: errno)
    }
  }

  private static func enterNamespaces() throws(SandboxError) {
    let user = geteuid()
    let group = getegid()
    guard lockdown_unshare_sandbox(user == 0 ? 0 : 1) == 0 else {
      throw SandboxError(doing: "making namespaces", code: errno, help: namespaceHelp(isRoot: user == 0))
    }
    if user != 0 {
      // user_namespaces(7): an ordinary user may map itself alone, and only after giving up setgroups(2).
      try writeFile("/proc/self/setgroups", "deny")
      try writeFile("/proc/self/uid_map", "0 \(user) 1")
      try writeFile("/proc/self/gid_map", "0 \(group) 1")
    }
  }

  private static func enter() throws(SandboxError) {
    try enterNamespaces()
    guard lockdown_make_mounts_private() == 0 else {
      throw SandboxError(doing: "making mounts private", code: errno)
    }
    guard lockdown_mount_tmpfs("/run", "mode=755,size=64m") == 0, mkdir(directory, 0o755) == 0 else {
      throw SandboxError(doing: "mounting a private /run", code: errno)
    }
    do throws(ProbeError) {
      try LinkRequest.setUp(interface: "lo")
    } catch {
      throw SandboxError(doing: error.doing, code: error.code)
    }
  }

  private static func namespaceHelp(isRoot: Bool) -> String? {
    guard errno == EPERM || errno == ENOSPC, !isRoot else { return nil }
    return
      "this host lets ordinary users make no user namespace (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, or AppArmor); run as root"
  }

  /// Writes a file inside the sandbox, whole.
  static func writeFile(_ path: String, _ text: String) throws(SandboxError) {
    try writeFile(path, Array(text.utf8), flags: O_WRONLY)
  }

  static func writeFile(_ path: String, _ bytes: [UInt8], flags: Int32) throws(SandboxError) {
    let file = open(path, flags | O_CLOEXEC, 0o600)
    guard file >= 0 else { throw SandboxError(doing: "opening \(path)", code: errno) }
    defer { close(file) }
    var offset = 0
    while offset < bytes.count {
      let count = bytes[offset...].withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw SandboxError(doing: "writing \(path)", code: errno) }
      offset += count
    }
  }

  /// Where a program's words go.
  enum Output {
    case inherited
    /// All to standard error.
    case error
    /// All to a new file.
    case file(String)
    /// Those to standard output to one end of a pipe; the program does not get the other end.
    case pipe(Int32, from: Int32)
    /// The same of all words.
    case wholePipe(Int32, from: Int32)
  }

  /// What a program prints that is found along PATH.
  static func output(of words: [String]) throws(SandboxError) -> [UInt8] {
    let (code, bytes) = try Self.words(of: words, isWhole: false)
    guard code == 0 else { throw SandboxError(doing: "running \(words[0])", code: 0) }
    return bytes
  }

  /// Runs a program found along PATH; its exit code and what it prints.
  ///
  /// - Parameter isWhole: to standard error as well.
  static func words(of words: [String], isWhole: Bool) throws(SandboxError) -> (code: Int32, bytes: [UInt8]) {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { throw SandboxError(doing: "making a pipe", code: errno) }
    defer { close(ends[0]) }
    let child: pid_t
    do {
      defer { close(ends[1]) }
      child = try start(
        words, output: isWhole ? .wholePipe(ends[1], from: ends[0]) : .pipe(ends[1], from: ends[0]))
    }
    let bytes = Result { () throws(FileError) in try FileBytes.read(ends[0], words[0]) }
    let code = try wait(for: child, words)
    guard case .success(let read) = bytes else { throw SandboxError(doing: "running \(words[0])", code: 0) }
    return (code, read)
  }

  /// Runs a program found along PATH and returns its exit code, 128 + N for signal N.
  static func spawn(_ words: [String], output: Output = .inherited) throws(SandboxError) -> Int32 {
    try wait(for: try start(words, output: output), words)
  }

  private static func start(_ words: [String], output: Output) throws(SandboxError) -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    switch output {
    case .inherited: break
    case .error: posix_spawn_file_actions_adddup2(&actions, 2, 1)
    case .file(let path):
      posix_spawn_file_actions_addopen(&actions, 1, path, O_WRONLY | O_CREAT | O_EXCL, 0o600)
      posix_spawn_file_actions_adddup2(&actions, 1, 2)
    case .pipe(let end, let other), .wholePipe(let end, let other):
      posix_spawn_file_actions_addclose(&actions, other)
      posix_spawn_file_actions_adddup2(&actions, end, 1)
      if case .wholePipe = output { posix_spawn_file_actions_adddup2(&actions, end, 2) }
      posix_spawn_file_actions_addclose(&actions, end)
    }
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
    defer { for argument in arguments { free(argument) } }
    arguments.append(nil)
    var child = pid_t()
    fflush(nil)
    let code = posix_spawnp(&child, words[0], &actions, nil, arguments, environ)
    guard code == 0 else { throw SandboxError(doing: "running \(words[0])", code: code) }
    return child
  }

  private static func wait(for child: pid_t, _ words: [String]) throws(SandboxError) -> Int32 {
    let status = lockdown_wait(child)
    guard status >= 0 else { throw SandboxError(doing: "waiting for \(words[0])", code: errno) }
    return status
  }
}

/// A step of the sandbox that failed.
struct SandboxError: Error, CustomStringConvertible {
  var doing: String
  /// errno; 0 where the reason is not the kernel's.
  var code: Int32
  var help: String?

  init(doing: String, code: Int32, help: String? = nil) {
    self.doing = doing
    self.code = code
    self.help = help
  }

  var description: String {
    var text = doing
    if code != 0 { text += ": " + String(cString: strerror(code)) }
    if let help { text += "\n  help: " + help }
    return text
  }
}
