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
      settings.append(
        MountSetting(
          path: entry.key.text, flags: flags, isSelfBind: isSelfBind, options: options, span: entry.key.span))
      items.append(("mount/\(entry.key.text)", entry.key.span))
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
