import PolicyModel

/// The packets that meet all of a rule's matches, as disjoint or overlapping boxes of one family.
struct Guard {
  let boxes: [PacketBox]

  init(matches: [Match], family: Families) {
    var boxes = [PacketBox(all: family)]
    for match in matches {
      let alternatives = Self.boxes(of: match, family: family)
      boxes = boxes.flatMap { box in alternatives.compactMap { box.intersection($0) } }
    }
    self.boxes = boxes
  }

  /// The packets for which an assumption about a set holds, whichever of their addresses it is asked for.
  init(_ assumption: Assumption, family: Families) {
    var boxes = [PacketBox(all: family)]
    for side in [AddressSide.source, .destination] {
      var outside = PacketBox(all: family)
      outside.memberships = [Membership(set: assumption.set, side: side): false]
      var alternatives = [outside]
      let ranges =
        family == .ipv4 ? Self.widened(assumption.within.ipv4) : IntervalSet(assumption.within.ipv6)
      if !ranges.isEmpty {
        var inside = PacketBox(all: family)
          .narrowed(side == .source ? .sourceAddress : .destinationAddress, ranges)
        inside.memberships = [Membership(set: assumption.set, side: side): true]
        alternatives.append(inside)
      }
      boxes = boxes.flatMap { box in alternatives.compactMap { box.intersection($0) } }
    }
    self.boxes = boxes
  }

  /// The packets that have the fields of a verdict map.
  init(fieldsOf map: VerdictMap, family: Families) {
    boxes = [Self.presence(of: map.fields, family)]
  }

  /// The packets that meet a key of one line of a verdict map.
  init(_ entry: VerdictMap.Entry, of map: VerdictMap, family: Families) {
    let presence = Self.presence(of: map.fields, family)
    boxes = entry.keys.flatMap { key -> [PacketBox] in
      var boxes = [presence]
      for (field, part) in zip(map.fields, key) {
        let condition: Match.Condition =
          switch (field, part) {
          case (.port(let number), .ports(let ports)): .ports(.destination, protocols: [number], ports)
          case (.address(let side), .addresses(let set)): .addresses(side, AddressMatch(addresses: set))
          case (.interface(let side), .interfaces(let patterns)): .interfaces(side, patterns)
          case (.mark, .marks(let ranges)): .mark(.mark, MarkValues(ranges))
          // INVARIANT: the parts of a key are those of its map's fields.
          default: .protocols([])
          }
        let alternatives = Self.positiveBoxes(of: condition, family: family)
        boxes = boxes.flatMap { box in alternatives.compactMap { box.intersection($0) } }
      }
      return boxes
    }
  }

  private static func presence(of fields: [VerdictMap.Field], _ family: Families) -> PacketBox {
    var box = PacketBox(all: family)
    for case .port(let number) in fields {
      box = box.narrowed(.transportProtocol, numbers([number]))
        .narrowed(.destinationPort, IntervalSet([AddressRange(0, 0xffff)]))
    }
    return box
  }

  /// The union of boxes that one match stands for. A negated list is cut out of what the negation leaves
  /// open: everything, or for ports and ICMP types the protocol (LANGUAGE.md §4.2).
  private static func boxes(of match: Match, family: Families) -> [PacketBox] {
    let all = PacketBox(all: family)
    let positive = positiveBoxes(of: match.condition, family: family)
    guard match.isNegated else { return positive }
    var scope: [PacketBox]
    switch match.condition {
    case .ports(_, let protocols, _):
      scope = [all.narrowed(.transportProtocol, numbers(protocols))]
    case .icmp(let icmp, _):
      scope =
        icmp.families.contains(family)
        ? [all.narrowed(.transportProtocol, numbers([icmp.protocolNumber]))] : []
    case .tcpFlags: scope = [all.narrowed(.transportProtocol, numbers([6]))]
    default:
      scope = [all]
    }
    for box in positive { scope = scope.flatMap { $0.subtracting(box) } }
    return scope
  }

