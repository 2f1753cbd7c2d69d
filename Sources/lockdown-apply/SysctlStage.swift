import CLinux

/// Sets the keys below /proc/sys that read otherwise, each with a snapshot to put back.
final class SysctlStage {
  private let reader: BundleReader
  private let surroundings: Surroundings
  private(set) var keys: [Item] = []
  /// A key was refused, or read back otherwise: then this run's writes are taken back.
  private(set) var hasFailed = false

  // Values are short; the longest lists (net.ipv4.ip_local_reserved_ports) have 64 KiB.
  private static let maximumLength = 65_536
  // Beside each other: of two the kernel keeps the one that was written last, and zeroes the other
  // (admin-guide/sysctl/vm.rst).
  private static let pairs: [Literal] = [
    "vm/dirty_bytes", "vm/dirty_ratio", "vm/dirty_background_bytes", "vm/dirty_background_ratio",
    "vm/overcommit_kbytes", "vm/overcommit_ratio",
  ]

  /// Reads every key. Nothing is written; that each one that differs could be opened for writing is seen.
  init(_ reader: BundleReader, _ surroundings: Surroundings) {
    self.reader = reader
    self.surroundings = surroundings
    for index in 0..<reader.sysctls.count { addKeys(of: index) }
    for index in 0..<keys.count { look(index) }
  }

  // MARK: Which files

  private func addKeys(of index: Int) {
    let path = reader.sysctls[index].path
    guard let star = reader.bytes.index(of: 0x2a, in: path) else {
      append(index, reader.bytes.copy(path))
      return
    }
    // `all` and `default` first: a write to them may reach interfaces, which are then right already.
    if hasBoth(star) {
      addKey(index, Array("all"), star)
      addKey(index, Array("default"), star)
    }
    let folder = Self.fullPath(reader.bytes, path.lowerBound..<star)
    let descriptor = unsafe lockdown_open_at(lockdown_here, folder, lockdown_open_list, 0)
    guard descriptor >= 0 else { return }
    defer { close(Int32(descriptor)) }
    var entries = [UInt8](repeating: 0, count: 4096)
    while true {
      let length = unsafe lockdown_list(Int32(descriptor), &entries, entries.count)
      guard length > 0 else { return }
      addKeys(of: index, entries, length, star)
    }
  }

  /// `neigh` has no `all`, and `default` in the first network namespace alone: there the folder says it.
  private func hasBoth(_ star: Int) -> Bool { reader.bytes[star - 2] != 0x68 }

  /// The interfaces among entries of a folder, which have a name from byte 19 on, their length at byte 16.
  private func addKeys(of index: Int, _ entries: [UInt8], _ length: Int, _ star: Int) {
    var offset = 0
    while offset + 19 < length {
      let next = offset + Int(entries[offset + 16]) + Int(entries[offset + 17]) << 8
      guard next > offset + 19, next <= length else { return }
      let end = entries.index(of: 0, in: (offset + 19)..<next) ?? next
      let interface = entries.copy((offset + 19)..<end)
      let isOther = hasBoth(star) && (interface.holds("all") || interface.holds("default"))
      if !isOther, !interface.holds("."), !interface.holds("..") { addKey(index, interface, star) }
      offset = next
    }
  }

  private func addKey(_ index: Int, _ interface: [UInt8], _ star: Int) {
    let path = reader.sysctls[index].path
    var full = Text()
    full.add(reader.bytes, path.lowerBound..<star)
    full.add(interface)
    full.add(reader.bytes, (star + 1)..<path.upperBound)
    // Who names an interface means it, whatever is said of all of them.
    for setting in reader.sysctls where reader.bytes.isEqual(setting.path, full.bytes, 0..<full.bytes.count) {
      return
    }
    append(index, full.bytes)
  }

  private func append(_ index: Int, _ path: [UInt8]) {
    let setting = reader.sysctls[index]
    keys.append(
      Item(setting: index, source: setting.source, name: path, wanted: reader.bytes.copy(setting.value)))
  }

  private static func fullPath(_ bytes: [UInt8], _ range: Range<Int>) -> [UInt8] {
    var text = Text("/proc/sys/")
    text.add(bytes, range)
    text.add(byte: 0)
    return text.bytes
  }

  private func path(_ index: Int) -> [UInt8] { Self.fullPath(keys[index].name, 0..<keys[index].name.count) }

  // MARK: Reading

  private func setting(_ index: Int) -> BundleReader.Sysctl { reader.sysctls[keys[index].setting] }

  /// Whether a key reads as it should now; nil if it cannot be read.
  @inline(never)
  private func isWanted(_ index: Int) -> Bool? {
    guard let now = SmallFile.read(path(index), limit: Self.maximumLength) else { return nil }
    return Self.isSame(reader.bytes, setting(index).value, now)
  }

