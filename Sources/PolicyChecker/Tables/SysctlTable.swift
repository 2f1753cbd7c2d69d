import PolicyModel

/// The sysctl keys language 1 knows. A key that is not here is allowed, with a warning and no order.
///
/// Documentation/admin-guide/sysctl/, Documentation/networking/ip-sysctl.rst of the kernel.
enum SysctlTable {
  /// The row of a key as written in a policy; any interface name stands for `*`.
  static func row(for key: SysctlKey) -> SysctlRow? { byPattern[key.pattern] }

  static let rows: [SysctlRow] =
    kernelRows + fileSystemRows + memoryRows + deviceRows + coreNetworkRows + ipv4Rows + ipv6Rows + bridgeRows
    + conntrackRows

  private static let byPattern: [String: SysctlRow] = Dictionary(
    uniqueKeysWithValues: rows.map { ($0.key, $0) })

  private typealias Row = SysctlRow
  private static let flag = Row.Values.choice([0, 1])
  private static let count = Row.Values.integer(0...Int(Int32.max))

  private static func strong(
    _ key: String, _ values: Row.Values, _ order: Row.Order, _ strengthClass: SysctlClass = .restorable,
    default kernelDefault: String? = nil, since: KernelVersion? = nil
  ) -> SysctlRow {
    SysctlRow(
      key: key, values: values, order: order, strengthClass: strengthClass, since: since,
      kernelDefault: kernelDefault)
  }

  private static func neutral(
    _ key: String, _ values: Row.Values, unit: String = "", since: KernelVersion? = nil
  ) -> SysctlRow {
    SysctlRow(key: key, values: values, order: .neutral, strengthClass: .neutral, since: since, unit: unit)
  }

  // MARK: kernel.*

  private static let kernelRows: [SysctlRow] = [
    strong("kernel.kptr_restrict", .choice([0, 1, 2]), .more, default: "0"),
    strong("kernel.dmesg_restrict", flag, .more),  // CONFIG_SECURITY_DMESG_RESTRICT
    strong("kernel.perf_event_paranoid", .integer(-1...4), .more),  // Debian and Android add 3 and 4
    strong("kernel.randomize_va_space", .choice([0, 1, 2]), .more),
    strong("kernel.yama.ptrace_scope", .choice([0, 1, 2, 3]), .more, default: "1"),
    strong("kernel.kexec_load_disabled", flag, .more, .oneWay, default: "0"),
    strong("kernel.modules_disabled", flag, .more, .oneWay, default: "0"),
    strong("kernel.io_uring_disabled", .choice([0, 1, 2]), .more, default: "0", since: KernelVersion(6, 6)),
    strong("kernel.unprivileged_bpf_disabled", .choice([0, 1, 2]), .ranks([[0], [2], [1]])),
    strong("kernel.unprivileged_userns_clone", flag, .less),  // a patch of Debian's
    strong("kernel.sysrq", .integer(0...511), .inclusion),
    strong("kernel.core_pattern", .text, .noCorePattern),
    neutral("kernel.core_uses_pid", flag),
    neutral("kernel.pid_max", .integer(301...4_194_304), unit: "process ids"),
    neutral("kernel.threads-max", count, unit: "threads"),
    neutral("kernel.panic", .integer(Int(Int32.min)...Int(Int32.max)), unit: "seconds"),
    neutral("kernel.panic_on_oops", flag),
    neutral("kernel.panic_on_warn", flag),
    neutral("kernel.panic_on_io_nmi", flag),
    neutral("kernel.panic_on_unrecovered_nmi", flag),
    neutral("kernel.panic_on_rcu_stall", flag),
    neutral("kernel.panic_print", count),
    neutral("kernel.oops_limit", count, unit: "oopses", since: KernelVersion(6, 2)),
    neutral("kernel.warn_limit", count, unit: "warnings", since: KernelVersion(6, 2)),
    neutral("kernel.softlockup_panic", flag),
    neutral("kernel.softlockup_all_cpu_backtrace", flag),
    neutral("kernel.hung_task_panic", count),
    neutral("kernel.hung_task_timeout_secs", count, unit: "seconds"),
    neutral("kernel.hung_task_check_count", count),
    neutral("kernel.hung_task_warnings", .integer(-1...Int(Int32.max))),
    neutral("kernel.watchdog", flag),
    neutral("kernel.nmi_watchdog", flag),
    neutral("kernel.watchdog_thresh", .integer(0...60), unit: "seconds"),
    neutral("kernel.printk", .integers(4, 0...15)),
    neutral("kernel.printk_devkmsg", .text),
    neutral("kernel.modprobe", .text),
    neutral("kernel.keys.maxkeys", count),
    neutral("kernel.keys.maxbytes", count, unit: "bytes"),
    neutral("kernel.keys.root_maxkeys", count),
    neutral("kernel.keys.root_maxbytes", count, unit: "bytes"),
    neutral("kernel.shmmax", .integer(0...Int.max), unit: "bytes"),
    neutral("kernel.shmall", .integer(0...Int.max), unit: "pages"),
    neutral("kernel.numa_balancing", .integer(0...3)),
    neutral("kernel.sched_autogroup_enabled", flag),
    neutral("kernel.perf_event_max_sample_rate", count, unit: "samples a second"),
    neutral("kernel.perf_cpu_time_max_percent", .integer(0...100), unit: "percent"),
    neutral("kernel.ftrace_enabled", flag),
    neutral("kernel.acct", .integers(3, 0...Int(Int32.max))),
    strong("user.max_user_namespaces", count, .less),
    strong("user.max_net_namespaces", count, .less),
  ]

