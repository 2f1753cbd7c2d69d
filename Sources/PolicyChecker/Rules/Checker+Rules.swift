import Diagnostics
import PolicyModel
import PolicySyntax

/// One rule: its clauses, its verdict, and what both say about each other (LANGUAGE.md §4).
extension Checker {
  /// Bytes of a log prefix and of a comment; NF_LOG_PREFIXLEN of uapi/linux/netfilter/nf_log.h less its NUL.
  static let textLimit = 127

  /// Nil if something was reported.
  ///
  /// - Parameter text: the canonical text of the syntax.
  mutating func rule(
    _ syntax: RuleSyntax, _ item: RuleItemSyntax, id: String, text: String, at place: Place
  ) -> Rule? {
    let verdict = verdict(syntax.verdict, at: place)
    let clauses = resolve(syntax.clauses, at: place)
    checkTexts(item)
    guard var verdict, var clauses else { return nil }
    if syntax.verdict.value.isTranslation {
      guard let (translation, families) = translation(syntax.verdict, syntax, clauses) else { return nil }
      verdict = .translate(translation)
      clauses.families = families
      // nft wants the protocol in front of a target's port, and a list of services may leave it to one look-up.
      if translation.namesPorts { clauses.matches.append(Match(.protocols(clauses.portProtocols))) }
      if case .destinationByPort(let targets) = translation {
        // Other ports are none of the rule's, for its counters too.
        let ports = PortSet(targets.map { AddressRange($0.port, $0.port) })
        clauses.matches.append(Match(.ports(.destination, protocols: clauses.portProtocols, ports)))
      }
    }
    if case .reject = verdict, let with = clauses.with {
      if with.value == .tcpReset, !clauses.isTCPOnly {
        error(
          .resetNeedsTCP, with.span, "only TCP can be reset, and this rule is about more",
          help: ["add `tcp`, or leave the clause out: every packet then gets port-unreachable"])
        return nil
      }
      verdict = .reject(with.value)
    }
    guard !letsExcessThrough(syntax, verdict), failsClosed(syntax), fitsTheKernel(syntax, clauses) else {
      return nil
    }

    var rule = Rule(
      id: id, name: item.name?.value, text: text, verdict: verdict, span: item.span)
    rule.families = clauses.families
    rule.matches = clauses.matches
    // Few rules have any of these.
    if let connections = clauses.connections { rule.connections = connections }
    if let limit = clauses.limit { rule.limit = limit }
    if let quota = clauses.quota { rule.quota = quota }
    if !clauses.changes.isEmpty { rule.changes = clauses.changes }
    if let counter = clauses.counter { rule.counter = counter }
    if let comment = item.comment { rule.comment = comment.value }
    if let owner = item.owner { rule.owner = owner.value }
    if let because = item.because { rule.because = because.value }
    if let until = item.until { rule.until = until.value }
    if !item.controls.isEmpty { rule.controls = item.controls.map(\.value) }
    if !item.enabled { rule.isEnabled = false }
    if let log = clauses.log {
      guard let resolved = self.log(log, id: id) else { return nil }
      rule.log = resolved
    }
    judgeEmptyLists(clauses, &rule)
    return rule
  }

  // MARK: Verdicts

  private mutating func verdict(_ verdict: Spanned<VerdictSyntax>, at place: Place) -> Verdict? {
    switch verdict.value {
    case .accept: return .accept
    case .drop: return mayRefuse("drop", at: place, verdict.span) ? .drop : nil
    case .continue: return .continue
    case .return: return .return
    // Whether there is such a chain has been checked, with all others.
    case .jump(let chain): return .jump(chain.value)
    case .goto(let chain): return .goto(chain.value)
    case .reject:
      guard mayRefuse("reject", at: place, verdict.span) else { return nil }
      if let origin = place.origin(without: \.canReject) {
        error(
          .wrongHook, verdict.span, "`reject` cannot answer in `\(origin.name)`",
          help: ["it holds in \(Hook.list(where: \.canReject)); `drop` holds here"],
          related: place.path(from: origin))
        return nil
      }
      return .reject(.automatic)
    case .notrack: return canUntrack(verdict.span, at: place) ? .notrack : nil
    // What they translate to is resolved with the clauses.
    case .masquerade:
      return holdsHere("masquerade", in: [.postrouting], at: place, verdict.span)
        ? .translate(.masquerade) : nil
    case .snat:
      return holdsHere("snat", in: [.postrouting, .input], at: place, verdict.span)
        ? .translate(.masquerade) : nil
    case .dnat, .redirect:
      let word = if case .dnat = verdict.value { "dnat" } else { "redirect" }
      return holdsHere(word, in: [.prerouting, .output], at: place, verdict.span)
        ? .translate(.redirect(nil)) : nil
    case .containers: error(.ruleNotHere, verdict.span, "`containers` is a rule item of its own")
    }
    return nil
  }

