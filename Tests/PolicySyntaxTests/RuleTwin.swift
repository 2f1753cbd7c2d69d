import PolicySyntax

/// The mapping form of a rule as JSON, written apart from the parser; nil where the form has no key for it.
struct RuleTwin {
  private var positive: [(String, String)] = []
  private var negative: [(String, String)] = []

  static func json(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      if scalar == "\"" || scalar == "\\" { quoted.unicodeScalars.append("\\") }
      quoted.unicodeScalars.append(scalar)
    }
    return quoted + "\""
  }

  private static func list(_ texts: [String]) -> String {
    "[" + texts.map(json).joined(separator: ", ") + "]"
  }

  private static func object(_ pairs: [(String, String)]) -> String {
    "{" + pairs.map { json($0.0) + ": " + $0.1 }.joined(separator: ", ") + "}"
  }

  private mutating func add(_ key: String, negated: Bool = false, _ value: String) {
    if negated { negative.append((key, value)) } else { positive.append((key, value)) }
  }

  /// `shuffle` puts the keys in another order, which must not matter.
  static func json(_ rule: RuleSyntax, using random: inout SeededGenerator) -> String {
    var twin = RuleTwin()
    var verdict = json(rule.verdict.value.canonicalText)
    let words = rule.verdict.value.canonicalText.split(separator: " ")
    if words.count > 1 {
      verdict = object([(String(words[0]), json(String(words[words.count - 1])))])
    }
    var packetFlags: [String] = []
    var negatedFlags: [String] = []
    var sets: [(String, String)] = []
    for clause in rule.clauses {
      switch clause.value {
      case .with(let kind): verdict = object([("reject", json(kind.value.rawValue))])
      case .flag(let flag, let negated):
        if negated { negatedFlags.append(flag.rawValue) } else { packetFlags.append(flag.rawValue) }
      case .set(let key, let value): sets.append((key.rawValue, json(value.value.canonicalText(for: key))))
      default: twin.add(clause.value)
      }
    }
    if !packetFlags.isEmpty { twin.add("is", list(packetFlags)) }
    if !negatedFlags.isEmpty { twin.add("is", negated: true, list(negatedFlags)) }
    if !sets.isEmpty { twin.add("set", object(sets)) }
    if !twin.negative.isEmpty {
      twin.positive.append(("not", object(twin.negative.shuffled(using: &random))))
    }
    twin.positive.append(("verdict", verdict))
    return object(twin.positive.shuffled(using: &random))
  }

  private static func terms(_ text: AddressListSyntax) -> String {
    text.excluded.isEmpty ? list(text.included.map(\.value.canonicalText)) : json(text.canonicalText)
  }

  private static func key(_ key: KeySyntax) -> String { json(key.canonicalText) }

  private mutating func add(_ clause: ClauseSyntax) {
    switch clause {
    case .family(let family): add("family", Self.json(family.rawValue))
    case .protocols(let negated, let protocols, let ports):
      add("protocol", negated: negated, Self.list(protocols.map(\.value.canonicalText)))
      if let ports { add("ports", negated: ports.negated, Self.list(ports.ports.map(\.value.canonicalText))) }
    case .icmp(let family, let negated, let types):
      add(family == .ipv4 ? "icmp" : "icmpv6", negated: negated, Self.list(types.map(\.value.canonicalText)))
    case .services(let negated, let names):
      add("service", negated: negated, Self.list(names.map { "$" + $0.value }))
    case .states(let negated, let states):
      add("state", negated: negated, Self.list(states.map(\.value.rawValue)))
    case .endpoint(let direction, let negated, let addresses, let ports):
      if let addresses { add(direction.rawValue, negated: negated, Self.terms(addresses)) }
      if let ports {
        add("from-port", negated: ports.negated, Self.list(ports.ports.map(\.value.canonicalText)))
      }
    case .interfaces(let direction, let negated, let interfaces):
      add(direction.rawValue, negated: negated, Self.list(interfaces.map(\.value.canonicalText)))
    case .owner(let kind, let negated, let ids):
      add(kind.rawValue, negated: negated, Self.list(ids.map(\.value.canonicalText)))
    case .status(let negated, let words): add("status", negated: negated, Self.list(words.map(\.value)))
    case .mark(let kind, let negated, _, _):
      add(kind.rawValue, negated: negated, Self.json(Self.tail(clause, negated ? 2 : 1)))
    case .tcpFlags(let negated, let value, let mask):
      add(
        "flags", negated: negated,
        Self.object([("value", Self.list(value.map(\.value))), ("mask", Self.list(mask.map(\.value)))]))
    case .ether(let direction, let negated, let addresses):
      // One key for both directions: the second joins the first.
      let part = (direction.rawValue, Self.list(addresses.map(\.value)))
      let old = (negated ? negative : positive).first { $0.0 == "ether" }
      if negated { negative.removeAll { $0.0 == "ether" } } else { positive.removeAll { $0.0 == "ether" } }
      let inner = Self.object([part])
      add("ether", negated: negated, old.map { $0.1.dropLast() + ", " + inner.dropFirst() } ?? inner)
    case .numeric(let field, let negated, let ranges):
      add(field.rawValue, negated: negated, Self.list(ranges.map(\.value.canonicalText)))
    case .packetType(let negated, let types): add("type", negated: negated, Self.list(types.map(\.value)))
    case .cgroup(let paths):
      add("cgroup", Self.list(paths.map { ClauseSyntax.cgroup([$0]) }.map { Self.tail($0, 1) }))
    case .hours: add("hours", Self.json(Self.tail(clause, 1)))
    case .days(let days): add("days", Self.list(days.map(\.value)))
    case .connections(let over, let count, let per):
      add(
        "connections",
        Self.object(
          [(over ? "over" : "up-to", "\(count.value)")] + (per.map { [("per", Self.key($0))] } ?? [])))
    case .limit(let over, let rate, let burst, let per):
      add(
        "limit",
        Self.object(
          [("over", "\(over)"), ("rate", Self.json(rate.value.canonicalText))]
            + (burst.map { [("burst", "\($0.value)")] } ?? [])
            + (per.map { [("per", Self.key($0))] } ?? [])))
    case .quota(let over, _):
      add(
        "quota",
        Self.object([
          ("size", Self.json(String(clause.canonicalText.split(separator: " ").last ?? ""))),
          ("over", "\(over)"),
        ]))
    case .restoreMark: add("restore", "\"mark\"")
    case .saveMark: add("save", "\"mark\"")
    case .update(let operation, let key, let set, let timeout):
      add(
        operation.rawValue,
        Self.object(
          [("set", Self.json("$" + set.value)), ("key", Self.key(key))]
            + (timeout.map { [("timeout", Self.json($0.value.canonicalText))] } ?? [])))
    case .count(let name): add("count", name.map { Self.json($0.value) } ?? "true")
    case .log(let log):
      var parts: [(String, String)] = []
      switch log.label?.value {
      case .tag(let tag): parts.append(("tag", Self.json(tag)))
      case .text(let text): parts.append(("text", Self.json(text)))
      case nil: break
      }
      if let level = log.level { parts.append(("level", Self.json(level.value))) }
      if let nflog = log.nflog { parts.append(("nflog", "\(nflog.value)")) }
      if let rate = log.atMost { parts.append(("at-most", Self.json(rate.value.canonicalText))) }
      add("log", parts.isEmpty ? "true" : Self.object(parts))
    case .flag, .set, .with, .anyState: break
    }
  }

  /// Canonical text without its first words.
  private static func tail(_ clause: ClauseSyntax, _ words: Int) -> String {
    clause.canonicalText.split(separator: " ", maxSplits: words, omittingEmptySubsequences: false).last.map(
      String.init) ?? ""
  }
}
