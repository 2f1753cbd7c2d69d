import CLinux

/// Sets the keys below /proc/sys that read otherwise, each with a snapshot to put back.
final class SysctlStage {
  enum Result {
    case equal
    case applied
    /// Only looked: it differs.
    case different
    /// Lossy or one-way: written by a later stage only.
    case waiting
    case absent
    /// Of the whole host, from inside a namespace that is not the host's.
    case outOfReach
    case refused
    /// Written by this run, and the value from before is back.
    case putBack
    case notPutBack

    var name: StaticString {
      switch self {
      case .equal: "equal"
      case .applied: "applied"
      case .different: "different"
      case .waiting: "waiting"
      case .absent: "absent"
      case .outOfReach: "out of reach"
      case .refused: "refused"
      case .putBack: "put back"
      case .notPutBack: "not put back"
      }
    }
  }

  /// One file below /proc/sys.
  struct Key {
    /// Index into the bundle's list.
    var setting: Int
    /// Below /proc/sys, without a `*`.
    var path: [UInt8]
    var result = Result.equal
    /// What it read first, without the line end.
    var found: [UInt8] = []
    var errorNumber = 0
    /// Written, and read back otherwise.
    var isUnstable = false
  }

  private let reader: BundleReader
  private let surroundings: Surroundings
  private(set) var keys: [Key] = []
  /// A key that was refused, or read back otherwise: then this run's writes are taken back.
  private(set) var hasFailed = false

  // Values are short; the longest lists (net.ipv4.ip_local_reserved_ports) have 64 KiB.
  private static let maximumLength = 65_536
  private static let root: StaticString = "/proc/sys/"

  /// Reads every key. Nothing is written; that each one that differs could be opened for writing is seen.
  init(_ reader: BundleReader, _ surroundings: Surroundings) {
    self.reader = reader
    self.surroundings = surroundings
    for index in reader.sysctls.indices { addKeys(of: index) }
    for index in keys.indices { look(index, probes: true) }
  }

  // MARK: Which files

  private func addKeys(of index: Int) {
    let path = reader.sysctls[index].path
    guard let star = path.first(where: { reader.bytes[$0] == 0x2a }) else {
      keys.append(Key(setting: index, path: Array(reader.bytes[path])))
      return
    }
    let folder = Array(reader.bytes[path.lowerBound..<star])
    let rest = Array(reader.bytes[(star + 1)..<path.upperBound])
    // `all` and `default` first: a write to them may reach interfaces, which are then right already.
    for name in [Array("all"), Array("default")] + interfaces(in: folder) {
      let full = folder + name + rest
      // Who names an interface means it, whatever is said of all of them.
      let isNamed = reader.sysctls.contains { reader.bytes[$0.path].elementsEqual(full) }
      if !isNamed { keys.append(Key(setting: index, path: full)) }
    }
  }

  /// Names in a folder below /proc/sys, but for `all` and `default`, sorted.
  private func interfaces(in folder: [UInt8]) -> [[UInt8]] {
    var names: [[UInt8]] = []
    var list: UnsafeMutableRawPointer?
    guard unsafe lockdown_list_open(Self.fullPath(folder), &list) == 0 else { return [] }
    defer { unsafe lockdown_list_close(list) }
    // NAME_MAX.
    var name = [UInt8](repeating: 0, count: 256)
    while true {
      let length = unsafe lockdown_list_next(list, &name, name.count)
      guard length > 0 else { break }
      if name.holds("all", at: 0..<length) || name.holds("default", at: 0..<length) { continue }
      names.append(Array(name[..<length]))
    }
    return names.sorted { $0.lexicographicallyPrecedes($1) }
  }

  private static func fullPath(_ path: [UInt8]) -> [UInt8] {
    var text = Text(root)
    text.add(path)
    text.add(byte: 0)
    return text.bytes
  }

  // MARK: Reading

  private func wanted(_ index: Int) -> ArraySlice<UInt8> {
    reader.bytes[reader.sysctls[keys[index].setting].value]
  }

  private func look(_ index: Int, probes: Bool) {
    let setting = reader.sysctls[keys[index].setting]
    let path = Self.fullPath(keys[index].path)
    let descriptor = unsafe lockdown_open_at(lockdown_here, path, lockdown_open_key, 0)
    guard descriptor >= 0 else {
      keys[index].errorNumber = -descriptor
      keys[index].result = -descriptor == ErrorNumber.notFound ? .absent : .refused
      return
    }
    defer { close(Int32(descriptor)) }
    guard let value = SmallFile.read(Int32(descriptor), limit: Self.maximumLength) else {
      // Some keys exist only to be written.
      keys[index].errorNumber = ErrorNumber.accessDenied
      keys[index].result = .refused
      return
    }
    keys[index].found = Self.trimmed(value)
    if Self.isSame(wanted(index), value[...]) {
      keys[index].result = .equal
      return
    }
    keys[index].result = .different
    switch setting.strengthClass {
    case .lossy, .oneWay: keys[index].result = .waiting
    case .restorable, .neutral: if probes { probe(index, setting) }
    }
  }

