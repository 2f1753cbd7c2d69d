import PolicyModel

/// A firewall with its sets named, for one family.
struct CompiledFirewall {
  struct Translated {
    /// Nil: everything the rule is about.
    var condition: GuardForm?
    var alteration: PacketAlteration
  }

  struct CompiledRule {
    var rule: Rule
    /// In the meaning's list of rules, from 1.
    var label: UInt32
    var condition: GuardForm
    /// Of a verdict map, in the order of its entries.
    var keys: [GuardForm] = []
    var translations: [Translated] = []
  }

  struct Chain {
    var rules: [CompiledRule]
    /// Nil: the rest goes back to the caller.
    var policy: ChainPolicy?
    var isNAT = false
    var hook: Hook?
    /// Of an ingress chain: that one of its devices delivered the packet. Others do not come to it.
    var delivered: GuardForm?
  }

  var baseChains: [Chain] = []
  var regularChains: [String: Chain] = [:]

  /// Rules that may give connections other addresses in one of these hooks.
  func translating(in hooks: Set<Hook>) -> [CompiledRule] {
    baseChains.flatMap { chain in
      chain.isNAT && chain.hook.map(hooks.contains) ?? false ? chain.rules.filter(\.rule.isEnabled) : []
    }
  }
}

/// Conditions that the kernel's own steps ask for.
struct KernelForms {
  /// Connection tracking has not seen the packet.
  var untracked: GuardForm
  /// It has an entry for it.
  var tracked: GuardForm
  /// The packet opens a connection.
  var new: GuardForm
  /// It is of a known connection.
  var known: GuardForm
  /// It stays on this machine.
  var loopback: GuardForm
}

extension GuardCompiler {
  /// - Parameter rules: to which all rules are added; a label is a place in it.
  mutating func compile(_ firewall: Firewall?, _ rules: inout [Rule]) -> CompiledFirewall {
    var result = CompiledFirewall()
    for chain in firewall?.baseChains ?? [] {
      let isSeen = chain.families.contains(family)
      lacking = chain.hook.lacking
      var compiled = CompiledFirewall.Chain(
        rules: compile(chain.rules, &rules), policy: isSeen ? chain.policy : .accept, isNAT: chain.isNAT,
        hook: chain.hook)
      lacking = [:]
      // The labels of its rules stay what they are in the other family.
      if !isSeen { compiled.rules = [] }
      if !chain.devices.isEmpty {
        compiled.delivered = form(Match(.interfaces(.input, chain.devices.map { InterfacePattern($0) })))
      }
      result.baseChains.append(compiled)
    }
    for chain in firewall?.regularChains ?? [] {
      result.regularChains[chain.name] = CompiledFirewall.Chain(
        rules: compile(chain.rules, &rules), policy: chain.policy)
    }
    return result
  }

  private mutating func compile(_ list: [Rule], _ rules: inout [Rule]) -> [CompiledFirewall.CompiledRule] {
    var result: [CompiledFirewall.CompiledRule] = []
    result.reserveCapacity(list.count)
    for rule in list {
      let label = UInt32(rules.count)
      rules.append(rule)
      guard rule.isEnabled, rule.families.contains(family), mayMeet(rule.matches) else { continue }
      var compiled = CompiledFirewall.CompiledRule(rule: rule, label: label, condition: form(rule.matches))
      if rule.changes.restoresMark { asksConnectionMark = true }
      if let value = rule.changes.dscp {
        _ = member(.dscp, IntervalSet([AddressRange(UInt128(value), UInt128(value))]))
      }
      switch rule.verdict {
      case .dispatch(let map):
        compiled.condition = presence(of: map)
        compiled.keys = map.entries.map { entry in .any(entry.keys.map { form($0, of: map) }) }
      case .translate(let translation): compiled.translations = translated(translation)
      default: break
      }
      result.append(compiled)
    }
    return result
  }

  /// False where a list has no address of the family.
  private func mayMeet(_ matches: [Match]) -> Bool {
    matches.allSatisfy { match in
      guard case .addresses(_, let asked) = match.condition, !match.isNegated else { return true }
      return asked.tree != nil || !asked.specials.isEmpty || !asked.sets.isEmpty
        || !(family == .ipv4 ? asked.addresses.ipv4.isEmpty : asked.addresses.ipv6.isEmpty)
    }
  }

  mutating func kernelForms() -> KernelForms {
    func state(_ states: [ConntrackStates]) -> GuardForm {
      let indices = PacketBox.states.indices.filter { states.contains(PacketBox.states[$0]) }
      return member(.state, IntervalSet(indices.map { AddressRange(UInt128($0), UInt128($0)) }))
    }
    return KernelForms(
      untracked: state([.untracked]), tracked: tracked(),
      new: state([.new]), known: state([.established, .related]),
      loopback: form(Match(.interfaces(.output, [InterfacePattern("lo")]))))
  }

