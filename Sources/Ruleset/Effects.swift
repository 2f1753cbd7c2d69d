internal import PolicyModel

/// What a rule does with the packets that meet its matches, in the order of `LANGUAGE.md` §4.1: connections, limit,
/// quota, changes, count, log, verdict.
struct Effects {
  /// One kernel rule of a generated chain: statements, and the guards that nft wants to see before them.
  struct Part {
    var protocols: [UInt8]?
    var family: Families?
    var statements: [RuleStatement]
  }

  /// What decides whether a packet comes to the effects, in order.
  private let gates: [Gate]
  private let changes: Changes
  private let counter: RuleStatement?
  private let log: Log?
  private let verdict: Verdict
  /// What decides what comes back from the chain that the verdict jumps to.
  private let verdictBehind: Verdict?
  /// Whether the verdict is to leave the chain that the rule stands in without deciding.
  let leavesChain: Bool

  init(of rule: Rule, chainPolicy: ChainPolicy?) {
    gates = Self.gates(of: rule)
    changes = rule.changes
    counter = rule.counter.map { counter in
      switch counter {
      case .anonymous: .counter(name: nil)
      case .named(let name): .counter(name: KernelName.counter(name))
      }
    }
    log = rule.log
    (verdict, verdictBehind) = Self.realized(rule.verdict, chainPolicy)
    leavesChain =
      switch verdict {
      case .return, .goto: true
      default: false
      }
  }

  /// The verdict as its chain must say it, and in a base chain what decides what comes back from `goto`.
  private static func realized(
    _ verdict: Verdict, _ chainPolicy: ChainPolicy?
  ) -> (verdict: Verdict, behind: Verdict?) {
    let ofPolicy: Verdict? =
      switch chainPolicy {
      case .accept: .accept
      case .drop: .drop
      case .reject: .reject(.automatic)
      case nil: nil
      }
    return switch (verdict, ofPolicy) {
    case (.return, let policy?): (policy, nil)
    case (.goto(let target), let policy?): (.jump(target), policy)
    default: (verdict, nil)
    }
  }

  /// What a rule does that decides and does nothing else; nil: it does more.
  static func decision(of rule: Rule) -> KernelVerdict? {
    guard rule.onlyDecides else { return nil }
    return switch rule.verdict {
    case .accept: .accept
    case .drop: .drop
    default: nil
    }
  }

  /// What a verdict alone takes: the statements of one kernel rule, or of two.
  static func statements(of verdict: Verdict, chainPolicy: ChainPolicy?) -> [[RuleStatement]] {
    let (verdict, behind) = realized(verdict, chainPolicy)
    return ([verdict] + (behind.map { [$0] } ?? [])).map { verdict in
      verdict == .continue ? [.verdict(.continue)] : effect(of: verdict).flatMap { $0.statements(in: nil) }
    }
  }

  /// Whether the verdict takes two kernel rules that must see the same packets.
  var needsChain: Bool { verdictBehind != nil }

  /// IPPROTO_TCP where the verdict answers TCP only, or a TCP option is written.
  var neededProtocol: UInt8? { verdict == .reject(.tcpReset) || changes.segmentSize != nil ? 6 : nil }

  /// Whether some packets that meet the matches go on unjudged.
  var hasBudget: Bool { !gates.isEmpty }

  /// Whether one kernel rule cannot hold all effects: one of them may end the rule, and another follows.
  var hasParts: Bool { sequence.count > 1 }

  /// Whether two kernel rules with the same effects would have two of something that must be one. An
  /// anonymous counter in each is no harm: their sum is the rule's; and what counts in a set is one set.
  var hasState: Bool { gates.contains(where: \.isPlain) || log?.atMost != nil }

  /// Whether what the rule does is written otherwise for each family.
  var isOfFamily: Bool { hasFamilyEffects || gates.contains(where: \.isOfFamily) }

  private var hasFamilyEffects: Bool { changes.dscp != nil || !changes.setUpdates.isEmpty }

  /// The statements after the comparisons, for each kernel rule. Not where a budget or a change must be
  /// shared by several.
  ///
  /// - Parameter family: the family that the rule's guard leaves; nil: both.
  func inline(in family: Families?) -> [[RuleStatement]] {
    var parts = sequence.map { $0.flatMap { $0.statements(in: family) } }
    parts[0] = gates.map { $0.statement(in: family) } + parts[0]
    return parts.map { $0.isEmpty ? [.verdict(.continue)] : $0 }
  }

