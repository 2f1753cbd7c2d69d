import Diagnostics

extension PlaceSyntax {
  package var canonicalText: String {
    switch self {
    case .hook(let name): name
    case .pair(let from, let to): "\(from) to \(to)"
    }
  }
}

extension RegionSyntax {
  package var canonicalText: String {
    clauses.isEmpty ? "any" : clauses.map(\.value.canonicalText).joined(separator: " ")
  }
}

extension AssumptionSyntax {
  package var canonicalText: String {
    "assuming $\(set.value) " + (within.map { "within " + $0.canonicalText } ?? "empty")
  }
}

extension PacketStatementSyntax {
  package var canonicalText: String {
    let verdict = (mode.map { $0.rawValue + " " } ?? "") + verdict.value.rawValue
    return ([place.value.canonicalText, verdict, region.canonicalText] + assumptions.map(\.canonicalText))
      .joined(separator: " ")
  }
}

extension FactSyntax {
  package var canonicalText: String {
    switch self {
    case .sysctl(let key, let comparison): "sysctl \(key.value)" + comparison.canonicalText
    case .kernel(let key, let comparison): "kernel \(key.value)" + comparison.canonicalText
    case .module(let name, let denied): "module \(name.value) \(denied ? "denied" : "allowed")"
    case .syscall(let name, let denied): "syscall \(name.value) \(denied ? "denied" : "allowed")"
    case .mount(let path, let negated, let flags):
      "mount \(WordText.quotedIfNeeded(path.value)) \(negated ? "not " : "")"
        + flags.map(\.value).joined(separator: ", ")
    case .refines(let path): "refines " + WordText.quotedIfNeeded(path.value)
    }
  }
}

extension FactSyntax.Comparison {
  /// With a space before it, if it is anything.
  fileprivate var canonicalText: String {
    switch self {
    case .mentioned: ""
    case .equal(let value): " is " + WordText.quotedIfNeeded(value.value)
    case .atLeast(let value): " at least " + WordText.quotedIfNeeded(value.value)
    }
  }
}

extension StatementSyntax {
  /// The statement as text: parsing it gives an equal one.
  package var canonicalText: String {
    switch self {
    case .packets(let statement): statement.canonicalText
    case .fact(let fact): fact.canonicalText
    }
  }
}
