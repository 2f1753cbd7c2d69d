internal import PolicyModel
internal import SHA2

/// Lowers one policy rule to the kernel rules of its chain, and to generated chains where one rule cannot say
/// it.
///
/// A generated chain is needed
/// - for a negation whose field may be absent: `positive -> return`, then the rule's effects;
/// - where the rule becomes several kernel rules and has state: each would have a bucket of its own, and
///   `accept … limit 10/minute` would let through twice as much;
/// - where an effect may end its kernel rule before the verdict (`Effects.hasParts`), so that the rule becomes
///   several, and there is a limit or quota, which all of them must share, or a change to the packet or to a set,
///   after which its matches may no longer hold;
/// - for `goto` in a base chain, whose end is the chain's policy: by a verdict, as for `return`;
/// - where the rule becomes several kernel rules, and what it does may change which of them a packet meets: a set that it
///   asks is filled, and the packet comes back. Then one jump leads to a chain whose rules are all `goto`.
///
/// `return` and `goto` of a regular chain leave the chain they stand in, which a chain below cannot do for it.
/// There the rest of the caller becomes a chain of its own, and all ways are `goto`.
struct RuleLowering {
  struct Output {
    /// For the rule's chain, in order.
    var rules: [KernelRule] = []
    var generatedChains: [Chain] = []
    /// The name of the chain that the rules behind this one go to; nil: they stay.
    var rest: String?
  }

  /// What a list of rules becomes.
  struct ListOutput {
    /// What a rule becomes besides rules of its chain.
    struct Branch {
      /// So many rules of the list stand before what follows the rule.
      var place: Int
      var rest: String?
      var generatedChains: [Chain]
    }

    var rules: [KernelRule] = []
    var branches: [Branch] = []

    mutating func append(_ output: Output) {
      rules += output.rules
      guard output.rest != nil || !output.generatedChains.isEmpty else { return }
      branches.append(
        Branch(place: rules.count, rest: output.rest, generatedChains: output.generatedChains))
    }
  }

  /// What `return` and the end of a chain entered by `goto` mean in a base chain, as a verdict. The kernel's
  /// own policy is not asked, for it is `accept` until the transaction that creates the chain ends. Nil: a
  /// regular chain.
  let chainPolicy: ChainPolicy?
  /// What dynamic sets hold of each address, where that is not all.
  var prefixes: [String: AddressKey] = [:]

  /// What each enabled rule of a list becomes.
  func lower(_ rules: [Rule], _ names: inout ChainNames) -> ListOutput {
    var list = ListOutput()
    list.rules.reserveCapacity(rules.count)
    for rule in rules where rule.isEnabled {
      if let rule = plain(rule) { list.rules.append(rule) } else { list.append(lower(rule, &names)) }
    }
    return list
  }

  /// What most rules become: one rule, which decides and does nothing else. Nil: it is another one.
  private func plain(_ rule: Rule) -> KernelRule? {
    guard let verdict = Effects.decision(of: rule),
      let (alternatives, exceptions) = lowerMatches(of: rule, isOfFamily: false), exceptions.isEmpty,
      alternatives.count == 1
    else { return nil }
    var parts = Parts(rule: rule)
    return parts.rule(alternatives[0], [.verdict(verdict)])
  }

