internal import PolicyModel

/// Lowers a verdict map.
///
/// Single keys become one look-up in an anonymous map, a hash that is published together with the rules. Keys
/// that are ranges become a look-up for each verdict, in sets of intervals: an interval map that is new in a
/// batch would be empty for a moment after the rules are there (`IntervalSets`). No packet meets two keys, so
/// the order of these rules does not matter. The rule for the rest is an inverted look-up, which holds only
/// where the fields are present.
struct DispatchLowering {
  let map: VerdictMap
  /// What `return` and the end of a `goto` mean; nil in a regular chain.
  let chainPolicy: ChainPolicy?

  struct Output {
    var rules: [KernelRule] = []
    var generatedChains: [Chain] = []
  }

  mutating func lower(_ parts: inout Parts, _ names: inout ChainNames, id: String) -> Output {
    var output = Output()
    let isOfFamilies = map.fields.contains { if case .address = $0 { true } else { false } }
    let families: [Families?] = isOfFamilies ? [.ipv4, .ipv6] : [nil]
    var jumps: [KernelRule] = []
    for family in families {
      var lines: [Line] = []
      for entry in map.entries {
        let elements = entry.keys.flatMap { self.elements(of: $0, family) }
        if let known = lines.firstIndex(where: { $0.verdict == entry.verdict }) {
          lines[known].elements += elements
        } else {
          lines.append(Line(elements: elements, verdict: entry.verdict))
        }
      }
      let keys = lines.flatMap(\.elements)
      func lower(_ lines: [Line], _ rest: Verdict) -> [KernelRule] {
        self.lower(lines, family, &parts, &names, id: id, &output)
          + self.lower(rest, besides: keys, family, &parts, &names, id: id, &output)
      }
      guard jumpsApart else {
        output.rules += lower(lines, map.otherwise)
        continue
      }
      let restJumps = Self.isJump(map.otherwise)
      output.rules += lower(lines.filter { !Self.isJump($0.verdict) }, restJumps ? .continue : map.otherwise)
      jumps += lower(lines.filter { Self.isJump($0.verdict) }, restJumps ? map.otherwise : .continue)
    }
    if !jumps.isEmpty {
      let name = names.take(for: id)
      output.generatedChains.append(Chain(name: name, base: nil, rules: jumps))
      output.rules.append(parts.rule(Conjunction(), [.verdict(.jump(name))]))
    }
    return output
  }

  private struct Line {
    var elements: [KernelSet.Element]
    var verdict: Verdict
  }

  /// Whether what jumps stands in a chain of its own, behind the rest: a chain may change the mark, and what comes back
  /// from it must not meet a second key. From such a chain, `goto` comes back behind the map.
  private var jumpsApart: Bool { map.fields.contains(.mark) && map.verdicts.contains(where: Self.isJump) }

  private static func isJump(_ verdict: Verdict) -> Bool {
    if case .jump = verdict { true } else { false }
  }

  private mutating func lower(
    _ lines: [Line], _ family: Families?, _ parts: inout Parts, _ names: inout ChainNames, id: String,
    _ output: inout Output
  ) -> [KernelRule] {
    let guardOfFields = Conjunction(protocols: protocols).inFamily(family)
    var rules: [KernelRule] = []
    var singles: [KernelSet.Element] = []
    for line in lines {
      let verdict = kernelVerdict(line.verdict, &parts, &names, id: id, &output)
      singles += line.elements.filter(\.isSingle).map { element in
        var element = element
        element.data = .verdict(verdict)
        return element
      }
    }
    if let element = singles.first, singles.count == 1, map.fields.count == 1,
      case .verdict(let verdict)? = element.data
    {
      let key = KernelSet.Element(element.lower, element.upper)
      rules.append(parts.rule(guardOfFields.adding(condition([key], .equal, family)), [.verdict(verdict)]))
    } else if !singles.isEmpty {
      let elements = singles.map { inRegister($0, family) }
        .sorted { $0.lower.lexicographicallyPrecedes($1.lower) }
      let set = KernelSet(
        name: nil, keyType: keyType(family), isInterval: false, dataType: .verdict, elements: elements)
      rules.append(parts.dispatch(guardOfFields, field(family), set))
    }
    for line in lines {
      let ranges = line.elements.filter { !$0.isSingle }
      guard !ranges.isEmpty else { continue }
      let verdict = kernelVerdict(line.verdict, &parts, &names, id: id, &output)
      rules.append(
        parts.rule(guardOfFields.adding(condition(merged(ranges), .equal, family)), [.verdict(verdict)]))
    }
    return rules
  }

