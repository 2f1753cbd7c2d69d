import CLinux

/// The mounts of this mount namespace, from /proc/self/mountinfo (proc(5)).
struct MountTable {
  struct Entry {
    var path: [UInt8]
    /// Options of the mount, and those of its file system.
    var options: [UInt8]
    var superOptions: [UInt8]
  }

  private var bytes: [UInt8] = []

  // A host with ten thousand mounts has about 2 MB of them.
  private static let maximumLength = 8 << 20
  private static let chunk = 16_384

  /// Nil where it cannot be read.
  init?() {
    let descriptor = unsafe lockdown_open_at(
      lockdown_here, Array("/proc/self/mountinfo") + [0], lockdown_open_key, 0)
    guard descriptor >= 0 else { return nil }
    defer { close(Int32(descriptor)) }
    var part = [UInt8](repeating: 0, count: Self.chunk)
    while bytes.count < Self.maximumLength {
      let got = unsafe lockdown_read(Int32(descriptor), &part, part.count)
      guard got > 0 else {
        if got < 0 { return nil }
        break
      }
      bytes.append(contentsOf: part[..<got])
    }
  }

  /// The mount that is seen at `path`: the last one there.
  func entry(at path: [UInt8]) -> Entry? {
    var found: Entry?
    var start = 0
    while start < bytes.count {
      let end = bytes[start...].firstIndex(of: 0x0a) ?? bytes.count
      let words = bytes[start..<end].split(separator: 0x20)
      start = end + 1
      // id, parent, major:minor, root, path, options, tags…, -, type, source, super options.
      guard words.count >= 10, Self.unescaped(words[4]).elementsEqual(path),
        let dash = words.firstIndex(where: { $0.count == 1 && $0.first == 0x2d }), dash + 3 < words.count
      else { continue }
      found = Entry(path: path, options: Array(words[5]), superOptions: Array(words[dash + 3]))
    }
    return found
  }

  /// Blanks and backslashes in names are written as `\040` and the like.
  private static func unescaped(_ word: ArraySlice<UInt8>) -> [UInt8] {
    var text: [UInt8] = []
    var rest = word
    while let byte = rest.popFirst() {
      let digits = rest.prefix(3)
      if byte == 0x5c, digits.count == 3, digits.allSatisfy({ $0 >= 0x30 && $0 <= 0x37 }) {
        text.append(UInt8(truncatingIfNeeded: digits.reduce(0) { $0 << 3 | Int($1 - 0x30) }))
        rest = rest.dropFirst(3)
      } else {
        text.append(byte)
      }
    }
    return text
  }
}

/// Flags of a mount, in the numbers of mount_setattr(2) and of mount(2).
enum MountFlags {
  // MOUNT_ATTR_*, linux/mount.h.
  static let readOnly: UInt64 = 0x1
  static let noSuid: UInt64 = 0x2
  static let noDevices: UInt64 = 0x4
  static let noExec: UInt64 = 0x8
  static let noSymlinks: UInt64 = 0x20_0000

  // MS_*, linux/mount.h: for kernels without mount_setattr.
  static let remount: UInt = 32
  static let bind: UInt = 4096
  static let recursive: UInt = 16384
  private static let noAccessTime: UInt = 1024
  private static let noFolderAccessTime: UInt = 2048
  private static let relativeAccessTime: UInt = 1 << 21

  /// Which of the flags above a mount has.
  static func attributes(_ options: [UInt8]) -> UInt64 {
    var flags: UInt64 = 0
    for word in options.split(separator: 0x2c) {
      let range = word.startIndex..<word.endIndex
      if options.holds("ro", at: range) { flags |= readOnly }
      if options.holds("nosuid", at: range) { flags |= noSuid }
      if options.holds("nodev", at: range) { flags |= noDevices }
      if options.holds("noexec", at: range) { flags |= noExec }
      if options.holds("nosymfollow", at: range) { flags |= noSymlinks }
    }
    return flags
  }

  /// What a bind remount has to say to have `attributes` afterwards: it replaces all flags, the ones about
  /// access times too.
  static func remountFlags(_ attributes: UInt64, keeping options: [UInt8]) -> UInt {
    var flags = remount | bind
    // MS_RDONLY, NOSUID, NODEV, NOEXEC have the numbers of the attributes; MS_NOSYMFOLLOW is 256.
    flags |= UInt(attributes & (readOnly | noSuid | noDevices | noExec))
    if attributes & noSymlinks != 0 { flags |= 256 }
    for word in options.split(separator: 0x2c) {
      let range = word.startIndex..<word.endIndex
      if options.holds("noatime", at: range) { flags |= noAccessTime }
      if options.holds("nodiratime", at: range) { flags |= noFolderAccessTime }
      if options.holds("relatime", at: range) { flags |= relativeAccessTime }
    }
    return flags
  }
}