  func lower(_ rule: Rule, _ names: inout ChainNames) -> Output {
    if case .dispatch(let map) = rule.verdict {
      var parts = Parts(rule: rule)
      var lowering = DispatchLowering(map: map, chainPolicy: chainPolicy)
      let output = lowering.lower(&parts, &names, id: rule.id)
      return Output(rules: output.rules, generatedChains: output.generatedChains)
    }
    let effects = Effects(of: rule, chainPolicy: chainPolicy)
    guard let (matching, exceptions) = lowerMatches(of: rule, isOfFamily: effects.isOfFamily) else {
      return Output()
    }
    var alternatives = matching
    if let needed = effects.neededProtocol {
      alternatives = alternatives.compactMap { $0.and(Conjunction(protocols: [needed])) }
    }
    guard !alternatives.isEmpty else { return Output() }

    var parts = Parts(rule: rule)
    let mayMeetAnother =
      Self.mayChangeAnswers(of: rule)
      && alternatives.indices.contains { index in
        alternatives[..<index].contains { $0.family == alternatives[index].family }
      }
    let needsChain =
      mayMeetAnother || !exceptions.isEmpty || alternatives.count > 1 && effects.hasState
      || effects.hasParts && (effects.hasBudget || !rule.changes.isEmpty) || effects.needsChain
    guard needsChain else {
      let rules = alternatives.flatMap { alternative in
        effects.inline(in: alternative.family).map { parts.rule(alternative, $0) }
      }
      return Output(rules: rules)
    }
    let name = names.take(for: rule.id)
    func chains(
      _ exceptions: [KernelRule], otherwise: KernelVerdict, _ makeRule: (Effects.Part) -> KernelRule
    ) -> [Chain] {
      let chains = effects.inChains(
        families: rule.families, otherwise: otherwise, makeName: { names.take(for: rule.id) })
      return chains.enumerated().map { index, chain in
        Chain(
          name: chain.name ?? name, base: nil,
          rules: (index == 0 ? exceptions : []) + chain.parts.map(makeRule))
      }
    }
    guard effects.leavesChain else {
      let ways = mayMeetAnother ? names.take(for: rule.id) : nil
      var jumps = alternatives.map { parts.rule($0, [.verdict(ways == nil ? .jump(name) : .goto(name))]) }
      var generatedWays: [Chain] = []
      if let ways {
        generatedWays = [Chain(name: ways, base: nil, rules: jumps)]
        let family = rule.families == .both ? nil : rule.families
        jumps = [parts.rule(Conjunction().inFamily(family), [.verdict(.jump(ways))])]
      }
      let guardOfVerdict = guardOfEffects(of: rule, effects, alternatives)
      let returns = exceptions.map { parts.rule($0, [.verdict(.return)]) }
      let generated = chains(returns, otherwise: .return) { part in
        // nft wants to see the guard of a rejection or translation there.
        let isGuarded = part.statements.contains(where: \.needsGuard)
        return isGuarded ? parts.rule(guardOfVerdict, part.statements) : parts.rule(part)
      }
      return Output(rules: jumps, generatedChains: generatedWays + generated)
    }
    let rest = names.take(for: rule.id)
    let onward = KernelVerdict.goto(rest)
    var rules = alternatives.map { parts.rule($0, [.verdict(.goto(name))]) }
    rules.append(parts.rule(Conjunction(), [.verdict(onward)]))
    let leaving = exceptions.map { parts.rule($0, [.verdict(onward)]) }
    return Output(
      rules: rules, generatedChains: chains(leaving, otherwise: onward) { parts.rule($0) }, rest: rest)
  }

  /// Whether what a rule does to a packet that comes back may change what sets say of its addresses.
  private static func mayChangeAnswers(of rule: Rule) -> Bool {
    switch rule.verdict {
    case .continue, .notrack: rule.changes.setUpdates.contains { update in rule.asks(set: update.set) }
    // Rules of the chain may fill any.
    case .jump: rule.asks(set: nil)
    default: false
    }
  }

  /// What a verdict below a jump must say again of the packets that come there: a reset answers TCP, a target has
  /// a family, and its port a protocol.
  private func guardOfEffects(
    of rule: Rule, _ effects: Effects, _ alternatives: [Conjunction]
  ) -> Conjunction {
    guard case .translate(let translation) = rule.verdict else {
      return Conjunction(protocols: effects.neededProtocol.map { [$0] })
    }
    // Where one of them leaves the protocol open, the target names no port.
    let protocols = alternatives.reduce(into: Set<UInt8>?([])) { union, alternative in
      union = alternative.protocols.flatMap { union?.union($0) }
    }
    return Conjunction(protocols: protocols?.sorted())
      .inFamily(translation.families == .both ? nil : translation.families)
  }

