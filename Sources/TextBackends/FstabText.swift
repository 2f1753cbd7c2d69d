package import PolicyModel

/// `mounts.fstab`: the mount flags as `mount -a -T` reads them (fstab(5), mount(8)).
package enum FstabText {
  // The kernel asks for none, and mount(8) passes over a line whose source and path are mounted already: so it is
  // a word that is no mount's, which `none` often is.
  private static let source = "lockdown"

  package static func print(_ policy: HostPolicy) -> String {
    var file = TextFile(policy, readBy: "mount(8), as `mount -a -T mounts.fstab`")
    guard !policy.mounts.isEmpty else { return file.text }
    file.section([
      "mount(8) before util-linux 2.39 clears those of nosuid, nodev, noexec, ro and nosymfollow that a",
      "`remount,bind` line does not name; the applier leaves them as they are.",
    ])
    for mount in policy.mounts { file.lines(lines(of: mount)) }
    return file.text
  }

  private static func lines(of mount: MountSetting) -> [String] {
    let path = escaped(mount.path)
    let flags = mount.flags.map(\.rawValue)
    var lines: [String] = []
    if mount.isSelfBind { lines.append("\(path) \(path) none bind 0 0") }
    if !mount.options.isEmpty {
      // A remount of the file system takes the flags too, and would clear those not named; `ro` here would be
      // that of the file system and so of all its mounts.
      let kept = flags.filter { $0 != MountFlag.readOnly.rawValue && $0 != MountFlag.readWrite.rawValue }
      let options = (["remount"] + mount.options + kept).joined(separator: ",")
      lines.append("\(source) \(path) none \(options) 0 0")
    }
    if !flags.isEmpty {
      lines.append("\(source) \(path) none remount,bind,\(flags.joined(separator: ",")) 0 0")
    }
    return lines
  }

  /// fstab(5): fields are separated by blanks, which stand in them as three octal digits.
  private static func escaped(_ path: String) -> String {
    var escaped: [UInt8] = []
    for byte in path.utf8 {
      switch byte {
      case 0x20: escaped += "\\040".utf8
      case 0x09: escaped += "\\011".utf8
      case 0x0a: escaped += "\\012".utf8
      case 0x5c: escaped += "\\134".utf8
      default: escaped.append(byte)
      }
    }
    return String(decoding: escaped, as: UTF8.self)
  }
}
