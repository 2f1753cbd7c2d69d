internal import Analysis
internal import Diagnostics
internal import PolicyChecker
package import PolicyModel

/// Whether a statement holds for a source that it is no part of.
package enum StatementDecision: Sendable {
  package struct Failure: Sendable {
    /// As the end of a sentence.
    package var reason: String
    /// An example, where it is about packets.
    package var packet: String?
    /// The rule that decides about that packet; nil: the policy of a chain, or no chain.
    package var rule: Rule?
  }

  case holds
  case fails(Failure)
  /// With the reason, as the end of a sentence.
  case unknown(String)
  /// No packet is in its region, so it says nothing.
  case empty
}

extension PolicyCompiler {
  /// Decides statements about a source, those about packets all together.
  static func decide(_ statements: [Statement], of source: ComparedSource) -> [StatementDecision] {
    let policy = source.policy
    let judge = StatementJudge(policy)
    var packets = Analysis.decide(statements.filter { $0.isAboutPackets }, of: policy)[...]
    return statements.map { statement in
      if statement.isAboutPackets, let decision = packets.popFirst() {
        return StatementDecision(decision)
      }
      if let reason = source.reasonNotToKnow(statement.body) { return .unknown(reason) }
      switch judge.judge(statement.body) {
      case .holds?: return .holds
      case .fails(let reason)?: return .fails(StatementDecision.Failure(reason: reason))
      case .unknown(let reason)?: return .unknown(reason)
      case nil: break
      }
      // What it says of settings holds.
      guard case .refines(_, let other) = statement.body,
        let finding = beyond(policy, over: other)
      else { return .holds }
      return finding.isUnknown
        ? .unknown(finding.message)
        : .fails(StatementDecision.Failure(reason: finding.message, packet: finding.example))
    }
  }
}

extension StatementDecision {
  fileprivate init(_ decision: PacketDecision) {
    switch decision {
    case .holds: self = .holds
    case .empty: self = .empty
    case .unknown(let reason): self = .unknown(reason)
    case .fails(let example):
      self = .fails(
        Failure(
          reason: "a packet of the region is \(example.fate)", packet: example.packet, rule: example.rule))
    }
  }
}

extension Statement {
  fileprivate var isAboutPackets: Bool { if case .packets = body { true } else { false } }
}

extension ComparedSource {
  /// Why nothing is known of what a statement is about; nil: it is in the source.
  func reasonNotToKnow(_ body: Statement.Body) -> String? {
    guard case .lifted(let lifted) = self else { return nil }
    if case .packets = body { return nil }
    if lifted.origin == .kernel { return "there are rules alone" }
    switch body {
    case .packets, .mount: return nil
    case .sysctl(let key, _):
      // The seal of modules is that key, and a bundle has it among its modules.
      return key == "kernel.modules_disabled" && !lifted.policy.sysctls.contains { $0.key == key }
        ? "a bundle does not hold it" : nil
    case .kernel, .module: return "a bundle does not hold it"
    case .systemCall: return "a bundle holds the program of its filter alone"
    case .refines: return "a bundle does not hold all of its policy"
    }
  }
}
