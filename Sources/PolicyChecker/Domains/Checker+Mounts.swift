import Diagnostics
import PolicyModel
import PolicySyntax

/// `mounts` (LANGUAGE.md §2).
extension Checker {
  /// Settings in the order of their paths, so that a parent stands before its children.
  mutating func mounts(_ node: SyntaxNode?) -> [MountSetting] {
    var settings: [MountSetting] = []
    for entry in node?.mapping ?? [] {
      guard isMountPath(entry.key), entry.value.mapping != nil else { continue }
      let flags = mountFlags(entry.value.entry("flags")?.value)
      let isSelfBind = entry.value.entry("bind") != nil
      let options = mountOptions(entry.value.entry("options")?.value)
      if entry.value.mapping?.isEmpty == true {
        error(
          .mountConflict, entry.key.span, "`\(entry.key.text)` says nothing about its mount",
          help: ["give it `flags`, `bind` or `options`, or leave it out"])
      }
      if isSelfBind, !options.isEmpty {
        error(
          .mountConflict, entry.value.entry("options")?.key.span ?? entry.key.span,
          "a bind has no options of its own: they are the file system's, and it is shared with what is bound",
          help: ["put them at the mount point of the file system"])
      }
      reportBreakage(entry, flags)
      settings.append(
        MountSetting(
          path: entry.key.text, flags: flags, isSelfBind: isSelfBind, options: options, span: entry.key.span))
      items.append(Item("mount/\(entry.key.text)", entry.key.span))
    }
    return settings.sorted { Array($0.path.utf8).lexicographicallyPrecedes(Array($1.path.utf8)) }
  }

  private mutating func isMountPath(_ scalar: SyntaxScalar) -> Bool {
    guard let fault = MountPath.fault(of: scalar.text) else { return true }
    error(.mountBadPath, scalar.span, "`\(scalar.text)` is no path of a mount point", help: [fault])
    return false
  }

  private mutating func mountFlags(_ node: SyntaxNode?) -> [MountFlag] {
    var named: [(flag: MountFlag, span: SourceSpan)] = []
    for item in node?.sequence ?? [] {
      guard let scalar = item.scalar, let flag = MountFlag(rawValue: scalar.text) else { continue }
      if let earlier = named.first(where: { $0.flag == flag || $0.flag == flag.opposite }) {
        error(
          .mountConflict, scalar.span,
          earlier.flag == flag
            ? "`\(flag.rawValue)` is named twice"
            : "`\(flag.rawValue)` and `\(earlier.flag.rawValue)` are opposites",
          related: [Diagnostic.Label(earlier.span, "`\(earlier.flag.rawValue)` is here")])
        continue
      }
      if flag == .noSymlinkFollow, target.kernel < KernelVersion(5, 10) {
        error(
          .mountUnknownFlag, scalar.span,
          "`nosymfollow` is there since kernel 5.10, and this policy is for \(target.kernel)")
      }
      named.append((flag, scalar.span))
    }
    return MountFlag.allCases.filter { flag in named.contains { $0.flag == flag } }
  }

  /// Flags that take away what the place is for.
  private mutating func reportBreakage(_ entry: SyntaxEntry, _ flags: [MountFlag]) {
    for row in Self.breakages where row.path == entry.key.text && flags.contains(row.flag) {
      let item = entry.value.entry("flags")?.value.sequence?.first { $0.scalar?.text == row.flag.rawValue }
      warning(
        .mountBreaksHost, item?.span ?? entry.key.span,
        "with `\(row.flag.rawValue)` on `\(row.path)` \(row.consequence)")
    }
  }

  /// What an API file system or the root is for.
  private static let breakages: [(path: String, flag: MountFlag, consequence: String)] = [
    ("/", .noExec, "no program of the root file system starts, init neither"),
    ("/usr", .noExec, "no program of the system starts"),
    ("/proc", .readOnly, "no sysctl can be written any more, by the applier neither"),
    ("/dev", .noDevices, "no device can be opened"),
    ("/dev/pts", .noDevices, "no terminal can be opened"),
    ("/run", .readOnly, "services find no place for their sockets, and the applier none for its journal"),
    ("/sys/fs/cgroup", .readOnly, "service managers and container runtimes cannot make control groups"),
    ("/dev/shm", .readOnly, "programs cannot share memory"),
  ]

