/// Where things are on an installed host, below its root.
package enum InstalledPath {
  package static let applier = "usr/sbin/lockdown-apply"
  /// Bundles, the slots and the manifest: what changes while the host lives.
  package static let state = "var/lib/lockdown"
  package static let bundles = "var/lib/lockdown/bundles"
  package static let slots = "var/lib/lockdown/slots"
  /// Root's alone, so that nobody else can hold it.
  package static let lock = "var/lib/lockdown/lock"
  /// What the applier keeps where it is told a bundle and not slots.
  package static let lastGood = "var/lib/lockdown/last-good.bundle"
  /// Behind the name of a file that the applier replaces: what it was writing when the host lost its power.
  package static let unfinished = ".new"
  /// Certificate of the key that must have signed each bundle, where there is one.
  package static let key = "etc/lockdown/key.x509"
  /// The kernel's command line, as a drop-in of GRUB and as it is.
  package static let grub = "etc/default/grub.d/lockdown.cfg"
  package static let commandLine = "etc/lockdown/cmdline"
  package static let manifest = "var/lib/lockdown/manifest"

  package static func bundle(_ name: SlotState.Name) -> String {
    "\(bundles)/\(String(decoding: name, as: UTF8.self)).bundle"
  }

  package static func signature(_ name: SlotState.Name) -> String { "\(bundle(name)).sig" }

  /// The closed stage of that bundle, alone.
  package static func closed(_ name: SlotState.Name) -> String {
    "\(bundles)/\(String(decoding: name, as: UTF8.self)).closed"
  }
}

/// The files that make a host apply its policy at each boot: a pure function of what was compiled.
package struct InstalledFiles {
  /// Texts of the compile, as it wrote them.
  package var modprobe: [UInt8]
  package var sysctl: [UInt8]
  /// The line of `cmdline.txt`, without its line feed.
  package var commandLine: String
  package var applier: [UInt8]
  /// Whether what configures a network may start where no closed firewall could be loaded.
  package var staysUnprotected: Bool
  /// Certificate of the key that must have signed each bundle; nil: signatures are not asked for.
  package var key: [UInt8]?

  package init(
    modprobe: [UInt8], sysctl: [UInt8], commandLine: String, applier: [UInt8], staysUnprotected: Bool,
    key: [UInt8]? = nil
  ) {
    self.modprobe = modprobe
    self.sysctl = sysctl
    self.commandLine = commandLine
    self.applier = applier
    self.staysUnprotected = staysUnprotected
    self.key = key
  }

  /// Sorted by path.
  package var items: [InstalledItem] {
    let options = key == nil ? "" : UnitText.signed
    var items = [
      InstalledItem(InstalledPath.applier, program: applier),
      InstalledItem("etc/systemd/system/\(UnitText.closedName)", UnitText.closed(options)),
      InstalledItem("etc/systemd/system/\(UnitText.policyName)", UnitText.policy(options)),
      InstalledItem("etc/systemd/system/\(UnitText.lateName)", UnitText.late(options)),
      InstalledItem("etc/systemd/system/\(UnitText.healthName)", UnitText.health),
      InstalledItem("etc/systemd/system/\(UnitText.sealName)", UnitText.seal(options)),
      InstalledItem("etc/systemd/system/\(UnitText.fallbackName)", UnitText.fallback(options)),
      // Enabled, as `systemctl enable` does it.
      InstalledItem(
        "etc/systemd/system/sysinit.target.wants/\(UnitText.closedName)", linkTo: "../\(UnitText.closedName)"),
      InstalledItem(
        "etc/systemd/system/sysinit.target.wants/\(UnitText.policyName)", linkTo: "../\(UnitText.policyName)"),
      InstalledItem(
        "etc/systemd/system/sysinit.target.wants/\(UnitText.lateName)", linkTo: "../\(UnitText.lateName)"),
      InstalledItem(
        "etc/systemd/system/multi-user.target.wants/\(UnitText.healthName)",
        linkTo: "../\(UnitText.healthName)"),
      InstalledItem(
        "etc/systemd/system/multi-user.target.wants/\(UnitText.sealName)", linkTo: "../\(UnitText.sealName)"),
      InstalledItem("etc/initramfs-tools/hooks/lockdown", InitramfsText.hook, isProgram: true),
      InstalledItem(
        "etc/initramfs-tools/scripts/init-top/lockdown", InitramfsText.script, isProgram: true),
      InstalledItem("usr/lib/dracut/modules.d/50lockdown/module-setup.sh", DracutText.setup, isProgram: true),
      InstalledItem("usr/lib/dracut/modules.d/50lockdown/lockdown.sh", DracutText.script, isProgram: true),
    ]
    if !staysUnprotected {
      for unit in UnitText.networkUnits {
        items.append(InstalledItem("etc/systemd/system/\(unit).d/lockdown.conf", UnitText.needsProtection))
      }
    }
    if let key { items.append(InstalledItem(path: InstalledPath.key, key)) }
    items.append(InstalledItem(path: "etc/modprobe.d/lockdown.conf", modprobe))
    // Behind the distribution's and most others': the last file that names a key wins (sysctl.d(5)).
    items.append(InstalledItem(path: "etc/sysctl.d/90-lockdown.conf", sysctl))
    if !commandLine.isEmpty {
      items.append(InstalledItem(InstalledPath.grub, GrubText.print(commandLine)))
      items.append(InstalledItem(InstalledPath.commandLine, commandLine + "\n"))
    }
    return items.sorted { $0.path < $1.path }
  }
}

extension InstalledItem {
  fileprivate init(path: String, _ bytes: [UInt8]) {
    self.path = path
    content = .file(bytes, isProgram: false)
  }
}

/// A drop-in of Debian's grub-mkconfig: sh that is read behind /etc/default/grub.
enum GrubText {
  static func print(_ commandLine: String) -> String {
    // What sh takes out of a text in double quotes.
    let special: Set<Character> = ["\\", "\"", "$", "`"]
    let quoted = commandLine.map { special.contains($0) ? "\\\($0)" : String($0) }.joined()
    return """
      # What the policy wants on the kernel's command line; update-grub makes it the next boot's.
      GRUB_CMDLINE_LINUX="${GRUB_CMDLINE_LINUX:+$GRUB_CMDLINE_LINUX }\(quoted)"

      """
  }
}
