/// Settings of the keyed domains as policies write them, from a small world, so that two files often meet.
package struct RandomSettings {
  private var random: SeededGenerator

  /// Parameters of the command line in the order that fragments give them.
  private let sortsParameters: Bool

  package init(seed: UInt64, sortsParameters: Bool = false) {
    random = SeededGenerator(seed: seed)
    self.sortsParameters = sortsParameters
  }

  package mutating func chance(_ part: Int, _ whole: Int) -> Bool {
    Int.random(in: 0..<whole, using: &random) < part
  }

  private static let sysctls: [(String, [String])] = [
    ("kernel.kptr_restrict", ["0", "1", "2"]), ("kernel.yama.ptrace_scope", ["0", "1", "2", "3"]),
    ("kernel.unprivileged_bpf_disabled", ["0", "1", "2"]), ("kernel.sysrq", ["0", "1", "16", "48", "176"]),
    ("vm.swappiness", ["10", "60"]), ("net.ipv4.tcp_syncookies", ["0", "1", "2"]),
    ("net.ipv4.ip_forward", ["0", "1"]), ("net.ipv4.conf.all.forwarding", ["0", "1"]),
    ("net.ipv4.conf.*.rp_filter", ["0", "1", "2"]), ("net.ipv4.conf.all.rp_filter", ["0", "1", "2"]),
    ("net.ipv4.conf.eth0.rp_filter", ["0", "1", "2"]), ("net.ipv4.conf.*.accept_redirects", ["0", "1"]),
    ("net.ipv4.conf.eth0.accept_redirects", ["0", "1"]),
    ("net.ipv4.conf.default.send_redirects", ["0", "1"]),
  ]
  private static let flags = [
    ["ro", "rw"], ["nosuid", "suid"], ["nodev", "dev"], ["noexec", "exec"], ["nosymfollow", "symfollow"],
  ]
  private static let paths = ["/", "/tmp", "/var", "/var/lib", "/var/lib/data"]
  private static let denied = ["sctp", "tipc", "rds", "\"can*\"", "cramfs"]
  private static let parameters: [[String]] = [
    ["init_on_alloc=0", "init_on_alloc=1"], ["vsyscall=emulate", "vsyscall=xonly", "vsyscall=none"],
    ["debugfs=on", "debugfs=off"], ["mitigations=auto", "mitigations=off"], ["console=tty0"],
    ["console=ttyS0"],
  ]

  /// Each domain with a chance of its own; at least one line.
  package mutating func body() -> String {
    var text = ""
    if chance(2, 3) { text += sysctl() }
    if chance(1, 2) { text += mounts() }
    if chance(1, 2) { text += modules() }
    if chance(1, 3) { text += systemCalls() }
    if text.isEmpty || chance(1, 2) { text += kernel() }
    return text
  }

  private mutating func some<Element>(_ list: [Element], _ most: Int) -> [Element] {
    Array(list.shuffled(using: &random).prefix(Int.random(in: 1...most, using: &random)))
  }

  private mutating func sysctl() -> String {
    var lines = "sysctl:\n"
    var hasForwarding = false
    for (key, values) in some(Self.sysctls, 4) {
      // Two names of one setting, which one file must not give two values.
      if key == "net.ipv4.ip_forward" || key == "net.ipv4.conf.all.forwarding" {
        if hasForwarding { continue }
        hasForwarding = true
      }
      lines += "  \(key): \(random.pick(values))\n"
    }
    return lines
  }

  private mutating func mounts() -> String {
    var lines = "mounts:\n"
    for path in some(Self.paths, 3) {
      var members: [String] = []
      let flags = some(Self.flags, 3).map { random.pick($0) }
      members.append("flags: [\(flags.joined(separator: ", "))]")
      if path == "/var/lib/data", chance(1, 2) { members.append("bind: self") }
      if path == "/tmp", chance(1, 4) { members.append("options: [size=\(random.pick(["1g", "2g"]))]") }
      lines += "  \(path): { \(members.joined(separator: ", ")) }\n"
    }
    return lines
  }

  private mutating func modules() -> String {
    var lines = "modules:\n"
    if chance(1, 4) { lines += "  default: \(random.pick(["allow", "deny"]))\n" }
    if chance(1, 3) { lines += "  seal: \(random.pick(["never", "after-boot"]))\n" }
    if chance(1, 4) { lines += "  allow: [\(random.pick(["virtio_net", "nvme"]))]\n" }
    lines += "  deny: [\(some(Self.denied, 3).joined(separator: ", "))]\n"
    return lines
  }

  private static let refused = [
    "kexec_load", "ptrace", "\"@swap\"", "\"@clock\"", "socket arg0 38", "\"socket arg0 38, 16\"", "swapon",
    "clock_settime64",
  ]

  private mutating func systemCalls() -> String {
    var lines = "syscalls:\n"
    if chance(1, 6) { lines += "  default: \(random.pick(["allow", "deny"]))\n" }
    lines += "  scope: services\n"
    if chance(1, 4) { lines += "  on-deny: \(random.pick(["eperm", "enosys", "log"]))\n" }
    if chance(1, 4) { lines += "  on-unknown: \(random.pick(["enosys", "kill", "log"]))\n" }
    if chance(1, 4) { lines += "  allow: [\(random.pick(["read", "\"@basic-io\"", "cachestat"]))]\n" }
    let refused = some(Self.refused, 3)
    lines += "  deny: [\(refused.joined(separator: ", "))]\n"
    if refused.contains("\"@swap\""), !refused.contains("swapon"), chance(1, 2) {
      lines += "  undeny: [swapon]\n"
    }
    return lines
  }

  private mutating func kernel() -> String {
    var lines = "kernel:\n"
    if chance(1, 2) { lines += "  lockdown: \(random.pick(["none", "integrity", "confidentiality"]))\n" }
    var parameters = some(Self.parameters, 3).map { random.pick($0) }
    if sortsParameters { parameters.sort() }
    lines += "  command-line: [\(parameters.joined(separator: ", "))]\n"
    return lines
  }
}
