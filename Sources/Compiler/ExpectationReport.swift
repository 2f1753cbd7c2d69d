package import CanonicalJSON
package import Diagnostics
internal import PolicyModel

/// Expectations and what became of them, as people and tools read it.
package struct ExpectationReport {
  private let run: ExpectationRun
  private let source: (name: String, sources: SourceFiles)
  private let leftOut: [String]

  package init(
    _ run: ExpectationRun, of source: (name: String, sources: SourceFiles), leavingOut leftOut: [String] = []
  ) {
    self.run = run
    self.source = source
    self.leftOut = leftOut
  }

  // MARK: Text

  package var text: String {
    var lines: [String] = []
    for (file, results) in run.files {
      for result in results { lines += Self.text(result, in: file, place) }
      let holding = results.count { if case .holds = $0.decision { true } else { false } }
      let noun = results.count == 1 ? "expectation holds" : "expectations hold"
      lines.append("\(file.name): \(holding) of \(results.count) \(noun) of \(source.name)")
    }
    if let coverage = run.coverage { lines += text(coverage) }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func text(
    _ result: ExpectationRun.Result, in file: ExpectationFile, _ place: (Rule) -> String
  ) -> [String] {
    let statement = result.statement
    let name = statement.name.map { "\($0): " } ?? ""
    let headline = "\(line(statement.span, file.sources)): \(name)\(statement.text)"
    switch result.decision {
    case .holds, .empty: return []
    case .unknown(let reason): return ["could not tell: \(headline)", "  \(reason)", ""]
    case .fails(let failure):
      var lines = ["fails: \(headline)", "  \(failure.reason)"]
      if let packet = failure.packet {
        lines.append("  for example: \(packet)")
        lines.append(
          "  decided by \(failure.rule.map(place) ?? "no rule: the policy of a chain, or no chain")")
      }
      return lines + [""]
    }
  }

  private func text(_ coverage: ExpectationRun.Coverage) -> [String] {
    switch coverage {
    case .unknown: return ["coverage: could not tell: too many nodes"]
    case .rules(let undecided, let all):
      let head = "coverage: \(all - undecided.count) of \(all) rules decide about a packet of an expectation"
      return [head + (undecided.isEmpty ? "" : "; these do not:")] + undecided.map { "  \(place($0))" }
    }
  }

  private func place(_ rule: Rule) -> String {
    let text = rule.text == rule.id ? rule.id : "\(rule.id): \(rule.text)"
    return "\(Self.line(rule.span, source.sources)): \(text)"
  }

  private static func line(_ span: SourceSpan, _ sources: SourceFiles) -> String {
    let file = sources[span.source]
    return "\(file.path):\(file.position(of: span.start).line)"
  }

  // MARK: JSON

  package var json: JSONValue {
    .object([
      .init("coverage", run.coverage.map(json) ?? .null),
      .init(
        "files",
        .array(
          run.files.map { file, results in
            .object([
              .init("expectations", .array(results.map { json($0, in: file) })),
              .init("file", .string(file.name)),
            ])
          })),
      .init("not-looked-at", JSONValue(leftOut)), .init("source", .string(source.name)),
    ])
  }

  private func json(_ result: ExpectationRun.Result, in file: ExpectationFile) -> JSONValue {
    let verdict: String
    var reason: String?
    var failure: StatementDecision.Failure?
    switch result.decision {
    case .holds, .empty: verdict = "holds"
    case .unknown(let why): (verdict, reason) = ("unknown", why)
    case .fails(let found): (verdict, reason, failure) = ("fails", found.reason, found)
    }
    return .object([
      .init("line", .string(Self.line(result.statement.span, file.sources))),
      .init("name", result.statement.name.map(JSONValue.string) ?? .null),
      .init("packet", failure?.packet.map(JSONValue.string) ?? .null),
      .init("reason", reason.map(JSONValue.string) ?? .null),
      .init("rule", failure?.rule.map(json) ?? .null),
      .init("statement", .string(result.statement.text)), .init("verdict", .string(verdict)),
    ])
  }

  private func json(_ rule: Rule) -> JSONValue {
    .object([
      .init("id", .string(rule.id)), .init("line", .string(Self.line(rule.span, source.sources))),
      .init("text", .string(rule.text)),
    ])
  }

  private func json(_ coverage: ExpectationRun.Coverage) -> JSONValue {
    switch coverage {
    case .unknown: .null
    case .rules(let undecided, let all):
      .object([.init("rules", JSONValue(all)), .init("undecided", .array(undecided.map(json)))])
    }
  }
}
