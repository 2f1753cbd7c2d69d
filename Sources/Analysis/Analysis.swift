package import Diagnostics
package import PolicyModel

/// Proofs about a checked policy: management, expectations and guarantees about packets, and what is open.
package enum Analysis {
  /// Decides every packet statement of the policy; what fails or cannot be decided is reported as an error.
  ///
  /// A guarantee that an exception names need not hold; what it was needed for is noted in the policy, and one that
  /// was not needed is an error.
  package static func prove(_ policy: inout HostPolicy, diagnostics: inout DiagnosticList) -> ProofSummary {
    var prover = Prover(policy: policy)
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
    return prover.summary
  }
}

/// The state of one proof run over one policy.
private struct Prover {
  let policy: HostPolicy
  var summary = ProofSummary()

  init(policy: HostPolicy) { self.policy = policy }

  // MARK: Places and regions

  /// The base chains a packet of a place meets, in the order it meets them (LANGUAGE.md §6.2).
  private func path(of hook: Hook) -> [BaseChain] {
    hook.path.flatMap(chains)
  }

  /// The chains of one hook, in the order a packet meets them.
  private func chains(of hook: Hook) -> [BaseChain] {
    var chains = (policy.firewall?.baseChains ?? []).filter { $0.hook == hook }
    if isTranslating, hook != .ingress, hook != .forward, !chains.contains(where: \.isNAT) {
      // What another hook has translated is translated back here.
      chains.append(
        BaseChain(
          hook: hook, isNAT: true, priority: Self.translationPriority(of: hook), policy: .accept, rules: [],
          span: policy.span))
    }
    func place(_ chain: BaseChain) -> Int32 {
      chain.isNAT ? Self.translationPriority(of: chain.hook) : chain.priority
    }
    return chains.sorted { place($0) < place($1) }
  }

  /// Nat chains of all priorities are called from here: NF_IP_PRI_NAT_DST, NF_IP_PRI_NAT_SRC of
  /// linux/netfilter_ipv4.h (`nf_nat_register_fn`).
  private static func translationPriority(of hook: Hook) -> Int32 {
    hook == .prerouting || hook == .output ? -100 : 100
  }

  private var isTranslating: Bool {
    policy.firewall?.rules.contains { if case .translate = $0.verdict { true } else { false } } ?? false
  }

  /// Where the routing decision may send packets of a path whose destination was translated.
  private func elsewhere(than hook: Hook) -> Walk.Elsewhere? {
    let before = [Hook.ingress, .prerouting].flatMap(chains).count
    return switch hook {
    case .input: Walk.Elsewhere(after: before, chains: [Hook.forward, .postrouting].flatMap(chains))
    case .forward: Walk.Elsewhere(after: before, chains: chains(of: .input))
    default: nil
    }
  }

  private func fates(of region: [PacketBox], at hook: Hook) -> [Fate]? {
    Walk.fates(
      of: region, along: path(of: hook), elsewhere: elsewhere(than: hook),
      through: policy.firewall?.regularChains ?? [])
  }

  /// The packets of a region as boxes; `states` replaces the default where it states none.
  private func boxes(of region: Region, states: ConntrackStates) -> [PacketBox] {
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
    return [Families.ipv4, .ipv6].filter { region.families.contains($0) }.flatMap {
      Guard(matches: matches, family: $0).boxes
    }
  }

  // MARK: Management

  mutating func proveManagement(_ diagnostics: inout DiagnosticList) {
    switch policy.management {
    case .none:
      summary.isManagementProved = true
    case .unstated:
      let closesInput = path(of: .input).contains { $0.policy != .accept }
      summary.isManagementProved = !closesInput
      if closesInput {
        diagnostics.report(
          Diagnostic(
            .managementMissing, .warning, at: policy.firewall?.span ?? policy.span,
            "this policy closes `input` and does not say what must stay reachable",
            help: [
              "add `management:` with the regions that must stay reachable, such as `- tcp 22`, or `management: none` for a console-only host",
              "until then the bundle says not proved, and the applier refuses it without `--force`",
            ]))
      }
    case .regions(let regions):
      var isProved = true
      for region in regions where !proveReachable(region, &diagnostics) { isProved = false }
      summary.isManagementProved = isProved
    }
  }

