import ArgumentParser
import PolicyModel

/// Whether a host's root file system comes over the network, as its files say.
enum NetworkRootCheck {
  private static let fstab = "etc/fstab"
  /// Kernel command lines: of GRUB, of systemd's kernel-install(8), of the Raspberry Pi's firmware.
  private static let commandLines = [
    "etc/default/grub", "etc/kernel/cmdline", "boot/cmdline.txt", "boot/firmware/cmdline.txt",
  ]
  /// fs/nfs, fs/smb, and those of other clusters and hosts.
  private static let networkTypes: Set<String> = [
    "nfs", "nfs4", "cifs", "smb3", "ceph", "fuse.ceph", "glusterfs", "9p", "afs", "lustre", "ocfs2", "gfs2",
  ]

  /// Exit code 1 after a message: it does, and the policy does not say so.
  static func check(_ root: borrowing RootDirectory) throws {
    if case .file(let bytes) = try root.look(fstab),
      let line = networkRoot(String(decoding: bytes, as: UTF8.self))
    {
      try refuse(root.name(fstab), line)
    }
    for path in commandLines {
      guard case .file(let bytes) = try root.look(path) else { continue }
      // Quotes of a shell's file part words too.
      let plain = bytes.map { $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "'") ? 0x20 : $0 }
      for line in plain.split(separator: 0x0a) where line.first != UInt8(ascii: "#") {
        if NetworkRoot.isNamed(by: Array(line)) {
          try refuse(root.name(path), String(decoding: line, as: UTF8.self))
        }
      }
    }
    guard root.isSystemRoot, let line = try? FileBytes.read("/proc/cmdline"), NetworkRoot.isNamed(by: line)
    else { return }
    try refuse("/proc/cmdline", String(decoding: line, as: UTF8.self))
  }

  private static func refuse(_ file: String, _ line: String) throws {
    let line = line.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    printError(
      "lockdown: boot/network-root: the root file system comes over the network, by \(file): `\(line)`")
    printError(
      "lockdown: the policy does not say so: write `boot: { root: network }`, and see that the policy lets it through"
    )
    throw ExitCode(1)
  }

  /// The line of fstab(5) for `/`, if that is over the network.
  static func networkRoot(_ fstab: String) -> String? {
    for line in fstab.split(separator: "\n") {
      let words = line.split(whereSeparator: \.isWhitespace)
      guard words.count >= 3, !words[0].hasPrefix("#"), words[1] == "/" else { continue }
      let options = words.count > 3 ? words[3].split(separator: ",") : []
      if networkTypes.contains(String(words[2])) || options.contains("_netdev") { return String(line) }
    }
    return nil
  }
}
