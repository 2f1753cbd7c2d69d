import PolicyModel

/// Every key of a benchmark, as ``PolicyKeys`` has those of a policy.
enum BenchmarkKeys {
  static let root = KeyTable(
    "a benchmark",
    [
      PolicyKey("benchmark", .name, "The name of this benchmark.", .required),
      PolicyKey("language", .integer(1...1), "The version of the language: 1.", .required),
      PolicyKey("description", .text(limit: nil), "What the benchmark is for."),
      PolicyKey("source", .text(limit: nil), "The document that the controls are of.", .required),
      PolicyKey("include", .list(.path), "Benchmarks whose controls are part of this one."),
      PolicyKey(
        "define", .dictionary(.name, .either([.element, .list(.element), .mapping(PolicyKeys.definition)])),
        "Lists of addresses, numbers, interfaces or services, used as `$name`."),
      PolicyKey(
        "controls", .list(.mapping(control)), "The controls, in the order of the document.", .required),
    ])

  static let control = KeyTable(
    "a control",
    [
      PolicyKey("id", .text(limit: 80), "Its id in the document, one word.", .required),
      PolicyKey("title", .text(limit: nil), "What it is about, in one line.", .required),
      PolicyKey(
        "expect", .list(.either([.statement(isNamed: false), .mapping(claim)])),
        "What must hold, all of it: statements, or `any` of several, or `closed` places.", .required),
      PolicyKey(
        "unless", .list(.statement(isNamed: false)),
        "Statements; where one holds, the control does not apply."),
      PolicyKey(
        "architectures", .list(.words(Target.Architecture.allCases.map(\.rawValue))),
        "Machines it is about; all, if not stated."),
      PolicyKey("besides", .text(limit: nil), "What else it asks for that no policy can say."),
    ])

  static let claim = KeyTable(
    "a claim",
    [
      PolicyKey("any", .list(.statement(isNamed: false)), "Statements of which one must hold."),
      PolicyKey(
        "closed", .list(.words(["input", "forward", "output"])),
        "Places where what no rule decides must be refused."),
      PolicyKey("family", .words(["ipv4", "ipv6"]), "Of `closed`: the family; both, if not stated."),
    ])
}
