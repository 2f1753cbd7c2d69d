import ArgumentParser
import BundleFormat
import CanonicalJSON
import Glibc
import Installation

struct InstallCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "install",
    abstract: "Install a compiled policy below a root: the host applies it at each boot.",
    discussion: """
      Writes the applier, the bundle as the current slot, systemd units, hooks of initramfs-tools and dracut, and the \
      policy's modprobe.d, sysctl.d and boot loader texts, each in one step, and a manifest of them all. Nothing is \
      run and nothing applied: the next boot does it, and rebuilding the initramfs and the boot loader's files is left \
      to the host's own tools.

      Refused where the root file system comes over the network, by DIR/etc/fstab, the boot loader's files or, for /, \
      the kernel's command line, and `boot.root` does not say so; and where a boot loader's file has a \
      `module_blacklist=` that is not the policy's, for the kernel keeps only the last one.

      With --key the bundle's signature stands beside it, as `sign` has written it, and is put beside it on the host; \
      so must be those that `stage` adds.

      Refused, too, where the applier would trust nothing: it wants each directory down to the slots to be root's, and \
      nobody else's to write.

      What is there and not of an earlier installation, or was changed since, is not replaced: all of it is named, and \
      nothing is installed. No symbolic link leads out of the root.

      Exit codes: 0 installed; 1 refused, nothing is changed; 3 a file cannot be read or written.
      """)

  @Option(
    help: ArgumentHelp("The directory that is the host's root; / is this host.", valueName: "directory"))
  var root: String

  @Option(help: ArgumentHelp("The applier to install.", valueName: "path"))
  var applier: String?

  @Option(
    help: ArgumentHelp(
      "Certificate of the key that must have signed each bundle, X.509 in DER: the host refuses others.",
      valueName: "file"))
  var key: String?

  @Option(help: ArgumentHelp("How to print: text or json.", valueName: "format"))
  var format = OutputFormat.text

  @Argument(
    help: ArgumentHelp("What `compile` wrote: the directory, or the bundle in it.", valueName: "bundle"))
  var bundle: String

  func run() throws {
    let compiled = try CompiledDirectory(bundle)
    let programPath = try Applier.locate(applier)
    let program = try FileBytes.read(programPath)
    guard Self.isApplier(program) else {
      printError("lockdown: `\(programPath)` is not lockdown-apply: nothing is installed")
      throw ExitCode(1)
    }
    let certificate = try key.map(FileBytes.read)
    let signature = try certificate.map {
      try BundleSignature.read(beside: compiled.bundlePath, of: compiled.bundle, by: $0, named: key ?? "")
    }
    let files = InstalledFiles(
      modprobe: compiled.modprobe, sysctl: compiled.sysctl, commandLine: compiled.commandLine,
      applier: program, staysUnprotected: compiled.contents.staysUnprotected, key: certificate)
    let host = try InstalledHost(RootDirectory(root))
    try TrustedPlaceCheck.check(host.root, hasKey: certificate != nil)
    let bootLines = try BootLoaderLine.all(of: host.root)
    if !compiled.contents.closed.isEmpty, !compiled.contents.hasNetworkRoot {
      try NetworkRootCheck.check(host.root, bootLines)
    }
    let stale = try ModuleDenylistCheck.check(host.root, bootLines, compiled.commandLine)
    let toDo = Self.leftToDo(compiled, stale)
    let done = try host.install(
      files.items, compiled.bundle, closed: compiled.contents.closedStage.encoded(), signature: signature)
    if geteuid() != 0 {
      printError(
        "lockdown: the files are not root's, and the applier trusts no others: change their owner in the image"
      )
    }
    switch format {
    case .text:
      var lines = done.written.map { "wrote     \(host.root.name($0))" }
      lines += done.unchanged.map { "unchanged \(host.root.name($0))" }
      lines += done.removed.map { "removed   \(host.root.name($0))" }
      lines.append(
        "policy \(compiled.policyName) is the current slot, \(String(decoding: compiled.name, as: UTF8.self))"
      )
      lines += toDo.map { "to do: \($0)" }
      StandardOutput.write(lines.joined(separator: "\n") + "\n")
    case .json:
      StandardOutput.write([
        "current": .string(String(decoding: compiled.name, as: UTF8.self)),
        "policy": .string(compiled.policyName),
        "removed": JSONValue(done.removed), "to-do": JSONValue(toDo),
        "unchanged": JSONValue(done.unchanged), "written": JSONValue(done.written),
      ])
    }
  }

  /// By the first words of its help.
  private static func isApplier(_ program: [UInt8]) -> Bool {
    let words = Array("usage: lockdown-apply BUNDLE".utf8)
    guard program.starts(with: [0x7f, 0x45, 0x4c, 0x46]) else { return false }
    return program.withUnsafeBufferPointer { bytes in
      var index = 0
      while index + words.count <= bytes.count {
        if bytes[index] == words[0], bytes[index..<(index + words.count)].elementsEqual(words) { return true }
        index += 1
      }
      return false
    }
  }

  /// Only the host's own tools know its initramfs and its boot loader.
  private static func leftToDo(_ compiled: CompiledDirectory, _ stale: [String]) -> [String] {
    var lines = ["update-initramfs -u, or dracut --force: the initramfs carries the closed firewall"]
    if !compiled.commandLine.isEmpty {
      lines.append(
        "update-grub, or the boot loader's own way: /etc/lockdown/cmdline is the kernel's command line")
    }
    return lines
      + stale.map { "\($0): it has the `module_blacklist=` of the policy that was installed before" }
  }
}

struct UninstallCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "uninstall",
    abstract: "Take away what `install` put below a root.",
    discussion: """
      Removes all that is as it was installed, the slots and their bundles, and the directories that were made for \
      them. What somebody changed since stays, and is named. The running kernel is left as it is: its firewall stands \
      until the next boot, or until `nft delete table inet lockdown`.

      Exit codes: 0 nothing is left, also where nothing was installed; 1 something that was changed is left; 3 a file \
      cannot be read or removed.
      """)

  @Option(
    help: ArgumentHelp("The directory that is the host's root; / is this host.", valueName: "directory"))
  var root: String

  @Option(help: ArgumentHelp("How to print: text or json.", valueName: "format"))
  var format = OutputFormat.text

  func run() throws {
    let host = try InstalledHost(RootDirectory(root))
    let done = try host.uninstall()
    switch format {
    case .text:
      guard let done else {
        StandardOutput.write("nothing is installed below \(root)\n")
        return
      }
      var lines = done.removed.map { "removed \(host.root.name($0))" }
      lines += done.kept.map { "kept    \(host.root.name($0.path)): \($0.reason)" }
      StandardOutput.write(lines.joined(separator: "\n") + "\n")
    case .json:
      StandardOutput.write([
        "installed": .bool(done != nil),
        "kept": .array((done?.kept ?? []).map { ["path": .string($0.path), "reason": .string($0.reason)] }),
        "removed": JSONValue(done?.removed ?? []),
      ])
    }
    if done.map({ !$0.kept.isEmpty }) ?? false { throw ExitCode(1) }
  }
}
