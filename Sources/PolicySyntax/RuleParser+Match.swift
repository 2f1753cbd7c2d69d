import Diagnostics

/// Fixed words of clauses that are nft's.
enum RuleWords {
  /// enum ip_conntrack_status, in nft's spelling.
  static let status = ["expected", "seen-reply", "assured", "confirmed", "snat", "dnat", "dying"]
  static let packetTypes = ["unicast", "broadcast", "multicast", "other"]
  static let flags = ["fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr", "none"]
  static let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
  /// syslog's, and `audit`, which nft sends to the audit system.
  static let levels = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug", "audit"]
  static let flagMatches = ["fragment", "spoofed", "ipsec"]

  /// Code points of RFC 2474, RFC 2597, RFC 3246, RFC 5865 and RFC 8622, by nft's names.
  static let dscp: [String: UInt32] = [
    "cs0": 0, "cs1": 8, "cs2": 16, "cs3": 24, "cs4": 32, "cs5": 40, "cs6": 48, "cs7": 56, "df": 0, "be": 0,
    "lephb": 1, "af11": 10, "af12": 12, "af13": 14, "af21": 18, "af22": 20, "af23": 22, "af31": 26,
    "af32": 28, "af33": 30, "af41": 34, "af42": 36, "af43": 38, "va": 44, "ef": 46,
  ]
}

extension RuleParser {
  // MARK: - Addresses

  /// The rest of a clause after `from` or `to`.
  mutating func endpoint(_ direction: Direction) throws(Refused) -> ClauseSyntax? {
    let verb = direction.rawValue
    var negated = false
    var addresses: AddressListSyntax?
    if current?.keyword != .port {
      let not = take(.not)
      negated = not != nil
      if let not, current?.keyword == .port {
        let both = span(from: not).union(span(tokens[index]))
        throw refuse(
          .ruleNotHere, at: span(not), "`not` cannot stand before `port`", label: "negates values only",
          help: ["write `\(verb) port not …`"],
          fixIts: [FixIt("move it behind `port`", replace: both, with: "port not")])
      }
      addresses = try addressList(after: negated ? "not" : verb)
    }
    guard let port = take(.port) else {
      return .endpoint(direction, negated: negated, addresses: addresses, ports: nil)
    }
    let portsNegated = take(.not) != nil
    let ports = PortListSyntax(negated: portsNegated, ports: try self.ports(after: "port"))
    guard direction == .to else {
      return .endpoint(direction, negated: negated, addresses: addresses, ports: ports)
    }
    let span = span(from: port)
    if let (_, earlier) = destinationPorts {
      throw refuse(
        .ruleSecondClause, at: span, "the destination ports are given twice", label: "the second time",
        related: [Diagnostic.Label(earlier, "the first time")])
    }
    destinationPorts = (ports, span)
    return addresses.map { .endpoint(direction, negated: negated, addresses: $0, ports: nil) }
  }

  mutating func addressList(after: String) throws(Refused) -> AddressListSyntax {
    let included = try list { (p) throws(Refused) in try p.address(after: after) }
    guard take(.except) != nil else { return AddressListSyntax(included: included, excluded: []) }
    if let not = current, not.keyword == .not {
      throw refuse(
        .ruleNotHere, at: span(not), "`not` cannot stand after `except`", label: "`except` takes out already")
    }
    let excluded = try list { (p) throws(Refused) in try p.address(after: "except") }
    if let second = current, second.keyword == .except {
      throw refuse(
        .ruleUnexpected, at: span(second), "a second `except`", label: "a list has one",
        help: ["everything behind the first is taken out: separate it by commas"])
    }
    return AddressListSyntax(included: included, excluded: excluded)
  }

  mutating func address(after: String) throws(Refused) -> Spanned<AddressSyntax>? {
    guard let token = current, token.kind == .word else {
      throw expected("an address", after: after)
    }
    if token.isReference { return reference().map { Spanned(.reference($0.value), $0.span) } }
    switch token.keyword {
    case nil: break
    case .any, .local, .broadcast, .multicast:
      index += 1
      let word: AddressSyntax =
        switch token.keyword {
        case .any: .any
        case .local: .local
        case .broadcast: .broadcast
        default: .multicast
        }
      return Spanned(word, span(token))
    case .not where index > 0 && tokens[index - 1].kind == .comma:
      throw refuse(
        .ruleNotHere, at: span(token), "`not` negates a whole list", label: "not one of its values",
        help: ["write it before the first value, or take values out: `from $a except $b`"])
    case .host:
      throw expected("an address", after: after, help: ["this host's own addresses are `local`"])
    default:
      if let refused = strayComma(before: token) { throw refused }
      throw expected("an address", after: after)
    }
    if let refused = refuseNotation(token) { throw refused }
    index += 1
    if !AddressText.looksLikeAddress(token.text.utf8), refuseName(token) != nil { return nil }
    return value(token, AddressText.parse).map { Spanned(.range($0.value), $0.span) }
  }

