import Diagnostics
import PolicyModel
import PolicySyntax

/// `firewall` (LANGUAGE.md §2, §4).
extension Checker {
  mutating func firewall(_ entry: SyntaxEntry?) -> Firewall? {
    guard let entry, entry.value.mapping != nil else { return nil }
    // All chains are read before any is resolved: a rule must hold in every hook that reaches it.
    var sources: [ChainSource] = []
    for hook in Hook.allCases {
      if let chain = entry.value.entry(hook.rawValue) { sources.append(source(of: chain, at: hook)) }
    }
    let nat = entry.value.entry("nat")?.value
    for hook in Hook.allCases {
      if let chain = nat?.entry(hook.rawValue) { sources.append(source(ofNAT: chain, at: hook)) }
    }
    for chain in entry.value.entry("chains")?.value.mapping ?? [] {
      if let source = source(of: chain) { sources.append(source) }
    }
    let pairs = pairSources(entry.value.entry("between"))
    addBaseChains(for: pairs, to: &sources, entry.value.entry("between"))
    sources += pairs
    checkPoliciesAreStated(sources)
    checkPairNames(sources)
    checkTies(sources)
    checkTargets(sources)
    checkLoops(sources)
    let origins = origins(sources)
    tracksConnections = sources.contains(where: \.tracksConnections)
    var firewall = Firewall(baseChains: [], span: entry.key.span)
    for source in sources {
      if let base = source.base {
        if let chain = baseChain(source, base, pairs) { firewall.baseChains.append(chain) }
      } else {
        let place = Place(chain: source.name, origins: origins[source.name] ?? [])
        reportUnused(source, place.origins)
        var rules = rules(source.items, at: place)
        reportUnreachable(rules, at: place)
        var chain = RegularChain(name: source.name, rules: [], span: source.span)
        if let pair = source.pair {
          rules = listRules(of: source, pair) + rules
          let closing = Rule.closing(pair.policy, at: place, span: pair.policySpan, isPair: true)
          checkPolicy(pair.policy, at: place, pair.policySpan)
          rules += closing.map { [$0] } ?? []
          for rule in rules where rule.origin != .written { items.append(Item(rule.id, rule.span)) }
          chain.policy = pair.policy
        }
        chain.rules = rules
        firewall.regularChains.append(chain)
      }
    }
    firewall.baseChains.sort { $0.outputOrder < $1.outputOrder }
    firewall.regularChains.sort { $0.name < $1.name }
    checkReassembly(firewall)
    return firewall
  }

  // MARK: Chains

  /// The base chains that only `between` has packets for; theirs is `drop`.
  private mutating func addBaseChains(
    for pairs: [ChainSource], to sources: inout [ChainSource], _ between: SyntaxEntry?
  ) {
    guard let between else { return }
    for hook in [Hook.input, .forward, .output] {
      let led = pairs.filter { $0.pair?.hooks.contains(hook) ?? false }.map { Spanned($0.name, $0.span) }
      guard !led.isEmpty else { continue }
      if let index = sources.firstIndex(where: { $0.name == hook.rawValue }) {
        sources[index].led = led
      } else {
        var source = ChainSource(
          name: hook.rawValue, key: between,
          base: ChainSource.Base(hook: hook, priority: hook.defaultPriority), items: [])
        source.led = led
        source.isOfPairs = true
        sources.append(source)
      }
    }
  }

  /// Chains of hooks that say nothing of what no rule decides, and that `between` does not make.
  private mutating func checkPoliciesAreStated(_ sources: [ChainSource]) {
    for source in sources {
      guard let base = source.base, !base.isNAT, source.name == base.hook.rawValue, source.led.isEmpty else {
        continue
      }
      let node = source.key.value
      if node.sequence != nil {
        error(
          .missingKey, source.span, "`\(source.name)` needs the key `policy`",
          help: ["write `policy:` and `rules:` below it: only chains of `chains` are a list alone"])
      } else if let members = node.mapping, node.entry("policy") == nil, isComplete {
        // Of a policy that extends another, the base has no such chain.
        error(
          .missingKey, node.isFlow ? node.span : members.first?.key.span ?? node.span,
          "`\(source.name)` needs the key `policy`",
          help: ["write `policy:` and one of `accept`, `drop`, `reject`, for packets that no rule decides"])
      }
    }
  }

