import PolicyModel
import PolicySyntax
import Testing

@testable import PolicyChecker

/// The tables that belong to language 1.
@Suite struct ReferenceDataTests {
  @Test func serviceNamesAreNoKeywords() {
    for name in ServiceNames.names {
      #expect(RuleKeyword.named(name) == nil, "\(name)")
      #expect(Name.isValid(name), "\(name)")
    }
    #expect(Set(ServiceNames.names).count == ServiceNames.names.count)
    #expect(ServiceNames.port(of: "https") == 443)
    #expect(ServiceNames.port(of: "domain") == 53)
  }

  @Test func otherNamesOfServicesLeadToOne() {
    for (other, name) in ServiceNames.otherNames {
      #expect(ServiceNames.port(of: other) == nil, "\(other)")
      #expect(ServiceNames.port(of: name) != nil, "\(other)")
      #expect(RuleKeyword.named(other) == nil, "\(other)")
    }
  }

  @Test func protocolWordsOfTheGrammarAllHaveANumber() {
    for word in RuleKeyword.protocols where word != "protocol" {
      #expect(ProtocolNumbers.service(.named(word)) != nil, "\(word)")
    }
  }

  @Test func neighbourDiscoveryIsFourTypes() {
    #expect(ICMPTypeNames.types(of: "neighbour-discovery", .ipv6)?.map(\.type) == [133, 134, 135, 136])
    #expect(ICMPTypeNames.types(of: "neighbour-discovery", .ipv4) == nil)
    #expect(ICMPTypeNames.types(of: "echo-request", .ipv4) == [ICMPType(type: 8)])
    #expect(ICMPTypeNames.types(of: "echo-request", .ipv6) == [ICMPType(type: 128)])
  }

  // MARK: Sysctl keys

  @Test(arguments: [
    ("kernel.kptr_restrict", "kernel.kptr_restrict", SysctlScope.host),
    ("net.ipv4.conf.*.rp_filter", "net.ipv4.conf.*.rp_filter", .everyInterface),
    ("net.ipv4.conf.all.rp_filter", "net.ipv4.conf.*.rp_filter", .interface),
    ("net.ipv6.conf.eth0/100.accept_ra", "net.ipv6.conf.*.accept_ra", .interface),
    ("net.ipv4.neigh.default.gc_thresh1", "net.ipv4.neigh.default.gc_thresh1", .interface),
    ("net.netfilter.nf_conntrack_max", "net.netfilter.nf_conntrack_max", .host),
  ]) func keys(text: String, pattern: String, scope: SysctlScope) throws {
    let key = try SysctlKey(text)
    #expect(key.pattern == pattern)
    #expect(key.scope == scope)
    #expect(SysctlTable.row(for: key) != nil)
  }

  @Test(arguments: [
    ("", SysctlKey.KeyError.empty), ("..", .badSegment("")), (".kernel", .badSegment("")),
    ("kernel.", .badSegment("")), ("../../etc/passwd", .badSegment("")), ("kernel/../../etc", .slash),
    ("net.ipv4.conf./.rp_filter", .badInterface("/")), ("net.ipv4.conf.//.rp_filter", .badInterface("//")),
    ("net.ipv4.conf.a:b.rp_filter", .badInterface("a:b")), ("net.ipv4.conf.eth0", .incomplete),
    ("net.ipv4.conf.eth0.1.rp_filter", .dottedInterface("eth0/1")), ("net.*.conf", .star),
    ("kernel.a b", .badSegment("a b")), ("kernel.a\u{0}", .badSegment("a\u{0}")),
    ("net.ipv4.conf.sixteen-bytes-ab.rp_filter", .badInterface("sixteen-bytes-ab")),
  ]) func badKeys(text: String, error: SysctlKey.KeyError) {
    #expect(throws: error) { try SysctlKey(text) }
  }

