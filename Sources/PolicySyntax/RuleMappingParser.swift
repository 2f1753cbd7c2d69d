import Diagnostics

/// Reads rule items that are mappings with a `rule` (form 3) or a `verdict` (form 4, the twin of the text).
///
/// A key of form 4 and its values become the tokens of the clause they stand for, and the clause is read by
/// the parser of the text: so both forms give one tree.
struct RuleMappingParser {
  let node: SyntaxNode
  let entries: [SyntaxEntry]
  var parser: RuleParser
  var clauses: [Spanned<ClauseSyntax>] = []

  init(_ node: SyntaxNode, _ entries: [SyntaxEntry]) {
    self.node = node
    self.entries = entries
    parser = RuleParser(at: node.span)
  }

  /// Keys of values that `not` can hold too.
  static let negatable = [
    "protocol", "ports", "icmp", "icmpv6", "service", "state", "from", "to", "from-port", "in", "out", "user",
    "group", "status", "mark", "connmark", "flags", "ether", "dscp", "ttl", "length", "type", "is",
  ]
  static let matches = negatable + ["family", "cgroup", "hours", "days", "not"]
  static let actions = [
    "connections", "limit", "quota", "restore", "set", "save", "add", "update", "delete", "count", "log",
  ]

  func entry(_ key: String) -> SyntaxEntry? { entries.first { $0.key.text == key } }

  mutating func item(_ diagnostics: inout DiagnosticList) -> RuleItemSyntax? {
    defer { parser.finish(&diagnostics) }
    guard let rule = entry("rule") else { return twin() }
    if let verdict = entry("verdict") {
      report(
        .ruleForm, at: verdict.key.span, "`verdict` beside `rule`",
        label: "the rule has its verdict in its text",
        help: ["leave one of them out"])
    }
    for entry in entries where entry.key.text != "rule" && entry.key.text != "verdict" {
      guard !RuleItemSyntax.annotations.contains(entry.key.text) else { continue }
      if (Self.matches + Self.actions).contains(entry.key.text) {
        report(
          .ruleForm, at: entry.key.span, "`\(entry.key.text)` beside `rule`",
          label: "clauses stand in the text of the rule",
          help: ["write it into `rule`, or write `verdict` and all clauses as keys"])
      } else {
        reportUnknownKey(entry.key, among: RuleItemSyntax.annotations + ["rule"], of: "a rule item")
      }
    }
    var found = DiagnosticList()
    let text = rule.value.ruleText("a rule", diagnostics: &found)
    let syntax = text.flatMap { RuleSyntax.parse($0, diagnostics: &found) }
    for diagnostic in found.all { parser.report(diagnostic) }
    return annotated(syntax)
  }

  /// The item with its annotations; nil if anything was refused.
  private mutating func annotated(_ rule: RuleSyntax?) -> RuleItemSyntax? {
    var found = DiagnosticList()
    let name = entry("name").flatMap { entry in
      text(entry).flatMap { RuleItemSyntax.ruleName($0, &found) }
    }
    for diagnostic in found.all { parser.report(diagnostic) }
    let comment = annotation("comment")
    let owner = annotation("owner")
    let because = annotation("because")
    let until = expiry()
    let enabled = entry("enabled").map { bool($0.value, "enabled") } ?? true
    let controls = self.controls()
    guard let rule, !parser.hasErrors else { return nil }
    var item = RuleItemSyntax(name: name, body: .rule(rule), span: node.span)
    item.comment = comment
    item.owner = owner
    item.because = because
    item.until = until
    item.enabled = enabled ?? true
    item.controls = controls
    var unnamed = DiagnosticList()
    let checked = item.checked(&unnamed)
    for diagnostic in unnamed.all { parser.report(diagnostic) }
    return checked
  }

  // MARK: - Annotations

  private mutating func annotation(_ key: String) -> Spanned<String>? {
    entry(key).flatMap { text($0) }.map { Spanned($0.text, $0.span) }
  }

  private mutating func expiry() -> Spanned<String>? {
    guard let scalar = entry("until").flatMap({ text($0) }) else { return nil }
    if scalar.text != "never" {
      let bytes = Array(scalar.text.utf8)
      do {
        _ = try QuantityText.parseDate(bytes[...])
      } catch {
        var error = error
        error.help.append("or `never`")
        parser.report(error.diagnostic(in: scalar, length: bytes.count))
        return nil
      }
    }
    return Spanned(scalar.text, scalar.span)
  }

