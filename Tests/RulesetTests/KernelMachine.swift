import PolicyModel
import Ruleset

/// Runs kernel programs as net/netfilter/nf_tables_core.c does: registers, a look-up, and an expression that
/// cannot read its field ends the rule.
struct KernelMachine {
  enum Effect: Hashable {
    case count(String?)
    case log(prefix: String, level: UInt32?, group: UInt16?)
    /// Milliseconds; nil: the set's.
    case write(Expression.SetOperation, set: String, key: [UInt8], timeout: UInt64?)
  }

  enum Outcome: Hashable {
    case accept
    case drop
    case reject(type: UInt32, code: UInt8?)
    /// Registers' bytes: addresses, then ports.
    case translate(isSource: Bool?, [[UInt8]], flags: UInt32)
  }

  /// A token bucket, a quota or a number of connections, by its numbers: what it answers, and how often it was asked.
  struct Budget: Hashable {
    var rate: UInt64
    var seconds: UInt64
    var burst: UInt32
    var isBytes: Bool
    /// Of one that each key has; without a key of its own, 0 in a register.
    var key: [UInt8] = []
    var isConnections = false
  }

  struct Trace {
    var effects: [Effect] = []
    var asked: [Budget: Int] = [:]
    /// Nil: the end of the chain.
    var outcome: Outcome?
    /// As it is afterwards.
    var packet: Packet
  }

  let table: Table
  /// Whether a budget still has tokens.
  let hasTokens: (Budget) -> Bool
  /// Whether a set takes one more key: a definition's, by its name, or that of a limiter.
  let hasRoom: (String, [UInt8]) -> Bool

  func run(chain name: String, _ packet: Packet) -> Trace {
    var trace = Trace(packet: packet)
    _ = run(chain: name, &trace)
    return trace
  }

  private enum End {
    case decided
    case returned
  }

  private func run(chain name: String, _ trace: inout Trace) -> End {
    guard let chain = table.chains.first(where: { $0.name == name }) else {
      preconditionFailure("no chain \(name)")
    }
    for rule in chain.rules {
      switch run(rule, &trace) {
      case nil, .continue?: continue
      case .accept?:
        trace.outcome = .accept
        return .decided
      case .drop?:
        if trace.outcome == nil { trace.outcome = .drop }
        return .decided
      case .return?: return .returned
      case .jump(let target)?:
        if run(chain: target, &trace) == .decided { return .decided }
      case .goto(let target)?: return run(chain: target, &trace)
      }
    }
    return .returned
  }