  /// No key leads out of /proc/sys, whatever is written.
  @Test func noKeyLeadsOutOfItsTree() {
    let parts = [
      "net", "ipv4", "conf", "kernel", "/", "..", ".", "//", "*", "all", "eth0/1", "rp_filter", "",
    ]
    var accepted = 0
    for a in parts {
      for b in parts {
        for c in parts {
          for d in parts {
            for e in parts {
              guard let key = try? SysctlKey([a, b, c, d, e].joined(separator: ".")) else { continue }
              accepted += 1
              let path = key.segments.map { $0.map { $0 == "/" ? "." : String($0) }.joined() }
              #expect(!path.contains("."))
              #expect(!path.contains(".."))
              #expect(!path.contains(""))
              #expect(path.allSatisfy { !$0.contains("/") })
            }
          }
        }
      }
    }
    #expect(accepted > 0)
  }

  // MARK: Sysctl rows

  @Test func everyRowIsSound() throws {
    #expect(Set(SysctlTable.rows.map(\.key)).count == SysctlTable.rows.count)
    for row in SysctlTable.rows {
      let key = try SysctlKey(row.key)
      #expect(key.pattern == row.key, "\(row.key)")
      for value in [row.kernelDefault, row.allDefault].compactMap({ $0 }) {
        #expect(row.normalized(value) == value, "\(row.key)")
      }
      #expect(row.isOrdered == (row.strengthClass != .neutral), "\(row.key)")
      #expect(
        row.isNamespaced == (key.segments[0] == "net" && (key.interfaceIndex != nil || row.isNamespaced)))
      // A path below net.core that is not per namespace is not marked so; every interface's is.
      if key.interfaceIndex != nil {
        #expect(row.isNamespaced && row.provider == .interface || row.key.contains(".neigh.default."))
      }
    }
  }

  /// LANGUAGE.md §8, each key with two values: the first is stronger.
  @Test(arguments: [
    ("kernel.kptr_restrict", "2", "1"), ("kernel.dmesg_restrict", "1", "0"),
    ("kernel.perf_event_paranoid", "3", "2"), ("kernel.perf_event_paranoid", "0", "-1"),
    ("kernel.randomize_va_space", "2", "1"), ("kernel.yama.ptrace_scope", "3", "0"),
    ("kernel.kexec_load_disabled", "1", "0"), ("kernel.modules_disabled", "1", "0"),
    ("kernel.io_uring_disabled", "2", "0"), ("net.core.bpf_jit_harden", "2", "1"),
    ("fs.protected_symlinks", "1", "0"), ("fs.protected_hardlinks", "1", "0"),
    ("fs.protected_fifos", "2", "1"), ("fs.protected_regular", "2", "0"),
    ("vm.mmap_min_addr", "65536", "4096"), ("net.ipv4.tcp_rfc1337", "1", "0"),
    ("net.ipv4.icmp_echo_ignore_all", "1", "0"), ("net.ipv4.icmp_echo_ignore_broadcasts", "1", "0"),
    ("net.ipv4.icmp_ignore_bogus_error_responses", "1", "0"), ("net.ipv4.conf.*.log_martians", "1", "0"),
    ("net.ipv6.conf.*.disable_ipv6", "1", "0"), ("net.bridge.bridge-nf-call-iptables", "1", "0"),
    ("net.bridge.bridge-nf-call-ip6tables", "1", "0"), ("net.bridge.bridge-nf-call-arptables", "1", "0"),
    ("net.ipv4.ip_forward", "0", "1"), ("net.ipv4.conf.*.forwarding", "0", "1"),
    ("net.ipv4.conf.*.accept_redirects", "0", "1"), ("net.ipv4.conf.*.secure_redirects", "0", "1"),
    ("net.ipv4.conf.*.send_redirects", "0", "1"), ("net.ipv4.conf.*.accept_source_route", "0", "1"),
    ("net.ipv4.conf.*.accept_local", "0", "1"), ("net.ipv4.conf.*.route_localnet", "0", "1"),
    ("net.ipv4.conf.*.proxy_arp", "0", "1"), ("net.ipv6.conf.*.forwarding", "0", "1"),
    ("net.ipv6.conf.*.accept_redirects", "0", "1"), ("net.ipv6.conf.*.accept_ra", "0", "2"),
    ("net.ipv6.conf.*.autoconf", "0", "1"), ("user.max_user_namespaces", "0", "1000"),
    ("kernel.unprivileged_userns_clone", "0", "1"), ("vm.unprivileged_userfaultfd", "0", "1"),
    ("dev.tty.ldisc_autoload", "0", "1"), ("dev.tty.legacy_tiocsti", "0", "1"),
    ("kernel.unprivileged_bpf_disabled", "1", "2"), ("kernel.unprivileged_bpf_disabled", "2", "0"),
    ("fs.suid_dumpable", "0", "2"), ("fs.suid_dumpable", "2", "1"),
    ("net.ipv4.conf.*.rp_filter", "1", "2"), ("net.ipv4.conf.*.rp_filter", "2", "0"),
    ("net.ipv4.tcp_syncookies", "1", "0"), ("net.ipv4.tcp_syncookies", "2", "0"),
    ("net.ipv6.conf.*.accept_source_route", "-1", "0"), ("net.ipv6.conf.*.accept_source_route", "-1", "1"),
    ("kernel.sysrq", "0", "16"), ("kernel.sysrq", "16", "176"), ("kernel.sysrq", "438", "1"),
    ("kernel.core_pattern", "|/bin/false", "core"),
  ]) func orders(key: String, stronger: String, weaker: String) throws {
    let row = try #require(SysctlTable.row(for: SysctlKey(key)))
    #expect(row.normalized(stronger) == stronger)
    #expect(row.normalized(weaker) == weaker)
    #expect(row.strength(of: stronger, comparedWith: weaker).map { $0 > 0 } == true)
    #expect(row.strength(of: weaker, comparedWith: stronger).map { $0 < 0 } == true)
    #expect(row.strength(of: stronger, comparedWith: stronger) == 0)
  }

  @Test func incomparableValues() throws {
    let cookies = try #require(SysctlTable.row(for: SysctlKey("net.ipv4.tcp_syncookies")))
    #expect(cookies.strength(of: "1", comparedWith: "2") == nil)
    let sysrq = try #require(SysctlTable.row(for: SysctlKey("kernel.sysrq")))
    #expect(sysrq.strength(of: "16", comparedWith: "32") == nil)
    let pattern = try #require(SysctlTable.row(for: SysctlKey("kernel.core_pattern")))
    #expect(pattern.strength(of: "core", comparedWith: "core.%p") == nil)
    let source = try #require(SysctlTable.row(for: SysctlKey("net.ipv6.conf.*.accept_source_route")))
    #expect(source.strength(of: "0", comparedWith: "1") == 0)
    let pid = try #require(SysctlTable.row(for: SysctlKey("kernel.pid_max")))
    #expect(pid.strength(of: "1000", comparedWith: "2000") == nil)
  }

  /// LANGUAGE.md §8, the neutral keys.
  @Test(arguments: [
    "kernel.pid_max", "kernel.panic", "kernel.panic_on_oops", "kernel.softlockup_panic",
    "kernel.hung_task_timeout_secs", "vm.overcommit_memory", "vm.swappiness", "vm.max_map_count",
    "fs.file-max",
    "fs.nr_open", "fs.aio-max-nr", "fs.inotify.max_user_watches", "net.core.somaxconn", "net.core.rmem_max",
    "net.core.optmem_max", "net.ipv4.ip_local_port_range", "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_buckets", "net.netfilter.nf_conntrack_tcp_timeout_established",
  ]) func neutralKeys(key: String) throws {
    let row = try #require(SysctlTable.row(for: SysctlKey(key)))
    #expect(!row.isOrdered)
    #expect(row.strengthClass == .neutral)
  }

  @Test func classesFollowTheValueWhereItLatches() throws {
    let scope = try #require(SysctlTable.row(for: SysctlKey("kernel.yama.ptrace_scope")))
    #expect(scope.strengthClass(of: "2") == .restorable)
    #expect(scope.strengthClass(of: "3") == .oneWay)
    let bpf = try #require(SysctlTable.row(for: SysctlKey("kernel.unprivileged_bpf_disabled")))
    #expect(bpf.strengthClass(of: "1") == .oneWay)
    #expect(bpf.strengthClass(of: "2") == .restorable)
    let forward = try #require(SysctlTable.row(for: SysctlKey("net.ipv4.ip_forward")))
    #expect(forward.strengthClass(of: "1") == .lossy)
    let modules = try #require(SysctlTable.row(for: SysctlKey("kernel.modules_disabled")))
    #expect(modules.strengthClass(of: "1") == .oneWay)
  }

  @Test(
    arguments: [
      ("net.ipv4.ip_local_port_range", "32768  60999", "32768 60999"), ("kernel.kptr_restrict", "0x2", "2"),
      ("net.ipv4.ip_local_reserved_ports", "8080,9000-9010", "8080,9000-9010"),
      ("net.ipv4.ip_local_reserved_ports", "9000,8081,8080,8081", "8080-8081,9000"),
      ("net.ipv4.ip_local_reserved_ports", "10-30,15-20,31,40-41", "10-31,40-41"),
      ("net.netfilter.nf_conntrack_buckets", "100352", "100352"),
      ("net.netfilter.nf_conntrack_buckets", "100000", nil), ("net.netfilter.nf_conntrack_buckets", "0", nil),
      ("net.core.rps_sock_flow_entries", "32768", "32768"), ("net.core.rps_sock_flow_entries", "0", "0"),
      ("net.core.rps_sock_flow_entries", "1", "1"), ("net.core.rps_sock_flow_entries", "30000", nil),
      ("kernel.perf_event_paranoid", "-1", "-1"), ("kernel.kptr_restrict", "3", nil),
      ("kernel.kptr_restrict", "", nil), ("kernel.kptr_restrict", "1 ", nil),
      ("net.ipv4.ip_local_port_range", "1 2 3", nil), ("net.ipv4.ip_local_reserved_ports", "9-8", nil),
      ("vm.mmap_min_addr", "18446744073709551616", nil), ("kernel.pid_max", "99999999999999999999", nil),
    ] as [(String, String, String?)]) func values(key: String, written: String, normalized: String?) throws
  {
    #expect(try #require(SysctlTable.row(for: SysctlKey(key))).normalized(written) == normalized)
  }

  // MARK: Module patterns

  @Test(arguments: [
    ("can*", "can_raw", true), ("can*", "scan", false), ("*can*", "scanner", true), ("c?n", "can", true),
    ("c?n", "caan", false), ("*", "", true), ("a*b*c", "a_b_b_c", true), ("a*b*c", "a_c_b", false),
    ("dccp", "dccp", true), ("dccp", "dccp_ipv4", false), ("**a", "ba", true), ("", "", true),
  ]) func moduleGlobs(pattern: String, name: String, matches: Bool) {
    let span = SourceSpanForTests.any
    #expect(ModulePattern(pattern, span: span).matches(name) == matches)
  }

  @Test(arguments: [
    ("a", true), ("a-b", true), ("a1-2b", true), ("", false), ("-a", false), ("a-", false), ("a--b", false),
    ("A", false), ("1a", false), ("a_b", false), (String(repeating: "a", count: 40), true),
    (String(repeating: "a", count: 41), false), ("é", false),
  ]) func names(text: String, isValid: Bool) { #expect(Name.isValid(text) == isValid) }

  @Test(arguments: [
    ("/", true), ("/var", true), ("/var/lib/x.y", true), ("var", false), ("", false), ("/var/", false),
    ("/var//lib", false), ("/./var", false), ("/var/..", false), ("/..a", true), ("/var\n", false),
  ]) func mountPaths(path: String, isGood: Bool) { #expect((MountPath.fault(of: path) == nil) == isGood) }
}