  /// What the value of an option must look like, for options that mean one thing in every file system that has them.
  private static func optionFault(_ option: String) -> String? {
    let name = option.prefix { $0 != "=" }
    let value = option.firstIndex(of: "=").map { option[option.index(after: $0)...] }
    func isNumber(_ text: some StringProtocol) -> Bool {
      !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
    }
    switch name {
    case "size", "nr_blocks", "nr_inodes":
      guard let value else { return "it takes a number, as in `\(name)=64k`" }
      if name == "size", value.last == "%", isNumber(value.dropLast()) { return nil }
      let digits = value.last.map { "kKmMgG".contains($0) } == true ? value.dropLast() : value
      return isNumber(digits)
        ? nil
        : "a number, perhaps with k, m or g behind it\(name == "size" ? ", or a share of the memory as 50%" : "")"
    case "mode":
      guard let value, (3...4).contains(value.utf8.count),
        value.utf8.allSatisfy({ (0x30...0x37).contains($0) })
      else { return "three or four octal digits, as in `mode=1777`" }
      return nil
    case "uid", "gid":
      guard let value, isNumber(value) else { return "a number: nothing is looked up on the build host" }
      return nil
    case "huge":
      let words = ["never", "always", "within_size", "advise"]
      return value.map { words.contains(String($0)) } == true
        ? nil : "one of \(words.joined(separator: ", "))"
    case "hidepid":
      let words = ["0", "1", "2", "4", "off", "noaccess", "invisible", "ptraceable"]
      return value.map { words.contains(String($0)) } == true
        ? nil : "one of \(words.joined(separator: ", "))"
    case "subset": return value == "pid" ? nil : "`subset=pid` is the only one"
    default: return nil
    }
  }

  private mutating func mountOptions(_ node: SyntaxNode?) -> [String] {
    var options: [String] = []
    for item in node?.sequence ?? [] {
      guard let scalar = item.scalar else { continue }
      let name = String(scalar.text.prefix { $0 != "=" })
      if MountFlag(rawValue: name) != nil {
        error(.mountConflict, scalar.span, "`\(name)` is a flag", help: ["write it under `flags`"])
      } else if Self.otherMountWords.contains(name) {
        error(
          .mountUnknownFlag, scalar.span, "`\(name)` is no option of a file system",
          help: ["only options the file system itself reads stand here, such as `size=16g`"])
      } else if scalar.text.isEmpty
        || scalar.text.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7f || $0 == 0x2c || $0 == 0x5c })
      {
        error(
          .mountUnknownFlag, scalar.span, "`\(scalar.text)` is no option",
          help: ["one option an item, without blanks, commas and backslashes"])
      } else if let fault = Self.optionFault(scalar.text) {
        error(.mountBadOption, scalar.span, "`\(scalar.text)` is no value of `\(name)`", help: [fault])
      } else if let earlier = options.first(where: { $0.prefix { $0 != "=" } == name }) {
        error(.mountConflict, scalar.span, "`\(name)` is set twice", help: ["the other is `\(earlier)`"])
      } else {
        options.append(scalar.text)
      }
    }
    return options
  }

  /// Words of mount(8) that are no file system's, and would do something else than set an option.
  private static let otherMountWords: Set<String> = [
    "defaults", "remount", "bind", "rbind", "move", "auto", "noauto", "user", "users", "nouser", "owner",
    "group",
    "_netdev", "nofail", "loop", "private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable",
    "runbindable",
  ]
}

/// Paths of mount points.
enum MountPath {
  /// Why the text is no absolute, plain path; nil if it is one.
  static func fault(of path: String) -> String? {
    guard path.utf8.first == UInt8(ascii: "/") else { return "a path begins with `/`" }
    if path == "/" { return nil }
    // PATH_MAX of linux/limits.h, with its NUL.
    if path.utf8.count > 4095 { return "a path is at most 4095 bytes long" }
    if path.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) { return "a path holds no control characters" }
    let parts = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
    if parts.last?.isEmpty == true { return "a path does not end in `/`" }
    if parts.contains("") { return "a path holds no `//`" }
    if parts.contains(".") || parts.contains("..") {
      return "a path holds no `.` and no `..`: write where it leads"
    }
    return nil
  }
}
