import Diagnostics

extension RuleParser {
  /// Reads one clause. Nil for `to port 22`, whose ports belong to the protocol.
  mutating func clause() throws(Refused) -> ClauseSyntax? {
    guard let token = current else { throw expected("a clause") }
    if token.isReference { return .services(negated: false, try services()) }
    guard let keyword = token.keyword else { throw noClause(token) }
    switch keyword.role {
    case .protocolName: return try protocolClause()
    case .state: return .states(negated: false, try states())
    case .flag:
      index += 1
      return flag(keyword, negated: false)
    case .match:
      index += 1
      return try matchClause(keyword, token)
    case .action:
      index += 1
      guard context == .rule else {
        throw refuse(
          .ruleUnexpected, at: span(token), "`\(token.text)` does not describe packets",
          label: "not in a statement", help: ["a statement names packets by matches: `tcp 22 from $admin`"])
      }
      return try actionClause(keyword, token)
    case .not: return try negatedClause(token)
    case .verdict, .inner: throw misplaced(keyword, token)
    }
  }

  private func flag(_ keyword: RuleKeyword, negated: Bool) -> ClauseSyntax? {
    PacketFlag(rawValue: keyword.rawValue).map { .flag($0, negated: negated) }
  }

  private mutating func matchClause(
    _ keyword: RuleKeyword, _ token: RuleToken
  ) throws(Refused) -> ClauseSyntax? {
    switch keyword {
    case .ipv4: return .family(.ipv4)
    case .ipv6: return .family(.ipv6)
    case .from: return try endpoint(.from)
    case .to: return try endpoint(.to)
    case .in, .out:
      let negated = take(.not) != nil
      return .interfaces(keyword == .in ? .in : .out, negated: negated, try interfaces(after: token.text))
    case .user, .group:
      let negated = take(.not) != nil
      return .owner(
        keyword == .user ? .user : .group, negated: negated,
        try list { (p) throws(Refused) in try p.id(after: token.text) })
    case .cgroup:
      try refuseNegation(
        of: token,
        because: "a cgroup that does not exist yet would match everything; invert the rule's verdict")
      return .cgroup(
        try list { (p) throws(Refused) in try p.path("a path below the cgroup root", after: "cgroup") })
    case .status:
      let negated = take(.not) != nil
      return .status(
        negated: negated,
        try list { (p) throws(Refused) in try p.oneOf(RuleWords.status, "a conntrack status", after: "status")
        })
    case .mark, .connmark:
      let negated = take(.not) != nil
      return try mark(keyword == .mark ? .mark : .connmark, negated: negated)
    case .flags:
      return try tcpFlags()
    case .ether: return try ether()
    case .dscp, .ttl, .length:
      let negated = take(.not) != nil
      let field: NumericField = keyword == .dscp ? .dscp : keyword == .ttl ? .ttl : .length
      return .numeric(field, negated: negated, try list { (p) throws(Refused) in try p.numeric(field) })
    case .type:
      let negated = take(.not) != nil
      return .packetType(
        negated: negated,
        try list { (p) throws(Refused) in try p.oneOf(RuleWords.packetTypes, "a packet type", after: "type") }
      )
    case .hours:
      try refuseNegation(
        of: token, because: "write the complement: `hours 22:00-06:00` for not 06:00 to 22:00")
      guard let word = current, word.isPlainWord else { throw expected("a range of hours", after: "hours") }
      index += 1
      guard let hours = value(word, QuantityText.parseHours) else { throw Refused() }
      return .hours(hours)
    case .days:
      try refuseNegation(of: token, because: "list the other days")
      return .days(try list { (p) throws(Refused) in try p.day() })
    default:
      guard context == .region else {
        throw refuse(
          .ruleUnexpected, at: span(token), "`any-state` is a word of statements", label: "not in a rule",
          help: ["a rule without a clause of states holds in any state"])
      }
      return .anyState
    }
  }

  /// The fault of `not` after a keyword whose values language 1 does not negate.
  private mutating func refuseNegation(of keyword: RuleToken, because help: String) throws(Refused) {
    guard let not = take(.not) else { return }
    throw refuse(
      .languageNotIn1, at: span(not), "a negated `\(keyword.text)` is not in language 1",
      label: "cannot stand here",
      help: [help])
  }

  // MARK: - Protocols, ports, ICMP types, services, states

