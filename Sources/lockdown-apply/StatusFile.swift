import CLinux

/// Writes a file so that a reader sees the old or the new one.
enum StatusFile {
  /// 0, or why not.
  ///
  /// - Parameter path: ends in NUL.
  static func write(_ text: Text, to path: [UInt8]) -> Int {
    var name = Text()
    name.add(path, 0..<(path.count - 1))
    name.add(byte: 0x2e)
    name.add(Int(getpid()))
    name.add(byte: 0)
    let temporary = name.bytes
    var descriptor = unsafe lockdown_open_at(lockdown_here, temporary, lockdown_open_new, 0o644)
    if -descriptor == ErrorNumber.exists {
      // Of a process with this number that was killed.
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
}
