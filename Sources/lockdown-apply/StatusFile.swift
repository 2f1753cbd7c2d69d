import CLinux

/// Writes a file so that a reader sees the old or the new one.
enum StatusFile {
  /// 0, or why not.
  ///
  /// - Parameters:
  ///   - path: ends in NUL.
  ///   - isShared: others may write it at the same time; else what a killed process left is written over.
  static func write(_ text: Text, to path: [UInt8], isShared: Bool = false) -> Int {
    var name = Text()
    name.add(path, 0..<(path.count - 1))
    name.add(".new")
    if isShared { name.add(Int(getpid())) }
    name.add(byte: 0)
    let temporary = name.bytes
    var descriptor = unsafe lockdown_open_at(lockdown_here, temporary, lockdown_open_new, 0o644)
    if -descriptor == ErrorNumber.exists {
      // Of a process that was killed.
      _ = unsafe lockdown_remove(temporary)
      descriptor = unsafe lockdown_open_at(lockdown_here, temporary, lockdown_open_new, 0o644)
    }
    guard descriptor >= 0 else { return -descriptor }
    let isWritten = text.write(to: Int32(descriptor))
    let synced = lockdown_sync(Int32(descriptor))
    close(Int32(descriptor))
    var result = isWritten ? 0 : ErrorNumber.noSpace
    // Not every file system can: what matters then is the rename.
    if result == 0, synced != 0, -synced != ErrorNumber.invalid { result = -synced }
    if result == 0 { result = -(unsafe lockdown_rename(temporary, path)) }
    if result != 0 { _ = unsafe lockdown_remove(temporary) }
    return result
  }

  /// So that a power cut does not take the file back to the one before. What cannot be synced is left to the kernel.
  static func syncFolder(of path: [UInt8]) {
    var end = path.count - 1
    while end > 0, path[end] != 0x2f { end -= 1 }
    let folder = unsafe lockdown_open_at(
      lockdown_here, end > 0 ? path.terminated(0..<end) : Array("."), lockdown_open_list, 0)
    guard folder >= 0 else { return }
    _ = lockdown_sync(Int32(folder))
    close(Int32(folder))
  }
}
