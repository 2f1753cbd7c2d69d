import Diagnostics

extension RuleParser {
  /// The rest of a stateful clause or an action; its keyword is consumed.
  mutating func actionClause(
    _ keyword: RuleKeyword, _ token: RuleToken
  ) throws(Refused) -> ClauseSyntax {
    switch keyword {
    case .connections: return try connections()
    case .limit: return try limit()
    case .quota: return try quota()
    case .restore:
      try markWord(after: token)
      return .restoreMark
    case .save:
      try markWord(after: token)
      return .saveMark
    case .set: return try setClause()
    case .add, .update, .delete:
      return try update(keyword == .add ? .add : keyword == .update ? .update : .delete, token)
    case .count:
      guard let name = current, name.isPlainWord, !isLostWord(name, asName: true), Self.isName(name.text)
      else {
        return .count(name: nil)
      }
      index += 1
      return .count(name: Spanned(name.text, span(name)))
    case .log: return .log(try log())
    default: return .with(try rejectKind())
    }
  }

  /// A decimal or hexadecimal number as a word of its own.
  private mutating func integer(
    _ what: String, after: String, in bounds: ClosedRange<UInt64>
  ) throws(Refused) -> Spanned<UInt64> {
    guard let token = current, token.isPlainWord else { throw expected(what, after: after) }
    index += 1
    let number = value(token) { (text) throws(ValueTextError) in
      try NumberText.parse(text, what, in: bounds)
    }
    guard let number else { throw Refused() }
    return number
  }

  private mutating func count32(_ what: String, after: String) throws(Refused) -> Spanned<UInt32> {
    let number = try integer(what, after: after, in: 0...UInt64(UInt32.max))
    return Spanned(UInt32(number.value), number.span)
  }

  private mutating func connections() throws(Refused) -> ClauseSyntax {
    let over: Bool
    if take(.over) != nil {
      over = true
    } else if current?.keyword == .up, peek(1)?.keyword == .to {
      index += 2
      over = false
    } else {
      throw expected(
        "`over` or `up to`", after: "connections",
        help: ["as in `connections over 4 per source` or `connections up to 4`"])
    }
    let count = try count32("a number of connections", after: over ? "over" : "up to")
    return .connections(over: over, count: count, per: try perKey())
  }

  private mutating func limit() throws(Refused) -> ClauseSyntax {
    let over = take(.over) != nil
    if let token = current, token.isReference || token.kind == .string || token.text == "name" {
      throw sharedLimit(at: span(token))
    }
    let rate = try rate(after: over ? "over" : "limit")
    var burst: Spanned<UInt32>?
    if take(.burst) != nil { burst = try count32("a number", after: "burst") }
    let per = try perKey()
    if let name = current, name.isPlainWord, name.text == "name" {
      index += 1
      throw sharedLimit(at: span(name))
    }
    if per != nil, let late = current, late.keyword == .burst {
      throw refuse(
        .ruleUnexpected, at: span(late), "`burst` stands before `per`", label: "too late",
        help: ["as in `limit 10/minute burst 5 per source`"])
    }
    return .limit(over: over, rate: rate, burst: burst, per: per)
  }

  private mutating func sharedLimit(at span: SourceSpan) -> Refused {
    refuse(
      .languageNotIn1, at: span, "limits shared by rules are not in language 1", label: "the name of a limit",
      help: ["each rule has a limit of its own: `limit 10/minute`"])
  }

  private mutating func rate(after: String) throws(Refused) -> Spanned<RateSyntax> {
    guard let token = current, token.isPlainWord else {
      throw expected("a rate", after: after, help: ["rates are one word: `10/minute`, `500kbytes/second`"])
    }
    index += 1
    // `10 / minute`, `10/ minute`: read together, so that one fault is reported and not three.
    if let next = current, next.isPlainWord,
      next.text.utf8.first == UInt8(ascii: "/") || token.text.utf8.last == UInt8(ascii: "/")
    {
      index += 1
      if next.text == "/", current?.isPlainWord == true { index += 1 }
      throw refuse(
        .ruleBadValue, at: span(from: token), "a rate is one word", label: "with spaces in it",
        help: ["as in `10/minute`"])
    }
    guard let rate = value(token, QuantityText.parseRate) else { throw Refused() }
    return rate
  }