  private mutating func checkPolicy(_ policy: ChainPolicy, at place: Place, _ span: SourceSpan) {
    guard policy == .reject, let origin = place.origin(without: \.canReject) else { return }
    error(
      .chainPolicy, span, "`reject` cannot answer in `\(origin.hook.rawValue)`",
      help: ["it holds in \(Hook.list(where: \.canReject)); `drop` holds here"])
  }

  /// The base chain that is named by its hook.
  private mutating func source(of entry: SyntaxEntry, at hook: Hook) -> ChainSource {
    let node = entry.value
    let priority =
      priority(node.entry("priority")?.value.scalar, default: hook.defaultPriority) ?? hook.defaultPriority
    let devices = devices(of: entry, at: hook)
    return ChainSource(
      name: hook.rawValue, key: entry,
      base: ChainSource.Base(hook: hook, priority: priority, devices: devices),
      items: readItems(node.sequence ?? node.entry("rules")?.value.sequence ?? []))
  }

  private mutating func source(ofNAT entry: SyntaxEntry, at hook: Hook) -> ChainSource {
    let node = entry.value
    let usual = hook.defaultNATPriority
    refuseDevices(node)
    let written = node.entry("priority")?.value.scalar
    let priority = priority(written, default: usual) ?? usual
    // NF_IP_PRI_CONNTRACK: before it no connection is known that could be translated.
    if let written, priority <= -200 {
      error(
        .badPriority, written.span, "a nat chain at priority \(priority), before connection tracking",
        help: ["connections are looked up at priority -200; leave the key out for \(usual)"])
    }
    return ChainSource(
      name: "nat.\(hook.rawValue)", key: entry,
      base: ChainSource.Base(hook: hook, isNAT: true, priority: priority),
      items: readItems(node.sequence ?? node.entry("rules")?.value.sequence ?? []))
  }

  /// A chain below `chains`: regular, or with `hook` one more base chain.
  private mutating func source(of entry: SyntaxEntry) -> ChainSource? {
    let node = entry.value
    guard hasFreeName(entry.key), node.sequence != nil || node.mapping != nil else { return nil }
    var source = ChainSource(
      name: entry.key.text, key: entry,
      items: readItems(node.sequence ?? node.entry("rules")?.value.sequence ?? []))
    guard let word = node.entry("hook")?.value.scalar else {
      if let policy = node.entry("policy") {
        error(
          .chainPolicy, policy.key.span, "a regular chain has no policy",
          help: [
            "a packet that it does not decide goes on behind the `jump`; write the last rule for it, or give the chain a `hook`"
          ])
      }
      if let priority = node.entry("priority") {
        error(
          .badPriority, priority.key.span, "a regular chain has no priority: rules lead to it",
          help: ["give the chain a `hook` to make it a base chain"])
      }
      refuseDevices(node)
      return source
    }
    guard let hook = Hook(rawValue: word.text) else { return nil }
    for key in ["policy", "priority"] where node.entry(key) == nil && isComplete {
      error(
        .missingKey, entry.key.span, "`\(source.name)` needs the key `\(key)`",
        help: [
          key == "policy"
            ? "write `policy:` and what happens to a packet no rule decides"
            : "it is one more chain of `\(hook.rawValue)`, and priorities say which comes first"
        ])
    }
    // Without one of its own the error stands already; the default would tie.
    let priority =
      priority(node.entry("priority")?.value.scalar, default: hook.defaultPriority)
      ?? hook.defaultPriority + 1
    source.base = ChainSource.Base(
      hook: hook, priority: priority, devices: devices(of: entry, at: hook))
    return source
  }