  private mutating func protocolClause() throws(Refused) -> ClauseSyntax {
    guard let first = current else { throw expected("a protocol") }
    if first.keyword == .icmp || first.keyword == .icmpv6, peek(1)?.kind != .comma {
      let isNegated = peek(1)?.keyword == .not
      if startsICMPType(peek(isNegated ? 2 : 1)) {
        index += isNegated ? 2 : 1
        let family: IPFamily = first.keyword == .icmp ? .ipv4 : .ipv6
        return .icmp(
          family, negated: isNegated, try list { (p) throws(Refused) in try p.icmpType(after: first.text) })
      }
    }
    let protocols = try self.protocols()
    let isNegated = current?.keyword == .not
    guard startsPort(peek(isNegated ? 1 : 0)) else {
      return .protocols(negated: false, protocols, ports: nil)
    }
    if isNegated { index += 1 }
    let portsStart = index
    let ports = try self.ports(after: tokens[portsStart - 1].text)
    guard protocols.allSatisfy(\.value.hasPorts) else {
      let start = tokens[portsStart]
      reportPorts(at: span(from: start), without: protocols)
      throw Refused()
    }
    return .protocols(
      negated: false, protocols, ports: PortListSyntax(negated: isNegated, ports: ports))
  }

  private mutating func protocols() throws(Refused) -> [Spanned<ProtocolSyntax>] {
    try list { (p) throws(Refused) in try p.protocolName() }
  }

  mutating func protocolName() throws(Refused) -> Spanned<ProtocolSyntax>? {
    guard let token = current, token.kind == .word else { throw expected("a protocol") }
    guard let keyword = token.keyword, keyword.role == .protocolName else {
      if let refused = strayComma(before: token) { throw refused }
      if index > 0, tokens[index - 1].kind == .comma,
        token.keyword == .not || token.isReference || NumberText.startsNumber(token.text.utf8)
      {
        let comma = tokens[index - 1]
        throw refuse(
          .ruleTrailingComma, at: span(comma), "a comma between protocols and ports",
          label: "`\(token.text)` is no protocol",
          help: ["commas stand between the values of one list; ports follow their protocols after a space"],
          fixIts: [FixIt("remove the comma", replace: span(comma), with: " ")])
      }
      if token.keyword == nil, !token.isReference {
        index += 1
        let nearest = Spelling.closest(to: token.text, among: RuleKeyword.protocols)
        throw refuse(
          .ruleUnknownWord, at: span(token), "unknown protocol `\(token.text)`", label: "expected a protocol",
          help: [
            nearest.map { "did you mean `\($0)`?" }
              ?? "any protocol can be written by its number: `protocol 47`"
          ],
          fixIts: nearest.map { [FixIt("write `\($0)`", replace: span(token), with: $0)] } ?? [])
      }
      throw expected("a protocol")
    }
    index += 1
    guard keyword == .protocolNumber else { return Spanned(.named(token.text), span(token)) }
    guard let word = current, word.isPlainWord else {
      if let name = current, name.keyword?.role == .protocolName {
        let place = span(token).union(emptySpan(before: name))
        throw expected(
          "the number of a protocol", after: "protocol", help: ["a name stands alone: `\(name.text)`"],
          fixIts: [FixIt("leave `protocol` out", replace: place, with: "")])
      }
      throw expected("the number of a protocol", after: "protocol")
    }
    index += 1
    let number = value(word) { (text) throws(ValueTextError) in
      try NumberText.parse(text, "the number of a protocol", in: 0...255)
    }
    return number.map { Spanned(.number(UInt8($0.value)), span(from: token)) }
  }

  /// Whether a token after a protocol can only be its ports: no clause begins with such a word.
  func startsPort(_ token: RuleToken?) -> Bool {
    guard let token, token.kind == .word else { return false }
    return token.keyword == nil && !isForeign(token) && !isLostWord(token)
  }

  private func startsICMPType(_ token: RuleToken?) -> Bool {
    guard let token, token.kind == .word, !token.isReference else { return false }
    // No clause begins with `redirect`, so the ICMP type of that name is safe here.
    if token.keyword == .redirect { return true }
    return token.keyword == nil && !isForeign(token) && !isLostWord(token)
  }

