/// What other firewalls and host policies have keys for, and language 1 has not (LANGUAGE.md §9).
struct ForeignKey {
  var feature: String
  var help: String

  private init(_ feature: String, _ help: String) {
    self.feature = feature
    self.help = help
  }

  static let egress = ForeignKey("the egress hook", "use `postrouting` or `output`")
  private static let flowtables = ForeignKey("flowtables", "packets take the ordinary path")
  private static let profiles = ForeignKey(
    "profiles of security modules", "they stay with the tool that loads them; this policy leaves them alone")

  /// A key of a mapping, by the name of its table and its own.
  static func named(_ name: String, in table: KeyTable) -> ForeignKey? {
    switch (table.name, name) {
    case (PolicyKeys.root.name, "selinux"), (PolicyKeys.root.name, "apparmor"),
      (PolicyKeys.root.name, "landlock"):
      profiles
    case (PolicyKeys.firewall.name, "egress"): egress
    case (PolicyKeys.firewall.name, "flowtables"), (PolicyKeys.firewall.name, "flowtable"): flowtables
    case (PolicyKeys.firewall.name, "helpers"):
      ForeignKey("conntrack helpers", "accept the connections by their ports, or by `related`")
    case (PolicyKeys.modules.name, "unrequire"):
      ForeignKey("removing a `require`", "what a base requires, every policy that extends it requires too")
    default: nil
    }
  }
}