  private mutating func proveReachable(_ region: Region, _ diagnostics: inout DiagnosticList) -> Bool {
    let opening = boxes(of: region, states: .new).flatMap(Self.opening)
    if opening.allSatisfy(\.isEmpty) {
      diagnostics.report(emptyRegion(region))
      return false
    }
    guard let fates = self.fates(of: opening, at: region.hook) else {
      diagnostics.report(
        undecided(.managementUnproved, region.span, "whether `\(region.text)` stays reachable"))
      return false
    }
    if let closed = fates.first(where: { $0.acceptance == .never }) {
      diagnostics.report(
        unreachable(
          region, "`\(region.text)` must stay reachable, and `\(region.hook.rawValue)` refuses some of it",
          closed, region.hook))
      return false
    }
    if fates.contains(where: { $0.acceptance == .sometimes }) {
      summary.limitedManagement.append(region.text)
    }
    guard region.hook == .input else { return true }
    guard let replies = self.fates(of: opening.map(reply), at: .output) else {
      diagnostics.report(
        undecided(.managementUnproved, region.span, "whether replies to `\(region.text)` pass"))
      return false
    }
    if let closed = replies.first(where: { $0.acceptance == .never }) {
      diagnostics.report(
        unreachable(
          region, "`\(region.text)` must stay reachable, and `output` refuses its replies", closed, .output))
      return false
    }
    return true
  }

  /// Of TCP the packets that open a connection: SYN alone of FIN, SYN, RST and ACK.
  private static func opening(of box: PacketBox) -> [PacketBox] {
    let flags = (UInt128(0)...255).filter { $0 & 0x17 == 0x02 }.map { AddressRange($0, $0) }
    let tcp = IntervalSet<UInt128>([AddressRange(6, 6)])
    var others = box
    others[.transportProtocol] = box[.transportProtocol].subtracting(tcp)
    return [box.narrowed(.transportProtocol, tcp).narrowed(.tcpFlags, IntervalSet(flags)), others]
      .filter { !$0.isEmpty }
  }

  /// The established packets that answer those of the box.
  private func reply(to box: PacketBox) -> PacketBox {
    var reply = PacketBox(all: box.family)
    reply[.transportProtocol] = box[.transportProtocol]
    reply[.sourcePort] = box[.destinationPort]
    reply[.destinationPort] = box[.sourcePort]
    reply[.sourceAddress] = box[.destinationAddress]
    reply[.destinationAddress] = box[.sourceAddress]
    reply.outputInterface = box.inputInterface
    let established = UInt128(PacketBox.states.firstIndex(of: .established) ?? 1)
    reply[.state] = IntervalSet([AddressRange(established, established)])
    return reply
  }

  private func unreachable(
    _ region: Region, _ message: String, _ fate: Fate, _ hook: Hook
  ) -> Diagnostic {
    Diagnostic(
      .managementUnreachable, at: region.span, message,
      related: decidedBy(fate),
      help: ["for example: \(Witness(from: fate.box, hook: hook).text)"])
  }

  // MARK: Expectations