  /// Whether a word is a misspelt or foreign keyword rather than a service, an ICMP type or a name: values
  /// follow it, which can follow none of those, and a keyword is near.
  ///
  /// - Parameters:
  ///   - isName: whether a name can stand here. Services can follow a name, but no ports and no ICMP types.
  func isLostWord(_ token: RuleToken, asName isName: Bool = false) -> Bool {
    guard token.isPlainWord, !NumberText.startsNumber(token.text.utf8),
      let position = tokens.firstIndex(where: { $0.scalar == token.scalar && $0.start == token.start }),
      position + 1 < tokens.count
    else { return false }
    let next = tokens[position + 1]
    guard next.kind == .string || next.isPlainWord || (next.isReference && !isName) else { return false }
    return isForeign(token) || Spelling.closest(to: token.text, among: RuleKeyword.clauseStarts) != nil
  }

  mutating func ports(after: String) throws(Refused) -> [Spanned<PortSyntax>] {
    try list { (p) throws(Refused) in try p.port(after: after) }
  }

  mutating func port(after: String) throws(Refused) -> Spanned<PortSyntax>? {
    guard let token = current, token.kind == .word, token.keyword == nil else {
      if let token = current, token.keyword?.role == .protocolName, index > 0,
        tokens[index - 1].kind == .comma
      {
        throw refuse(
          .ruleSecondClause, at: span(token), "a second protocol in a list of ports",
          label: "ports belong to the protocols before them",
          help: ["write two rules, or define services and use them: `web: [tcp 443, udp 443]`, `accept $web`"]
        )
      }
      if let token = current, let refused = strayComma(before: token) { throw refused }
      throw expected("a port", after: after)
    }
    if token.isReference { return reference().map { Spanned(.reference($0.value), $0.span) } }
    if let refused = refuseNotation(token) { throw refused }
    index += 1
    return value(token, PortText.parse)
  }

  private mutating func icmpType(after: String) throws(Refused) -> Spanned<ICMPTypeSyntax>? {
    guard let token = current, token.kind == .word, !token.isReference,
      token.keyword == nil || token.keyword == .redirect
    else {
      if let token = current, let refused = strayComma(before: token) { throw refused }
      throw expected("an ICMP type", after: after)
    }
    index += 1
    guard NumberText.startsNumber(token.text.utf8) else {
      guard Self.isName(token.text) else {
        report(
          Diagnostic(
            .ruleBadValue, at: span(token), "`\(token.text)` is not an ICMP type",
            help: ["a type is a name or a number, `TYPE` or `TYPE/CODE`: `echo-request`, `8`, `3/4`"]))
        return nil
      }
      return Spanned(.named(token.text), span(token))
    }
    return value(token) { (text) throws(ValueTextError) in
      let slash = text.firstIndex(of: UInt8(ascii: "/"))
      let type = try NumberText.parse(text[..<(slash ?? text.endIndex)], "an ICMP type", in: 0...255)
      guard let slash else { return .number(type: UInt8(type), code: nil) }
      let code = try NumberText.parse(text[(slash + 1)...], "an ICMP code", in: 0...255)
      return .number(type: UInt8(type), code: UInt8(code))
    }
  }

  mutating func services() throws(Refused) -> [Spanned<String>] {
    try list { (p) throws(Refused) in
      guard let token = p.current, token.isReference else {
        if let token = p.current, let refused = p.strayComma(before: token) { throw refused }
        throw p.expected(
          "a definition of services", help: ["services are named by definitions: `$web, $dns`"])
      }
      return p.reference()
    }
  }

  mutating func states() throws(Refused) -> [Spanned<StateSyntax>] {
    try list { (p) throws(Refused) in
      guard let token = p.current, let state = StateSyntax(rawValue: token.text), token.kind == .word else {
        if let token = p.current, token.isPlainWord {
          let states = StateSyntax.allCases.map(\.rawValue)
          p.index += 1
          let nearest = Spelling.closest(to: token.text, among: states)
          throw p.refuse(
            .ruleUnknownWord, at: p.span(token), "unknown state `\(token.text)`", label: "expected a state",
            help: [nearest.map { "did you mean `\($0)`?" } ?? "one of " + Self.listing(states)],
            fixIts: nearest.map { [FixIt("write `\($0)`", replace: p.span(token), with: $0)] } ?? [])
        }
        if let token = p.current, let refused = p.strayComma(before: token) { throw refused }
        throw p.expected("a state")
      }
      p.index += 1
      return Spanned(state, p.span(token))
    }
  }