  /// The verdict of one rule; nil if an expression ended it.
  private func run(_ rule: KernelRule, _ trace: inout Trace) -> KernelVerdict? {
    // 16 registers of 4 bytes.
    var registers = [UInt8](repeating: 0xcc, count: 64)
    func start(_ register: UInt32) -> Int { Int(register >= 8 ? register - 8 : (register - 1) * 4) * 4 }
    func store(_ bytes: [UInt8], _ register: UInt32) {
      // The kernel clears the rest of the last word.
      let padded = bytes + [UInt8](repeating: 0, count: (4 - bytes.count % 4) % 4)
      registers.replaceSubrange(start(register)..<start(register) + padded.count, with: padded)
    }
    func read(_ register: UInt32, _ count: Int) -> [UInt8] {
      Array(registers[start(register)..<start(register) + count])
    }
    for expression in rule.expressions {
      let packet = trace.packet
      switch expression {
      case .meta(let key, let register):
        guard let bytes = meta(key, packet) else { return nil }
        store(bytes, register)
      case .payload(let base, let offset, let length, let register):
        let header = header(base, packet)
        let end = Int(offset + length)
        guard header.count >= end, base != .transport || packet.transportProtocol != nil else { return nil }
        store(Array(header[Int(offset)..<end]), register)
      case .conntrack(.state, let register): store(littleEndian(packet.state.rawValue), register)
      case .conntrack(.mark, let register):
        guard let mark = packet.connectionMark else { return nil }
        store(littleEndian(mark), register)
      case .conntrack(_, let register):
        guard let status = packet.status else { return nil }
        store(littleEndian(status), register)
      case .socketControlGroup(let level, let register):
        let parts = packet.controlGroup.map { $0.split(separator: "/") }
        guard let parts, parts.count >= Int(level) else { return nil }
        store(Self.number(ofGroup: parts.prefix(Int(level)).joined(separator: "/")), register)
      // Of what comes in on `lo` the kernel finds no route back in `input`.
      case .fib(.outputInterface, _, let register):
        store(littleEndian(packet.hasRouteBack && packet.inputInterface != "lo" ? 1 : 0), register)
      case .extensionHeader(_, _, _, let register):
        guard packet.isV6, let field = packet.fragmentOffset else { return nil }
        store(Packet.bytes(field), register)
      case .route(_, let register):
        store(Packet.bytes(Packet.pathSegmentSize).reversed(), register)
      case .setMeta(_, let register): trace.packet.mark = number(read(register, 4))
      case .setConntrack(_, let register):
        if packet.connectionMark != nil { trace.packet.connectionMark = number(read(register, 4)) }
      case .setPayload(_, _, _, let register, let checksum):
        // IPv4's checksum covers the bytes, IPv6 has none.
        guard checksum == (packet.isV6 ? nil : 10) else { preconditionFailure("checksum \(checksum ?? 0)") }
        let bytes = read(register, 2)
        let header = networkHeader(packet)
        precondition(bytes[0] >> 4 == header[0] >> 4, "the version is kept")
        trace.packet.dscp = packet.isV6 ? (bytes[0] & 0x0f) << 2 | bytes[1] >> 6 : bytes[1] >> 2
        precondition(
          packet.isV6 ? bytes[1] & 0x3f == header[1] & 0x3f : bytes[1] & 3 == header[1] & 3,
          "the other bits are kept")
      case .setTCPOption(let kind, _, _, let register):
        precondition(kind == 2)
        guard packet.canReadTCPHeader else { return nil }
        let bytes = read(register, 2)
        let wanted = UInt16(bytes[0]) << 8 | UInt16(bytes[1])
        // nft_exthdr_tcp_set_eval never raises it.
        if let size = packet.segmentSize { trace.packet.segmentSize = min(size, wanted) }
      case .notrack: trace.packet.untrack()
      case .fib(_, let flags, let register):
        store(littleEndian(flags == 1 ? packet.sourceType : packet.destinationType), register)
      case .compare(let register, let comparison, let data):
        guard compare(read(register, data.count), comparison, data) else { return nil }
      case .range(let register, let isNegated, let lower, let upper):
        let value = read(register, lower.count)
        let isInside = compare(value, .greaterOrEqual, lower) && compare(value, .lessOrEqual, upper)
        guard isInside != isNegated else { return nil }
      case .bitwise(let register, let destination, let mask, let xor):
        let value = read(register, mask.count)
        store(zip(zip(value, mask), xor).map { $0.0 & $0.1 ^ $1 }, destination)
      case .byteOrder(let register, let destination, _, let length, let size):
        var value = read(register, Int(length))
        for word in 0..<Int(length / size) {
          let range = word * Int(size)..<(word + 1) * Int(size)
          value.replaceSubrange(range, with: value[range].reversed())
        }
        store(value, destination)
      case .lookup(let register, let reference, let isNegated):
        guard let set = set(reference, rule) else { preconditionFailure("no set") }
        if set.keyType == .controlGroup {
          precondition(!isNegated, "a group that is not there yet is no reason to act")
          let elements = table.lateElements.filter { $0.set == set.name }
          let known = elements.filter { packet.knownGroups.contains($0.path) }
          guard known.contains(where: { Self.number(ofGroup: $0.path) == read(register, 8) }) else {
            return nil
          }
          continue
        }
        if set.filling != nil {
          let isMember = packet.sets[Self.definition(of: set)]?.contains(
            read(register, Self.keyLength(of: set)))
          guard isMember == !isNegated else { return nil }
          continue
        }
        let key = read(register, set.elements.first?.lower.count ?? 0)
        guard contains(set, key) != isNegated else { return nil }
      case .mapLookup(let register, let reference, let destination):
        guard let set = set(reference, rule) else { preconditionFailure("no map") }
        let key = read(register, set.elements.first?.lower.count ?? 0)
        guard let element = set.elements.first(where: { contains(set, $0, key) }) else { return nil }
        switch element.data {
        case .verdict(let verdict)? where destination == 0: return verdict
        case .value(let bytes)? where destination != 0: store(bytes, destination)
        default: preconditionFailure("data of another kind")
        }
      case .counter: trace.effects.append(.count(nil))
      case .objectReference(_, let name): trace.effects.append(.count(name))
      case .limit(let rate, let seconds, let burst, let isBytes, let isOver):
        let budget = Budget(rate: rate, seconds: seconds, burst: burst, isBytes: isBytes)
        trace.asked[budget, default: 0] += 1
        guard hasTokens(budget) != isOver else { return nil }
      case .quota(let bytes, let isOver):
        let budget = Budget(rate: bytes, seconds: 0, burst: 0, isBytes: true)
        trace.asked[budget, default: 0] += 1
        guard hasTokens(budget) != isOver else { return nil }
      case .dynamicSet(let register, let name, let operation, let timeout, let state):
        guard let set = set(.named(name), rule) else { preconditionFailure("no set \(name)") }
        precondition(set.filling?.isByRules == true && (timeout == nil || set.filling?.hasTimeouts == true))
        guard
          update(set, read(register, Self.keyLength(of: set)), operation, timeout: timeout, state, &trace)
        else { return nil }
      case .log(let prefix, let level, let group):
        trace.effects.append(.log(prefix: prefix, level: level, group: group))
      case .reject(let type, let code):
        trace.outcome = .reject(type: type, code: code)
        return .drop
      case .immediate(let register, let data): store(data, register)
      case .masquerade:
        trace.outcome = .translate(isSource: nil, [], flags: 0)
        return .drop
      case .redirect(let ports, let flags):
        trace.outcome = .translate(
          isSource: nil, ports.map { [read($0.lowerBound, 2), read($0.upperBound, 2)] } ?? [], flags: flags)
        return .drop
      case .nat(let isSource, let family, let addresses, let ports, let flags):
        let width = family == 2 ? 4 : 16
        let bounds = [addresses.lowerBound, addresses.upperBound].map { read($0, width) }
        trace.outcome = .translate(
          isSource: isSource,
          bounds + (ports.map { [read($0.lowerBound, 2), read($0.upperBound, 2)] } ?? []), flags: flags)
        return .drop
      case .verdict(let verdict): return verdict
      case .unknown(let name, _): preconditionFailure("the lowering made \(name)")
      }
    }
    return .continue
  }

