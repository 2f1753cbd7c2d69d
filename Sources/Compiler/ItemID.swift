internal import PolicyModel
internal import SHA2

/// Ids of the items that the checker gives none (LANGUAGE.md §7).
enum ItemID {
  static func set(_ set: NamedAddressSet) -> String { "set/\(set.name)" }
  static func set(_ set: DynamicSet) -> String { "set/\(set.name)" }
  static func sysctl(_ setting: SysctlSetting) -> String { "sysctl/\(setting.key)" }
  static func mount(_ mount: MountSetting) -> String { "mount/\(mount.path)" }
  static func module(_ module: ModulePattern) -> String { "module/\(module.pattern)" }
  static func systemCall(_ entry: SystemCallFilter.Entry) -> String { "syscall/\(entry.text)" }

  /// By the parameter's name; the second of one name takes `.2`.
  static func parameters(_ settings: KernelSettings) -> [String] {
    numbered(settings.commandLine.map { "kernel/" + $0.text.prefix { $0 != "=" } })
  }

  /// `PLACE/NAME`, or `PLACE/SLUG~HASH` after the statement's canonical text.
  static func statements(_ statements: [Statement], place: String) -> [String] {
    numbered(
      statements.map { statement in
        statement.name.map { "\(place)/\($0)" }
          ?? "\(place)/\(slug(statement.text))~\(hash(place, statement.text))"
      })
  }

  private static func numbered(_ ids: [String]) -> [String] {
    var counts: [String: Int] = [:]
    return ids.map { id in
      counts[id, default: 0] += 1
      let count = counts[id, default: 1]
      return count == 1 ? id : "\(id).\(count)"
    }
  }

  /// The first words, hyphenated, at most 24 characters.
  private static func slug(_ text: String) -> String {
    let words = text.utf8.split { byte in
      !((0x61...0x7a).contains(byte) || (0x30...0x39).contains(byte))
    }
    var slug = ""
    for word in words {
      let next = (slug.isEmpty ? "" : "-") + String(decoding: word, as: UTF8.self)
      guard slug.utf8.count + next.utf8.count <= 24 else { break }
      slug += next
    }
    return slug
  }

  private static func hash(_ place: String, _ text: String) -> String {
    String(Base32.encode(SHA256.hash("lockdown rule 1\n\(place)\n\(text)".utf8)).prefix(10))
  }
}
