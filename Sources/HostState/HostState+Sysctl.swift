extension HostState {
  /// The value of a kernel parameter, without its newline. See sysctl(8) and proc_sys(5).
  ///
  /// - Parameter path: below /proc/sys, as `net/ipv4/ip_forward`; components are names, so that neither `..`
  ///   nor an absolute path leads out.
  package static func sysctl(_ path: String) throws(HostStateError) -> [UInt8] {
    let components = path.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    let isPath = components.allSatisfy { component in
      !component.isEmpty && !component.contains(0) && !component.elementsEqual(".".utf8)
        && !component.elementsEqual("..".utf8)
    }
    guard isPath else { throw .invalidKey(path) }
    var value = try KernelFile.read("/proc/sys/" + path)
    if value.last == UInt8(ascii: "\n") { value.removeLast() }
    return value
  }
}
