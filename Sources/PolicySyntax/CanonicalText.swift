import Diagnostics

// Canonical text (LANGUAGE.md §3): one spelling for all that mean the same, with names unresolved.

extension RuleSyntax {
  /// The rule as text: parsing it gives an equal rule.
  package var canonicalText: String { text(of: clauses) }

  /// Canonical text without `log` and `count`, which identity does not depend on (LANGUAGE.md §7).
  package var identityText: String {
    text(of: clauses.filter { !$0.value.isNote })
  }

  /// Whether the canonical text is the one that identity depends on.
  package var hasIdentityText: Bool { !clauses.contains { $0.value.isNote } }

  private func text(of clauses: [Spanned<ClauseSyntax>]) -> String {
    var text = verdict.value.canonicalText
    // Most rules are no longer.
    text.reserveCapacity(64)
    for clause in clauses {
      text += " "
      clause.value.write(to: &text)
    }
    return text
  }
}

extension VerdictSyntax {
  package var canonicalText: String {
    switch self {
    case .accept: "accept"
    case .drop: "drop"
    case .continue: "continue"
    case .return: "return"
    case .reject: "reject"
    case .notrack: "notrack"
    case .masquerade: "masquerade"
    case .jump(let name): "jump \(name.value)"
    case .goto(let name): "goto \(name.value)"
    case .dnat(let target): "dnat to \(target.value.canonicalText)"
    case .snat(let target): "snat to \(target.value.canonicalText)"
    case .redirect(let port): port.map { "redirect to \($0.value)" } ?? "redirect"
    case .containers(let kind): "containers \(kind.value)"
    }
  }
}

extension ClauseSyntax {
  /// What is told about the packets that meet a rule, and makes it no other rule.
  fileprivate var isNote: Bool {
    switch self {
    case .log, .count: true
    default: false
    }
  }

  /// Appends the canonical text; what most rules have in one go.
  fileprivate func write(to text: inout String) {
    switch self {
    case .protocols(let negated, let protocols, let ports):
      if negated { text += "not " }
      Self.write(protocols, to: &text) { $0 += $1.canonicalText }
      if let ports {
        text += ports.negated ? " not " : " "
        Self.write(ports.ports, to: &text) { $0 += $1.canonicalText }
      }
    case .endpoint(let direction, let negated, let addresses?, nil):
      text += direction.rawValue
      text += negated ? " not " : " "
      Self.write(addresses.included, to: &text) { $1.write(to: &$0) }
      if !addresses.excluded.isEmpty {
        text += " except "
        Self.write(addresses.excluded, to: &text) { $1.write(to: &$0) }
      }
    default: text += canonicalText
    }
  }

  private static func write<Value>(
    _ values: [Spanned<Value>], to text: inout String, _ body: (inout String, Value) -> Void
  ) {
    for index in values.indices {
      if index > 0 { text += ", " }
      body(&text, values[index].value)
    }
  }

  package var canonicalText: String {
    switch self {
    case .family(let family): family.rawValue
    case .protocols(let negated, let protocols, let ports):
      Self.not(negated) + Self.list(protocols) { $0.canonicalText }
        + (ports.map { " " + $0.canonicalText } ?? "")
    case .icmp(let family, let negated, let types):
      (family == .ipv4 ? "icmp " : "icmpv6 ") + Self.not(negated) + Self.list(types) { $0.canonicalText }
    case .services(let negated, let names): Self.not(negated) + Self.list(names) { "$" + $0 }
    case .states(let negated, let states): Self.not(negated) + Self.list(states) { $0.rawValue }
    case .endpoint(let direction, let negated, let addresses, let ports):
      direction.rawValue + (addresses.map { " " + Self.not(negated) + $0.canonicalText } ?? "")
        + (ports.map { " port " + $0.canonicalText } ?? "")
    case .interfaces(let direction, let negated, let interfaces):
      direction.rawValue + " " + Self.not(negated) + Self.list(interfaces) { $0.canonicalText }
    case .owner(let kind, let negated, let ids):
      kind.rawValue + " " + Self.not(negated) + Self.list(ids) { $0.canonicalText }
    case .cgroup(let paths): "cgroup " + Self.list(paths) { WordText.quotedIfNeeded($0) }
    case .status(let negated, let words): "status " + Self.not(negated) + Self.list(words) { $0 }
    case .mark(let kind, let negated, let value, let mask):
      kind.rawValue + " " + Self.not(negated) + value.value.canonicalText
        + (mask.map { "/" + WordText.hexadecimal($0.value) } ?? "")
    case .tcpFlags(let negated, let value, let mask):
      "flags " + Self.not(negated) + Self.list(value) { $0 } + " of " + Self.list(mask) { $0 }
    case .ether(let direction, let negated, let addresses):
      "ether \(direction.rawValue) " + Self.not(negated) + Self.list(addresses) { $0 }
    case .numeric(let field, let negated, let ranges):
      field.rawValue + " " + Self.not(negated) + Self.list(ranges) { $0.canonicalText }
    case .packetType(let negated, let types): "type " + Self.not(negated) + Self.list(types) { $0 }
    case .hours(let hours): "hours " + hours.value.canonicalText
    case .days(let days): "days " + Self.list(days) { $0 }
    case .flag(let flag, let negated): Self.not(negated) + flag.rawValue
    case .anyState: "any-state"
    case .connections(let over, let count, let key):
      "connections \(over ? "over" : "up to") \(count.value)" + Self.per(key)
    case .limit(let over, let rate, let burst, let key):
      "limit \(over ? "over " : "")\(rate.value.canonicalText)" + (burst.map { " burst \($0.value)" } ?? "")
        + Self.per(key)
    case .quota(let over, let bytes): "quota \(over ? "over " : "")\(WordText.bytes(bytes.value))"
    case .restoreMark: "restore mark"
    case .set(let key, let value): "set \(key.rawValue) \(value.value.canonicalText(for: key))"
    case .saveMark: "save mark"
    case .update(let operation, let key, let set, let timeout):
      "\(operation.rawValue) \(key.canonicalText) $\(set.value)"
        + (timeout.map { " timeout \($0.value.canonicalText)" } ?? "")
    case .count(let name): name.map { "count \($0.value)" } ?? "count"
    case .log(let log): log.canonicalText
    case .with(let kind): "with \(kind.value.rawValue)"
    }
  }

