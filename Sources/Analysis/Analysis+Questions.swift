import Diagnostics
package import PolicyModel

/// What a policy does with the packets that a question is about.
package struct PacketAnswer: Sendable {
  package enum Share: String, Sendable {
    case every
    case some
    case none
  }

  package struct Example: Sendable {
    package var packet: String
    /// The rule that decides; nil: several do, or the policy of a chain.
    package var rule: Rule?
    /// What decides in each base chain on the way, where no limit does.
    package var decisions: [PacketPath.Step]
  }

  /// Nil: could not tell.
  package var holds: Bool?
  /// Why nobody can tell, as the end of a sentence.
  package var reason: String?
  /// How much of the region is accepted, if only up to a limit. Nil: could not tell.
  package var share: Share?
  /// Whether a limit decides about some of what is accepted.
  package var isLimited: Bool
  /// A packet that is accepted for certain, and one that is refused, or is now and then.
  package var yes: Example?
  package var no: Example?
}

extension Analysis {
  /// Decides one statement about packets; nil if no packet is in its region.
  package static func answer(_ statement: Statement, for policy: HostPolicy) -> PacketAnswer? {
    Attempt.first { attempt in
      var prover = Prover(asking: [statement], policy, attempt)
      return (answer(statement, &prover), prover.isExhausted)
    }
  }

  private static func answer(_ statement: Statement, _ prover: inout Prover) -> PacketAnswer? {
    guard case .packets(let region, _, _) = statement.body, prover.hasPackets(region) else { return nil }
    let firewall = prover.firewall
    let policy = prover.policy
    func example(_ finding: Finding, isAccepted: Bool) -> PacketAnswer.Example {
      var tracer = PathTracer(firewall, finding.box.point(policy, at: region.hook))
      if [.always, .never].contains(finding.acceptances) { tracer.follow(firewall.path(of: region.hook)) }
      return PacketAnswer.Example(
        packet: Witness(from: finding.box, hook: region.hook).text,
        rule: isAccepted ? finding.acceptingRule : finding.rule,
        decisions: tracer.unreadable == nil ? tracer.decisions : [])
    }
    var isUnknown = false
    /// What a rule does that nobody can read, shows nothing.
    func find(_ holds: (Acceptances) -> Bool) -> Finding? {
      let answer = prover.ask(.stated, region, at: region.hook) {
        holds($0.acceptances($1)) && $0.unreadable($1).isEmpty
      }
      switch answer {
      case .found(let finding): return finding
      case .none: return nil
      case .unknown:
        isUnknown = true
        return nil
      }
    }
    let always = find { $0 == .always }
    let sometimes = find { $0.contains(.sometimes) }
    let never = find { $0.contains(.never) }
    let accepted = always ?? sometimes ?? find { $0.contains(.always) }
    switch prover.ask(.stated, region, at: region.hook, { !$0.unreadable($1).isEmpty }) {
    case .none: break
    case .found, .unknown: isUnknown = true
    }
    let share: PacketAnswer.Share? =
      accepted != nil && never != nil
      ? .some : isUnknown ? nil : accepted == nil ? PacketAnswer.Share.none : .every
    var answer = PacketAnswer(
      holds: nil, share: share, isLimited: sometimes != nil,
      yes: accepted.map { example($0, isAccepted: true) },
      no: (never ?? sometimes).map { example($0, isAccepted: false) })
    switch prover.decide(statement) {
    case .holds: answer.holds = true
    case .fails: answer.holds = false
    case .unknown(let reason): answer.reason = reason
    case .empty: return nil
    }
    return answer
  }

  /// Follows one packet of a region; nil if there is none, or nobody can tell.
  package static func path(of region: Region, in policy: HostPolicy) -> PacketPath? {
    let asked = Statement(
      name: nil, body: .packets(region, .plain, .accept), text: region.text, span: region.span)
    let found: Finding? = Attempt.first { attempt in
      var prover = Prover(asking: [asked], policy, attempt)
      guard prover.hasPackets(region),
        case .found(let finding) = prover.ask(
          .stated, region, at: region.hook, { !$0.acceptances($1).isEmpty })
      else { return (nil, prover.isExhausted) }
      return (finding, prover.isExhausted)
    }
    guard let finding = found else { return nil }
    let point = finding.box.point(policy, at: region.hook)
    let firewall = policy.firewall ?? Firewall(baseChains: [], span: policy.span)
    var tracer = PathTracer(firewall, point)
    tracer.follow(firewall.path(of: region.hook))
    let packet = Witness(from: finding.box, hook: region.hook).text
    if let reason = tracer.unreadable {
      return PacketPath(
        packet: packet, hook: region.hook, steps: tracer.steps, outcome: "could not tell: \(reason)",
        isAccepted: false, isKnown: false)
    }
    let outcome: String
    switch finding.acceptances {
    case .always: outcome = "accepted"
    case .never: outcome = finding.isRejected ? "rejected" : "dropped"
    case .sometimes: outcome = "accepted up to a limit, else \(finding.isRejected ? "rejected" : "dropped")"
    default:
      let isOrdered = !firewall.path(of: region.hook).contains { $0.chains.count > 1 }
      outcome =
        "accepted or not: it depends on "
        + (isOrdered
          ? "what a translation makes of it" : "which of the chains of one priority comes first")
    }
    return PacketPath(
      packet: packet, hook: region.hook, steps: tracer.steps, outcome: outcome,
      isAccepted: !finding.acceptances.contains(.never))
  }
}

extension PacketBox {
  /// One packet of the box: the one that ``Witness`` names.
  ///
  /// - Parameters:
  ///   - policy: its sets hold none of the addresses, and its control groups not the sender, that the box does not say so
  ///     of.
  ///   - hook: where it is met; what no packet of its path has is not there.
  func point(_ policy: HostPolicy, at hook: Hook) -> PacketBox {
    func point(_ value: UInt128) -> IntervalSet<UInt128> { IntervalSet([AddressRange(value, value)]) }
    var result = self
    for field in Field.allCases {
      let usual = Witness.usual(field, family, at: hook)
      let value = usual.first { self[field].contains($0) } ?? self[field].ranges.first?.lower ?? 0
      result[field] = point(value)
    }
    for (field, usual) in [(Field.sourceAddress, Witness.outside), (.destinationAddress, Witness.inside)] {
      result[field] = point(PacketSample.address(self[field], family, preferring: usual))
    }
    if let name = inputInterface.sample() {
      result.inputInterface = .exactly(name)
    }
    if let name = outputInterface.sample() {
      result.outputInterface = .exactly(name)
    }
    if let value = mark.sample { result.mark = MarkSet(MarkValues([AddressRange(value, value)])) }
    if result[.state].intersection(Self.trackedStates).isEmpty {
      result.connectionMark = .absent
    } else {
      let value = connectionMark.sample ?? 0
      result.connectionMark = MarkSet(MarkValues([AddressRange(value, value)]))
    }
    for group in policy.firewall?.controlGroups ?? [] {
      result.controlGroups[group] = result.controlGroups[group] ?? false
    }
    for set in policy.dynamicSets {
      for side in [AddressSide.source, .destination] {
        let question = Membership(set: set.name, side: side)
        result.memberships[question] = result.memberships[question] ?? false
      }
    }
    return result.seen(at: hook)
  }
}