  /// Whether the gates of a generated chain stand in rules of their own; else they begin the rule of the effects, and
  /// what they keep out comes to the end of the chain.
  private var separatesBudget: Bool {
    // What is written for each family takes a rule for each.
    hasParts || hasFamilyEffects || verdictBehind != nil
  }

  /// The kernel rules of the generated chain of a rule, and of further ones, each with its name. What is kept out by a
  /// gate goes `otherwise`.
  ///
  /// A gate that counts in a set cannot be inverted to send packets away: for a key that found no room in the set
  /// neither form holds. What it lets on goes to a chain of its own.
  ///
  /// - Parameters:
  ///   - families: Those of the rule.
  ///   - makeName: Gives each further chain its name.
  func inChains(
    families: Families, otherwise: KernelVerdict, makeName: () -> String
  ) -> [(name: String?, parts: [Part])] {
    // The end of the chain is a return.
    let end = otherwise == .return ? [] : [Part(statements: [.verdict(otherwise)])]
    var finished: [(name: String?, parts: [Part])] = []
    var name: String?
    var parts: [Part] = []
    var pending: [RuleStatement] = []
    for gate in gates {
      if !gate.countsInSet {
        if separatesBudget {
          parts.append(Part(statements: [gate.inverted, .verdict(otherwise)]))
        } else {
          pending.append(gate.statement(in: nil))
        }
        continue
      }
      let next = makeName()
      if gate.isOfFamily {
        for family in [Families.ipv4, .ipv6] where families.contains(family) {
          parts.append(Part(family: family, statements: [gate.statement(in: family), .verdict(.goto(next))]))
        }
      } else {
        parts.append(Part(statements: [gate.statement(in: nil), .verdict(.goto(next))]))
      }
      finished.append((name, parts + end))
      (name, parts) = (next, [])
    }
    parts += self.parts(after: pending, families: families)
    finished.append((name, parts + (pending.isEmpty ? [] : end)))
    return finished
  }

  /// The rules of the effects.
  private func parts(after pending: [RuleStatement], families: Families) -> [Part] {
    var parts: [Part] = []
    var sequence = self.sequence
    sequence[0].insert(contentsOf: pending.map(Effect.plain), at: 0)
    for effects in sequence {
      var statements: [RuleStatement] = []
      for effect in effects {
        guard effect.isOfFamily else {
          statements += effect.statements(in: nil)
          continue
        }
        // Rules of their own: the chain sees both families, and the other one must not end at the guard.
        if !statements.isEmpty { parts.append(Part(statements: statements)) }
        statements = []
        for family in [Families.ipv4, .ipv6] where families.contains(family) {
          parts.append(Part(family: family, statements: effect.statements(in: family)))
        }
      }
      guard !statements.isEmpty else { continue }
      parts.append(Part(protocols: Self.neededProtocols(statements), statements: statements))
    }
    if parts.isEmpty { parts = [Part(statements: [.verdict(.continue)])] }
    if let verdictBehind {
      parts.append(Part(statements: Self.effect(of: verdictBehind).flatMap { $0.statements(in: nil) }))
    }
    return parts
  }

  private static func neededProtocols(_ statements: [RuleStatement]) -> [UInt8]? {
    let needsTCP = statements.contains { statement in
      switch statement {
      case .reject(let reject): reject.type == 1  // NFT_REJECT_TCP_RST
      case .change(.segmentSize): true
      default: false
      }
    }
    return needsTCP ? [6] : nil
  }

  // MARK: In order

  private enum Effect {
    case plain(RuleStatement)
    /// The rate of a log, and the log.
    case limitedLog(RuleStatement, RuleStatement)
    /// May end the rule: without a connection, or with a malformed header.
    case breaking(RuleStatement)
    case dscp(UInt8)
    case setUpdate(SetUpdate)
    case reject(RejectKind)

    var mayEndTheRule: Bool {
      switch self {
      case .limitedLog, .breaking: true
      // A set that is full takes no more.
      case .setUpdate(let update): update.operation != .delete
      case .plain, .dscp, .reject: false
      }
    }

    var isOfFamily: Bool {
      switch self {
      case .dscp, .setUpdate: true
      case .plain, .limitedLog, .breaking, .reject: false
      }
    }

    func statements(in family: Families?) -> [RuleStatement] {
      switch self {
      case .plain(let statement), .breaking(let statement): [statement]
      case .limitedLog(let limit, let log): [limit, log]
      case .dscp(let code): [.change(family == .ipv6 ? .ipv6DSCP(code) : .ipv4DSCP(code))]
      case .setUpdate(let update): [.setUpdate(RuleStatement.SetUpdate(update, isV6: family == .ipv6))]
      case .reject(let kind): [.reject(RuleStatement.Reject(kind, family: family))]
      }
    }
  }

