import Diagnostics

extension VerdictMapSyntax {
  /// Reads the mapping below the name of a verdict map.
  static func parse(
    _ entries: [SyntaxEntry], in node: SyntaxNode, _ diagnostics: inout DiagnosticList
  ) -> VerdictMapSyntax? {
    let known = ["dispatch", "table", "else"]
    let before = diagnostics.errorCount
    for entry in entries where !known.contains(entry.key.text) {
      RuleMappingParser.reportUnknownKey(entry.key, among: known, of: "a verdict map", &diagnostics)
    }
    func value(_ key: String, _ help: String) -> SyntaxNode? {
      if let entry = entries.first(where: { $0.key.text == key }) { return entry.value }
      diagnostics.report(
        Diagnostic(
          .ruleForm, at: node.span, "a verdict map has no `\(key)`", label: "`\(key)` is missing",
          help: [help]))
      return nil
    }
    let dispatchNode = value("dispatch", "it says what is looked up: `dispatch: tcp`")
    let tableNode = value("table", "it says what follows from each value: `table: { 22: jump ssh }`")
    let elseNode = value("else", "it says what happens to other values: `else: continue`")

    let dispatch = dispatchNode.flatMap { parseDispatch($0, &diagnostics) }
    let otherwise = elseNode.flatMap { parseVerdict($0, &diagnostics) }
    var table: [Entry] = []
    if let tableNode {
      guard let lines = tableNode.mapping else {
        diagnostics.report(
          Diagnostic(
            .wrongType, at: tableNode.span, "`table` is a mapping", label: "a \(tableNode.kindName)",
            help: ["as in `table: { 22: jump ssh }`"]))
        return nil
      }
      if lines.isEmpty {
        diagnostics.report(
          Diagnostic(
            .ruleEmpty, at: tableNode.span, "a verdict map without entries", label: "nothing to look up",
            help: ["as in `table: { 22: jump ssh }`"]))
      }
      for line in lines {
        let keys = dispatch.flatMap { parseKeys(line.key, $0, &diagnostics) }
        let verdict = parseVerdict(line.value, &diagnostics)
        if let keys, let verdict { table.append(Entry(keys: keys, verdict: verdict)) }
      }
    }
    guard diagnostics.errorCount == before, let dispatch, let otherwise else { return nil }
    return VerdictMapSyntax(dispatch: dispatch, entries: table, otherwise: otherwise)
  }

  private static func text(
    _ node: SyntaxNode, _ what: String, _ diagnostics: inout DiagnosticList
  ) -> SyntaxScalar? {
    if let scalar = node.scalar { return scalar }
    diagnostics.report(
      Diagnostic(.wrongType, at: node.span, "\(what) is a text", label: "a \(node.kindName)"))
    return nil
  }

  private static func parseDispatch(
    _ node: SyntaxNode, _ diagnostics: inout DiagnosticList
  ) -> [Spanned<Field>]? {
    guard let scalar = text(node, "`dispatch`", &diagnostics) else { return nil }
    var parser = RuleParser(scalar, context: .rule)
    let fields = parser.dispatch()
    parser.finish(&diagnostics)
    return fields
  }

  private static func parseKeys(
    _ scalar: SyntaxScalar, _ dispatch: [Spanned<Field>], _ diagnostics: inout DiagnosticList
  ) -> [Spanned<[Key]>]? {
    var parser = RuleParser(scalar, context: .rule)
    let keys = parser.mapKeys(dispatch.map(\.value))
    parser.finish(&diagnostics)
    return keys
  }

  private static func parseVerdict(
    _ node: SyntaxNode, _ diagnostics: inout DiagnosticList
  ) -> Spanned<VerdictSyntax>? {
    guard let scalar = text(node, "a verdict", &diagnostics) else { return nil }
    var parser = RuleParser(scalar, context: .rule)
    let verdict = parser.mapVerdict()
    parser.finish(&diagnostics)
    return verdict
  }
}

extension RuleParser {
  fileprivate mutating func dispatch() -> [Spanned<VerdictMapSyntax.Field>]? {
    do {
      var fields = [try dispatchField()]
      if takeWord(".") != nil { fields.append(try dispatchField()) }
      refuseRest("the fields of a verdict map")
      return hasErrors ? nil : fields
    } catch {
      return nil
    }
  }

  private mutating func dispatchField() throws(Refused) -> Spanned<VerdictMapSyntax.Field> {
    let help = ["a port protocol, `in`, `out`, `from`, `to` or `mark`, or two of them: `tcp . from`"]
    guard let token = current, let keyword = token.keyword else {
      throw expected("a field to look up", after: "dispatch", help: help)
    }
    let field: VerdictMapSyntax.Field
    switch keyword {
    case .in: field = .interface(.in)
    case .out: field = .interface(.out)
    case .from: field = .address(.from)
    case .to: field = .address(.to)
    case .mark: field = .mark
    default:
      guard keyword.hasPorts else { throw expected("a field to look up", after: "dispatch", help: help) }
      field = .port(token.text)
    }
    index += 1
    return Spanned(field, span(token))
  }

  fileprivate mutating func mapKeys(
    _ fields: [VerdictMapSyntax.Field]
  ) -> [Spanned<[VerdictMapSyntax.Key]>]? {
    do {
      let keys = try list { (p) throws(Refused) in try p.mapKey(fields) }
      refuseRest("a key")
      return hasErrors ? nil : keys
    } catch {
      return nil
    }
  }

  private mutating func mapKey(
    _ fields: [VerdictMapSyntax.Field]
  ) throws(Refused) -> Spanned<[VerdictMapSyntax.Key]>? {
    guard let first = current else { throw expected("a key") }
    var parts: [VerdictMapSyntax.Key] = []
    for (position, field) in fields.enumerated() {
      if position > 0, takeWord(".") == nil {
        throw expected(
          "`.` and the second part", after: tokens[index - 1].text, help: ["as in `22 . 10.0.0.0/8`"])
      }
      if let part = try mapKeyPart(field) { parts.append(part) }
    }
    return parts.count == fields.count ? Spanned(parts, span(from: first)) : nil
  }

  private mutating func mapKeyPart(
    _ field: VerdictMapSyntax.Field
  ) throws(Refused) -> VerdictMapSyntax.Key? {
    switch field {
    case .port: return try port(after: "table").map { .port($0.value) }
    case .interface: return try interface(after: "table").map { .interface($0.value) }
    case .address: return try address(after: "table").map { .address($0.value) }
    case .mark:
      guard let token = current, token.isPlainWord else { throw expected("a mark", after: "table") }
      index += 1
      let range = value(token) { (text) throws(ValueTextError) in
        try NumberText.parseRange(text, "a mark", in: 0...0xffff_ffff)
      }
      return range.map {
        .mark(NumericRangeSyntax(lower: UInt32($0.value.lower), upper: UInt32($0.value.upper)))
      }
    }
  }

  fileprivate mutating func mapVerdict() -> Spanned<VerdictSyntax>? {
    do {
      let verdict = try verdict()
      switch verdict.value {
      case .accept, .drop, .continue, .return, .jump, .goto: break
      case .reject, .notrack, .masquerade, .dnat, .snat, .redirect, .containers:
        throw refuse(
          .ruleUnexpected, at: verdict.span, "`\(verdict.value.canonicalText)` is no verdict of a map",
          label: "not in a verdict map",
          help: [
            "maps hold `accept`, `drop`, `continue`, `return`, `jump` and `goto`; jump to a chain that does the rest"
          ])
      }
      refuseRest("the verdict")
      return hasErrors ? nil : verdict
    } catch {
      return nil
    }
  }
}