  /// Whether a key that differs may be written at all.
  private func probe(_ index: Int, _ setting: BundleReader.Sysctl) {
    if !setting.isNamespaced, surroundings.isInUserNamespace || !surroundings.isInHostNetwork {
      keys[index].result = .outOfReach
      return
    }
    let descriptor = unsafe lockdown_open_at(
      lockdown_here, Self.fullPath(keys[index].path), lockdown_open_key_write, 0)
    if descriptor >= 0 {
      close(Int32(descriptor))
      return
    }
    keys[index].errorNumber = -descriptor
    keys[index].result = surroundings.isInUserNamespace ? .outOfReach : .refused
  }

  /// The same words: the kernel parts numbers by tabs and ends in a line feed.
  private static func isSame(_ wanted: ArraySlice<UInt8>, _ found: ArraySlice<UInt8>) -> Bool {
    func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0a }
    let left = wanted.split(whereSeparator: isBlank)
    let right = found.split(whereSeparator: isBlank)
    guard left.count == right.count else { return false }
    for (word, other) in zip(left, right) where !word.elementsEqual(other) { return false }
    return true
  }

  private static func trimmed(_ value: [UInt8]) -> [UInt8] {
    var end = value.count
    while end > 0, value[end - 1] == 0x0a { end -= 1 }
    return Array(value[..<end])
  }

  // MARK: Writing

  /// Whether something that has to be written cannot be, seen before any change.
  var isRefusedBeforehand: Bool { keys.contains { $0.result == .refused } }

  /// Writes what differs, reads it back, and reads everything again at the end, for keys pull at each other.
  func apply() {
    for index in keys.indices {
      // The firewall's batch may have loaded the module that has the key.
      if keys[index].result == .absent { look(index, probes: true) }
      // A key written before may have brought this one along; a snapshot is what it read at the start.
      if keys[index].result == .different { write(index) }
      if keys[index].result == .refused { hasFailed = true }
      if hasFailed { break }
    }
    if !hasFailed { verify() }
    if hasFailed { putBack() }
  }

  private func write(_ index: Int) {
    let path = Self.fullPath(keys[index].path)
    if let now = SmallFile.read(path, limit: Self.maximumLength), Self.isSame(wanted(index), now[...]) {
      keys[index].result = .applied
      return
    }
    let errorNumber = Self.put(Array(wanted(index)), into: path)
    if errorNumber == 0 {
      keys[index].result = .applied
    } else if errorNumber == ErrorNumber.notFound {
      // The interface has gone meanwhile.
      keys[index].result = .absent
    } else {
      keys[index].errorNumber = errorNumber
      keys[index].result = .refused
    }
  }

  /// 0, or why not.
  private static func put(_ value: [UInt8], into path: [UInt8]) -> Int {
    let descriptor = unsafe lockdown_open_at(lockdown_here, path, lockdown_open_key_write, 0)
    guard descriptor >= 0 else { return -descriptor }
    defer { close(Int32(descriptor)) }
    let line = value + [0x0a]
    // A key takes its value in one call or not at all.
    let result = unsafe lockdown_write(Int32(descriptor), line, line.count)
    return result < 0 ? -result : 0
  }

  private func verify() {
    for index in keys.indices where keys[index].result == .applied || keys[index].result == .equal {
      guard let now = SmallFile.read(Self.fullPath(keys[index].path), limit: Self.maximumLength) else {
        // A vanished interface is no difference.
        keys[index].result = .absent
        continue
      }
      if !Self.isSame(wanted(index), now[...]) {
        keys[index].result = .refused
        keys[index].isUnstable = true
        hasFailed = true
      }
    }
  }

  /// Gives each key that this run wrote the value it had, last one first.
  func putBack() {
    hasFailed = true
    for index in keys.indices.reversed() {
      guard keys[index].result == .applied || keys[index].result == .refused, !keys[index].found.isEmpty
      else {
        continue
      }
      let path = Self.fullPath(keys[index].path)
      if let now = SmallFile.read(path, limit: Self.maximumLength),
        Self.isSame(keys[index].found[...], now[...])
      {
        if keys[index].result == .applied { keys[index].result = .putBack }
        continue
      }
      let errorNumber = Self.put(keys[index].found, into: path)
      let now = SmallFile.read(path, limit: Self.maximumLength) ?? []
      let isBack = errorNumber == 0 && Self.isSame(keys[index].found[...], now[...])
      keys[index].errorNumber = errorNumber
      keys[index].result = isBack ? .putBack : .notPutBack
    }
  }

  // MARK: Reporting

  func count(_ result: Result) -> Int { keys.count { $0.result == result } }
}
