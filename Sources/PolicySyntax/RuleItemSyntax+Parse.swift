package import Diagnostics

extension RuleItemSyntax {
  /// Names that would be read as something else.
  static let reservedNames = ["rule", "name", "verdict", "closing"]
  static let annotations = ["name", "comment", "owner", "because", "until", "enabled", "controls"]

  /// Reads one item of a rule list in any of its five forms; nil if anything in it was refused.
  package static func parse(
    _ node: SyntaxNode, diagnostics: inout DiagnosticList
  ) -> RuleItemSyntax? {
    guard let entries = node.mapping else {
      guard let rule = rule(in: node, &diagnostics) else { return nil }
      return RuleItemSyntax(name: nil, body: .rule(rule), span: node.span).checked(&diagnostics)
    }
    let keys = entries.map(\.key.text)
    if keys.contains("rule") || keys.contains("verdict") {
      var parser = RuleMappingParser(node, entries)
      return parser.item(&diagnostics)
    }
    guard entries.count == 1, let entry = entries.first, entry.key.text != "name" else {
      reportNoForm(node, entries, &diagnostics)
      return nil
    }
    return named(entry, node, &diagnostics)
  }

  /// The item, if it has the name its verdict needs.
  func checked(_ diagnostics: inout DiagnosticList) -> RuleItemSyntax? {
    guard name == nil, case .rule(let rule) = body, case .containers(let kind) = rule.verdict.value else {
      return self
    }
    diagnostics.report(
      Diagnostic(
        .ruleForm, at: rule.verdict.span, "`containers` needs a name",
        label: "the rules it stands for are named after it",
        help: ["write `- \(kind.value): containers \(kind.value)`"]))
    return nil
  }

  private static func rule(in node: SyntaxNode, _ diagnostics: inout DiagnosticList) -> RuleSyntax? {
    node.ruleText("a rule", diagnostics: &diagnostics).flatMap {
      RuleSyntax.parse($0, diagnostics: &diagnostics)
    }
  }

  /// Forms 2 and 5: `NAME: RULE` and `NAME: {dispatch: …}`.
  private static func named(
    _ entry: SyntaxEntry, _ node: SyntaxNode, _ diagnostics: inout DiagnosticList
  ) -> RuleItemSyntax? {
    guard RuleParser.isName(entry.key.text) else {
      node.reportAccidentalMapping(entry, "a rule", &diagnostics)
      return nil
    }
    let name = ruleName(entry.key, &diagnostics)
    let body: Body?
    switch entry.value.content {
    case .mapping(let inner)
    where inner.contains(where: { $0.key.text == "rule" || $0.key.text == "verdict" }):
      diagnostics.report(
        Diagnostic(
          .ruleForm, at: entry.key.span, "a rule with further keys has its name among them",
          label: "the name as a key of its own",
          help: ["write `name: \(entry.key.text)` beside `rule`"]))
      return nil
    case .mapping(let inner):
      body = VerdictMapSyntax.parse(inner, in: entry.value, &diagnostics).map { .verdictMap($0) }
    case .sequence:
      diagnostics.report(
        Diagnostic(
          .wrongType, at: entry.value.span, "a named rule is one text", label: "a list",
          help: ["write an item for each rule: `- \(entry.key.text): accept …`"]))
      return nil
    case .scalar: body = rule(in: entry.value, &diagnostics).map { .rule($0) }
    }
    guard let name, let body else { return nil }
    return RuleItemSyntax(name: name, body: body, span: node.span)
  }

  /// Reads the name of a rule, which may be a keyword.
  static func ruleName(_ scalar: SyntaxScalar, _ diagnostics: inout DiagnosticList) -> Spanned<String>? {
    guard RuleParser.isName(scalar.text) else {
      diagnostics.report(
        Diagnostic(
          .badName, at: scalar.span, "`\(scalar.text)` is not a name", label: "the name of a rule",
          help: [RuleParser.nameHelp]))
      return nil
    }
    guard !reservedNames.contains(scalar.text) else {
      diagnostics.report(
        Diagnostic(
          .badName, at: scalar.span, "no rule can be named `\(scalar.text)`", label: "reserved",
          help: [
            scalar.text == "closing"
              ? "it is the rule that ends every chain with a closed policy" : "it is a key of rule items"
          ]))
      return nil
    }
    return Spanned(scalar.text, scalar.span)
  }

  private static func reportNoForm(
    _ node: SyntaxNode, _ entries: [SyntaxEntry], _ diagnostics: inout DiagnosticList
  ) {
    let keys = entries.map(\.key.text)
    var label = "neither `rule` nor `verdict`"
    var help = ["as in `{ name: ssh, rule: \"accept tcp 22\" }`"]
    var span = node.span
    if keys.contains("dispatch") {
      label = "a verdict map without a name"
      help = ["write `- NAME:` and the map below it, indented deeper"]
    } else if entries.count > 1, let second = entries.dropFirst().first,
      entries.allSatisfy({ RuleParser.isName($0.key.text) && $0.value.scalar != nil }),
      !keys.contains(where: annotations.contains)
    {
      label = "a second rule in one item"
      help = ["begin each rule with a dash: `- \(second.key.text): …`"]
      span = second.key.span
    } else if let (entry, key) = entries.lazy.compactMap({ entry in
      Spelling.closest(to: entry.key.text, among: ["rule", "verdict"]).map { (entry, $0) }
    }).first {
      label = "unknown key"
      help = ["did you mean `\(key)`?"]
      span = entry.key.span
    }
    diagnostics.report(
      Diagnostic(.ruleForm, at: span, "a rule item has a `rule` or a `verdict`", label: label, help: help))
  }
}
