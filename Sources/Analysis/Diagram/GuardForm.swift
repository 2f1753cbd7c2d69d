import PolicyModel

/// A condition on packets of one family, its sets named in an ``AtomTable``.
indirect enum GuardForm: Sendable {
  case member(field: Int, set: UInt32)
  case mark(MarkKind, MarkValues)
  /// Of the group in a slot, and so of none that is apart from it: which those are is known when all are named.
  case controlGroup(slot: Int, set: UInt32)
  case not(GuardForm)
  case all([GuardForm])
  case any([GuardForm])

  static let always = GuardForm.all([])
  static let never = GuardForm.any([])
}

/// Guards as forms. The second spelling of what ``Guard`` says with boxes; tests compare both.
struct GuardCompiler: ~Copyable {
  var atoms: AtomTable
  private var numbered: [Numbered: UInt32] = [:]
  /// The last list of protocols or the like: rules side by side often ask for the same.
  private var lastNumbers: (field: PacketBox.Field, values: [UInt8], form: GuardForm)?

  /// A definition's set need not be compared value by value to be found again.
  private struct Numbered: Hashable {
    var policy: Int
    var name: String
    var field: Int
  }

  /// Of the policies being compared; names are of one policy.
  var policy = 0
  /// Whether more sets are asked than there is room for; then nothing can be told.
  private(set) var isOverfull = false
  /// The fields that no packet of the hook has whose rules are compiled, each with its value for "absent".
  var lacking: [Int: UInt128] = [:]
  /// Whether a rule or a region asks for the mark of a connection.
  var asksConnectionMark = false

  init(_ family: Families) { atoms = AtomTable(family) }

  var family: Families { atoms.family }

  consuming func finished() -> AtomTable { atoms }

  mutating func form(_ matches: [Match]) -> GuardForm {
    if matches.count == 1 { return form(matches[0]) }
    return .all(matches.map { form($0) })
  }

  mutating func form(_ match: Match) -> GuardForm {
    switch match.condition {
    case .ports(let side, let protocols, let ports):
      // Negated: inside the protocol (LANGUAGE.md §4.2).
      let port = member(
        side == .source ? .sourcePort : .destinationPort,
        IntervalSet(ports.ranges.map { AddressRange(UInt128($0.lower), UInt128($0.upper)) }))
      return .all([numbers(.transportProtocol, protocols), match.isNegated ? .not(port) : port])
    case .icmp(let icmp, let types):
      guard icmp.families.contains(family) else { return .never }
      let ranges = types.map { type in
        let base = UInt128(type.type) << 8
        return type.code.map { AddressRange(base | UInt128($0), base | UInt128($0)) }
          ?? AddressRange(base, base | 0xff)
      }
      let kind = member(.icmp, IntervalSet(ranges))
      return .all([numbers(.transportProtocol, [icmp.protocolNumber]), match.isNegated ? .not(kind) : kind])
    case .tcpFlags(let value, let mask):
      let flags = member(
        .tcpFlags,
        Self.values((0...UInt8.max).filter { $0 & mask.rawValue == value.rawValue }.map { UInt128($0) }))
      return .all([numbers(.transportProtocol, [6]), match.isNegated ? .not(flags) : flags])
    default:
      let positive = positive(match.condition)
      return match.isNegated ? .not(positive) : positive
    }
  }