  private static func not(_ negated: Bool) -> String { negated ? "not " : "" }

  private static func per(_ key: KeySyntax?) -> String { key.map { " per " + $0.canonicalText } ?? "" }

  fileprivate static func list<Value>(_ values: [Spanned<Value>], _ text: (Value) -> String) -> String {
    guard let first = values.first else { return "" }
    var list = text(first.value)
    for value in values.dropFirst() {
      list += ", "
      list += text(value.value)
    }
    return list
  }
}

extension ProtocolSyntax {
  package var canonicalText: String {
    switch self {
    case .named(let name): name
    case .number(let number): "protocol \(number)"
    }
  }
}

extension PortListSyntax {
  package var canonicalText: String {
    (negated ? "not " : "") + ClauseSyntax.list(ports) { $0.canonicalText }
  }
}

extension PortSyntax {
  package var canonicalText: String {
    switch self {
    case .range(let lower, let upper): WordText.range(lower, upper)
    case .service(let name): name
    case .reference(let name): "$" + name
    }
  }
}

extension ICMPTypeSyntax {
  package var canonicalText: String {
    switch self {
    case .named(let name): name
    case .number(let type, let code): code.map { "\(type)/\($0)" } ?? "\(type)"
    }
  }
}

extension AddressListSyntax {
  package var canonicalText: String {
    ClauseSyntax.list(included) { $0.canonicalText }
      + (excluded.isEmpty ? "" : " except " + ClauseSyntax.list(excluded) { $0.canonicalText })
  }
}

extension AddressSyntax {
  fileprivate func write(to text: inout String) {
    guard case .range(let range) = self else {
      text += canonicalText
      return
    }
    text += AddressText.print(range.family, range.lower)
    if let prefix = range.prefix {
      text += "/"
      text += String(prefix)
    } else if range.lower != range.upper {
      text += "-"
      text += AddressText.print(range.family, range.upper)
    }
  }

  package var canonicalText: String {
    switch self {
    case .range(let range): range.canonicalText
    case .any: "any"
    case .local: "local"
    case .broadcast: "broadcast"
    case .multicast: "multicast"
    case .reference(let name): "$" + name
    }
  }
}

extension AddressRangeSyntax {
  package var canonicalText: String {
    let first = AddressText.print(family, lower)
    if let prefix { return "\(first)/\(prefix)" }
    return lower == upper ? first : first + "-" + AddressText.print(family, upper)
  }
}

extension InterfaceSyntax {
  package var canonicalText: String {
    switch self {
    case .exact(let name): WordText.quotedIfNeeded(name)
    case .prefix(let name): WordText.quotedIfNeeded(name + "*")
    case .reference(let name): "$" + name
    }
  }
}

extension IDSyntax {
  package var canonicalText: String {
    switch self {
    case .range(let lower, let upper): WordText.range(lower, upper)
    case .reference(let name): "$" + name
    }
  }
}

extension NumberSyntax {
  package var canonicalText: String {
    switch self {
    case .value(let value): WordText.hexadecimal(value)
    case .reference(let name): "$" + name
    }
  }
}

extension NumericRangeSyntax {
  package var canonicalText: String { WordText.range(lower, upper) }
}

extension SetValueSyntax {
  package func canonicalText(for key: SetKey) -> String {
    switch self {
    case .number(let value): key == .mark || key == .connmark ? WordText.hexadecimal(value) : "\(value)"
    case .reference(let name): "$" + name
    case .pathMTU: "pmtu"
    }
  }
}

