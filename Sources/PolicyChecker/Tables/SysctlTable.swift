import PolicyModel

/// The sysctl keys language 1 knows. A key that is not here is allowed, with a warning and no order.
///
/// Documentation/admin-guide/sysctl/, Documentation/networking/ip-sysctl.rst of the kernel.
enum SysctlTable {
  /// The row of a key as written in a policy; any interface name stands for `*`.
  static func row(for key: SysctlKey) -> SysctlRow? { byPattern[key.pattern] }

  static let rows: [SysctlRow] =
    kernelRows + fileSystemRows + memoryRows + deviceRows + coreNetworkRows + ipv4Rows + ipv6Rows + bridgeRows
    + conntrackRows + multipathRows

  private static let byPattern: [String: SysctlRow] = Dictionary(
    uniqueKeysWithValues: rows.map { ($0.key, $0) })

  typealias Row = SysctlRow
  static let flag = Row.Values.choice([0, 1])
  static let count = Row.Values.integer(0...Int(Int32.max))
  /// Kept in jiffies, of which the kernel counts at most 1,000 a second: proc_dointvec_jiffies() refuses more.
  static let seconds = Row.Values.integer(0...Int(Int32.max) / 1000)

  static func strong(
    _ key: String, _ values: Row.Values, _ order: Row.Order, _ strengthClass: SysctlClass = .restorable,
    default kernelDefault: String? = nil, since: KernelVersion? = nil
  ) -> SysctlRow {
    SysctlRow(
      key: key, values: values, order: order, strengthClass: strengthClass, since: since,
      kernelDefault: kernelDefault)
  }

  static func neutral(
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
    strong("kernel.core_pattern", .text, .noCorePattern).atMost(bytes: 127),
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
    neutral("kernel.core_pipe_limit", count, unit: "processes"),
    neutral(
      "kernel.core_file_note_size_limit", .integer(4096...16_777_216), unit: "bytes",
      since: KernelVersion(6, 10)),
    neutral("kernel.core_sort_vma", flag, since: KernelVersion(6, 14)),
    neutral("kernel.ctrl-alt-del", flag),
    neutral("kernel.domainname", .text),
    neutral("kernel.hostname", .text),
    neutral("kernel.ftrace_dump_on_oops", .text),
    neutral("kernel.hardlockup_all_cpu_backtrace", flag),
    neutral("kernel.hardlockup_panic", flag),
    neutral("kernel.hung_task_all_cpu_backtrace", flag),
    neutral("kernel.hung_task_check_interval_secs", count, unit: "seconds"),
    neutral("kernel.io_uring_group", .integer(-1...Int(Int32.max)), since: KernelVersion(6, 6)),
    neutral("kernel.keys.gc_delay", count, unit: "seconds"),
    neutral("kernel.keys.persistent_keyring_expiry", count, unit: "seconds"),
    neutral("kernel.max_rcu_stall_to_panic", count),
    neutral("kernel.msgmax", count, unit: "bytes"),
    neutral("kernel.msgmnb", count, unit: "bytes"),
    neutral("kernel.msgmni", count, unit: "queues"),
    neutral("kernel.oops_all_cpu_backtrace", flag),
    neutral("kernel.overflowgid", .integer(0...65535)),
    neutral("kernel.overflowuid", .integer(0...65535)),
    neutral("kernel.perf_event_max_contexts_per_stack", .integer(0...1000)),
    neutral("kernel.perf_event_max_stack", .integer(0...640), unit: "frames"),
    neutral("kernel.perf_event_mlock_kb", count, unit: "KiB"),
    neutral("kernel.poweroff_cmd", .text),
    neutral("kernel.print-fatal-signals", flag),
    neutral("kernel.printk_delay", .integer(0...10_000), unit: "milliseconds"),
    neutral("kernel.printk_ratelimit", count, unit: "seconds"),
    neutral("kernel.printk_ratelimit_burst", count, unit: "messages"),
    neutral("kernel.pty.max", .integer(0...1_048_576), unit: "terminals"),
    neutral("kernel.pty.reserve", .integer(0...1_048_576), unit: "terminals"),
    neutral("kernel.sched_cfs_bandwidth_slice_us", .integer(1...Int(Int32.max)), unit: "microseconds"),
    neutral("kernel.sched_rr_timeslice_ms", count, unit: "milliseconds"),
    neutral("kernel.sched_rt_period_us", .integer(1...Int(Int32.max)), unit: "microseconds"),
    neutral("kernel.sched_rt_runtime_us", .integer(-1...Int(Int32.max)), unit: "microseconds"),
    neutral("kernel.seccomp.actions_logged", .text),
    neutral("kernel.sem", .integers(4, 0...Int(Int32.max))),
    neutral("kernel.shm_rmid_forced", flag),
    neutral("kernel.shmmni", .integer(0...32768), unit: "segments"),
    neutral("kernel.soft_watchdog", flag),
    neutral("kernel.split_lock_mitigate", flag, since: KernelVersion(6, 2)),
    neutral("kernel.stack_tracer_enabled", flag),
    neutral("kernel.sysctl_writes_strict", .integer(-1...1)),
    neutral("kernel.task_delayacct", flag, since: KernelVersion(5, 14)),
    neutral("kernel.timer_migration", flag),
    neutral("kernel.traceoff_on_warning", flag),
    neutral("kernel.tracepoint_printk", flag),
    neutral("kernel.unknown_nmi_panic", flag),
    neutral("kernel.usermodehelper.bset", .integers(2, 0...Int(UInt32.max))),
    neutral("kernel.usermodehelper.inheritable", .integers(2, 0...Int(UInt32.max))),
    neutral("kernel.watchdog_cpumask", .text),
    strong("kernel.apparmor_restrict_unprivileged_userns", flag, .more),  // a patch of Ubuntu's
    neutral("kernel.random.urandom_min_reseed_secs", count, unit: "seconds"),
    neutral("kernel.random.write_wakeup_threshold", count, unit: "bits"),
    strong("user.max_user_namespaces", count, .less),
    strong("user.max_net_namespaces", count, .less),
    strong("user.max_cgroup_namespaces", count, .less),
    strong("user.max_ipc_namespaces", count, .less),
    strong("user.max_mnt_namespaces", count, .less),
    strong("user.max_pid_namespaces", count, .less),
    strong("user.max_time_namespaces", count, .less),
    strong("user.max_uts_namespaces", count, .less),
    neutral("user.max_fanotify_groups", count, since: KernelVersion(5, 13)),
    neutral("user.max_fanotify_marks", count, since: KernelVersion(5, 13)),
    neutral("user.max_inotify_instances", count),
    neutral("user.max_inotify_watches", count),
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
    neutral("fs.dir-notify-enable", flag),
    neutral("fs.fanotify.max_queued_events", count, since: KernelVersion(5, 13)),
    neutral("fs.fanotify.max_user_groups", count, since: KernelVersion(5, 13)),
    neutral("fs.fanotify.max_user_marks", count, since: KernelVersion(5, 13)),
    neutral("fs.lease-break-time", count, unit: "seconds"),
    neutral("fs.leases-enable", flag),
    neutral("fs.mqueue.msg_default", .integer(1...65536), unit: "messages"),
    neutral("fs.mqueue.msg_max", .integer(1...65536), unit: "messages"),
    neutral("fs.mqueue.msgsize_default", .integer(128...16_777_216), unit: "bytes"),
    neutral("fs.mqueue.msgsize_max", .integer(128...16_777_216), unit: "bytes"),
    neutral("fs.mqueue.queues_max", count, unit: "queues"),
    neutral("fs.overflowgid", .integer(0...65535)),
    neutral("fs.overflowuid", .integer(0...65535)),
  ]

