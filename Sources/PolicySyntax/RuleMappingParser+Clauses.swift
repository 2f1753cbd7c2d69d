import Diagnostics

extension RuleMappingParser {
  private static let simpleVerdicts = [
    "accept", "drop", "continue", "return", "reject", "notrack", "masquerade",
  ]

  // MARK: - The verdict

  mutating func readVerdict(_ entry: SyntaxEntry) -> Spanned<VerdictSyntax>? {
    var tokens: [RuleToken]
    var kind: Spanned<RejectKindSyntax>?
    switch entry.value.content {
    case .sequence:
      reportType(entry.value, "a verdict is a word or a mapping", help: ["as in `verdict: { jump: ssh }`"])
      return nil
    case .scalar:
      guard let words = self.tokens(entry) else { return nil }
      tokens = words
    case .mapping(let pairs):
      guard pairs.count == 1, let pair = pairs.first else {
        report(
          .ruleForm, at: entry.value.span, "a verdict is one key and its value", label: "\(pairs.count) keys",
          help: ["as in `verdict: { jump: ssh }`"])
        return nil
      }
      let known: [RuleKeyword] = [.jump, .goto, .dnat, .snat, .redirect, .containers, .reject]
      guard let verb = RuleKeyword.named(pair.key.text), known.contains(verb) else {
        reportUnknownKey(pair.key, among: known.map(\.rawValue), of: "a verdict")
        return nil
      }
      guard let scalar = text(pair) else { return nil }
      let values = self.tokens(in: scalar)
      tokens = [token(verb, at: pair.key)]
      switch verb {
      case .reject:
        parser.tokens = values
        parser.index = 0
        do {
          let found = try parser.rejectKind()
          parser.refuseRest("the kind of rejection")
          kind = found
        } catch {
          return nil
        }
      case .dnat, .snat, .redirect: tokens += [token(.to, at: pair.key)] + values
      default: tokens += values
      }
    }
    parser.tokens = tokens
    parser.index = 0
    do {
      let verdict = try parser.verdict()
      parser.refuseRest("the verdict")
      if let kind { clauses.append(Spanned(.with(kind), kind.span)) }
      return verdict
    } catch {
      return nil
    }
  }

  // MARK: - Matches

  mutating func readFamily() {
    guard let entry = entry("family"), let tokens = tokens(entry) else { return }
    read(tokens, of: entry.key) { (parser) throws(RuleParser.Refused) in
      guard let family = parser.current.flatMap({ IPFamily(rawValue: $0.text) }) else {
        throw parser.expected("`ipv4` or `ipv6`", after: "family")
      }
      parser.index += 1
      return .family(family)
    }
  }

  /// `protocol` and `ports`, which are one clause.
  mutating func readProtocols(_ negative: [String: (SyntaxEntry, SyntaxScalar)]) {
    if let (entry, not) = negative["protocol"], let values = tokens(entry) {
      read([token(.not, at: not)] + values, of: entry.key) { (parser) throws(RuleParser.Refused) in
        try parser.clause()
      }
    }
    let ports = entry("ports")
    if let ports, let (second, _) = negative["ports"] {
      report(
        .ruleSecondClause, at: second.key.span, "ports and negated ports", label: "the second ports",
        help: ["a rule has one list of ports: write the ports that are left"])
      _ = ports
      return
    }
    guard let protocols = entry("protocol") else {
      if let entry = ports ?? negative["ports"]?.0 {
        report(
          .rulePortsWithoutProtocol, at: entry.key.span, "ports without a protocol",
          label: "of which protocol?", help: ["add `protocol: [tcp]`"])
      }
      return
    }
    guard var values = tokens(protocols) else { return }
    if let ports {
      guard let portTokens = tokens(ports) else { return }
      values += portTokens
    } else if let (ports, not) = negative["ports"] {
      guard let portTokens = tokens(ports) else { return }
      values += [token(.not, at: not)] + portTokens
    }
    let hasPorts = ports != nil || negative["ports"] != nil
    read(values, of: protocols.key) { (parser) throws(RuleParser.Refused) in
      guard parser.current?.keyword?.role == .protocolName else {
        throw parser.expected("a protocol", after: "protocol")
      }
      let clause = try parser.clause()
      // In the text `icmp 8` is a type; a port it is not.
      if hasPorts, case .icmp(let family, _, let types) = clause, let first = types.first {
        let name = Spanned(ProtocolSyntax.named(family == .ipv4 ? "icmp" : "icmpv6"), protocols.value.span)
        parser.reportPorts(at: types.dropFirst().reduce(first.span) { $0.union($1.span) }, without: [name])
        throw RuleParser.Refused()
      }
      return clause
    }
  }

