package import PolicyModel
internal import SHA2

/// Turns a checked policy into kernel objects: pure, and the same for the same policy.
package enum Lowering {
  /// - Parameter digest: the policy's, as ``Ruleset/setDigest(_:of:)`` takes it.
  package static func lower(_ policy: HostPolicy, digest: [UInt8]) -> Ruleset {
    var ruleset = lower(policy)
    ruleset.setDigest(digest, of: policy)
    return ruleset
  }

  /// Without the policy's digest.
  package static func lower(_ policy: HostPolicy) -> Ruleset {
    var (chains, deviceChains) = policy.firewall.map { lower($0, policy.dynamicSets) } ?? ([], [])
    let used = UsedNames(in: chains)
    var sets = sets(of: policy.addressSets, used)
    sets += filledSets(of: policy, used)
    let (groupSets, lateElements) = controlGroupSets(of: policy)
    sets += groupSets
    IntervalSets.nameByContent(&sets, in: &chains)
    let table = Table(
      family: .inet, name: KernelName.table, objects: objects(used), sets: sets,
      chains: chains, deviceChains: deviceChains, lateElements: lateElements)
    return Ruleset(tables: [table])
  }

  /// What names the policy, and the counters of its rules; sorted by name.
  static func objects(_ used: UsedNames) -> [NamedObject] {
    var objects = [NamedObject(name: KernelName.policyDigest, comment: nil, label: [])]
    objects += used.counters.map { NamedObject(name: $0, comment: nil, label: []) }
    objects.sort { $0.name < $1.name }
    return objects
  }

  private static func lower(
    _ firewall: Firewall, _ sets: [DynamicSet]
  ) -> (chains: [Chain], deviceChains: [Chain]) {
    let prefixes = Dictionary(uniqueKeysWithValues: sets.filter { !$0.isWhole }.map { ($0.name, $0.key) })
    let order = Hook.allCases
    let sorted = firewall.baseChains.sorted { a, b in
      (order.firstIndex(of: a.hook) ?? 0, a.isNAT ? 1 : 0, a.priority)
        < (order.firstIndex(of: b.hook) ?? 0, b.isNAT ? 1 : 0, b.priority)
    }
    var chains: [Chain] = []
    var generated: [Chain] = []
    var deviceChains: [Chain] = []
    var names = ChainNames()
    for chain in sorted {
      let reroutes = firewall.reroutes(chain)
      let name = KernelName.baseChain(
        hook: chain.hook, isNAT: chain.isNAT, priority: chain.priority, reroutes: reroutes)
      // The rules of an ingress chain stand once, in a chain that each device's own base chain leads to.
      let base = chain.devices.isEmpty ? BaseHook(chain, reroutes: reroutes) : nil
      deviceChains += chain.devices.map { device in
        var base = BaseHook(chain, reroutes: reroutes)
        base.device = device
        var parts = Parts(
          rule: Rule(
            id: chain.deviceRuleID(device), name: nil, text: "", verdict: .jump(chain.place),
            span: chain.span))
        let leading = parts.rule(Conjunction(), [.verdict(.jump(name))])
        return Chain(name: KernelName.deviceChain(name, device: device), base: base, rules: [leading])
      }
      chains.append(
        lower(
          chain.rules, to: Chain(name: name, base: base, rules: []), policy: chain.policy, prefixes, &names,
          &generated)
      )
    }
    for chain in firewall.regularChains {
      let name = KernelName.chain(chain.name)
      chains.append(
        lower(
          chain.rules, to: Chain(name: name, base: nil, rules: []), policy: chain.policy, prefixes, &names,
          &generated))
    }
    return (chains + generated, deviceChains)
  }

  /// The chain with its rules; what they need besides goes to `generated`.
  ///
  /// - Parameter policy: nil for a regular chain that decides nothing at its end.
  static func lower(
    _ rules: [Rule], to chain: Chain, policy: ChainPolicy?, _ prefixes: [String: AddressKey],
    _ names: inout ChainNames, _ generated: inout [Chain]
  ) -> Chain {
    var first: Chain?
    var current = chain
    let output = RuleLowering(chainPolicy: policy, prefixes: prefixes).lower(rules, &names)
    var place = 0
    for branch in output.branches {
      if let rest = branch.rest {
        current.rules = Array(output.rules[place..<branch.place])
        place = branch.place
        // The rules behind this one stand in a chain of their own.
        if first == nil { first = current } else { generated.append(current) }
        current = Chain(name: rest, base: nil, rules: [])
      }
      generated += branch.generatedChains
    }
    current.rules = place == 0 ? output.rules : Array(output.rules[place...])
    guard let first else { return current }
    generated.append(current)
    return first
  }

  /// Names that rules use.
  struct UsedNames {
    var counters: Set<String> = []
    /// Sets that are looked up, and those that are filled.
    var lookedUp: Set<String> = []
    var filled: Set<String> = []

    init(in chains: [Chain]) {
      for chain in chains {
        for rule in chain.rules {
          for statement in rule.statements {
            switch statement {
            case .match(_, _, .set(.named(let name), _)): lookedUp.insert(name)
            case .setUpdate(let update): filled.insert(update.set)
            case .counter(let name?): counters.insert(name)
            default: break
            }
          }
        }
      }
    }
  }

  /// The sets that a rule looks up, each family's apart. A definition only used elsewhere has none.
  static func sets(of definitions: [NamedAddressSet], _ used: UsedNames) -> [KernelSet] {
    var sets: [KernelSet] = []
    for definition in definitions {
      sets.append(set(definition.name, .ipv4, definition.addresses.ipv4, .ipv4Address))
      sets.append(set(definition.name, .ipv6, definition.addresses.ipv6, .ipv6Address))
    }
    return sets.filter { used.lookedUp.contains($0.name ?? "") }
  }

  /// The sets that are filled while they are there: those that rules look up or fill, and those of limiters.
  private static func filledSets(of policy: HostPolicy, _ used: UsedNames) -> [KernelSet] {
    let ofDefinitions = policy.dynamicSets.flatMap { set in
      [(Families.ipv4, KernelSet.KeyType.ipv4Address), (.ipv6, .ipv6Address)].map { family, keyType in
        // Others may give each address a time of its own.
        let hasTimeouts = set.timeout != nil || set.filler == .others
        return KernelSet(
          name: KernelName.set(set.name, family: family), keyType: keyType,
          filling: KernelSet.Filling(
            isByRules: set.filler == .rules, size: set.size, hasTimeouts: hasTimeouts, timeout: set.timeout,
            prefix: set.key.mask(isV6: family == .ipv6)))
      }
    }
    var ofLimiters: [KernelSet] = []
    policy.firewall?.forEachRule { if $0.isEnabled, $0.isLimiting { ofLimiters += LimiterSets(of: $0).all } }
    return (ofDefinitions + ofLimiters).filter {
      used.lookedUp.contains($0.name ?? "") || used.filled.contains($0.name ?? "")
    }
  }

  /// The sets for control groups, each once, and what they take late.
  private static func controlGroupSets(of policy: HostPolicy) -> ([KernelSet], [LateElement]) {
    var sets: [String: KernelSet] = [:]
    var elements: [LateElement] = []
    policy.firewall?.forEachRule { rule in
      guard rule.isEnabled, rule.asksControlGroups else { return }
      for match in rule.matches {
        guard case .controlGroups(let groups) = match.condition else { continue }
        for set in ControlGroupSet.all(of: groups) where sets[set.name] == nil {
          sets[set.name] = set.set
          elements += set.groups.map { LateElement(set: set.name, path: $0.path, ruleID: rule.id) }
        }
      }
    }
    return (sets.values.sorted { ($0.name ?? "") < ($1.name ?? "") }, elements.sorted { $0.key < $1.key })
  }

  private static func set<V>(
    _ name: String, _ family: Families, _ ranges: [AddressRange<V>], _ keyType: KernelSet.KeyType
  ) -> KernelSet {
    KernelSet(
      name: KernelName.set(name, family: family), keyType: keyType,
      isInterval: ranges.contains { $0.lower != $0.upper },
      elements: ElementList(packing: ranges))
  }
}

