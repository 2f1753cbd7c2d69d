import ArgumentParser
import CLinux
import Glibc
import Installation

/// Whether the applier will trust what an installation puts where it finds it: each directory on the way is root's, and
/// nobody else's to write. It looks at each boot, and applies nothing if not.
enum TrustedPlaceCheck {
  /// Exit code 1 after messages: it will not.
  static func check(_ root: borrowing RootDirectory, hasKey: Bool) throws {
    var isRefused = false
    for directory in directories(to: InstalledPath.bundles) + (hasKey ? directories(to: "etc/lockdown") : [])
    {
      guard let fault = try fault(of: directory, in: root) else { continue }
      isRefused = true
      printError("lockdown: the applier will not trust `\(root.name(directory))`: \(fault)")
    }
    guard isRefused else { return }
    printError("lockdown: nothing is installed")
    throw ExitCode(1)
  }

  /// From the root to that one.
  private static func directories(to path: String) -> [String] {
    var directories = [path]
    while let last = directories.last, !last.isEmpty { directories.append(RootDirectory.parent(last)) }
    return directories.reversed()
  }

  /// Nil: there is none, or no such directory yet.
  private static func fault(
    of directory: String, in root: borrowing RootDirectory
  ) throws(FileError) -> String? {
    let top = open(root.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard top >= 0 else { throw FileError(doing: "cannot open the root", path: root.path, code: errno) }
    defer { close(top) }
    let file = lockdown_open_below(
      top, directory.isEmpty ? "." : directory, O_RDONLY | O_DIRECTORY, root.isSystemRoot ? 1 : 0)
    guard file >= 0 else {
      if errno == ENOENT { return nil }
      throw FileError(doing: "cannot open", path: root.name(directory), code: errno)
    }
    defer { close(file) }
    var status = stat()
    guard fstat(file, &status) == 0 else {
      throw FileError(doing: "cannot look at", path: root.name(directory), code: errno)
    }
    // Who is not root makes an image, and is told to change the owner of all that is in it.
    if status.st_uid != 0, geteuid() == 0 { return "it does not belong to root" }
    return status.st_mode & 0o022 == 0 ? nil : "others than root can write it"
  }
}