  /// The rule for packets that have the fields and meet none of the keys.
  private mutating func lower(
    _ rest: Verdict, besides keys: [KernelSet.Element], _ family: Families?, _ parts: inout Parts,
    _ names: inout ChainNames, id: String, _ output: inout Output
  ) -> [KernelRule] {
    guard rest != .continue else { return [] }
    let guardOfFields = Conjunction(protocols: protocols).inFamily(family)
    let verdict = kernelVerdict(rest, &parts, &names, id: id, &output)
    let all = merged(keys)
    if !all.isEmpty {
      return [parts.rule(guardOfFields.adding(condition(all, .notEqual, family)), [.verdict(verdict)])]
    }
    // Without a key only a port may be missing: then none is between the first and the last.
    var present = guardOfFields
    if map.fields.contains(where: { if case .port = $0 { true } else { false } }) {
      present = present.adding(
        Condition(.destinationPort(header: "th"), .equal, .inline(.range([0, 0], [0xff, 0xff]))))
    }
    return [parts.rule(present, [.verdict(verdict)])]
  }

  // MARK: Verdicts

  /// Chains made for verdicts that are none of the kernel's here, by verdict.
  private var helpers: [(verdict: Verdict, chain: String)] = []

  init(map: VerdictMap, chainPolicy: ChainPolicy?) {
    self.map = map
    self.chainPolicy = chainPolicy
  }

  private mutating func kernelVerdict(
    _ verdict: Verdict, _ parts: inout Parts, _ names: inout ChainNames, id: String, _ output: inout Output
  ) -> KernelVerdict {
    let statements = Effects.statements(of: verdict, chainPolicy: chainPolicy)
    if statements.count == 1, case .verdict(let simple)? = statements[0].first, statements[0].count == 1 {
      if case .jump(let chain) = simple, jumpsApart { return .goto(chain) }
      return simple
    }
    if let known = helpers.first(where: { $0.verdict == verdict }) { return .goto(known.chain) }
    let name = names.take(for: id)
    helpers.append((verdict, name))
    output.generatedChains.append(
      Chain(name: name, base: nil, rules: statements.map { parts.rule(Conjunction(), $0) }))
    return .goto(name)
  }

  // MARK: Fields and keys

  private var protocols: [UInt8]? {
    for case .port(let number) in map.fields { return [number] }
    return nil
  }

  private func field(_ family: Families?) -> RuleStatement.Field {
    let fields = map.fields.map { field -> RuleStatement.Field in
      switch field {
      case .port(let number): .destinationPort(header: TransportHeader.name(of: [number]))
      case .interface(.input): .inputInterfaceName
      case .interface(.output): .outputInterfaceName
      case .address(.source): family == .ipv6 ? .ipv6Source : .ipv4Source
      case .address(.destination): family == .ipv6 ? .ipv6Destination : .ipv4Destination
      case .mark: .packetMark(mask: nil)
      }
    }
    return fields.count == 1 ? fields[0] : .concatenated(fields)
  }

  private func keyType(_ family: Families?) -> KernelSet.KeyType {
    let types = map.fields.map { field -> KernelSet.KeyType in
      switch field {
      case .port: .inetService
      case .interface: .interfaceName
      case .address: family == .ipv6 ? .ipv6Address : .ipv4Address
      case .mark: .mark
      }
    }
    return types.count == 1 ? types[0] : .concatenation(types)
  }

