package import Diagnostics
package import PolicyModel

/// Proofs about a checked policy: management, expectations and guarantees about packets, and what is open.
package enum Analysis {
  /// Decides every packet statement of the policy; what fails or cannot be decided is reported as an error.
  ///
  /// A guarantee that an exception names need not hold; what it was needed for is noted in the policy, and one that
  /// was not needed is an error.
  package static func prove(_ policy: inout HostPolicy, diagnostics: inout DiagnosticList) -> ProofSummary {
    let proved = Attempt.first { [policy] attempt in
      var (proved, findings) = (policy, DiagnosticList())
      let (summary, isExhausted) = prove(&proved, attempt, diagnostics: &findings)
      return ((policy: proved, summary: summary, findings: findings), isExhausted)
    }
    policy = proved.policy
    for finding in proved.findings.all { diagnostics.report(finding) }
    return proved.summary
  }

  private static func prove(
    _ policy: inout HostPolicy, _ attempt: Attempt, diagnostics: inout DiagnosticList
  ) -> (ProofSummary, isExhausted: Bool) {
    var prover = Prover(policy: policy, attempt)
    prover.proveManagement(&diagnostics)
    for statement in policy.expectations {
      prover.prove(statement, failure: .expectFailed, what: "expectation", &diagnostics)
    }
    for statement in policy.guarantees where !policy.isLoosened(statement) {
      prover.prove(statement, failure: .guaranteeFailed, what: "guarantee", &diagnostics)
    }
    for index in policy.exceptions.indices {
      guard case .guarantee(let name) = policy.exceptions[index].target,
        let guarantee = policy.guarantees.first(where: { $0.name == name }), case .packets = guarantee.body
      else { continue }
      var findings = DiagnosticList()
      prover.prove(guarantee, failure: .guaranteeFailed, what: "guarantee", &findings)
      if let finding = findings.all.first {
        policy.exceptions[index].loosened.append(
          "`\(guarantee.text)`: \(finding.help.first ?? finding.message)")
      } else {
        diagnostics.report(
          Diagnostic(
            .loosenUnused, at: policy.exceptions[index].span,
            "the guarantee `\(name)` holds, so there is nothing to loosen",
            related: [Diagnostic.Label(guarantee.span, "the guarantee")], help: ["take the exception out"]))
      }
    }
    prover.listOpenings()
    return (prover.summary, prover.isExhausted)
  }
}

/// The state of one proof run over one policy.
struct Prover {
  let policy: HostPolicy
  let firewall: Firewall
  var summary = ProofSummary()
  let ipv4: Meaning
  let ipv6: Meaning
  /// By text and place, in the order of the meanings' regions.
  private(set) var regions: [RegionKey: Int] = [:]
  private var paths: [PathKey: Diagram.Reference] = [:]

  enum Kind: Hashable {
    /// Packets that a statement is about.
    case stated
    /// Those of them whose addresses no rule must have put into a set: perhaps no rule does.
    case certain
    /// Those that open what must stay reachable, those that follow them, and those that answer.
    case opening
    case following
    case reply
    /// The same where a rule takes them out of connection tracking.
    case untrackedOpening
    case untrackedReply
  }

  struct RegionKey: Hashable {
    var kind: Kind
    var hook: Hook
    var text: String
    var span: SourceSpan
  }

  private struct PathKey: Hashable {
    var family: Families.RawValue
    var hook: Hook
    /// Whether what comes behind the hook counts.
    var isWhole: Bool
  }

  private struct OutcomesKey: Hashable {
    var family: Families.RawValue
    var hook: Hook
    var region: Int
  }

  private var outcomes: [OutcomesKey: [UInt32]] = [:]

  static let openings = [Hook.input, .forward, .output]