extension DynamicSet {
  /// The side says nothing.
  fileprivate var key: AddressKey { AddressKey(side: .source, ipv4Bits: ipv4Bits, ipv6Bits: ipv6Bits) }

  fileprivate var isWhole: Bool { ipv4Bits == 32 && ipv6Bits == 128 }
}

extension LateElement {
  fileprivate var key: (String, String) { (set, path) }
}

extension BaseHook {
  fileprivate init(_ chain: BaseChain, reroutes: Bool) {
    let hook: UInt32 =
      switch chain.hook {
      case .prerouting: 0
      case .input: 1
      case .forward: 2
      case .output: 3
      case .postrouting: 4
      case .ingress: 5
      }
    // Reject is a rule, never a policy: the kernel's is drop.
    self.init(
      type: chain.isNAT ? .nat : reroutes ? .route : .filter, hook: hook, priority: chain.priority,
      accepts: chain.policy == .accept)
  }
}

extension Ruleset {
  /// Names the policy in each table: by the comment of `policy_digest`. That object's label is left empty: it is the
  /// digest of the messages, which only the encoder knows.
  ///
  /// - Parameter digest: the policy's, 32 bytes.
  package mutating func setDigest(_ digest: [UInt8], of policy: HostPolicy) {
    let comment = policy.name + " sha256:" + String(decoding: SHA256.hex(digest), as: UTF8.self)
    for table in tables.indices {
      for object in tables[table].objects.indices
      where tables[table].objects[object].name == KernelName.policyDigest {
        tables[table].objects[object].comment = comment
      }
    }
  }
}
