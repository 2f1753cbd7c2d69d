internal import PolicyModel

/// What a rule does with the packets that meet its matches, in the order of `LANGUAGE.md` §4.1: limit,
/// quota, count, log, verdict.
struct Effects {
  private let limit: Limit?
  private let quota: Quota?
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
    return ([verdict] + (behind.map { [$0] } ?? [])).map { statements(for: $0, family: nil) }
  }

  /// Whether the verdict takes two kernel rules that must see the same packets.
  var needsChain: Bool { verdictBehind != nil }

  /// IPPROTO_TCP where the verdict answers TCP only.
  var neededProtocol: UInt8? { verdict == .reject(.tcpReset) ? 6 : nil }

  /// Whether some packets that meet the matches go on unjudged.
  var hasBudget: Bool { limit != nil || quota != nil }

  /// Whether a rule of its own logs: its rate must not end the rule that decides.
  var logsApart: Bool { log?.atMost != nil && verdict != .continue }

  /// Whether two kernel rules with the same effects would have two of something that must be one. An
  /// anonymous counter in each is no harm: their sum is the rule's.
  var hasState: Bool { hasBudget || log?.atMost != nil }

  /// The statements after the comparisons, for each kernel rule. Not for a budget above a log that is apart.
  ///
  /// - Parameter family: the family that the rule's guard leaves; nil: both.
  func inline(in family: Families?) -> [[RuleStatement]] {
    parts(budget: budget(isInverted: false).flatMap { $0 }, family: family)
  }

  /// The statements of each kernel rule of a generated chain. What exceeds the budget goes `otherwise`, or
  /// where nothing logs apart, to the end of the chain.
  func inChain(otherwise: KernelVerdict) -> [[RuleStatement]] {
    let behind = verdictBehind.map { [Self.statements(for: $0, family: nil)] } ?? []
    guard logsApart || verdictBehind != nil && hasBudget else { return inline(in: nil) + behind }
    return budget(isInverted: true).map { $0 + [.verdict(otherwise)] } + parts(budget: [], family: nil)
      + behind
  }

  private func parts(budget: [RuleStatement], family: Families?) -> [[RuleStatement]] {
    let count = counter.map { [$0] } ?? []
    let own = log?.atMost.map { [RuleStatement.limit($0)] } ?? []
    let write = log.map { [RuleStatement.log(prefix: $0.prefix, level: $0.level, group: $0.group)] } ?? []
    if verdict == .continue {
      // Nothing follows the log, so that its rate may end the rule.
      let statements = budget + count + own + write
      return [statements.isEmpty ? [.verdict(.continue)] : statements]
    }
    let decide = Self.statements(for: verdict, family: family)
    if own.isEmpty { return [budget + count + write + decide] }
    return [budget + own + write, count + decide]
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

  private static func statements(for verdict: Verdict, family: Families?) -> [RuleStatement] {
    switch verdict {
    case .accept: [.verdict(.accept)]
    case .drop: [.verdict(.drop)]
    case .continue: [.verdict(.continue)]
    case .return: [.verdict(.return)]
    case .jump(let chain): [.verdict(.jump(KernelName.chain(chain)))]
    case .goto(let chain): [.verdict(.goto(KernelName.chain(chain)))]
    // INVARIANT: `RuleLowering` takes these apart before.
    case .dispatch: []
    case .translate(let translation): [RuleStatement(translation)]
    case .reject(let kind): [.reject(RuleStatement.Reject(kind, family: family))]
    }
  }
}

extension RuleStatement {
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
