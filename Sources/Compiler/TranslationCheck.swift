internal import Analysis
internal import Diagnostics
internal import Lift
internal import NFTables
internal import PolicyModel
internal import Ruleset
internal import SideThread

/// Proves that a compile's messages to the kernel mean what the checked policy means: rule by rule, and the chains that
/// they stand in (DESIGN §5).
///
/// The messages are read back, which shares no table with the lowering. First match is a congruence: where each rule's
/// programs do with every packet what the rule says, and stand in the rule's place, the chains mean the same. Most rules
/// are one conjunction and a verdict, and their bytes are compared with the rule as they stand (``PlainProgram``). Others
/// are lifted and brought to one form (``RuleShape``); and those of several programs are compared as decision diagrams,
/// with something behind them that tells packets that go on from packets that leave the chain, and something in place
/// of each chain that they lead to which may decide, change the packet, or come back.
struct TranslationCheck {
  /// What went wrong, and at which rule; nil: at the firewall.
  struct Mismatch: Error, Equatable {
    var ruleID: String?
    var reason: String
  }

  struct Result: Equatable {
    var mismatch: Mismatch?
    /// Ids of rules whose programs would take diagrams that are too large.
    var untold: [String] = []
  }

  let policy: Firewall
  /// The policy's chains by their names in the kernel.
  let written: [String: RegularChain]
  private let ruleID: (UInt32) -> String?
  private(set) var programs: StoredPrograms
  private(set) var lift: Lift.Table
  /// The elements of sets that have names.
  let contents: [String: ElementList]
  /// The control groups whose numbers a set takes, by its name.
  let groups: [String: [ControlGroup]]
  /// The kernel's chains, by name.
  private let indices: [String: Int]
  /// Those whose programs were lifted, by name.
  private(set) var chains: [String: [Rule]] = [:]
  /// Rules of more than one program, or of another shape.
  var others: [Item] = []
  var untold: [String] = []

  /// A rule and what became of it.
  struct Item {
    var rule: Rule
    var chain: ChainForm
    var programs: [Rule]
    /// The chain in which the rules behind this one stand.
    var rest: String?
  }

  /// What a chain does with what comes to its end.
  struct ChainForm {
    var hook: Hook
    var isNAT: Bool
    /// Nil: it goes back to the caller.
    var policy: ChainPolicy?
    var isRegular: Bool
    /// What the kernel does there.
    var kernelPolicy: ChainPolicy?
  }

  /// What sets that have names hold is taken from `ruleset`, whose lists may have millions, and the messages are compared
  /// with it where they stand.
  ///
  /// - Parameter ruleID: the id of a rule's item by its number.
  // A benchmark counts what is done inside of it.
  @inline(never)
  static func check(
    _ policy: HostPolicy, _ ruleset: Ruleset, messages: [EncodedMessage], deviceChains: [DeviceBatch],
    controlGroups: [ControlGroupElement], ruleID: @escaping (UInt32) -> String?
  ) -> Result {
    guard let firewall = policy.firewall else {
      // The table is there all the same, for its name.
      let isEmpty = messages.allSatisfy { $0.kind == .table || $0.kind == .object } && deviceChains.isEmpty
      return isEmpty
        ? Result() : Result(mismatch: Mismatch(ruleID: nil, reason: "there is a firewall that nobody wrote"))
    }
    do throws(Mismatch) {
      var check = try TranslationCheck(
        policy, firewall, ruleset,
        messages.lazy.filter { $0.kind != .elements }.map(\.bytes)
          + deviceChains.flatMap(\.messages).map(\.bytes), controlGroups, ruleID: ruleID)
      try check.compareElements(messages)
      try check.compareChains()
      try check.compareOthers()
      try check.compareSets(policy.dynamicSets)
      return Result(untold: check.untold)
    } catch {
      return Result(mismatch: error)
    }
  }

