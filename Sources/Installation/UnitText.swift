/// systemd units. None has ExecStop=, ExecReload= or Restart=: stopping one, or removing a package, must not open the
/// host, and what failed once is not tried in a loop.
enum UnitText {
  static let closedName = "lockdown-closed.service"
  static let policyName = "lockdown.service"
  static let lateName = "lockdown-late.service"
  static let healthName = "lockdown-health.service"
  static let sealName = "lockdown-seal.service"
  static let fallbackName = "lockdown-fallback.service"

  /// Of the applier, where bundles must be signed.
  static let signed = " --key /\(InstalledPath.key)"

  /// Where no initramfs has done it. It does nothing where a firewall of ours is there. Without slots it fails, and is not
  /// left out: a unit that is left out is no failure to what requires it.
  static func closed(_ options: String) -> String {
    """
    [Unit]
    Description=Close the host until its lockdown policy is applied
    DefaultDependencies=no
    Wants=network-pre.target
    Before=network-pre.target \(policyName) sysinit.target
    RequiresMountsFor=/\(InstalledPath.state)
    # What configures networks requires it, and would be stopped with it.
    RefuseManualStop=yes

    [Service]
    Type=oneshot
    RemainAfterExit=yes
    ExecStart=/\(InstalledPath.applier) --slots /\(InstalledPath.state) --stage closed\(options)
    TimeoutStartSec=60
    StandardOutput=journal+console
    StandardError=journal+console

    [Install]
    WantedBy=sysinit.target

    """
  }

  /// What configures networks on the usual distributions, cloud-init's first unit too, which itself comes before
  /// network-pre.target and brings a link up for its metadata. A drop-in for a unit that is not there means nothing.
  static let networkUnits = [
    "NetworkManager.service", "cloud-init-local.service", "connman.service", "dhcpcd.service",
    "dhcpcd@.service", "ifup@.service", "iwd.service", "network.service", "networking.service",
    "systemd-networkd.service", "wicked.service", "wickedd.service", "wpa_supplicant.service",
    "wpa_supplicant@.service",
  ]

  /// `boot.unprotected: stop`.
  static let needsProtection = """
    # Without a firewall of ours nothing configures a network; `boot.unprotected: continue` lets it.
    [Unit]
    Requires=\(closedName)
    After=\(closedName)

    """

  /// Before anything configures a network: units that do are behind network-pre.target, which only those units pull in
  /// that come before it.
  static func policy(_ options: String) -> String {
    """
    [Unit]
    Description=Apply the lockdown policy
    DefaultDependencies=no
    Wants=network-pre.target
    After=local-fs.target \(closedName) systemd-modules-load.service systemd-sysctl.service
    Before=network-pre.target sysinit.target
    RequiresMountsFor=/\(InstalledPath.state)

    [Service]
    Type=oneshot
    RemainAfterExit=yes
    ExecStart=/\(InstalledPath.applier) --slots /\(InstalledPath.state)\(options)
    # 3: applied with gaps that are named. 4: the slot before this one is live.
    SuccessExitStatus=3 4
    TimeoutStartSec=120
    StandardOutput=journal+console
    StandardError=journal+console

    [Install]
    WantedBy=sysinit.target

    """
  }

  /// Stays, and looks at all that waits whenever something comes. Nothing waits for it, and its end changes nothing.
  static func late(_ options: String) -> String {
    """
    [Unit]
    Description=Complete the lockdown policy when what it names comes
    DefaultDependencies=no
    After=\(policyName)
    RequiresMountsFor=/\(InstalledPath.state)
    ConditionPathExists=/\(InstalledPath.slots)

    [Service]
    ExecStart=/\(InstalledPath.applier) --slots /\(InstalledPath.state) --stage late --follow\(options)

    [Install]
    WantedBy=sysinit.target

    """
  }

  /// Behind boot-complete.target, which every check of health that a host has must precede (systemd.special(7)). A check
  /// that fails makes the job of this unit fail, and one that hangs makes its time run out: then the boot is a sick one.
  static let health = """
    [Unit]
    Description=Keep the lockdown policy that this boot tried
    Requires=boot-complete.target lockdown.service
    After=boot-complete.target lockdown.service
    OnFailure=\(fallbackName)
    JobTimeoutSec=15min
    ConditionPathExists=/\(InstalledPath.slots)

    [Service]
    Type=oneshot
    RemainAfterExit=yes
    ExecStart=/\(InstalledPath.applier) --slots /\(InstalledPath.state) --healthy
    TimeoutStartSec=60

    [Install]
    WantedBy=multi-user.target

    """

  /// For a boot that tries a new slot and does not reach the mark. The applier gives that slot up, and applies the one from
  /// before; what was sealed or filtered, or where that fails, only a boot takes back. The next boot tries nothing new,
  /// and so does not come here again.
  static func fallback(_ options: String) -> String {
    """
    [Unit]
    Description=Go back from the lockdown policy that this boot tried
    ConditionPathExists=/\(InstalledPath.slots)

    [Service]
    Type=oneshot
    # 0: nothing new was tried. 4: the slot from before is live. 1, 75: the slots cannot be read, or are not free, and
    # nothing was given up; a boot mends neither.
    ExecStart=/bin/sh -c 'test -e /run/lockdown/sealed || grep -q "^Seccomp:.[12]" /proc/self/status; open=$$?; \\
      /\(InstalledPath.applier) --slots /\(InstalledPath.state) --sick\(options); \\
      case $$?/$$open in 0/*|4/[12]) exit 0;; 1/*|75/*) exit 1;; esac; \\
      echo "only a boot takes back what the policy has done, and comes now"; \\
      exec systemctl --no-block reboot'
    TimeoutStartSec=120
    StandardOutput=journal+console
    StandardError=journal+console

    """
  }

  /// Behind the mark of a healthy boot: what a boot that fails would need again is then still open.
  static func seal(_ options: String) -> String {
    """
    [Unit]
    Description=Seal the host as the lockdown policy says
    Requires=lockdown-health.service
    After=lockdown-health.service
    ConditionPathExists=/\(InstalledPath.slots)

    [Service]
    Type=oneshot
    RemainAfterExit=yes
    ExecStart=/\(InstalledPath.applier) --slots /\(InstalledPath.state) --stage seal\(options)
    # 3: sealed with gaps that are named. 1: the host is not as the policy says, and nothing is sealed.
    SuccessExitStatus=3
    TimeoutStartSec=120

    [Install]
    WantedBy=multi-user.target

    """
  }
}
