package import Diagnostics

/// An item of `expect`, `guarantee` or `delegate`: a statement, with a name or without.
package struct StatementItemSyntax: Sendable {
  package var name: Spanned<String>?
  package var statement: StatementSyntax
  package var span: SourceSpan

  package init(name: Spanned<String>?, statement: StatementSyntax, span: SourceSpan) {
    self.name = name
    self.statement = statement
    self.span = span
  }

  /// Reads `STATEMENT` or `NAME: STATEMENT`; nil if anything in it was refused.
  package static func parse(
    _ node: SyntaxNode, diagnostics: inout DiagnosticList
  ) -> StatementItemSyntax? {
    var name: Spanned<String>?
    var textNode = node
    if let entries = node.mapping {
      guard entries.count == 1, let entry = entries.first else {
        diagnostics.report(
          Diagnostic(
            .wrongType, at: node.span, "a statement is a text, or a name and a text", label: "several keys",
            help: ["begin each statement with a dash"]))
        return nil
      }
      guard RuleParser.isName(entry.key.text) else {
        node.reportAccidentalMapping(entry, "a statement", &diagnostics)
        return nil
      }
      name = Spanned(entry.key.text, entry.key.span)
      textNode = entry.value
    }
    guard let text = textNode.ruleText("a statement", diagnostics: &diagnostics),
      let statement = StatementSyntax.parse(text, diagnostics: &diagnostics)
    else { return nil }
    return StatementItemSyntax(name: name, statement: statement, span: node.span)
  }
}