  // MARK: fs.*

  private static let fileSystemRows: [SysctlRow] = [
    strong("fs.protected_symlinks", flag, .more, default: "0"),
    strong("fs.protected_hardlinks", flag, .more, default: "0"),
    strong("fs.protected_fifos", .choice([0, 1, 2]), .more, default: "0"),
    strong("fs.protected_regular", .choice([0, 1, 2]), .more, default: "0"),
    strong("fs.suid_dumpable", .choice([0, 1, 2]), .ranks([[1], [2], [0]]), default: "0"),
    neutral("fs.file-max", .integer(0...Int.max), unit: "files"),
    neutral("fs.nr_open", count, unit: "files"),
    neutral("fs.aio-max-nr", count, unit: "requests"),
    neutral("fs.inotify.max_user_instances", count),
    neutral("fs.inotify.max_user_watches", count),
    neutral("fs.inotify.max_queued_events", count),
    neutral("fs.pipe-max-size", count, unit: "bytes"),
    neutral("fs.pipe-user-pages-soft", count, unit: "pages"),
    neutral("fs.pipe-user-pages-hard", count, unit: "pages"),
    neutral("fs.binfmt_misc.status", .text),
    neutral("fs.epoll.max_user_watches", .integer(0...Int.max)),
    neutral("fs.mount-max", count, unit: "mounts"),
  ]

  // MARK: vm.*

  private static let memoryRows: [SysctlRow] = [
    strong("vm.mmap_min_addr", .integer(0...Int.max), .more),
    strong("vm.unprivileged_userfaultfd", flag, .less, default: "0", since: KernelVersion(5, 2)),
    neutral("vm.mmap_rnd_bits", .integer(8...33), unit: "bits"),
    neutral("vm.mmap_rnd_compat_bits", .integer(7...16), unit: "bits"),
    neutral("vm.overcommit_memory", .choice([0, 1, 2])),
    neutral("vm.overcommit_ratio", count, unit: "percent"),
    neutral("vm.overcommit_kbytes", .integer(0...Int.max), unit: "KiB"),
    neutral("vm.swappiness", .integer(0...200)),
    neutral("vm.max_map_count", count, unit: "mappings"),
    neutral("vm.laptop_mode", count),
    neutral("vm.panic_on_oom", .choice([0, 1, 2])),
    neutral("vm.oom_kill_allocating_task", count),
    neutral("vm.oom_dump_tasks", count),
    neutral("vm.min_free_kbytes", count, unit: "KiB"),
    neutral("vm.vfs_cache_pressure", count, unit: "percent"),
    neutral("vm.dirty_ratio", .integer(0...100), unit: "percent"),
    neutral("vm.dirty_background_ratio", .integer(0...100), unit: "percent"),
    neutral("vm.dirty_expire_centisecs", count, unit: "hundredths of a second"),
    neutral("vm.dirty_writeback_centisecs", count, unit: "hundredths of a second"),
    neutral("vm.nr_hugepages", count, unit: "pages"),
    neutral("vm.zone_reclaim_mode", .integer(0...7)),
    neutral("vm.compaction_proactiveness", .integer(0...100)),
  ]

