import Diagnostics
package import PolicyModel

/// Whether a statement about packets holds for a policy that it is no part of.
package enum PacketDecision: Sendable {
  package struct Counterexample: Sendable {
    /// What becomes of it: `dropped`, `accepted up to a limit` …
    package var fate: String
    package var packet: String
    /// Nil: the policy of a chain, or no chain.
    package var rule: Rule?
  }

  case holds
  case fails(Counterexample)
  /// With the reason, as the end of a sentence.
  case unknown(String)
  /// No packet is in its region, so it says nothing.
  case empty
}

/// Whether what no rule of a place decides is refused there.
package enum ClosedDecision: Sendable {
  case closed
  /// With the reason, as the end of a sentence.
  case open(String)
  case unknown(String)
}

extension Analysis {
  /// Decides statements about packets, all over one diagram; where that gets too large, each over one of its own.
  ///
  /// - Parameter statements: about packets; of others nothing is decided.
  package static func decide(_ statements: [Statement], of policy: HostPolicy) -> [PacketDecision] {
    func decided(_ statements: [Statement]) -> (decisions: [PacketDecision], isExhausted: Bool) {
      Attempt.first { attempt in
        var prover = Prover(asking: statements, policy, attempt)
        let decisions = statements.map { prover.decide($0) }
        return ((decisions, prover.isExhausted), prover.isExhausted)
      }
    }
    var (decisions, isExhausted) = decided(statements)
    guard isExhausted, statements.count > 1 else { return decisions }
    for (index, statement) in statements.enumerated() {
      guard case .unknown = decisions[index] else { continue }
      let alone = decided([statement])
      decisions[index] = alone.decisions[0]
      // The next ones would take as long, for nothing.
      if alone.isExhausted { break }
    }
    return decisions
  }

  /// Whether a base chain of the hook refuses what no rule with a condition decides, and there is such a packet.
  ///
  /// A chain whose rules decide about everything has a policy in name only; and one that accepts, but ends with a
  /// rule that refuses everything, is closed.
  package static func isClosed(_ hook: Hook, _ families: Families, in policy: HostPolicy) -> ClosedDecision {
    let chains = policy.firewall?.baseChains ?? []
    let asked = chains.indices.filter { chains[$0].hook == hook && !chains[$0].isNAT }
    guard !asked.isEmpty else { return .open("no chain of `\(hook.rawValue)` is there") }
    return Attempt.first { attempt in
      let prover = Prover(asking: [], policy, attempt)
      var isUnknown = false
      for family in [Families.ipv4, .ipv6] where families.contains(family) {
        let closing = asked.filter {
          chains[$0].policy != .accept || !chains[$0].closingRules(family).isEmpty
        }
        guard !closing.isEmpty else {
          return (.open("`\(hook.rawValue)` accepts what no rule decides"), false)
        }
        let answers = closing.map { prover.refusesAtEnd($0, family) }
        if answers.contains(true) { continue }
        guard answers.contains(nil) else {
          let word = family == .ipv4 ? "IPv4" : "IPv6"
          let reason = "no \(word) packet comes to the end of `\(hook.rawValue)`: its rules decide about all"
          return (.open(reason), false)
        }
        isUnknown = true
      }
      let reason = "what comes to the end of `\(hook.rawValue)` could not be told"
      return (isUnknown ? .unknown(reason) : .closed, prover.isExhausted)
    }
  }

  /// The rules that decide about no packet of any of these statements, in the order of all outputs; nil: too many
  /// nodes.
  package static func undecidedRules(_ statements: [Statement], of policy: HostPolicy) -> [Rule]? {
    let deciding: Set<String>? = Attempt.first { attempt in
      var prover = Prover(asking: statements, policy, attempt)
      var met: Set<String> = []
      for statement in statements {
        guard case .packets(let region, _, _) = statement.body else { continue }
        guard let ids = prover.decidingRules(of: region) else { return (nil, prover.isExhausted) }
        met.formUnion(ids)
      }
      return (met, prover.isExhausted)
    }
    guard let met = deciding else { return nil }
    var seen: Set<String> = []
    return (policy.firewall?.rules ?? []).filter { rule in
      guard rule.isEnabled, !met.contains(rule.id), seen.insert(rule.id).inserted else { return false }
      return switch rule.verdict {
      case .accept, .drop, .reject: true
      case .dispatch(let map): map.verdicts.contains { [.accept, .drop].contains($0) }
      default: false
      }
    }
  }
}

extension Prover {
  init(asking statements: [Statement], _ policy: HostPolicy, _ attempt: Attempt) {
    var asked = policy
    asked.management = .none
    asked.expectations = statements
    asked.guarantees = []
    self.init(policy: asked, attempt)
  }

