package import Diagnostics
package import NFTables
package import PolicyModel
package import Ruleset

/// Reads tables of the kernel as a firewall of the model: the way back from rule programs to conditions.
///
/// Nothing is guessed. A rule that the model has no words for becomes one of which only the conditions are known that
/// were read before, and it says why (`Rule.unreadable`).
package struct Lift {
  /// Where findings about a rule are shown.
  let span: SourceSpan
  private var identify: (DumpedRule) -> (id: String, span: SourceSpan)? = { _ in nil }
  private var names: [String: String] = [:]
  private var controlGroups: [String: [ControlGroup]] = [:]
  private var counters: [String: String] = [:]
  private var contents: [String: ElementList] = [:]
  private var interfaces = ConditionLift.firstInterface
  /// How a rule that is no policy's is written, and where.
  package var describe: (RulePlace) -> (text: String, span: SourceSpan)? = { _ in nil }

  /// A rule of the kernel by its number in its chain.
  package struct RulePlace: Hashable, Sendable {
    package var family: TableFamily
    package var table: String
    package var chain: String
    /// From 0.
    package var index: Int

    package init(family: TableFamily, table: String, chain: String, index: Int) {
      (self.family, self.table, self.chain, self.index) = (family, table, chain, index)
    }
  }

  package struct Result {
    package var firewall: Firewall
    /// The sets that are filled while they are there, sorted by name, without those of limiters.
    package var dynamicSets: [DynamicSet]
    /// What the kernel holds beside it that may decide about packets and was not looked at, in words.
    package var leftOut: [String] = []
  }

  // linux/netfilter.h NF_INET_*.
  private static let hooks: [UInt32: Hook] = [
    0: .prerouting, 1: .input, 2: .forward, 3: .output, 4: .postrouting, 5: .ingress,
  ]

  /// - Parameters:
  ///   - span: where findings are shown about rules that are not identified.
  ///   - controlGroups: the groups whose numbers a set takes, by its name.
  ///   - names: definitions, by the name of the set of one family.
  ///   - counters: the policy's names of counters.
  ///   - contents: elements of sets that the tables come without.
  ///   - interfaces: by their numbers in the network namespace that the tables are of.
  ///   - identify: the policy's rule that one of the kernel is of.
  package init(
    at span: SourceSpan, controlGroups: [String: [ControlGroup]] = [:], names: [String: String] = [:],
    counters: [String: String] = [:], contents: [String: ElementList] = [:],
    interfaces: [UInt32: String] = [:],
    identify: @escaping (DumpedRule) -> (id: String, span: SourceSpan)? = { _ in nil }
  ) {
    self.span = span
    self.controlGroups = controlGroups
    self.names = names
    self.counters = counters
    self.contents = contents
    self.interfaces.merge(interfaces) { _, known in known }
    self.identify = identify
  }

  /// - Parameters:
  ///   - table: of family inet.
  ///   - other: a firewall to compare it with: base chains in the same places get the same names.
  package func firewall(
    of table: DumpedTable, namedLike other: Firewall? = nil
  ) throws(LiftError) -> Result {
    try Self.checkKind(of: table)
    var firewall = Firewall(baseChains: [], span: span)
    let context = context(of: table)
    try add(table, context, prefix: "", to: &firewall, namedLike: other)
    firewall.regularChains.sort { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    try Self.checkTargets(of: firewall)
    Self.joinDevices(&firewall)
    return Result(firewall: firewall, dynamicSets: dynamicSets(context))
  }

  /// All tables of a network namespace. Chains and sets are named `FAMILY TABLE NAME`, but those of one table.
  ///
  /// Tables of family arp see no packet of IP, and those of bridges see frames before there are hosts: they are left
  /// out, and named. A chain of family netdev sees what comes by its device or leaves by it, and nobody can tell what
  /// becomes of that.
  ///
  /// What others' rules count, log and mark for others is nothing to ask, and of a condition that has no word nobody
  /// can tell: of the packets that meet the other ones.
  ///
  /// - Parameters:
  ///   - own: the name of a table of family inet.
  ///   - other: a firewall to compare it with: base chains in the same places get the same names.
  package func firewall(
    of tables: [DumpedTable], own: String, namedLike other: Firewall? = nil
  ) throws(LiftError) -> Result {
    var firewall = Firewall(baseChains: [], span: span)
    var sets: [DynamicSet] = []
    var leftOut: [String] = []
    let hasOwn = tables.contains { $0.family == .inet && $0.name == own }
    for table in tables where table.flags & 1 == 0 {
      leftOut += Self.leftOut(of: table, own)
      if table.family == .arp || table.family == .bridge { continue }
      let prefix = table.family == .inet && table.name == own ? "" : "\(table.family) \(table.name) "
      var context = context(of: table)
      switch table.family {
      case .ipv4: context.families = .ipv4
      case .ipv6: context.families = .ipv6
      default: break
      }
      context.setPrefix = prefix
      context.isStrict = false
      let isNamed = table.family == .inet && (!hasOwn || prefix.isEmpty)
      try add(table, context, prefix: prefix, to: &firewall, namedLike: isNamed ? other : nil)
      sets += dynamicSets(context)
    }
    for chain in firewall.baseChains {
      let twins = firewall.baseChains.filter {
        $0.hook == chain.hook && $0.priority == chain.priority
          && !$0.families.isDisjoint(with: chain.families)
      }
      if twins.count > Self.mostTwins {
        throw LiftError(
          "\(twins.count) chains of one hook and one priority, and which comes first nobody can tell",
          chain: chain.place)
      }
    }
    firewall.regularChains.sort { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    try Self.checkTargets(of: firewall)
    Self.joinDevices(&firewall)
    return Result(firewall: firewall, dynamicSets: sets, leftOut: leftOut)
  }

  /// Chains of one hook and one priority: each order of them is asked.
  private static let mostTwins = 4

  private func context(of table: DumpedTable) -> LiftContext {
    var context = LiftContext()
    context.sets = Dictionary(table.sets.compactMap { set in set.name.map { ($0, set) } }) { first, _ in first
    }
    (context.controlGroups, context.names, context.counters) = (controlGroups, names, counters)
    context.contents = contents
    context.interfaces = interfaces
    context.objects = table.objects
    context.sharedObjects = LiftContext.sharedObjects(of: table)
    return context
  }

  private func add(
    _ table: DumpedTable, _ context: LiftContext, prefix: String, to firewall: inout Firewall,
    namedLike other: Firewall?
  ) throws(LiftError) {
    guard table.family != .netdev else {
      for chain in table.chains { firewall.baseChains += doubted(chain, prefix) }
      return
    }
    for chain in table.chains {
      var rules: [Rule] = []
      for (index, source) in chain.rules.enumerated() {
        let place = RulePlace(family: table.family, table: table.name, chain: chain.name, index: index)
        rules += try self.rules(
          source, at: index, in: chain.name, context, prefix: prefix, describe(place),
          madeChains: &firewall.regularChains)
      }
      guard chain.isBase else {
        firewall.regularChains.append(RegularChain(name: prefix + chain.name, rules: rules, span: span))
        continue
      }
      guard let base = chain.base, let hook = Self.hooks[base.hook] else {
        throw LiftError("a base chain on a hook that the model has not", chain: prefix + chain.name)
      }
      let place = other?.baseChains.first {
        $0.hook == hook && $0.isNAT == (base.type == .nat) && $0.priority == base.priority
      }.flatMap { place in firewall.baseChains.contains { $0.place == place.place } ? nil : place }
      var lifted = BaseChain(
        name: place.map(\.name) ?? prefix + chain.name, hook: hook, isNAT: base.type == .nat,
        priority: base.priority,
        policy: base.accepts ? .accept : .drop, devices: base.device.map { [$0] } ?? [], rules: rules,
        span: span)
      lifted.families = context.families
      firewall.baseChains.append(lifted)
    }
  }

  /// - Parameter madeChains: is given chains that the model needs for the rule, and the kernel has not.
  private func rules(
    _ source: DumpedRule, at index: Int, in chain: String, _ context: LiftContext, prefix: String,
    _ written: (text: String, span: SourceSpan)? = nil, madeChains: inout [RegularChain]
  ) throws(LiftError) -> [Rule] {
    let place = "\(prefix)\(chain)#\(index + 1)"
    let known = identify(source)
    var lift = RuleLift(
      source, id: known?.id ?? place, span: known?.span ?? written?.span ?? span, in: context)
    if known == nil, let written { lift.rule.text = written.text }
    lift.place = "rule \(index + 1) of chain `\(prefix)\(chain)`: "
    do throws(LiftError) {
      var lifted = try lift.run()
      if !prefix.isEmpty {
        for index in lifted.indices {
          lifted[index].rule.verdict = lifted[index].rule.verdict.leading(into: prefix)
        }
      }
      return try Self.rules(lifted, place, &madeChains)
    } catch {
      return lift.unread(because: error.reason).flatMap(Self.expanded)
    }
  }

  /// Chains of several devices that lead to one: in the model it is one chain.
  private static func joinDevices(_ firewall: inout Firewall) {
    var joined: [BaseChain] = []
    for chain in firewall.baseChains {
      let twin = joined.firstIndex { other in
        guard !chain.devices.isEmpty, !other.devices.isEmpty, other.priority == chain.priority,
          other.hook == chain.hook, other.policy == chain.policy, other.families == chain.families,
          chain.rules.count == 1, other.rules.count == 1, case .jump(let target) = chain.rules[0].verdict
        else { return false }
        return other.rules[0].verdict == .jump(target)
          && [chain.rules[0], other.rules[0]].allSatisfy { rule in
            rule.matches.isEmpty && rule.families == .both && !rule.isLimiting && rule.changes.isEmpty
              && rule.unreadable == nil
          }
      }
      if let twin {
        joined[twin].devices = Set(joined[twin].devices + chain.devices).sorted()
      } else {
        joined.append(chain)
      }
    }
    firewall.baseChains = joined
  }

  /// Each chain that rules lead to is there, and none leads back to itself.
  private static func checkTargets(of firewall: Firewall) throws(LiftError) {
    let targets = Dictionary(
      firewall.regularChains.map { ($0.name, Set($0.rules.flatMap(\.verdict.targets))) }
    ) { first, _ in first }
    var depths: [String: Int] = [:]
    // NFT_JUMP_STACK_SIZE: the kernel follows no further, and loads no loop that a base chain leads to.
    func depth(of name: String, _ above: Int) throws(LiftError) -> Int {
      if let known = depths[name] { return known }
      guard let next = targets[name] else { throw LiftError("a chain `\(name)` that is not there") }
      guard above < 64 else { throw LiftError("chains that lead back to themselves", chain: name) }
      var deepest = 0
      for target in next.sorted() { deepest = max(deepest, try depth(of: target, above + 1) + 1) }
      depths[name] = deepest
      return deepest
    }
    for chain in firewall.baseChains {
      for target in Set(chain.rules.flatMap(\.verdict.targets)).sorted() { _ = try depth(of: target, 0) }
    }
    for name in targets.keys.sorted() { _ = try depth(of: name, 0) }
  }

  private func dynamicSets(_ context: LiftContext) -> [DynamicSet] {
    var found: [String: DynamicSet] = [:]
    for (name, set) in context.sets where set.isFilled && !name.hasPrefix("_") {
      let definition = context.definition(name)
      // NFT_SET_EVAL: rules make elements.
      var one = DynamicSet(
        name: definition, filler: set.flags & 0x20 != 0 ? .rules : .others, size: set.size ?? 0,
        timeout: set.timeout.map { $0 / 1000 }, span: span)
      if let bits = context.keys.bits(of: definition, in: .ipv4) { one.ipv4Bits = bits }
      if let bits = context.keys.bits(of: definition, in: .ipv6) { one.ipv6Bits = bits }
      found[definition] = one
    }
    for name in context.keys.filled {
      found[name] = DynamicSet(name: name, filler: .others, size: 0, timeout: nil, span: span)
    }
    return found.values.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
  }

  // MARK: One rule at a time

  /// One table whose rules are read where they are asked for, in the order of their chains.
  package struct Table {
    private let lift: Lift
    private let context: LiftContext
    /// What the model needs for the rules that were read, and the kernel has not.
    package private(set) var madeChains: [RegularChain] = []

    /// - Parameter table: of family inet; its rules are not looked at.
    package init(_ table: DumpedTable, _ lift: Lift) throws(LiftError) {
      try Lift.checkKind(of: table)
      self.lift = lift
      context = lift.context(of: table)
    }

    /// The rule, or several that are asked one behind the other.
    package mutating func rules(
      _ source: DumpedRule, at index: Int, in chain: String
    ) throws(LiftError) -> [Rule] {
      try lift.rules(source, at: index, in: chain, context, prefix: "", madeChains: &madeChains)
    }

    /// The sets that are filled while they are there, as the rules that were read ask them; sorted by name.
    package var dynamicSets: [DynamicSet] { lift.dynamicSets(context) }
  }

  private static func checkKind(of table: DumpedTable) throws(LiftError) {
    guard table.family == .inet else { throw LiftError("table `\(table.name)` is not of family inet") }
    // NFT_TABLE_F_DORMANT.
    guard table.flags & 1 == 0 else { throw LiftError("table `\(table.name)` is dormant") }
  }

  // MARK: What one program becomes

  private static func rules(
    _ lifted: [RuleLift.LiftedRule], _ place: String, _ madeChains: inout [RegularChain]
  ) throws(LiftError) -> [Rule] {
    var rules: [Rule] = []
    for one in lifted {
      if one.alternatives != nil {
        if case .dispatch = one.rule.verdict {
          throw LiftError("a map of verdicts behind a look-up of several fields")
        }
        // The packet may be another then, and meet one more of them.
        guard one.rule.changes.isEmpty || one.rule.verdict.isFinal else {
          throw LiftError("a change behind a look-up of several fields")
        }
        rules += expanded(try one.rule.isLimiting ? limited(one, place, &madeChains) : one)
      } else {
        rules += try separated(one.rule, place, &madeChains)
      }
    }
    return rules
  }

  /// A limiter is one for all alternatives: it stands in a chain that they lead to.
  private static func limited(
    _ one: RuleLift.LiftedRule, _ place: String, _ madeChains: inout [RegularChain]
  ) throws(LiftError) -> RuleLift.LiftedRule {
    switch one.rule.verdict {
    // These would be about the made chain.
    case .return, .goto: throw LiftError("a limiter behind a look-up of several fields")
    default: break
    }
    let name = place + (madeChains.contains { $0.name == place } ? " \(madeChains.count)" : "")
    var (plain, jump) = (one.rule, one)
    plain.matches = []
    madeChains.append(RegularChain(name: name, rules: [plain], span: plain.span))
    jump.rule = Rule(id: plain.id, name: nil, text: plain.text, verdict: .jump(name), span: plain.span)
    (jump.rule.families, jump.rule.matches) = (plain.families, one.rule.matches)
    return jump
  }

  /// A map of verdicts stands alone in the model: its conditions become the conditions of a jump to it.
  private static func separated(
    _ rule: Rule, _ place: String, _ madeChains: inout [RegularChain]
  ) throws(LiftError) -> [Rule] {
    guard case .dispatch(let map) = rule.verdict else { return [rule] }
    var plain = rule
    plain.matches = []
    // What the map's own field says of the protocol needs no condition.
    let implied = map.fields.compactMap { field -> Match? in
      if case .port(let number) = field { Match(.protocols([number])) } else { nil }
    }
    guard rule.matches.contains(where: { !implied.contains($0) }) else { return [plain] }
    // In a chain that is made for the map, `return` would mean that one, and what comes back from `goto` too.
    let leaves = map.verdicts.contains { verdict in
      switch verdict {
      case .return, .goto: true
      default: false
      }
    }
    guard !leaves else { throw LiftError("a map that returns, behind conditions") }
    let name = place + (madeChains.contains { $0.name == place } ? " \(madeChains.count)" : "")
    madeChains.append(RegularChain(name: name, rules: [plain], span: rule.span))
    var jump = rule
    jump.verdict = .jump(name)
    return [jump]
  }

  /// The model has no condition on several fields at once: each alternative becomes a rule. No packet meets two of
  /// them, so that nothing is done twice.
  private static func expanded(_ one: RuleLift.LiftedRule) -> [Rule] {
    guard let alternatives = one.alternatives else { return [one.rule] }
    return alternatives.map { conditions in
      var rule = one.rule
      rule.matches += conditions
      return rule
    }
  }
}

extension Verdict {
  /// Whether no rule behind it is asked.
  fileprivate var isFinal: Bool {
    switch self {
    case .accept, .drop, .reject, .return, .goto, .translate: true
    case .continue, .jump, .dispatch, .notrack: false
    }
  }

  /// The same where the names of chains have something before them.
  fileprivate func leading(into prefix: String) -> Verdict {
    switch self {
    case .jump(let name): return .jump(prefix + name)
    case .goto(let name): return .goto(prefix + name)
    case .dispatch(var map):
      for index in map.entries.indices {
        map.entries[index].verdict = map.entries[index].verdict.leading(into: prefix)
      }
      map.otherwise = map.otherwise.leading(into: prefix)
      return .dispatch(map)
    default: return self
    }
  }
}
