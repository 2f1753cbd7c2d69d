import Diagnostics

/// Names of parameters of the kernel's command line that are known, to tell a misspelled one from one that is not here:
/// those of Documentation/admin-guide/kernel-parameters.txt that hosts name, on either architecture, and some that the
/// first programs in user space read. A name that is not here is no fault: each module has its own.
enum KernelParameterNames {
  /// With `_`, as ``KernelParameter/name(_:)`` gives them.
  static let known = Set(text.split(whereSeparator: \.isWhitespace).map(String.init))

  /// The known name that an unknown one differs from by one letter, or two in the wrong order; nil if there is none.
  static func meant(by name: String) -> String? { Spelling.oneOff(name, of: known) }

  /// What the kernel reads as values of a parameter whose other values it passes over; nil: any, or not known.
  ///
  /// Source: kernel-parameters.txt, and of those that are the text itself the functions that read them.
  static func values(of name: String) -> [String]? { values[name] }

  private static let values: [String: [String]] = [
    "vsyscall": ["emulate", "xonly", "none"],
    "debugfs": ["on", "no-mount", "off"],
    "audit": ["0", "off", "1", "on"],
    "mitigations": ["off", "auto", "auto,nosmt"],
    "mds": ["full", "full,nosmt", "off"],
    "tsx_async_abort": ["full", "full,nosmt", "off"],
    "mmio_stale_data": ["full", "full,nosmt", "off"],
    "l1tf": ["full", "full,force", "flush", "flush,nosmt", "flush,nowarn", "off"],
    "spec_store_bypass_disable": ["on", "off", "auto", "prctl", "seccomp"],
    "pti": ["on", "off", "auto"],
    "oops": ["panic"],
  ]

  private static let text = """
    acpi acpi_enforce_resources acpi_osi acpi_rsdp allow_mismatched_32bit_el0 amd_iommu amd_pstate apic
    apparmor arm64.nobti arm64.nomte arm64.nopauth audit audit_backlog_limit bgrt_disable boot_delay bootconfig
    cfi cgroup_disable cgroup_no_v1 clearcpuid clocksource console console_msg_format consoleblank
    coredump_filter cpufreq.off cpuidle.off crashkernel cryptomgr.notests debug_guardpage_minorder
    debug_pagealloc debugfs default_hugepagesz delayacct dis_ucode_ldr dm_mod.create dma_debug dyndbg earlycon
    earlyprintk efi efivar_ssdt enforcing erst_disable evm extra_latent_entropy fail_make_request forcepae
    fsck.mode fsck.repair gather_data_sampling gpt hardened_usercopy hash_pointers hashdist hest_disable
    highres hpet hugepages hugepagesz hung_task_panic i8042.noaux ia32_emulation idle ignore_loglevel
    ima_appraise ima_hash ima_policy ima_tcb ima_template indirect_target_selection init init_on_alloc
    init_on_free initcall_blacklist initrd intel_idle.max_cstate intel_iommu intel_pstate io_delay iommu
    iommu.forcedac iommu.passthrough iommu.strict ip ipv6.autoconf ipv6.disable ipv6.disable_ipv6 irqaffinity
    irqpoll isolcpus kasan kasan.fault keep_bootcon kfence.sample_interval kgdboc kpti
    kvm.enable_vmware_backdoor kvm.mitigate_smt_rsb kvm.nx_huge_pages kvm_amd.nested kvm_arm.mode
    kvm_intel.emulate_invalid_guest_state kvm_intel.nested l1d_flush l1tf libata.force load_ramdisk log_buf_len
    loglevel loop.max_loop lsm lsm.debug mce mds mem mem_encrypt mem_sleep_default memhp_default_state memmap
    mitigations mmio_stale_data module.async_probe module.sig_enforce netconsole nfsroot nmi_watchdog
    no_console_suspend no_hash_pointers noapic noautogroup noefi noexec nohibernate nohz nohz_full noinitrd
    nointremap nokaslr nolapic nomodeset nopat nopcid nopku nopti nopv norandmaps noreplace_smp noresume nosgx
    nosmap nosmep nosmp nosmt nospec_store_bypass_disable nospectre_bhb nospectre_v1 nospectre_v2 notsc
    nowatchdog nox2apic noxsave nr_cpus numa numa_balancing oops page_alloc.shuffle page_owner page_poison
    panic panic_on_taint panic_on_warn panic_print pci pci_aspm pcie_aspm pcie_hp pcie_ports preempt
    printk.always_kmsg_dump printk.devkmsg printk.time proc_mem.force_override processor.max_cstate profile psi
    pstore.backend pti quiet random.trust_bootloader random.trust_cpu randomize_kstack_offset rd.break
    rd.luks.uuid rd.lvm rd.md rdinit rdrand reboot reg_file_data_sampling relax_domain_level reserve resume
    resume_offset retain_initrd retbleed ro rodata root rootdelay rootflags rootfstype rootwait rw
    secretmem.enable security selinux skew_tick slab_max_order slab_merge slab_nomerge slub_debug slub_merge
    slub_nomerge smt softlockup_all_cpu_backtrace softlockup_panic spec_rstack_overflow
    spec_store_bypass_disable spectre_bhi spectre_v2 spectre_v2_user splash split_lock_detect srbds
    stack_guard_gap stf_barrier swiotlb sysrq_always_enabled systemd.mask systemd.show_status systemd.unit
    systemd.wants tp_printk trace_buf_size trace_event transparent_hugepage tsa tsc tsx tsx_async_abort
    udev.log_level usbcore.authorized_default usbcore.autosuspend usbcore.nousb vdso vdso32 vga video vmalloc
    vmscape vsyscall vt.default_utf8 watchdog_thresh workqueue.unbound_cpus x2apic_phys xen_nopv
    xen_scrub_pages zswap.enabled
    """
}