  private mutating func baseChain(
    _ source: ChainSource, _ base: ChainSource.Base, _ pairs: [ChainSource]
  ) -> BaseChain? {
    let node = source.key.value
    let hook = base.hook
    let policy: ChainPolicy? =
      base.isNAT
      ? .accept
      : source.isOfPairs || node.entry("policy") == nil && !source.led.isEmpty
        ? .drop : node.entry("policy")?.value.scalar.flatMap { ChainPolicy(rawValue: $0.text) }
    let place = Place(
      name: source.name, hook: hook, isNAT: base.isNAT, priority: base.priority, hasNamedSets: true)
    var rules = rules(source.items, at: place)
    reportUnreachable(rules, at: place)
    for pair in pairs where source.led.contains(where: { $0.value == pair.name }) {
      guard let zones = pair.pair else { continue }
      // Of the host's own two the second is in output.
      let leading = rule(
        leadingTo: pair, of: zones, in: hook, ordinal: zones.hooks.count > 1 && hook == .output ? 2 : 1)
      rules.append(leading)
      items.append(Item(leading.id, leading.span))
    }
    guard let policy else { return nil }
    checkPolicy(policy, at: place, node.entry("policy")?.value.span ?? source.span)
    if let closing = Rule.closing(policy, at: place, span: node.entry("policy")?.value.span ?? source.span) {
      rules.append(closing)
      items.append(Item(closing.id, closing.span))
    }
    return BaseChain(
      name: base.isNAT || source.name == hook.rawValue ? nil : source.name, hook: hook, isNAT: base.isNAT,
      priority: base.priority,
      policy: policy, devices: base.devices, rules: rules, span: source.span)
  }

  // MARK: Devices