  private static func effect(of verdict: Verdict) -> [Effect] {
    switch verdict {
    case .accept: [.plain(.verdict(.accept))]
    case .drop: [.plain(.verdict(.drop))]
    // INVARIANT: `RuleLowering` takes verdict maps apart before.
    case .continue, .dispatch: []
    case .return: [.plain(.verdict(.return))]
    case .jump(let chain): [.plain(.verdict(.jump(KernelName.chain(chain))))]
    case .goto(let chain): [.plain(.verdict(.goto(KernelName.chain(chain))))]
    case .reject(let kind): [.reject(kind)]
    case .notrack: [.plain(.notrack)]
    case .translate(let translation): [.plain(RuleStatement(translation))]
    }
  }

  /// Everything after the budget, cut behind each effect that may end its kernel rule. Never empty; the last
  /// part is empty only if it is the first.
  private var sequence: [[Effect]] {
    var effects: [Effect] = []
    if changes.restoresMark { effects.append(.breaking(.change(.restoreMark))) }
    if let mark = changes.connectionMark { effects.append(.plain(.change(.connectionMark(mark)))) }
    if let code = changes.dscp { effects.append(.dscp(code)) }
    if let mark = changes.mark { effects.append(.plain(.change(.packetMark(mark)))) }
    switch changes.segmentSize {
    case nil: break
    case .pathMTU: effects.append(.breaking(.change(.segmentSize(nil))))
    case .bytes(let bytes): effects.append(.breaking(.change(.segmentSize(bytes))))
    }
    if changes.savesMark { effects.append(.plain(.change(.saveMark))) }
    effects += changes.setUpdates.map(Effect.setUpdate)
    let limitedLog = log.flatMap { log in
      log.atMost.map { Effect.limitedLog(.limit($0), RuleStatement(log)) }
    }
    // A log of its own rate comes before the count, which then stands in the rule that decides.
    if let limitedLog, verdict != .continue { effects.append(limitedLog) }
    if let counter { effects.append(.plain(counter)) }
    if let limitedLog, verdict == .continue { effects.append(limitedLog) }
    if let log, log.atMost == nil { effects.append(.plain(RuleStatement(log))) }
    effects += Self.effect(of: verdict)
    var parts: [[Effect]] = [[]]
    for (index, effect) in effects.enumerated() {
      parts[parts.count - 1].append(effect)
      if effect.mayEndTheRule, index + 1 < effects.count { parts.append([]) }
    }
    return parts
  }

  // MARK: Gates

  /// One of `connections`, `limit` and `quota`.
  private enum Gate {
    /// Inverted it holds for exactly the packets for which it otherwise would not, and takes the same tokens
    /// (`nft_limit_eval`, `nft_overquota`).
    case plain(RuleStatement, inverted: RuleStatement)
    case inSet(RuleStatement)
    /// Another set for each family.
    case inSets(ipv4: RuleStatement, ipv6: RuleStatement)

    var isPlain: Bool { if case .plain = self { true } else { false } }
    var countsInSet: Bool { !isPlain }
    var isOfFamily: Bool { if case .inSets = self { true } else { false } }

    func statement(in family: Families?) -> RuleStatement {
      switch self {
      case .plain(let statement, _), .inSet(let statement): statement
      case .inSets(let ipv4, let ipv6): family == .ipv6 ? ipv6 : ipv4
      }
    }

    /// What holds for the packets that it keeps out; only of a plain one.
    var inverted: RuleStatement {
      switch self {
      case .plain(_, let inverted): inverted
      case .inSet(let statement), .inSets(let statement, _): statement
      }
    }
  }

  private static func gates(of rule: Rule) -> [Gate] {
    guard rule.isLimiting else { return [] }
    var gates: [Gate] = []
    let sets = LimiterSets(of: rule)
    func add(_ statement: (Families?) -> RuleStatement?, isOfFamily: Bool) {
      guard let ipv4 = statement(.ipv4), let ipv6 = statement(.ipv6) else { return }
      gates.append(isOfFamily ? .inSets(ipv4: ipv4, ipv6: ipv6) : .inSet(ipv4))
    }
    add(sets.connections, isOfFamily: rule.connections?.key != nil)
    if let limit = rule.limit, limit.key == nil {
      gates.append(
        .plain(
          .limit(limit.rate, burst: limit.burst, isOver: limit.isOver),
          inverted: .limit(limit.rate, burst: limit.burst, isOver: !limit.isOver)))
    } else {
      add(sets.limit, isOfFamily: true)
    }
    if let quota = rule.quota {
      gates.append(
        .plain(
          .quota(bytes: quota.bytes, isOver: quota.isOver),
          inverted: .quota(bytes: quota.bytes, isOver: !quota.isOver)))
    }
    return gates
  }
}