  /// §4.9: later the packet's connection has been looked up.
  private mutating func canUntrack(_ span: SourceSpan, at place: Place) -> Bool {
    if let origin = place.origin(without: \.canUntrack) {
      error(
        .wrongHook, span, "`notrack` cannot be said in `\(origin.name)`",
        help: ["`notrack` holds in \(Hook.list(where: \.canUntrack)), at a priority below -200"],
        related: place.path(from: origin))
      return false
    }
    if let origin = place.origins.first(where: { !$0.isBeforeConnectionTracking }) {
      error(
        .notrackLate, span, "`notrack` in `\(origin.name)`, when connections have been looked up",
        help: [
          "they are looked up at priority -200, and this chain runs at \(origin.priority ?? 0): write `priority: raw - 5`"
        ], related: place.path(from: origin))
      return false
    }
    return true
  }

  /// §4.3: `drop … limit R` would drop up to R and let the rest go on.
  private mutating func letsExcessThrough(_ syntax: RuleSyntax, _ verdict: Verdict) -> Bool {
    switch verdict {
    case .accept, .continue, .return, .jump, .goto, .dispatch, .notrack, .translate: return false
    case .drop, .reject: break
    }
    for clause in syntax.clauses {
      let word: String
      switch clause.value {
      case .connections(over: false, _, _):
        error(
          .limitOnDrop, clause.span, "this would let through what exceeds the number of connections",
          help: ["write `connections over` to hit what exceeds it"])
        return true
      case .limit(over: false, _, _, _): word = "limit"
      case .quota(over: false, _): word = "quota"
      default: continue
      }
      error(
        .limitOnDrop, clause.span, "this would let through what exceeds the \(word)",
        help: ["write `\(word) over` to hit what exceeds it", "the rate of a log is `log … at most R`"])
      return true
    }
    return false
  }

  // MARK: Texts

  private mutating func checkTexts(_ item: RuleItemSyntax) {
    guard let comment = item.comment else { return }
    if comment.value.utf8.count > Self.textLimit {
      error(
        .textTooLong, comment.span,
        "this comment is \(comment.value.utf8.count) bytes long; \(Self.textLimit) go into the kernel",
        help: ["put the reason into `because`, which stays in `policy.json`"])
    }
  }

  private mutating func log(_ syntax: Spanned<LogSyntax>, id: String) -> Log? {
    let log = syntax.value
    var prefix = "\(id): "
    var span = syntax.span
    if let label = log.label {
      span = label.span
      switch label.value {
      case .tag(let tag): prefix = "\(tag): "
      case .text(let text): prefix = text
      }
    }
    guard prefix.utf8.count <= Self.textLimit else {
      error(
        .textTooLong, span, "the log text is \(prefix.utf8.count) bytes long; \(Self.textLimit) fit",
        help: log.label == nil ? ["a bare `log` prints the rule's id; give it a tag: `log NAME`"] : [])
      return nil
    }
    if let level = log.level, let group = log.nflog {
      error(
        .ruleNotHere, group.span, "`nflog` has no level",
        help: ["`level` is syslog's; leave one of both out"],
        related: [Diagnostic.Label(level.span, "the level is here")])
      return nil
    }
    let number = log.level.flatMap { Self.logLevels.firstIndex(of: $0.value) }.map { UInt8($0) }
    if let level = log.level, level.value == "audit" {
      if let label = log.label {
        error(
          .ruleNotHere, label.span, "a record of `level audit` holds no text",
          help: ["leave the text out, or the level"],
          related: [Diagnostic.Label(level.span, "the level is here")])
        return nil
      }
      prefix = ""
    }
    return Log(
      prefix: prefix, level: number, group: log.nflog?.value, atMost: log.atMost.map { Rate($0.value) })
  }

  /// By number; LOGLEVEL_… of linux/kern_levels.h, and NFT_LOGLEVEL_AUDIT.
  private static let logLevels = [
    "emerg", "alert", "crit", "err", "warn", "notice", "info", "debug", "audit",
  ]

  // MARK: Empty lists

  /// §4.8: what an empty definition makes of a rule is said aloud.
  private mutating func judgeEmptyLists(_ clauses: ResolvedClauses, _ rule: inout Rule) {
    if let span = clauses.neverHolds.first {
      if rule.isEnabled, rule.verdict == .accept {
        warning(
          .lostAccept, span, "this list is empty, so the rule accepts nothing and is left out",
          help: ["`\(rule.text)` is listed and not enforced"])
      }
      if rule.isEnabled { rule.hasEmptyList = true }
      rule.isEnabled = false
      return
    }
    guard let span = clauses.alwaysHolds.first ?? clauses.coversAll.first, rule.isEnabled, !rule.isLimiting
    else { return }
    switch rule.verdict {
    case .drop, .reject:
      guard rule.matches.isEmpty, rule.families == .both else { return }
      warning(
        .totalDrop, span,
        clauses.alwaysHolds.isEmpty
          ? "this list holds every address, so the rule hits every packet"
          : "this list is empty, so its negation holds always and the rule hits every packet")
    case .accept, .continue, .return, .jump, .goto, .dispatch, .notrack, .translate: break
    }
  }
}

extension VerdictSyntax {
  fileprivate var isTranslation: Bool {
    switch self {
    case .masquerade, .dnat, .snat, .redirect: true
    default: false
    }
  }
}
