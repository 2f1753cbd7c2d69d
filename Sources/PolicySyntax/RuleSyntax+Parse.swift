package import Diagnostics

extension RuleSyntax {
  /// Reads a rule; nil if anything in it was refused, each fault with a diagnostic.
  package static func parse(
    _ scalar: SyntaxScalar, diagnostics: inout DiagnosticList
  ) -> RuleSyntax? {
    var parser = RuleParser(scalar, context: .rule)
    let rule = parser.rule()
    parser.finish(&diagnostics)
    return rule
  }
}

extension RegionSyntax {
  /// Reads an entry of `management`: a region, with a place before it or without.
  package static func parseManagement(
    _ scalar: SyntaxScalar, diagnostics: inout DiagnosticList
  ) -> (place: Spanned<PlaceSyntax>?, region: RegionSyntax)? {
    var parser = RuleParser(scalar, context: .region)
    let result = parser.management()
    parser.finish(&diagnostics)
    return result
  }
}

extension AddressListSyntax {
  /// Reads addresses with their `except`, as after `from`.
  package static func parse(
    _ scalar: SyntaxScalar, diagnostics: inout DiagnosticList
  ) -> AddressListSyntax? {
    var parser = RuleParser(scalar, context: .rule)
    let result = parser.addressesOnly()
    parser.finish(&diagnostics)
    return result
  }
}

extension StatementSyntax {
  /// Reads an item of `expect`, `guarantee` or `delegate`, or a query.
  package static func parse(
    _ scalar: SyntaxScalar, diagnostics: inout DiagnosticList
  ) -> StatementSyntax? {
    var parser = RuleParser(scalar, context: .region)
    let result = parser.statement()
    parser.finish(&diagnostics)
    return result
  }
}

extension DefinitionElementSyntax {
  /// Reads one element of a `define` list.
  ///
  /// - Parameters:
  ///   - kind: what the explicit forms say their elements are; without it the text decides.
  package static func parse(
    _ scalar: SyntaxScalar, as kind: Kind? = nil, diagnostics: inout DiagnosticList
  ) -> Spanned<DefinitionElementSyntax>? {
    var parser = RuleParser(scalar, context: .rule)
    let result = parser.definitionElement(kind)
    parser.finish(&diagnostics)
    return result
  }
}

extension TargetSyntax {
  /// Reads a target of a map.
  package static func parse(_ scalar: SyntaxScalar, diagnostics: inout DiagnosticList) -> TargetSyntax? {
    var parser = RuleParser(scalar, context: .rule)
    let result = parser.targetOnly()
    parser.finish(&diagnostics)
    return result
  }
}
