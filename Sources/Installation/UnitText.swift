/// systemd units. None has ExecStop=, ExecReload= or Restart=: stopping one, or removing a package, must not open the
/// host, and what failed once is not tried in a loop.
enum UnitText {
  static let policyName = "lockdown.service"
  static let healthName = "lockdown-health.service"

  /// Before anything configures a network: units that do are behind network-pre.target, which only those units pull in
  /// that come before it.
  static let policy = """
    [Unit]
    Description=Apply the lockdown policy
    DefaultDependencies=no
    Wants=network-pre.target
    After=local-fs.target systemd-modules-load.service systemd-sysctl.service
    Before=network-pre.target sysinit.target
    RequiresMountsFor=/\(InstalledPath.state)
    ConditionPathExists=/\(InstalledPath.slots)

    [Service]
    Type=oneshot
    RemainAfterExit=yes
    ExecStart=/\(InstalledPath.applier) --slots /\(InstalledPath.state)
    # 3: applied with gaps that are named. 4: the slot before this one is live.
    SuccessExitStatus=3 4
    TimeoutStartSec=120
    StandardOutput=journal+console
    StandardError=journal+console

    [Install]
    WantedBy=sysinit.target

    """

  /// Behind boot-complete.target, which every check of health that a host has must precede (systemd.special(7)).
  static let health = """
    [Unit]
    Description=Keep the lockdown policy that this boot tried
    Requires=boot-complete.target lockdown.service
    After=boot-complete.target lockdown.service
    ConditionPathExists=/\(InstalledPath.slots)

    [Service]
    Type=oneshot
    RemainAfterExit=yes
    ExecStart=/\(InstalledPath.applier) --slots /\(InstalledPath.state) --healthy
    TimeoutStartSec=60

    [Install]
    WantedBy=multi-user.target

    """
}