  init(policy: HostPolicy, _ attempt: Attempt = Attempt()) {
    self.policy = policy
    firewall = policy.firewall ?? Firewall(baseChains: [], span: policy.span)
    hasNotrack = firewall.containsRule { $0.verdict == .notrack }
    var boxes: [[PacketBox]] = []
    var regions: [RegionKey: Int] = [:]
    func add(_ kind: Kind, _ region: Region, _ packets: [PacketBox]) {
      regions[Self.key(kind, region)] = boxes.count
      boxes.append(packets)
    }
    if case .regions(let list) = policy.management {
      for region in list {
        let opening = Self.boxes(of: region, states: .new).flatMap(Self.opening)
        add(.opening, region, opening)
        add(.following, region, Self.boxes(of: region, states: .established))
        add(.reply, region, opening.map { Self.reply(to: $0, .established) })
        guard hasNotrack else { continue }
        let untracked = Self.boxes(of: region, states: .untracked).flatMap(Self.opening)
        add(.untrackedOpening, region, untracked)
        // Of a flow that tracking has not seen begin, the host's answer is what its own rules make of it.
        add(
          .untrackedReply, region, untracked.map { Self.reply(to: $0, [.new, .invalid, .untracked]) })
      }
    }
    let statements = policy.expectations + policy.guarantees
    let groups = statements.isEmpty ? [] : policy.firewall?.controlGroups ?? []
    for statement in statements {
      guard case .packets(let region, _, _) = statement.body else { continue }
      let packets = Self.boxes(of: region, states: [.new, .untracked])
      add(.stated, region, packets)
      add(.certain, region, packets.compactMap { Self.outside(policy.dynamicSets, groups, $0) })
    }
    for hook in Self.openings {
      let region = Self.everything(at: hook, policy.span)
      add(.stated, region, Self.boxes(of: region, states: [.new, .untracked]))
    }
    self.regions = regions
    ipv4 = Meaning(.ipv4, [policy.firewall], regions: boxes, isLabelled: true, attempt: attempt)
    ipv6 = Meaning(.ipv6, [policy.firewall], regions: boxes, isLabelled: true, attempt: attempt)
    for (index, packets) in boxes.enumerated() { isEmpty[index] = packets.allSatisfy(\.isEmpty) }
    self.boxes = boxes
  }

  /// Whether some packets are tracked no more on their way.
  let hasNotrack: Bool
  private(set) var isEmpty: [Int: Bool] = [:]
  private(set) var boxes: [[PacketBox]]

  static func key(_ kind: Kind, _ region: Region) -> RegionKey {
    RegionKey(kind: kind, hook: region.hook, text: region.text, span: region.span)
  }

  static func everything(at hook: Hook, _ span: SourceSpan) -> Region {
    Region(
      hook: hook, families: .both, matches: [], hasStateClause: false, includesLoopback: false, text: "any",
      span: span)
  }

  // MARK: Asking

  /// Whether a stated region is about any packet.
  mutating func hasPackets(_ region: Region) -> Bool {
    guard let index = regions[Self.key(.stated, region)], isEmpty[index] == false else { return false }
    let canBe = [ipv4, ipv6].contains { meaning in
      let possible = meaning.existing(at: region.hook)
      return possible == Diagram.isTrue
        || meaning.diagram.and(meaning.region(index), possible) != Diagram.isFalse
        || meaning.diagram.isExhausted
    }
    guard canBe else { return false }
    // Those of a state that no packet has behind a rule without tracking are none.
    return !hasNotrack || ask(.stated, region, at: region.hook, { !$0.acceptances($1).isEmpty }).isPossible
  }

  /// One packet of a region that a place does with as `holds` says, in either family.
  enum Answer {
    case none
    case found(Finding)
    case unknown

    /// Not certainly none.
    var isPossible: Bool { if case .none = self { false } else { true } }
  }

  mutating func ask(
    _ kind: Kind, _ region: Region, at hook: Hook, isWhole: Bool = true,
    _ holds: (OutcomeTable, UInt32) -> Bool
  ) -> Answer {
    guard let index = regions[Self.key(kind, region)] else { return .unknown }
    if KernelChanges.isUnknown(boxes[index], hook, of: policy.firewall) { return .unknown }
    for meaning in [ipv4, ipv6] {
      if let outcomes = outcomes(of: index, meaning, at: hook, isWhole: isWhole) {
        if isExhausted { return .unknown }
        if !outcomes.contains(where: { holds(meaning.diagram.outcomes, $0) }) { continue }
      }
      let path = path(of: meaning, at: hook, isWhole: isWhole)
      let finding = meaning.finding(in: meaning.region(index), on: path, at: hook, holds)
      if isExhausted { return .unknown }
      if let finding { return .found(finding) }
    }
    return .none
  }

