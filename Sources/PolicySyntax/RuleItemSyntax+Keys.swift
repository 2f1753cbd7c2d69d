extension RuleItemSyntax {
  /// Keys of form 4 that stand for matches and may stand under `not` too.
  package static var negatableKeys: [String] { RuleMappingParser.negatable }
  /// Keys of form 4 that stand for matches and have no negation.
  package static var otherMatchKeys: [String] {
    RuleMappingParser.matches.filter { $0 != "not" && !RuleMappingParser.negatable.contains($0) }
  }
  /// Keys of form 4 that stand for stateful clauses and actions.
  package static var actionKeys: [String] { RuleMappingParser.actions }
}
