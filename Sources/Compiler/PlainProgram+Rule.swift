internal import NFTables
internal import PolicyModel
internal import Ruleset

/// What a rule says, beside what its program does.
extension PlainProgram {
  /// For packets of the program's families.
  mutating func says(
    _ rule: Rule, _ program: StoredPrograms.Program, _ stored: StoredPrograms, endingWith policy: ChainPolicy?
  ) -> Bool {
    guard isCounted == (rule.counter != nil), says(rule.verdict, program, stored, policy) else {
      return false
    }
    var wanted = Protocols.any
    // One bit for each condition that the rule has asked for.
    var asked: UInt64 = 0
    for match in rule.matches {
      guard says(match, &wanted, &asked) else { return false }
    }
    return conditions.count < 64 && asked == 1 << UInt64(conditions.count) - 1 && wanted == protocols
  }

  // MARK: Matches

  private mutating func says(_ match: Match, _ wanted: inout Protocols, _ asked: inout UInt64) -> Bool {
    switch match.condition {
    case .protocols(let listed): return !match.isNegated && Self.narrow(&wanted, to: listed)
    case .ports(let side, let listed, let ports):
      return !match.isNegated && Self.narrow(&wanted, to: listed)
        && asks(side == .source ? .sourcePort : .destinationPort, false, ports.ranges, &asked)
    case .services(let services):
      // Of one list of ports, or of none, they are like protocols.
      guard let first = services.first, !match.isNegated,
        services.allSatisfy({ $0.families.isSuperset(of: families) && $0.ports == first.ports }),
        Self.narrow(&wanted, to: services.map(\.protocolNumber))
      else { return false }
      return first.ports.map { asks(.destinationPort, false, $0.ranges, &asked) } ?? true
    case .icmp(let family, let types):
      guard !match.isNegated, family.families == families, types.allSatisfy({ $0.code == nil }),
        Self.narrow(&wanted, to: [family.protocolNumber])
      else { return false }
      return asks(.icmpType, false, IntervalSet(types.map { AddressRange($0.type, $0.type) }).ranges, &asked)
    case .states(let states): return asks(states, match.isNegated, &asked)
    case .addresses(let side, let addresses):
      guard addresses.isStatic else { return false }
      let field: Field = side == .source ? .source : .destination
      return families == .ipv4
        ? asks(field, match.isNegated, addresses.addresses.ipv4, addresses.addresses, &asked)
        : asks(field, match.isNegated, addresses.addresses.ipv6, addresses.addresses, &asked)
    case .interfaces(let side, let patterns):
      return asks(side == .input ? .inputInterface : .outputInterface, match.isNegated, patterns, &asked)
    default: return false
    }
  }

  /// What two matches say of the protocol, where one says what the other does.
  private static func narrow(_ wanted: inout Protocols, to listed: [UInt8]) -> Bool {
    let protocols: Protocols = listed.count == 1 ? .one(listed[0]) : .several(listed)
    guard wanted == .any || wanted == protocols else { return false }
    wanted = protocols
    return true
  }

  /// The place of the program's condition on a field that no match has asked for yet.
  private func take(_ field: Field, _ isNegated: Bool, _ asked: inout UInt64) -> Int? {
    for index in conditions.indices where index < 64 && asked & 1 << UInt64(index) == 0 {
      guard conditions[index].field == field, conditions[index].isNegated == isNegated else { continue }
      asked |= 1 << UInt64(index)
      return index
    }
    return nil
  }

  private func asks<Value>(
    _ field: Field, _ isNegated: Bool, _ ranges: [AddressRange<Value>], _ asked: inout UInt64
  ) -> Bool {
    guard let index = take(field, isNegated, &asked), conditions[index].name < 0, !conditions[index].isAnyBit
    else { return false }
    return isSame(conditions[index], ranges)
  }

  private func isSame<Value>(_ condition: Condition, _ ranges: [AddressRange<Value>]) -> Bool {
    guard condition.list >= 0 else {
      return ranges.count == 1 && UInt128(ranges[0].lower) == condition.lower
        && UInt128(ranges[0].upper) == condition.upper
    }
    let list = lists[condition.list]
    // Elements that lie side by side are one range.
    var next = 0
    for range in ranges {
      guard next < list.count, list[next].lower == UInt128(range.lower) else { return false }
      while next + 1 < list.count, list[next].upper < .max, list[next + 1].lower == list[next].upper + 1 {
        next += 1
      }
      guard list[next].upper == UInt128(range.upper) else { return false }
      next += 1
    }
    return next == list.count
  }

  /// Addresses of one family, which may stand in a set of that name.
  private mutating func asks<Value>(
    _ field: Field, _ isNegated: Bool, _ ranges: [AddressRange<Value>], _ addresses: AddressSet,
    _ asked: inout UInt64
  ) -> Bool {
    guard let index = take(field, isNegated, &asked) else { return false }
    guard conditions[index].name >= 0 else { return isSame(conditions[index], ranges) }
    let name = names[conditions[index].name]
    if let known = known[name], known.isStored(as: addresses) { return true }
    guard let packed = contents[name]?.packed, Self.isSame(packed.bytes, packed.keyLength, ranges) else {
      return false
    }
    known[name] = addresses
    return true
  }

