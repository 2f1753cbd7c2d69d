import Diagnostics
import PolicySyntax
import SHA2

/// Stable ids of items (LANGUAGE.md §7).
enum ItemID {
  static func named(_ place: String, _ name: String) -> String { "\(place)/\(name)" }

  /// `PLACE/SLUG~HASH`. `ordinal` is 1 for the first rule of that id in its place.
  static func unnamed(_ place: String, _ rule: RuleSyntax, ordinal: Int = 1) -> String {
    let id = "\(place)/\(slug(rule))~\(hash(place, rule.identityText))"
    return ordinal == 1 ? id : "\(id).\(ordinal)"
  }

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
    var slug = String(words.joined(separator: "-").prefix(24))
    while slug.hasSuffix("-") { slug.removeLast() }
    return slug
  }

  private static func hash(_ place: String, _ text: String) -> String {
    let digest = SHA256.hash("lockdown rule 1\n\(place)\n\(text)".utf8)
    return String(Base32.encode(digest).prefix(10))
  }

  /// The 56 bits of an id that a rule's userdata carries.
  static func short(_ id: String) -> [UInt8] { Array(SHA256.hash(id.utf8).prefix(7)) }
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
    var seen: [[UInt8]: (id: String, span: SourceSpan)] = [:]
    for item in items {
      let bits = short(item.id)
      guard let earlier = seen[bits], earlier.id != item.id else {
        seen[bits] = item
        continue
      }
      error(
        .idCollision, item.span, "`\(item.id)` and `\(earlier.id)` have the same label in the kernel",
        help: ["name one of them otherwise"],
        related: [Diagnostic.Label(earlier.span, "`\(earlier.id)` is here")])
    }
  }
}
