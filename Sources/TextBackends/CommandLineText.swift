package import PolicyModel

/// `cmdline.txt`: what the policy wants on the kernel's command line, as one line.
package enum CommandLineText {
  /// At most 2,048 bytes (the checker refuses more): COMMAND_LINE_SIZE of x86 and arm64, whose last byte is NUL
  /// where this has its line feed.
  package static func print(_ policy: HostPolicy) -> String {
    parameters(of: policy).joined(separator: " ") + "\n"
  }

  /// In the order written, then what follows from other parts of the policy.
  package static func parameters(of policy: HostPolicy) -> [String] {
    var parameters = policy.kernel.commandLine.map(\.text)
    // lockdown_param() of security/lockdown/lockdown.c knows no word for none.
    if let level = policy.kernel.lockdown, level != KernelSettings.Lockdown.none {
      parameters.append("lockdown=\(level.rawValue)")
    }
    // The kernel keeps only the last `module_blacklist`, and compares bytes: one parameter, names with `_`.
    let denied = policy.modules.denied.filter { !$0.isGlob }.map(\.pattern)
    if !denied.isEmpty { parameters.append("module_blacklist=" + denied.joined(separator: ",")) }
    return parameters
  }
}
