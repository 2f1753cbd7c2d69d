import PolicyModel

/// Which packets there are: fields of which one says something about another, and those that a hook's packets lack.
extension Hook {
  /// The fields that no packet has where rules of this hook see it, each with its value for "absent": the kernel loads
  /// no name of an interface then, which is the empty one (`nft_meta_store_ifname`), and no owner of a socket.
  ///
  /// A packet that comes in has lost the socket it may have had (`ip_rcv_core`) until delivery finds one of this host;
  /// one that has is not forwarded (`ip_forward`).
  var lacking: [Int: UInt128] {
    switch self {
    case .ingress, .prerouting: Self.owner.merging(Self.output) { first, _ in first }
    case .input: Self.output
    case .forward: Self.owner
    case .output: Self.input
    // Of both ways, see ``Meaning/arrived(_:at:)``.
    case .postrouting: [:]
    }
  }

  private static let owner = [
    PacketBox.Field.user.rawValue: PacketBox.absentID, PacketBox.Field.group.rawValue: PacketBox.absentID,
  ]
  private static let input = [DiagramField.input: NameNumber.of("")]
  private static let output = [DiagramField.output: NameNumber.of("")]

  /// Whether a packet that a reader would expect has a socket here.
  var isOfSocket: Bool { self == .output || self == .postrouting }
}

extension PacketBox {
  /// The packet as rules of a hook see it.
  func seen(at hook: Hook) -> PacketBox {
    var box = self
    for (field, absent) in hook.lacking {
      switch field {
      case DiagramField.input: box.inputInterface = .exactly("")
      case DiagramField.output: box.outputInterface = .exactly("")
      default: Field(rawValue: field).map { box[$0] = IntervalSet([AddressRange(absent, absent)]) }
      }
    }
    return box
  }

  /// The statuses that a packet of a state can have: combinations of bits.
  ///
  /// `resolve_normal_ct` of net/netfilter/nf_conntrack_core.c calls a packet new if its connection has seen no reply and
  /// nobody has expected it, and established if it has seen one, which is so of connections that are in the table only.
  static func statuses(of state: ConntrackStates) -> IntervalSet<UInt128> {
    func bit(_ status: ConntrackStatus) -> Int { 1 << (statusBits.firstIndex(of: status) ?? 0) }
    let combinations = (0..<(1 << statusBits.count)).filter { status in
      switch state {
      case .new: status & (bit(.seenReply) | bit(.expected)) == 0
      case .established: status & bit(.seenReply) != 0 && status & bit(.confirmed) != 0
      case .related: true
      default: status == 0
      }
    }
    return IntervalSet(combinations.map { AddressRange(UInt128($0), UInt128($0)) })
  }
}

extension Firewall {
  /// Whether no packet on a way is a fragment, or its fragments are told from others by no rule before they are put
  /// together: at −400 of prerouting where connections are tracked (`nf_defrag_ipv4`, `nf_defrag_ipv6`), of IPv4 at the
  /// latest where it is delivered (`ip_local_deliver`).
  ///
  /// What the host sends is cut behind the rules, but for programs with raw sockets that cut it themselves; of IPv6 that
  /// is put together too.
  func meetsWhole(_ hook: Hook, _ family: Families) -> Bool {
    let isTracking = isTracking(family)
    let entry: Hook
    switch hook {
    case .ingress: return false
    case .input:
      guard isTracking || family == .ipv4 else { return false }
      entry = .prerouting
    case .prerouting, .forward:
      guard isTracking else { return false }
      entry = .prerouting
    case .output:
      guard isTracking, family == .ipv6 else { return false }
      entry = .output
    case .postrouting: return meetsWhole(.forward, family) && meetsWhole(.output, family)
    }
    let isDelivered = hook == .input && family == .ipv4
    let early = baseChains.filter { chain in
      chain.families.contains(family)
        && (chain.hook == .ingress && entry == .prerouting
          || chain.hook == entry && (chain.priority < -400 || !isTracking))
    }
    // What leads to another chain may ask there.
    return early.allSatisfy { chain in
      chain.rules.allSatisfy { rule in
        !rule.isEnabled
          || rule.verdict.targets.isEmpty && rule.unreadable == nil
            && !rule.matches.contains { $0.condition == .fragment }
            && (isDelivered || rule.verdict != .notrack)
      }
    }
  }

  /// Whether a rule makes the kernel track connections of a family (`nf_ct_netns_get`).
  private func isTracking(_ family: Families) -> Bool {
    let chains = baseChains.filter { $0.families.contains(family) }.map(\.rules) + regularChains.map(\.rules)
    return chains.contains { rules in
      rules.contains { $0.isEnabled && $0.families.contains(family) && $0.asksConnection }
    }
  }
}

extension Rule {
  fileprivate var asksConnection: Bool {
    if case .translate = verdict { return true }
    return connections != nil || changes.connectionMark != nil || changes.savesMark || changes.restoresMark
      || matches.contains { match in
        switch match.condition {
        case .states, .status, .mark(.connmark, _): true
        default: false
        }
      }
  }
}

