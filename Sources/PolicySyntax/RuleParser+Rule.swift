import Diagnostics

extension RuleParser {
  /// Reads a whole rule; nil if anything in it was refused.
  mutating func rule() -> RuleSyntax? {
    guard let first = current else {
      report(
        Diagnostic(
          .ruleEmpty, at: wholeSpan, "a rule is empty", label: "expected a verdict",
          help: ["a rule is a verdict and clauses: `accept tcp 22`"]))
      return nil
    }
    let verdict: Spanned<VerdictSyntax>?
    do {
      verdict = try self.verdict()
    } catch {
      verdict = nil
      // What follows a verdict of another language is its own grammar.
      if diagnostics.all.last?.id == .languageNotIn1 { index = tokens.count }
      skipToClause()
    }
    let clauses = self.clauses()
    if let verdict { check(clauses, against: verdict, first: first) }
    guard let verdict, !hasErrors else { return nil }
    return RuleSyntax(verdict: verdict, clauses: clauses, span: span(from: first))
  }

  private mutating func check(
    _ clauses: [Spanned<ClauseSyntax>], against verdict: Spanned<VerdictSyntax>, first: RuleToken
  ) {
    if case .containers = verdict.value, let clause = clauses.first {
      report(
        Diagnostic(
          .ruleUnexpected, at: clauses.dropFirst().reduce(clause.span) { $0.union($1.span) },
          "`containers` takes no clauses", label: "nothing can follow",
          help: ["it stands for several rules; write those out to narrow them"]))
    }
    checkReject(clauses, verdict)
  }

  mutating func checkReject(_ clauses: [Spanned<ClauseSyntax>], _ verdict: Spanned<VerdictSyntax>) {
    guard verdict.value != .reject else { return }
    for clause in clauses {
      guard case .with(let kind) = clause.value else { continue }
      var fixIts: [FixIt] = []
      if verdict.value == .drop {
        fixIts = [FixIt("reject instead of dropping", replace: verdict.span, with: "reject")]
      }
      report(
        Diagnostic(
          .ruleWithWithoutReject, at: clause.span, "`with` says how to reject, and this rule does not reject",
          label: "only after `reject`", related: [Diagnostic.Label(verdict.span, "the verdict")],
          help: ["write `reject … with \(kind.value.rawValue)` or leave the clause out"], fixIts: fixIts))
    }
  }

  // MARK: - Verdicts

  mutating func verdict() throws(Refused) -> Spanned<VerdictSyntax> {
    guard let token = current else { throw expected("a verdict") }
    guard let keyword = token.keyword, keyword.role == .verdict else { throw noVerdict(token) }
    index += 1
    let value: VerdictSyntax
    switch keyword {
    case .accept: value = .accept
    case .drop: value = .drop
    case .continue: value = .continue
    case .return: value = .return
    case .reject: value = .reject
    case .notrack: value = .notrack
    case .masquerade: value = .masquerade
    case .jump: value = .jump(try name("the name of a chain", after: "jump"))
    case .goto: value = .goto(try name("the name of a chain", after: "goto"))
    case .dnat: value = .dnat(try target(after: token))
    case .snat: value = .snat(try target(after: token))
    case .redirect: value = .redirect(try redirectPort())
    default:
      value = .containers(
        try oneOf(["docker", "podman", "kubernetes"], "a kind of containers", after: token.text))
    }
    return Spanned(value, span(from: token))
  }

  private mutating func noVerdict(_ token: RuleToken) -> Refused {
    if token.keyword != nil {
      var help = ["a rule begins with its verdict: `accept tcp 22`"]
      if let last = tokens.last, last.keyword?.role == .verdict {
        help = ["put `\(last.text)` first"]
        tokens.removeLast()
      }
      return refuse(
        .ruleUnexpected, at: span(token), "a rule begins with a verdict", label: "not a verdict", help: help)
    }
    index += 1
    if token.kind == .word {
      if let refused = refuseForeign(token, asVerdict: true) ?? refuseCapitals(token) { return refused }
      if let refused = refuseJoinedName(token) { return refused }
    }
    let nearest = token.kind == .word ? Spelling.closest(to: token.text, among: RuleKeyword.verdicts) : nil
    return refuse(
      .ruleUnknownWord, at: span(token), "unknown verdict `\(token.written)`", label: "expected a verdict",
      help: [nearest.map { "did you mean `\($0)`?" } ?? "one of " + Self.listing(RuleKeyword.verdicts)],
      fixIts: nearest.map { [FixIt("write `\($0)`", replace: span(token), with: $0)] } ?? [])
  }

