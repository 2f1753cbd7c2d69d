import Analysis
import CanonicalJSON
import Compiler
import Diagnostics
import PolicyModel

/// An answer as people and tools read it.
struct QueryReport {
  let answer: StatementAnswer
  let sources: SourceFiles
  /// What is there and was not looked at.
  let leftOut: [String]

  /// Nil: could not tell.
  var holds: Bool? {
    switch answer {
    case .packets(_, let answer): answer.holds
    case .setting(_, let failure): failure == nil
    case .unknown: nil
    }
  }

  private var verdict: String { holds.map { $0 ? "holds" : "does not hold" } ?? "could not tell" }

  var text: String {
    switch answer {
    case .unknown(let statement, let reason): return "\(statement.text): \(verdict): \(reason)\n"
    case .setting(let statement, let failure):
      return "\(statement.text): \(verdict)" + (failure.map { ": \($0)" } ?? "") + "\n"
    case .packets(let statement, let answer):
      var lines = ["\(statement.text): \(verdict)" + (answer.reason.map { ": \($0)" } ?? "")]
      if let share = answer.share {
        let limit = answer.isLimited ? ", up to a limit for some" : ""
        lines.append("accepted: \(share.rawValue) of the packets\(limit)")
      }
      if let yes = answer.yes { lines += example("yes", yes) }
      if let no = answer.no { lines += example("no", no) }
      return lines.joined(separator: "\n") + "\n"
    }
  }

  private func example(_ word: String, _ example: PacketAnswer.Example) -> [String] {
    // A packet that several chains let by is accepted by all of them.
    let decisions = example.decisions
    if let rule = example.rule, decisions.count < 2 {
      return ["\(word): \(example.packet)", "  decided by \(place(rule.span)): \(named(rule.id, rule.text))"]
    }
    if decisions.isEmpty { return ["\(word): \(example.packet)", "  no rule decides"] }
    return ["\(word): \(example.packet)"]
      + decisions.map { step in
        guard let id = step.ruleID else { return "  \(step.chain): \(step.effect)" }
        let line = step.span.map { "\(place($0)): " } ?? ""
        return "  \(step.chain): \(step.effect) by \(line)\(named(id, step.text))"
      }
  }

  private func named(_ id: String, _ text: String) -> String { text == id ? id : "\(id): \(text)" }

  private func place(_ span: SourceSpan) -> String {
    let file = sources[span.source]
    return "\(file.path):\(file.position(of: span.start).line)"
  }

  var json: JSONValue {
    func json(_ example: PacketAnswer.Example?) -> JSONValue {
      guard let example else { return .null }
      let decisions = example.decisions.map { step -> JSONValue in
        .object([
          .init("chain", .string(step.chain)), .init("effect", .string(step.effect)),
          .init("line", step.ruleID == nil ? .null : step.span.map { .string(place($0)) } ?? .null),
          .init("rule", step.ruleID.map(JSONValue.string) ?? .null),
        ])
      }
      return .object([
        .init("decisions", .array(decisions)),
        .init("line", example.rule.map { .string(place($0.span)) } ?? .null),
        .init("packet", .string(example.packet)), .init("rule", example.rule.map { .string($0.id) } ?? .null),
      ])
    }
    let holds = holds.map(JSONValue.bool) ?? .null
    switch answer {
    case .unknown(let statement, let reason):
      return .object([
        .init("holds", .null), .init("not-looked-at", JSONValue(leftOut)), .init("reason", .string(reason)),
        .init("statement", .string(statement.text)),
      ])
    case .setting(let statement, let failure):
      return .object([
        .init("holds", holds), .init("not-looked-at", JSONValue(leftOut)),
        .init("reason", failure.map(JSONValue.string) ?? .null),
        .init("statement", .string(statement.text)),
      ])
    case .packets(let statement, let answer):
      return .object([
        .init("accepted", answer.share.map { .string($0.rawValue) } ?? .null), .init("holds", holds),
        .init("limited", .bool(answer.isLimited)), .init("no", json(answer.no)),
        .init("not-looked-at", JSONValue(leftOut)),
        .init("reason", answer.reason.map(JSONValue.string) ?? .null),
        .init("statement", .string(statement.text)), .init("yes", json(answer.yes)),
      ])
    }
  }
}