  mutating func prove(
    _ statement: Statement, failure: DiagnosticID, what: String, _ diagnostics: inout DiagnosticList
  ) {
    guard case .packets(let region, let mode, let outcome) = statement.body else { return }
    let packets = boxes(of: region, states: [.new, .untracked])
    if packets.allSatisfy(\.isEmpty) {
      diagnostics.report(emptyRegion(region))
      return
    }
    guard let fates = self.fates(of: packets, at: region.hook) else {
      diagnostics.report(undecided(.expectUnproved, statement.span, "this \(what)"))
      return
    }
    let counterexample: Fate? =
      switch (mode, outcome) {
      case (.plain, .accept): fates.first { $0.acceptance == .never }
      case (.always, .accept): fates.first { $0.acceptance != .always }
      case (.sometimes, .accept): fates.first { $0.acceptance != .sometimes }
      case (.may, .accept):
        fates.contains { $0.acceptance != .never && !$0.isApproximate } ? nil : fates.first
      case (_, .drop): fates.first { $0.acceptance != .never }
      case (_, .reject): fates.first { $0.acceptance != .never || !$0.isRejected }
      }
    guard let counterexample else {
      summary.provedStatements += 1
      return
    }
    let found =
      switch counterexample.acceptance {
      case .always: "accepted"
      case .sometimes: "accepted up to a limit"
      case .never: counterexample.isRejected ? "rejected" : "dropped"
      }
    diagnostics.report(
      Diagnostic(
        failure, at: statement.span, "this \(what) does not hold: a packet of the region is \(found)",
        related: decidedBy(counterexample),
        help: ["for example: \(Witness(from: counterexample.box, hook: region.hook).text)"]))
  }

  private func decidedBy(_ fate: Fate) -> [Diagnostic.Label] {
    guard let rule = fate.rule else { return [] }
    return [Diagnostic.Label(rule.span, "`\(rule.id)` decides here")]
  }

  private func emptyRegion(_ region: Region) -> Diagnostic {
    Diagnostic(
      .expectEmptyRegion, at: region.span, "no packet is in the region `\(region.text)`",
      help: ["a statement about nothing always holds and proves nothing"])
  }

  private func undecided(_ id: DiagnosticID, _ span: SourceSpan, _ what: String) -> Diagnostic {
    Diagnostic(
      id, at: span,
      "could not tell \(what): it takes more than \(Walk.budget) cuts, or asks for what the way changes",
      help: ["split the statement into narrower ones"])
  }

  // MARK: What is open

  mutating func listOpenings() {
    for hook in [Hook.input, .forward, .output] {
      let chains = path(of: hook)
      guard chains.contains(where: { $0.hook == hook && !$0.isNAT }) else {
        summary.openings.append(
          ProofSummary.Opening(
            hook: hook, ruleID: nil, text: "everything: no chain of this policy is there", isLimited: false))
        continue
      }
      let region = Region(
        hook: hook, families: .both, matches: [], hasStateClause: false, includesLoopback: false,
        text: "any", span: policy.span)
      let own = Array(chains.prefix { $0.hook != hook }) + chains.filter { $0.hook == hook }
      let regular = policy.firewall?.regularChains ?? []
      guard
        let fates = Walk.fates(
          of: boxes(of: region, states: [.new, .untracked]), along: own, through: regular)
      else {
        summary.openings.append(
          ProofSummary.Opening(
            hook: hook, ruleID: nil, text: "could not tell: too many regions", isLimited: false))
        continue
      }
      let accepted = fates.filter { $0.acceptance != .never }
      let deciding = Set(accepted.compactMap { $0.rule?.id })
      let certain = Set(accepted.filter { $0.acceptance == .always }.compactMap { $0.rule?.id })
      for rule in own.flatMap(\.rules) + regular.flatMap(\.rules) where deciding.contains(rule.id) {
        summary.openings.append(
          ProofSummary.Opening(
            hook: hook, ruleID: rule.id, text: Self.withoutVerdict(rule.text),
            isLimited: !certain.contains(rule.id)))
      }
      if accepted.contains(where: { $0.rule == nil }) {
        summary.openings.append(
          ProofSummary.Opening(hook: hook, ruleID: nil, text: "everything else", isLimited: false))
      }
    }
  }

  private static func withoutVerdict(_ text: String) -> String {
    guard let space = text.firstIndex(of: " ") else { return "everything" }
    return String(text[text.index(after: space)...])
  }
}
