import BundleFormat

/// What of a bundle a sandbox may apply.
enum SandboxContents {
  /// The bundle without what would change the whole host, and what that is, one line each.
  ///
  /// The applier passes over such keys by itself outside the host's namespaces; here they do not even reach it.
  static func split(_ contents: BundleContents) -> (applicable: BundleContents, leftOut: [String]) {
    var applicable = contents
    applicable.sysctls = contents.sysctls.filter(\.isNamespaced)
    let global = contents.sysctls.filter { !$0.isNamespaced }.map { text($0.path) }
    var leftOut = global.isEmpty ? [] : ["sysctls of the whole host: \(global.joined(separator: ", "))"]
    // Options belong to the file system, which is the host's, and not to a mount.
    for index in contents.mounts.indices where !contents.mounts[index].options.isEmpty {
      let mount = contents.mounts[index]
      applicable.mounts[index].options = []
      leftOut.append("options of the file system on \(text(mount.path)): \(text(mount.options))")
    }
    leftOut += contents.notEnforced.map(text)
    return (applicable, leftOut)
  }

  private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}