  private mutating func quota() throws(Refused) -> ClauseSyntax {
    let over = take(.over) != nil
    guard let token = current, token.isPlainWord else {
      throw expected("a size", after: over ? "over" : "quota", help: ["sizes are one word: `500mbytes`"])
    }
    index += 1
    guard let size = value(token, QuantityText.parseSize) else { throw Refused() }
    return .quota(over: over, bytes: size)
  }

  private mutating func perKey() throws(Refused) -> KeySyntax? {
    guard take(.per) != nil else { return nil }
    return try key(after: "per")
  }

  /// `source/24:64`
  mutating func key(after: String) throws(Refused) -> KeySyntax {
    guard let token = current, token.kind == .word, !token.isReference else {
      throw expected("`source` or `destination`", after: after)
    }
    let bytes = Array(token.text.utf8)[...]
    let slash = bytes.firstIndex(of: UInt8(ascii: "/"))
    let fieldText = String(decoding: bytes[..<(slash ?? bytes.endIndex)], as: UTF8.self)
    let field: Direction
    switch fieldText {
    case "source": field = .from
    case "destination": field = .to
    case "mark", "connmark", "user", "group", "port", "in", "out":
      index += 1
      throw refuse(
        .languageNotIn1, at: span(token), "keys other than addresses are not in language 1",
        label: "expected `source` or `destination`")
    default:
      if token.keyword?.startsClause == true { throw expected("`source` or `destination`", after: after) }
      index += 1
      let nearest =
        fieldText == "saddr"
        ? "source"
        : fieldText == "daddr"
          ? "destination"
          : Spelling.closest(to: fieldText, among: ["source", "destination"])
      throw refuse(
        .ruleUnknownWord, at: span(token), "unknown key `\(token.text)`",
        label: "expected `source` or `destination`", help: nearest.map { ["did you mean `\($0)`?"] } ?? [],
        fixIts: nearest.map {
          [
            FixIt(
              "write `\($0)`",
              replace: scalars[token.scalar].span(token.start, token.start + fieldText.utf8.count), with: $0)
          ]
        } ?? [])
    }
    index += 1
    guard let slash else { return KeySyntax(field: field, ipv4Bits: nil, ipv6Bits: nil, span: span(token)) }
    let bits = value(token) { (_) throws(ValueTextError) in try Self.keyBits(bytes[(slash + 1)...]) }
    guard let bits else { throw Refused() }
    return KeySyntax(
      field: field, ipv4Bits: bits.value.ipv4, ipv6Bits: bits.value.ipv6, span: span(token))
  }

  private static func keyBits(
    _ text: ArraySlice<UInt8>
  ) throws(ValueTextError) -> (ipv4: UInt8, ipv6: UInt8?) {
    let colon = text.firstIndex(of: UInt8(ascii: ":"))
    let ipv4 = try NumberText.parse(
      text[..<(colon ?? text.endIndex)], "a length of IPv4 prefixes", in: 0...32)
    guard let colon else { return (UInt8(ipv4), nil) }
    let ipv6 = try NumberText.parse(text[(colon + 1)...], "a length of IPv6 prefixes", in: 0...128)
    return (UInt8(ipv4), UInt8(ipv6))
  }

  private mutating func markWord(after token: RuleToken) throws(Refused) {
    guard take(.mark) == nil else { return }
    throw expected(
      "`mark`", after: token.text, help: ["`restore mark` takes the connection's mark, `save mark` stores it"]
    )
  }