extension RuleStatement {
  fileprivate init(_ log: Log) { self = .log(prefix: log.prefix, level: log.level, group: log.group) }

  /// `log … at most RATE`: the burst is the kernel's default, 5 packets or none in bytes.
  fileprivate static func limit(_ rate: Rate) -> RuleStatement {
    limit(rate, burst: rate.isBytes ? 0 : 5, isOver: false)
  }

  fileprivate static func limit(_ rate: Rate, burst: UInt32, isOver: Bool) -> RuleStatement {
    .limit(
      rate: rate.amount, seconds: rate.seconds,
      burst: Limit(isOver: isOver, rate: rate, burst: burst).kernelBurst, isBytes: rate.isBytes,
      isOver: isOver)
  }
}

extension RuleStatement.SetUpdate {
  fileprivate init(_ update: SetUpdate, isV6: Bool) {
    let operation: Expression.SetOperation =
      switch update.operation {
      case .add: .add
      case .update: .update
      case .delete: .delete
      }
    self.init(
      operation, KernelName.set(update.set, family: isV6 ? .ipv6 : .ipv4),
      key: .address(update.key.side, isV6: isV6), mask: update.key.mask(isV6: isV6), timeout: update.timeout)
  }
}

extension RuleStatement {
  /// A map of targets is the rule's only anonymous one; `RuleLowering` puts it in.
  fileprivate init(_ translation: Translation) {
    self =
      switch translation {
      case .masquerade: .masquerade
      case .redirect(let port): .redirect(port: port?.bigEndianBytes)
      case .source(let target): .nat(NAT(target, isSource: true))
      case .destination(let target): .nat(NAT(target, isSource: false))
      case .destinationByPort(let targets):
        .natMap(
          isV6: targets.first?.address.families == .ipv6, .destinationPort(header: "th"), .anonymous(-1))
      }
  }
}

extension RuleStatement.NAT {
  fileprivate init(_ target: NATTarget, isSource: Bool) {
    let bounds: (lower: [UInt8], upper: [UInt8]) =
      switch target.addresses {
      case .ipv4(let range): (range.lower.bigEndianBytes, range.upper.bigEndianBytes)
      case .ipv6(let range): (range.lower.bigEndianBytes, range.upper.bigEndianBytes)
      }
    self.init(
      isSource: isSource, isV6: target.addresses.families == .ipv6, lower: bounds.lower,
      upper: bounds.upper, isPrefix: target.isPrefix,
      ports: target.ports.map { ($0.lower.bigEndianBytes, $0.upper.bigEndianBytes) })
  }
}

extension RuleStatement.Reject {
  /// Types of linux/netfilter/nf_tables.h NFT_REJECT_*; codes of NFT_REJECT_ICMPX_*, linux/icmp.h and
  /// linux/icmpv6.h.
  ///
  /// Under a family guard port-unreachable is that family's own: nft lists the family-independent one as a
  /// bare `reject`, and reads that back, behind such a guard, as another.
  fileprivate init(_ kind: RejectKind, family: Families?) {
    switch (kind, family) {
    case (.tcpReset, _): self.init(type: 1, code: nil)
    case (.automatic, Families.ipv4?), (.portUnreachable, Families.ipv4?): self.init(type: 0, code: 3)
    case (.automatic, Families.ipv6?), (.portUnreachable, Families.ipv6?): self.init(type: 0, code: 4)
    case (.automatic, _), (.portUnreachable, _): self.init(type: 2, code: 1)
    case (.noRoute, _): self.init(type: 2, code: 0)
    case (.hostUnreachable, _): self.init(type: 2, code: 2)
    case (.adminProhibited, _): self.init(type: 2, code: 3)
    case (.protocolUnreachable, _): self.init(type: 0, code: 2)
    case (.networkProhibited, _): self.init(type: 0, code: 9)
    case (.hostProhibited, _): self.init(type: 0, code: 10)
    case (.policyFail, _): self.init(type: 0, code: 5)
    case (.rejectRoute, _): self.init(type: 0, code: 6)
    }
  }
}