  private func look(_ index: Int) {
    let path = path(index)
    guard let value = SmallFile.read(path, limit: Self.maximumLength) else { return failToRead(index, path) }
    keys[index].found = Self.line(value)
    keys[index].wasRead = true
    if Self.isSame(reader.bytes, setting(index).value, value) {
      keys[index].result = .equal
      return
    }
    keys[index].result = .different
    probe(index, path)
    lookAtCoupled(index)
    if phase(index) == .now { return }
    // One that waits is refused only when it is written: then it is listed, and nothing is taken back.
    if keys[index].result == .outOfReach { return }
    keys[index].result = .waiting
    keys[index].errorNumber = 0
    keys[index].reason =
      phase(index) == .lossy
      ? "taking it back would lose state: written when all else was read back"
      : "it cannot be taken back: for the seal"
  }

  /// What is not there is a gap; of anything else nobody can tell what it is.
  private func failToRead(_ index: Int, _ path: [UInt8]) {
    let descriptor = unsafe lockdown_open_at(lockdown_here, path, lockdown_open_key, 0)
    if descriptor >= 0 { close(Int32(descriptor)) }
    keys[index].refuse("it cannot be read", min(descriptor, 0))
    if -descriptor == ErrorNumber.notFound {
      keys[index].result = .absent
      keys[index].reason = ""
    }
  }

  private static func line(_ value: [UInt8]) -> [UInt8] {
    var end = value.count
    while end > 0, value[end - 1] == 0x0a { end -= 1 }
    return value.copy(0..<end)
  }

  private func lookAtCoupled(_ index: Int) {
    for (number, name) in Self.pairs.enumerated() where keys[index].name.holds(name) {
      let other = Array(Self.pairs[number ^ 1])
      guard let value = SmallFile.read(Self.fullPath(other, 0..<other.count), limit: Self.maximumLength)
      else { return }
      keys[index].coupledName = other
      keys[index].coupledFound = Self.line(value)
    }
  }

  /// Whether a key that differs may be written at all.
  private func probe(_ index: Int, _ path: [UInt8]) {
    if !setting(index).isNamespaced, !surroundings.isHost {
      keys[index].result = .outOfReach
      return
    }
    let descriptor = unsafe lockdown_open_at(lockdown_here, path, lockdown_open_key_write, 0)
    if descriptor >= 0 {
      close(Int32(descriptor))
      return
    }
    keys[index].refuse("it cannot be written", descriptor)
    if surroundings.isInUserNamespace { keys[index].result = .outOfReach }
  }

  /// The same words: the kernel parts numbers by tabs and ends in a line feed.
  private static func isSame(_ wanted: [UInt8], _ range: Range<Int>, _ found: [UInt8]) -> Bool {
    var (at, other) = (range.lowerBound, 0)
    while true {
      while at < range.upperBound, isBlank(wanted[at]) { at += 1 }
      while other < found.count, isBlank(found[other]) { other += 1 }
      if at == range.upperBound || other == found.count {
        return at == range.upperBound && other == found.count
      }
      while at < range.upperBound, !isBlank(wanted[at]) {
        guard other < found.count, wanted[at] == found[other] else { return false }
        at += 1
        other += 1
      }
      if other < found.count, !isBlank(found[other]) { return false }
    }
  }