  /// `ssh:accept`, a name without the space that would make it one; nil if it is none.
  private mutating func refuseJoinedName(_ token: RuleToken) -> Refused? {
    let bytes = token.text.utf8
    guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")),
      Self.isName(String(decoding: bytes[..<colon], as: UTF8.self)),
      RuleKeyword.named(String(decoding: bytes[bytes.index(after: colon)...], as: UTF8.self))?.role
        == .verdict
    else { return nil }
    let end = token.start + bytes.distance(from: bytes.startIndex, to: colon) + 1
    return refuse(
      .ruleUnknownWord, at: span(token), "unknown verdict `\(token.text)`", label: "a name and a verdict?",
      help: ["a name is followed by a colon and a space"],
      fixIts: [FixIt("insert a space", replace: scalars[token.scalar].span(end, end), with: " ")])
  }

  /// `to TARGET`, after `dnat` or `snat`.
  private mutating func target(after verb: RuleToken) throws(Refused) -> Spanned<TargetSyntax> {
    guard take(.to) != nil else {
      throw expected(
        "`to` and a target", after: verb.text,
        help: ["as in `\(verb.text) to 192.0.2.1` or `\(verb.text) to [2001:db8::1]:443`"],
        fixIts: current.map {
          $0.isPlainWord ? [FixIt("insert `to`", replace: emptySpan(before: $0), with: "to ")] : []
        } ?? [])
    }
    guard let token = current, token.kind == .word, token.keyword == nil else {
      throw expected("an address", after: "\(verb.text) to")
    }
    if token.isReference {
      guard let name = reference() else { throw Refused() }
      return Spanned(TargetSyntax(address: .reference(name.value), ports: nil), name.span)
    }
    index += 1
    guard let target = value(token, TargetText.parse) else { throw Refused() }
    return target
  }

  /// A target alone, in a map of them.
  mutating func targetOnly() -> TargetSyntax? {
    do {
      guard let token = current, token.kind == .word, token.keyword == nil, !token.isReference else {
        throw expected("an address", after: "map")
      }
      index += 1
      let target = value(token, TargetText.parse)
      refuseRest("the target")
      return hasErrors ? nil : target?.value
    } catch {
      return nil
    }
  }

  func emptySpan(before token: RuleToken) -> SourceSpan {
    let span = span(token)
    return SourceSpan(span.source, span.start, span.start)
  }

  /// `to` and a number is the port; another `to` begins a clause.
  private mutating func redirectPort() throws(Refused) -> Spanned<UInt16>? {
    guard current?.keyword == .to, let port = peek(1), port.isPlainWord,
      NumberText.startsNumber(port.text.utf8), !AddressText.looksLikeAddress(port.text.utf8)
    else { return nil }
    index += 2
    guard
      let value = value(
        port, { (text) throws(ValueTextError) in try NumberText.parse(text, "a port", in: 0...65535) })
    else { throw Refused() }
    return Spanned(UInt16(value.value), value.span)
  }

  // MARK: - Clauses

  /// Reads clauses up to the end, or to `assuming` in a statement.
  mutating func clauses() -> [Spanned<ClauseSyntax>] {
    var clauses: [Spanned<ClauseSyntax>] = []
    while let first = current {
      if context == .region, first.keyword == .assuming { break }
      let start = index
      do {
        if let clause = try clause() {
          let spanned = Spanned(clause, span(from: first))
          if !isSecond(spanned, in: clauses) { clauses.append(spanned) }
        }
      } catch {
        if index == start { index += 1 }
        skipToClause()
      }
    }
    placePorts(&clauses)
    return clauses
  }

  /// Skips what is left of a damaged clause.
  mutating func skipToClause() {
    while let token = current {
      if let keyword = token.keyword {
        if keyword.startsClause { return }
        if keyword == .not, let next = peek(1)?.keyword, next.startsClause { return }
        if keyword == .assuming, context == .region { return }
      }
      index += 1
    }
  }