  /// What packets of a region come to, where that needs no diagram of all packets; nil: it does.
  private mutating func outcomes(
    of region: Int, _ meaning: Meaning, at hook: Hook, isWhole: Bool
  ) -> [UInt32]? {
    guard paths[PathKey(family: meaning.family.rawValue, hook: hook, isWhole: isWhole)] == nil else {
      return nil
    }
    let steps = isWhole ? firewall.path(of: hook) : firewall.pathToEnd(of: hook)
    guard steps.count == 1, !isWhole || firewall.elsewhere(than: hook) == nil else { return nil }
    let key = OutcomesKey(family: meaning.family.rawValue, hook: hook, region: region)
    if let known = outcomes[key] { return known }
    let result = meaning.outcomes(0, steps[0], of: region)
    outcomes[key] = result
    return result
  }

  func meaning(_ family: Families) -> Meaning { family == .ipv4 ? ipv4 : ipv6 }

  var isExhausted: Bool { ipv4.diagram.isExhausted || ipv6.diagram.isExhausted }

  /// What becomes of the packets of a stated region on the way that it is about; nil: could not tell.
  mutating func outcomes(of region: Region, _ family: Families) -> Diagram.Reference? {
    guard let index = regions[Self.key(.stated, region)],
      !KernelChanges.isUnknown(boxes[index], region.hook, of: policy.firewall)
    else { return nil }
    let meaning = meaning(family)
    let path = path(of: meaning, at: region.hook, isWhole: true)
    let packets = meaning.diagram.and(meaning.region(index), meaning.possible(at: region.hook))
    let outcomes = meaning.diagram.choose(packets, path, Diagram.impossible)
    return meaning.diagram.isExhausted ? nil : outcomes
  }

  mutating func path(of meaning: Meaning, at hook: Hook, isWhole: Bool) -> Diagram.Reference {
    let key = PathKey(family: meaning.family.rawValue, hook: hook, isWhole: isWhole)
    if let known = paths[key] { return known }
    let path =
      isWhole
      ? meaning.path(0, firewall.path(of: hook), at: hook, elsewhere: firewall.elsewhere(than: hook))
      : meaning.path(0, firewall.pathToEnd(of: hook), at: hook)
    paths[key] = path
    return path
  }

  // MARK: Regions

  /// The packets of a region as boxes; `states` replaces the default where it states none.
  static func boxes(of region: Region, states: ConntrackStates) -> [PacketBox] {
    var matches = region.matches
    if !region.hasStateClause { matches.append(Match(.states(states))) }
    if !region.includesLoopback {
      let loopback = [InterfacePattern("lo")]
      switch region.hook {
      case .ingress, .prerouting, .input:
        matches.append(Match(.interfaces(.input, loopback), isNegated: true))
      case .output, .postrouting:
        matches.append(Match(.interfaces(.output, loopback), isNegated: true))
      case .forward:
        matches.append(Match(.interfaces(.input, loopback), isNegated: true))
        matches.append(Match(.interfaces(.output, loopback), isNegated: true))
      }
    }
    return [Families.ipv4, .ipv6].filter { region.families.contains($0) }.flatMap { family in
      region.assumptions.reduce(Guard(matches: matches, family: family).boxes) { boxes, assumption in
        let assumed = Guard(assumption, family: family).boxes
        return boxes.flatMap { box in assumed.compactMap { box.intersection($0) } }
      }
    }
  }

  /// What of a box is in no set that rules fill, nor of a control group that it does not name: whether one is there
  /// nobody says. Nil: nothing.
  private static func outside(
    _ sets: [DynamicSet], _ groups: [ControlGroup], _ box: PacketBox
  ) -> PacketBox? {
    var outside = PacketBox(all: box.family)
    for group in groups where box.controlGroups[group] == nil { outside.controlGroups[group] = false }
    for set in sets where set.filler == .rules {
      for side in [AddressSide.source, .destination] {
        outside.memberships[Membership(set: set.name, side: side)] = false
      }
    }
    return box.intersection(outside)
  }

