import CLinux

/// A file that only root can have written: each folder on the way, each symbolic link and the file itself
/// belong to uid 0 and nobody else can write them.
enum TrustedFile {
  struct Refusal: Error {
    var reason: Literal
    /// The path up to the component in question.
    var path: [UInt8]
    /// 0: none.
    var errorNumber = 0
  }

  // As in path_resolution(7) the kernel follows 40; a bundle's path has no use for so many.
  private static let maximumLinks = 8
  private static let maximumLength = 1 << 30
  // Write permission for group and others.
  private static let othersMayWrite: UInt32 = 0o022

  /// The whole file, read once.
  ///
  /// - Parameter path: ends in NUL.
  /// - Parameter checksOwners: false in a user namespace, where owners cannot be seen.
  static func read(_ path: [UInt8], checksOwners: Bool) throws(Refusal) -> [UInt8] {
    var walk = Walk(checksOwners: checksOwners)
    let descriptor = try walk.open(path)
    defer { close(descriptor) }
    return try readAll(descriptor, walk: walk)
  }

  /// The same; nil after a message: it is refused.
  @inline(never)
  static func readOrSay(_ path: [UInt8], _ surroundings: Surroundings) -> [UInt8]? {
    do { return try read(path, checksOwners: !surroundings.isInUserNamespace) } catch {
      var line = Line("refused: ")
      line.text.addForeign(error.path)
      line.text.add(": ")
      line.text.add(error.reason)
      if error.errorNumber != 0 {
        line.text.add(": ")
        line.text.add(errorNumber: error.errorNumber)
      }
      line.print()
      return nil
    }
  }

  private static func readAll(_ descriptor: Int32, walk: borrowing Walk) throws(Refusal) -> [UInt8] {
    let before = try walk.status(of: descriptor)
    guard before.isRegularFile else { throw walk.refusal("not a regular file") }
    try walk.checkOwner(before)
    guard before.size <= UInt64(maximumLength) else { throw walk.refusal("longer than 1 GiB") }
    let size = Int(before.size)
    // One byte more than it has, to see it grow.
    guard let bytes = SmallFile.read(descriptor, limit: size + 1) else {
      throw walk.refusal("it cannot be read")
    }
    let after = try walk.status(of: descriptor)
    guard bytes.count == size, after.size == before.size, after.changed_seconds == before.changed_seconds,
      after.changed_nanoseconds == before.changed_nanoseconds
    else { throw walk.refusal("it changed while it was read") }
    return bytes
  }

  /// Walks a path component by component, so that what was checked is what is used.
  struct Walk: ~Copyable {
    private let checksOwners: Bool
    private var folder: Int32 = -1
    private var seen = Text()
    private var links = 0

    init(checksOwners: Bool) { self.checksOwners = checksOwners }

    deinit { if folder >= 0 { close(folder) } }

    /// A descriptor of the file for reading.
    mutating func open(_ path: [UInt8]) throws(Refusal) -> Int32 {
      var pending = try Self.absolute(path)
      var rest = 0..<pending.count
      try enterRoot()
      while let component = pending.takeWord(&rest, separator: 0x2f) {
        if pending.holds(".", at: component) { continue }
        var after = rest
        let isLast = pending.takeWord(&after, separator: 0x2f) == nil
        let name = pending.terminated(component)
        let opened = unsafe lockdown_open_at(
          folder, name, isLast ? lockdown_open_read : lockdown_open_folder, 0)
        let parent = seen
        if seen.bytes.count > 1 { seen.add(byte: 0x2f) }
        seen.add(pending, component)
        if opened >= 0 {
          if isLast { return Int32(opened) }
          close(folder)
          folder = Int32(opened)
          try checkOwner(status(of: folder))
          continue
        }
        // The link's text stands for the component.
        var next = Text()
        next.add(try linkTarget(name, errorNumber: -opened))
        if next.bytes.first == 0x2f { try enterRoot() } else { seen = parent }
        next.add(byte: 0x2f)
        next.add(pending, rest)
        pending = next.bytes
        rest = 0..<pending.count
      }
      throw refusal("not a regular file")
    }

    private mutating func enterRoot() throws(Refusal) {
      if folder >= 0 { close(folder) }
      folder = -1
      seen = Text("/")
      let root = unsafe lockdown_open_at(lockdown_here, literal("/"), lockdown_open_folder, 0)
      guard root >= 0 else { throw refusal("it cannot be opened", -root) }
      folder = Int32(root)
      try checkOwner(status(of: folder))
    }

    /// What to walk instead of a component that could not be opened, if that is a symbolic link of root's.
    private mutating func linkTarget(_ name: [UInt8], errorNumber: Int) throws(Refusal) -> [UInt8] {
      var status = lockdown_file_status()
      guard errorNumber == ErrorNumber.tooManyLinks || errorNumber == ErrorNumber.notAFolder,
        unsafe lockdown_status_at(folder, name, &status) == 0, status.isSymbolicLink
      else { throw refusal("it cannot be opened", errorNumber) }
      // A link has no permissions; who may replace it is the folder's matter.
      guard !checksOwners || status.user == 0 else {
        throw refusal("a symbolic link that does not belong to root")
      }
      links += 1
      guard links <= maximumLinks else { throw refusal("more than 8 symbolic links") }
      guard let target = SmallFile.link(name, in: folder) else { throw refusal("a link without a target") }
      return target
    }

    static func absolute(_ path: [UInt8]) throws(Refusal) -> [UInt8] {
      if path.first == 0x2f { return path.copy(0..<(path.count - 1)) }
      var current = [UInt8](repeating: 0, count: 4096)
      let length = unsafe lockdown_working_folder(&current, current.count)
      // Outside of what this process can see, the path does not begin with a slash.
      guard length > 1, current[0] == 0x2f else {
        throw Refusal(reason: "the working folder is gone", path: [], errorNumber: length < 0 ? -length : 0)
      }
      var text = Text()
      text.add(current, 0..<(length - 1))
      text.add(byte: 0x2f)
      text.add(path, 0..<(path.count - 1))
      return text.bytes
    }

    func status(of descriptor: Int32) throws(Refusal) -> lockdown_file_status {
      var status = lockdown_file_status()
      let result = unsafe lockdown_status_of(descriptor, &status)
      guard result == 0 else { throw refusal("its status cannot be read", -result) }
      return status
    }

    func checkOwner(_ status: lockdown_file_status) throws(Refusal) {
      guard checksOwners else { return }
      guard status.user == 0 else { throw refusal("it does not belong to root") }
      // A write grant of an access control list shows in the group's bits.
      guard status.mode & othersMayWrite == 0 else { throw refusal("others than root can write it") }
    }

    func refusal(_ reason: Literal, _ errorNumber: Int = 0) -> Refusal {
      Refusal(reason: reason, path: seen.bytes, errorNumber: errorNumber)
    }
  }
}

extension lockdown_file_status {
  // S_IFMT, S_IFREG and S_IFLNK, linux/stat.h.
  private static let kindMask: UInt32 = 0o170000
  var isRegularFile: Bool { mode & Self.kindMask == 0o100000 }
  var isSymbolicLink: Bool { mode & Self.kindMask == 0o120000 }
}