  private init(
    _ policy: HostPolicy, _ firewall: Firewall, _ ruleset: Ruleset, _ messages: [[UInt8]],
    _ controlGroups: [ControlGroupElement], ruleID: @escaping (UInt32) -> String?
  ) throws(Mismatch) {
    self.policy = firewall
    self.ruleID = ruleID
    written = Dictionary(firewall.regularChains.map { (KernelName.chain($0.name), $0) }) { first, _ in first }
    contents = Self.contents(of: ruleset)
    do throws(NFTablesError) {
      programs = try StoredPrograms(messages)
    } catch {
      throw Mismatch(ruleID: nil, reason: "a message cannot be read: \(error)")
    }
    indices = Dictionary(programs.table.chains.enumerated().map { ($1.name, $0) }) { first, _ in first }
    do throws(LiftError) {
      groups = try Self.groups(controlGroups)
      lift = try Lift.Table(
        programs.table,
        Lift(
          at: policy.span, controlGroups: groups,
          names: Self.names(policy.dynamicSets),
          counters: Self.counters(firewall), contents: contents
        ) { rule in
          ruleID(rule.source).map { ($0, policy.span) }
        })
    } catch {
      throw Mismatch(ruleID: nil, reason: "\(error)")
    }
  }

  private static func counters(_ firewall: Firewall) -> [String: String] {
    var counters: [String: String] = [:]
    firewall.forEachRule { rule in
      if case .named(let name)? = rule.counter { counters[KernelName.counter(name)] = name }
    }
    return counters
  }

  // MARK: Chains

  private mutating func compareChains() throws(Mismatch) {
    var left = Set(programs.table.chains.indices.filter { programs.table.chains[$0].isBase })
    for chain in policy.baseChains {
      let form = ChainForm(
        hook: chain.hook, isNAT: chain.isNAT, policy: chain.policy, isRegular: false,
        kernelPolicy: chain.policy == .accept ? .accept : .drop)
      if chain.devices.isEmpty {
        try compare(chain.rules, try take(chain, device: nil, &left), form)
      } else {
        try compareDevices(chain, form, &left)
      }
    }
    if let index = left.min() {
      throw Mismatch(
        ruleID: nil, reason: "there is a chain `\(programs.table.chains[index].name)` that nobody wrote")
    }
    for (name, chain) in written.sorted(by: { $0.key < $1.key }) {
      guard let index = indices[name], !programs.table.chains[index].isBase else {
        throw Mismatch(ruleID: nil, reason: "the chain `\(chain.name)` is missing")
      }
      let form = ChainForm(hook: .input, isNAT: false, policy: chain.policy, isRegular: true)
      try compare(chain.rules, index, form)
    }
  }

  /// The kernel's chain in the place of one, for the packets of a device.
  private func take(_ chain: BaseChain, device: String?, _ left: inout Set<Int>) throws(Mismatch) -> Int {
    // The kernel routes a packet anew behind a chain of type route alone.
    let type: BaseHook.ChainType = chain.isNAT ? .nat : policy.reroutes(chain) ? .route : .filter
    let found = left.filter { index in
      guard let base = programs.table.chains[index].base else { return false }
      return base.hook == Self.number(of: chain.hook) && base.priority == chain.priority
        && (base.type == .nat) == chain.isNAT && base.device == device
    }
    guard let index = found.first, found.count == 1, let base = programs.table.chains[index].base else {
      throw Mismatch(ruleID: nil, reason: "the chain `\(chain.place)` is missing")
    }
    guard base.type == type else {
      throw Mismatch(ruleID: nil, reason: "the chain `\(chain.place)` is of another type")
    }
    guard base.accepts == (chain.policy == .accept) else {
      throw Mismatch(ruleID: nil, reason: "the chain `\(chain.place)` has another policy")
    }
    left.remove(index)
    return index
  }

  // linux/netfilter.h NF_INET_*.
  private static func number(of hook: Hook) -> UInt32 {
    switch hook {
    case .prerouting: 0
    case .input: 1
    case .forward: 2
    case .output: 3
    case .postrouting: 4
    case .ingress: 5
    }
  }

