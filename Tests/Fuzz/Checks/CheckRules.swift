import Diagnostics
import PolicySyntax

/// The grammar of rules, statements, regions and elements: what is read prints as text that is read as the same.
package func checkRules(_ bytes: [UInt8]) throws(BrokenPromise) {
  let text = String(decoding: bytes, as: UTF8.self)
  var problems = DiagnosticList()
  if let rule = RuleSyntax.parse(scalar(text), diagnostics: &problems) {
    try promise(problems.isEmpty, "read, with errors")
    let canonical = rule.canonicalText
    try promise(RuleSyntax.parse(scalar(canonical), diagnostics: &problems) == rule, "another rule")
    try promise(problems.isEmpty, "canonical text has errors")
    try checkSpaces(text) { RuleSyntax.parse($0, diagnostics: &problems) == rule }
  }
  var statementProblems = DiagnosticList()
  if let statement = StatementSyntax.parse(scalar(text), diagnostics: &statementProblems) {
    let canonical = statement.canonicalText
    try promise(
      StatementSyntax.parse(scalar(canonical), diagnostics: &statementProblems) == statement,
      "another statement")
    try checkSpaces(text) { StatementSyntax.parse($0, diagnostics: &statementProblems) == statement }
  }
  var others = DiagnosticList()
  if let management = RegionSyntax.parseManagement(scalar(text), diagnostics: &others) {
    try checkSpaces(text) {
      RegionSyntax.parseManagement($0, diagnostics: &others)?.region == management.region
    }
  }
  if let addresses = AddressListSyntax.parse(scalar(text), diagnostics: &others) {
    try promise(
      AddressListSyntax.parse(scalar(addresses.canonicalText), diagnostics: &others) == addresses,
      "other addresses")
  }
  for kind in [nil] + DefinitionElementSyntax.Kind.allCases.map(Optional.some) {
    if let element = DefinitionElementSyntax.parse(scalar(text), as: kind, diagnostics: &others) {
      try checkSpaces(text) { DefinitionElementSyntax.parse($0, as: kind, diagnostics: &others) == element }
    }
  }
  if let target = TargetSyntax.parse(scalar(text), diagnostics: &others) {
    try promise(
      TargetSyntax.parse(scalar(target.canonicalText), diagnostics: &others) == target, "another target")
  }
}

private func scalar(_ text: String) -> SyntaxScalar {
  SyntaxScalar(
    text: text, style: .singleQuoted, span: SourceSpan(SourceID(0), 0, text.utf8.count + 2),
    runs: [SyntaxScalar.Run(decodedStart: 0, sourceStart: 1)])
}

private func checkSpaces(_ text: String, _ isSame: (SyntaxScalar) -> Bool) throws(BrokenPromise) {
  guard let spaced = scalar(text).respaced else { return }
  try promise(isSame(scalar(spaced)), "other spaces, another meaning")
  try promise(scalar(spaced).respaced == nil, "spaces are not the last ones")
}
