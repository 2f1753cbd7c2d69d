import CLinux

/// Where and with which rights this process runs.
struct Surroundings {
  /// In a user namespace owners read as the overflow id, and what belongs to the whole host is out of reach.
  var isInUserNamespace: Bool
  /// The network namespace is the one of process 1. Keys of the whole host are written only there: who runs
  /// this in another one means that one.
  ///
  /// Looked up once: links of /proc cost more than the other questions together.
  let isInHostNetwork: Bool
  /// Neither in a user namespace nor in another network namespace than process 1: what belongs to the whole host is
  /// meant.
  var isHost: Bool { !isInUserNamespace && isInHostNetwork }
  private var capabilities: UInt64

  // CAP_NET_ADMIN, CAP_SYS_ADMIN, linux/capability.h.
  private static let netAdmin: UInt64 = 1 << 12
  private static let sysAdmin: UInt64 = 1 << 21

  init() {
    // The initial namespace maps all ids onto themselves. Without /proc there is no other one yet.
    let map = SmallFile.read("/proc/self/uid_map", limit: 128)
    if let map { isInUserNamespace = !Self.isWholeMap(map) } else { isInUserNamespace = false }
    capabilities = lockdown_capabilities()
    // In a container the first process is the container's.
    isInHostNetwork = Self.isKernelsOwn && Self.isSameNamespace("net")
  }

  /// Whether process numbers are the kernel's own: of its first PID namespace, whose number is PROC_PID_INIT_INO,
  /// linux/proc_ns.h. Before /proc is mounted there is no other one yet.
  static var isKernelsOwn: Bool {
    if let namespace = SmallFile.link("/proc/self/ns/pid") { return namespace.holds("pid:[4026531836]") }
    // A /proc of other processes does not know this one.
    return unsafe lockdown_open_at(lockdown_here, literal("/proc/version"), lockdown_open_place, 0) < 0
  }

  var mayWriteFirewall: Bool { capabilities & Self.netAdmin != 0 }
  var mayMount: Bool { capabilities & Self.sysAdmin != 0 }

  /// `0 0 4294967295`, whatever blanks are between.
  private static func isWholeMap(_ text: [UInt8]) -> Bool {
    var rest = 0..<(text.index(of: 0x0a, in: 0..<text.count) ?? text.count)
    for wanted: Literal in ["0", "0", "4294967295"] {
      guard let word = text.takeWord(&rest, separator: 0x20), text.holds(wanted, at: word) else {
        return false
      }
    }
    // One line maps everything; a second one cannot be there then.
    return true
  }

  /// False also where it cannot be seen, as without the rights of process 1: then a key of the whole host
  /// would be written on a guess.
  private static func isSameNamespace(_ kind: Literal) -> Bool {
    guard let own = link("/proc/self/ns/", kind), let first = link("/proc/1/ns/", kind) else { return false }
    return own.isEqual(first)
  }

  private static func link(_ folder: Literal, _ kind: Literal) -> [UInt8]? {
    var path = Text(folder)
    path.add(kind)
    path.add(byte: 0)
    return SmallFile.link(path.bytes)
  }

  /// The running kernel's release; nil where it does not begin with two numbers.
  static func kernelRelease() -> KernelRelease? {
    var text = [UInt8](repeating: 0, count: 64)
    let length = unsafe lockdown_kernel_release(&text, text.count)
    guard length > 0 else { return nil }
    var end = 0
    while end < length, text[end] != 0x2e { end += 1 }
    var minorEnd = end + 1
    while minorEnd < length, text[minorEnd] >= 0x30, text[minorEnd] <= 0x39 { minorEnd += 1 }
    guard end < length, let major = Options.number(text, 0..<end),
      let minor = Options.number(text, (end + 1)..<minorEnd)
    else { return nil }
    return KernelRelease(major: UInt16(clamping: major), minor: UInt16(clamping: minor))
  }
}

/// Files of the kernel, which are short and have no size.
enum SmallFile {
  /// At most `limit` bytes; nil if it cannot be read.
  ///
  /// - Parameter path: ends in NUL, or gets one.
  @inline(never)
  static func read(_ path: [UInt8], limit: Int) -> [UInt8]? {
    let path = path.last == 0 ? path : path.terminated()
    let descriptor = unsafe lockdown_open_at(lockdown_here, path, lockdown_open_key, 0)
    guard descriptor >= 0 else { return nil }
    defer { close(Int32(descriptor)) }
    return read(Int32(descriptor), limit: limit)
  }

  @inline(never)
  static func read(_ path: Literal, limit: Int) -> [UInt8]? { read(Array(path), limit: limit) }

  @inline(never)
  static func read(_ descriptor: Int32, limit: Int) -> [UInt8]? {
    var failed = false
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
      while count < limit {
        let got = unsafe lockdown_read(descriptor, buffer.baseAddress?.advanced(by: count), limit - count)
        if got < 0 { failed = true }
        guard got > 0 else { break }
        count += got
      }
    }
    return failed ? nil : bytes
  }

  /// 0, or why not.
  ///
  /// - Parameter path: ends in NUL.
  @inline(never)
  static func write(_ value: [UInt8], to path: [UInt8]) -> Int {
    let descriptor = unsafe lockdown_open_at(lockdown_here, path, lockdown_open_key_write, 0)
    guard descriptor >= 0 else { return -descriptor }
    defer { close(Int32(descriptor)) }
    var line = Text()
    line.add(value)
    line.add(byte: 0x0a)
    // A key takes its value in one call or not at all.
    let result = unsafe lockdown_write(Int32(descriptor), line.bytes, line.bytes.count)
    return result < 0 ? -result : 0
  }

  static func link(_ path: Literal) -> [UInt8]? { link(Array(path).terminated()) }

  /// What a symbolic link says; nil if it is none.
  @inline(never)
  static func link(_ path: [UInt8], in folder: Int32 = lockdown_here) -> [UInt8]? {
    // PATH_MAX.
    var target = [UInt8](repeating: 0, count: 4096)
    let length = unsafe lockdown_read_link(folder, path, &target, target.count)
    guard length > 0, length < target.count else { return nil }
    return target.copy(0..<length)
  }
}