  private static let deviceRows: [SysctlRow] = [
    strong("dev.tty.ldisc_autoload", flag, .less, since: KernelVersion(5, 1)),
    strong("dev.tty.legacy_tiocsti", flag, .less, since: KernelVersion(6, 2)),
    neutral("dev.raid.speed_limit_min", count, unit: "KiB a second"),
    neutral("dev.raid.speed_limit_max", count, unit: "KiB a second"),
  ]

  // MARK: net.core.*

  private static let coreNetworkRows: [SysctlRow] = [
    strong("net.core.bpf_jit_harden", .choice([0, 1, 2]), .more, default: "0"),
    neutral("net.core.bpf_jit_enable", .choice([0, 1, 2])),
    neutral("net.core.bpf_jit_limit", .integer(0...Int.max), unit: "bytes"),
    neutral("net.core.somaxconn", count, unit: "connections").inNamespace,
    neutral("net.core.netdev_max_backlog", count, unit: "packets"),
    neutral("net.core.rmem_max", count, unit: "bytes"),
    neutral("net.core.rmem_default", count, unit: "bytes"),
    neutral("net.core.wmem_max", count, unit: "bytes"),
    neutral("net.core.wmem_default", count, unit: "bytes"),
    neutral("net.core.optmem_max", count, unit: "bytes"),
    neutral("net.core.default_qdisc", .text),
    neutral("net.core.devconf_inherit_init_net", .choice([0, 1, 2, 3])),
    neutral("net.unix.max_dgram_qlen", count, unit: "datagrams").inNamespace,
  ]

  // MARK: net.ipv4.*