  /// The disjoint ways to meet the rule's matches, and what then still excepts a packet; nil if no packet
  /// can meet them.
  private func lowerMatches(of rule: Rule, isOfFamily: Bool) -> (
    alternatives: [Conjunction], exceptions: [Conjunction]
  )? {
    let isSplit =
      rule.families == .both
      && (isOfFamily || rule.matches.contains(where: MatchLowering.isFamilySpecific))
    let families: [Families] = isSplit ? [.ipv4, .ipv6] : [rule.families]
    let lowering = MatchLowering(of: rule, prefixes: prefixes)
    let matches = Self.sorted(rule.matches)

    var alternatives: [Conjunction] = []
    var exceptions: [Conjunction] = []
    for family in families {
      let ownFamily: Families? = family == .both ? nil : family
      var conjunctions = [Conjunction()]
      var own: [Conjunction] = []
      for match in matches {
        if conjunctions.count == 1, let isPossible = lowering.add(match, family: family, to: &conjunctions[0])
        {
          if !isPossible { conjunctions = [] }
          continue
        }
        switch lowering.lower(match, family: family) {
        case .always: break
        case .never: conjunctions = []
        case .anyOf(let choices):
          conjunctions = conjunctions.flatMap { conjunction in choices.compactMap(conjunction.and) }
        case .unless(let scope, let excepted):
          conjunctions = conjunctions.compactMap { $0.and(scope) }
          // In a chain that both families enter, what holds in one alone says so.
          let isOfOneFamily = MatchLowering.isFamilySpecific(match)
          own += excepted.map { $0.inFamily(isOfOneFamily ? ownFamily : nil) }
        }
      }
      guard !conjunctions.isEmpty else { continue }
      for index in conjunctions.indices { conjunctions[index].family = ownFamily }
      alternatives += conjunctions
      for exception in own where !exceptions.contains(exception) { exceptions.append(exception) }
    }
    return alternatives.isEmpty ? nil : (alternatives, exceptions)
  }

  /// In the order of comparisons, in which most stand.
  private static func sorted(_ matches: [Match]) -> [Match] {
    for index in matches.indices.dropFirst()
    where rank(matches[index].condition) < rank(matches[index - 1].condition) {
      return matches.sorted { rank($0.condition) < rank($1.condition) }
    }
    return matches
  }

  /// The order of comparisons in a kernel rule: that of the canonical text.
  private static func rank(_ condition: Match.Condition) -> Int {
    switch condition {
    case .protocols: 0
    // Source before destination: so nft lists the two when it has joined their loads.
    case .ports(.source, _, _): 1
    case .ports(.destination, _, _): 2
    case .icmp: 3
    case .services: 4
    case .states: 5
    case .addresses(.source, _): 6
    case .addresses(.destination, _): 7
    case .interfaces(.input, _): 8
    case .interfaces(.output, _): 9
    case .user: 10
    case .group: 11
    case .controlGroups: 12
    // The others by their keyword, but link addresses last: nft lists them without the kind of the device, and
    // when it reads that back, it looks for the network header's protocol beside them.
    case .mark(.connmark, _): 13
    case .days: 14
    case .dscp: 15
    case .tcpFlags: 16
    case .fragment: 17
    case .hours: 18
    case .ipsec: 19
    case .length: 20
    case .mark(.mark, _): 21
    case .spoofed: 22
    case .status: 23
    case .timeToLive: 24
    case .packetTypes: 25
    // Destination before source, so that nft joins the loads.
    case .linkAddresses(.destination, _): 26
    case .linkAddresses(.source, _): 27
    }
  }
}

/// Names of generated chains, each given once.
struct ChainNames {
  private var taken: Set<String> = []

  /// The rest of a caller takes the second name of its rule; and two ids whose readable parts and 50 bits of
  /// digest agree would share one.
  mutating func take(for id: String) -> String {
    var variant = 1
    var name = KernelName.generatedChain(ruleID: id)
    while !taken.insert(name).inserted {
      variant += 1
      name = KernelName.generatedChain(ruleID: id, variant: variant)
    }
    return name
  }
}

/// Numbers the kernel rules of one policy rule, in the order they are made.
struct Parts {
  let rule: Rule
  private let identity: [UInt8]
  private var next: UInt8 = 0

  init(rule: Rule) {
    self.rule = rule
    identity = KernelRule.label(of: rule.id)
  }

  mutating func rule(_ part: Effects.Part) -> KernelRule {
    rule(Conjunction(protocols: part.protocols).inFamily(part.family), part.statements)
  }

  mutating func rule(_ conjunction: Conjunction, _ statements: [RuleStatement]) -> KernelRule {
    var label = identity
    label.append(next)
    var result = KernelRule(
      id: rule.id, part: next, comment: KernelText.comment(of: rule), label: label, anonymousSets: [],
      statements: [])
    // With the guards of family and protocol.
    result.statements.reserveCapacity(conjunction.conditions.count + statements.count + 3)
    // INVARIANT: fewer than 256 parts. At most 2 families × 2 for services or ICMP types × 4 for lengths × 12 for
    // lists of addresses and control groups (`Checker.alternativesLimit`) = 192 alternatives, then an exception or two for each match, and
    // a dozen rules of effects.
    next += 1
    result.append(conjunction)
    result.statements += statements
    if case .translate(.destinationByPort(let targets)) = rule.verdict {
      result.fillMap(targets, header: TransportHeader.name(of: conjunction.protocols))
    }
    return result
  }