  // MARK: Expectations

  mutating func prove(
    _ statement: Statement, failure: DiagnosticID, what: String, _ diagnostics: inout DiagnosticList
  ) {
    guard case .packets(let region, let mode, let outcome) = statement.body else { return }
    guard hasPackets(region) else {
      diagnostics.report(emptyRegion(region))
      return
    }
    func violation() -> Answer {
      ask(.stated, region, at: region.hook) { Self.isViolation(mode, outcome, $0, $1) }
    }
    let answer: Answer
    if mode == .may, outcome == .accept {
      answer =
        switch mayAccept(region) {
        case .found: .none
        case .none: violation()
        case .unknown: .unknown
        }
    } else {
      answer = violation()
    }
    let counterexample: Finding
    switch answer {
    case .none:
      summary.provedStatements += 1
      return
    case .unknown:
      diagnostics.report(undecided(.expectUnproved, statement.span, "this \(what)"))
      return
    case .found(let finding): counterexample = finding
    }
    diagnostics.report(
      Diagnostic(
        failure, at: statement.span,
        "this \(what) does not hold: a packet of the region is \(Self.fate(of: counterexample))",
        related: decidedBy(counterexample),
        help: ["for example: \(Witness(from: counterexample.box, hook: region.hook).text)"]))
  }

  /// Whether an outcome of one packet breaks a statement. That some packet may be accepted, one packet that is
  /// certainly not always refused shows, see ``mayAccept(_:)``; where there is none, each breaks it.
  static func isViolation(
    _ mode: Statement.Mode, _ outcome: Statement.Outcome, _ table: OutcomeTable, _ number: UInt32
  ) -> Bool {
    let acceptances = table.acceptances(number)
    return switch (mode, outcome) {
    case (.plain, .accept): acceptances.contains(.never)
    case (.always, .accept): !acceptances.isSubset(of: .always)
    case (.sometimes, .accept): !acceptances.isSubset(of: .sometimes)
    case (.may, .accept): true
    case (_, .drop): !acceptances.isSubset(of: .never)
    case (_, .reject):
      !acceptances.isSubset(of: .never) || !acceptances.isEmpty && !table.isRejecting(number)
    }
  }

  /// A packet of a region that is certainly not always refused.
  mutating func mayAccept(_ region: Region) -> Answer {
    ask(.certain, region, at: region.hook) {
      let acceptances = $0.acceptances($1)
      return !acceptances.isEmpty && !acceptances.contains(.never)
    }
  }

  /// What becomes of a packet, in one word or a few.
  static func fate(of finding: Finding) -> String {
    switch finding.acceptances {
    case .always: "accepted"
    case .sometimes: "accepted up to a limit"
    case .never: finding.isRejected ? "rejected" : "dropped"
    default: finding.acceptances.contains(.never) ? "perhaps refused" : "perhaps accepted"
    }
  }

  func decidedBy(_ finding: Finding) -> [Diagnostic.Label] {
    guard let rule = finding.rule else { return [] }
    return [Diagnostic.Label(rule.span, "`\(rule.id)` decides here")]
  }

  func emptyRegion(_ region: Region) -> Diagnostic {
    Diagnostic(
      .expectEmptyRegion, at: region.span, "no packet is in the region `\(region.text)`",
      help: ["a statement about nothing always holds and proves nothing"])
  }

  /// Why a question about packets may stay open.
  static let limits =
    "it takes more than \(Diagram.defaultBudget) nodes, asks for what the way changes, or is about more than \(DiagramField.maximumSets) sets that are filled meanwhile"

  func undecided(_ id: DiagnosticID, _ span: SourceSpan, _ what: String) -> Diagnostic {
    Diagnostic(
      id, at: span,
      "could not tell \(what): \(Self.limits)",
      help: ["split the statement into narrower ones"])
  }
}