  /// The rules stand once, and each device's chain leads to them.
  private mutating func compareDevices(
    _ chain: BaseChain, _ form: ChainForm, _ left: inout Set<Int>
  ) throws(Mismatch) {
    var form = form
    form.kernelPolicy = nil
    var shared: String?
    for device in chain.devices {
      let rules = try liftedChain(try take(chain, device: device, &left))
      guard rules.count == 1, rules[0].isBare, case .jump(let name) = rules[0].verdict, shared ?? name == name
      else { throw Mismatch(ruleID: nil, reason: "the chain `\(chain.place)` leads elsewhere") }
      shared = name
    }
    guard let shared, written[shared] == nil, let index = indices[shared],
      !programs.table.chains[index].isBase
    else { throw Mismatch(ruleID: nil, reason: "the chain `\(chain.place)` leads elsewhere") }
    try compare(chain.rules, index, form)
  }

  /// All rules of a chain of the kernel, lifted.
  @discardableResult
  mutating func liftedChain(_ index: Int) throws(Mismatch) -> [Rule] {
    let name = programs.table.chains[index].name
    if let known = chains[name] { return known }
    let rules = try lifted(programs.chains[index][...], in: name)
    chains[name] = rules
    return rules
  }

  /// Lifts the chain if there is one; also those that the model needs and the kernel has not.
  mutating func liftedChain(named name: String) throws(Mismatch) -> [Rule]? {
    if let known = chains[name] { return known }
    guard let index = indices[name], !programs.table.chains[index].isBase else { return nil }
    return try liftedChain(index)
  }

  private mutating func lifted(
    _ own: ArraySlice<StoredPrograms.Program>, in chain: String
  ) throws(Mismatch) -> [Rule] {
    var rules: [Rule] = []
    for index in own.indices {
      let source: DumpedRule
      do throws(NFTablesError) {
        source = try programs.rule(own[index])
      } catch {
        throw Mismatch(ruleID: ruleID(own[index].source), reason: "a message cannot be read: \(error)")
      }
      let made = lift.madeChains.count
      do throws(LiftError) {
        rules += try lift.rules(source, at: index, in: chain)
      } catch {
        throw Mismatch(ruleID: ruleID(own[index].source), reason: "\(error)")
      }
      for chain in lift.madeChains[made...] { chains[chain.name] = chain.rules }
    }
    return rules
  }

  // MARK: Rules

  private mutating func compare(_ rules: [Rule], _ chain: Int, _ form: ChainForm) throws(Mismatch) {
    let enabled = rules.indices.filter { rules[$0].isEnabled }
    var place = chain
    var (start, ranges) = (0, ranges(of: enabled[...], rules, in: chain))
    var plain = plainRules(enabled[...], rules, ranges, in: chain, form)
    for index in enabled.indices {
      let count = programs.chains[place].count
      let own = index - start < ranges.count ? ranges[index - start] : count..<count
      if index - start < plain.count, plain[index - start] { continue }
      let rule = rules[enabled[index]]
      let read = try lifted(programs.chains[place][own], in: programs.table.chains[place].name)
      if let reason = read.lazy.compactMap(\.unreadable).first {
        throw Mismatch(ruleID: rule.id, reason: reason)
      }
      // Where a rule leaves its chain, the rules behind it stand in a chain of their own.
      if own.upperBound == count, let last = read.last, last.isBare,
        case .goto(let name) = last.verdict, written[name] == nil, let behind = indices[name],
        !programs.table.chains[behind].isBase,
        programs.chains[behind].first.map({ ruleID($0.source) }) != rule.id
      {
        place = behind
        start = index + 1
        ranges = self.ranges(of: enabled[start...], rules, in: behind)
        plain = plainRules(enabled[start...], rules, ranges, in: behind, form)
        others.append(Item(rule: rule, chain: form, programs: read, rest: name))
        continue
      }
      if isSame(rule, read, form) { continue }
      if let joined = try joined(read), isSame(rule, joined, form, sharesLimiters: true) { continue }
      others.append(Item(rule: rule, chain: form, programs: read))
    }
    let end = ranges.last?.upperBound ?? 0
    if end < programs.chains[place].count {
      throw Mismatch(
        ruleID: ruleID(programs.chains[place][end].source), reason: "there is a program that no rule is of")
    }
  }

  /// Of each rule the programs that stand in its place, one behind the other; of those behind the last program nothing.
  private func ranges(of enabled: ArraySlice<Int>, _ rules: [Rule], in chain: Int) -> [Range<Int>] {
    let programs = programs.chains[chain]
    var ranges: [Range<Int>] = []
    ranges.reserveCapacity(enabled.count)
    var next = 0
    for index in enabled {
      let first = next
      while next < programs.count, ruleID(programs[next].source) == rules[index].id { next += 1 }
      ranges.append(first..<next)
      if next == programs.count { break }
    }
    return ranges
  }

