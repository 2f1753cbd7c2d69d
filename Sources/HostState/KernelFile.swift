internal import CLinux
internal import Glibc

/// A file that the kernel makes up while it is read, so that its size says nothing.
enum KernelFile {
  private static let chunkLength = 4096

  /// All bytes of the file. The corresponding calls are open(2) and read(2).
  static func read(_ path: String) throws(HostStateError) -> [UInt8] {
    let descriptor = unsafe path.withCString { unsafe open($0, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) }
    guard descriptor >= 0 else { throw .unreadable(path: path, errorNumber: errno) }
    defer { _ = close(descriptor) }
    var content: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: chunkLength)
    while true {
      let count = unsafe Glibc.read(descriptor, &chunk, chunk.count)
      if count < 0 {
        if errno == EINTR { continue }
        throw .unreadable(path: path, errorNumber: errno)
      }
      if count == 0 { return content }
      content += chunk.prefix(count)
    }
  }
}