  private static let ipv4Rows: [SysctlRow] =
    [
      strong("net.ipv4.ip_forward", flag, .less, .lossy, default: "0"),
      strong("net.ipv4.tcp_syncookies", .choice([0, 1, 2]), .ranks([[0], [1, 2]]), default: "1"),
      strong("net.ipv4.tcp_rfc1337", flag, .more, default: "0"),
      strong("net.ipv4.icmp_echo_ignore_all", flag, .more, default: "0"),
      strong("net.ipv4.icmp_echo_ignore_broadcasts", flag, .more, default: "1"),
      strong("net.ipv4.icmp_ignore_bogus_error_responses", flag, .more, default: "1"),
      neutral("net.ipv4.icmp_ratelimit", count, unit: "milliseconds"),
      neutral("net.ipv4.icmp_ratemask", count),
      neutral("net.ipv4.icmp_errors_use_inbound_ifaddr", flag),
      neutral("net.ipv4.ip_local_port_range", .integers(2, 1...65535)),
      neutral("net.ipv4.ip_local_reserved_ports", .portList),
      neutral("net.ipv4.ip_unprivileged_port_start", .integer(0...65535), since: KernelVersion(4, 11)),
      neutral("net.ipv4.ip_nonlocal_bind", flag),
      neutral("net.ipv4.ip_no_pmtu_disc", .integer(0...3)),
      neutral("net.ipv4.ip_default_ttl", .integer(1...255), unit: "hops"),
      neutral("net.ipv4.ip_dynaddr", .integer(0...7)),
      neutral("net.ipv4.ping_group_range", .integers(2, 0...4_294_967_294)),
      neutral("net.ipv4.route.flush", flag),
      neutral("net.ipv4.tcp_mtu_probing", .choice([0, 1, 2])),
      neutral("net.ipv4.tcp_slow_start_after_idle", flag),
      neutral("net.ipv4.tcp_fastopen", .integer(0...0x7ff)),
      neutral("net.ipv4.tcp_limit_output_bytes", count, unit: "bytes"),
      neutral("net.ipv4.tcp_timestamps", .choice([0, 1, 2])),
      neutral("net.ipv4.tcp_sack", flag),
      neutral("net.ipv4.tcp_dsack", flag),
      neutral("net.ipv4.tcp_window_scaling", flag),
      neutral("net.ipv4.tcp_ecn", .integer(0...5)),
      neutral("net.ipv4.tcp_fin_timeout", count, unit: "seconds"),
      neutral("net.ipv4.tcp_keepalive_time", count, unit: "seconds"),
      neutral("net.ipv4.tcp_keepalive_intvl", count, unit: "seconds"),
      neutral("net.ipv4.tcp_keepalive_probes", .integer(1...127)),
      neutral("net.ipv4.tcp_max_syn_backlog", count, unit: "connections"),
      neutral("net.ipv4.tcp_max_tw_buckets", count, unit: "sockets"),
      neutral("net.ipv4.tcp_syn_retries", .integer(1...127)),
      neutral("net.ipv4.tcp_synack_retries", .integer(0...255)),
      neutral("net.ipv4.tcp_retries2", .integer(0...255)),
      neutral("net.ipv4.tcp_tw_reuse", .choice([0, 1, 2])),
      neutral("net.ipv4.tcp_challenge_ack_limit", count),
      neutral("net.ipv4.tcp_congestion_control", .text),
      neutral("net.ipv4.tcp_rmem", .integers(3, 0...Int(Int32.max)), unit: "bytes"),
      neutral("net.ipv4.tcp_wmem", .integers(3, 0...Int(Int32.max)), unit: "bytes"),
      neutral("net.ipv4.udp_rmem_min", count, unit: "bytes"),
      neutral("net.ipv4.udp_wmem_min", count, unit: "bytes"),
      neutral("net.ipv4.neigh.*.gc_stale_time", count, unit: "seconds").perInterface,
      neutral("net.ipv4.neigh.*.base_reachable_time_ms", count, unit: "milliseconds").perInterface,
      neutral("net.ipv4.neigh.*.proxy_qlen", count, unit: "packets").perInterface,
      neutral("net.ipv4.neigh.default.gc_thresh1", count, unit: "entries"),
      neutral("net.ipv4.neigh.default.gc_thresh2", count, unit: "entries"),
      neutral("net.ipv4.neigh.default.gc_thresh3", count, unit: "entries"),
    ].map(\.inNamespace)
    + [
      // How `all` combines: IN_DEV_ANDCONF, ORCONF and MAXCONF of linux/inetdevice.h.
      strong("net.ipv4.conf.*.rp_filter", .choice([0, 1, 2]), .ranks([[0], [2], [1]]), default: "0")
        .combined(.maximum),
      strong("net.ipv4.conf.*.accept_source_route", flag, .less, default: "1").combined(.and, all: "0"),
      // OR where the interface does not forward, AND where it does: OR is the weaker reading.
      strong("net.ipv4.conf.*.accept_redirects", flag, .less, default: "1").combined(.or),
      strong("net.ipv4.conf.*.secure_redirects", flag, .less, default: "1").combined(.or),
      strong("net.ipv4.conf.*.send_redirects", flag, .less, default: "1").combined(.or),
      strong("net.ipv4.conf.*.log_martians", flag, .more, default: "0").combined(.or),
      strong("net.ipv4.conf.*.forwarding", flag, .less, .lossy, default: "0"),
      strong("net.ipv4.conf.*.accept_local", flag, .less, default: "0").combined(.or),
      strong("net.ipv4.conf.*.route_localnet", flag, .less, default: "0").combined(.or),
      strong("net.ipv4.conf.*.proxy_arp", flag, .less, default: "0").combined(.or),
      neutral("net.ipv4.conf.*.proxy_arp_pvlan", flag),
      neutral("net.ipv4.conf.*.bootp_relay", flag),
      neutral("net.ipv4.conf.*.mc_forwarding", flag),
      neutral("net.ipv4.conf.*.shared_media", flag),
      neutral("net.ipv4.conf.*.src_valid_mark", flag),
      neutral("net.ipv4.conf.*.arp_announce", .choice([0, 1, 2])),
      neutral("net.ipv4.conf.*.arp_filter", flag),
      neutral("net.ipv4.conf.*.arp_ignore", .integer(0...8)),
      neutral("net.ipv4.conf.*.arp_notify", flag),
      neutral("net.ipv4.conf.*.arp_accept", .choice([0, 1, 2])),
      neutral("net.ipv4.conf.*.drop_gratuitous_arp", flag),
      neutral("net.ipv4.conf.*.drop_unicast_in_l2_multicast", flag),
      neutral("net.ipv4.conf.*.promote_secondaries", flag),
      neutral("net.ipv4.conf.*.disable_policy", flag),
      neutral("net.ipv4.conf.*.disable_xfrm", flag),
      neutral("net.ipv4.conf.*.ignore_routes_with_linkdown", flag),
      neutral("net.ipv4.conf.*.igmpv2_unsolicited_report_interval", count, unit: "milliseconds"),
      neutral("net.ipv4.conf.*.force_igmp_version", .integer(0...3)),
    ].map(\.perInterface)