  /// Rules from which on the halves of a list are compared side by side.
  private static let longList = 1_000

  /// Which rules' programs say what the rules say, as far as their bytes tell.
  private func plainRules(
    _ enabled: ArraySlice<Int>, _ rules: [Rule], _ ranges: [Range<Int>], in chain: Int, _ form: ChainForm
  ) -> [Bool] {
    let (programs, contents, policy) = (programs, contents, form.policy)
    let places = Array(enabled.prefix(ranges.count))
    @Sendable func said(_ part: Range<Int>) -> [Bool] {
      var plain = PlainProgram(contents)
      return part.map { index in
        plain.says(
          rules[places[index]], programs.chains[chain][ranges[index]], programs, endingWith: policy)
      }
    }
    guard places.count >= Self.longList else { return said(0..<places.count) }
    let middle = places.count / 2
    let beside = SideThread { said(middle..<places.count) }
    return said(0..<middle) + beside.wait()
  }

  private func isSame(
    _ rule: Rule, _ programs: [Rule], _ form: ChainForm, sharesLimiters: Bool = false
  ) -> Bool {
    guard let first = programs.first, let last = programs.last, programs.count <= 2 else { return false }
    guard let wanted = wanted(rule, form) else { return false }
    if programs.count == 1 { return RuleShape(wanted) == RuleShape(first) }
    // One for each family. A limiter of both would be two.
    guard rule.families == .both, first.families != last.families, first.families != .both,
      last.families != .both,
      sharesLimiters
        || rule.limit.map({ $0.key != nil }) ?? true && rule.quota == nil
          && rule.connections.map({ $0.key != nil }) ?? true && rule.log?.atMost == nil
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
    // A reset is an answer to TCP alone.
    case .reject(.tcpReset): return rule.isTCP ? wanted : nil
    case .dispatch: return nil
    default: break
    }
    return wanted
  }

  /// Programs that lead to one chain, which was made for the rule and asks nothing, with what that chain does in their
  /// place; nil: they are others. What the chain limits, it limits for all of them together.
  private mutating func joined(_ programs: [Rule]) throws(Mismatch) -> [Rule]? {
    guard case .jump(let name)? = programs.first?.verdict, written[name] == nil,
      programs.allSatisfy({ $0.onlyDecides && $0.verdict == .jump(name) }),
      let chain = try liftedChain(named: name), let last = chain.last,
      chain.allSatisfy({
        $0.matchesAll && $0.families == .both && $0.unreadable == nil && $0.id == programs[0].id
      })
    else { return nil }
    var log = last.log
    if chain.count > 1 {
      // A log that says only a part of what comes, and what decides about all.
      let first = chain[0]
      guard chain.count == 2, last.onlyDecides, first.verdict == .continue, !first.isLimiting,
        first.changes.isEmpty, first.counter == nil
      else { return nil }
      log = first.log
    }
    switch last.verdict {
    // These would be about the made chain, or lead to others.
    case .return, .goto, .dispatch, .jump: return nil
    default: break
    }
    return programs.map { program in
      var joined = program
      joined.verdict = last.verdict
      if log != nil { joined.log = log }
      if last.onlyDecides { return joined }
      (joined.connections, joined.limit, joined.quota) = (last.connections, last.limit, last.quota)
      (joined.changes, joined.counter) = (last.changes, last.counter)
      return joined
    }
  }
}

extension Rule {
  /// Whether one of its matches asks for TCP.
  fileprivate var isTCP: Bool {
    matches.contains { match in
      switch match.condition {
      case .protocols(let listed), .ports(_, let listed, _): !match.isNegated && listed == [6]
      case .tcpFlags: true
      default: false
      }
    }
  }

  /// Whether every packet meets it, and it does nothing but its verdict.
  fileprivate var isBare: Bool {
    families == .both && matches.isEmpty && !isLimiting && changes.isEmpty && counter == nil && log == nil
      && unreadable == nil
  }
}
