import ArgumentParser
import PolicyModel

/// Whether a host's root file system comes over the network, as its files say.
enum NetworkRootCheck {
  private static let fstab = "etc/fstab"
  /// As fstype_is_network() of systemd has them; FUSE's have `fuse.` before their names.
  private static let networkTypes: Set<String> = [
    "afs", "ceph", "cifs", "davfs", "gfs", "gfs2", "glusterfs", "lustre", "ncp", "ncpfs", "nfs", "nfs4",
    "ocfs2",
    "orangefs", "pvfs2", "smb3", "smbfs", "sshfs",
  ]

  /// Exit code 1 after a message: it does, and the policy does not say so.
  static func check(_ root: borrowing RootDirectory, _ lines: [BootLoaderLine]) throws {
    if let bytes = try BootLoaderLine.contents(fstab, of: root),
      let line = networkRoot(String(decoding: bytes, as: UTF8.self))
    {
      try refuse(root.name(fstab), line)
    }
    let inside = try initramfsLines(root)
    for line in lines + inside where line.words.contains(where: { NetworkRoot.isNamed(by: $0) }) {
      try refuse(root.name(line.path), line.text)
    }
    guard root.isSystemRoot else { return }
    if let line = try? FileBytes.read("/proc/cmdline"), NetworkRoot.isNamed(by: line) {
      try refuse("/proc/cmdline", String(decoding: line, as: UTF8.self))
    }
    if let mounts = try? FileBytes.read("/proc/mounts"),
      let line = networkRoot(String(decoding: mounts, as: UTF8.self))
    {
      try refuse("/proc/mounts", line)
    }
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

  /// What initramfs-tools(7) and open-iscsi put into an initramfs: their words, as the kernel's command line has them.
  private static func initramfsLines(_ root: borrowing RootDirectory) throws(FileError) -> [BootLoaderLine] {
    var lines = try BootLoaderLine.read("etc/initramfs-tools/initramfs.conf", of: root)
    for path in try BootLoaderLine.paths(in: "etc/initramfs-tools/conf.d", of: root) {
      lines += try BootLoaderLine.read(path, of: root)
    }
    lines += try BootLoaderLine.read("etc/iscsi/iscsi.initramfs", of: root)
    for index in lines.indices {
      lines[index].words = lines[index].words.compactMap { word in
        let text = String(decoding: word, as: UTF8.self)
        // Not NFSROOT=auto, which every host has.
        let isAny = ["BOOT=", "ROOT=", "ISCSI_TARGET_IP=", "ISCSI_AUTO=true"].contains { text.hasPrefix($0) }
        return isAny ? Array(text.lowercased().utf8) : nil
      }
    }
    return lines
  }

  /// The line of fstab(5) for `/`, or for what an initramfs mounts beside it, if that is over the network.
  static func networkRoot(_ fstab: String) -> String? {
    for line in fstab.split(separator: "\n") {
      let words = line.split(whereSeparator: \.isWhitespace)
      guard words.count >= 3, !words[0].hasPrefix("#") else { continue }
      let options = words.count > 3 ? words[3].split(separator: ",") : []
      guard ["/", "/usr"].contains(words[1]) || options.contains("x-initrd.mount") else { continue }
      let isNetwork =
        isNetwork(type: words[2], options) || isNetwork(device: words[0]) || options.contains("_netdev")
      if isNetwork { return String(line) }
    }
    return nil
  }

  private static func isNetwork(type: Substring, _ options: [Substring]) -> Bool {
    // Virtual machines have theirs from the host they run on, by virtio.
    if type == "9p" { return options.contains("trans=tcp") || options.contains("trans=rdma") }
    return networkTypes.contains(String(type.hasPrefix("fuse.") ? type.dropFirst(5) : type))
  }

  private static func isNetwork(device: Substring) -> Bool {
    // As udev names a path; an IQN comes behind it.
    if device.hasPrefix("/dev/disk/by-path/") { return device.contains("-iscsi-") }
    // /dev/rbd0, /dev/rbd/POOL/IMAGE.
    guard device.hasPrefix("/dev/nbd") || device.hasPrefix("/dev/rbd") else { return false }
    return device.dropFirst(8).first.map { $0 == "/" || $0.isNumber } ?? false
  }
}
