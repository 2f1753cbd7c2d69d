/// Firewalls of a base and of policies that extend it, as texts from a small world, so that edits often meet.
package struct RandomExtension {
  private var random: SeededGenerator
  /// Names of the rules of `input`, as the policies so far have left them.
  private var names: [String] = []
  private var next = 0

  package init(seed: UInt64) { random = SeededGenerator(seed: seed) }

  package mutating func chance(_ percent: Int) -> Bool { random.chance(percent) }

  private static let verdicts = ["accept", "accept", "accept", "drop", "reject", "continue"]
  private static let clauses: [[String]] = [
    [
      "tcp 22", "tcp 80, 443", "tcp 1-1023", "tcp not 22", "udp 53", "udp 53, 123", "icmp echo-request",
      "tcp", "",
    ],
    [
      "from 192.0.2.0/24", "from 192.0.2.0/25", "from 10.0.0.0/8", "from not 10.0.0.0/8 ipv4",
      "from 2001:db8::/32", "ipv6",
      "", "", "",
    ],
    ["in lo", "in eth0", "in \"eth*\"", "in not lo", "", "", ""],
    ["established, related", "new", "not invalid", "", "", "", ""],
    ["mark 1", "dscp 46", "", "", "", "", "", "", "", ""],
  ]

  private mutating func rule() -> String {
    let verdict = random.pick(Self.verdicts)
    let clauses = Self.clauses.map { random.pick($0) }
    var words = [verdict] + clauses
    // A limit on a verdict that takes packets away says `over`.
    if verdict == "accept", random.chance(12) { words.append("limit 5/second") }
    if ["drop", "reject"].contains(verdict), random.chance(12) { words.append("limit over 10/second") }
    if verdict == "continue" { words.append("count") }
    return words.filter { !$0.isEmpty }.joined(separator: " ")
  }

  private mutating func namedRule() -> (name: String, item: String) {
    let name = "r\(next)"
    next += 1
    return (name, "\(name): '\(rule())'")
  }

  /// `firewall` of a root.
  package mutating func root() -> String {
    var text =
      "firewall:\n  input:\n    policy: \(random.pick(["drop", "drop", "reject", "accept"]))\n    rules:\n"
    for _ in 0..<Int.random(in: 1...4, using: &random) {
      let rule = namedRule()
      names.append(rule.name)
      text += "      - \(rule.item)\n"
    }
    if random.chance(30) {
      text +=
        "  output:\n    policy: accept\n    rules:\n      - out: '\(random.pick(["drop tcp 25", "accept udp 53"]))'\n"
    }
    return text
  }

  /// `firewall` of a policy that extends the ones before it; empty: it changes nothing.
  package mutating func edits() -> String {
    var text = ""
    if random.chance(15) { text += "    policy: \(random.pick(["drop", "reject", "accept"]))\n" }
    if !names.isEmpty, random.chance(20) {
      let name = random.pick(names)
      text += "    remove: [\(name)]\n"
      names.removeAll { $0 == name }
    }
    if !names.isEmpty, random.chance(25) {
      text += "    replace:\n      \(random.pick(names)): '\(rule())'\n"
    }
    var added: [String] = []
    for key in ["before", "after"] where !names.isEmpty && random.chance(30) {
      let rule = namedRule()
      added.append(rule.name)
      text += "    \(key):\n      \(random.pick(names)):\n        - \(rule.item)\n"
    }
    if random.chance(40) {
      let rule = namedRule()
      added.append(rule.name)
      text += "    rules:\n      - \(rule.item)\n"
    }
    names += added
    return text.isEmpty ? "" : "firewall:\n  input:\n" + text
  }

  /// A regular chain, as fragments may have it.
  package mutating func chain(_ name: String) -> String {
    let rules = (0..<Int.random(in: 1...2, using: &random)).map { _ in "      - '\(rule())'\n" }
    return "firewall:\n  chains:\n    \(name):\n" + rules.joined()
  }
}
