package import NFTables

/// Why the state of the host could not be read.
package enum HostStateError: Error, Equatable {
  case firewall(NFTablesError)
  /// A file of the kernel could not be opened or read.
  case unreadable(path: String, errorNumber: Int32)
  /// A file of the kernel does not look as proc(5) describes it.
  case malformed(path: String, line: Int)
  /// The key is not the path of a file below /proc/sys.
  case invalidKey(String)
}

extension HostStateError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .firewall(let error): "cannot read the firewall: \(error)"
    case .unreadable(let path, let errorNumber):
      "cannot read `\(path)`: \(NFTablesError.system(call: "open or read", errorNumber: errorNumber))"
    case .malformed(let path, let line): "`\(path)` line \(line) is not of the documented form"
    case .invalidKey(let key): "`\(key)` is not a path below /proc/sys"
    }
  }
}
