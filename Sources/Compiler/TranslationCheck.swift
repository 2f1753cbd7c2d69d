internal import Analysis
internal import Diagnostics
internal import Lift
internal import NFTables
internal import PolicyModel
internal import Ruleset

/// Proves that a compile's messages to the kernel mean what the checked policy means: rule by rule, and the chains that
/// they stand in (DESIGN §5).
///
/// The messages are read back, which shares no table with the lowering. First match is a congruence: where each rule's
/// programs do with every packet what the rule says, and stand in the rule's place, the chains mean the same. Most rules
/// are one program of the same shape; the others are compared as decision diagrams, with something behind them that
/// tells packets that go on from packets that leave the chain, and something in place of each chain that they lead to
/// which may decide, change the packet, or come back.
struct TranslationCheck {
  /// What went wrong, and at which rule; nil: at the firewall.
  struct Mismatch: Error, Equatable {
    var ruleID: String?
    var reason: String
  }

  /// Rules up to which a compile is checked: more would cost it more than a quarter.
  static let limit = 2_000

  private let policy: Firewall
  private let kernel: Firewall
  /// By name.
  private let chains: [String: [Rule]]
  /// The policy's chains by their names in the kernel.
  private let written: [String: RegularChain]
  /// Rules of more than one program, or of another shape.
  private var others: [Item] = []

  /// A rule and what became of it.
  private struct Item {
    var rule: Rule
    var chain: ChainForm
    var programs: [Rule]
    /// The chain in which the rules behind this one stand.
    var rest: String?
  }

  /// What a chain does with what comes to its end.
  private struct ChainForm {
    var hook: Hook
    var isNAT: Bool
    /// Nil: it goes back to the caller.
    var policy: ChainPolicy?
    var isRegular: Bool
    /// What the kernel does there.
    var kernelPolicy: ChainPolicy?
  }

  /// What is encoded for sets that have names is not read back: their elements may be millions, and are those of
  /// `ruleset`.
  static func mismatches(
    _ policy: HostPolicy, _ ruleset: Ruleset, messages: [EncodedMessage], deviceChains: [DeviceBatch],
    controlGroups: [ControlGroupElement], _ items: ItemList
  ) -> [Mismatch] {
    var groups: [String: [ControlGroup]] = [:]
    var contents: [String: ElementList] = [:]
    let table: DumpedTable?
    do throws(NFTablesError) {
      for element in controlGroups {
        guard let set = try StoredBatch.elementsSet(of: element.message.bytes) else { continue }
        groups[set, default: []].append(ControlGroup(element.path))
      }
      let read = messages.filter { $0.kind != .elements } + deviceChains.flatMap(\.messages)
      table = try StoredBatch.decode(read.map(\.bytes)).first
    } catch {
      return [Mismatch(ruleID: nil, reason: "a message cannot be read: \(error)")]
    }
    for set in ruleset.tables.flatMap(\.sets) where set.filling == nil {
      if let name = set.name { contents[name] = set.elements }
    }
    return mismatches(policy, table, controlGroups: groups.mapValues { $0.sorted() }, contents: contents) {
      items.id(of: $0)
    }
  }

  /// - Parameter contents: elements of sets that the table comes without.
  static func mismatches(
    _ policy: HostPolicy, _ table: DumpedTable?, controlGroups: [String: [ControlGroup]],
    contents: [String: ElementList] = [:],
    ruleID: @escaping (UInt32) -> String?
  ) -> [Mismatch] {
    guard let firewall = policy.firewall, let table else {
      return policy.firewall == nil && table?.chains.isEmpty ?? true
        ? [] : [Mismatch(ruleID: nil, reason: "there is a firewall on one side only")]
    }
    var names: [String: String] = [:]
    for set in policy.dynamicSets {
      for family in [Families.ipv4, .ipv6] { names[KernelName.set(set.name, family: family)] = set.name }
    }
    var counters: [String: String] = [:]
    firewall.forEachRule { rule in
      if case .named(let name)? = rule.counter { counters[KernelName.counter(name)] = name }
    }
    let lift = Lift(
      at: policy.span, controlGroups: controlGroups, names: names, counters: counters, contents: contents
    ) { rule in
      ruleID(rule.source).map { ($0, policy.span) }
    }
    do throws(LiftError) {
      let result = try lift.firewall(of: table)
      var check = TranslationCheck(policy: firewall, kernel: result.firewall)
      do throws(Mismatch) {
        try check.compareSets(policy.dynamicSets, result.dynamicSets)
        try check.compareTypes(table)
        try check.compareChains()
        try check.compareOthers()
      } catch {
        return [error]
      }
    } catch {
      return [Mismatch(ruleID: nil, reason: "\(error)")]
    }
    return []
  }

