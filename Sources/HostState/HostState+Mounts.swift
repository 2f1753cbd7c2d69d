/// One line of mountinfo, see proc_pid_mountinfo(5).
package struct MountEntry: Sendable, Equatable {
  package var id: UInt32
  package var parent: UInt32
  /// Bytes, with the kernel's octal escapes resolved.
  package var root: [UInt8]
  package var path: [UInt8]
  /// Options of the mount, as `rw`, `nosuid`.
  package var options: [String]
  package var fileSystem: String
  package var source: [UInt8]
  /// Options of the file system.
  package var superOptions: [String]
}

extension HostState {
  /// The mounts of this process's mount namespace, in the kernel's order: of two on one path the later is above.
  package static func mounts() throws(HostStateError) -> [MountEntry] {
    let path = "/proc/thread-self/mountinfo"
    return try parseMounts(KernelFile.read(path), path: path)
  }

  /// Parses the content of a mountinfo file; `path` is for errors.
  package static func parseMounts(_ content: [UInt8], path: String) throws(HostStateError) -> [MountEntry] {
    var entries: [MountEntry] = []
    for (index, line) in content.split(separator: UInt8(ascii: "\n")).enumerated() {
      guard let entry = MountEntry(line: line) else { throw .malformed(path: path, line: index + 1) }
      entries.append(entry)
    }
    return entries
  }
}

extension MountEntry {
  /// `36 35 98:0 /root /path rw,noatime master:1 - ext3 /dev/root rw,errors=continue`; the optional fields
  /// before the `-` are of any number.
  fileprivate init?(line: ArraySlice<UInt8>) {
    let fields = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
    let optionalStart = 6
    guard fields.count > optionalStart,
      let separator = fields[optionalStart...].firstIndex(where: { $0.elementsEqual("-".utf8) }),
      // Super options may be absent where the source is empty; a file system type never is.
      fields.count > separator + 2,
      let id = UInt32(String(decoding: fields[0], as: UTF8.self)),
      let parent = UInt32(String(decoding: fields[1], as: UTF8.self)),
      let root = Self.unescaped(fields[3]), let path = Self.unescaped(fields[4]),
      let source = Self.unescaped(fields[separator + 2])
    else { return nil }
    func list(_ field: ArraySlice<UInt8>) -> [String] {
      field.split(separator: UInt8(ascii: ",")).map { String(decoding: $0, as: UTF8.self) }
    }
    self.init(
      id: id, parent: parent, root: root, path: path, options: list(fields[5]),
      fileSystem: String(decoding: fields[separator + 1], as: UTF8.self), source: source,
      superOptions: fields.count > separator + 3 ? list(fields[separator + 3]) : [])
  }

  /// Space, tab, newline and backslash come as a backslash and three octal digits.
  private static func unescaped(_ field: ArraySlice<UInt8>) -> [UInt8]? {
    var bytes: [UInt8] = []
    var rest = field
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "\\") else {
        bytes.append(byte)
        continue
      }
      guard rest.count >= 3, let value = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
      else {
        return nil
      }
      bytes.append(value)
      rest = rest.dropFirst(3)
    }
    return bytes
  }
}
