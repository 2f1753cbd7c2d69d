package import PolicyModel

/// `modprobe.conf`: the denied modules as kmod reads them (modprobe.d(5)).
///
/// It stops `modprobe` and what the kernel loads through it. `insmod`, a renamed file and
/// `modprobe --ignore-install` pass by it; `modules_disabled` and `module_blacklist=` do not care for it.
package enum ModprobeText {
  package static func print(_ policy: HostPolicy) -> String {
    var file = TextFile(policy, readBy: "modprobe(8)")
    let modules = policy.modules
    let names = modules.denied.filter { !$0.isGlob }.map(\.pattern)
    let globs = modules.denied.filter(\.isGlob).map(\.pattern)
    if !names.isEmpty {
      file.section([])
      for name in names {
        // `blacklist` stops the aliases of devices, `install` the name itself, also as a dependency.
        file.lines(["blacklist \(name)", "install \(name) /bin/false"])
      }
    }
    if !globs.isEmpty {
      file.section([
        "kmod matches the name of `install` as a pattern (fnmatch(3)); that of `blacklist` it does not.",
        "`module_blacklist=` on the kernel's command line cannot hold these.",
      ])
      for glob in globs { file.lines(["install \(glob) /bin/false"]) }
    }
    if modules.deniesByDefault {
      // kmod takes the first `install` line whose pattern fits, so the last one is for all that is not listed. It goes
      // for each module that another needs, too.
      file.section([
        "default: deny. Allowed modules load by a second modprobe, which passes over the line that started it;",
        "every other name ends in the last line.",
      ])
      let allowed = Set((modules.allowed + modules.required).map(\.pattern)).sorted { a, b in
        // A pattern may fit a name that has a line of its own.
        let (globA, globB) = (a.contains("*") || a.contains("?"), b.contains("*") || b.contains("?"))
        return globA == globB ? a.utf8.lexicographicallyPrecedes(b.utf8) : globB
      }
      for pattern in allowed {
        file.lines(["install \(pattern) /sbin/modprobe --ignore-install $MODPROBE_MODULE $CMDLINE_OPTS"])
      }
      file.lines(["install * /bin/false"])
    }
    if !modules.required.isEmpty {
      file.section(["Required, for modules-load.d(5): \(list(modules.required))"])
    }
    if modules.seal == .afterBoot {
      file.section(["seal: after-boot is `sysctl kernel.modules_disabled=1` once the host has booted."])
    }
    if modules.deniesCompressed {
      file.section(["compressed: deny. kmod reads compressed files itself, so this file does not enforce it."]
      )
    }
    return file.text
  }

  private static func list(_ patterns: [ModulePattern]) -> String {
    patterns.isEmpty ? "none" : patterns.map(\.pattern).joined(separator: " ")
  }
}