  // MARK: net.ipv6.*

  private static let ipv6Rows: [SysctlRow] =
    [
      neutral("net.ipv6.bindv6only", flag),
      neutral("net.ipv6.ip_nonlocal_bind", flag),
      neutral("net.ipv6.auto_flowlabels", .integer(0...3)),
      neutral("net.ipv6.flowlabel_consistency", flag),
      neutral("net.ipv6.icmp.ratelimit", count, unit: "milliseconds"),
      neutral("net.ipv6.icmp.echo_ignore_all", flag),
      neutral("net.ipv6.icmp.echo_ignore_multicast", flag),
      neutral("net.ipv6.icmp.echo_ignore_anycast", flag),
      neutral("net.ipv6.route.flush", flag),
      neutral("net.ipv6.route.max_size", count, unit: "routes"),
      neutral("net.ipv6.neigh.*.gc_stale_time", count, unit: "seconds").perInterface,
      neutral("net.ipv6.neigh.default.gc_thresh1", count, unit: "entries"),
      neutral("net.ipv6.neigh.default.gc_thresh2", count, unit: "entries"),
      neutral("net.ipv6.neigh.default.gc_thresh3", count, unit: "entries"),
    ].map(\.inNamespace)
    + [
      strong("net.ipv6.conf.*.disable_ipv6", flag, .more, .lossy, default: "0"),
      // A lossy round trip: routes from router advertisements go when forwarding starts.
      strong("net.ipv6.conf.*.forwarding", .choice([0, 1, 2]), .less, .lossy, default: "0"),
      strong("net.ipv6.conf.*.accept_ra", .choice([0, 1, 2]), .less, default: "1"),
      strong("net.ipv6.conf.*.autoconf", flag, .less, default: "1"),
      // `all` counts for this key of IPv6 only: net/ipv6/exthdrs.c takes the smaller of both.
      strong("net.ipv6.conf.*.accept_source_route", .integer(-1...Int(Int32.max)), .negative, default: "0")
        .combined(.minimum),
      strong("net.ipv6.conf.*.accept_redirects", flag, .less, default: "1"),
      neutral("net.ipv6.conf.*.accept_dad", .choice([0, 1, 2])),
      neutral("net.ipv6.conf.*.accept_ra_defrtr", flag),
      neutral("net.ipv6.conf.*.accept_ra_pinfo", flag),
      neutral("net.ipv6.conf.*.accept_ra_rtr_pref", flag),
      neutral("net.ipv6.conf.*.accept_ra_mtu", flag),
      neutral("net.ipv6.conf.*.accept_ra_min_hop_limit", .integer(1...255)),
      neutral("net.ipv6.conf.*.accept_untracked_na", .choice([0, 1, 2])),
      neutral("net.ipv6.conf.*.addr_gen_mode", .choice([0, 1, 2, 3])),
      neutral("net.ipv6.conf.*.dad_transmits", count),
      neutral("net.ipv6.conf.*.drop_unicast_in_l2_multicast", flag),
      neutral("net.ipv6.conf.*.drop_unsolicited_na", flag),
      neutral("net.ipv6.conf.*.hop_limit", .integer(1...255), unit: "hops"),
      neutral("net.ipv6.conf.*.max_addresses", count, unit: "addresses"),
      neutral("net.ipv6.conf.*.mtu", .integer(1280...65535), unit: "bytes"),
      neutral("net.ipv6.conf.*.proxy_ndp", flag),
      neutral("net.ipv6.conf.*.router_solicitations", .integer(-1...Int(Int32.max))),
      neutral("net.ipv6.conf.*.use_tempaddr", .integer(-1...2)),
    ].map(\.perInterface)

