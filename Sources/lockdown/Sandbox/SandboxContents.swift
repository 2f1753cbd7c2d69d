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
    // Modules, and what lasts until the next boot.
    applicable.kernel = []
    applicable.programs = []
    applicable.relocations = []
    let kernel = words(contents.kernel)
    if !kernel.isEmpty { leftOut.append("of the whole host: \(kernel.joined(separator: ", "))") }
    leftOut += contents.notEnforced.map(text)
    return (applicable, leftOut)
  }

  private static func words(_ items: [BundleKernelItem]) -> [String] {
    var words: [String] = []
    for item in items {
      switch item.kind {
      case .lockdown: words.append("lockdown level \(text(item.text))")
      case .sealAfterBoot: words.append("the seal behind a healthy boot")
      case .denyModules: words.append("modules that are not allowed")
      case .denyCompressed: words.append("compressed modules")
      case .deniedModule, .allowedModule, .requiredModule: break
      }
    }
    let kinds: [(BundleKernelItem.Kind, String)] = [(.deniedModule, "denied"), (.requiredModule, "required")]
    for (kind, word) in kinds {
      let number = items.count { $0.kind == kind }
      if number > 0 { words.append("\(number) \(word) module\(number == 1 ? "" : "s")") }
    }
    return words
  }

  private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}