  /// Of each range the lower bound and the upper one, the most significant byte first.
  private static func isSame<Value>(
    _ bytes: [UInt8], _ keyLength: Int, _ ranges: [AddressRange<Value>]
  ) -> Bool {
    guard keyLength == Value.bitWidth / 8, bytes.count == ranges.count * 2 * keyLength else { return false }
    var position = 0
    func number() -> Value {
      var value: Value = 0
      for _ in 0..<keyLength {
        value = value << 8 | Value(bytes[position])
        position += 1
      }
      return value
    }
    for range in ranges where number() != range.lower || number() != range.upper { return false }
    return true
  }

  private func asks(_ states: ConntrackStates, _ isNegated: Bool, _ asked: inout UInt64) -> Bool {
    guard let index = take(.state, isNegated, &asked) else { return false }
    let condition = conditions[index]
    // A packet has one state, whose bit stands in a number in host order.
    func bits(_ value: UInt128) -> UInt32 { UInt32(truncatingIfNeeded: value).byteSwapped }
    if condition.isAnyBit { return bits(condition.lower) == states.rawValue }
    let spans = condition.list >= 0 ? lists[condition.list] : [(condition.lower, condition.upper)]
    var found: UInt32 = 0
    for span in spans {
      guard span.lower == span.upper, bits(span.lower).nonzeroBitCount == 1 else { return false }
      found |= bits(span.lower)
    }
    return found == states.rawValue
  }

  private func asks(
    _ field: Field, _ isNegated: Bool, _ patterns: [InterfacePattern], _ asked: inout UInt64
  ) -> Bool {
    guard let index = take(field, isNegated, &asked) else { return false }
    let condition = conditions[index]
    let spans = condition.list >= 0 ? lists[condition.list] : [(condition.lower, condition.upper)]
    guard spans.count == patterns.count else { return false }
    // Both are sorted by name.
    for (pattern, span) in zip(patterns, spans) {
      let length = pattern.name.utf8.count
      guard length > 0, length < Int(Self.nameLength), !pattern.isPrefix || length + 1 < Int(Self.nameLength)
      else { return false }
      let free = UInt128(8 * (Int(Self.nameLength) - length))
      let lower = pattern.name.utf8.reduce(0 as UInt128) { $0 << 8 | UInt128($1) } << free
      guard span.lower == lower, span.upper == (pattern.isPrefix ? lower | Self.ones(free) : lower) else {
        return false
      }
    }
    return true
  }

  // MARK: Verdicts

  // linux/netfilter.h NF_DROP, NF_ACCEPT; linux/netfilter/nf_tables.h enum nft_verdicts.
  private static let drop: Int32 = 0
  private static let accept: Int32 = 1
  private static let `continue`: Int32 = -1
  private static let jump: Int32 = -3
  private static let goto: Int32 = -4
  private static let `return`: Int32 = -5

  private mutating func says(
    _ verdict: Verdict, _ program: StoredPrograms.Program, _ stored: StoredPrograms, _ policy: ChainPolicy?
  ) -> Bool {
    switch verdict {
    case .accept: return ends(with: Self.accept)
    case .drop: return ends(with: Self.drop)
    case .continue:
      if case .none = ending { return true }
      return ends(with: Self.continue)
    // At the end of a chain that decides stands its policy.
    case .return:
      switch policy {
      case nil: return ends(with: Self.return)
      case .accept?: return ends(with: Self.accept)
      case .drop?: return ends(with: Self.drop)
      case .reject?: return rejects(.automatic)
      }
    case .reject(.portUnreachable): return rejects(.automatic)
    case .reject(let kind): return rejects(kind)
    case .jump(let name): return leads(to: name, by: Self.jump, program, stored)
    case .goto(let name): return policy == nil && leads(to: name, by: Self.goto, program, stored)
    case .dispatch, .translate, .notrack: return false
    }
  }

  private func ends(with code: Int32) -> Bool {
    guard case .verdict(let step) = ending else { return false }
    return step.nameLength == 0 && Int32(bitPattern: step.key) == code
  }

  private func rejects(_ kind: RejectKind) -> Bool {
    guard case .reject(let found) = ending else { return false }
    return found == kind
  }

  private mutating func leads(
    to name: String, by code: Int32, _ program: StoredPrograms.Program, _ stored: StoredPrograms
  ) -> Bool {
    guard case .verdict(let step) = ending, Int32(bitPattern: step.key) == code else { return false }
    let known = chainNames[name] ?? Array(KernelName.chain(name).utf8)
    chainNames[name] = known
    return stored.name(step, in: program) == known[...]
  }
}

extension AddressSet {
  /// Whether both are the same lists in memory, which needs no look at what they hold.
  fileprivate func isStored(as other: AddressSet) -> Bool {
    func isOne<Element>(_ a: [Element], _ b: [Element]) -> Bool {
      a.count == b.count
        && a.withUnsafeBufferPointer { first in
          b.withUnsafeBufferPointer { second in first.baseAddress == second.baseAddress }
        }
    }
    return isOne(ipv4, other.ipv4) && isOne(ipv6, other.ipv6)
  }
}
