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
    var id: [UInt8] = []
    // The slug, ten digits, and two signs.
    id.reserveCapacity(place.utf8.count + slugLimit + 64)
    id += place.utf8
    id.append(UInt8(ascii: "/"))
    appendSlug(rule, to: &id)
    id.append(UInt8(ascii: "~"))
    appendHash(place, rule.hasIdentityText ? text : rule.identityText, to: &id)
    return String(decoding: id, as: UTF8.self)
  }

  /// Of a later rule with the same text.
  static func repeated(_ id: String, ordinal: Int) -> String { ordinal == 1 ? id : "\(id).\(ordinal)" }

  private static let slugLimit = 24

  /// Verdict, protocol and ports, hyphenated, at most 24 characters.
  static func slug(_ rule: RuleSyntax) -> String {
    var text: [UInt8] = []
    appendSlug(rule, to: &text)
    return String(decoding: text, as: UTF8.self)
  }

  private static func appendSlug(_ rule: RuleSyntax, to text: inout [UInt8]) {
    let start = text.count
    text += rule.verdict.value.word.utf8
    func append(_ word: String) {
      // What is behind the limit is cut off again.
      guard text.count - start <= slugLimit else { return }
      text.append(UInt8(ascii: "-"))
      text += word.utf8
    }
    for clause in rule.clauses {
      switch clause.value {
      case .protocols(let isNegated, let protocols, let ports):
        if isNegated { append("not") }
        for number in protocols { append(number.value.word) }
        if let ports {
          if ports.negated { append("not") }
          for port in ports.ports { append(port.value.word) }
        }
      case .icmp(let family, _, _): append(family == .ipv4 ? "icmp" : "icmpv6")
      case .services(let isNegated, let names):
        if isNegated { append("not") }
        for name in names { append(name.value) }
      default: break
      }
    }
    // The words are ASCII.
    if text.count - start > slugLimit { text.removeLast(text.count - start - slugLimit) }
    while text.count > start, text.last == UInt8(ascii: "-") { text.removeLast() }
  }

  private static func appendHash(_ place: String, _ text: String, to id: inout [UInt8]) {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(place.utf8.count + text.utf8.count + 24)
    bytes += "lockdown rule 1\n".utf8
    bytes += place.utf8
    bytes.append(0x0a)
    bytes += text.utf8
    // Ten digits of five bits, which fill 50 bits of 7 bytes.
    var digits = SHA256.hash(bytes)
    digits.removeLast(digits.count - 7)
    id += Base32.encode(digits).utf8.prefix(10)
  }

  /// The 56 bits of an id that a rule's userdata carries.
  static func short(_ id: String) -> UInt64 {
    var id = id
    let digest = id.withUTF8 { bytes in
      var hasher = SHA256()
      hasher.update(bytes.span)
      return hasher.finish()
    }
    var label: UInt64 = 0
    for index in 0..<7 { label = label << 8 | UInt64(digest[index]) }
    return label
  }
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
  /// One item of a policy that has an id.
  struct Item: Sendable {
    let id: String
    let span: SourceSpan
    /// ``ItemID/short(_:)`` of it.
    let label: UInt64

    init(_ id: String, _ span: SourceSpan) {
      self.id = id
      self.span = span
      label = ItemID.short(id)
    }
  }

  /// Two ids whose 56 bits are equal could not be told apart in the kernel.
  ///
  /// - Parameter bits: what is compared of these.
  mutating func checkIdentities(bits: (UInt64) -> UInt64 = { $0 }) {
    // By label, the place in the list.
    var seen: [UInt64: Int] = [:]
    seen.reserveCapacity(items.count)
    for (index, item) in items.enumerated() {
      let bits = bits(item.label)
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
