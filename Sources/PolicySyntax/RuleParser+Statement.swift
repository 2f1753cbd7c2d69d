import Diagnostics

extension RuleParser {
  private static let hooks: Set<RuleKeyword> = [
    .input, .output, .forward, .prerouting, .postrouting, .ingress,
  ]
  private static let domains = ["sysctl", "kernel", "module", "syscall", "mount", "refines"]

  /// The fault of tokens behind the end of what was asked for.
  mutating func refuseRest(_ what: String) {
    guard let token = current else { return }
    index = tokens.count
    report(
      Diagnostic(
        .ruleUnexpected, at: span(from: token), "unexpected `\(token.written)` after \(what)",
        label: "nothing can follow"))
  }

  // MARK: - Statements

  mutating func statement() -> StatementSyntax? {
    guard let first = current else {
      report(
        Diagnostic(
          .ruleEmpty, at: wholeSpan, "a statement is empty", label: "expected a place or a domain",
          help: ["as in `input drop tcp 23` or `sysctl kernel.kptr_restrict at least 1`"]))
      return nil
    }
    do {
      let statement: StatementSyntax
      // Words of facts are no keywords: a zone may have such a name.
      if first.isPlainWord, Self.domains.contains(first.text), peek(1)?.keyword != .to {
        index += 1
        statement = .fact(try fact(first.text))
        refuseRest("the statement")
      } else {
        statement = .packets(try packetStatement())
      }
      return hasErrors ? nil : statement
    } catch {
      return nil
    }
  }

  private mutating func packetStatement() throws(Refused) -> PacketStatementSyntax {
    let place = try self.place()
    var mode: StatementModeSyntax?
    if let token = current, let word = token.keyword, word == .always || word == .sometimes || word == .may {
      mode = StatementModeSyntax(rawValue: token.text)
      index += 1
    }
    let verdict = try statementVerdict(mode: mode)
    let region = try self.region(after: verdict.value.rawValue)
    var assumptions: [AssumptionSyntax] = []
    while take(.assuming) != nil { assumptions.append(try assumption()) }
    refuseRest("the statement")
    return PacketStatementSyntax(
      place: place, mode: mode, verdict: verdict, region: region, assumptions: assumptions)
  }

  private mutating func statementVerdict(
    mode: StatementModeSyntax?
  ) throws(Refused) -> Spanned<StatementVerdictSyntax> {
    guard let token = current, let verdict = StatementVerdictSyntax(rawValue: token.text),
      token.kind == .word
    else {
      let after = index > 0 ? tokens[index - 1].text : nil
      if let token = current, token.isPlainWord, let foreign = ForeignWord.verdicts[token.text],
        let word = foreign.replacement
      {
        throw refuse(
          .ruleUnknownWord, at: span(token), "unknown word `\(token.text)`",
          label: "expected `accept`, `drop` or `reject`",
          help: [foreign.help], fixIts: [FixIt("write `\(word)`", replace: span(token), with: word)])
      }
      throw expected(
        mode == nil ? "`accept`, `drop` or `reject`" : "`accept`", after: after,
        help: ["as in `input drop tcp 23 from any`"])
    }
    index += 1
    if let mode, verdict != .accept {
      let word = tokens[index - 2]
      throw refuse(
        .ruleUnexpected, at: span(token), "`\(mode.rawValue)` stands before `accept` only",
        label: "not `\(verdict.rawValue)`",
        help: mode == .always
          ? ["`\(verdict.rawValue)` already means every packet of the region, always"]
          : ["`drop` is the opposite of `may accept`"],
        fixIts: mode == .always
          ? [
            FixIt(
              "leave it out", replace: span(word).union(span(token)), with: verdict.rawValue)
          ] : [])
    }
    return Spanned(verdict, span(token))
  }

  private mutating func assumption() throws(Refused) -> AssumptionSyntax {
    let set = try requiredReference("a set", after: "assuming")
    if take(.empty) != nil { return AssumptionSyntax(set: set, within: nil) }
    guard take(.within) != nil else {
      throw expected("`empty` or `within` and addresses", after: "$" + set.value)
    }
    return AssumptionSyntax(set: set, within: try addressList(after: "within"))
  }

  // MARK: - Places and regions

  private func isZone(_ token: RuleToken?) -> Bool {
    guard let token, token.kind == .word, !token.isReference else { return false }
    return token.keyword == nil || token.keyword == .host || token.keyword == .any
  }