  /// Refuses a word that names something instead of being an address; nil if it is merely wrong.
  private mutating func refuseName(_ token: RuleToken) -> Refused? {
    if Self.isName(token.text) {
      return refuse(
        .badAddress, at: span(token), "`\(token.text)` is not an address", label: "a name",
        help: ["a definition is written with a `$`: `$\(token.text)`"],
        fixIts: [FixIt("refer to the definition", replace: span(token), with: "$" + token.text)])
    }
    let letters = token.text.utf8.contains {
      ($0 | 0x20) >= UInt8(ascii: "g") && ($0 | 0x20) <= UInt8(ascii: "z")
    }
    let hasSign = token.text.utf8.contains { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: ":") }
    guard letters, hasSign else { return nil }
    let scheme = token.text.utf8.prefix { $0 != UInt8(ascii: ":") }
    if scheme.count < token.text.utf8.count, !token.text.contains("://") {
      return refuse(
        .languageNotIn1, at: span(token), "addresses that are looked up are not in language 1",
        label: "the name of a list",
        help: ["put them into a file, and define it: `{file: lists/\(Substring(scheme)).netset}`"])
    }
    return refuse(
      .languageNotIn1, at: span(token), "names that a resolver looks up are not in language 1",
      label: "a host name or URL",
      help: ["write its addresses, or a definition of them: what a name means may change after the build"])
  }

  // MARK: - Interfaces, owners, paths

  mutating func interfaces(after: String) throws(Refused) -> [Spanned<InterfaceSyntax>] {
    try list { (p) throws(Refused) in try p.interface(after: after) }
  }

  mutating func interface(after: String) throws(Refused) -> Spanned<InterfaceSyntax>? {
    guard let token = current, token.kind != .comma else { throw expected("an interface", after: after) }
    if token.isReference { return reference().map { Spanned(.reference($0.value), $0.span) } }
    if let keyword = token.keyword, !token.isElement {
      if let refused = strayComma(before: token) { throw refused }
      if keyword == .not, index > 0, tokens[index - 1].kind == .comma {
        throw refuse(
          .ruleNotHere, at: span(token), "`not` negates a whole list", label: "not one of its values",
          help: ["write it before the first value"])
      }
      let refused = expected(
        "an interface", after: after, help: ["an interface of that name is written `\"\(token.text)\"`"])
      // A keyword with nothing behind it begins no clause, so it was meant as the name.
      if peek(1) == nil, keyword.role == .match || keyword.role == .action { index += 1 }
      throw refused
    }
    index += 1
    return value(token, InterfaceText.parse)
  }

  mutating func id(after: String) throws(Refused) -> Spanned<IDSyntax>? {
    guard let token = current, token.kind == .word, token.keyword == nil else {
      if let token = current, let refused = strayComma(before: token) { throw refused }
      throw expected("an id", after: after)
    }
    if token.isReference { return reference().map { Spanned(.reference($0.value), $0.span) } }
    index += 1
    guard NumberText.startsNumber(token.text.utf8) else {
      report(
        Diagnostic(
          .languageNotIn1, at: span(token), "names of users and groups are not in language 1",
          label: "expected a number",
          help: [
            "write the number, or define it: `define: { \(Self.isName(token.text) ? token.text : "name"): 1000 }`; the build host's users are not those of the host"
          ]))
      return nil
    }
    return value(token) { (text) throws(ValueTextError) in
      // (uid_t)-1 is no id.
      let range = try NumberText.parseRange(text, "an id", in: 0...4_294_967_294)
      return .range(UInt32(range.lower), UInt32(range.upper))
    }
  }

  mutating func path(_ what: String, after: String) throws(Refused) -> Spanned<String>? {
    guard let token = current, token.kind != .comma else { throw expected(what, after: after) }
    if token.kind == .word, !token.isElement, token.keyword != nil || token.isReference {
      if let refused = strayComma(before: token) { throw refused }
      throw expected(what, after: after, help: ["a path of that text is written `\"\(token.text)\"`"])
    }
    index += 1
    guard !token.text.isEmpty else {
      report(Diagnostic(.ruleBadValue, at: span(token), "an empty path", label: "expected \(what)"))
      return nil
    }
    return Spanned(token.text, span(token))
  }

  // MARK: - Marks, flags, link layer, numbers

  mutating func mark(_ kind: MarkKind, negated: Bool) throws(Refused) -> ClauseSyntax {
    guard let token = current, token.kind == .word, token.keyword == nil else {
      throw expected("a number", after: negated ? "not" : kind.rawValue)
    }
    if token.isReference {
      guard let name = reference() else { throw Refused() }
      return .mark(kind, negated: negated, value: Spanned(.reference(name.value), name.span), mask: nil)
    }
    index += 1
    let parts = value(token) { (text) throws(ValueTextError) -> (UInt32, UInt32?) in
      let slash = text.firstIndex(of: UInt8(ascii: "/"))
      let value = try NumberText.parse(text[..<(slash ?? text.endIndex)], "a mark", in: 0...0xffff_ffff)
      guard let slash else { return (UInt32(value), nil) }
      let mask = try NumberText.parse(text[(slash + 1)...], "a mask", in: 0...0xffff_ffff)
      guard value & ~mask == 0 else {
        throw ValueTextError(
          .ruleBadValue, "the value has bits outside the mask", label: "can never be equal",
          help: ["it is compared with the mark's bits under the mask"], at: text.indices)
      }
      return (UInt32(value), UInt32(mask))
    }
    guard let parts else { throw Refused() }
    return .mark(
      kind, negated: negated, value: Spanned(.value(parts.value.0), parts.span),
      mask: parts.value.1.map { Spanned($0, parts.span) })
  }

  fileprivate mutating func flagList(after: String) throws(Refused) -> [Spanned<String>] {
    let flags = try list { (p) throws(Refused) in try p.oneOf(RuleWords.flags, "a TCP flag", after: after) }
    if flags.count > 1, let none = flags.first(where: { $0.value == "none" }) {
      throw refuse(.ruleBadValue, at: none.span, "`none` stands alone", label: "beside other flags")
    }
    return flags
  }

  mutating func tcpFlags() throws(Refused) -> ClauseSyntax {
    let negated = take(.not) != nil
    let value = try flagList(after: negated ? "not" : "flags")
    guard take(.of) != nil else {
      throw expected(
        "`of` and the flags to look at", after: value.last?.value ?? "flags",
        help: ["as in `flags syn of syn, ack`: of both, exactly SYN is set"])
    }
    let mask = try flagList(after: "of")
    if let none = mask.first(where: { $0.value == "none" }) {
      throw refuse(.ruleBadValue, at: none.span, "a mask of no flags", label: "nothing to look at")
    }
    let looked = Set(mask.map(\.value))
    for flag in value where flag.value != "none" && !looked.contains(flag.value) {
      throw refuse(
        .ruleBadValue, at: flag.span, "`\(flag.value)` is not among the flags looked at",
        label: "can never be set", related: mask.first.map { [Diagnostic.Label($0.span, "the mask")] } ?? [],
        help: ["add it after `of`"])
    }
    return .tcpFlags(negated: negated, value: value, mask: mask)
  }

  mutating func ether() throws(Refused) -> ClauseSyntax {
    guard let word = current, word.keyword == .from || word.keyword == .to else {
      throw expected("`from` or `to`", after: "ether", help: ["as in `ether from 02:00:00:00:00:01`"])
    }
    index += 1
    let negated = take(.not) != nil
    let addresses = try list { (p) throws(Refused) -> Spanned<String>? in
      guard let token = p.current, token.isPlainWord else {
        if let token = p.current, let refused = p.strayComma(before: token) { throw refused }
        throw p.expected("a hardware address", after: word.text)
      }
      p.index += 1
      return p.value(token, LinkAddressText.parse)
    }
    return .ether(word.keyword == .from ? .from : .to, negated: negated, addresses)
  }

  mutating func numeric(_ field: NumericField) throws(Refused) -> Spanned<NumericRangeSyntax>? {
    guard let token = current, token.isPlainWord else {
      if let token = current, let refused = strayComma(before: token) { throw refused }
      throw expected("a number", after: field.rawValue)
    }
    index += 1
    if field == .dscp, let code = RuleWords.dscp[token.text] {
      return Spanned(NumericRangeSyntax(lower: code, upper: code), span(token))
    }
    let limit: UInt64 =
      switch field {
      case .dscp: 63
      case .ttl: 255
      case .length: 65535
      }
    return value(token) { (text) throws(ValueTextError) in
      let range = try NumberText.parseRange(text, "a \(field.rawValue)", in: 0...limit)
      return NumericRangeSyntax(lower: UInt32(range.lower), upper: UInt32(range.upper))
    }
  }

  mutating func day() throws(Refused) -> Spanned<String>? {
    if let token = current, token.isPlainWord,
      let day = RuleWords.days.first(where: { $0.utf8.prefix(3).elementsEqual(token.text.utf8) })
    {
      index += 1
      return Spanned(day, span(token))
    }
    return try oneOf(RuleWords.days, "a day", after: "days")
  }
}
