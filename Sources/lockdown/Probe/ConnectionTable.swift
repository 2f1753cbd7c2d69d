import NFTables

/// The connections that the kernel tracks in the network namespace of this process.
enum ConnectionTable {
  /// Forgets all of them, for a scan. It goes on where that fails: then a full table would be seen as lost packets.
  static func flush() {
    guard var socket = try? NetlinkSocket() else { return }
    try? socket.forgetConnections()
  }
}