  /// Reports a clause of a kind that the rule has already.
  mutating func isSecond(_ clause: Spanned<ClauseSyntax>, in clauses: [Spanned<ClauseSyntax>]) -> Bool {
    let rank = clause.value.canonicalRank
    guard
      let earlier = clauses.first(where: {
        $0.value.canonicalRank == rank
          && ($0.value.isNegated == clause.value.isNegated || !clause.value.mayStandTwice)
      })
    else { return false }
    var help = ["a rule has at most one clause of a kind"]
    var fixIts: [FixIt] = []
    if let last = clauses.last, last.span == earlier.span, earlier.value.joins(clause.value) {
      help = ["a list needs commas between its values"]
      let end = SourceSpan(earlier.span.source, earlier.span.end, earlier.span.end)
      fixIts = [FixIt("insert a comma", replace: end, with: ",")]
    } else if rank == 1 {
      help = ["write two rules, or define services and use them: `web: [tcp 443, udp 443]`, `accept $web`"]
    } else if case .endpoint(_, _, .some, _) = clause.value {
      help = ["list the addresses in one clause; `except` takes some out"]
    }
    report(
      Diagnostic(
        .ruleSecondClause, at: clause.span, "a second \(clause.value.kindName)",
        label: "the rule has one already", related: [Diagnostic.Label(earlier.span, "the first")],
        help: help, fixIts: fixIts))
    return true
  }

  /// Puts all ports where canonical text has them.
  mutating func placePorts(_ clauses: inout [Spanned<ClauseSyntax>]) {
    placeDestinationPorts(&clauses)
    placeSourcePorts(&clauses)
    checkSourcePorts(clauses)
  }

  /// Gives the source ports to the first of two `from`: `not` before addresses does not negate ports, so both
  /// places mean the same.
  private mutating func placeSourcePorts(_ clauses: inout [Spanned<ClauseSyntax>]) {
    func index(negated: Bool) -> Int? {
      clauses.firstIndex {
        if case .endpoint(.from, negated, _, _) = $0.value { true } else { false }
      }
    }
    guard let first = index(negated: false), let second = index(negated: true),
      case .endpoint(_, _, let addresses, let ports) = clauses[first].value,
      case .endpoint(_, _, let excepted, let otherPorts) = clauses[second].value
    else { return }
    if ports != nil, otherPorts != nil {
      let later =
        max(clauses[first].span.start, clauses[second].span.start) == clauses[first].span.start
        ? first : second
      report(
        Diagnostic(
          .ruleSecondClause, at: clauses[later].span, "the source ports are given twice",
          label: "the second time",
          related: [Diagnostic.Label(clauses[first + second - later].span, "the first time")]))
    } else if let moved = ports ?? otherPorts {
      clauses[first].value = .endpoint(.from, negated: false, addresses: addresses, ports: moved)
      clauses[second].value = .endpoint(.from, negated: true, addresses: excepted, ports: nil)
      if addresses == nil {
        clauses[second].value = .endpoint(.from, negated: true, addresses: excepted, ports: moved)
        clauses.remove(at: first)
      }
    }
  }

  /// Moves ports written after `to` behind the protocol, where canonical text has them.
  private mutating func placeDestinationPorts(_ clauses: inout [Spanned<ClauseSyntax>]) {
    guard let (ports, span) = destinationPorts else { return }
    destinationPorts = nil
    guard let index = clauses.firstIndex(where: { $0.value.canonicalRank == 1 }) else {
      // Any earlier fault may be that of the protocol.
      if !hasErrors { reportPortsWithoutProtocol(span) }
      return
    }
    switch clauses[index].value {
    case .protocols(negated: false, let protocols, ports: nil):
      guard protocols.allSatisfy(\.value.hasPorts) else {
        reportPorts(at: span, without: protocols)
        return
      }
      clauses[index].value = .protocols(negated: false, protocols, ports: ports)
    case .protocols(negated: false, _, ports: .some):
      report(
        Diagnostic(
          .ruleSecondClause, at: span, "the destination ports are given twice", label: "the second time",
          related: [Diagnostic.Label(clauses[index].span, "the first time")],
          help: ["`port` after `to` means the same ports as those after the protocol"]))
    case .services:
      report(
        Diagnostic(
          .ruleSecondClause, at: span, "services have their own ports", label: "the second ones",
          related: [Diagnostic.Label(clauses[index].span, "the services")]))
    default:
      reportPortsWithoutProtocol(span)
    }
  }

