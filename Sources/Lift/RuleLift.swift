import Diagnostics
import NFTables
import PolicyModel
import Ruleset

/// Reads one program of the kernel as a rule of the model, or refuses.
struct RuleLift {
  private let source: DumpedRule
  private let sets: [String: DumpedSet]
  private var conditions = ConditionLift()
  private var registers = Registers()
  private var rule: Rule
  private var verdict: Verdict?
  /// A map of targets whose result is in a register: port and element.
  private var targets: [PortTarget]?
  /// Whether something was changed or written: conditions behind that would ask for the new value.
  private var hasActed = false

  init(_ source: DumpedRule, id: String, span: SourceSpan, sets: [String: DumpedSet]) {
    self.source = source
    self.sets = sets
    rule = Rule(id: id, name: nil, text: "", verdict: .continue, span: span)
  }

  /// The rule, and further conditions of which one must hold too: no packet meets two of them.
  mutating func run() throws(LiftError) -> (rule: Rule, alternatives: [[Match]]?) {
    for expression in source.expressions {
      guard verdict == nil else { throw LiftError("something behind a verdict") }
      try take(expression)
    }
    guard !conditions.awaitsLinkAddress else {
      throw LiftError("an interface type without a link-layer address")
    }
    rule.families = conditions.families
    rule.matches = conditions.matches
    rule.verdict = verdict ?? .continue
    rule.text = source.comment ?? rule.id
    if case .dispatch = rule.verdict {
      let isPlain = rule.counter == nil && rule.log == nil && rule.changes.isEmpty && !rule.isLimiting
      guard isPlain else { throw LiftError("a map of verdicts beside actions") }
    }
    return (rule, conditions.alternatives)
  }

  // MARK: Expressions

  private mutating func take(_ expression: Expression) throws(LiftError) {
    switch expression {
    case .meta(let key, let register): load(.meta(key), Self.length(of: key), register)
    case .payload(let base, let offset, let length, let register):
      load(.payload(base, offset: Int(offset)), Int(length), register)
    case .conntrack(let key, let register):
      load(.conntrack(key), key == .direction ? 1 : 4, register)
    case .fib(let result, let flags, let register): load(.fib(result, flags: flags), 4, register)
    case .extensionHeader(let type, let offset, let length, let register):
      load(.extensionHeader(type: type, offset: Int(offset)), Int(length), register)
    case .route(let key, let register): load(.route(key), 2, register)
    case .immediate(let register, let bytes): registers[register] = .constant(bytes)
    case .bitwise(let register, let destination, let mask, let xor):
      var field = try field(register)
      guard field.mask == nil, field.flipped == nil else { throw LiftError("a mask on a mask") }
      field.mask = mask
      if xor.contains(where: { $0 != 0 }) { field.flipped = xor }
      registers[destination] = .field(field)
    case .byteOrder(let register, let destination, _, _, _):
      var field = try field(register)
      field.isTurned.toggle()
      registers[destination] = .field(field)
    case .compare(let register, let comparison, let value):
      try beforeActing()
      var field = try field(register)
      // A truth value takes as many bytes as it is compared with.
      if case .fib = field.source { field.length = value.count }
      try conditions.compare(field, comparison, value)
    case .range(let register, let isNegated, let lower, let upper):
      try beforeActing()
      try conditions.range(try field(register), lower, upper, isNegated: isNegated)
    case .lookup(let register, let reference, let isNegated): try lookup(register, reference, isNegated)
    case .mapLookup(let register, let reference, let destination):
      try beforeActing()
      if destination == 0 {
        verdict = .dispatch(try verdictMap(register, reference))
      } else {
        targets = try portTargets(register, reference)
      }
    case .dynamicSet(let register, let set, let operation, let timeout, let state):
      try dynamicSet(register, set, operation, timeout, state)
    default: try act(expression)
    }
  }

