import NFTables
import PolicyModel
import Ruleset

/// Look-ups, and sets that rules fill.
extension RuleLift {
  func set(_ reference: SetReference) throws(LiftError) -> DumpedSet {
    switch reference {
    case .named(let name):
      guard let set = context.sets[name] else {
        throw LiftError("a look-up in `\(name)`, which is not there")
      }
      return set
    case .anonymous(let index):
      guard source.anonymousSets.indices.contains(index) else {
        throw LiftError("a look-up in a set that is not there")
      }
      return source.anonymousSets[index]
    }
  }

  /// What it holds now, for a look-up.
  private func elements(of set: DumpedSet) throws(LiftError) -> [KernelSet.Element] {
    if let name = set.name, let list = context.contents[name] { return Array(list) }
    guard !set.otherElements.isEmpty else { return set.elements }
    guard !context.isStrict, let plain = set.plainElements else {
      throw LiftError("a set whose elements carry more than a key")
    }
    return plain
  }

  mutating func lookup(
    _ register: UInt32, _ reference: SetReference, _ isNegated: Bool
  ) throws(LiftError) {
    try beforeCondition()
    let set = try set(reference)
    let fields = try registers.key(register, length: Int(set.keyLength))
    guard fields.allSatisfy({ $0.flipped == nil }) else {
      throw LiftError("bits turned over before a look-up")
    }
    if set.isFilled, let name = set.name {
      guard fields.count == 1 else {
        throw LiftError("a set that is filled, of something other than addresses")
      }
      if case .controlGroup(let level) = fields[0].source {
        guard !isNegated, let groups = context.controlGroups[name], groups.allSatisfy({ $0.level == level })
        else { throw LiftError("control groups that nobody names") }
        return conditions.matches.append(Match(.controlGroups(groups)))
      }
      let (keys, definition) = (context.keys, context.definition(name))
      return try ask { (conditions) throws(LiftError) in
        let bits = try conditions.member(fields[0], of: definition, isNegated: isNegated)
        try keys.note(definition, conditions.families, bits)
      }
    }
    if case .named(let name) = reference, let packed = context.contents[name]?.packed, fields.count == 1,
      fields[0].mask == nil, [4, 16].contains(packed.keyLength), fields[0].length == packed.keyLength
    {
      let addresses = context.keys.addresses(of: name, keyLength: packed.keyLength, packed.bytes)
      return try conditions.lookup(fields[0], addresses, isNegated: isNegated)
    }
    let spans = try elements(of: set).map { ($0.lower, $0.upper) }
    try ask { (conditions) throws(LiftError) in
      try conditions.lookup(fields, spans, isNegated: isNegated)
    }
  }

  // MARK: Sets that rules fill