  mutating func place() throws(Refused) -> Spanned<PlaceSyntax> {
    guard let token = current else { throw expected("a place") }
    if let keyword = token.keyword, Self.hooks.contains(keyword) {
      index += 1
      return Spanned(.hook(token.text), span(token))
    }
    if token.isPlainWord, token.text == "egress", let foreign = ForeignWord.clauses[token.text] {
      index += 1
      throw refuse(
        .languageNotIn1, at: span(token), "`egress` is not in language 1", label: "the egress hook",
        help: [foreign.help])
    }
    guard isZone(token), peek(1)?.keyword == .to else {
      let places = Self.hooks.map(\.rawValue).sorted()
      let nearest = token.isPlainWord ? Spelling.closest(to: token.text, among: places + Self.domains) : nil
      throw expected(
        "a place",
        help: [
          nearest.map { "did you mean `\($0)`?" }
            ?? "places are \(Self.listing(places)), or two zones: `lan to wan`"
        ],
        fixIts: nearest.map { [FixIt("write `\($0)`", replace: span(token), with: $0)] } ?? [])
    }
    let from = try zone(after: nil)
    index += 1
    let to = try zone(after: "to")
    return Spanned(.pair(from: from, to: to), span(from: token))
  }

  private mutating func zone(after: String?) throws(Refused) -> String {
    guard let token = current, isZone(token) else { throw expected("a zone", after: after) }
    guard token.keyword != nil || Self.isName(token.text) else {
      throw refuse(.badName, at: span(token), "`\(token.text)` is not a name", help: [Self.nameHelp])
    }
    index += 1
    return token.text
  }

  /// Clauses up to `assuming` or the end, or `any`.
  mutating func region(after: String) throws(Refused) -> RegionSyntax {
    if let any = take(.any) {
      if let next = current, next.keyword != .assuming {
        throw refuse(
          .ruleUnexpected, at: span(next), "`any` stands alone", label: "a clause beside it",
          help: ["leave `any` out"],
          fixIts: [FixIt("leave `any` out", replace: span(any).union(span(next)), with: next.text)])
      }
      return RegionSyntax(clauses: [], span: span(any))
    }
    guard let first = current, first.keyword != .assuming else {
      throw expected("a region", after: after, help: ["matches like `tcp 22 from $admin`, or `any`"])
    }
    let clauses = self.clauses()
    let span = clauses.dropFirst().reduce(clauses.first?.span ?? span(from: first)) { $0.union($1.span) }
    return RegionSyntax(clauses: clauses, span: span)
  }

  mutating func management() -> (place: Spanned<PlaceSyntax>?, region: RegionSyntax)? {
    guard let first = current else {
      report(
        Diagnostic(
          .ruleEmpty, at: wholeSpan, "a region is empty", label: "expected matches",
          help: ["as in `tcp 22 from $admin`"]))
      return nil
    }
    do {
      var place: Spanned<PlaceSyntax>?
      if let keyword = first.keyword, Self.hooks.contains(keyword) {
        place = try self.place()
      } else if isZone(first), peek(1)?.keyword == .to {
        place = try self.place()
      }
      let region = try region(after: place == nil ? first.text : tokens[index - 1].text)
      refuseRest("the region")
      return hasErrors ? nil : (place, region)
    } catch {
      return nil
    }
  }

  mutating func addressesOnly() -> AddressListSyntax? {
    guard let first = current else {
      report(
        Diagnostic(.ruleEmpty, at: wholeSpan, "a list of addresses is empty", label: "expected addresses"))
      return nil
    }
    if first.keyword == .not {
      report(
        Diagnostic(
          .ruleNotHere, at: span(first), "a definition is not negated", label: "not here",
          help: ["negate where it is used: `from not $name`"]))
      return nil
    }
    do {
      let list = try addressList(after: first.text)
      refuseRest("the addresses")
      return hasErrors ? nil : list
    } catch {
      return nil
    }
  }

  // MARK: - Facts

  private mutating func fact(_ domain: String) throws(Refused) -> FactSyntax {
    switch domain {
    case "sysctl", "kernel":
      let key = try anyWord("a key", after: domain)
      let comparison = try comparison(after: key.value)
      return domain == "sysctl" ? .sysctl(key, comparison) : .kernel(key, comparison)
    case "module", "syscall":
      let name = try anyWord("a name", after: domain)
      let denied =
        try oneOf(["denied", "allowed"], "`denied` or `allowed`", after: name.value).value == "denied"
      return domain == "module" ? .module(name, denied: denied) : .syscall(name, denied: denied)
    case "mount":
      guard let path = try path("a path", after: domain) else { throw Refused() }
      let negated = take(.not) != nil
      let flags = try list { (p) throws(Refused) in
        try p.anyWord("a mount flag", after: negated ? "not" : path.value)
      }
      if let extra = current, extra.isPlainWord, let last = flags.last {
        index = tokens.count
        throw refuse(
          .ruleUnexpected, at: span(extra), "a comma is missing before `\(extra.text)`",
          label: "a further flag?", help: ["write `\(last.value), \(extra.text)`"],
          fixIts: [
            FixIt(
              "insert a comma", replace: SourceSpan(last.span.source, last.span.end, last.span.end), with: ","
            )
          ])
      }
      return .mount(path, negated: negated, flags: flags)
    default:
      guard let path = try path("the path of a policy", after: domain) else { throw Refused() }
      return .refines(path)
    }
  }