  /// `from` and `from-port`, which are one clause.
  mutating func readEndpoints(_ negative: [String: (SyntaxEntry, SyntaxScalar)]) {
    var ports: [RuleToken] = []
    var portKey: SyntaxScalar?
    for (entry, not) in [
      entry("from-port").map({ ($0, nil as SyntaxScalar?) }), negative["from-port"].map { ($0.0, $0.1) },
    ]
    .compactMap({ $0 }) {
      guard portKey == nil else {
        report(
          .ruleSecondClause, at: entry.key.span, "source ports and negated source ports",
          label: "the second ports",
          help: ["a rule has one list of source ports: write the ports that are left"])
        return
      }
      guard let values = tokens(entry) else { return }
      portKey = entry.key
      ports = [token(.port, at: entry.key)] + (not.map { [token(.not, at: $0)] } ?? []) + values
    }
    let addresses = [entry("from").map { ($0, nil as SyntaxScalar?) }, negative["from"].map { ($0.0, $0.1) }]
      .compactMap { $0 }
    for (position, (entry, not)) in addresses.enumerated() {
      guard let values = tokens(entry) else { continue }
      let all =
        [token(.from, at: entry.key)] + (not.map { [token(.not, at: $0)] } ?? []) + values
        + (position == 0 ? ports : [])
      read(all, of: entry.key) { (parser) throws(RuleParser.Refused) in try parser.clause() }
    }
    if addresses.isEmpty, let portKey {
      read([token(.from, at: portKey)] + ports, of: portKey) { (parser) throws(RuleParser.Refused) in
        try parser.clause()
      }
    }
  }

  /// A clause whose keyword is its key.
  mutating func readMatch(_ entry: SyntaxEntry, negatedBy not: SyntaxScalar?) {
    guard let keyword = RuleKeyword.named(entry.key.text), let values = tokens(entry) else { return }
    let all = [token(keyword, at: entry.key)] + (not.map { [token(.not, at: $0)] } ?? []) + values
    read(all, of: entry.key) { (parser) throws(RuleParser.Refused) in
      let clause = try parser.clause()
      // `icmp` with a word that is no type would be the protocol alone.
      if keyword == .icmp || keyword == .icmpv6, case .protocols = clause {
        throw parser.expected("an ICMP type", after: keyword.rawValue)
      }
      return clause
    }
  }

  /// Clauses that are not a keyword and a list.
  mutating func readSpecial(_ entry: SyntaxEntry, negatedBy not: SyntaxScalar?) {
    let isNegated = not != nil
    switch entry.key.text {
    case "service":
      guard let values = tokens(entry) else { return }
      read(values, of: entry.key) { (parser) throws(RuleParser.Refused) in
        .services(negated: isNegated, try parser.services())
      }
    case "state":
      guard let values = tokens(entry) else { return }
      read(values, of: entry.key) { (parser) throws(RuleParser.Refused) in
        .states(negated: isNegated, try parser.states())
      }
    case "is": readFlags(entry, isNegated: isNegated)
    case "flags": readTCPFlags(entry, negatedBy: not)
    default: readEther(entry, negatedBy: not)
    }
  }

  private mutating func readFlags(_ entry: SyntaxEntry, isNegated: Bool) {
    guard let values = tokens(entry) else { return }
    for value in values where value.kind != .comma {
      read([value], of: entry.key) { (parser) throws(RuleParser.Refused) in
        let word = try parser.oneOf(RuleWords.flagMatches, "a property of packets", after: "is")
        return PacketFlag(rawValue: word.value).map { .flag($0, negated: isNegated) }
      }
    }
  }