  /// A rule that ends in a look-up of a verdict.
  mutating func dispatch(
    _ conjunction: Conjunction, _ field: RuleStatement.Field, _ map: KernelSet
  ) -> KernelRule {
    var result = rule(conjunction, [])
    result.anonymousSets.append(map)
    result.statements.append(.verdictMap(field, .anonymous(result.anonymousSets.count - 1)))
    return result
  }
}

extension Rule {
  /// Whether a match asks a set that packets or other programs fill: this one, or any.
  fileprivate func asks(set name: String?) -> Bool {
    matches.contains { match in
      guard case .addresses(_, let addresses) = match.condition else { return false }
      return name.map(addresses.allSets.contains) ?? !addresses.allSets.isEmpty
    }
  }
}

extension RuleStatement {
  fileprivate var needsGuard: Bool {
    switch self {
    case .reject, .nat, .natMap, .redirect: true
    default: false
    }
  }
}

extension KernelRule {
  /// What the label of a policy rule's kernel rules begins with; the number of each follows.
  package static func label(of id: String) -> [UInt8] {
    var id = id
    let digest = id.withUTF8 { bytes in
      var hasher = SHA256()
      hasher.update(bytes.span)
      return hasher.finish()
    }
    return [UInt8](unsafeUninitializedCapacity: 8) { bytes, written in
      // The eighth is the number's.
      for index in 0..<7 { bytes.initializeElement(at: index, to: digest[index]) }
      written = 7
    }
  }

  /// Gives a look-up of targets its map.
  fileprivate mutating func fillMap(_ targets: [PortTarget], header: String) {
    for index in statements.indices {
      guard case .natMap(let isV6, _, _) = statements[index] else { continue }
      let elements = targets.map { target in
        let address: [UInt8] =
          switch target.address {
          case .ipv4(let range): range.lower.bigEndianBytes
          case .ipv6(let range): range.lower.bigEndianBytes
          }
        // Each field of a concatenation fills registers of 4 bytes.
        let data = address + target.targetPort.bigEndianBytes + [0, 0]
        return KernelSet.Element(target.port.bigEndianBytes, target.port.bigEndianBytes, data: .value(data))
      }
      anonymousSets.append(
        KernelSet(
          name: nil, keyType: .inetService, isInterval: false,
          dataType: .value(.concatenation([isV6 ? .ipv6Address : .ipv4Address, .inetService])),
          elements: elements))
      statements[index] = .natMap(
        isV6: isV6, .destinationPort(header: header), .anonymous(anonymousSets.count - 1))
    }
  }

  /// Appends the guards and comparisons, with the sets they look up.
  fileprivate mutating func append(_ conjunction: Conjunction) {
    if let family = conjunction.family {
      // linux/netfilter.h NFPROTO_IPV4, NFPROTO_IPV6.
      statements.append(.match(.family, .equal, .value([family == .ipv4 ? 2 : 10])))
    }
    if let protocols = conjunction.protocols { append(protocols: protocols, .equal) }
    if !conjunction.excludedProtocols.isEmpty { append(protocols: conjunction.excludedProtocols, .notEqual) }
    let header = TransportHeader.name(of: conjunction.protocols)
    for condition in conjunction.conditions {
      switch condition.field {
      case .sourcePort: append(.sourcePort(header: header), condition)
      case .destinationPort: append(.destinationPort(header: header), condition)
      default: append(condition.field, condition)
      }
    }
  }

  private mutating func append(protocols: [UInt8], _ comparison: RuleStatement.Operator) {
    if let number = protocols.first, protocols.count == 1 {
      statements.append(.match(.transportProtocol, comparison, .value([number])))
    } else {
      let elements = protocols.map { KernelSet.Element([$0], [$0]) }
      let set = KernelSet(name: nil, keyType: .inetProtocol, isInterval: false, elements: elements)
      append(.transportProtocol, Condition(.transportProtocol, comparison, .anonymous(set)))
    }
  }

  private mutating func append(_ field: RuleStatement.Field, _ condition: Condition) {
    switch condition.operand {
    case .inline(let operand): statements.append(.match(field, condition.comparison, operand))
    case .anonymous(let set):
      anonymousSets.append(set)
      let reference = SetReference.anonymous(anonymousSets.count - 1)
      statements.append(
        .match(field, condition.comparison, .set(reference, isInterval: set.isInterval)))
    }
  }
}