extension GuardCompiler {
  /// What of the fields that are asked for one says about another; none where nobody asks.
  mutating func stateForms() -> [GuardForm] {
    var forms: [GuardForm] = []
    if atoms.setCount(PacketBox.Field.status.rawValue) > 0 {
      for (index, state) in PacketBox.states.enumerated() where state != .related {
        let number = UInt128(index)
        let isOther = GuardForm.not(member(.state, IntervalSet([AddressRange(number, number)])))
        forms.append(.any([isOther, member(.status, PacketBox.statuses(of: state))]))
      }
    }
    return forms
  }

  /// Of packets that are alike for every rule, which fields say what is not there: one spelling of each.
  mutating func spellingForms() -> [GuardForm] {
    var forms: [GuardForm] = []
    if atoms.setCount(PacketBox.Field.fragment.rawValue) > 0 {
      let isWhole = GuardForm.not(member(.fragment, IntervalSet([AddressRange(1, 1)])))
      forms.append(.any([isWhole, form(Match(.fragment))]))
    }
    if asksConnectionMark {
      forms.append(.any([tracked(), .mark(.connmark, MarkValues([AddressRange(0, 0)]))]))
    }
    return forms
  }
}

extension Meaning {
  /// The packets that the kernel can have on the way to a hook, each in one spelling: truth values. What no rule and no
  /// region asks for is not looked at.
  func possible(at hook: Hook) -> Diagram.Reference {
    if let known = knownPossible[hook] { return known }
    let result = meeting(spellingForms, existing(at: hook))
    knownPossible[hook] = result
    return result
  }

  /// The same, in whatever spelling: enough where it is asked which rules are met.
  func existing(at hook: Hook) -> Diagram.Reference {
    if let known = knownExisting[hook] { return known }
    var result = meeting(stateForms, diagram.realSenders())
    if wholeHooks.contains(hook) { keep(0, of: PacketBox.Field.fragment.rawValue, &result) }
    if hook == .forward {
      for (field, absent) in hook.lacking { keep(absent, of: field, &result) }
    }
    knownExisting[hook] = result
    return result
  }

  private func meeting(_ forms: [GuardForm], _ packets: Diagram.Reference) -> Diagram.Reference {
    forms.reduce(packets) { packets, form in
      let condition = diagram.condition(form)
      return diagram.and(packets, condition)
    }
  }

  private func keep(_ value: UInt128, of field: Int, _ packets: inout Diagram.Reference) {
    guard diagram.layout.bits[field] > 0 else { return }
    let classes = [diagram.atoms.classIndex(of: value, field)]
    let kept = diagram.test(field, classes, Diagram.isTrue, Diagram.isFalse)
    packets = diagram.and(packets, kept)
  }

  /// A diagram of packets that come to a place, asked of them as they are seen there: what they lack is asked for no
  /// more.
  func arrived(_ a: Diagram.Reference, at hook: Hook) -> Diagram.Reference {
    hook.lacking.sorted { $0.key < $1.key }.reduce(a) { result, lacking in
      diagram.layout.bits[lacking.key] > 0
        ? diagram.fixed(result, lacking.key, diagram.atoms.classIndex(of: lacking.value, lacking.key))
        : result
    }
  }
}

extension Meaning {
  static func asksElsewise(_ firewall: CompiledFirewall) -> Bool {
    let lacking = firewall.baseChains.filter { chain in
      chain.rules.contains { !$0.rule.verdict.targets.isEmpty }
    }.reduce(into: Set<Int>()) { fields, chain in fields.formUnion(chain.hook?.lacking.keys.map { $0 } ?? [])
    }
    return !lacking.isEmpty
      && firewall.regularChains.values.contains { chain in
        chain.rules.contains { rule in ([rule.condition] + rule.keys).contains { $0.asks(lacking) } }
      }
  }
}

extension GuardForm {
  fileprivate func asks(_ fields: Set<Int>) -> Bool {
    switch self {
    case .member(let field, _): fields.contains(field)
    case .mark, .controlGroup: false
    case .not(let form): form.asks(fields)
    case .all(let forms), .any(let forms): forms.contains { $0.asks(fields) }
    }
  }
}

extension Diagram {
  /// A diagram with a field of one class only.
  mutating func fixed(_ a: Reference, _ field: Int, _ member: UInt32) -> Reference {
    fixed(a, field, member, newOperation())
  }

  private mutating func fixed(
    _ a: Reference, _ field: Int, _ member: UInt32, _ operation: UInt32
  ) -> Reference {
    let variable = variable(a)
    if variable >= layout.end(field) { return a }
    let (low, high) = children(a)
    if variable >= layout.first[field] {
      let bit = Int(variable - layout.first[field])
      let isSet = member >> UInt32(layout.bits[field] - 1 - bit) & 1 == 1
      return fixed(isSet ? high : low, field, member, operation)
    }
    if let result = known(a, 0, operation) { return result }
    let kept = (fixed(low, field, member, operation), fixed(high, field, member, operation))
    let result = node(variable, kept.0, kept.1)
    remember(a, 0, operation, result)
    return result
  }
}