  private init(policy: Firewall, kernel: Firewall) {
    self.policy = policy
    self.kernel = kernel
    chains = Dictionary(kernel.regularChains.map { ($0.name, $0.rules) }) { first, _ in first }
    written = Dictionary(policy.regularChains.map { (KernelName.chain($0.name), $0) }) { first, _ in first }
  }

  // MARK: Sets and chains

  private func compareSets(_ policy: [DynamicSet], _ kernel: [DynamicSet]) throws(Mismatch) {
    for set in kernel {
      guard let wanted = policy.first(where: { $0.name == set.name }), wanted.size == set.size,
        wanted.timeout == set.timeout, wanted.filler == set.filler,
        // Nobody asks for what is of the other family.
        [32, wanted.ipv4Bits].contains(set.ipv4Bits), [128, wanted.ipv6Bits].contains(set.ipv6Bits)
      else { throw Mismatch(ruleID: nil, reason: "the set `\(set.name)` is another") }
    }
  }

  /// The kernel routes a packet anew behind a chain of type route alone.
  private func compareTypes(_ table: DumpedTable) throws(Mismatch) {
    for chain in policy.baseChains where chain.hook == .output && !chain.isNAT {
      let type = table.chains.first { found in
        found.base.map { $0.hook == 3 && $0.type != .nat && $0.priority == chain.priority } ?? false
      }?.base?.type
      guard type == (policy.reroutes(chain) ? .route : .filter) else {
        throw Mismatch(ruleID: nil, reason: "the chain `\(chain.place)` is of another type")
      }
    }
  }

  private mutating func compareChains() throws(Mismatch) {
    var left = kernel.baseChains
    func take(_ chain: BaseChain) throws(Mismatch) -> BaseChain {
      let found = left.firstIndex {
        $0.hook == chain.hook && $0.isNAT == chain.isNAT && $0.priority == chain.priority
          && $0.families == .both && $0.devices == chain.devices
      }
      guard let found else { throw Mismatch(ruleID: nil, reason: "the chain `\(chain.place)` is missing") }
      let result = left.remove(at: found)
      guard (result.policy == .accept) == (chain.policy == .accept) else {
        throw Mismatch(ruleID: nil, reason: "the chain `\(chain.place)` has another policy")
      }
      return result
    }
    for chain in policy.baseChains {
      var form = ChainForm(
        hook: chain.hook, isNAT: chain.isNAT, policy: chain.policy, isRegular: false,
        kernelPolicy: chain.policy == .accept ? .accept : .drop)
      let rules = try take(chain).rules
      guard !chain.devices.isEmpty else {
        try compare(chain.rules, rules, form)
        continue
      }
      // The rules stand once, and each device's chain leads to them.
      form.kernelPolicy = nil
      guard rules.count == 1, rules[0].isBare, case .jump(let name) = rules[0].verdict,
        let target = chains[name]
      else { throw Mismatch(ruleID: nil, reason: "the chain `\(chain.place)` leads elsewhere") }
      try compare(chain.rules, target, form)
    }
    guard left.isEmpty else {
      throw Mismatch(ruleID: nil, reason: "there is a chain `\(left[0].place)` that nobody wrote")
    }
    for (name, chain) in written.sorted(by: { $0.key < $1.key }) {
      guard let rules = chains[name] else {
        throw Mismatch(ruleID: nil, reason: "the chain `\(chain.name)` is missing")
      }
      let form = ChainForm(hook: .input, isNAT: false, policy: chain.policy, isRegular: true)
      try compare(chain.rules, rules, form)
    }
  }

  // MARK: Rules

  private mutating func compare(_ rules: [Rule], _ kernel: [Rule], _ form: ChainForm) throws(Mismatch) {
    var programs = kernel[...]
    for rule in rules where rule.isEnabled {
      let own = programs.prefix { $0.id == rule.id }
      programs = programs.dropFirst(own.count)
      if let reason = own.lazy.compactMap(\.unreadable).first {
        throw Mismatch(ruleID: rule.id, reason: reason)
      }
      var item = Item(rule: rule, chain: form, programs: Array(own))
      // Where a rule leaves its chain, the rules behind it stand in a chain of their own.
      if let last = own.last, last.isBare, case .goto(let name) = last.verdict, written[name] == nil,
        programs.isEmpty, let behind = chains[name], behind.first?.id != rule.id
      {
        item.rest = name
        programs = behind[...]
      }
      if item.rest == nil, isSame(rule, own, form) { continue }
      others.append(item)
    }
    guard programs.isEmpty else {
      throw Mismatch(ruleID: programs.first?.id, reason: "there is a program that no rule is of")
    }
  }