  // MARK: - Negation

  /// A clause that begins with `not`: protocols, services, states or a single word.
  private mutating func negatedClause(_ not: RuleToken) throws(Refused) -> ClauseSyntax? {
    index += 1
    guard let token = current else { throw expected("what is negated", after: "not") }
    if token.isReference { return .services(negated: true, try services()) }
    guard let keyword = token.keyword else { throw noClause(token, after: not) }
    switch keyword.role {
    case .protocolName:
      let start = index
      let protocols = try self.protocols()
      // `not tcp 22` could mean either of two things.
      guard let next = current, startsPort(next) || startsICMPType(next) else {
        return .protocols(negated: true, protocols, ports: nil)
      }
      throw try ambiguousNegation(not, protocols, from: start)
    case .state: return .states(negated: true, try states())
    case .flag:
      index += 1
      return flag(keyword, negated: true)
    case .match, .action, .not, .verdict, .inner:
      throw misplacedNot(not, keyword, token)
    }
  }

  private mutating func ambiguousNegation(
    _ not: RuleToken, _ protocols: [Spanned<ProtocolSyntax>], from start: Int
  ) throws(Refused) -> Refused {
    let hasPorts = protocols.allSatisfy(\.value.hasPorts)
    let names = protocols.map(\.value.canonicalText).joined(separator: ", ")
    let valuesStart = index
    let values: String
    if hasPorts {
      let ports = try self.ports(after: names)
      values = ports.map(\.value.canonicalText).joined(separator: ", ")
    } else {
      let types = try list { (p) throws(Refused) in try p.icmpType(after: names) }
      values = types.map(\.value.canonicalText).joined(separator: ", ")
    }
    let whole = span(from: not)
    let what = hasPorts ? "ports" : "ICMP types"
    return refuse(
      .ruleNotBeforePorts, at: whole, "`not` before a protocol with \(what) could mean two things",
      label: "other \(what) of \(names), or other protocols?",
      related: [Diagnostic.Label(span(from: tokens[valuesStart]), "the \(what)")],
      help: [
        "`\(names) not \(values)` is \(names) to all other \(what), `not \(names)` is every other protocol"
      ],
      fixIts: [
        FixIt("exclude the \(what)", replace: whole, with: "\(names) not \(values)"),
        FixIt("exclude the protocol", replace: whole, with: "not \(names)"),
      ])
  }

  private mutating func misplacedNot(
    _ not: RuleToken, _ keyword: RuleKeyword, _ token: RuleToken
  ) -> Refused {
    var help: [String] = []
    var fixIts: [FixIt] = []
    let both = span(not).union(span(token))
    switch keyword {
    case .ipv4, .ipv6:
      let other = keyword == .ipv4 ? "ipv6" : "ipv4"
      help = ["write `\(other)`"]
      fixIts = [FixIt("write `\(other)`", replace: both, with: other)]
      index += 1
    case .from, .to, .in, .out, .user, .group, .status, .mark, .connmark, .flags, .dscp, .ttl, .length,
      .type:
      help = ["`not` stands directly before the values: write `\(token.text) not …`"]
      fixIts = [FixIt("move it behind `\(token.text)`", replace: both, with: "\(token.text) not")]
    case .ether: help = ["`not` stands directly before the values: write `ether from not …`"]
    case .hours, .days, .cgroup:
      index += 1
      return refuse(
        .languageNotIn1, at: both, "a negated `\(token.text)` is not in language 1",
        label: "cannot be negated")
    case .limit, .connections, .quota:
      help = ["what exceeds it is matched by `\(token.text) over …`"]
    case .not: help = ["leave both out"]
    case .port:
      help = ["`not` stands directly before the ports: write `port not …`, or `tcp not …`"]
      fixIts = [FixIt("move it behind `port`", replace: both, with: "port not")]
    case .accept, .drop, .reject: help = ["the verdict comes first: `drop tcp 22`"]
    default: help = ["it negates a list of values or a single word: `from not $admin`, `not established`"]
    }
    if !keyword.startsClause, keyword != .not { index += 1 }
    return refuse(
      .ruleNotHere, at: span(not), "`not` cannot stand before `\(token.text)`", label: "negates values only",
      help: help, fixIts: fixIts)
  }
}