  mutating func dynamicSet(
    _ register: UInt32, _ set: String, _ operation: Expression.SetOperation, _ timeout: UInt64?,
    _ state: ElementState?
  ) throws(LiftError) {
    guard let filled = context.sets[set], filled.isFilled else {
      throw LiftError("a set that is filled and is not there")
    }
    if !context.isStrict, state == nil, (try? field(register)).map({ (try? addressKey($0)) == nil }) ?? true {
      // What is not of addresses is asked for by no rule that can be read.
      if operation != .delete {
        fills = context.definition(set)
        mayEnd(behind: "a set that may be full")
      }
      return
    }
    let field = try field(register)
    guard Int(filled.keyLength) == field.length, field.flipped == nil else {
      throw LiftError("a set that is filled with something of another length")
    }
    if case .connections(let count, let isOver)? = state, case .meta(.mark) = field.source,
      let mask = field.mask, mask.allSatisfy({ $0 == 0 })
    {
      // All connections of the rule's packets, in a set with one element.
      guard operation == .update, timeout == nil else { throw LiftError("connections counted otherwise") }
      try context.keys.own(set, by: rule.id)
      try enter(.connections)
      rule.connections = ConnectionLimit(isOver: isOver, count: count)
      return
    }
    let key = try addressKey(field)
    switch state {
    case .limit(let rate, let seconds, let burst, let isBytes, let isOver)?:
      let limit = Limit(
        isOver: isOver, rate: try self.rate(rate, isBytes, seconds), burst: burst, key: key)
      // A bucket that is forgotten before it is full again would let more through.
      let isKept = operation == .update && timeout == nil && filled.timeout == limit.keptFor * 1000
      guard !context.isStrict || isKept else {
        throw LiftError("a rate for each address that is not kept as long as it counts")
      }
      if context.isStrict { try context.keys.own(set, by: rule.id) }
      try enter(.limit)
      rule.limit = limit
    case .connections(let count, let isOver)?:
      guard !context.isStrict || operation == .update && timeout == nil && filled.timeout == nil else {
        throw LiftError("connections counted otherwise")
      }
      if context.isStrict { try context.keys.own(set, by: rule.id) }
      try enter(.connections)
      rule.connections = ConnectionLimit(isOver: isOver, count: count, key: key)
    case nil:
      guard timeout.map({ $0 % 1000 == 0 }) ?? true else { throw LiftError("a time of a part of a second") }
      let (kind, stage): (PolicyModel.SetUpdate.Operation, Stage) =
        switch operation {
        case .add: (.add, .added)
        case .update: (.update, .updated)
        case .delete: (.delete, .deleted)
        }
      let name = context.definition(set)
      try enter(stage, orEndingWith: operation == .delete ? nil : "a set that may be full")
      if operation != .delete { fills = name }
      try context.keys.note(
        name, conditions.families, conditions.families == .ipv4 ? key.ipv4Bits : key.ipv6Bits)
      rule.changes.setUpdates.append(
        PolicyModel.SetUpdate(operation: kind, key: key, set: name, timeout: timeout.map { $0 / 1000 }))
    }
  }

  private func addressKey(_ field: LoadedField) throws(LiftError) -> AddressKey {
    guard case .payload(.network, let offset) = field.source else {
      throw LiftError("a set that is filled with something other than addresses")
    }
    let side: AddressSide
    switch (conditions.families, offset, field.length) {
    case (.ipv4, 12, 4), (.ipv6, 8, 16): side = .source
    case (.ipv4, 16, 4), (.ipv6, 24, 16): side = .destination
    default: throw LiftError("a set that is filled with something other than addresses")
    }
    var key = AddressKey(side: side)
    if let bits = try ConditionLift.prefixLength(field.mask) {
      if conditions.families == .ipv4 { key.ipv4Bits = bits } else { key.ipv6Bits = bits }
    }
    return key
  }

  // MARK: Maps

  func verdictMap(_ register: UInt32, _ reference: SetReference) throws(LiftError) -> VerdictMap {
    let set = try set(reference)
    let fields = try registers.key(register, length: Int(set.keyLength))
    var names: [VerdictMap.Field] = []
    for field in fields {
      guard field.mask == nil, field.flipped == nil else { throw LiftError("a map over a part of a value") }
      names.append(try mapField(field))
    }
    var entries: [VerdictMap.Entry] = []
    for element in try elements(of: set) {
      guard case .verdict(let verdict)? = element.data else {
        throw LiftError("a map of verdicts without one")
      }
      let spans: [ConditionLift.Span] =
        fields.count == 1
        ? [(element.lower, element.upper)]
        : try ConditionLift.split((element.lower, element.upper), fields)
      var key: [VerdictMap.Part] = []
      for (index, span) in spans.enumerated() {
        key.append(try mapPart(names[index], fields[index], span))
      }
      entries.append(VerdictMap.Entry(keys: [key], verdict: Self.verdict(verdict)))
    }
    return VerdictMap(fields: names, entries: entries, otherwise: .continue)
  }

