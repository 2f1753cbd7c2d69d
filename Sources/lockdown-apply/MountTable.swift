import CLinux

/// The mounts of this mount namespace, from /proc/self/mountinfo (proc(5)).
struct MountTable {
  struct Entry {
    /// Options of the mount, and those of its file system.
    var options: [UInt8]
    var superOptions: [UInt8]
  }

  let bytes: [UInt8]

  // A host with ten thousand mounts has about 2 MB of them.
  private static let maximumLength = 8 << 20

  /// Nil where it cannot be read.
  init?() {
    let path = Array("/proc/self/mountinfo").terminated()
    let descriptor = unsafe lockdown_open_at(lockdown_here, path, lockdown_open_key, 0)
    guard descriptor >= 0 else { return nil }
    defer { close(Int32(descriptor)) }
    var text = Text()
    var part = [UInt8](repeating: 0, count: 4096)
    while text.bytes.count < Self.maximumLength {
      let got = unsafe lockdown_read(Int32(descriptor), &part, part.count)
      if got < 0 { return nil }
      if got == 0 { break }
      text.add(part, 0..<got)
    }
    bytes = text.bytes
  }

  /// What is mounted at a place, and nothing where no mount begins. A path in the table says not which of those at it is seen,
  /// nor whether another one hides it; so the place itself is asked, and the table only for that number.
  static func entry(at path: [UInt8]) -> Entry? {
    var isRoot = false
    guard let number = number(at: path, &isRoot), isRoot, let table = MountTable(),
      let line = table.line(number)
    else { return nil }
    let bytes = table.bytes
    var words = line.options.upperBound..<line.end
    var isBehindDash = 0
    while let word = bytes.takeWord(&words, separator: 0x20) {
      if isBehindDash > 0 { isBehindDash += 1 } else if bytes.holds("-", at: word) { isBehindDash = 1 }
      if isBehindDash == 4 { return Entry(options: bytes.copy(line.options), superOptions: bytes.copy(word)) }
    }
    return nil
  }

  /// The mount that is seen at `path` and those it hangs from, up to the root, by their numbers; and the number of its
  /// file system as its super block has it.
  static func chain(at path: [UInt8]) -> (device: Int, mounts: [Int])? {
    var isRoot = false
    guard let number = number(at: path, &isRoot), let table = MountTable(), var line = table.line(number)
    else { return nil }
    let device = line.device
    var mounts = [number]
    // The root of all names itself, or one that cannot be seen.
    while line.parent != mounts[mounts.count - 1], let next = table.line(line.parent) {
      mounts.append(line.parent)
      line = next
    }
    return (device, mounts)
  }

  /// Of the mount that a path leads into, and whether it begins there.
  private static func number(at path: [UInt8], _ isRoot: inout Bool) -> Int? {
    let descriptor = unsafe lockdown_open_at(lockdown_here, path.terminated(), lockdown_open_place, 0)
    guard descriptor >= 0 else { return nil }
    defer { close(Int32(descriptor)) }
    let number = unsafe lockdown_mount_of(Int32(descriptor), &isRoot)
    return number < 0 ? nil : number
  }

  private struct Row {
    var parent: Int
    var device: Int
    /// Those of the mount; what follows them goes on to the end.
    var options: Range<Int>
    var end: Int
  }

  private func line(_ number: Int) -> Row? {
    var rest = 0..<bytes.count
    while let line = bytes.takeWord(&rest, separator: 0x0a) {
      // id, parent, major:minor, root, path, options, tags…, -, type, source, super options.
      var words = line
      guard takeNumber(&words) == number, let parent = takeNumber(&words),
        let device = bytes.takeWord(&words, separator: 0x20),
        let colon = bytes.index(of: 0x3a, in: device),
        let major = Options.number(bytes, device.lowerBound..<colon),
        let minor = Options.number(bytes, (colon + 1)..<device.upperBound),
        bytes.takeWord(&words, separator: 0x20) != nil, bytes.takeWord(&words, separator: 0x20) != nil,
        let options = bytes.takeWord(&words, separator: 0x20)
      else { continue }
      // MKDEV of linux/kdev_t.h.
      return Row(parent: parent, device: major << 20 | minor, options: options, end: line.upperBound)
    }
    return nil
  }

  private func takeNumber(_ words: inout Range<Int>) -> Int? {
    bytes.takeWord(&words, separator: 0x20).flatMap { Options.number(bytes, $0) }
  }
}

/// Flags of a mount, in the numbers of mount_setattr(2) and of mount(2).
enum MountFlags {
  // MOUNT_ATTR_*, linux/mount.h; the first four have the numbers of MS_RDONLY, NOSUID, NODEV and NOEXEC.
  static let readOnly: UInt64 = 0x1
  static let noSuid: UInt64 = 0x2
  static let noDevices: UInt64 = 0x4
  static let noExec: UInt64 = 0x8
  static let noSymlinks: UInt64 = 0x20_0000

  // MS_*, linux/mount.h.
  static let remount: UInt = 32
  static let bind: UInt = 4096
  static let recursive: UInt = 16384
  private static let noSymlinkFollow: UInt = 256

  /// Which of the flags above a mount has.
  static func attributes(_ options: [UInt8]) -> UInt64 {
    flag(options, "ro", readOnly) | flag(options, "nosuid", noSuid) | flag(options, "nodev", noDevices)
      | flag(options, "noexec", noExec) | flag(options, "nosymfollow", noSymlinks)
  }

  /// What a bind remount has to say to have `attributes` afterwards, for kernels without mount_setattr: it
  /// replaces all flags, the ones about access times too.
  static func remountFlags(_ attributes: UInt64, keeping options: [UInt8]) -> UInt {
    var flags = remount | bind | UInt(attributes & (readOnly | noSuid | noDevices | noExec))
    if attributes & noSymlinks != 0 { flags |= noSymlinkFollow }
    // MS_NOATIME, MS_NODIRATIME, MS_RELATIME.
    flags |= UInt(
      flag(options, "noatime", 1024) | flag(options, "nodiratime", 2048) | flag(options, "relatime", 1 << 21))
    return flags
  }

  /// The options that a mount is to have, as mountinfo and mount(8) write them.
  static func text(_ mount: BundleReader.Mount, options: [UInt8]) -> [UInt8] {
    var text = Text()
    add(mount, readOnly, "ro", "rw", &text)
    add(mount, noSuid, "nosuid", "suid", &text)
    add(mount, noDevices, "nodev", "dev", &text)
    add(mount, noExec, "noexec", "exec", &text)
    add(mount, noSymlinks, "nosymfollow", "symfollow", &text)
    if !mount.options.isEmpty, !text.bytes.isEmpty { text.add(byte: 0x2c) }
    text.add(options, mount.options)
    return text.bytes
  }

  private static func add(
    _ mount: BundleReader.Mount, _ flag: UInt64, _ set: Literal, _ cleared: Literal,
    _ text: inout Text
  ) {
    guard (mount.attributesSet | mount.attributesCleared) & flag != 0 else { return }
    if !text.bytes.isEmpty { text.add(byte: 0x2c) }
    text.add(mount.attributesSet & flag != 0 ? set : cleared)
  }

  @inline(never)
  private static func flag(_ options: [UInt8], _ name: Literal, _ value: UInt64) -> UInt64 {
    var rest = 0..<options.count
    while let word = options.takeWord(&rest, separator: 0x2c) {
      if options.holds(name, at: word) { return value }
    }
    return 0
  }
}
