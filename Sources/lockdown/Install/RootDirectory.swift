import CLinux
import Glibc

/// A directory that stands for the root of a host, in which no path leads out of it.
struct RootDirectory: ~Copyable {
  let path: String
  private let descriptor: Int32
  let isSystemRoot: Bool

  init(_ path: String) throws(FileError) {
    descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError(doing: "cannot open the root", path: path, code: errno) }
    self.path = path
    var (own, system) = (stat(), stat())
    isSystemRoot =
      fstat(descriptor, &own) == 0 && stat("/", &system) == 0 && own.st_dev == system.st_dev
      && own.st_ino == system.st_ino
  }

  deinit { close(descriptor) }

  /// How a path below it is named in a message.
  func name(_ relative: String) -> String { path.hasSuffix("/") ? path + relative : "\(path)/\(relative)" }

  // MARK: Looking

  enum Found: Equatable {
    case nothing
    case file([UInt8])
    case link(String)
    /// A directory, a device, or what cannot be read as a file.
    case other
  }

  func look(_ relative: String) throws(FileError) -> Found {
    guard let folder = try Folder(self, Self.parent(relative)) else { return .nothing }
    return try folder.look(Self.last(relative), name(relative))
  }

  func isThere(_ relative: String) throws(FileError) -> Bool {
    guard let folder = try Folder(self, Self.parent(relative)) else { return false }
    var status = stat()
    return fstatat(folder.descriptor, Self.last(relative), &status, AT_SYMLINK_NOFOLLOW) == 0
  }

  /// The names in a directory, sorted; none if it is not there.
  func names(_ relative: String) throws(FileError) -> [String] {
    guard let folder = try Folder(self, relative) else { return [] }
    let copy = dup(folder.descriptor)
    guard copy >= 0, let stream = fdopendir(copy) else {
      throw FileError(doing: "cannot list", path: name(relative), code: errno)
    }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  // MARK: Changing

  /// Makes a directory whose parent is there.
  func makeDirectory(_ relative: String) throws(FileError) {
    let folder = try existing(Self.parent(relative))
    if mkdirat(folder.descriptor, Self.last(relative), 0o755) != 0, errno != EEXIST {
      throw FileError(doing: "cannot make directory", path: name(relative), code: errno)
    }
    // Whatever the umask says: the applier wants to read what it trusts, and trusts what only root writes.
    guard fchmodat(folder.descriptor, Self.last(relative), 0o755, 0) == 0 else {
      throw FileError(doing: "cannot make directory", path: name(relative), code: errno)
    }
    try folder.synchronize(name(relative))
  }

  /// Puts a file in its place: it holds the old or the new contents, whatever happens.
  func write(_ relative: String, _ bytes: [UInt8], mode: mode_t = 0o644) throws(FileError) {
    let folder = try existing(Self.parent(relative))
    let temporary = Self.temporary(relative)
    // Left by one that was killed.
    unlinkat(folder.descriptor, temporary, 0)
    let file = lockdown_create_below(folder.descriptor, temporary, mode)
    guard file >= 0 else { throw FileError(doing: "cannot write", path: name(relative), code: errno) }
    defer { close(file) }
    do throws(FileError) {
      try FileBytes.fill(file, bytes, name(relative))
      guard fchmod(file, mode) == 0 else {
        throw FileError(doing: "cannot write", path: name(relative), code: errno)
      }
      try FileBytes.synchronize(file, name(relative))
      guard renameat(folder.descriptor, temporary, folder.descriptor, Self.last(relative)) == 0 else {
        throw FileError(doing: "cannot replace", path: name(relative), code: errno)
      }
    } catch {
      unlinkat(folder.descriptor, temporary, 0)
      throw error
    }
    try folder.synchronize(name(relative))
  }

  /// Puts a symbolic link in its place, in one step as well.
  func link(_ relative: String, to target: String) throws(FileError) {
    let folder = try existing(Self.parent(relative))
    let temporary = Self.temporary(relative)
    unlinkat(folder.descriptor, temporary, 0)
    guard symlinkat(target, folder.descriptor, temporary) == 0,
      renameat(folder.descriptor, temporary, folder.descriptor, Self.last(relative)) == 0
    else {
      let code = errno
      unlinkat(folder.descriptor, temporary, 0)
      throw FileError(doing: "cannot make the link", path: name(relative), code: code)
    }
    try folder.synchronize(name(relative))
  }

  /// Takes a file or link away, and what a killed writer left beside it; what is not there is no error.
  func remove(_ relative: String) throws(FileError) {
    guard let folder = try Folder(self, Self.parent(relative)) else { return }
    guard unlinkat(folder.descriptor, Self.last(relative), 0) == 0 || errno == ENOENT else {
      throw FileError(doing: "cannot remove", path: name(relative), code: errno)
    }
    unlinkat(folder.descriptor, Self.temporary(relative), 0)
    try folder.synchronize(name(relative))
  }

  /// Takes a directory away, if it is there and nothing is in it.
  func removeDirectory(_ relative: String) throws(FileError) {
    guard let folder = try Folder(self, Self.parent(relative)) else { return }
    guard unlinkat(folder.descriptor, Self.last(relative), AT_REMOVEDIR) != 0 else {
      return try folder.synchronize(name(relative))
    }
    guard [ENOENT, ENOTEMPTY, EEXIST, ENOTDIR, EBUSY].contains(errno) else {
      throw FileError(doing: "cannot remove", path: name(relative), code: errno)
    }
  }

  /// How long another program is waited for, in milliseconds: as the applier does.
  private static let patience = 10_000

  /// Only one program changes an installation at a time: waits for the other one. Locks end with the process.
  ///
  /// The root's directory can be opened, and so locked, by everybody: a file of root's own is better where there is one.
  func lock() throws(FileError) { try wait(for: descriptor, path) }

  /// The same of a file below it, which is made if it is not there. Where nothing can be written, nothing is locked.
  func lock(file relative: String) throws(FileError) {
    // Says why the way there is refused.
    guard try Folder(self, Self.parent(relative)) != nil else { return }
    // Held until the process ends.
    let file = lockdown_open_below(
      descriptor, relative, O_RDWR | O_CREAT | O_NOFOLLOW, isSystemRoot ? 1 : 0)
    guard file >= 0 else {
      if errno == EROFS || errno == EACCES { return }
      throw FileError(doing: "cannot open the lock", path: name(relative), code: errno)
    }
    try wait(for: file, name(relative))
  }

  private func wait(for file: Int32, _ name: String) throws(FileError) {
    let step = 20
    for _ in 0...(Self.patience / step) {
      if flock(file, LOCK_EX | LOCK_NB) == 0 { return }
      guard errno == EWOULDBLOCK || errno == EINTR else {
        throw FileError(doing: "cannot lock", path: name, code: errno)
      }
      usleep(UInt32(step) * 1_000)
    }
    throw FileError("another program is at work: it holds the lock on `\(name)`")
  }

  // MARK: Paths

  static func parent(_ relative: String) -> String {
    relative.lastIndex(of: "/").map { String(relative[..<$0]) } ?? ""
  }

  static func last(_ relative: String) -> String {
    relative.lastIndex(of: "/").map { String(relative[relative.index(after: $0)...]) } ?? relative
  }

  /// Beside its place; the names of units, drop-ins and hooks that others read do not begin with a dot. One name, for
  /// there is one writer (`lock`): what a killed one left is found again.
  private static func temporary(_ relative: String) -> String { temporaryPrefix + last(relative) }

  static let temporaryPrefix = ".lockdown-tmp."

  private func existing(_ relative: String) throws(FileError) -> Folder {
    guard let folder = try Folder(self, relative) else {
      throw FileError(doing: "cannot open", path: name(relative), code: ENOENT)
    }
    return folder
  }

  /// An open directory below the root.
  private struct Folder: ~Copyable {
    let descriptor: Int32

    /// Nil: it is not there.
    init?(_ root: borrowing RootDirectory, _ relative: String) throws(FileError) {
      descriptor = lockdown_open_below(
        root.descriptor, relative.isEmpty ? "." : relative, O_RDONLY | O_DIRECTORY, root.isSystemRoot ? 1 : 0)
      if descriptor < 0 {
        if errno == ENOENT { return nil }
        guard errno == EXDEV else {
          throw FileError(doing: "cannot open", path: root.name(relative), code: errno)
        }
        throw FileError(
          "will not use `\(root.name(relative))`: a symbolic link on the way leads out of `\(root.path)`")
      }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    func look(_ last: String, _ name: String) throws(FileError) -> Found {
      var status = stat()
      guard fstatat(descriptor, last, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
        if errno == ENOENT { return .nothing }
        throw FileError(doing: "cannot look at", path: name, code: errno)
      }
      switch status.st_mode & S_IFMT {
      case S_IFLNK:
        var target = [CChar](repeating: 0, count: 4096)
        let count = readlinkat(descriptor, last, &target, target.count)
        guard count >= 0 else { throw FileError(doing: "cannot read", path: name, code: errno) }
        return .link(String(decoding: target.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self))
      case S_IFREG:
        let file = lockdown_read_below(descriptor, last)
        guard file >= 0 else { throw FileError(doing: "cannot read", path: name, code: errno) }
        defer { close(file) }
        return .file(try FileBytes.read(file, name))
      default: return .other
      }
    }

    func synchronize(_ name: String) throws(FileError) {
      guard fsync(descriptor) == 0 else { throw FileError(doing: "cannot write", path: name, code: errno) }
    }
  }
}