  /// The fields of a map's keys, and of each of its values the keys.
  func mapEntries(
    _ register: UInt32, _ reference: SetReference
  ) throws(LiftError) -> (
    fields: [LoadedField], entries: [(data: KernelSet.ElementData, spans: [ConditionLift.Span])]
  ) {
    let set = try set(reference)
    let fields = try registers.key(register, length: Int(set.keyLength))
    // Of NFT_SET_TIMEOUT and _EVAL the elements are state.
    guard set.flags & 0x30 == 0, fields.allSatisfy({ $0.flipped == nil }) else {
      throw LiftError("a map that is filled while it is there")
    }
    var entries: [(data: KernelSet.ElementData, spans: [ConditionLift.Span])] = []
    var places: [KernelSet.ElementData: Int] = [:]
    for element in try elements(of: set) {
      guard let data = element.data else { throw LiftError("a map without values") }
      if let place = places[data] {
        entries[place].spans.append((element.lower, element.upper))
      } else {
        places[data] = entries.count
        entries.append((data, [(element.lower, element.upper)]))
      }
    }
    guard entries.count <= ConditionLift.mostAlternatives else { throw LiftError("a map of many values") }
    return (fields, entries)
  }

  private func mapField(_ field: LoadedField) throws(LiftError) -> VerdictMap.Field {
    switch field.source {
    case .meta(.inputInterfaceName): return .interface(.input)
    case .meta(.outputInterfaceName): return .interface(.output)
    case .meta(.mark): return .mark
    case .payload(.transport, offset: 2) where field.length == 2:
      if let number = conditions.singlePortProtocol { return .port(number) }
    case .payload(.network, let offset):
      switch (conditions.families, offset, field.length) {
      case (.ipv4, 12, 4), (.ipv6, 8, 16): return .address(.source)
      case (.ipv4, 16, 4), (.ipv6, 24, 16): return .address(.destination)
      default: break
      }
    default: break
    }
    throw LiftError("a map over a field that the model has no map for")
  }

  private func mapPart(
    _ name: VerdictMap.Field, _ field: LoadedField, _ span: ConditionLift.Span
  ) throws(LiftError) -> VerdictMap.Part {
    let (lower, upper) = (ConditionLift.number(span.lower), ConditionLift.number(span.upper))
    guard lower <= upper else { throw LiftError("a range that runs downwards") }
    switch name {
    case .port:
      return .ports(
        PortSet([AddressRange(UInt16(truncatingIfNeeded: lower), UInt16(truncatingIfNeeded: upper))]))
    case .interface: return .interfaces([try ConditionLift.pattern(span, false)])
    case .mark:
      let values: [AddressRange<UInt32>] = try conditions.small(field, [span])
      return .marks(values)
    case .address:
      return .addresses(
        conditions.families == .ipv4
          ? AddressSet(ipv4: [IPv4Range(UInt32(truncatingIfNeeded: lower), UInt32(truncatingIfNeeded: upper))]
          )
          : AddressSet(ipv6: [IPv6Range(lower, upper)]))
    }
  }

  /// `dnat to MAP`: by the destination port to an address and a port behind it in whole words.
  func portTargets(
    _ register: UInt32, _ reference: SetReference
  ) throws(LiftError) -> (targets: [PortTarget], width: Int) {
    let set = try set(reference)
    let fields = try registers.key(register, length: Int(set.keyLength))
    guard fields.count == 1, fields[0] == LoadedField(.payload(.transport, offset: 2), length: 2),
      conditions.hasPorts, conditions.families != .both
    else {
      throw LiftError("a map of targets by something other than the destination port")
    }
    let width = conditions.families == .ipv4 ? 4 : 16
    let targets = try elements(of: set).map { element throws(LiftError) in
      guard case .value(let data)? = element.data, data.count == width + 4, element.lower == element.upper,
        data[(width + 2)...].allSatisfy({ $0 == 0 })
      else {
        throw LiftError("a map of targets with another form")
      }
      let address = ConditionLift.number(Array(data[..<width]))
      return PortTarget(
        port: UInt16(truncatingIfNeeded: ConditionLift.number(element.lower)),
        address: try addresses(address, address),
        targetPort: UInt16(truncatingIfNeeded: ConditionLift.number(Array(data[width..<(width + 2)]))))
    }
    return (targets.sorted { $0.port < $1.port }, width)
  }
}

extension DumpedSet {
  /// NFT_SET_TIMEOUT, NFT_SET_EVAL: filled while it is there, by rules or by other programs. So is an empty one that is
  /// not NFT_SET_CONSTANT.
  var isFilled: Bool { flags & 0x30 != 0 || flags & 2 == 0 && elements.isEmpty && otherElements.isEmpty }
}