  private mutating func readTCPFlags(_ entry: SyntaxEntry, negatedBy not: SyntaxScalar?) {
    var all = [token(.flags, at: entry.key)] + (not.map { [token(.not, at: $0)] } ?? [])
    if let parts = entry.value.mapping {
      guard let found = fields(parts, ["value", "mask"], required: ["value", "mask"], of: entry) else {
        return
      }
      guard let value = found["value"].flatMap({ tokens($0) }), let maskEntry = found["mask"],
        let mask = tokens(maskEntry)
      else { return }
      all += value + [token(.of, at: maskEntry.key)] + mask
    } else {
      guard let values = tokens(entry) else { return }
      all += values
    }
    read(all, of: entry.key) { (parser) throws(RuleParser.Refused) in try parser.clause() }
  }

  private mutating func readEther(_ entry: SyntaxEntry, negatedBy not: SyntaxScalar?) {
    let negation = not.map { [token(.not, at: $0)] } ?? []
    guard let parts = entry.value.mapping else {
      guard let values = tokens(entry), let direction = values.first else { return }
      let all = [token(.ether, at: entry.key), direction] + negation + values.dropFirst()
      read(all, of: entry.key) { (parser) throws(RuleParser.Refused) in try parser.clause() }
      return
    }
    guard let found = fields(parts, ["from", "to"], required: [], of: entry) else { return }
    for keyword in [RuleKeyword.from, .to] {
      guard let part = found[keyword.rawValue], let values = tokens(part) else { continue }
      let all = [token(.ether, at: entry.key), token(keyword, at: part.key)] + negation + values
      read(all, of: part.key) { (parser) throws(RuleParser.Refused) in try parser.clause() }
    }
  }

  /// The entries of a mapping below a key, by name; nil, and reported, if one is unknown or missing.
  private mutating func fields(
    _ entries: [SyntaxEntry], _ known: [String], required: [String], of parent: SyntaxEntry
  ) -> [String: SyntaxEntry]? {
    var found: [String: SyntaxEntry] = [:]
    var isGood = true
    for entry in entries {
      if known.contains(entry.key.text) {
        found[entry.key.text] = entry
      } else {
        reportUnknownKey(entry.key, among: known, of: "`\(parent.key.text)`")
        isGood = false
      }
    }
    for key in required where found[key] == nil {
      report(
        .ruleForm, at: parent.key.span, "`\(parent.key.text)` has no `\(key)`", label: "`\(key)` is missing")
      isGood = false
    }
    if entries.isEmpty, required.isEmpty {
      report(.ruleEmpty, at: parent.value.span, "`\(parent.key.text)` is empty", label: "expected keys")
      isGood = false
    }
    return isGood ? found : nil
  }

  // MARK: - Stateful clauses and actions

  mutating func readActions() {
    for key in Self.actions {
      guard let entry = entry(key), let keyword = RuleKeyword.named(key) else { continue }
      switch entry.value.content {
      case .sequence: reportType(entry.value, "`\(key)` is a mapping or a text")
      case .scalar(let scalar):
        if keyword == .count || keyword == .log, scalar.text == "true" || scalar.text == "false" {
          if scalar.text == "true" { readAction([token(keyword, at: entry.key)], entry) }
        } else if let values = tokens(entry) {
          readAction([token(keyword, at: entry.key)] + values, entry)
        }
      case .mapping(let parts): readMapping(parts, of: entry, keyword)
      }
    }
  }

  /// - Parameters:
  ///   - before: how many errors there were before the parts were read; more leave nothing to read.
  private mutating func readAction(since before: Int? = nil, _ tokens: [RuleToken], _ entry: SyntaxEntry) {
    if let before, parser.diagnostics.errorCount > before { return }
    read(tokens, of: entry.key) { (parser) throws(RuleParser.Refused) in try parser.clause() }
  }

