import CLinux
import Glibc

/// A directory of outputs that is there whole or not at all: written beside its place, then renamed into it.
struct OutputDirectory {
  let path: String
  private let temporary: String

  init(path: String) {
    var path = path
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    self.path = path
    temporary = "\(path).\(getpid()).tmp"
  }

  /// Writes all files; each name is relative and may name one directory. An old output is replaced at once.
  func write(_ files: [(name: String, bytes: [UInt8])]) throws(FileError) {
    do throws(FileError) {
      try make(temporary)
      for (name, bytes) in files {
        if let slash = name.lastIndex(of: "/") {
          let directory = "\(temporary)/\(name[..<slash])"
          if access(directory, F_OK) != 0 { try make(directory) }
        }
        try FileBytes.create("\(temporary)/\(name)", bytes)
      }
      try synchronize(temporary)
      try replace()
    } catch {
      Self.remove(temporary)
      throw error
    }
  }

  private func make(_ directory: String) throws(FileError) {
    guard mkdir(directory, 0o755) == 0 else {
      throw FileError(doing: "cannot make directory", path: directory, code: errno)
    }
  }

  private func replace() throws(FileError) {
    var status = stat()
    if lstat(path, &status) == 0 {
      // Only what a compile has made may be replaced: a mistyped -o must not take a home directory with it.
      guard access("\(path)/policy.bundle", F_OK) == 0 || isEmptyDirectory(path) else {
        throw FileError(doing: "will not replace what no compile has made:", path: path, code: EEXIST)
      }
      guard lockdown_exchange(temporary, path) == 0 else {
        throw FileError(doing: "cannot replace", path: path, code: errno)
      }
      Self.remove(temporary)
    } else if rename(temporary, path) != 0 {
      throw FileError(doing: "cannot make directory", path: path, code: errno)
    }
    let parent = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    try synchronize(parent)
  }

  private func isEmptyDirectory(_ path: String) -> Bool {
    guard let stream = opendir(path) else { return false }
    defer { closedir(stream) }
    while let entry = readdir(stream) {
      if name(of: entry) != ".", name(of: entry) != ".." { return false }
    }
    return true
  }

  private func synchronize(_ directory: String) throws(FileError) {
    let file = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard file >= 0 else { throw FileError(doing: "cannot open", path: directory, code: errno) }
    defer { close(file) }
    guard fsync(file) == 0 else { throw FileError(doing: "cannot write", path: directory, code: errno) }
  }

  /// Removes a directory of ours and what is in it, two levels deep.
  private static func remove(_ directory: String) {
    guard let stream = opendir(directory) else { return }
    var names: [String] = []
    while let entry = readdir(stream) { names.append(name(of: entry)) }
    closedir(stream)
    for name in names where name != "." && name != ".." {
      let path = "\(directory)/\(name)"
      if unlink(path) != 0, errno == EISDIR || errno == EPERM { remove(path) }
    }
    rmdir(directory)
  }

  private func name(of entry: UnsafeMutablePointer<dirent>) -> String { Self.name(of: entry) }

  private static func name(of entry: UnsafeMutablePointer<dirent>) -> String {
    withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
      String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
  }
}