  private mutating func comparison(after: String) throws(Refused) -> FactSyntax.Comparison {
    if takeWord("is") != nil { return .equal(try factValue(after: "is")) }
    if take(.at) != nil {
      guard takeWord("least") != nil else { throw expected("`least`", after: "at") }
      return .atLeast(try factValue(after: "at least"))
    }
    guard isAtEnd else {
      throw expected(
        "`is`, `at least` or the end", after: after,
        help: ["as in `sysctl KEY is 1` or `sysctl KEY at least 1`"])
    }
    return .mentioned
  }

  /// A word of any text: where facts ask for one, no keyword can stand.
  private mutating func anyWord(_ what: String, after: String) throws(Refused) -> Spanned<String> {
    guard let token = current, token.kind == .word, !token.isReference else {
      throw expected(what, after: after)
    }
    index += 1
    return Spanned(token.text, span(token))
  }

  private mutating func factValue(after: String) throws(Refused) -> Spanned<String> {
    guard let token = current, token.kind != .comma else { throw expected("a value", after: after) }
    index += 1
    return Spanned(token.text, span(token))
  }

  // MARK: - Definitions

  mutating func definitionElement(
    _ kind: DefinitionElementSyntax.Kind?
  ) -> Spanned<DefinitionElementSyntax>? {
    guard let first = current else {
      report(Diagnostic(.ruleEmpty, at: wholeSpan, "an element is empty", label: "expected a value"))
      return nil
    }
    let element: Spanned<DefinitionElementSyntax>?
    do {
      element = try self.element(first, kind)
    } catch {
      return nil
    }
    if let rest = current {
      let isList = rest.kind == .comma
      report(
        Diagnostic(
          .ruleUnexpected, at: span(rest), "unexpected `\(rest.written)` in an element",
          label: isList ? "one element only" : "nothing can follow",
          help: isList ? ["write a list, `[…, …]`, with each element for itself"] : []))
    }
    guard let element, !hasErrors else { return nil }
    return Spanned(element.value, span(from: first))
  }

  private mutating func element(
    _ first: RuleToken, _ kind: DefinitionElementSyntax.Kind?
  ) throws(Refused) -> Spanned<DefinitionElementSyntax>? {
    guard first.kind != .comma else { throw expected("an element") }
    if first.isReference { return reference().map { Spanned(.reference($0.value), $0.span) } }
    let bytes = Array(first.text.utf8)
    switch kind {
    case .addresses: return try address(after: "addresses").map { Spanned(.address($0.value), $0.span) }
    case .numbers: return number(first)
    case .interfaces: return interfaceElement(first)
    case .services: return try service()
    case nil:
      if first.kind == .word {
        if AddressText.looksLikeAddress(bytes) {
          index += 1
          return value(first, AddressText.parse).map { Spanned(.address(.range($0.value)), $0.span) }
        }
        if isNumber(bytes) { return number(first) }
        if first.keyword?.role == .protocolName { return try service() }
      }
      return interfaceElement(first)
    }
  }

  /// Digits, a range of them, or hexadecimal: no interface has such a name by accident.
  private func isNumber(_ bytes: [UInt8]) -> Bool {
    guard NumberText.startsNumber(bytes) else { return false }
    return bytes.starts(with: [UInt8(ascii: "0"), UInt8(ascii: "x")])
      || bytes.allSatisfy { ($0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9")) || $0 == UInt8(ascii: "-") }
  }

  private mutating func number(_ token: RuleToken) -> Spanned<DefinitionElementSyntax>? {
    index += 1
    return value(token) { (text) throws(ValueTextError) in
      let range = try NumberText.parseRange(text, "a number", in: 0...UInt64(UInt32.max))
      return .number(UInt32(range.lower), UInt32(range.upper))
    }
  }

  private mutating func interfaceElement(_ token: RuleToken) -> Spanned<DefinitionElementSyntax>? {
    index += 1
    return value(token, InterfaceText.parse).map { Spanned(.interface($0.value), $0.span) }
  }

  private mutating func service() throws(Refused) -> Spanned<DefinitionElementSyntax>? {
    guard let first = current, let name = try protocolName() else { throw Refused() }
    guard let token = current, token.kind != .comma else {
      return Spanned(.service(name, port: nil), name.span)
    }
    if token.isReference || token.keyword != nil {
      throw refuse(
        .ruleUnexpected, at: span(token), "unexpected `\(token.text)` in a service",
        label: "expected a port, a range or a service's name")
    }
    guard let port = try port(after: first.text) else { return nil }
    guard name.value.hasPorts else {
      reportPorts(at: port.span, without: [name])
      throw Refused()
    }
    return Spanned(.service(name, port: port), span(from: first))
  }
}