  private static let bridgeRows: [SysctlRow] = [
    strong("net.bridge.bridge-nf-call-iptables", flag, .more, default: "1"),
    strong("net.bridge.bridge-nf-call-ip6tables", flag, .more, default: "1"),
    strong("net.bridge.bridge-nf-call-arptables", flag, .more, default: "1"),
    neutral("net.bridge.bridge-nf-filter-vlan-tagged", flag),
    neutral("net.bridge.bridge-nf-filter-pppoe-tagged", flag),
    neutral("net.bridge.bridge-nf-pass-vlan-input-dev", flag),
  ].map { $0.provided(by: .module("br_netfilter")).inNamespace }

  private static let conntrackRows: [SysctlRow] =
    [
      neutral("net.netfilter.nf_conntrack_max", count, unit: "connections"),
      neutral("net.netfilter.nf_conntrack_buckets", count, unit: "buckets"),
      neutral("net.netfilter.nf_conntrack_expect_max", count),
      neutral("net.netfilter.nf_conntrack_acct", flag),
      neutral("net.netfilter.nf_conntrack_helper", flag),
      neutral("net.netfilter.nf_conntrack_checksum", flag),
      neutral("net.netfilter.nf_conntrack_log_invalid", .integer(0...255)),
      neutral("net.netfilter.nf_conntrack_tcp_loose", flag),
      neutral("net.netfilter.nf_conntrack_tcp_be_liberal", flag),
      neutral("net.netfilter.nf_conntrack_generic_timeout", count, unit: "seconds"),
      neutral("net.netfilter.nf_conntrack_icmp_timeout", count, unit: "seconds"),
      neutral("net.netfilter.nf_conntrack_icmpv6_timeout", count, unit: "seconds"),
      neutral("net.netfilter.nf_conntrack_udp_timeout", count, unit: "seconds"),
      neutral("net.netfilter.nf_conntrack_udp_timeout_stream", count, unit: "seconds"),
      neutral("net.netfilter.nf_conntrack_tcp_timeout_established", count, unit: "seconds"),
      neutral("net.netfilter.nf_conntrack_tcp_timeout_time_wait", count, unit: "seconds"),
      neutral("net.netfilter.nf_conntrack_tcp_timeout_close_wait", count, unit: "seconds"),
      neutral("net.netfilter.nf_conntrack_tcp_timeout_fin_wait", count, unit: "seconds"),
      neutral("net.netfilter.nf_conntrack_tcp_timeout_syn_recv", count, unit: "seconds"),
      neutral("net.netfilter.nf_conntrack_tcp_timeout_syn_sent", count, unit: "seconds"),
    ].map { $0.provided(by: .module("nf_conntrack")).inNamespace }
}

extension SysctlRow {
  fileprivate var inNamespace: SysctlRow {
    var row = self
    row.isNamespaced = true
    return row
  }

  fileprivate var perInterface: SysctlRow {
    var row = inNamespace
    row.provider = .interface
    return row
  }

  fileprivate func combined(_ combination: Combination, all allDefault: String? = nil) -> SysctlRow {
    var row = self
    row.combination = combination
    row.allDefault = allDefault
    return row
  }

  fileprivate func provided(by provider: Provider) -> SysctlRow {
    var row = self
    row.provider = provider
    return row
  }
}