  private func isSame(_ rule: Rule, _ programs: ArraySlice<Rule>, _ form: ChainForm) -> Bool {
    guard let first = programs.first, let last = programs.last, programs.count <= 2 else { return false }
    guard let wanted = wanted(rule, form) else { return false }
    if programs.count == 1 { return RuleShape(wanted) == RuleShape(first) }
    // One for each family. A limiter of both would be two.
    guard rule.families == .both, first.families != last.families, first.families != .both,
      last.families != .both, rule.limit.map({ $0.key != nil }) ?? true, rule.quota == nil,
      rule.connections.map({ $0.key != nil }) ?? true, rule.log?.atMost == nil
    else { return false }
    return [first, last].allSatisfy { program in
      var wanted = wanted
      wanted.families = program.families
      return RuleShape(wanted) == RuleShape(program)
    }
  }

  /// As its programs say it where they are of one shape; nil: they are not.
  private func wanted(_ rule: Rule, _ form: ChainForm) -> Rule? {
    var wanted = rule
    switch rule.verdict {
    // At the end of a chain that decides stands its policy.
    case .return:
      switch form.policy {
      case nil: break
      case .accept?: wanted.verdict = .accept
      case .drop?: wanted.verdict = .drop
      case .reject?: wanted.verdict = .reject(.automatic)
      }
    case .jump(let name): wanted.verdict = .jump(KernelName.chain(name))
    case .goto(let name):
      guard form.policy == nil else { return nil }
      wanted.verdict = .goto(KernelName.chain(name))
    case .reject(.portUnreachable): wanted.verdict = .reject(.automatic)
    case .reject(.tcpReset), .dispatch: return nil
    default: break
    }
    return wanted
  }

  // MARK: Rules of another shape

  private static let atOnce = 64

  private func compareOthers() throws(Mismatch) {
    for item in others { try compareTold(item) }
    for start in stride(from: 0, to: others.count, by: Self.atOnce) {
      let part = Array(others[start..<min(start + Self.atOnce, others.count)])
      var (first, second) = (
        Firewall(baseChains: [], span: policy.span), Firewall(baseChains: [], span: policy.span)
      )
      var targets: Set<String> = []
      for (index, item) in part.enumerated() {
        add(item, index, &first, &second, &targets)
      }
      for target in targets.sorted() {
        first.regularChains.append(opaque(target))
        second.regularChains.append(opaque(target))
      }
      // Where the diagrams grow too large, nothing is known.
      guard let differing = FirewallEquivalence.differingChains(first, second) else { continue }
      if let index = differing.min() {
        throw Mismatch(ruleID: part[index].rule.id, reason: "its programs do something else with some packet")
      }
    }
  }

  /// What is counted and logged, and that each limiter is there once: two would let through twice as much.
  private func compareTold(_ item: Item) throws(Mismatch) {
    let all = reached(from: item).flatMap(\.rules)
    let rule = item.rule
    func expect(_ holds: Bool, _ reason: String) throws(Mismatch) {
      guard holds else { throw Mismatch(ruleID: rule.id, reason: reason) }
    }
    // A rule that meets no packet has no program.
    guard !all.isEmpty else { return }
    try expect(
      all.allSatisfy { $0.id == rule.id && $0.unreadable == nil },
      "its programs lead to those of another rule")
    let counters = all.compactMap(\.counter)
    try expect(
      counters.isEmpty == (rule.counter == nil) && counters.allSatisfy { $0 == rule.counter },
      "its programs count otherwise")
    let logs = all.compactMap(\.log)
    try expect(
      logs.isEmpty == (rule.log == nil) && logs.allSatisfy { $0 == rule.log?.normal },
      "its programs log otherwise")
    for family in [Families.ipv4, .ipv6] where item.programs.contains(where: { $0.families.contains(family) })
    {
      var updates: [PolicyModel.SetUpdate] = []
      // Programs that no packet meets twice each fill them. A chain has those of a family that never comes to it.
      for update in all.filter({ $0.families.contains(family) }).flatMap(\.changes.setUpdates)
        .map({ RuleShape.normal($0, family) }) where !updates.contains(update)
      {
        updates.append(update)
      }
      try expect(
        updates == rule.changes.setUpdates.map { RuleShape.normal($0, family) },
        "its programs fill other sets")
    }
    let plain = all.count { $0.limit.map { $0.key == nil } ?? false }
    try expect(
      plain <= 1 && all.count { $0.quota != nil } <= 1 && (rule.log?.atMost == nil || logs.count <= 1),
      "its programs have several limiters where it has one")
  }

  /// The chains that were made for a rule, with the programs that stand in its own chain under no name.
  private func reached(from item: Item) -> [(name: String?, rules: [Rule])] {
    var result: [(name: String?, rules: [Rule])] = [(nil, item.programs)]
    var seen: Set<String> = []
    var waiting = item.programs.flatMap(\.verdict.targets)
    while let name = waiting.popLast() {
      guard written[name] == nil, name != item.rest, let rules = chains[name], seen.insert(name).inserted
      else { continue }
      result.append((name, rules))
      waiting += rules.flatMap(\.verdict.targets)
    }
    return result
  }

