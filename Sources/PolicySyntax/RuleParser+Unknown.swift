import Diagnostics

/// Words that begin no clause: what was probably meant.
extension RuleParser {
  func isForeign(_ token: RuleToken) -> Bool {
    token.isPlainWord && ForeignWord.clauses[token.text] != nil
  }

  /// Reports a word of another firewall; nil if it is none. The token is consumed already.
  mutating func refuseForeign(_ token: RuleToken, asVerdict: Bool = false) -> Refused? {
    let entry =
      asVerdict
      ? ForeignWord.verdicts[token.text] ?? ForeignWord.clauses[token.text]
      : ForeignWord.clauses[token.text] ?? ForeignWord.ambiguous[token.text]
        ?? ForeignWord.verdicts[token.text]
    if ["ct", "meta"].contains(token.text), let next = current, next.kind == .word,
      let refused = refuseForeignField(next, after: token.text, from: token)
    {
      return refused
    }
    if token.text.utf8.first == UInt8(ascii: "@") {
      return refuse(
        .languageNotIn1, at: span(token), "`\(token.text)` is not in language 1",
        label: "raw payload matches",
        help: ["match by protocol and ports; a set is written `$name`"])
    }
    guard let entry else { return nil }
    if let feature = entry.feature {
      return refuse(
        .languageNotIn1, at: span(token), "`\(token.text)` is not in language 1",
        label: feature, help: [entry.help])
    }
    return refuse(
      .ruleUnknownWord, at: span(token), "unknown word `\(token.text)`",
      label: asVerdict ? "expected a verdict" : "no clause begins like this", help: [entry.help],
      fixIts: entry.replacement.map { [FixIt("write `\($0)`", replace: span(token), with: $0)] } ?? [])
  }

  /// Reports the second of two words that together name what language 1 has not, as in `ct helper` and `set priority`;
  /// nil if they do not. Consumes what it reports.
  mutating func refuseForeignField(
    _ token: RuleToken, after word: String, from first: RuleToken? = nil
  ) -> Refused? {
    guard let foreign = ForeignWord.fields[token.text] ?? ForeignWord.clauses[token.text],
      first != nil || foreign.feature != nil
    else { return nil }
    index += 1
    guard let feature = foreign.feature else {
      return refuse(
        .ruleUnknownWord, at: span(from: first ?? token), "unknown words `\(word) \(token.text)`",
        label: "words of another firewall", help: [foreign.help])
    }
    return refuse(
      .languageNotIn1, at: span(from: first ?? token), "`\(word) \(token.text)` is not in language 1",
      label: feature, help: [foreign.help])
  }

  /// Notations of other firewalls where a value is asked for: `!= 22`, `{22, 80}`. Nil if it is none; consumes
  /// what it reports.
  mutating func refuseNotation(_ token: RuleToken) -> Refused? {
    guard token.isPlainWord else { return nil }
    if token.text.utf8.first == UInt8(ascii: "!") {
      index += 1
      let hasEqual = token.text.utf8.dropFirst().first == UInt8(ascii: "=")
      let value = String(Substring(token.text.utf8.dropFirst(hasEqual ? 2 : 1)))
      return refuse(
        .ruleUnexpected, at: span(token), "negation is written `not`", label: "a sign of other firewalls",
        help: ["as in `tcp not 22` or `from not $admin`"],
        fixIts: [
          FixIt("write `not`", replace: span(token), with: value.isEmpty ? "not" : "not " + value)
        ])
    }
    guard token.text.utf8.first == UInt8(ascii: "{") else { return nil }
    while let next = current {
      index += 1
      if next.text.utf8.last == UInt8(ascii: "}") { break }
    }
    return refuse(
      .ruleUnexpected, at: span(from: token), "a list is written without braces", label: "in braces",
      help: ["as in `tcp 22, 80` or `from 10.0.0.1, 10.0.0.2`"])
  }

