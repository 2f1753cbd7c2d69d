package import Diagnostics
import PolicySyntax

/// `lockdown fmt`: a policy or fragment in its one layout, with the same meaning.
package enum PolicyFormatter {
  /// The formatted text would not be read as the file is; it must not be written.
  package struct UnfaithfulError: Error {}

  /// The file in its layout, or nil if its syntax has errors: a layout of what was not understood could hide them.
  ///
  /// What the policy means is not judged: names may be unknown and files absent.
  package static func format(
    _ file: SourceFile, diagnostics: inout DiagnosticList
  ) throws(UnfaithfulError) -> [UInt8]? {
    var syntax = DiagnosticList()
    let tree = SyntaxTree.parse(file, diagnostics: &syntax)
    if let newer = tree.root.flatMap(Checker.newerLanguage) {
      diagnostics.report(newer)
      return nil
    }
    for problem in syntax.all { diagnostics.report(problem) }
    guard let root = tree.root, !diagnostics.hasErrors else { return nil }
    var rules = RuleTexts()
    rules.visit(root, .mapping(PolicyKeys.root))
    for problem in rules.diagnostics.all where problem.severity == .error { diagnostics.report(problem) }
    guard !diagnostics.hasErrors, let output = tree.formatted(texts: rules.texts) else { return nil }
    guard isFaithful(output, to: root) else { throw UnfaithfulError() }
    return output
  }

  /// Whether a text is read without errors and as the same document, but for spaces between the words of rules.
  private static func isFaithful(_ output: [UInt8], to root: SyntaxNode) -> Bool {
    var problems = DiagnosticList()
    let file = SourceFile(id: SourceID(0), path: "", bytes: output)
    let tree = SyntaxTree.parse(file, diagnostics: &problems)
    guard problems.isEmpty, let other = tree.root else { return false }
    return isSame(root, other)
  }

  private static func isSame(_ a: SyntaxNode, _ b: SyntaxNode) -> Bool {
    switch (a.content, b.content) {
    case (.scalar(let a), .scalar(let b)): a.text.utf8.elementsEqual(b.text.utf8) || a.hasTokens(of: b)
    case (.sequence(let a), .sequence(let b)): a.count == b.count && zip(a, b).allSatisfy(isSame)
    case (.mapping(let a), .mapping(let b)):
      a.count == b.count
        && zip(a, b).allSatisfy { a, b in
          a.key.text.utf8.elementsEqual(b.key.text.utf8) && isSame(a.value, b.value)
        }
    default: false
    }
  }
}

/// The texts of rules, statements and elements with the spaces of canonical text, found by the table of keys.
private struct RuleTexts {
  /// By the offset the scalar starts at.
  var texts: [Int: String] = [:]
  var diagnostics = DiagnosticList()

  mutating func visit(_ node: SyntaxNode, _ type: ValueType) {
    switch (type, node.content) {
    case (.either(let types), _):
      if let fitting = types.first(where: { $0.accepts(node) }) { visit(node, fitting) }
    case (.mapping(let table), .mapping(let entries)):
      for entry in entries {
        if let key = table[entry.key.text] { visit(entry.value, key.type) }
      }
    case (.dictionary(_, let value), .mapping(let entries)):
      for entry in entries { visit(entry.value, value) }
    case (.list(let element), .sequence(let items)):
      for item in items { visit(item, element) }
    case (.ruleItem, _):
      if RuleItemSyntax.parse(node, diagnostics: &diagnostics) != nil { respaceRuleItem(node) }
    case (.statement, _):
      if StatementItemSyntax.parse(node, diagnostics: &diagnostics) != nil {
        respace(node.mapping?.first?.value ?? node)
      }
    case (.region, .scalar(let scalar)):
      if RegionSyntax.parseManagement(scalar, diagnostics: &diagnostics) != nil { respace(node) }
    case (.element, .scalar):
      respace(node)
    default: break
    }
  }

  /// Forms 1 to 3 and 5; what form 4 holds are values, written by generators.
  private mutating func respaceRuleItem(_ node: SyntaxNode) {
    guard let entries = node.mapping else { return respace(node) }
    if let rule = entries.first(where: { $0.key.text == "rule" }) { return respace(rule.value) }
    guard entries.count == 1, let item = entries.first, item.key.text != "verdict" else { return }
    guard let map = item.value.mapping else { return respace(item.value) }
    for entry in map {
      if let table = entry.value.mapping {
        for line in table { respace(line.value) }
      } else {
        respace(entry.value)
      }
    }
  }

  private mutating func respace(_ node: SyntaxNode) {
    guard let scalar = node.scalar, let text = scalar.respaced else { return }
    texts[scalar.span.start] = text
  }
}