  private mutating func controls() -> [Spanned<String>] {
    guard let entry = entry("controls") else { return [] }
    guard let items = entry.value.sequence else {
      reportType(entry.value, "`controls` is a list of texts")
      return []
    }
    var controls: [Spanned<String>] = []
    for item in items {
      guard let scalar = item.scalar else {
        reportType(item, "a control is a text")
        continue
      }
      controls.append(Spanned(scalar.text, scalar.span))
    }
    return controls
  }

  // MARK: - Values

  mutating func text(_ entry: SyntaxEntry) -> SyntaxScalar? {
    if let scalar = entry.value.scalar { return scalar }
    reportType(entry.value, "`\(entry.key.text)` is a text")
    return nil
  }

  mutating func bool(_ node: SyntaxNode, _ key: String) -> Bool? {
    switch node.scalar?.text {
    case "true": return true
    case "false": return false
    case nil: reportType(node, "`\(key)` is `true` or `false`")
    default:
      report(
        .ruleBadValue, at: node.span, "`\(key)` is `true` or `false`", label: "neither",
        help: ["write it without quotes in lower case"])
    }
    return nil
  }

  // MARK: - Faults

  mutating func report(
    _ id: DiagnosticID, at span: SourceSpan, _ message: String, label: String = "", help: [String] = []
  ) {
    parser.report(Diagnostic(id, at: span, message, label: label, help: help))
  }

  mutating func reportType(_ node: SyntaxNode, _ message: String, help: [String] = []) {
    report(.wrongType, at: node.span, message, label: "a \(node.kindName)", help: help)
  }

  mutating func reportUnknownKey(_ key: SyntaxScalar, among known: [String], of what: String) {
    var found = DiagnosticList()
    Self.reportUnknownKey(key, among: known, of: what, &found)
    for diagnostic in found.all { parser.report(diagnostic) }
  }

  static func reportUnknownKey(
    _ key: SyntaxScalar, among known: [String], of what: String, _ diagnostics: inout DiagnosticList
  ) {
    let nearest = Spelling.closest(to: key.text, among: known)
    diagnostics.report(
      Diagnostic(
        .unknownKey, at: key.span, "unknown key `\(key.text)`", label: "not a key of \(what)",
        help: [nearest.map { "did you mean `\($0)`?" } ?? "known are " + RuleParser.listing(known)],
        fixIts: nearest.map { [FixIt("write `\($0)`", replace: key.span, with: $0)] } ?? []))
  }
}

// MARK: - Form 4

extension RuleMappingParser {
  private mutating func twin() -> RuleItemSyntax? {
    let known = RuleItemSyntax.annotations + ["verdict"] + Self.matches + Self.actions
    for entry in entries where !known.contains(entry.key.text) {
      switch entry.key.text {
      case "port", "to-port", "dport":
        report(
          .unknownKey, at: entry.key.span, "unknown key `\(entry.key.text)`",
          label: "not a key of a rule item",
          help: ["destination ports are `ports`, source ports `from-port`"])
      case "with":
        report(
          .unknownKey, at: entry.key.span, "unknown key `with`", label: "not a key of a rule item",
          help: ["the kind of rejection is part of the verdict: `verdict: { reject: tcp-reset }`"])
      default: reportUnknownKey(entry.key, among: known, of: "a rule item")
      }
    }
    let negative = negatedEntries()
    let verdict = entry("verdict").flatMap { readVerdict($0) }
    readProtocols(negative)
    readEndpoints(negative)
    for key in [
      "icmp", "icmpv6", "to", "in", "out", "user", "group", "status", "mark", "connmark", "dscp", "ttl",
      "length", "type",
    ] {
      if let entry = entry(key) { readMatch(entry, negatedBy: nil) }
      if let (entry, not) = negative[key] { readMatch(entry, negatedBy: not) }
    }
    for key in ["cgroup", "hours", "days"] {
      if let entry = entry(key) { readMatch(entry, negatedBy: nil) }
    }
    for key in ["service", "state", "is", "flags", "ether"] {
      if let entry = entry(key) { readSpecial(entry, negatedBy: nil) }
      if let (entry, not) = negative[key] { readSpecial(entry, negatedBy: not) }
    }
    readFamily()
    readActions()
    parser.placePorts(&clauses)
    guard let verdict else { return annotated(nil) }
    parser.checkReject(clauses, verdict)
    if case .containers = verdict.value, let clause = clauses.first {
      report(
        .ruleUnexpected, at: clause.span, "`containers` takes no clauses",
        label: "nothing can stand beside it")
    }
    return annotated(RuleSyntax(verdict: verdict, clauses: clauses, span: node.span))
  }