  private func add(
    _ item: Item, _ index: Int, _ first: inout Firewall, _ second: inout Firewall,
    _ targets: inout Set<String>
  ) {
    let form = item.chain
    let span = policy.span
    // What no verdict of the rule is.
    let used = Set(item.rule.verdict.rejections)
    let kinds = [RejectKind.noRoute, .adminProhibited, .hostUnreachable].filter { !used.contains($0) }
    let marker = markers("behind", kinds.first ?? .noRoute)
    func append(_ rules: [Rule], _ ending: ChainPolicy?, _ firewall: inout Firewall) {
      if form.isRegular || ending == nil {
        let name = "chain \(index)"
        firewall.regularChains.append(RegularChain(name: name, rules: rules, span: span))
        firewall.regularChains[firewall.regularChains.count - 1].policy = ending
        let jump = Rule(id: "to \(index)", name: nil, text: "", verdict: .jump(name), span: span)
        firewall.baseChains.append(
          BaseChain(
            name: "\(index)", hook: form.hook, isNAT: form.isNAT, priority: 0,
            policy: !form.isRegular && form.policy == .accept ? .accept : .drop,
            rules: [jump] + (form.isRegular ? markers("caller", kinds.last ?? .noRoute) : []), span: span))
      } else {
        firewall.baseChains.append(
          BaseChain(
            name: "\(index)", hook: form.hook, isNAT: form.isNAT, priority: 0, policy: ending ?? .drop,
            rules: rules, span: span))
      }
    }
    var rule = item.rule
    rule.verdict = rule.verdict.leading { name in
      let kernelName = KernelName.chain(name)
      targets.insert(kernelName)
      return "to \(kernelName)"
    }
    append([rule] + marker, form.policy, &first)
    func renamed(_ rules: [Rule]) -> [Rule] {
      rules.map { rule in
        var rule = rule
        rule.verdict = rule.verdict.leading { name in
          if written[name] != nil {
            targets.insert(name)
            return "to \(name)"
          }
          return "\(index) \(name)"
        }
        return rule
      }
    }
    for (name, rules) in reached(from: item) {
      guard let name else {
        append(renamed(rules) + marker, form.kernelPolicy, &second)
        continue
      }
      second.regularChains.append(RegularChain(name: "\(index) \(name)", rules: renamed(rules), span: span))
    }
    if let rest = item.rest {
      second.regularChains.append(RegularChain(name: "\(index) \(rest)", rules: marker, span: span))
    }
  }

  /// What tells packets that come there from all others, and also as what they come: some are accepted so, the rest
  /// is rejected.
  private func markers(_ id: String, _ kind: RejectKind) -> [Rule] {
    var accepting = Rule(id: id, name: nil, text: "", verdict: .accept, span: policy.span)
    accepting.quota = Quota(isOver: false, bytes: 1)
    return [accepting, Rule(id: id, name: nil, text: "", verdict: .reject(kind), span: policy.span)]
  }

  /// In place of a chain that rules lead to: it may decide, change what is asked for, and come back.
  private func opaque(_ name: String) -> RegularChain {
    func rule(_ id: String, _ verdict: Verdict) -> Rule {
      var rule = Rule(id: "\(name) \(id)", name: nil, text: "", verdict: verdict, span: policy.span)
      rule.quota = Quota(isOver: false, bytes: 1)
      return rule
    }
    var changing = rule("changes", .continue)
    changing.changes.mark = 0x5eed
    changing.changes.connectionMark = 0x5eed
    changing.changes.dscp = 0x2a
    return RegularChain(
      name: "to \(name)", rules: [rule("accepts", .accept), rule("refuses", .drop), changing],
      span: policy.span)
  }
}

extension Rule {
  /// Whether every packet meets it, and it does nothing but its verdict.
  fileprivate var isBare: Bool {
    families == .both && matches.isEmpty && !isLimiting && changes.isEmpty && counter == nil && log == nil
      && unreadable == nil
  }
}

extension Verdict {
  fileprivate func leading(_ rename: (String) -> String) -> Verdict {
    switch self {
    case .jump(let name): return .jump(rename(name))
    case .goto(let name): return .goto(rename(name))
    case .dispatch(var map):
      for index in map.entries.indices {
        map.entries[index].verdict = map.entries[index].verdict.leading(rename)
      }
      map.otherwise = map.otherwise.leading(rename)
      return .dispatch(map)
    default: return self
    }
  }

  fileprivate var rejections: [RejectKind] {
    switch self {
    case .reject(let kind): [kind]
    case .dispatch(let map): map.verdicts.flatMap(\.rejections)
    default: []
    }
  }
}