  private mutating func load(_ source: LoadedField.Source, _ length: Int, _ register: UInt32) {
    registers[register] = .field(LoadedField(source, length: length))
  }

  private func field(_ register: UInt32) throws(LiftError) -> LoadedField {
    guard case .field(let field)? = registers[register] else {
      throw LiftError("a comparison of what no expression has loaded")
    }
    return field
  }

  private func constant(_ register: UInt32) throws(LiftError) -> [UInt8] {
    guard case .constant(let bytes)? = registers[register] else {
      throw LiftError("a value that is no constant")
    }
    return bytes
  }

  private func beforeActing() throws(LiftError) {
    guard !hasActed else { throw LiftError("a condition behind an action") }
  }

  private static func length(of key: Expression.MetaKey) -> Int {
    switch key {
    case .inputInterfaceName, .outputInterfaceName: 16
    case .inputInterfaceType: 2
    case .family, .transportProtocol, .packetType, .securityPath, .day: 1
    case .length, .mark, .inputInterface, .outputInterface, .socketUser, .socketGroup, .hour: 4
    }
  }

  // MARK: Sets

  private func set(_ reference: SetReference) throws(LiftError) -> DumpedSet {
    switch reference {
    case .named(let name):
      guard let set = sets[name] else { throw LiftError("a look-up in `\(name)`, which is not there") }
      return set
    case .anonymous(let index): return source.anonymousSets[index]
    }
  }

  /// NFT_SET_TIMEOUT, NFT_SET_EVAL: filled while it is there. So are sets that are not constant.
  private static func isFilled(_ set: DumpedSet) -> Bool { set.flags & 0x30 != 0 || set.flags & 2 == 0 }

  private mutating func lookup(
    _ register: UInt32, _ reference: SetReference, _ isNegated: Bool
  ) throws(LiftError) {
    try beforeActing()
    let set = try set(reference)
    let fields = try registers.key(register, length: Int(set.keyLength))
    guard set.otherElements.isEmpty else { throw LiftError("a set whose elements carry more than a key") }
    if Self.isFilled(set), let name = set.name {
      guard fields.count == 1 else {
        throw LiftError("a set that is filled, of something other than addresses")
      }
      return try conditions.member(fields[0], of: Self.definition(name), isNegated: isNegated)
    }
    try conditions.lookup(fields, set.elements.map { ($0.lower, $0.upper) }, isNegated: isNegated)
  }

  /// A definition has a set for each family.
  private static func definition(_ name: String) -> String {
    name.hasSuffix("_4") || name.hasSuffix("_6") ? String(name.dropLast(2)) : name
  }

  private mutating func dynamicSet(
    _ register: UInt32, _ set: String, _ operation: Expression.SetOperation, _ timeout: UInt64?,
    _ state: ElementState?
  ) throws(LiftError) {
    let field = try field(register)
    if case .connections(let count, let isOver)? = state, let mask = field.mask, mask.allSatisfy({ $0 == 0 })
    {
      // All connections of the rule's packets, in a set with one element.
      guard rule.connections == nil, rule.limit == nil else { throw LiftError("two limiters in one rule") }
      rule.connections = ConnectionLimit(isOver: isOver, count: count)
      return
    }
    guard case .payload(.network, let offset) = field.source else {
      throw LiftError("a set that is filled with something other than addresses")
    }
    let side: AddressSide
    switch (conditions.families, offset, field.length) {
    case (.ipv4, 12, 4), (.ipv6, 8, 16): side = .source
    case (.ipv4, 16, 4), (.ipv6, 24, 16): side = .destination
    default: throw LiftError("a set that is filled with something other than addresses")
    }
    let bits = field.mask.map { mask in mask.reduce(0) { $0 + $1.nonzeroBitCount } }
    var key = AddressKey(side: side)
    if let bits {
      if conditions.families == .ipv4 { key.ipv4Bits = UInt8(bits) } else { key.ipv6Bits = UInt8(bits) }
    }
    switch state {
    case .limit(let rate, let seconds, let burst, let isBytes, let isOver)?:
      try add(
        Limit(
          isOver: isOver, rate: Rate(amount: rate, isBytes: isBytes, seconds: seconds), burst: burst, key: key
        ))
    case .connections(let count, let isOver)?:
      guard rule.connections == nil, rule.limit == nil else { throw LiftError("two limiters in one rule") }
      rule.connections = ConnectionLimit(isOver: isOver, count: count, key: key)
    case nil:
      hasActed = true
      let kind: PolicyModel.SetUpdate.Operation =
        switch operation {
        case .add: .add
        case .update: .update
        case .delete: .delete
        }
      rule.changes.setUpdates.append(
        PolicyModel.SetUpdate(
          operation: kind, key: key, set: Self.definition(set), timeout: timeout.map { $0 / 1000 }))
    }
  }

