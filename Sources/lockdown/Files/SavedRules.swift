import PolicyModel

/// What iptables-save and ip6tables-save write, told by its first lines: comments, then a table's name behind a star.
/// No policy begins like that, for there a star makes an alias of YAML.
enum SavedRules {
  private static let tables: Set<String> = ["filter", "nat", "mangle", "raw", "security"]

  /// Nil: it is something else. Without the comment of the program that wrote it, it is IPv4.
  static func family(_ start: [UInt8]) -> Families? {
    var family = Families.ipv4
    for line in start.split(separator: UInt8(ascii: "\n")) {
      let text = String(decoding: line, as: UTF8.self)
      if text.hasPrefix("#") {
        if text.contains("ip6tables-save") { family = .ipv6 }
        continue
      }
      return text.hasPrefix("*") && tables.contains(String(text.dropFirst())) ? family : nil
    }
    return nil
  }
}

/// What nft reads, told by its first words: a command, or the name of nft behind `#!`. No policy begins like that, for it
/// is a mapping.
enum NFTWords {
  private static let commands: Set<String> = [
    "table", "flush", "add", "create", "delete", "destroy", "define", "redefine", "include", "insert",
  ]

  static func begin(_ start: [UInt8]) -> Bool {
    for (number, line) in start.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
      .enumerated()
    {
      let text = String(decoding: line, as: UTF8.self)
      if number == 0, text.hasPrefix("#!") {
        return text.split(separator: "/").last?.contains("nft") ?? false
      }
      let words = text.split { $0 == " " || $0 == "\t" || $0 == "\r" }
      guard let first = words.first, !first.hasPrefix("#") else { continue }
      return commands.contains(String(first)) && words.count > 1 && !words[1].hasPrefix(":")
    }
    return false
  }
}