  private mutating func positive(_ condition: Match.Condition) -> GuardForm {
    switch condition {
    // INVARIANT: these negate otherwise and are seen to above.
    case .ports, .icmp, .tcpFlags: return .never
    case .protocols(let protocols): return numbers(.transportProtocol, protocols)
    case .services(let services):
      let forms = services.filter { $0.families.contains(family) }.map { service -> GuardForm in
        let number = numbers(.transportProtocol, [service.protocolNumber])
        guard let ports = service.ports else { return number }
        return .all([
          number,
          member(
            .destinationPort,
            IntervalSet(ports.ranges.map { AddressRange(UInt128($0.lower), UInt128($0.upper)) })),
        ])
      }
      return forms.count == 1 ? forms[0] : .any(forms)
    case .states(let states):
      return member(
        .state,
        Self.values(
          PacketBox.states.indices.filter { states.contains(PacketBox.states[$0]) }.map { UInt128($0) }))
    case .status(let status):
      let known = PacketBox.statusBits
      let combinations = (0..<(1 << known.count)).filter { combination in
        known.indices.contains { combination >> $0 & 1 == 1 && status.contains(known[$0]) }
      }
      return member(.status, Self.values(combinations.map { UInt128($0) }))
    case .addresses(let side, let match):
      if let tree = match.tree { return form(tree, side) }
      let field: PacketBox.Field = side == .source ? .sourceAddress : .destinationAddress
      let included = list(addresses(match, field), match.specials, match.sets, side)
      guard let exception = match.exception else { return included }
      let excepted = list(
        addresses(AddressMatch(addresses: exception.addresses, name: exception.name), field),
        exception.specials, exception.sets, side)
      return .all([included, .not(excepted)])
    case .interfaces(let side, let patterns):
      return member(
        side == .input ? DiagramField.input : DiagramField.output,
        IntervalSet(patterns.map(NameNumber.range)))
    case .user(let ranges): return member(.user, Self.widened(ranges))
    case .group(let ranges): return member(.group, Self.widened(ranges))
    case .controlGroups(let groups):
      let forms = groups.map { controlGroup($0) }
      return forms.count == 1 ? forms[0] : .any(forms)
    case .mark(let kind, let values):
      return kind == .mark ? .mark(kind, values) : .all([tracked(), connectionMark(.mark(kind, values))])
    case .linkAddresses(let side, let addresses):
      return member(
        side == .source ? .sourceLink : .destinationLink, Self.values(addresses.map { UInt128($0.value) }))
    case .dscp(let codes): return member(.dscp, Self.widened(codes))
    case .timeToLive(let ranges): return member(.timeToLive, Self.widened(ranges))
    case .length(let ranges): return member(.length, Self.widened(ranges))
    case .packetTypes(let types): return numbers(.packetType, types.numbers)
    case .hours(let hours): return member(.hour, Self.widened(hours.ranges))
    case .days(let days): return numbers(.day, days.numbers)
    case .fragment:
      // What stands behind the network header is in the first fragment only.
      return .all([
        member(.fragment, Self.values([1])),
        member(.sourcePort, Self.values([PacketBox.absentPort])),
        member(.destinationPort, Self.values([PacketBox.absentPort])),
        member(.icmp, Self.values([PacketBox.absentPort])),
        member(.tcpFlags, Self.values([PacketBox.absentFlags])),
      ])
    case .spoofed:
      let loopback = member(DiagramField.input, IntervalSet([NameNumber.range(InterfacePattern("lo"))]))
      return .all([member(.spoofed, Self.values([1])), .not(loopback)])
    case .ipsec: return member(.ipsec, Self.values([1]))
    }
  }

  private mutating func form(_ tree: AddressTree, _ side: AddressSide) -> GuardForm {
    switch tree {
    case .list(let match): return positive(.addresses(side, match))
    case .union(let parts): return .any(parts.map { form($0, side) })
    case .difference(let included, let excepted):
      return .all([form(included, side), .not(form(excepted, side))])
    }
  }

  private mutating func list(
    _ addresses: GuardForm, _ specials: [AddressMatch.Special], _ sets: [String], _ side: AddressSide
  ) -> GuardForm {
    var forms = [addresses]
    let kinds = specials.filter { $0 == .local || family == .ipv4 }.map { $0 == .local ? UInt128(0) : 1 }
    if !kinds.isEmpty {
      forms.append(member(side == .source ? .sourceType : .destinationType, Self.values(kinds)))
    }
    forms += sets.map { membership($0, side) }
    return forms.count == 1 ? addresses : .any(forms)
  }

  private mutating func membership(_ set: String, _ side: AddressSide) -> GuardForm {
    guard let slot = atoms.slot(of: set) else {
      isOverfull = true
      return .never
    }
    return member(DiagramField.membership(slot, side), IntervalSet([AddressRange(1, 1)]))
  }

  private mutating func controlGroup(_ group: ControlGroup) -> GuardForm {
    guard let slot = atoms.slot(of: group) else {
      isOverfull = true
      return .never
    }
    let number = atoms.add(IntervalSet([AddressRange(1, 1)]), DiagramField.controlGroup(slot))
    return .controlGroup(slot: slot, set: number)
  }

  private mutating func addresses(_ match: AddressMatch, _ field: PacketBox.Field) -> GuardForm {
    let key = match.name.map { Numbered(policy: policy, name: $0, field: field.rawValue) }
    if let key, let number = numbered[key] { return .member(field: field.rawValue, set: number) }
    let addresses = match.addresses
    guard family == .ipv4 ? !addresses.ipv4.isEmpty : !addresses.ipv6.isEmpty else { return .never }
    let number =
      family == .ipv4
      ? atoms.add(addresses.ipv4, field.rawValue) : atoms.add(addresses.ipv6, field.rawValue)
    if let key { numbered[key] = number }
    return .member(field: field.rawValue, set: number)
  }

