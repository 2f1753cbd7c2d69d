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