  private static func positiveBoxes(of condition: Match.Condition, family: Families) -> [PacketBox] {
    let all = PacketBox(all: family)
    switch condition {
    case .protocols(let protocols):
      return [all.narrowed(.transportProtocol, numbers(protocols))]
    case .ports(let side, let protocols, let ports):
      return [
        all.narrowed(.transportProtocol, numbers(protocols))
          .narrowed(side == .source ? .sourcePort : .destinationPort, widened(ports.ranges))
      ]
    case .icmp(let icmp, let types):
      guard icmp.families.contains(family) else { return [] }
      let ranges = types.map { type in
        let base = UInt128(type.type) << 8
        return type.code.map { AddressRange(base | UInt128($0), base | UInt128($0)) }
          ?? AddressRange(base, base | 0xff)
      }
      return [
        all.narrowed(.transportProtocol, numbers([icmp.protocolNumber])).narrowed(.icmp, IntervalSet(ranges))
      ]
    case .services(let services):
      return services.filter { $0.families.contains(family) }.map { service in
        let box = all.narrowed(.transportProtocol, numbers([service.protocolNumber]))
        guard let ports = service.ports else { return box }
        return box.narrowed(.destinationPort, widened(ports.ranges))
      }
    case .states(let states):
      let indices = PacketBox.states.indices.filter { states.contains(PacketBox.states[$0]) }
      return [all.narrowed(.state, values(indices.map { UInt128($0) }))]
    case .status(let status):
      let known = PacketBox.statusBits
      let combinations = (0..<(1 << known.count)).filter { combination in
        known.indices.contains { combination >> $0 & 1 == 1 && status.contains(known[$0]) }
      }
      return [all.narrowed(.status, values(combinations.map { UInt128($0) }))]
    case .addresses(let side, let match):
      if let tree = match.tree { return Self.boxes(tree, side, family) }
      var boxes = addressBoxes(
        match.addresses, match.specials, match.sets, side, family)
      if let exception = match.exception {
        for box in addressBoxes(exception.addresses, exception.specials, exception.sets, side, family) {
          boxes = boxes.flatMap { $0.subtracting(box) }
        }
      }
      return boxes
    case .interfaces(let side, let patterns):
      return patterns.map { pattern in
        var box = all
        let names: NameSet = pattern.isPrefix ? .startingWith(pattern.name) : .exactly(pattern.name)
        switch side {
        case .input: box.inputInterface = names
        case .output: box.outputInterface = names
        }
        return box
      }
    case .user(let ranges):
      return [all.narrowed(.user, widened(ranges))]
    case .group(let ranges):
      return [all.narrowed(.group, widened(ranges))]
    case .controlGroups(let groups):
      return groups.map { group in
        var box = all
        box.controlGroups = [group: true]
        return box
      }
    case .mark(let kind, let values):
      var box = all
      switch kind {
      case .mark: box.mark = MarkSet(values)
      case .connmark: box.connectionMark = MarkSet(values)
      }
      return [box]
    case .tcpFlags(let value, let mask):
      let flags = (0...UInt8.max).filter { $0 & mask.rawValue == value.rawValue }
      return [all.narrowed(.transportProtocol, numbers([6])).narrowed(.tcpFlags, numbers(flags))]
    case .linkAddresses(let side, let addresses):
      let field: PacketBox.Field = side == .source ? .sourceLink : .destinationLink
      return [all.narrowed(field, values(addresses.map { UInt128($0.value) }))]
    case .dscp(let codes): return [all.narrowed(.dscp, widened(codes))]
    case .timeToLive(let ranges): return [all.narrowed(.timeToLive, widened(ranges))]
    case .length(let ranges): return [all.narrowed(.length, widened(ranges))]
    case .packetTypes(let types): return [all.narrowed(.packetType, numbers(types.numbers))]
    case .hours(let hours): return [all.narrowed(.hour, widened(hours.ranges))]
    case .days(let days): return [all.narrowed(.day, numbers(days.numbers))]
    case .fragment:
      // What stands behind the network header is in the first fragment only.
      let unreadable: [(PacketBox.Field, UInt128)] = [
        (.sourcePort, PacketBox.absentPort), (.destinationPort, PacketBox.absentPort),
        (.icmp, PacketBox.absentPort), (.tcpFlags, PacketBox.absentFlags),
      ]
      return [
        unreadable.reduce(all.narrowed(.fragment, values([1]))) { $0.narrowed($1.0, values([$1.1])) }
      ]
    case .spoofed: return [all.narrowed(.spoofed, values([1])).notLoopback]
    case .ipsec: return [all.narrowed(.ipsec, values([1]))]
    }
  }

  private static func boxes(_ tree: AddressTree, _ side: AddressSide, _ family: Families) -> [PacketBox] {
    tree.decisions(in: family).compactMap { decision in
      var box = addressBoxes(decision.addresses, [], [], side, family).first
      for answer in decision.answers {
        switch answer.question {
        case .special(let special):
          let value: UInt128 = special == .local ? 0 : 1
          let chosen = answer.isYes ? [value] : [0, 1, 2].filter { $0 != value }
          box = box?.narrowed(side == .source ? .sourceType : .destinationType, values(chosen))
        case .set(let set): box?.memberships[Membership(set: set, side: side)] = answer.isYes
        }
      }
      // An address is not both, local and a broadcast.
      return box.flatMap { $0.isEmpty ? nil : $0 }
    }
  }

  private static func addressBoxes(
    _ addresses: AddressSet, _ specials: [AddressMatch.Special], _ sets: [String], _ side: AddressSide,
    _ family: Families
  ) -> [PacketBox] {
    let all = PacketBox(all: family)
    let ranges = family == .ipv4 ? widened(addresses.ipv4) : IntervalSet(addresses.ipv6)
    var boxes = [all.narrowed(side == .source ? .sourceAddress : .destinationAddress, ranges)]
    for special in specials where special == .local || family == .ipv4 {
      boxes.append(
        all.narrowed(
          side == .source ? .sourceType : .destinationType, values([special == .local ? 0 : 1])))
    }
    for set in sets {
      var box = all
      box.memberships = [Membership(set: set, side: side): true]
      boxes.append(box)
    }
    return boxes.filter { !$0.isEmpty }
  }

  private static func numbers(_ protocols: [UInt8]) -> IntervalSet<UInt128> {
    values(protocols.map { UInt128($0) })
  }

  private static func values(_ values: [UInt128]) -> IntervalSet<UInt128> {
    IntervalSet(values.map { AddressRange($0, $0) })
  }

  private static func widened<V>(_ ranges: [AddressRange<V>]) -> IntervalSet<UInt128> {
    IntervalSet(ranges.map { AddressRange(UInt128($0.lower), UInt128($0.upper)) })
  }
}

extension PacketBox {
  /// Packets that came in by another interface than `lo`.
  fileprivate var notLoopback: PacketBox {
    var result = self
    result.inputInterface = inputInterface.subtracting(.exactly("lo"))
    return result
  }

  func narrowed(_ field: Field, _ values: IntervalSet<UInt128>) -> PacketBox {
    var result = self
    result[field] = self[field].intersection(values)
    return result
  }
}