  private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0a }

  // MARK: What waits

  /// When a key is written.
  enum Phase {
    case now
    /// When everything else was read back.
    case lossy
    /// In the seal.
    case latch
  }

  func phase(_ index: Int) -> Phase {
    switch setting(index).strengthClass {
    case .lossy: .lossy
    case .oneWay: .latch
    // Without it the kernel loads nothing for a batch either.
    case .restorable, .neutral: keys[index].name.holds("kernel/modprobe") ? .latch : .now
    }
  }

  /// A key that waited is now judged as any other: `--check` of what has no seal to wait for.
  func expect(_ phase: Phase) {
    for index in 0..<keys.count where keys[index].result == .waiting && self.phase(index) == phase {
      keys[index].result = .different
      keys[index].reason = ""
    }
  }

  /// Writes a key that waited, and reads it back. A refusal is listed; nothing is taken back.
  func writeWaiting(_ index: Int) {
    guard keys[index].result == .waiting else { return }
    keys[index].reason = ""
    write(index)
    if keys[index].result == .applied, isWanted(index) != true {
      keys[index].refuse("it reads back otherwise")
    }
  }

  /// Writes the lossy keys, and once more what they have pulled along: `ip_forward` gives `accept_redirects` the
  /// kernel's value.
  func writeLossy() {
    var isAny = false
    for index in 0..<keys.count where keys[index].result == .waiting && phase(index) == .lossy {
      writeWaiting(index)
      isAny = true
    }
    guard isAny else { return }
    for index in 0..<keys.count where keys[index].result == .applied || keys[index].result == .equal {
      guard isWanted(index) == false else { continue }
      write(index)
      if isWanted(index) == false {
        keys[index].refuse("it reads back otherwise, behind a key that resets it")
      }
    }
  }

  // MARK: Writing

  /// Nothing is written before what is tried is confirmed.
  func holdBack() { keys.holdBack() }

  /// Writes what differs, reads it back, and reads everything again at the end, for keys pull at each other.
  ///
  /// - Parameter takesBack: one that is refused is the end of all; else it is listed.
  func apply(takesBack: Bool = true) {
    for index in 0..<keys.count {
      // The firewall's batch may have loaded the module that has the key.
      if keys[index].result == .absent { look(index) }
      if keys[index].result == .different { write(index) }
      if keys[index].result == .refused { hasFailed = takesBack }
      if hasFailed { break }
    }
    if !hasFailed, !verify() { hasFailed = takesBack }
    if hasFailed { putBack() }
  }

  private func write(_ index: Int) {
    // A key written before may have brought this one along.
    if isWanted(index) != true {
      let errorNumber = Self.put(reader.bytes, setting(index).value, into: path(index))
      if errorNumber != 0 {
        keys[index].refuse("it cannot be written", errorNumber)
        // The interface has gone meanwhile, or so it seems: a value can be refused with the same number, as a
        // congestion control that is not there is (net/ipv4/tcp_cong.c).
        if errorNumber == ErrorNumber.notFound, isWanted(index) == nil { keys[index].result = .absent }
        return
      }
    }
    keys[index].result = .applied
  }

  /// 0, or why not.
  @inline(never)
  private static func put(_ value: [UInt8], _ range: Range<Int>, into path: [UInt8]) -> Int {
    SmallFile.write(value.copy(range), to: path)
  }

  private func verify() -> Bool {
    for index in 0..<keys.count where keys[index].result == .applied || keys[index].result == .equal {
      switch isWanted(index) {
      case true?: break
      case false?:
        // Set once more it reads as it should where others pull at it, and not where the kernel itself makes something
        // else of that value: rounds it, say, or shows it in another form.
        write(index)
        if keys[index].result == .applied, isWanted(index) == false {
          keys[index].result = .notEnforced
          keys[index].reason = "the kernel makes another value of it"
        } else {
          keys[index].refuse("it reads back otherwise", keys[index].errorNumber)
        }
      // A vanished interface is no difference.
      case nil: failToRead(index, path(index))
      }
    }
    return keys.count(.refused) == 0
  }

  /// Gives each key that this run wrote the value it had, last one first; but of all interfaces `all` and `default`
  /// before them, for whoever follows `default` goes back with it, and one that is written follows no longer.
  func putBack() {
    hasFailed = true
    var end = keys.count
    while end > 0 {
      var start = end - 1
      while start > 0, keys[start - 1].setting == keys[start].setting { start -= 1 }
      for index in start..<end { putBack(index) }
      end = start
    }
  }

  private func putBack(_ index: Int) {
    let found = keys[index].found
    let isChanged = keys[index].result == .applied || keys[index].result == .notEnforced
    guard isChanged || keys[index].result == .refused, keys[index].wasRead else { return }
    if isAsBefore(index) {
      // What was refused is still that: it is the reason.
      if isChanged { keys[index].result = .putBack }
      return
    }
    let coupled = keys[index].coupledName
    if !coupled.isEmpty, found.holds("0") {
      // Not a value to write: it says that the other one was in force.
      let value = keys[index].coupledFound
      keys[index].errorNumber = Self.put(
        value, 0..<value.count, into: Self.fullPath(coupled, 0..<coupled.count))
    } else {
      keys[index].errorNumber = Self.put(found, 0..<found.count, into: path(index))
    }
    keys[index].result = isAsBefore(index) ? .putBack : .notPutBack
  }

  private func isAsBefore(_ index: Int) -> Bool {
    let name = keys[index].coupledName
    return Self.reads(path(index), keys[index].found)
      && (name.isEmpty || Self.reads(Self.fullPath(name, 0..<name.count), keys[index].coupledFound))
  }

  private static func reads(_ path: [UInt8], _ value: [UInt8]) -> Bool {
    guard let now = SmallFile.read(path, limit: maximumLength) else { return false }
    return isSame(value, 0..<value.count, now)
  }
}