  /// The key of one line of a verdict map.
  mutating func form(_ key: [VerdictMap.Part], of map: VerdictMap) -> GuardForm {
    .all(
      zip(map.fields, key).map { field, part in
        switch (field, part) {
        case (.port(let number), .ports(let ports)):
          form(Match(.ports(.destination, protocols: [number], ports)))
        case (.address(let side), .addresses(let set)):
          form(Match(.addresses(side, AddressMatch(addresses: set))))
        case (.interface(let side), .interfaces(let patterns)): form(Match(.interfaces(side, patterns)))
        case (.mark, .marks(let ranges)): form(Match(.mark(.mark, MarkValues(ranges))))
        // INVARIANT: the parts of a key are those of its map's fields.
        default: .never
        }
      })
  }

  /// The packets that have the fields of a verdict map.
  mutating func presence(of map: VerdictMap) -> GuardForm {
    .all(
      map.fields.compactMap { field in
        guard case .port(let number) = field else { return nil }
        return .all([
          numbers(.transportProtocol, [number]),
          member(.destinationPort, IntervalSet([AddressRange(0, 0xffff)])),
        ])
      })
  }

  /// A region as boxes.
  mutating func form(_ boxes: [PacketBox]) -> GuardForm {
    .any(boxes.filter { $0.family == family && !$0.isEmpty }.map { form($0) })
  }

  mutating func form(_ box: PacketBox) -> GuardForm {
    var forms: [GuardForm] = []
    for field in PacketBox.Field.allCases where box[field] != PacketBox.universe(field, family) {
      forms.append(member(field, box[field]))
    }
    for (field, names) in [
      (DiagramField.input, box.inputInterface), (DiagramField.output, box.outputInterface),
    ] where names != .all {
      forms.append(member(field, names.numbers))
    }
    if box.mark != .present { forms.append(Self.form(.mark, box.mark)) }
    if box.connectionMark != .all {
      let tracked = tracked()
      let present = GuardForm.all([tracked, connectionMark(Self.form(.connmark, box.connectionMark))])
      forms.append(box.connectionMark.includesAbsent ? .any([.not(tracked), present]) : present)
    }
    for (question, isMember) in box.memberships.sorted(by: { $0.key < $1.key }) {
      let form = membership(question.set, question.side)
      forms.append(isMember ? form : .not(form))
    }
    for (group, isIn) in box.controlGroups.sorted(by: { $0.key < $1.key }) {
      let form = controlGroup(group)
      forms.append(isIn ? form : .not(form))
    }
    return .all(forms)
  }

  /// Connection tracking has an entry for the packet.
  mutating func tracked() -> GuardForm { member(.state, PacketBox.trackedStates) }

  private mutating func connectionMark(_ form: GuardForm) -> GuardForm {
    asksConnectionMark = true
    return form
  }

  private static func form(_ kind: MarkKind, _ marks: MarkSet) -> GuardForm {
    .any(
      marks.cubes.map { cube in
        .mark(kind, MarkValues([AddressRange(cube.value, cube.value)], mask: cube.mask))
      })
  }

  // MARK: Sets

  mutating func member(_ field: PacketBox.Field, _ values: IntervalSet<UInt128>) -> GuardForm {
    member(field.rawValue, values)
  }

  mutating func member(_ field: Int, _ values: IntervalSet<UInt128>) -> GuardForm {
    if let absent = lacking[field] { return values.contains(absent) ? .always : .never }
    if values.isEmpty { return .never }
    return .member(field: field, set: atoms.add(values, field))
  }

  private mutating func numbers(_ field: PacketBox.Field, _ values: [UInt8]) -> GuardForm {
    if let lastNumbers, lastNumbers.field == field, lastNumbers.values == values { return lastNumbers.form }
    let form = member(field, Self.values(values.map { UInt128($0) }))
    lastNumbers = (field, values, form)
    return form
  }

  private static func values(_ values: [UInt128]) -> IntervalSet<UInt128> {
    IntervalSet(values.map { AddressRange($0, $0) })
  }

  private static func widened<V>(_ ranges: [AddressRange<V>]) -> IntervalSet<UInt128> {
    IntervalSet(ranges.map { AddressRange(UInt128($0.lower), UInt128($0.upper)) })
  }
}