  /// The entries of `not`, each with the key `not` itself.
  private mutating func negatedEntries() -> [String: (SyntaxEntry, SyntaxScalar)] {
    guard let not = entry("not") else { return [:] }
    guard let inner = not.value.mapping else {
      reportType(not.value, "`not` is a mapping", help: ["as in `not: { in: [lo] }`"])
      return [:]
    }
    var negative: [String: (SyntaxEntry, SyntaxScalar)] = [:]
    for entry in inner {
      switch entry.key.text {
      case let key where Self.negatable.contains(key): negative[key] = (entry, not.key)
      case "cgroup", "hours", "days":
        report(
          .languageNotIn1, at: entry.key.span, "a negated `\(entry.key.text)` is not in language 1",
          label: "cannot be negated")
      case "family":
        report(
          .ruleNotHere, at: entry.key.span, "`not` cannot hold `family`", label: "there are two families",
          help: ["name the other one: `family: ipv6`"])
      case let key where Self.actions.contains(key):
        report(
          .ruleNotHere, at: entry.key.span, "`not` cannot hold `\(key)`", label: "negates matches only",
          help: key == "limit" || key == "quota" ? ["what exceeds it: `\(key): { …, over: true }`"] : [])
      default: reportUnknownKey(entry.key, among: Self.negatable, of: "`not`")
      }
    }
    return negative
  }

  // MARK: - Tokens

  /// A keyword that stands for a key.
  mutating func token(_ keyword: RuleKeyword, at key: SyntaxScalar) -> RuleToken {
    parser.scalars.append(key)
    return RuleToken(
      kind: .word, text: keyword.rawValue, keyword: keyword, scalar: parser.scalars.count - 1, start: 0,
      end: key.text.utf8.count)
  }

  mutating func tokens(in scalar: SyntaxScalar) -> [RuleToken] {
    parser.scalars.append(scalar)
    var found = DiagnosticList()
    let tokens = RuleLexer(scalar, index: parser.scalars.count - 1).tokens(&found)
    for diagnostic in found.all { parser.report(diagnostic) }
    return tokens
  }

  /// The tokens of a list of terms, or of a text; nil, and reported, if there are none.
  mutating func tokens(_ entry: SyntaxEntry) -> [RuleToken]? {
    switch entry.value.content {
    case .scalar(let scalar):
      let tokens = tokens(in: scalar)
      guard !tokens.isEmpty else {
        report(.ruleEmpty, at: scalar.span, "`\(entry.key.text)` is empty", label: "expected a value")
        return nil
      }
      return tokens
    case .mapping:
      reportType(entry.value, "`\(entry.key.text)` is a list of values or a text")
      return nil
    case .sequence(let items):
      guard !items.isEmpty else {
        report(
          .ruleEmpty, at: entry.value.span, "`\(entry.key.text)` is an empty list", label: "no values",
          help: ["leave the key out to match everything"])
        return nil
      }
      var all: [RuleToken] = []
      var isGood = true
      for item in items {
        guard let scalar = item.scalar else {
          reportType(item, "a value of `\(entry.key.text)` is a text")
          isGood = false
          continue
        }
        var element = tokens(in: scalar)
        let isProtocolNumber =
          element.count == 2 && element.first?.keyword == .protocolNumber && entry.key.text == "protocol"
        guard element.count == 1 || isProtocolNumber, element.first?.kind != .comma else {
          report(
            element.isEmpty ? .ruleEmpty : .ruleUnexpected, at: scalar.span,
            "an element of `\(entry.key.text)` is one value",
            label: element.isEmpty ? "empty" : "several words",
            help: ["write an element for each, or the clause as one text; `not` is a key of its own"])
          isGood = false
          continue
        }
        element[0].isElement = true
        if let next = element.first, !all.isEmpty {
          all.append(
            RuleToken(
              kind: .comma, text: ",", keyword: nil, scalar: next.scalar, start: next.start, end: next.start))
        }
        all += element
      }
      return isGood ? all : nil
    }
  }

  /// Reads one clause from tokens that must hold nothing else.
  mutating func read(
    _ tokens: [RuleToken], of key: SyntaxScalar,
    _ clause: (inout RuleParser) throws(RuleParser.Refused) -> ClauseSyntax?
  ) {
    guard let first = tokens.first else { return }
    parser.tokens = tokens
    parser.index = 0
    do {
      let result = try clause(&parser)
      parser.refuseRest("the values of `\(key.text)`")
      if let result {
        let spanned = Spanned(result, parser.span(from: first))
        if !parser.isSecond(spanned, in: clauses) { clauses.append(spanned) }
      }
    } catch {
      // Reported; the other keys are read all the same.
    }
  }
}