  // MARK: vm.*

  private static let memoryRows: [SysctlRow] = [
    strong("vm.mmap_min_addr", .integer(0...Int.max), .more),
    // The kernel's own value is 1 before 5.11.
    strong("vm.unprivileged_userfaultfd", flag, .less, since: KernelVersion(5, 2)),
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
    // MFD_NOEXEC_SEAL where a program says neither, then for all.
    strong("vm.memfd_noexec", .choice([0, 1, 2]), .more, default: "0", since: KernelVersion(6, 3)),
    neutral("vm.admin_reserve_kbytes", count, unit: "KiB"),
    neutral("vm.compact_unevictable_allowed", flag),
    neutral("vm.dirty_background_bytes", count, unit: "bytes"),
    neutral("vm.dirty_bytes", count, unit: "bytes"),
    neutral("vm.dirtytime_expire_seconds", count, unit: "seconds"),
    neutral("vm.extfrag_threshold", .integer(0...1000)),
    neutral("vm.hugetlb_shm_group", count),
    neutral("vm.legacy_va_layout", flag),
    neutral("vm.lowmem_reserve_ratio", .text),
    neutral("vm.min_slab_ratio", .integer(0...100), unit: "percent"),
    neutral("vm.min_unmapped_ratio", .integer(0...100), unit: "percent"),
    neutral("vm.nr_overcommit_hugepages", count, unit: "pages"),
    neutral("vm.numa_stat", flag),
    neutral("vm.page-cluster", .integer(0...31)),
    neutral("vm.percpu_pagelist_high_fraction", count, since: KernelVersion(5, 14)),
    neutral("vm.stat_interval", count, unit: "seconds"),
    neutral("vm.user_reserve_kbytes", count, unit: "KiB"),
    neutral("vm.watermark_boost_factor", count),
    neutral("vm.watermark_scale_factor", .integer(1...3000)),
  ]

  private static let deviceRows: [SysctlRow] = [
    strong("dev.tty.ldisc_autoload", flag, .less, since: KernelVersion(5, 1)),
    strong("dev.tty.legacy_tiocsti", flag, .less, since: KernelVersion(6, 2)),
    neutral("dev.raid.speed_limit_min", count, unit: "KiB a second"),
    neutral("dev.raid.speed_limit_max", count, unit: "KiB a second"),
  ]
}

extension SysctlRow {
  fileprivate func atMost(bytes: Int) -> SysctlRow {
    var row = self
    row.maximumLength = bytes
    return row
  }
}
