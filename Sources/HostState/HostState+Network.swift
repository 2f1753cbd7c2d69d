internal import Glibc

/// What the network namespace of this process has beside its rules of nf_tables.
extension HostState {
  /// The interfaces by their numbers.
  package static func interfaces() -> [UInt32: String] {
    var names: [UInt32: String] = [:]
    guard let list = unsafe if_nameindex() else { return names }
    defer { unsafe if_freenameindex(list) }
    var index = 0
    while let name = unsafe list[index].if_name {
      names[unsafe list[index].if_index] = unsafe String(cString: name)
      index += 1
    }
    return names
  }

  /// Tables of x_tables, which iptables-legacy fills and nf_tables does not show, as `ip filter`, sorted.
  ///
  /// A table is there from its first use on, with rules or without.
  package static func legacyTables() throws(HostStateError) -> [String] {
    var found: [String] = []
    for family in ["ip", "ip6"] {
      do throws(HostStateError) {
        let bytes = try KernelFile.read("/proc/self/net/\(family)_tables_names")
        found += bytes.split(separator: 0x0a).map { "\(family) \(String(decoding: $0, as: UTF8.self))" }
      } catch .unreadable(_, ENOENT) {
        // The kernel's module is not loaded.
        continue
      }
    }
    return found.sorted()
  }
}
