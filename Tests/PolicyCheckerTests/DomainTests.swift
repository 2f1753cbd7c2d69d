import Diagnostics
import PolicyModel
import Testing

@testable import PolicyChecker

enum SourceSpanForTests {
  static let any = SourceSpan(SourceID(0), 0, 1)
}

/// The keyed domains, and what statements say about them.
@Suite struct DomainTests {
  private func policy(_ body: String) throws -> HostPolicy {
    let checked = Checked("policy: test\nlanguage: 1\ntarget: { kernel: \"6.1\" }\n" + body)
    return try #require(checked.policy, "\(checked.rendered)")
  }

  @Test func sysctlsAreSortedAndClassed() throws {
    let policy = try policy(
      """
      sysctl:
        net.ipv4.ip_forward: 1
        kernel.unprivileged_bpf_disabled: 1
        net.ipv4.conf.*.rp_filter: 1
        net.ipv4.conf.eth0/100.rp_filter: 2
        kernel.core_pattern: "|/bin/false"
        kernel.pid_max: 0x10000

      """)
    #expect(
      policy.sysctls.map {
        "\($0.key)=\($0.value) \($0.strengthClass.rawValue) \($0.scope.rawValue) \($0.isNamespaced)"
      } == [
        "kernel.core_pattern=|/bin/false restorable host false",
        "kernel.pid_max=65536 neutral host false",
        "kernel.unprivileged_bpf_disabled=1 one-way host false",
        "net.ipv4.conf.*.rp_filter=1 restorable every-interface true",
        "net.ipv4.conf.eth0/100.rp_filter=2 restorable interface true",
        "net.ipv4.ip_forward=1 lossy host true",
      ])
    #expect(policy.sysctls[4].path == "net/ipv4/conf/eth0.100/rp_filter")
  }

  @Test func mountsStandParentsFirst() throws {
    let policy = try policy(
      """
      mounts:
        /var/lib/docker: { bind: self, flags: [exec, nosuid] }
        /var: { flags: [noexec, ro], options: [size=1g] }
        /var-x: { flags: [nodev] }

      """)
    #expect(policy.mounts.map(\.path) == ["/var", "/var-x", "/var/lib/docker"])
    #expect(policy.mounts[0].flags == [.readOnly, .noExec])
    #expect(policy.mounts[0].options == ["size=1g"])
    #expect(policy.mounts[2].isSelfBind)
    #expect(policy.mounts[2].flags == [.noSuid, .exec])
  }

  @Test func modulesAreNormalized() throws {
    let policy = try policy(
      "modules: { deny: [usb-storage, \"can*\", dccp], require: [nf_conntrack], seal: after-boot }\n")
    #expect(policy.modules.denied.map(\.pattern) == ["can*", "dccp", "usb_storage"])
    #expect(policy.modules.required.map(\.pattern) == ["nf_conntrack"])
    #expect(policy.modules.seal == .afterBoot)
    #expect(!policy.modules.deniesByDefault)
  }

  @Test func kernelAndBoot() throws {
    let policy = try policy(
      """
      kernel: { lockdown: integrity, command-line: [init_on_alloc=1, "mitigations=auto,nosmt", console=tty0, console=ttyS0] }
      boot:
        root: network
        management-after: 1m30s
        on-failure: halt
        input:
          - unlock: accept tcp 2222 from 10.0.0.0/8

      """)
    #expect(policy.kernel.lockdown == .integrity)
    #expect(
      policy.kernel.commandLine.map(\.text) == [
        "init_on_alloc=1", "mitigations=auto,nosmt", "console=tty0", "console=ttyS0",
      ])
    #expect(policy.boot.root == .network)
    #expect(policy.boot.managementAfter == 90)
    #expect(policy.boot.onFailure == .halt)
    #expect(policy.boot.stage == .closed)
    #expect(policy.boot.input.map(\.id) == ["boot.input/unlock"])
  }

  @Test func managementAndRegions() throws {
    let policy = try policy(
      """
      firewall: { input: { policy: drop, rules: ["accept tcp 22"] } }
      management:
        - tcp 22
        - input udp 51820 in eth0
      expect:
        - ssh: input accept tcp 22
        - input drop established in lo
        - input may accept any-state
        - output always accept any

      """)
    guard case .regions(let regions) = policy.management else {
      Issue.record("no regions")
      return
    }
    #expect(regions.map(\.hook) == [.input, .input])
    #expect(regions.map(\.text) == ["tcp 22", "udp 51820 in eth0"])
    #expect(regions.allSatisfy { !$0.hasStateClause && !$0.includesLoopback })
    let statements = policy.expectations
    #expect(statements.map(\.name) == ["ssh", nil, nil, nil])
    let bodies = statements.compactMap { statement -> (Region, Statement.Mode, Statement.Outcome)? in
      if case .packets(let region, let mode, let outcome) = statement.body {
        (region, mode, outcome)
      } else {
        nil
      }
    }
    #expect(bodies.map(\.1) == [.plain, .plain, .may, .always])
    #expect(bodies.map(\.2) == [.accept, .drop, .accept, .accept])
    #expect(bodies[1].0.hasStateClause && bodies[1].0.includesLoopback)
    #expect(bodies[2].0.hasStateClause && bodies[2].0.matches.isEmpty)
    #expect(bodies[3].0.hook == .output && bodies[3].0.matches.isEmpty && !bodies[3].0.hasStateClause)
  }

  @Test func noneIsNotUnstated() throws {
    guard case .none = try policy("management: none\n").management else {
      Issue.record("not none")
      return
    }
    guard case .unstated = try policy("").management else {
      Issue.record("not unstated")
      return
    }
  }

  // MARK: Facts

  private static let facts = """
    sysctl:
      kernel.kptr_restrict: 1
      net.ipv4.conf.all.rp_filter: 1
      net.ipv4.conf.*.send_redirects: 0
      net.ipv4.conf.all.accept_redirects: 0
      net.ipv4.conf.*.log_martians: 0
      net.ipv4.conf.eth0.log_martians: 1
      net.ipv4.conf.default.secure_redirects: 0
      net.ipv4.ip_forward: 1
      vendor.thing: a b
    mounts:
      /var: { flags: [noexec, nosuid] }
      /var/lib/docker: { bind: self, flags: [exec] }
    modules: { deny: [sctp, "can*"] }
    kernel: { lockdown: integrity, command-line: [init_on_alloc=1, slab_nomerge] }

    """

  /// Each fact and whether it holds.
  @Test(arguments: [
    ("sysctl kernel.kptr_restrict is 1", true), ("sysctl kernel.kptr_restrict is 2", false),
    ("sysctl kernel.kptr_restrict at least 1", true), ("sysctl kernel.kptr_restrict at least 2", false),
    // Silence: the kernel's default.
    ("sysctl fs.protected_symlinks at least 0", true), ("sysctl fs.protected_symlinks is 1", false),
    // Silence where configurations differ.
    ("sysctl kernel.dmesg_restrict at least 0", false),
    // max(all, interface)
    ("sysctl net.ipv4.conf.*.rp_filter at least 1", true), ("sysctl net.ipv4.conf.eth7.rp_filter is 1", true),
    ("sysctl net.ipv4.conf.default.rp_filter is 1", false),
    // all and the interface: 0 and 1
    ("sysctl net.ipv4.conf.*.accept_source_route at least 0", true),
    // all or the interface
    ("sysctl net.ipv4.conf.*.send_redirects is 0", true),
    ("sysctl net.ipv4.conf.*.accept_redirects is 0", false),
    ("sysctl net.ipv4.conf.all.accept_redirects is 0", true),
    ("sysctl net.ipv4.conf.eth0.log_martians is 1", true),
    ("sysctl net.ipv4.conf.*.log_martians at least 1", false),
    // Only `default`: an interface that is there already may have another.
    ("sysctl net.ipv4.conf.eth0.secure_redirects is 0", false),
    // ip_forward is conf.all.forwarding
    ("sysctl net.ipv4.conf.all.forwarding is 1", true),
    ("sysctl vendor.thing is \"a b\"", true), ("sysctl vendor.other is 1", false),
    ("mount /var noexec, nosuid", true), ("mount /var nodev", false), ("mount /var/lib noexec", true),
    ("mount /var/lib/docker exec", true), ("mount /var/lib/docker/x exec, nosuid", true),
    ("mount /var/lib/docker not noexec", true), ("mount /variable noexec", false),
    ("module sctp denied", true), ("module can-raw denied", true), ("module dccp denied", false),
    ("module dccp allowed", true), ("module can_raw allowed", false),
    ("kernel lockdown at least integrity", true), ("kernel lockdown at least confidentiality", false),
    ("kernel lockdown is integrity", true), ("kernel init_on_alloc is 1", true),
    ("kernel init-on-alloc at least 1", true), ("kernel init_on_free is 1", false),
  ]) func facts(text: String, holds: Bool) throws {
    let checked = Checked(
      "policy: test\nlanguage: 1\ntarget: { kernel: \"6.1\" }\n" + Self.facts + "expect:\n  - '\(text)'\n")
    let failures = checked.errors
    #expect(failures == (holds ? [] : ["expect/failed"]), "\(checked.rendered)")
  }

  @Test func denyByDefault() throws {
    let policy = try policy("modules: { default: deny, allow: [\"nf_*\"], require: [ext4] }\n")
    let judge = StatementJudge(policy)
    #expect(judge.judge(.module("dccp", denied: true)) == .holds)
    #expect(judge.judge(.module("nf_tables", denied: false)) == .holds)
    #expect(judge.judge(.module("ext4", denied: false)) == .holds)
    #expect(judge.judge(.module("ext4", denied: true)) != .holds)
  }

  // MARK: Targets

  @Test func targets() throws {
    #expect(try policy("").target.architectures == [.x86_64, .aarch64])
    let arm = Checked("policy: a\nlanguage: 1\ntarget: { kernel: \"6.10\", architectures: [aarch64] }\n")
    #expect(arm.policy?.target == Target(kernel: KernelVersion(6, 10), architectures: [.aarch64]))
  }

  /// JSON is the same document.
  @Test func jsonIsAPolicyToo() throws {
    let checked = Checked(
      """
      {"policy": "test", "language": 1, "target": {"kernel": "6.1"},
        "firewall": {"input": {"policy": "drop", "rules": [
          {"ssh": "accept tcp 22"}, "accept in \\"lo\\"", {"verdict": "accept", "protocol": ["udp"], "ports": [53]}]}},
        "sysctl": {"kernel.kptr_restrict": 1}}

      """)
    #expect(checked.rendered == "")
    #expect(
      checked.policy?.firewall?.baseChains[0].rules.map(\.text) == [
        "accept tcp 22", "accept in lo", "accept udp 53", "drop count",
      ])
  }
}
