import CLinux
import Glibc

/// A file that gets new contents: it holds the old ones or the new ones, whatever happens.
enum ReplacedFile {
  /// Writes beside the file, then renames into its place; mode and owner stay. Of a symbolic link the file it leads to
  /// is replaced.
  static func write(_ path: String, _ bytes: [UInt8]) throws(FileError) {
    guard let resolved = realpath(path, nil) else {
      throw FileError(doing: "cannot find", path: path, code: errno)
    }
    let target = String(cString: resolved)
    free(resolved)
    var status = stat()
    guard stat(target, &status) == 0 else { throw FileError(doing: "cannot read", path: path, code: errno) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw FileError("will not replace `\(path)`: no plain file")
    }
    try put(bytes, at: target, named: path, like: status)
  }

  /// The same where there is no file yet: it is made with the mode that a new file gets.
  static func writeOrCreate(_ path: String, _ bytes: [UInt8]) throws(FileError) {
    var status = stat()
    if lstat(path, &status) == 0 { return try write(path, bytes) }
    guard errno == ENOENT else { throw FileError(doing: "cannot write", path: path, code: errno) }
    try put(bytes, at: path, named: path, like: nil)
  }

  /// - Parameter status: of the file that is replaced; nil: there is none.
  private static func put(
    _ bytes: [UInt8], at target: String, named path: String, like status: stat?
  ) throws(FileError) {
    let slash = target.lastIndex(of: "/")
    let directory = slash.map { $0 == target.startIndex ? "/" : String(target[..<$0]) } ?? "."
    let name = slash.map { target[target.index(after: $0)...] } ?? target[...]
    let temporary = "\(directory)/.\(name).\(getpid()).tmp"
    // Nobody else reads it before it has its mode.
    let file = try FileBytes.create(temporary, [bytes], mode: status == nil ? 0o644 : 0o600)
    defer { close(file) }
    do throws(FileError) {
      if let status { try take(status, file, path) }
      try FileBytes.synchronize(file, path)
      guard rename(temporary, target) == 0 else {
        throw FileError(doing: "cannot replace", path: path, code: errno)
      }
    } catch {
      unlink(temporary)
      throw error
    }
    let parent = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard parent >= 0 else { throw FileError(doing: "cannot open", path: directory, code: errno) }
    defer { close(parent) }
    try FileBytes.synchronize(parent, directory)
  }

  /// Gives a new file owner and mode of the one it replaces; the owner first, since a change of it clears set-id bits.
  private static func take(_ old: stat, _ file: Int32, _ path: String) throws(FileError) {
    var own = stat()
    guard fstat(file, &own) == 0 else { throw FileError(doing: "cannot read", path: path, code: errno) }
    if own.st_uid != old.st_uid || own.st_gid != old.st_gid, fchown(file, old.st_uid, old.st_gid) != 0 {
      throw FileError(doing: "cannot keep the owner of", path: path, code: errno)
    }
    guard fchmod(file, old.st_mode & 0o7777) == 0 else {
      throw FileError(doing: "cannot keep the mode of", path: path, code: errno)
    }
  }
}