  // MARK: Dynamic sets

  /// nft_dynset_eval; false ends the rule.
  private func update(
    _ set: KernelSet, _ key: [UInt8], _ operation: Expression.SetOperation, timeout: UInt64?,
    _ state: ElementState?, _ trace: inout Trace
  ) -> Bool {
    guard let state else {
      let name = Self.definition(of: set)
      if operation == .delete {
        trace.packet.sets[name]?.remove(key)
      } else {
        guard trace.packet.sets[name]?.contains(key) == true || hasRoom(name, key) else { return false }
        trace.packet.sets[name]?.insert(key)
      }
      trace.effects.append(.write(operation, set: name, key: key, timeout: timeout))
      return true
    }
    precondition(set.filling?.state == state && operation == .update)
    let budget: Budget
    let isOver: Bool
    switch state {
    case .limit(let rate, let seconds, let burst, let isBytes, let over):
      precondition((set.filling?.timeout ?? 0) >= 60)
      guard hasRoom("limit", key) else { return false }
      budget = Budget(rate: rate, seconds: seconds, burst: burst, isBytes: isBytes, key: key)
      isOver = over
    case .connections(let count, let over):
      guard hasRoom("connections", key) else { return false }
      budget = Budget(
        rate: UInt64(count), seconds: 0, burst: 0, isBytes: false, key: key, isConnections: true)
      isOver = over
    }
    trace.asked[budget, default: 0] += 1
    return hasTokens(budget) != isOver
  }

