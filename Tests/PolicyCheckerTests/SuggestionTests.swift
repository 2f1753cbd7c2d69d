import Diagnostics
import Foundation
import Testing

/// "did you mean": of every kind of word that has a list, one that is nearly right leads to the right one.
@Suite struct SuggestionTests {
  struct Row: Sendable, CustomStringConvertible {
    var kind: String
    var wrong: String
    var right: String
    /// Lines behind the head of a policy; `@@` is the word.
    var lines: [String]

    var description: String { "\(kind) \(wrong)" }

    func text(_ word: String) -> String {
      var lines = lines
      if right != "target" {
        lines.insert("target: { kernel: \"6.1\" }", at: 0)
      }
      return (["policy: words", "language: 1"] + lines).map { $0.replacing("@@", with: word) + "\n" }.joined()
    }
  }

  private static func rule(
    _ kind: String, _ wrong: String, _ right: String, _ rule: String, hook: String = "input",
    define: [String] = []
  ) -> Row {
    Row(
      kind: kind, wrong: wrong, right: right,
      lines: (define.isEmpty ? [] : ["define:"] + define.map { "  " + $0 })
        + ["firewall:", "  \(hook):", "    policy: accept", "    rules:", "      - \(rule)"])
  }

  private static func row(_ kind: String, _ wrong: String, _ right: String, _ lines: String...) -> Row {
    Row(kind: kind, wrong: wrong, right: right, lines: lines)
  }

  static let rows: [Row] = [
    row("key", "targt", "target", "@@: { kernel: \"6.1\" }"),
    row("key", "sysclt", "sysctl", "@@: { kernel.sysrq: 0 }"),
    row("key", "ouput", "output", "firewall:", "  @@: { policy: accept, rules: ['accept'] }"),
    row("key", "polcy", "policy", "firewall:", "  input: { @@: accept, rules: ['accept'] }"),
    row("key", "comand-line", "command-line", "kernel: { @@: [\"init_on_alloc=1\"] }"),
    row("key", "flag", "flags", "mounts:", "  /tmp: { @@: [noexec] }"),
    row(
      "key", "ownr", "owner", "firewall:", "  input:", "    policy: accept", "    rules:",
      "      - { rule: 'accept tcp 22', @@: net }"),
    row(
      "key of a rule", "rul", "rule", "firewall:", "  input:", "    policy: accept", "    rules:",
      "      - name: ssh", "        @@: accept tcp 22"),

    rule(
      "name of a definition", "admn", "admin", "accept tcp 22 from $@@", define: ["admin: [192.0.2.0/24]"]),
    rule("name of a definition", "wbe", "web", "accept tcp $@@", define: ["web: [80, 443]"]),
    rule(
      "name of a set", "bannd", "banned", "drop from $@@",
      define: ["banned: { dynamic: addresses, size: 100, timeout: 1h }"]),
    row(
      "name of a chain", "sssh", "ssh", "firewall:", "  input: { policy: drop, rules: ['jump @@ tcp 22'] }",
      "  chains: { ssh: ['accept'] }"),
    row(
      "name of a zone", "lna", "lan", "zones: { lan: [eth1], wan: [eth0] }", "firewall:", "  between:",
      "    wan to @@: { policy: drop }"),
    row("name of a system call", "kexec_laod", "kexec_load", "syscalls: { scope: services, deny: [@@] }"),
    row("name of a group", "@obsolte", "@obsolete", "syscalls: { scope: services, deny: [\"@@\"] }"),

    rule("service", "htps", "https", "accept tcp @@"),
    rule("service", "doman", "domain", "accept udp @@"),
    rule("service in a list", "shh", "ssh", "accept tcp 80, @@"),
    rule("service", "htpt", "http", "accept tcp 443, @@"),

    rule("protocol", "tpc", "tcp", "accept @@ 22"),
    rule("protocol", "upd", "udp", "accept @@ 53"),
    rule("protocol", "icpm", "icmp", "accept @@ echo-request"),
    rule("protocol", "sctpp", "sctp", "accept @@ 5000"),
    rule("protocol of a list", "udpp", "udp", "accept tcp, @@ 53"),
    rule("icmp type", "echo-reqest", "echo-request", "accept icmp @@"),
    rule("icmpv6 type", "packet-to-big", "packet-too-big", "accept icmpv6 @@"),

    row("module", "blutooth", "bluetooth", "modules: { deny: [@@] }"),
    row("module", "firewire-cor", "firewire_core", "modules: { deny: [@@] }"),
    row("module", "nf_contrack", "nf_conntrack", "modules: { require: [@@] }"),
    row(
      "module of a statement", "bluetoth", "bluetooth", "modules: { deny: [bluetooth] }",
      "expect: ['module @@ denied']"),

    row("sysctl", "kernel.kptr_restrikt", "kernel.kptr_restrict", "sysctl: { @@: 1 }"),
    row("sysctl", "net.ipv4.tcp_syncookie", "net.ipv4.tcp_syncookies", "sysctl: { @@: 1 }"),
    row(
      "sysctl of every interface", "net.ipv4.conf.*.rp_filte", "net.ipv4.conf.*.rp_filter",
      "sysctl: { \"@@\": 1 }"),
    row(
      "sysctl of a statement", "kernel.sysrp", "kernel.sysrq", "sysctl: { kernel.sysrq: 0 }",
      "expect: ['sysctl @@ at least 0']"),

    rule("verdict", "acept", "accept", "@@ tcp 22"),
    rule("verdict", "rejct", "reject", "@@ tcp 22"),
    rule("clause", "fromm", "from", "accept tcp 22 @@ 10.0.0.0/8"),
    rule("state", "establshed", "established", "accept @@, related"),
    row("mount flag", "noexce", "noexec", "mounts: { /tmp: { flags: [@@] } }"),
    row("word of a key", "dorp", "drop", "firewall:", "  input: { policy: @@, rules: ['accept tcp 22'] }"),
    row("word of a key", "integrty", "integrity", "kernel: { lockdown: @@ }"),
  ]