  /// `22/tcp` and `tcp/22`, which are two words here; nil if it is none.
  private mutating func refuseJoinedPort(_ token: RuleToken) -> Refused? {
    let parts = token.text.utf8.split(
      maxSplits: 1, omittingEmptySubsequences: false,
      whereSeparator: { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: ":") })
    guard parts.count == 2 else { return nil }
    var (name, port) = (String(Substring(parts[0])), String(Substring(parts[1])))
    if RuleKeyword.named(name) == nil { swap(&name, &port) }
    guard RuleKeyword.named(name)?.hasPorts == true, !port.isEmpty else { return nil }
    return refuse(
      .ruleUnexpected, at: span(token), "a protocol and its port are two words", label: "one word",
      help: ["write `\(name) \(port)`"],
      fixIts: [FixIt("write `\(name) \(port)`", replace: span(token), with: "\(name) \(port)")])
  }

  /// A keyword in capitals; nil if it is none.
  mutating func refuseCapitals(_ token: RuleToken) -> Refused? {
    let lower = String(
      decoding: token.text.utf8.map { $0 >= UInt8(ascii: "A") && $0 <= UInt8(ascii: "Z") ? $0 | 0x20 : $0 },
      as: UTF8.self)
    guard lower != token.text, RuleKeyword.named(lower) != nil else { return nil }
    return refuse(
      .ruleUnknownWord, at: span(token), "unknown word `\(token.text)`", label: "keywords are in lower case",
      help: ["write `\(lower)`"], fixIts: [FixIt("write `\(lower)`", replace: span(token), with: lower)])
  }

  /// The fault of a token that begins no clause; consumes it.
  mutating func noClause(_ token: RuleToken, after not: RuleToken? = nil) -> Refused {
    let previous = index > 0 ? tokens[index - 1] : nil
    index += 1
    switch token.kind {
    case .comma:
      return refuse(
        .ruleUnexpected, at: span(token), "unexpected comma", label: "no list before it",
        help: ["commas stand between the values of one list; clauses are separated by spaces"],
        fixIts: [FixIt("remove it", replace: span(token), with: "")])
    case .string:
      return refuse(
        .ruleUnexpected, at: span(token), "unexpected string", label: "no clause begins with a string",
        help: ["strings are texts of `log` and names that hold spaces or are keywords"])
    case .word: break
    }
    if let refused = refuseForeign(token) { return refused }
    if let refused = refuseCapitals(token) { return refused }
    if let refused = refuseJoinedPort(token) { return refused }
    if let refused = refuseValue(token, after: not ?? previous) { return refused }
    if let nearest = Spelling.closest(to: token.text, among: RuleKeyword.clauseStarts) {
      return refuse(
        .ruleUnknownWord, at: span(token), "unknown word `\(token.text)`",
        label: "no clause begins like this",
        help: ["did you mean `\(nearest)`?"],
        fixIts: [FixIt("write `\(nearest)`", replace: span(token), with: nearest)])
    }
    if not == nil, let refused = refuseMissingComma(token, previous) { return refused }
    return refuse(
      .ruleUnknownWord, at: span(token), "unknown word `\(token.text)`", label: "no clause begins like this",
      help: ["clauses begin with words like `tcp`, `from`, `in`, `established`, `limit`, `log`"]
        + (Self.isName(token.text)
          ? [
            "a service stands behind its protocol, as in `tcp \(token.text)`; a definition is `$\(token.text)`"
          ]
          : []))
  }

  /// A number, an address or the like without the keyword that says what it is.
  private mutating func refuseValue(_ token: RuleToken, after previous: RuleToken?) -> Refused? {
    let bytes = token.text.utf8
    if AddressText.looksLikeAddress(bytes) {
      if let previous, previous.keyword == nil, previous.kind == .word,
        previous.isReference || AddressText.looksLikeAddress(previous.text.utf8)
      {
        return refuseMissingComma(token, previous)
      }
      return refuse(
        .ruleUnexpected, at: span(token), "an address without `from` or `to`",
        label: "source or destination?",
        help: ["write `from \(token.text)` or `to \(token.text)`"],
        fixIts: [
          FixIt("make it the source", replace: emptySpan(before: token), with: "from "),
          FixIt("make it the destination", replace: emptySpan(before: token), with: "to "),
        ])
    }
    guard NumberText.startsNumber(bytes) else { return nil }
    if let previous, previous.isPlainWord, let refused = refuseMissingComma(token, previous) {
      return refused
    }
    guard
      bytes.allSatisfy({ ($0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9")) || $0 == UInt8(ascii: "-") })
    else { return nil }
    // `not 22` becomes `tcp not 22`.
    let place = previous.flatMap { $0.keyword == .not ? $0 : nil } ?? token
    return refuse(
      .rulePortsWithoutProtocol, at: span(token), "a port without a protocol", label: "of which protocol?",
      help: ["write `tcp \(token.text)` or `udp \(token.text)`, or `tcp, udp \(token.text)` for both"],
      fixIts: [
        FixIt("make it TCP", replace: emptySpan(before: place), with: "tcp "),
        FixIt("make it UDP", replace: emptySpan(before: place), with: "udp "),
      ])
  }

  /// The fault of two values side by side, where the first ended a list.
  private mutating func refuseMissingComma(_ token: RuleToken, _ previous: RuleToken?) -> Refused? {
    guard let previous, previous.kind == .word, previous.keyword == nil, previous.scalar == token.scalar
    else {
      return nil
    }
    // A word that has values of its own behind it was to begin a clause.
    if token.isPlainWord, !NumberText.startsNumber(token.text.utf8), let next = current, next.kind != .comma,
      next.keyword == nil
    {
      return nil
    }
    let end = span(previous).end
    return refuse(
      .ruleUnexpected, at: span(token), "a comma is missing before `\(token.text)`",
      label: "a further value of the list?",
      related: [Diagnostic.Label(span(previous), "the value before it")],
      help: ["the values of a list are separated by commas: `\(previous.text), \(token.text)`"],
      fixIts: [
        FixIt("insert a comma", replace: SourceSpan(span(token).source, end, end), with: ",")
      ])
  }

  /// The fault of a keyword that begins no clause.
  mutating func misplaced(_ keyword: RuleKeyword, _ token: RuleToken) -> Refused {
    let previous = index > 0 ? tokens[index - 1] : nil
    index += 1
    var help: [String] = []
    var fixIts: [FixIt] = []
    switch keyword {
    case .port:
      if previous?.keyword?.hasPorts == true {
        fixIts = [FixIt("leave `port` out", replace: span(token), with: "")]
      }
      help = [
        "destination ports stand after the protocol, `tcp 22`, source ports after `from`: `from port 53`"
      ]
    case .any:
      help = ["leave it out: a clause that is not there matches everything"]
    case .local, .broadcast, .multicast, .host:
      help = ["addresses stand after `from` or `to`: `to \(keyword == .host ? "local" : token.text)`"]
    case .except: help = ["`except` takes addresses out of a list: `from $office except $guests`"]
    case .over, .up: help = ["it belongs to `limit over`, `quota over` or `connections over`"]
    case .per, .burst: help = ["it ends a limit: `limit 10/minute burst 5 per source`"]
    case .level, .nflog, .at, .most:
      help = ["it belongs to `log`: `log ssh level info at most 5/minute`"]
    case .mss: help = ["write `set mss pmtu`"]
    case .of: help = ["it belongs to `flags`: `flags syn of syn, ack`"]
    case .timeout: help = ["it belongs to `add`: `add source $banned timeout 10m`"]
    case .source, .destination:
      let word = keyword == .source ? "from" : "to"
      help = ["write `\(word)`"]
      fixIts = [FixIt("write `\(word)`", replace: span(token), with: word)]
    default:
      if keyword.role == .verdict {
        return refuse(
          .ruleUnexpected, at: span(token), "a second verdict", label: "the first word is the verdict",
          help: ["a rule has one verdict; write two rules"])
      }
      help = ["`\(token.text)` is a word of statements"]
    }
    return refuse(
      .ruleUnexpected, at: span(token), "`\(token.text)` begins no clause",
      label: "a keyword of other places",
      help: help, fixIts: fixIts)
  }
}