extension TargetSyntax {
  package var canonicalText: String {
    let address: String
    switch self.address {
    case .reference(let name): return "$" + name
    case .range(let range) where range.family == .ipv4: address = range.canonicalText
    case .range(let range):
      var unprefixed = range
      unprefixed.prefix = nil
      if let prefix = range.prefix {
        unprefixed.upper = unprefixed.lower
        address = "[\(unprefixed.canonicalText)]/\(prefix)"
      } else {
        address = "[\(unprefixed.canonicalText)]"
      }
    }
    return address + (ports.map { ":" + $0.canonicalText } ?? "")
  }
}

extension KeySyntax {
  package var canonicalText: String {
    (field == .from ? "source" : "destination") + (ipv4Bits.map { "/\($0)" } ?? "")
      + (ipv6Bits.map { ":\($0)" } ?? "")
  }
}

extension LogSyntax {
  package var canonicalText: String {
    var words = ["log"]
    switch label?.value {
    case .tag(let tag): words.append(tag)
    case .text(let text): words.append(WordText.quoted(text))
    case nil: break
    }
    if let level { words += ["level", level.value] }
    if let nflog { words += ["nflog", "\(nflog.value)"] }
    if let atMost { words += ["at most", atMost.value.canonicalText] }
    return words.joined(separator: " ")
  }
}

extension RateSyntax {
  package var canonicalText: String {
    (isBytes ? WordText.bytes(amount) : "\(amount)") + "/" + unit.rawValue
  }
}

extension DurationSyntax {
  package var canonicalText: String {
    var text = ""
    var rest = seconds
    for (unit, size) in [("d", 86400 as UInt64), ("h", 3600), ("m", 60)] where rest >= size {
      text += "\(rest / size)\(unit)"
      rest %= size
    }
    return rest > 0 || text.isEmpty ? text + "\(rest)s" : text
  }
}

extension HoursSyntax {
  package var canonicalText: String { Self.time(start) + "-" + Self.time(end) }

  private static func time(_ minutes: Int) -> String {
    WordText.padded(minutes / 60, 2) + ":" + WordText.padded(minutes % 60, 2)
  }
}

extension DateSyntax {
  package var canonicalText: String {
    WordText.padded(year, 4) + "-" + WordText.padded(month, 2) + "-" + WordText.padded(day, 2)
  }
}

/// How single words and numbers print.
enum WordText {
  static func range(_ lower: some FixedWidthInteger, _ upper: some FixedWidthInteger) -> String {
    lower == upper ? "\(lower)" : "\(lower)-\(upper)"
  }

  static func hexadecimal(_ value: UInt32) -> String { "0x" + String(value, radix: 16) }

  static func padded(_ value: Int, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
  }

  /// With the largest factor that leaves a whole number.
  static func bytes(_ value: UInt64) -> String {
    for (unit, shift) in [("gbytes", 30 as UInt64), ("mbytes", 20), ("kbytes", 10)]
    where value > 0 && value & (1 << shift - 1) == 0 {
      return "\(value >> shift)\(unit)"
    }
    return "\(value)bytes"
  }

  static func quoted(_ text: String) -> String {
    var quoted: [UInt8] = [UInt8(ascii: "\"")]
    for byte in text.utf8 {
      if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { quoted.append(UInt8(ascii: "\\")) }
      quoted.append(byte)
    }
    quoted.append(UInt8(ascii: "\""))
    return String(decoding: quoted, as: UTF8.self)
  }

  /// A word as it is, or as a string where it would not be read back as that word.
  static func quotedIfNeeded(_ text: String) -> String {
    let isWord =
      !text.isEmpty && RuleKeyword.named(text) == nil && text.utf8.first != UInt8(ascii: "$")
      && !text.utf8.contains {
        RuleLexer.isSpace($0) || $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: "\"")
      }
    return isWord ? text : quoted(text)
  }
}

// MARK: Verdict maps

extension VerdictMapSyntax {
  /// On one line, for messages and outputs; the form itself is a mapping.
  package var canonicalText: String {
    let lines = entries.map { entry in
      let keys = entry.keys.map { key in key.value.map(\.canonicalText).joined(separator: " . ") }
      return "\(keys.joined(separator: ", ")): \(entry.verdict.value.canonicalText)"
    }
    let table = (lines + ["else: \(otherwise.value.canonicalText)"]).joined(separator: "; ")
    return "dispatch \(dispatch.map(\.value.canonicalText).joined(separator: " . ")) { \(table) }"
  }
}

extension VerdictMapSyntax.Field {
  fileprivate var canonicalText: String {
    switch self {
    case .port(let name): name
    case .interface(let direction): direction.rawValue
    case .address(let direction): direction.rawValue
    case .mark: "mark"
    }
  }
}

extension VerdictMapSyntax.Key {
  fileprivate var canonicalText: String {
    switch self {
    case .port(let port): port.canonicalText
    case .interface(let interface): interface.canonicalText
    case .address(let address): address.canonicalText
    case .mark(let range): range.canonicalText
    }
  }
}
