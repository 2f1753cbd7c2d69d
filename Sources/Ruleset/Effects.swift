internal import PolicyModel

/// What a rule does with the packets that meet its matches, in the order of `LANGUAGE.md` §4.1: limit,
/// quota, changes, count, log, verdict.
struct Effects {
  /// One kernel rule of a generated chain: statements, and the guards that nft wants to see before them.
  struct Part {
    var protocols: [UInt8]?
    var family: Families?
    var statements: [RuleStatement]
  }

  private let limit: Limit?
  private let quota: Quota?
  private let changes: Changes
  private let counter: RuleStatement?
  private let log: Log?
  private let verdict: Verdict
  /// What decides what comes back from the chain that the verdict jumps to.
  private let verdictBehind: Verdict?
  /// Whether the verdict is to leave the chain that the rule stands in without deciding.
  let leavesChain: Bool

  init(of rule: Rule, chainPolicy: ChainPolicy?) {
    limit = rule.limit
    quota = rule.quota
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
  var hasBudget: Bool { limit != nil || quota != nil }

  /// Whether one kernel rule cannot hold all effects: one of them may end the rule, and another follows.
  var hasParts: Bool { sequence.count > 1 }

  /// Whether two kernel rules with the same effects would have two of something that must be one. An
  /// anonymous counter in each is no harm: their sum is the rule's.
  var hasState: Bool { hasBudget || log?.atMost != nil }

  /// The statements after the comparisons, for each kernel rule. Not where a budget or a change must be
  /// shared by several.
  ///
  /// - Parameter family: the family that the rule's guard leaves; nil: both.
  func inline(in family: Families?) -> [[RuleStatement]] {
    let budget = budget(isInverted: false).flatMap { $0 }
    var parts = sequence.map { $0.flatMap { $0.statements(in: family) } }
    parts[0] = budget + parts[0]
    return parts.map { $0.isEmpty ? [.verdict(.continue)] : $0 }
  }

  /// Whether the kernel rules of a generated chain begin with those that send away what exceeds the budget;
  /// else it is the end of the chain for them.
  var separatesBudget: Bool {
    // A code point is set by a rule for each family.
    hasBudget && (hasParts || changes.dscp != nil || verdictBehind != nil)
  }

  /// The kernel rules of a generated chain. What exceeds the budget goes `otherwise`, or where it is not
  /// separated, to the end of the chain.
  ///
  /// - Parameter families: those of the rule.
  func inChain(families: Families, otherwise: KernelVerdict) -> [Part] {
    var parts: [Part] = []
    var sequence = self.sequence
    if separatesBudget {
      parts = budget(isInverted: true).map { Part(statements: $0 + [.verdict(otherwise)]) }
    } else {
      sequence[0].insert(contentsOf: budget(isInverted: false).flatMap { $0 }.map(Effect.plain), at: 0)
    }
    for effects in sequence {
      var statements: [RuleStatement] = []
      for effect in effects {
        guard case .dscp = effect else {
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
    case reject(RejectKind)

    var mayEndTheRule: Bool {
      switch self {
      case .limitedLog, .breaking: true
      case .plain, .dscp, .reject: false
      }
    }

    func statements(in family: Families?) -> [RuleStatement] {
      switch self {
      case .plain(let statement), .breaking(let statement): [statement]
      case .limitedLog(let limit, let log): [limit, log]
      case .dscp(let code): [.change(family == .ipv6 ? .ipv6DSCP(code) : .ipv4DSCP(code))]
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

  /// Each of limit and quota as a statement list. Inverted they hold for exactly the packets for which they
  /// otherwise would not, and take the same tokens (`nft_limit_eval`, `nft_overquota`).
  private func budget(isInverted: Bool) -> [[RuleStatement]] {
    var result: [[RuleStatement]] = []
    if let limit {
      result.append([.limit(limit.rate, burst: limit.burst, isOver: limit.isOver != isInverted)])
    }
    if let quota { result.append([.quota(bytes: quota.bytes, isOver: quota.isOver != isInverted)]) }
    return result
  }
}

extension RuleStatement {
  fileprivate init(_ log: Log) { self = .log(prefix: log.prefix, level: log.level, group: log.group) }

  /// `log … at most RATE`: the burst is the kernel's default, 5 packets or none in bytes.
  fileprivate static func limit(_ rate: Rate) -> RuleStatement {
    limit(rate, burst: rate.isBytes ? 0 : 5, isOver: false)
  }

  fileprivate static func limit(_ rate: Rate, burst: UInt32, isOver: Bool) -> RuleStatement {
    // A burst of no packets would match none; the kernel takes 5 for it (NFT_LIMIT_PKT_BURST_DEFAULT).
    let burst = burst == 0 && !rate.isBytes ? 5 : burst
    return .limit(
      rate: rate.amount, seconds: rate.seconds, burst: burst, isBytes: rate.isBytes, isOver: isOver)
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
    }
  }
}