  private mutating func add(_ limit: Limit) throws(LiftError) {
    guard rule.limit == nil, rule.quota == nil else { throw LiftError("two limiters in one rule") }
    rule.limit = limit
  }

  // MARK: Maps

  private mutating func verdictMap(_ register: UInt32, _ reference: SetReference) throws(LiftError)
    -> VerdictMap
  {
    let set = try set(reference)
    let fields = try registers.key(register, length: Int(set.keyLength))
    var names: [VerdictMap.Field] = []
    for field in fields { names.append(try mapField(field)) }
    var entries: [VerdictMap.Entry] = []
    for element in set.elements {
      guard case .verdict(let verdict)? = element.data else {
        throw LiftError("a map of verdicts without one")
      }
      let spans: [ConditionLift.Span] =
        fields.count == 1
        ? [(element.lower, element.upper)]
        : try ConditionLift.split((element.lower, element.upper), fields)
      var key: [VerdictMap.Part] = []
      for (name, span) in zip(names, spans) { key.append(try mapPart(name, span)) }
      entries.append(VerdictMap.Entry(keys: [key], verdict: Self.verdict(verdict)))
    }
    return VerdictMap(fields: names, entries: entries, otherwise: .continue)
  }

  private func mapField(_ field: LoadedField) throws(LiftError) -> VerdictMap.Field {
    switch field.source {
    case .meta(.inputInterfaceName): return .interface(.input)
    case .meta(.outputInterfaceName): return .interface(.output)
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

  private func mapPart(_ field: VerdictMap.Field, _ span: ConditionLift.Span) throws(LiftError)
    -> VerdictMap.Part
  {
    let (lower, upper) = (ConditionLift.number(span.lower), ConditionLift.number(span.upper))
    switch field {
    case .port:
      return .ports(
        PortSet([AddressRange(UInt16(truncatingIfNeeded: lower), UInt16(truncatingIfNeeded: upper))]))
    case .interface: return .interfaces([try ConditionLift.pattern(span, false)])
    case .mark: throw LiftError("a map over a field that the model has no map for")
    case .address:
      return .addresses(
        conditions.families == .ipv4
          ? AddressSet(ipv4: [IPv4Range(UInt32(truncatingIfNeeded: lower), UInt32(truncatingIfNeeded: upper))]
          )
          : AddressSet(ipv6: [IPv6Range(lower, upper)]))
    }
  }

  /// `dnat to MAP`: by the destination port to an address and a port behind it in whole words.
  private func portTargets(_ register: UInt32, _ reference: SetReference) throws(LiftError) -> [PortTarget] {
    let set = try set(reference)
    let fields = try registers.key(register, length: Int(set.keyLength))
    guard fields.count == 1, case .payload(.transport, offset: 2) = fields[0].source, fields[0].length == 2
    else {
      throw LiftError("a map of targets by something other than the destination port")
    }
    let width = conditions.families == .ipv4 ? 4 : 16
    return try set.elements.map { element throws(LiftError) in
      guard case .value(let data)? = element.data, data.count >= width + 2, element.lower == element.upper
      else {
        throw LiftError("a map of targets with another form")
      }
      let address = ConditionLift.number(Array(data[..<width]))
      return PortTarget(
        port: UInt16(truncatingIfNeeded: ConditionLift.number(element.lower)),
        address: try addresses(address, address),
        targetPort: UInt16(truncatingIfNeeded: ConditionLift.number(Array(data[width..<(width + 2)]))))
    }.sorted { $0.port < $1.port }
  }

  // MARK: Actions

  private mutating func act(_ expression: Expression) throws(LiftError) {
    switch expression {
    case .counter: rule.counter = .anonymous
    // NFT_OBJECT_COUNTER.
    case .objectReference(type: 1, let name): rule.counter = .named(name)
    case .limit(let rate, let seconds, let burst, let isBytes, let isOver):
      try add(
        Limit(isOver: isOver, rate: Rate(amount: rate, isBytes: isBytes, seconds: seconds), burst: burst))
    case .quota(let bytes, let isOver):
      guard rule.quota == nil else { throw LiftError("two limiters in one rule") }
      rule.quota = Quota(isOver: isOver, bytes: bytes)
    case .log(let prefix, let level, let group):
      guard rule.log == nil else { throw LiftError("two logs in one rule") }
      rule.log = Log(prefix: prefix, level: level.map { UInt8(truncatingIfNeeded: $0) }, group: group)
    case .setMeta(.mark, let register):
      hasActed = true
      if case .field(let field)? = registers[register] {
        guard field == LoadedField(.conntrack(.mark), length: 4) else {
          throw LiftError("a mark that is computed")
        }
        rule.changes.restoresMark = true
      } else {
        rule.changes.mark = Self.hostNumber(try constant(register))
      }
    case .setConntrack(.mark, let register):
      hasActed = true
      if case .field(let field)? = registers[register] {
        guard field == LoadedField(.meta(.mark), length: 4) else {
          throw LiftError("a mark that is computed")
        }
        rule.changes.savesMark = true
      } else {
        rule.changes.connectionMark = Self.hostNumber(try constant(register))
      }
    case .setPayload(.network, let offset, _, let register, _):
      try setCodePoint(Int(offset), try field(register))
    case .setTCPOption(kind: 2, offset: 2, length: 2, let register):
      hasActed = true
      if case .constant(let bytes)? = registers[register] {
        rule.changes.segmentSize = .bytes(UInt16(truncatingIfNeeded: ConditionLift.number(bytes)))
      } else if case .field(let field)? = registers[register], case .route(.segmentSize) = field.source {
        rule.changes.segmentSize = .pathMTU
      } else {
        throw LiftError("a segment size that is computed")
      }
    case .notrack: verdict = .notrack
    case .reject(let type, let code): verdict = .reject(try kind(type, code))
    case .verdict(let found): verdict = Self.verdict(found)
    case .masquerade: verdict = .translate(.masquerade)
    case .redirect(let ports, _):
      let port = try ports.map { ports throws(LiftError) in
        guard ports.lowerBound == ports.upperBound else { throw LiftError("a redirect to several ports") }
        return UInt16(truncatingIfNeeded: ConditionLift.number(try constant(ports.lowerBound)))
      }
      verdict = .translate(.redirect(port))
    case .nat(let isSource, let family, let addresses, let ports, let flags):
      verdict = .translate(try translation(isSource, family, addresses, ports, flags))
    case .socketControlGroup: throw LiftError("a control group, whose number is known late")
    case .unknown(let name, _): throw LiftError("the expression `\(name)`, which the model has no word for")
    default: throw LiftError("an expression that the model has no word for")
    }
  }

  private mutating func setCodePoint(_ offset: Int, _ field: LoadedField) throws(LiftError) {
    hasActed = true
    guard offset == 0, field.length == 2, case .payload(.network, offset: 0) = field.source else {
      throw LiftError("bytes of the network header are rewritten")
    }
    let value = UInt16(truncatingIfNeeded: ConditionLift.number(field.flipped ?? [0, 0]))
    switch (conditions.families, field.mask) {
    case (.ipv4, [0xff, 0x03]?): rule.changes.dscp = UInt8(truncatingIfNeeded: value >> 2)
    case (.ipv6, [0xf0, 0x3f]?): rule.changes.dscp = UInt8(truncatingIfNeeded: value >> 6)
    default: throw LiftError("bytes of the network header are rewritten")
    }
  }

  private func kind(_ type: UInt32, _ code: UInt8?) throws(LiftError) -> RejectKind {
    // NFT_REJECT_ICMP_UNREACH, _TCP_RST, _ICMPX_UNREACH; codes of linux/icmp.h and linux/icmpv6.h.
    switch (type, code, conditions.families) {
    case (1, _, _): .tcpReset
    // What a bare `reject` sends.
    case (2, 1?, _), (0, 3?, .ipv4), (0, 4?, .ipv6): .automatic
    case (2, 2?, _), (0, 1?, .ipv4), (0, 3?, .ipv6): .hostUnreachable
    case (2, 3?, _), (0, 13?, .ipv4), (0, 1?, .ipv6): .adminProhibited
    case (2, 0?, _), (0, 0?, .ipv4), (0, 0?, .ipv6): .noRoute
    default: throw LiftError("a refusal by a code that the model has no word for")
    }
  }

  private func addresses(_ lower: UInt128, _ upper: UInt128) throws(LiftError) -> NATAddresses {
    guard lower <= upper else { throw LiftError("a range that runs downwards") }
    return conditions.families == .ipv4
      ? .ipv4(IPv4Range(UInt32(truncatingIfNeeded: lower), UInt32(truncatingIfNeeded: upper)))
      : .ipv6(IPv6Range(lower, upper))
  }

  private func translation(
    _ isSource: Bool, _ family: UInt32, _ addressRegisters: ClosedRange<UInt32>,
    _ ports: ClosedRange<UInt32>?,
    _ flags: UInt32
  ) throws(LiftError) -> Translation {
    guard conditions.families == (family == 2 ? .ipv4 : .ipv6) else {
      throw LiftError("a translation of the family that was not asked")
    }
    if let targets {
      guard !isSource else { throw LiftError("a map of source addresses") }
      return .destinationByPort(targets)
    }
    // NF_NAT_RANGE_NETMAP; of others than addresses and ports nothing is known.
    guard flags & ~(1 | 2 | 0x40) == 0 else {
      throw LiftError("a translation with flags that the model has not")
    }
    let lower = ConditionLift.number(try constant(addressRegisters.lowerBound))
    let upper = ConditionLift.number(try constant(addressRegisters.upperBound))
    let range = try ports.map { ports throws(LiftError) in
      AddressRange(
        UInt16(truncatingIfNeeded: ConditionLift.number(try constant(ports.lowerBound))),
        UInt16(truncatingIfNeeded: ConditionLift.number(try constant(ports.upperBound))))
    }
    let target = NATTarget(addresses: try addresses(lower, upper), isPrefix: flags & 0x40 != 0, ports: range)
    return isSource ? .source(target) : .destination(target)
  }

  private static func verdict(_ verdict: KernelVerdict) -> Verdict {
    switch verdict {
    case .accept: .accept
    case .drop: .drop
    case .continue: .continue
    case .return: .return
    case .jump(let chain): .jump(chain)
    case .goto(let chain): .goto(chain)
    }
  }

  private static func hostNumber(_ bytes: [UInt8]) -> UInt32 {
    UInt32(truncatingIfNeeded: ConditionLift.number(bytes.reversed()))
  }
}
