import Diagnostics
import PolicySyntax

/// Parameters: definitions of which who includes or extends the file gives the value (LANGUAGE.md §2, §5.2).
extension Checker {
  static let parameterKinds = DefinitionElementSyntax.Kind.allCases.map(\.rawValue)

  /// A value given by `with`.
  struct Argument {
    var key: SyntaxScalar
    var value: SyntaxNode
  }

  /// Reads every `with` of the files, and reports names that are no parameters.
  mutating func readArguments(of part: [PolicyFile]) {
    for file in part {
      for naming in file.namings {
        for entry in naming.parameters { readArgument(entry, of: naming, in: file) }
      }
    }
  }

  private mutating func readArgument(_ entry: SyntaxEntry, of naming: PolicyFile.Naming, in file: PolicyFile)
  {
    let name = entry.key.text
    let seen = definitions.all.filter { $0.isParameter && files.sees(naming.file, $0.span.source) }
    guard let parameter = seen.first(where: { $0.name == name }) else {
      let isFixed = definitions[name].map { files.sees(naming.file, $0.span.source) } ?? false
      error(
        .unknownParameter, entry.key.span,
        isFixed
          ? "`\(name)` is a definition with a value, and no parameter" : "there is no parameter `\(name)`",
        help: isFixed
          ? ["what another file may set is defined there as `{ parameter: KIND, default: … }`"]
          : suggestion(
            for: name, among: seen.map(\.name),
            otherwise: seen.isEmpty
              ? "`\(sources[naming.file].name)` has none"
              : "its parameters are \(seen.map { "`\($0.name)`" }.joined(separator: ", "))"),
        related: isFixed ? definitions[name].map { [Diagnostic.Label($0.span, "defined here")] } ?? [] : [])
      return
    }
    let given = arguments[name] ?? []
    if let other = given.first(where: { !$0.argument.value.saysTheSame(as: entry.value) }) {
      error(
        .parameterTwice, entry.key.span, "`\(name)` is given two values",
        help: ["a file is read once, so that its parameters have one value in a whole policy"],
        related: [
          Diagnostic.Label(other.argument.key.span, "the other value"),
          Diagnostic.Label(parameter.span, "the parameter"),
        ])
      return
    }
    arguments[name] = given + [(file.id, Argument(key: entry.key, value: entry.value))]
  }

  /// The value of a parameter in the policy that is checked: what its files give it, else its default. Of a base, a
  /// parameter without either has the value that the policy gives it which extends the base.
  func argument(_ definition: Definitions.Definition) -> SyntaxNode? {
    let given = arguments[definition.name] ?? []
    let own = given.first { argument in policyFile.map { files.sees($0, argument.file) } ?? true }
    return own?.argument.value ?? definition.node.entry("default")?.value ?? given.first?.argument.value
  }

  mutating func reportUnset(_ definition: Definitions.Definition) {
    let naming = sources[definition.span.source].namedAt
    error(
      .parameterUnset, naming ?? definition.span, "the parameter `\(definition.name)` is given no value",
      help: [
        naming == nil
          ? "it has no default: give it one here, or compile a policy that extends this one and says `with`"
          : "it has no default: give it a value by `with`"
      ],
      related: naming == nil ? [] : [Diagnostic.Label(definition.span, "the parameter")])
  }
}

extension Definitions.Definition {
  var isParameter: Bool { node.entry("parameter") != nil }
}

extension SyntaxNode {
  /// Whether two nodes hold the same texts; places and quotes do not count.
  func saysTheSame(as other: SyntaxNode) -> Bool {
    switch (content, other.content) {
    case (.scalar(let a), .scalar(let b)): a.text == b.text
    case (.sequence(let a), .sequence(let b)):
      a.count == b.count && zip(a, b).allSatisfy { $0.saysTheSame(as: $1) }
    case (.mapping(let a), .mapping(let b)):
      a.count == b.count
        && a.allSatisfy { entry in other.entry(entry.key.text)?.value.saysTheSame(as: entry.value) == true }
    default: false
    }
  }
}