  private func condition(
    _ elements: [KernelSet.Element], _ comparison: RuleStatement.Operator, _ family: Families?
  ) -> Condition {
    let keyType = keyType(family)
    let isInterval = elements.contains { !$0.isSingle }
    // Where ranges are looked up, the rule turns marks round first.
    let elements =
      isInterval
      ? elements
      : elements.map { inRegister($0, family) }.sorted { $0.lower.lexicographicallyPrecedes($1.lower) }
    let operand: Condition.Operand
    if let element = elements.first, elements.count == 1, keyType == .interfaceName, !element.isSingle {
      operand = .inline(.prefix(Array(element.lower.prefix { $0 != 0 })))
    } else if map.fields.count == 1 {
      operand = .ranges(elements, keyType: keyType)
    } else {
      operand = .anonymous(
        KernelSet(
          name: nil, keyType: keyType, isInterval: isInterval, elements: elements))
    }
    return Condition(field(family), comparison, operand)
  }

  /// A single key as the registers have it: marks are in host order, and here they are numbers to be compared.
  private func inRegister(_ element: KernelSet.Element, _ family: Families?) -> KernelSet.Element {
    guard map.fields.contains(.mark) else { return element }
    var key: [UInt8] = []
    for field in map.fields {
      let length =
        switch field {
        case .port, .mark: 4
        case .interface: 16
        case .address: family == .ipv6 ? 16 : 4
        }
      let part = element.lower.dropFirst(key.count).prefix(length)
      key += field == .mark ? part.reversed() : Array(part)
    }
    return KernelSet.Element(key, key, data: element.data)
  }

  /// The elements of a key: the product of its parts in one family.
  private func elements(of key: [VerdictMap.Part], _ family: Families?) -> [KernelSet.Element] {
    var product = [KernelSet.Element([], [])]
    for (index, part) in key.enumerated() {
      let values = elements(of: part, family)
      product = product.flatMap { head in
        values.map { value in
          // Each field of a concatenation fills whole registers of 4 bytes, the last one too.
          let padding =
            key.count == 1 ? [] : [UInt8](repeating: 0, count: (4 - value.lower.count % 4) % 4)
          assert(index < map.fields.count)
          return KernelSet.Element(
            head.lower + value.lower + padding, head.upper + value.upper + padding)
        }
      }
    }
    return product
  }

  private func elements(of part: VerdictMap.Part, _ family: Families?) -> [KernelSet.Element] {
    switch part {
    case .ports(let ports): ports.ranges.map { KernelSet.Element(bigEndian: $0) }
    case .addresses(let set):
      family == .ipv6
        ? set.ipv6.map { KernelSet.Element(bigEndian: $0) }
        : set.ipv4.map { KernelSet.Element(bigEndian: $0) }
    case .interfaces(let patterns): MatchLowering.elements(of: patterns)
    case .marks(let ranges):
      (map.fields.count == 1 ? ranges : ranges.flatMap(Self.apartFromPrefixes)).map {
        KernelSet.Element(bigEndian: $0)
      }
    }
  }

  /// A range of marks as ranges that are no prefixes: in a concatenation nft lists one as `0x10/28`, and reads the bytes
  /// of that back in the wrong order.
  private static func apartFromPrefixes(_ range: AddressRange<UInt32>) -> [AddressRange<UInt32>] {
    let size = UInt64(range.upper) - UInt64(range.lower) + 1
    guard size > 1, size & (size - 1) == 0, UInt64(range.lower) % size == 0 else { return [range] }
    return [AddressRange(range.lower, range.upper - 1), AddressRange(range.upper, range.upper)]
  }

  /// Ascending, and ranges that touch as one: an interval set takes no others. Interface names stay as they
  /// are: two prefixes that touch are no prefix.
  private func merged(_ elements: [KernelSet.Element]) -> [KernelSet.Element] {
    let sorted = elements.sorted { $0.lower.lexicographicallyPrecedes($1.lower) }
    guard map.fields.count == 1 else { return sorted }
    if case .interface = map.fields[0] { return sorted }
    var result: [KernelSet.Element] = []
    for element in sorted {
      if let last = result.last, last.upper.successor == element.lower {
        result[result.count - 1].upper = element.upper
      } else {
        result.append(element)
      }
    }
    return result
  }
}

extension [UInt8] {
  /// The next number, most significant byte first; nil after the last.
  fileprivate var successor: [UInt8]? {
    var next = self
    for index in next.indices.reversed() {
      if next[index] != 0xff {
        next[index] += 1
        return next
      }
      next[index] = 0
    }
    return nil
  }
}