  /// The finding stands at the word and names the right one first; with that one there is no such finding.
  @Test(arguments: rows)
  func nearlyRightWordsLeadToTheRightOne(row: Row) throws {
    let text = row.text(row.wrong)
    let checked = Checked(text)
    let found = checked.diagnostics.filter { $0.help.contains { $0.hasPrefix("did you mean ") } }
    let finding = try #require(found.first, "\(checked.rendered)")
    #expect(found.count == 1)
    #expect(finding.help[0].hasPrefix("did you mean `\(row.right)`"), "\(finding.help)")
    // Behind the head, whose words hold others.
    let written = row.lines.joined(separator: "\n").components(separatedBy: "@@")
    let place = try #require(text.utf8.firstRange(of: (row.wrong + written[1].prefix(1)).utf8))
    let start = text.utf8.distance(from: text.utf8.startIndex, to: place.lowerBound)
    let span = try #require(finding.span)
    #expect((span.start..<span.end).contains(start), "\(checked.rendered)")
    #expect(
      finding.message.contains(row.wrong.replacing("-", with: "_")) || finding.message.contains(row.wrong))
    for fixIt in finding.fixIts {
      #expect([row.right, "$\(row.right)"].contains(fixIt.replacement))
    }
    let right = Checked(row.text(row.right))
    #expect(right.errors.isEmpty && !right.ids.contains(finding.id.rawValue), "\(right.rendered)")
  }

  @Test func everyKindIsThere() {
    // What the language's list of names is, and what issue and docs promise.
    for kind in ["key", "name", "service", "protocol", "module", "sysctl"] {
      #expect(Self.rows.count { $0.kind.hasPrefix(kind) } >= 4, "\(kind)")
    }
  }
}
