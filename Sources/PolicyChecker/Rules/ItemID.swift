import Diagnostics
import PolicySyntax
import SHA2

/// Stable ids of items (LANGUAGE.md §7).
enum ItemID {
  static func named(_ place: String, _ name: String) -> String { "\(place)/\(name)" }

  /// `PLACE/SLUG~HASH`, of the first such rule in its place.
  ///
  /// - Parameter text: the rule's canonical text.
  static func unnamed(_ place: String, _ rule: RuleSyntax, text: String) -> String {
    place + "/" + slug(rule) + "~" + hash(place, rule.hasIdentityText ? text : rule.identityText)
  }

  /// Of a later rule with the same text.
  static func repeated(_ id: String, ordinal: Int) -> String { ordinal == 1 ? id : "\(id).\(ordinal)" }

  /// Verdict, protocol and ports, hyphenated, at most 24 characters.
  static func slug(_ rule: RuleSyntax) -> String {
    var words = [rule.verdict.value.word]
    for clause in rule.clauses {
      switch clause.value {
      case .protocols(let isNegated, let protocols, let ports):
        if isNegated { words.append("not") }
        words += protocols.map(\.value.word)
        if let ports {
          if ports.negated { words.append("not") }
          words += ports.ports.map(\.value.word)
        }
      case .icmp(let family, _, _): words.append(family == .ipv4 ? "icmp" : "icmpv6")
      case .services(let isNegated, let names):
        if isNegated { words.append("not") }
        words += names.map(\.value)
      default: break
      }
    }
    // The words are ASCII.
    var slug = words.joined(separator: "-").utf8.prefix(24)
    while slug.last == UInt8(ascii: "-") { slug.removeLast() }
    return String(Substring(slug))
  }

  private static func hash(_ place: String, _ text: String) -> String {
    // Ten digits of five bits.
    let digest = SHA256.hash(Array(("lockdown rule 1\n" + place + "\n" + text).utf8)).prefix(7)
    return String(decoding: Base32.encode(Array(digest)).utf8.prefix(10), as: UTF8.self)
  }

  /// The 56 bits of an id that a rule's userdata carries.
  static func short(_ id: String) -> [UInt8] { Array(SHA256.hash(Array(id.utf8)).prefix(7)) }
}

extension VerdictSyntax {
  fileprivate var word: String {
    switch self {
    case .accept: "accept"
    case .drop: "drop"
    case .continue: "continue"
    case .return: "return"
    case .reject: "reject"
    case .notrack: "notrack"
    case .masquerade: "masquerade"
    case .jump: "jump"
    case .goto: "goto"
    case .dnat: "dnat"
    case .snat: "snat"
    case .redirect: "redirect"
    case .containers: "containers"
    }
  }
}

extension ProtocolSyntax {
  fileprivate var word: String {
    switch self {
    case .named(let name): name
    case .number(let number): String(number)
    }
  }
}

extension PortSyntax {
  fileprivate var word: String {
    switch self {
    case .range(let lower, let upper): lower == upper ? String(lower) : "\(lower)-\(upper)"
    case .service(let name), .reference(let name): name
    }
  }
}

extension Checker {
  /// Two ids whose 56 bits are equal could not be told apart in the kernel.
  mutating func checkIdentities(short: (String) -> [UInt8] = ItemID.short) {
    // By label, the place in the list.
    var seen: [UInt64: Int] = [:]
    seen.reserveCapacity(items.count)
    for (index, item) in items.enumerated() {
      let bits = short(item.id).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      guard let earlier = seen[bits].map({ items[$0] }), earlier.id != item.id else {
        seen[bits] = index
        continue
      }
      error(
        .idCollision, item.span, "`\(item.id)` and `\(earlier.id)` have the same label in the kernel",
        help: ["name one of them otherwise"],
        related: [Diagnostic.Label(earlier.span, "`\(earlier.id)` is here")])
    }
  }
}
