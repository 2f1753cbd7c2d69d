import Foundation
import PolicyModel
import Testing

@testable import PolicyChecker

/// The table of sysctl keys against a kernel: in a network namespace of its own, where every key of `net` may be
/// written.
@Suite(.enabled(if: Namespace.isRequested, "needs root; set LOCKDOWN_KERNEL_TESTS=1"))
struct SysctlTableKernelTests {
  /// Keys whose bounds hang on something else than themselves, and values that need more than a write.
  private static let dependent: Set<String> = [
    "net.ipv4.ip_unprivileged_port_start",  // not above the first of ip_local_port_range
    "net.ipv4.ipfrag_high_thresh", "net.ipv6.ip6frag_high_thresh",
    "net.netfilter.nf_conntrack_frag6_high_thresh",
    "net.ipv4.ipfrag_low_thresh", "net.ipv6.ip6frag_low_thresh",
    "net.netfilter.nf_conntrack_frag6_low_thresh",
    "net.ipv6.conf.*.addr_gen_mode",  // 2 needs a stable_secret
    "net.ipv6.conf.*.mtu",  // the device's own is the upper bound
  ]

  /// What a row says may be written.
  private static func values(of row: SysctlRow) -> [String] {
    switch row.values {
    case .choice(let choices): choices.map(String.init)
    case .integer(let range): [range.lowerBound, range.upperBound].filter { $0 < .max }.map(String.init)
    case .integers(2, let range) where row.key.hasSuffix("_range"):
      ["\(max(range.lowerBound, 2000)) \(min(range.upperBound, 60_000))"]
    case .powerOfTwo: ["0", "1", "32768"]
    case .multiple(let factor): ["\(factor)", "\(196 * factor)"]
    case .portRange: ["2000 60000"]
    case .integers, .text, .portList: []
    }
  }

  private static func path(_ key: String) -> String {
    "/proc/sys/" + key.split(separator: ".").map { $0 == "*" ? "eth0" : String($0) }.joined(separator: "/")
  }

  /// The kernel takes every value a row allows at its edges, and prints it as we do.
  @Test func everyValueIsTaken() throws {
    var script = "ip link add eth0 type bridge\n"
    for row in SysctlTable.rows where row.isNamespaced && row.provider != .module("br_netfilter") {
      let path = Self.path(row.key)
      // `default` of neighbour tables is the initial namespace's alone.
      guard !row.key.contains(".neigh.default.") else { continue }
      script += "if [ -e \(path) ]; then echo \"there \(row.key)\"\n"
      for value in Self.dependent.contains(row.key) ? [] : Self.values(of: row) {
        // Not read back: what a write starts (`route.flush`), and milliseconds, which are rounded to jiffies.
        let readsBack =
          row.key.hasSuffix(".flush") || row.unit == "milliseconds"
          ? "true" : "[ \"$(cat \(path) | tr '\\t' ' ')\" = '\(value)' ]"
        script += "if (printf %s '\(value)' >\(path)) 2>/dev/null && \(readsBack); then echo written; "
        script += "else echo \"refused \(row.key) \(value)\"; fi\n"
      }
      script += "else echo \"absent \(row.key)\"; fi\n"
    }
    let directory = try TemporaryDirectory()
    let file = try directory.file("script", contents: .init(script.utf8))
    let result = try Namespace.run("sh \(file.path)")
    let lines = result.output.split(separator: "\n").map(String.init)
    #expect(lines.filter { $0.hasPrefix("refused") } == [])
    #expect(lines.count { $0 == "written" } > 500)
    // Removed from newer kernels, or not yet in this one.
    let mayBeAbsent: Set<String> = ["net.netfilter.nf_conntrack_helper"]
    let absent = lines.filter { $0.hasPrefix("absent") }.map { String($0.dropFirst(7)) }
    #expect(absent.filter { !mayBeAbsent.contains($0) && Self.isDue($0) } == [])
    #expect(lines.count { $0.hasPrefix("there") } > 250)
  }

  /// Whether the running kernel is new enough for a key.
  private static func isDue(_ key: String) -> Bool {
    guard let since = SysctlTable.rows.first(where: { $0.key == key })?.since else { return true }
    return since <= KernelVersion(5, 10)
  }

  /// A key of the host is not there in another namespace, or cannot be written: what the sandbox leaves out.
  @Test func keysOfTheHostCannotBeWritten() throws {
    // Of a namespace only in newer kernels than the oldest we compile for.
    let newer: Set<String> = ["net.core.optmem_max", "net.core.tstamp_allow_data"]
    var script = "set +e\n"
    for row in SysctlTable.rows
    where row.key.hasPrefix("net.") && !row.isNamespaced && !newer.contains(row.key) {
      let path = Self.path(row.key)
      script += "[ -e \(path) ] && (cat \(path) >\(path)) 2>/dev/null && echo \"written \(row.key)\"\n"
    }
    let result = try Namespace.run(script + "true")
    #expect(result.output == "")
  }

  /// Where a row names the kernel's own value, a fresh namespace has it.
  @Test func defaultsAreTheKernels() throws {
    // A new namespace takes the values of IPv4 from the first one (devconf_inherit_init_net), and distributions
    // change those.
    let changed: Set<String> = ["net.ipv4.conf.*.rp_filter", "net.ipv4.conf.*.accept_source_route"]
    var script = "ip link add eth0 type bridge\n"
    var wanted: [String] = []
    for row in SysctlTable.rows
    where row.isNamespaced && row.provider != .module("br_netfilter") && !changed.contains(row.key) {
      guard let value = row.kernelDefault, row.strengthClass != .lossy else { continue }
      let path = Self.path(row.key)
      script += "[ ! -e \(path) ] || echo \"\(row.key) $(cat \(path))\"\n"
      wanted.append("\(row.key) \(value)")
    }
    let result = try Namespace.run(script)
    let found = result.output.split(separator: "\n").map(String.init)
    #expect(found.filter { !wanted.contains($0) } == [])
    #expect(found.count > 15)
  }
}