  /// Interfaces whose packets an ingress chain sees, sorted; none for another hook.
  private mutating func devices(of entry: SyntaxEntry, at hook: Hook) -> [String] {
    let node = entry.value
    guard hook == .ingress else {
      refuseDevices(node)
      return []
    }
    guard let written = node.entry("devices") else {
      if node.mapping != nil, isComplete {
        error(
          .missingKey, entry.key.span, "`\(entry.key.text)` needs the key `devices`",
          help: ["a device delivers its packets to a chain of its own: `devices: [eth0]`"])
      }
      return []
    }
    guard let items = written.value.sequence else { return [] }
    let definition = Definitions.Definition(name: "devices", span: written.key.span, node: written.value)
    let value = elements(items, as: .interfaces, of: definition)
    if case .damaged = value { return [] }
    guard case .interfaces(let patterns) = value, !patterns.isEmpty else {
      error(
        .badValue, written.key.span, "the devices of `\(entry.key.text)` are none",
        help: ["no packet comes to the chain: name an interface, or leave the chain out"])
      return []
    }
    if let open = patterns.first(where: \.isPrefix) {
      error(
        .badValue, written.value.span, "`\(open.name)*` names no device",
        help: ["the kernel binds an ingress chain to one device by its whole name"])
      return []
    }
    return patterns.map(\.name).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  private mutating func refuseDevices(_ node: SyntaxNode) {
    guard let written = node.entry("devices") else { return }
    error(
      .badValue, written.key.span, "only an ingress chain has devices",
      help: ["`in eth0` in a rule asks where a packet came in"])
  }

  // MARK: Priorities

  /// Priorities where iptables, nft's words and the kernel itself stand; netfilter_ipv4.h.
  private static let wellKnownPriorities: Set<Int32> = [-400, -300, -225, -200, -150, -100, 0, 50, 100, 300]

  private static let priorityWords: [String: Int32] = [
    "raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "security": 50, "srcnat": 100,
  ]

  private mutating func priority(_ scalar: SyntaxScalar?, default usual: Int32) -> Int32? {
    guard let scalar else { return nil }
    let words = scalar.text.split(separator: " ").map(String.init)
    var value: Int?
    switch words.count {
    case 1:
      value = Self.priorityWords[words[0]].map(Int.init) ?? Self.signedInteger(words[0])
    case 3:
      if let base = Self.priorityWords[words[0]], let offset = Integer.parse(words[2]),
        offset <= Int(Int32.max)
      {
        if words[1] == "+" { value = Int(base) + offset }
        if words[1] == "-" { value = Int(base) - offset }
      }
    default: break
    }
    guard let value, let priority = Int32(exactly: value) else {
      error(
        .badPriority, scalar.span, "`\(scalar.text)` is no priority",
        help: [
          "write a number, or one of `raw`, `mangle`, `dstnat`, `filter`, `security`, `srcnat` with `+ N` or `- N`, blanks around the sign"
        ])
      return nil
    }
    if Self.wellKnownPriorities.contains(priority) {
      error(
        .priorityTie, scalar.span, "priority \(priority) is taken by others",
        help: [
          "at equal priority the order is that of registration, which no file decides",
          priority - 5 == usual
            ? "leave the key out for \(usual)" : "write `\(priority - 5)`, or leave the key out for \(usual)",
        ])
    }
    return priority
  }

  /// Two chains of one hook and priority.
  private mutating func checkTies(_ sources: [ChainSource]) {
    for (index, source) in sources.enumerated() {
      guard let base = source.base, let written = source.key.value.entry("priority")?.value.span,
        let earlier = sources.prefix(index).first(where: {
          $0.base?.hook == base.hook && $0.base?.priority == base.priority
        })
      else { continue }
      error(
        .priorityTie, written, "`\(earlier.name)` has priority \(base.priority) too",
        help: ["at equal priority the order is that of registration, which no file decides"],
        related: [Diagnostic.Label(earlier.span, "`\(earlier.name)` is here")])
    }
  }

  private static func signedInteger(_ text: String) -> Int? {
    text.utf8.first == UInt8(ascii: "-")
      ? Integer.parse(String(text.dropFirst())).map { -$0 } : Integer.parse(text)
  }

  /// Rules behind one that decides every packet.
  private mutating func reportUnreachable(_ rules: [Rule], at place: Place) {
    guard
      let index = rules.firstIndex(where: { rule in
        rule.isEnabled && rule.matchesAll && rule.families == .both && !rule.isLimiting
          && rule.verdict.endsItsChain
      }), index + 1 < rules.count
    else { return }
    let deciding = rules[index]
    for rule in rules[(index + 1)...] where rule.isEnabled {
      warning(
        .unreachableRule, rule.span, "no packet comes to this rule: one before it decides all",
        related: [Diagnostic.Label(deciding.span, "`\(deciding.text)` is here")])
    }
  }
}

extension Verdict {
  /// Whether no packet that meets it goes on with the next rule.
  fileprivate var endsItsChain: Bool {
    switch self {
    case .accept, .drop, .reject, .return, .goto, .translate: true
    case .continue, .jump, .dispatch, .notrack: false
    }
  }
}

extension BaseChain {
  /// By hook, then by priority.
  fileprivate var outputOrder: (Int, Int, Int32) {
    (Hook.allCases.firstIndex(of: hook) ?? 0, isNAT ? 1 : 0, priority)
  }
}

extension Hook {
  /// As nft's words dstnat and srcnat, each 5 before.
  var defaultNATPriority: Int32 { self == .prerouting || self == .output ? -105 : 95 }

  /// Each 5 before the well-known value, so as never to tie with iptables-nft (LANGUAGE.md §4.11).
  var defaultPriority: Int32 {
    switch self {
    case .ingress, .input, .forward, .output: -5
    case .prerouting, .postrouting: -155
    }
  }
}

extension Rule {
  /// The visible end of a chain that closes; nil for policy accept.
  ///
  /// A base chain made in a transaction stands with the kernel's policy accept until the commit ends, so the
  /// policy alone would leak (LANGUAGE.md §4.12).
  static func closing(
    _ policy: ChainPolicy, at place: Place, span: SourceSpan, isPair: Bool = false
  ) -> Rule? {
    let verdict: Verdict
    switch policy {
    case .accept:
      // Behind a pair's chain the base chain goes on.
      guard isPair else { return nil }
      verdict = .accept
    case .drop: verdict = .drop
    case .reject: verdict = .reject(.automatic)
    }
    var rule = Rule(
      id: ItemID.named(place.name, "closing"), name: "closing", text: "\(policy.rawValue) count",
      verdict: verdict,
      span: span)
    rule.counter = .anonymous
    rule.comment = "closing: policy \(policy.rawValue)"
    rule.origin = .closing
    return rule
  }
}
