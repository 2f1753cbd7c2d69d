import CLinux
import Compiler
import Glibc
import SideThread
import Synchronization

/// A directory of outputs that is there whole or not at all: written beside its place, then renamed into it.
///
/// Files are written as they are finished, on whatever thread, so that the disk is busy while the rest is made.
final class OutputDirectory: Sendable {
  private struct File {
    let descriptor: Int32
    let name: String
    let path: String
  }

  private struct State {
    var files: [File] = []
    var directories: [String] = []
    /// The first one.
    var error: FileError?
  }

  let path: String
  private let temporary: String
  private let state = Mutex(State())

  init(path: String) {
    var path = path
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    self.path = path
    temporary = "\(path).\(getpid()).tmp"
  }

  deinit {
    state.withLock { state in for file in state.files { close(file.descriptor) } }
  }

  /// Writes one file, or what comes next of it; its name is relative and may name one directory. A whole one goes to
  /// the disk at once. What fails is told by `finish`.
  func take(_ output: CompiledPolicy.OutputFile) {
    do throws(FileError) {
      let file = try write(output)
      if output.isWhole { try FileBytes.synchronize(file.descriptor, file.path) }
    } catch {
      state.withLock { $0.error = $0.error ?? error }
    }
  }

  private func write(_ output: CompiledPolicy.OutputFile) throws(FileError) -> File {
    if let file = state.withLock({ state in state.files.first { $0.name == output.name } }) {
      if let place = output.place {
        try FileBytes.replace(output.bytes, in: file.descriptor, at: place, file.path)
      } else if !output.pieces.isEmpty {
        try FileBytes.append(output.pieces, to: file.descriptor, file.path)
      }
      return file
    }
    try makeDirectories(for: output.name)
    let path = "\(temporary)/\(output.name)"
    let file = File(descriptor: try FileBytes.create(path, output.pieces), name: output.name, path: path)
    state.withLock { $0.files.append(file) }
    return file
  }

  /// Makes what was written the output. An old output is replaced at once.
  func finish() throws(FileError) {
    do throws(FileError) {
      let (files, directories, error) = state.withLock { ($0.files, $0.directories, $0.error) }
      if let error { throw error }
      for file in files { try FileBytes.synchronize(file.descriptor, file.path) }
      for directory in directories { try synchronize(directory) }
      try replace()
    } catch {
      discard()
      throw error
    }
  }

  /// Takes away what was written.
  func discard() { Self.remove(temporary) }

  private func makeDirectories(for name: String) throws(FileError) {
    let inner = name.lastIndex(of: "/").map { "\(temporary)/\(name[..<$0])" }
    for directory in [temporary, inner].compactMap({ $0 }) {
      try state.withLock { (state) throws(FileError) in
        guard !state.directories.contains(directory) else { return }
        try make(directory)
        state.directories.append(directory)
      }
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
      if let stranger = Self.stranger(in: path) {
        throw FileError("will not replace `\(path)`: no compile has made `\(stranger)` in it")
      }
      if lockdown_exchange(temporary, path) != 0 { try replaceInTwoSteps() }
      Self.remove(temporary)
    } else if rename(temporary, path) != 0 {
      throw FileError(doing: "cannot make directory", path: path, code: errno)
    }
    let parent = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    try synchronize(parent)
  }

  /// For file systems that cannot exchange two names: for a moment there is no output, and never half of one.
  private func replaceInTwoSteps() throws(FileError) {
    guard errno == EINVAL || errno == ENOSYS else {
      throw FileError(doing: "cannot replace", path: path, code: errno)
    }
    let old = "\(path).\(getpid()).old"
    guard rename(path, old) == 0 else { throw FileError(doing: "cannot replace", path: path, code: errno) }
    guard rename(temporary, path) == 0 else {
      let code = errno
      _ = rename(old, path)
      throw FileError(doing: "cannot replace", path: path, code: code)
    }
    Self.remove(old)
  }

  /// The name of something that no compile writes, or nil: only what a compile has made may be replaced. A
  /// mistyped -o must not take a home directory with it, nor a replaced output somebody's notes.
  private static func stranger(in path: String) -> String? {
    guard let names = entries(of: path) else { return path }
    for name in names.sorted() where !CompiledPolicy.outputNames.contains(name) {
      guard name == CompiledPolicy.setDirectory, let sets = entries(of: "\(path)/\(name)") else {
        return name
      }
      if let other = sets.sorted().first(where: { !$0.hasSuffix(".netset") }) { return "\(name)/\(other)" }
    }
    return nil
  }

  private func synchronize(_ directory: String) throws(FileError) {
    let file = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard file >= 0 else { throw FileError(doing: "cannot open", path: directory, code: errno) }
    defer { close(file) }
    guard fsync(file) == 0 else { throw FileError(doing: "cannot write", path: directory, code: errno) }
  }

  /// Removes a directory of ours and what is in it, two levels deep.
  private static func remove(_ directory: String) {
    // Half of a large output beside the other: what the system keeps in memory of it takes time to give back.
    let paths = (entries(of: directory) ?? []).map { "\(directory)/\($0)" }.sorted { size($0) > size($1) }
    let beside = SideThread { for path in paths.prefix(1) { removeEntry(path) } }
    for path in paths.dropFirst() { removeEntry(path) }
    beside.wait()
    rmdir(directory)
  }

  private static func removeEntry(_ path: String) {
    if unlink(path) != 0, errno == EISDIR || errno == EPERM { remove(path) }
  }

  private static func size(_ path: String) -> off_t {
    var status = stat()
    return lstat(path, &status) == 0 ? status.st_size : 0
  }

  /// Nil if it is no directory that can be read.
  private static func entries(of directory: String) -> [String]? {
    guard let stream = opendir(directory) else { return nil }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names
  }
}