  // MARK: Translation

  private mutating func written(
    _ field: PacketBox.Field, _ values: IntervalSet<UInt128>
  ) -> PacketAlteration.Written {
    PacketAlteration.Written(field: field.rawValue, set: atoms.add(values, field.rawValue))
  }

  private static func unknown(_ fields: PacketBox.Field...) -> [PacketAlteration.Written] {
    fields.map { PacketAlteration.Written(field: $0.rawValue, set: nil) }
  }

  /// What the routing table says of a new destination is not known.
  private static func route(_ written: [PacketAlteration.Written]) -> PacketAlteration {
    var alteration = PacketAlteration()
    alteration.written =
      written + unknown(.destinationType) + [PacketAlteration.Written(field: DiagramField.output, set: nil)]
    alteration.written.sort { $0.field < $1.field }
    alteration.mayBeElsewhere = true
    return alteration
  }

  /// The status of a connection that begins, behind a translation of its destination: IPS_DST_NAT, and whether it was
  /// expected. The kernel sets that where the destination is another one then (`nf_nat_setup_info`).
  ///
  /// - Parameter isOther: else it may be the same.
  private mutating func translatedStatus(isOther: Bool) -> PacketAlteration.Written {
    let bit = PacketBox.destinationTranslated
    let without = isOther ? [] : [AddressRange<UInt128>(0, 1)]
    return written(.status, IntervalSet(without + [AddressRange(bit, bit + 1)]))
  }

  private mutating func translated(_ translation: Translation) -> [CompiledFirewall.Translated] {
    func range(_ ports: AddressRange<UInt16>) -> IntervalSet<UInt128> {
      IntervalSet([AddressRange(UInt128(ports.lower), UInt128(ports.upper))])
    }
    var alteration = PacketAlteration()
    switch translation {
    case .masquerade:
      alteration.written = Self.unknown(.sourcePort, .sourceAddress, .sourceType)
    case .source(let target):
      // The port stays if it is free; else the kernel takes another.
      let port =
        target.ports.map { written(.sourcePort, range($0)) } ?? Self.unknown(.sourcePort)[0]
      alteration.written =
        [port, written(.sourceAddress, Self.values(of: target.addresses))] + Self.unknown(.sourceType)
    case .redirect(let port):
      // To an address of the interface that it came in by, or of loopback.
      alteration.written =
        (port.map { [written(.destinationPort, range(AddressRange($0, $0)))] } ?? [])
        + Self.unknown(.destinationAddress)
        + [
          written(.destinationType, IntervalSet([AddressRange(0, 0)])), translatedStatus(isOther: false),
        ]
    case .destination(let target):
      var fields = [written(.destinationAddress, Self.values(of: target.addresses))]
      if let ports = target.ports { fields.append(written(.destinationPort, range(ports))) }
      let same = unchanged(by: target)
      fields.append(translatedStatus(isOther: same != nil))
      let elsewhere = CompiledFirewall.Translated(condition: nil, alteration: Self.route(fields))
      guard let same else { return [elsewhere] }
      return [CompiledFirewall.Translated(condition: same, alteration: PacketAlteration()), elsewhere]
    case .destinationByPort(let targets):
      return targets.map { target in
        let fields = [
          written(.destinationAddress, Self.values(of: target.address)),
          written(.destinationPort, range(AddressRange(target.targetPort, target.targetPort))),
          translatedStatus(isOther: target.targetPort != target.port),
        ]
        return CompiledFirewall.Translated(
          condition: member(.destinationPort, range(AddressRange(target.port, target.port))),
          alteration: Self.route(fields))
      }
    }
    alteration.written.sort { $0.field < $1.field }
    return [CompiledFirewall.Translated(condition: nil, alteration: alteration)]
  }

  /// Packets that have the one destination already, and so stay as they are and where they are. Nil: several.
  private mutating func unchanged(by target: NATTarget) -> GuardForm? {
    let addresses = Self.values(of: target.addresses)
    guard !target.isPrefix, let only = addresses.ranges.first, only.lower == only.upper else { return nil }
    let there = member(.destinationAddress, addresses)
    guard let ports = target.ports else { return there }
    guard ports.lower == ports.upper else { return nil }
    let port = UInt128(ports.lower)
    return .all([there, member(.destinationPort, IntervalSet([AddressRange(port, port)]))])
  }

  private static func values(of addresses: NATAddresses) -> IntervalSet<UInt128> {
    switch addresses {
    case .ipv4(let range): IntervalSet([AddressRange(UInt128(range.lower), UInt128(range.upper))])
    case .ipv6(let range): IntervalSet([range])
    }
  }
}