  /// As a directory's, it says nothing about the path.
  private static func number(ofGroup path: String) -> [UInt8] {
    Packet.bytes(
      path.utf8.reduce(14_695_981_039_346_656_037 as UInt64) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 })
  }

  private static func keyLength(of set: KernelSet) -> Int { set.keyType == .ipv6Address ? 16 : 4 }

  /// Without what tells the families apart.
  private static func definition(of set: KernelSet) -> String { String((set.name ?? "").dropLast(2)) }

  // MARK: Fields

  private func meta(_ key: Expression.MetaKey, _ packet: Packet) -> [UInt8]? {
    switch key {
    case .family: [packet.isV6 ? 10 : 2]
    case .transportProtocol: packet.transportProtocol.map { [$0] }
    case .inputInterfaceName: padded(packet.inputInterface)
    case .outputInterfaceName: padded(packet.outputInterface)
    case .socketUser: packet.user.map(littleEndian)
    case .socketGroup: packet.group.map(littleEndian)
    case .mark: littleEndian(packet.mark)
    case .length: littleEndian(packet.length)
    case .inputInterfaceType: Packet.bytes(packet.inputInterfaceType).reversed()
    case .packetType: [packet.packetType]
    case .hour: littleEndian(packet.hour)
    case .day: [packet.day]
    case .securityPath: [packet.cameByIPsec ? 1 : 0]
    default: nil
    }
  }

  private func padded(_ name: String) -> [UInt8] {
    Array(name.utf8) + [UInt8](repeating: 0, count: 16 - name.utf8.count)
  }

  private func header(_ base: Expression.PayloadBase, _ packet: Packet) -> [UInt8] {
    switch base {
    case .linkLayer: packet.inputInterfaceType == 1 ? packet.linkDestination + packet.linkSource : []
    case .network: networkHeader(packet)
    case .transport: packet.transport
    }
  }

  /// The fields at their offsets, with set bits beside them.
  private func networkHeader(_ packet: Packet) -> [UInt8] {
    if packet.isV6 {
      return [0x60 | packet.dscp >> 2, packet.dscp << 6 | 0x2b, 0xcd, 0xef, 0, 0, 0, packet.timeToLive]
        + packet.source + packet.destination
    }
    return [0x45, packet.dscp << 2 | 0x01, 0, 0, 0, 0] + Packet.bytes(packet.fragmentOffset ?? 0)
      + [packet.timeToLive, 0, 0, 0] + packet.source + packet.destination
  }

  private func number(_ bytes: [UInt8]) -> UInt32 { bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) } }

  private func littleEndian(_ value: UInt32) -> [UInt8] { Packet.bytes(value).reversed() }

  // MARK: Comparisons

  private func compare(_ value: [UInt8], _ comparison: Expression.Comparison, _ data: [UInt8]) -> Bool {
    switch comparison {
    case .equal: value == data
    case .notEqual: value != data
    case .less: value.lexicographicallyPrecedes(data)
    case .lessOrEqual: !data.lexicographicallyPrecedes(value)
    case .greater: data.lexicographicallyPrecedes(value)
    case .greaterOrEqual: !value.lexicographicallyPrecedes(data)
    }
  }

  private func set(_ reference: SetReference, _ rule: KernelRule) -> KernelSet? {
    switch reference {
    case .named(let name): table.sets.first { $0.name == name }
    case .anonymous(let index): rule.anonymousSets[index]
    }
  }

  private func contains(_ set: KernelSet, _ key: [UInt8]) -> Bool {
    set.elements.contains { contains(set, $0, key) }
  }

  private func contains(_ set: KernelSet, _ element: KernelSet.Element, _ key: [UInt8]) -> Bool {
    guard set.isInterval else { return element.lower == key }
    // A concatenation is a box, field by field; all else is one number.
    var widths = [key.count]
    if case .concatenation(let fields) = set.keyType { widths = fields.map(Self.width) }
    var start = 0
    return widths.allSatisfy { width in
      defer { start += width }
      let field = Array(key[start..<start + width])
      return compare(field, .greaterOrEqual, Array(element.lower[start..<start + width]))
        && compare(field, .lessOrEqual, Array(element.upper[start..<start + width]))
    }
  }

  /// Bytes of one field of a concatenation.
  private static func width(_ type: KernelSet.KeyType) -> Int {
    switch type {
    case .ipv6Address, .interfaceName: 16
    default: 4
    }
  }
}