  mutating func decide(_ statement: Statement) -> PacketDecision {
    guard case .packets(let region, let mode, let outcome) = statement.body else {
      return .unknown("it is not about packets")
    }
    guard hasPackets(region) else { return .empty }
    if mode == .may, outcome == .accept {
      switch mayAccept(region) {
      case .found: return .holds
      case .unknown: return unknown
      case .none: break
      }
      // What nobody knows may be that it is accepted.
      let perhaps = ask(.certain, region, at: region.hook) { table, number in
        table.isUnknown(number) && !table.acceptances(number).isSubset(of: .never)
      }
      if case .found(let finding) = perhaps {
        let packet = Witness(from: finding.box, hook: region.hook).text
        return .unknown("it is not known what becomes of some of these packets, for example \(packet)")
      }
    }
    func isViolation(_ table: OutcomeTable, _ number: UInt32) -> Bool {
      Self.isViolation(mode, outcome, table, number)
    }
    // A packet that no rule in doubt is about shows that it fails, whatever those rules do.
    switch ask(.stated, region, at: region.hook, { $0.unreadable($1).isEmpty && isViolation($0, $1) }) {
    case .found(let finding): return .fails(counterexample(finding, region.hook))
    case .unknown: return unknown
    case .none: break
    }
    // Whatever they do, nothing may come of it that breaks the statement.
    switch ask(.stated, region, at: region.hook, { !$0.unreadable($1).isEmpty && isViolation($0, $1) }) {
    case .none: return .holds
    case .unknown: return unknown
    case .found(let finding):
      let packet = Witness(from: finding.box, hook: region.hook).text
      return .unknown("a rule that cannot be read meets some of these packets, for example \(packet)")
    }
  }

  private var unknown: PacketDecision {
    .unknown(Self.limits)
  }

  private func counterexample(_ finding: Finding, _ hook: Hook) -> PacketDecision.Counterexample {
    PacketDecision.Counterexample(
      fate: Self.fate(of: finding), packet: Witness(from: finding.box, hook: hook).text, rule: finding.rule)
  }

  /// Whether some packet is refused by the end of one base chain; nil: could not tell.
  fileprivate func refusesAtEnd(_ chain: Int, _ family: Families) -> Bool? {
    let meaning = meaning(family)
    let path = meaning.path(0, [.chain(chain)])
    let possible = meaning.existing(at: firewall.baseChains[chain].hook)
    let outcomes = meaning.diagram.choose(possible, path, Diagram.impossible)
    if meaning.diagram.isExhausted { return nil }
    let table = meaning.diagram.outcomes
    let closing = firewall.baseChains[chain].closingRules(family)
    var isUnknown = false
    for terminal in meaning.diagram.terminals(outcomes) {
      let number = Diagram.outcome(terminal)
      guard table.acceptances(number).contains(.never),
        let label = table.deciding(number, isAccepted: false),
        label == 0 || closing.contains(meaning.rules[Int(label)].id)
      else { continue }
      if table.isUnknown(number) { isUnknown = true } else { return true }
    }
    return isUnknown ? nil : false
  }

  /// Ids of the rules that accept or refuse some packet of a region on its way; nil: could not tell.
  fileprivate mutating func decidingRules(of region: Region) -> Set<String>? {
    var ids: Set<String> = []
    for family in [Families.ipv4, .ipv6] {
      guard let outcomes = outcomes(of: region, family) else { return nil }
      let meaning = meaning(family)
      for terminal in meaning.diagram.terminals(outcomes) {
        for label in meaning.diagram.outcomes.deciding(Diagram.outcome(terminal)) where label != 0 {
          ids.insert(meaning.rules[Int(label)].id)
        }
      }
    }
    return ids
  }
}

extension BaseChain {
  /// Ids of rules that refuse whatever comes to them in a family.
  fileprivate func closingRules(_ family: Families) -> Set<String> {
    Set(
      rules.filter { rule in
        guard rule.isEnabled, rule.matches.isEmpty, !rule.isLimiting, rule.unreadable == nil,
          rule.families.contains(family)
        else { return false }
        return switch rule.verdict {
        case .drop, .reject: true
        default: false
        }
      }.map(\.id))
  }
}

extension OutcomeTable {
  /// The labels of all rules that may decide.
  fileprivate func deciding(_ number: UInt32) -> [UInt32] {
    let outcome = self[number]
    return switch outcome.kind {
    case .accept, .drop, .reject: [outcome.first]
    case .branch: deciding(outcome.first) + deciding(outcome.second)
    default: []
    }
  }
}