  private mutating func setClause() throws(Refused) -> ClauseSyntax {
    if let token = current, token.isPlainWord, SetKey(rawValue: token.text) == nil,
      let refused = refuseForeignField(token, after: "set")
    {
      throw refused
    }
    let name = try oneOf(SetKey.allCases.map(\.rawValue), "what is set", after: "set")
    guard let key = SetKey(rawValue: name.value) else { throw Refused() }
    guard let token = current, token.kind != .comma, token.keyword == nil || token.kind == .string else {
      throw expected("a value", after: "set \(key.rawValue)")
    }
    if token.isReference {
      guard let reference = reference() else { throw Refused() }
      return .set(key, value: Spanned(.reference(reference.value), reference.span))
    }
    index += 1
    if key == .mss, token.text == "pmtu" { return .set(key, value: Spanned(.pathMTU, span(token))) }
    if key == .dscp, let code = RuleWords.dscp[token.text] {
      return .set(key, value: Spanned(.number(code), span(token)))
    }
    let bounds: ClosedRange<UInt64> =
      switch key {
      case .mark, .connmark: 0...0xffff_ffff
      case .dscp: 0...63
      case .mss: 1...65535
      }
    let number = value(token) { (text) throws(ValueTextError) in
      try NumberText.parse(text, key == .mss ? "a segment size" : "a number", in: bounds)
    }
    guard let number else { throw Refused() }
    return .set(key, value: Spanned(.number(UInt32(number.value)), number.span))
  }

  private mutating func update(
    _ operation: SetOperation, _ token: RuleToken
  ) throws(Refused) -> ClauseSyntax {
    let key = try key(after: token.text)
    let set = try requiredReference("the set", after: tokens[index - 1].text)
    guard take(.timeout) != nil else {
      return .update(operation, key, set: set, timeout: nil)
    }
    guard let word = current, word.isPlainWord else { throw expected("a duration", after: "timeout") }
    index += 1
    guard let timeout = value(word, QuantityText.parseDuration) else { throw Refused() }
    return .update(operation, key, set: set, timeout: timeout)
  }

  private mutating func log() throws(Refused) -> LogSyntax {
    var log = LogSyntax()
    if let token = current {
      if token.kind == .string {
        index += 1
        log.label = Spanned(.text(token.text), span(token))
      } else if token.isPlainWord, !isLostWord(token, asName: true) {
        index += 1
        guard Self.isName(token.text) else {
          throw refuse(
            .badName, at: span(token), "`\(token.text)` is not a tag", label: "expected a name or a string",
            help: ["other texts are strings: `log \"\(token.text)\"`", Self.nameHelp],
            fixIts: [FixIt("make it a string", replace: span(token), with: "\"\(token.text)\"")])
        }
        log.label = Spanned(.tag(token.text), span(token))
      }
    }
    if take(.level) != nil { log.level = try oneOf(RuleWords.levels, "a log level", after: "level") }
    if take(.nflog) != nil {
      let group = try integer("the number of a group", after: "nflog", in: 0...65535)
      log.nflog = Spanned(UInt16(group.value), group.span)
    }
    if let at = take(.at) {
      guard take(.most) != nil else {
        throw expected("`most`", after: at.text, help: ["as in `log ssh at most 5/minute`"])
      }
      log.atMost = try rate(after: "at most")
    }
    if let late = current, let keyword = late.keyword, keyword == .level || keyword == .nflog {
      throw refuse(
        .ruleUnexpected, at: span(late), "`\(late.text)` stands too late in `log`", label: "out of order",
        help: ["the order is `log TEXT level LEVEL nflog GROUP at most RATE`"])
    }
    return log
  }

  mutating func rejectKind() throws(Refused) -> Spanned<RejectKindSyntax> {
    let word = try oneOf(RejectKindSyntax.allCases.map(\.rawValue), "a kind of rejection", after: "with")
    guard let kind = RejectKindSyntax(rawValue: word.value) else { throw Refused() }
    return Spanned(kind, word.span)
  }
}