  private mutating func readMapping(_ parts: [SyntaxEntry], of entry: SyntaxEntry, _ keyword: RuleKeyword) {
    let before = parser.diagnostics.errorCount
    switch keyword {
    case .connections:
      guard let found = fields(parts, ["over", "up-to", "per"], required: [], of: entry) else { return }
      guard (found["over"] == nil) != (found["up-to"] == nil) else {
        report(
          .ruleForm, at: entry.key.span, "`connections` has either `over` or `up-to`",
          label: found["over"] == nil ? "neither" : "both")
        return
      }
      var all = [token(.connections, at: entry.key)]
      if let over = found["over"] {
        all += word(.over, over)
      } else if let upTo = found["up-to"] {
        all += [token(.up, at: upTo.key)] + word(.to, upTo)
      }
      readAction(since: before, all + (found["per"].map { word(.per, $0) } ?? []), entry)
    case .limit:
      guard let found = fields(parts, ["rate", "burst", "over", "per"], required: ["rate"], of: entry) else {
        return
      }
      let head = [token(.limit, at: entry.key)] + over(found["over"])
      let rate = found["rate"].flatMap { single($0) } ?? []
      let burst = found["burst"].map { word(.burst, $0) } ?? []
      let per = found["per"].map { word(.per, $0) } ?? []
      readAction(since: before, head + rate + burst + per, entry)
    case .quota:
      guard let found = fields(parts, ["size", "over"], required: ["size"], of: entry) else { return }
      readAction(
        since: before,
        [token(.quota, at: entry.key)] + over(found["over"]) + (found["size"].flatMap { single($0) } ?? []),
        entry)
    case .set:
      guard let found = fields(parts, SetKey.allCases.map(\.rawValue), required: [], of: entry) else {
        return
      }
      for key in SetKey.allCases {
        guard let part = found[key.rawValue], let keyword = RuleKeyword.named(key.rawValue) else { continue }
        readAction(since: before, [token(.set, at: entry.key)] + word(keyword, part), entry)
      }
    case .add, .update, .delete:
      guard let found = fields(parts, ["key", "set", "timeout"], required: ["key", "set"], of: entry) else {
        return
      }
      let head = [token(keyword, at: entry.key)]
      let key = found["key"].flatMap { single($0) } ?? []
      let set = found["set"].flatMap { single($0) } ?? []
      readAction(since: before, head + key + set + (found["timeout"].map { word(.timeout, $0) } ?? []), entry)
    case .log: readLog(parts, entry)
    default: reportType(entry.value, "`\(entry.key.text)` is a text")
    }
  }

  private mutating func readLog(_ parts: [SyntaxEntry], _ entry: SyntaxEntry) {
    let before = parser.diagnostics.errorCount
    let known = ["tag", "text", "level", "nflog", "at-most"]
    guard let found = fields(parts, known, required: [], of: entry) else { return }
    var all = [token(.log, at: entry.key)]
    if let tag = found["tag"] {
      if let text = found["text"] {
        report(
          .ruleForm, at: text.key.span, "`log` has either `tag` or `text`", label: "both",
          help: ["`tag: ssh` prints `ssh: `, a `text` is printed as it is"])
        return
      }
      guard let words = single(tag), let word = words.first else { return }
      guard word.isPlainWord, RuleParser.isName(word.text) else {
        report(
          .badName, at: tag.value.span, "`\(word.text)` is not a tag", label: "expected a name",
          help: ["other texts are written `text: …`", RuleParser.nameHelp])
        return
      }
      all += words
    } else if let entry = found["text"] {
      guard let scalar = text(entry) else { return }
      // The whole value is the string: what is in it needs no quotes of its own.
      parser.scalars.append(scalar)
      all.append(
        RuleToken(
          kind: .string, text: scalar.text, keyword: nil, scalar: parser.scalars.count - 1, start: 0,
          end: scalar.text.utf8.count))
    }
    if let level = found["level"] { all += word(.level, level) }
    if let nflog = found["nflog"] { all += word(.nflog, nflog) }
    if let atMost = found["at-most"] { all += [token(.at, at: atMost.key)] + word(.most, atMost) }
    readAction(since: before, all, entry)
  }

  /// A keyword and the one value of its key.
  private mutating func word(_ keyword: RuleKeyword, _ entry: SyntaxEntry) -> [RuleToken] {
    [token(keyword, at: entry.key)] + (single(entry) ?? [])
  }

  /// `over: true`
  private mutating func over(_ entry: SyntaxEntry?) -> [RuleToken] {
    guard let entry, bool(entry.value, "over") == true else { return [] }
    return [token(.over, at: entry.key)]
  }

  /// The tokens of a text that is one value.
  private mutating func single(_ entry: SyntaxEntry) -> [RuleToken]? {
    guard let scalar = text(entry) else { return nil }
    let tokens = tokens(in: scalar)
    guard tokens.count == 1, tokens[0].kind != .comma else {
      report(
        .ruleBadValue, at: scalar.span, "`\(entry.key.text)` is one value",
        label: tokens.isEmpty ? "empty" : "several words")
      return nil
    }
    return tokens
  }
}
