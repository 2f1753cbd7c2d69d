import Diagnostics
import PolicyModel
import PolicySyntax

/// `mounts` of several files (LANGUAGE.md §5.3, §8).
extension Checker {
  /// What one file states: flags and options by path.
  private struct MountSide {
    var paths: [String: SyntaxEntry] = [:]
    private var flags: [String: [MountFlag: SyntaxNode]] = [:]

    init(_ entry: SyntaxEntry) {
      for item in entry.value.mapping ?? [] {
        paths[item.key.text] = item
        for node in item.value.entry("flags")?.value.sequence ?? [] {
          guard let flag = node.scalar.flatMap({ MountFlag(rawValue: $0.text) }) else { continue }
          flags[item.key.text, default: [:]][flag] = node
        }
      }
    }

    func stated(_ flag: MountFlag, _ path: String) -> (flag: MountFlag, node: SyntaxNode)? {
      for flag in [flag, flag.opposite] {
        if let node = flags[path]?[flag] { return (flag, node) }
      }
      return nil
    }

    /// A flag not named is that of the longest named path above.
    func effective(_ flag: MountFlag, _ path: String) -> (flag: MountFlag, node: SyntaxNode)? {
      for above in MountPath.selfAndAbove(path) {
        if let stated = stated(flag, above) { return stated }
      }
      return nil
    }
  }

  mutating func mergedMounts(_ parts: Inheritance) -> SyntaxNode? {
    guard let first = parts.all.first, parts.all.count > 1 else { return parts.all.first?.value }
    let own = parts.own.map { MountSide($0) }
    let fragments = parts.fragments.map { MountSide($0) }
    let inherited = (parts.base.map { [MountSide($0)] } ?? []) + fragments
    let paths = Set((inherited + (own.map { [$0] } ?? [])).flatMap(\.paths.keys)).sorted()
    var entries: [SyntaxEntry] = []
    for path in paths {
      let sides = (own.map { [$0] } ?? []) + inherited
      guard let entry = sides.lazy.compactMap({ $0.paths[path] }).first else { continue }
      let whole = Inheritance(
        own: own?.paths[path], base: nil, fragments: inherited.compactMap { $0.paths[path] })
      var members: [SyntaxEntry] = []
      let flags = MountFlag.stronger.compactMap { mergedFlag($0, path, own, inherited, fragments) }
      if let list = whole["flags"].all.first { members.append(list.with(.sequence(flags))) }
      if let bind = whole["bind"].all.first { members.append(bind) }
      if let list = whole["options"].all.first {
        members.append(list.with(.sequence(mergedOptions(path, whole["options"]))))
      }
      entries.append(entry.with(.mapping(members)))
    }
    return SyntaxNode(.mapping(entries), span: first.value.span, isFlow: first.value.isFlow)
  }

  /// Which of a flag and its opposite holds at a path; nil if no file names either for it.
  private mutating func mergedFlag(
    _ flag: MountFlag, _ path: String, _ own: MountSide?, _ inherited: [MountSide], _ fragments: [MountSide]
  ) -> SyntaxNode? {
    if let stated = own?.stated(flag, path) {
      if stated.flag != flag,
        let fragment = fragments.lazy.compactMap({ $0.effective(flag, path) }).first(where: {
          $0.flag == flag
        })
      {
        weakened(
          "a flag of `\(path)`", (stated.flag.rawValue, stated.node.span), (flag.rawValue, fragment.node.span)
        )
      }
      return stated.node
    }
    guard inherited.contains(where: { $0.stated(flag, path) != nil }) else { return nil }
    let effective = inherited.compactMap { $0.effective(flag, path) }
    return (effective.first { $0.flag == flag } ?? effective.first)?.node
  }

  /// Options of the file system, each by its name.
  private mutating func mergedOptions(_ path: String, _ parts: Inheritance) -> [SyntaxNode] {
    func name(_ scalar: SyntaxScalar) -> String { String(scalar.text.prefix { $0 != "=" }) }
    let own = parts.own?.value.sequence ?? []
    let stated = Set(own.compactMap { $0.scalar.map(name) })
    var inherited: [String: SyntaxNode] = [:]
    for list in parts.inherited {
      for item in list.value.sequence ?? [] {
        guard let scalar = item.scalar, !stated.contains(name(scalar)) else { continue }
        guard let earlier = inherited[name(scalar)]?.scalar else {
          inherited[name(scalar)] = item
          continue
        }
        // An option has no order: the file system's meaning is not known here.
        if earlier.text != scalar.text, earlier.span.source != scalar.span.source {
          incomparable(
            "the option `\(name(scalar))` of `\(path)`", (earlier.text, earlier.span),
            (scalar.text, scalar.span))
        }
      }
    }
    return own + inherited.sorted { $0.key < $1.key }.map(\.value)
  }
}

extension MountFlag {
  /// Of each flag and its opposite the stronger one.
  static let stronger: [MountFlag] = [.readOnly, .noSuid, .noDevices, .noExec, .noSymlinkFollow]
}

extension MountPath {
  /// The path, and each above it, up to `/`.
  static func selfAndAbove(_ path: String) -> [String] {
    var paths = [path]
    while let last = paths.last, last != "/", let slash = last.lastIndex(of: "/") {
      paths.append(slash == last.startIndex ? "/" : String(last[..<slash]))
    }
    return paths
  }
}