  private mutating func checkSourcePorts(_ clauses: [Spanned<ClauseSyntax>]) {
    guard !hasErrors else { return }
    for clause in clauses {
      guard case .endpoint(_, _, _, ports: .some(let ports)) = clause.value else { continue }
      let span = ports.ports.first.map { first in ports.ports.reduce(first.span) { $0.union($1.span) } }
      switch clauses.first(where: { $0.value.canonicalRank == 1 })?.value {
      case .services(negated: false, _): break
      case .protocols(negated: false, let protocols, _):
        if !protocols.allSatisfy(\.value.hasPorts) {
          reportPorts(at: span ?? clause.span, without: protocols)
        }
      default: reportPortsWithoutProtocol(span ?? clause.span)
      }
    }
  }

  private mutating func reportPortsWithoutProtocol(_ span: SourceSpan) {
    report(
      Diagnostic(
        .rulePortsWithoutProtocol, at: span, "ports without a protocol", label: "of which protocol?",
        help: ["add `tcp` or `udp`, or `tcp, udp` for both"]))
  }

  /// The fault of ports with protocols some of which have none.
  mutating func reportPorts(at span: SourceSpan, without protocols: [Spanned<ProtocolSyntax>]) {
    guard let first = protocols.first(where: { !$0.value.hasPorts }) else { return }
    var help = ["protocols with ports are `tcp`, `udp`, `sctp`, `dccp` and `udplite`"]
    switch first.value {
    case .number(6): help = ["write `tcp`"]
    case .number(17): help = ["write `udp`"]
    case .named("dhcp"), .named("dhcpv6"), .named("mdns"):
      help = ["`\(first.value.canonicalText)` stands for a protocol and its ports already"]
    case .named("icmp"), .named("icmpv6"):
      if protocols.count > 1 { help = ["ICMP types stand after `icmp` alone, not after a list of protocols"] }
    default: break
    }
    report(
      Diagnostic(
        .rulePortsWithoutProtocol, at: span, "`\(first.value.canonicalText)` has no ports",
        label: "not ports of it", related: [Diagnostic.Label(first.span, "the protocol")], help: help))
  }
}

extension ClauseSyntax {
  /// Whether a rule may hold the clause and its negation: where a keyword keeps both apart, as in
  /// `in "eth*" in not eth0`. Of protocols, services and single words there is one.
  var mayStandTwice: Bool {
    switch self {
    case .states, .endpoint, .interfaces, .owner, .status, .mark, .tcpFlags, .ether, .numeric, .packetType:
      true
    default: false
    }
  }

  /// Whether a comma would make one list of two neighbours.
  func joins(_ next: ClauseSyntax) -> Bool {
    switch (self, next) {
    case (.states, .states(false, _)): true
    case (.protocols(_, _, ports: nil), .protocols(false, _, _)): true
    case (.services, .services(false, _)): true
    default: false
    }
  }

  /// What the clause is, in the words of a message.
  var kindName: String {
    switch self {
    case .family: "family"
    case .protocols, .icmp: "protocol"
    case .services: "clause of services"
    case .states, .anyState: "clause of states"
    case .endpoint(let direction, _, _, _): "`\(direction.rawValue)`"
    case .interfaces(let direction, _, _): "`\(direction.rawValue)`"
    case .owner(let kind, _, _): "`\(kind.rawValue)`"
    case .cgroup: "`cgroup`"
    case .status: "`status`"
    case .mark(let kind, _, _, _): "`\(kind.rawValue)`"
    case .tcpFlags: "`flags`"
    case .ether(let direction, _, _): "`ether \(direction.rawValue)`"
    case .numeric(let field, _, _): "`\(field.rawValue)`"
    case .packetType: "`type`"
    case .hours: "`hours`"
    case .days: "`days`"
    case .flag(let flag, _): "`\(flag.rawValue)`"
    case .connections: "`connections`"
    case .limit: "`limit`"
    case .quota: "`quota`"
    case .restoreMark: "`restore mark`"
    case .set(let key, _): "`set \(key.rawValue)`"
    case .saveMark: "`save mark`"
    case .update(let operation, _, _, _): "`\(operation.rawValue)`"
    case .count: "`count`"
    case .log: "`log`"
    case .with: "`with`"
    }
  }
}

extension ProtocolSyntax {
  var hasPorts: Bool {
    if case .named(let name) = self { RuleKeyword.named(name)?.hasPorts ?? false } else { false }
  }
}
