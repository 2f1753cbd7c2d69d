import Installation

/// A line of a file from which a boot loader, or a tool that writes one's files, takes the kernel's command line.
struct BootLoaderLine {
  /// Below the root.
  var path: String
  var text: String
  /// As a shell or the kernel parts them, then what stands behind the first `=` of each: `LINE=root=/dev/nfs` assigns.
  var words: [[UInt8]]
  /// Tools of the host write the file anew from others of these.
  var isDerived: Bool

  // MARK: Where they are

  private static let files = [
    // GRUB; BLS entries of Fedora take words from grubenv and from tuned's file.
    "etc/default/grub", "etc/tuned/bootcmdline", "boot/grub/grubenv", "boot/grub2/grubenv",
    "boot/grub/custom.cfg", "boot/grub2/custom.cfg", "boot/grub/menu.lst",
    // kernel-install(8), ukify(1), dracut.conf(5).
    "etc/kernel/cmdline", "usr/lib/kernel/cmdline", "etc/kernel/uki.conf", "etc/dracut.conf",
    // Debian's u-boot-menu, extlinux and flash-kernel; Alpine's update-extlinux; Armbian.
    "etc/default/u-boot", "etc/default/extlinux", "etc/default/flash-kernel", "etc/update-extlinux.conf",
    "boot/armbianEnv.txt", "boot/uEnv.txt",
    // The Raspberry Pi's firmware, rEFInd, Syslinux.
    "boot/cmdline.txt", "boot/firmware/cmdline.txt", "boot/firmware/current/cmdline.txt",
    "boot/refind_linux.conf", "boot/syslinux/syslinux.cfg",
  ]
  /// With what the names end that count.
  private static let directories = [
    ("etc/default/grub.d", ".cfg"), ("etc/grub.d", ""), ("etc/u-boot-menu/conf.d", ".conf"),
    ("etc/dracut.conf.d", ".conf"), ("usr/lib/dracut/dracut.conf.d", ".conf"), ("etc/cmdline.d", ".conf"),
    // Entries of the Boot Loader Specification, of which an installed kernel keeps its own.
    ("boot/loader/entries", ".conf"), ("boot/efi/loader/entries", ".conf"), ("efi/loader/entries", ".conf"),
  ]
  /// Beside each what its sources are, one of which is there if it is derived.
  private static let outputs = [
    ("boot/grub/grub.cfg", ["etc/grub.d"]), ("boot/grub2/grub.cfg", ["etc/grub.d"]),
    ("boot/extlinux/extlinux.conf", uBootSources), ("boot/extlinux.conf", uBootSources),
  ]
  private static let uBootSources = [
    "etc/default/u-boot", "etc/u-boot-menu", "etc/default/extlinux", "etc/update-extlinux.conf",
  ]

  /// All of a host, but for our own.
  static func all(of root: borrowing RootDirectory) throws(FileError) -> [BootLoaderLine] {
    var lines: [BootLoaderLine] = []
    for path in files { lines += try read(path, of: root) }
    for (directory, end) in directories {
      for path in try paths(in: directory, of: root) where path.hasSuffix(end) {
        if path != InstalledPath.grub { lines += try read(path, of: root) }
      }
    }
    for (path, sources) in outputs {
      var isDerived = false
      for source in sources where try root.isThere(source) { isDerived = true }
      lines += try read(path, of: root, isDerived: isDerived)
    }
    return lines
  }

  /// Without what package managers and editors leave beside a file.
  static func paths(in directory: String, of root: borrowing RootDirectory) throws(FileError) -> [String] {
    var paths: [String] = []
    for name in try root.names(directory) {
      let isLeft = [".dpkg-", ".rpm", "~"].contains { name.contains($0) }
      if !isLeft { paths.append("\(directory)/\(name)") }
    }
    return paths
  }

  // MARK: Reading

  // What parts words of a shell, beside blanks.
  private static let separators: Set<UInt8> = Set("\"'`{}();".utf8)

  /// Without comments. None if the file is not there.
  static func read(
    _ path: String, of root: borrowing RootDirectory, isDerived: Bool = false
  ) throws(FileError) -> [BootLoaderLine] {
    guard let bytes = try contents(path, of: root) else { return [] }
    return bytes.split(separator: 0x0a).compactMap { line in
      var words: [[UInt8]] = []
      for word in line.split(whereSeparator: { $0 <= 0x20 || separators.contains($0) }) {
        if word.first == UInt8(ascii: "#") { break }
        words.append(Array(word))
        if let equal = word.firstIndex(of: UInt8(ascii: "=")) { words.append(Array(word[(equal + 1)...])) }
      }
      guard !words.isEmpty else { return nil }
      let text = String(decoding: line, as: UTF8.self).split(whereSeparator: \.isWhitespace)
      return BootLoaderLine(
        path: path, text: text.joined(separator: " "), words: words, isDerived: isDerived)
    }
  }

  /// Of a file, or of the one that a symbolic link names below the same root; nil: there is none.
  static func contents(_ path: String, of root: borrowing RootDirectory) throws(FileError) -> [UInt8]? {
    var path = path
    // As many as the applier follows.
    for _ in 0...8 {
      switch try root.look(path) {
      case .file(let bytes): return bytes
      case .link(let target):
        path =
          target.hasPrefix("/")
          ? String(target.drop { $0 == "/" }) : "\(RootDirectory.parent(path))/\(target)"
      case .nothing, .other: return nil
      }
    }
    return nil
  }
}
