import ArgumentParser
import CLinux
import Compiler
import Diagnostics
import Glibc

/// A file that could not be read or written, in the words of the system.
struct FileError: Error, CustomStringConvertible {
  var description: String

  init(_ description: String) { self.description = description }

  /// - Parameter code: errno.
  init(doing: String, path: String, code: Int32) {
    description = "\(doing) `\(path)`: \(String(cString: strerror(code)))"
  }
}

extension SourceReadError {
  /// - Parameter code: errno.
  fileprivate init(code: Int32) {
    self =
      switch code {
      case ENOENT: .notFound
      case EISDIR: .isDirectory
      default: .other(String(cString: strerror(code)))
      }
  }
}

/// The file system, for a compile. Relative paths are relative to the working directory.
struct FileSystemReader: SourceReader {
  func read(_ path: String, limit: Int) throws(SourceReadError) -> [UInt8] {
    try FileBytes.read(path, limit: limit)
  }
}

enum FileBytes {
  /// The bytes of a file, whole; `-` is standard input.
  static func read(_ path: String) throws(FileError) -> [UInt8] {
    try opened(path) { (file) throws(FileError) in try read(file, path) }
  }

  /// The bytes of a policy or a bundle; `-` is standard input. Of a policy that is longer than the language allows one
  /// byte more than that, by which it is refused.
  static func readSource(_ path: String) throws(FileError) -> [UInt8] {
    try opened(path) { (file) throws(FileError) in
      let start = try read(file, path, upTo: PolicyCompiler.longestPolicy + 1)
      guard start.count > PolicyCompiler.longestPolicy, BundleFile.isBundle(start) else { return start }
      return start + (try read(file, path))
    }
  }

  /// The bytes of what can be read once, whole where they are rules or a bundle: see ``readSource(_:)``.
  static func readRules(_ path: String) throws(FileError) -> [UInt8] {
    try opened(path) { (file) throws(FileError) in
      let start = try read(file, path, upTo: PolicyCompiler.longestPolicy + 1)
      guard start.count > PolicyCompiler.longestPolicy else { return start }
      let isWhole = BundleFile.isBundle(start) || SavedRules.family(start) != nil || NFTWords.begin(start)
      return isWhole ? start + (try read(file, path)) : start
    }
  }

  /// A file with these bytes that no directory has, open for a program that is started.
  static func reopened(_ bytes: [UInt8]) throws(FileError) -> Int32 {
    let file = lockdown_memory_file()
    guard file >= 0 else { throw FileError(doing: "cannot make", path: "memfd", code: errno) }
    var offset = 0
    while offset < bytes.count {
      let count = bytes[offset...].withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else {
        close(file)
        throw FileError(doing: "cannot write", path: "memfd", code: errno)
      }
      offset += count
    }
    return file
  }

  static func close(_ file: Int32) { Glibc.close(file) }

  private static func opened(
    _ path: String, _ body: (Int32) throws(FileError) -> [UInt8]
  ) throws(FileError) -> [UInt8] {
    let file = path == "-" ? 0 : open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw FileError(doing: "cannot read", path: path, code: errno) }
    defer { if file != 0 { close(file) } }
    return try body(file)
  }

  /// Whether there is a directory of that path, or a link to one.
  static func isDirectory(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// The first bytes of a file, by which it is told; nil: it cannot be read.
  static func start(of path: String) -> [UInt8]? {
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else { return nil }
    defer { close(file) }
    // Of a pipe whoever reads it next would miss them.
    var status = stat()
    guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = Glibc.read(file, &buffer, buffer.count)
    return count < 0 ? nil : Array(buffer.prefix(count))
  }

  /// The bytes of an open file, to its end.
  ///
  /// - Parameters:
  ///   - path: how it is named in an error.
  ///   - length: Bytes, of which no more are read.
  static func read(_ file: Int32, _ path: String, upTo length: Int = .max) throws(FileError) -> [UInt8] {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while bytes.count < length {
      let count = Glibc.read(file, &buffer, min(buffer.count, length - bytes.count))
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw FileError(doing: "cannot read", path: path, code: errno) }
      if count == 0 { break }
      bytes += buffer[..<count]
    }
    return bytes
  }

  /// The bytes of a file that a policy names.
  ///
  /// - Parameter limit: Bytes; no more than one buffer beyond it is read.
  static func read(_ path: String, limit: Int) throws(SourceReadError) -> [UInt8] {
    // Opening a pipe waits for who writes it.
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
    guard file >= 0 else { throw SourceReadError(code: errno) }
    defer { close(file) }
    var status = stat()
    guard fstat(file, &status) == 0 else { throw SourceReadError(code: errno) }
    switch status.st_mode & S_IFMT {
    case S_IFREG: break
    case S_IFDIR: throw .isDirectory
    default: throw .notRegular
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(min(Int(status.st_size), limit))
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = Glibc.read(file, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw SourceReadError(code: errno) }
      if count == 0 { return bytes }
      bytes += buffer[..<count]
      guard bytes.count <= limit else { throw .tooLarge(limit: limit) }
    }
  }

  /// Writes a new file, starts to bring it to the disk, and leaves it open for `synchronize`.
  static func create(
    _ path: String, _ pieces: [[UInt8]], mode: mode_t = 0o644
  ) throws(FileError) -> Int32 {
    let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
    guard file >= 0 else { throw FileError(doing: "cannot write", path: path, code: errno) }
    do throws(FileError) { try append(pieces, to: file, path) } catch {
      close(file)
      throw error
    }
    return file
  }

  /// Writes what comes next of a file, and starts to bring it to the disk.
  static func append(_ pieces: [[UInt8]], to file: Int32, _ path: String) throws(FileError) {
    try fill(file, pieces, path)
    // Blocks are allocated now, so that the first fsync commits the journal for all files, and not each its own.
    lockdown_start_writing(file)
  }

  /// Bytes that are written at once, where pieces are smaller.
  private static let blockLength = 1 << 18

  /// Writes pieces one behind the other to an open file.
  private static func fill(_ file: Int32, _ pieces: [[UInt8]], _ path: String) throws(FileError) {
    var block: [UInt8] = []
    for piece in pieces {
      if piece.count > blockLength / 2 || block.count + piece.count > blockLength {
        try fill(file, block, path)
        block.removeAll(keepingCapacity: true)
      }
      if piece.count > blockLength / 2 {
        try fill(file, piece, path)
      } else {
        if block.capacity == 0 { block.reserveCapacity(blockLength) }
        block += piece
      }
    }
    try fill(file, block, path)
  }

  /// Writes all bytes to an open file.
  static func fill(_ file: Int32, _ bytes: [UInt8], _ path: String) throws(FileError) {
    var offset = 0
    while offset < bytes.count {
      let count = bytes[offset...].withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw FileError(doing: "cannot write", path: path, code: errno) }
      offset += count
    }
  }

  /// Writes over bytes of an open file.
  static func replace(_ bytes: [UInt8], in file: Int32, at place: Int, _ path: String) throws(FileError) {
    var offset = 0
    while offset < bytes.count {
      let count = bytes[offset...].withUnsafeBytes {
        pwrite(file, $0.baseAddress, $0.count, off_t(place + offset))
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw FileError(doing: "cannot write", path: path, code: errno) }
      offset += count
    }
  }

  /// Waits until a file is on the disk.
  static func synchronize(_ file: Int32, _ path: String) throws(FileError) {
    guard fsync(file) == 0 else { throw FileError(doing: "cannot write", path: path, code: errno) }
  }
}
