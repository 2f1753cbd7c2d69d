import PolicyModel
import PolicySamples
import Ruleset
import Testing

/// Random rules and packets: what the kernel program does is what the language says.
struct LoweringMeaningTests {
  private static let hooks: [Hook] = [.prerouting, .input, .forward, .output, .postrouting]

  @Test(arguments: 1...6 as ClosedRange<UInt64>)
  func programsMeanTheRule(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed &* 7919)
    var rules = RandomPolicy(seed: seed)
    var met = 0
    for index in 0..<170 {
      let hook = random.pick(Self.hooks)
      let rule = rules.rule(hook: hook, name: "r\(index)")
      let policy = random.pick(
        [ChainPolicy.accept, .drop, .reject].filter { $0 != .reject || hook == .input })
      // Without the closing rule: its effects would stand among the rule's.
      var chain = Samples.chain(hook, policy: policy, [rule])
      chain.rules = [rule]
      let ruleset = Lowering.lower(RandomPolicy.policy([chain]), digest: [])
      let table = try #require(ruleset.tables.first)
      for _ in 0..<100 {
        let packet = Packet(&random)
        let empty = random.next()
        // The same numbers give the same answer, whoever asks.
        let kernel = Kernel(choices: empty)
        let trace = KernelMachine(table: table, hasTokens: kernel.hasTokens, hasRoom: kernel.hasRoom).run(
          chain: table.chains[0].name, packet)
        let expected = Self.expected(rule, packet, policy: policy, kernel: kernel)
        if Meaning.holds(rule, packet) { met += 1 }
        guard
          Self.isSame(trace.outcome, expected.outcome, packet), trace.asked == expected.asked,
          Set(trace.effects) == Set(expected.effects), trace.effects.count == expected.effects.count,
          Self.left(trace.packet) == Self.left(expected.packet), trace.packet.sets == expected.packet.sets
        else {
          Issue.record("\(rule.matches)\n\(packet)\nkernel: \(trace)\nlanguage: \(expected)\n\(table.chains)")
          return
        }
      }
    }
    // Not vacuous: a good share of the packets met their rule.
    #expect(met > 1000)
  }

  /// The same for whole chains with `jump`, `goto` and `return`, in chains that lead to each other.
  @Test(arguments: 1...6 as ClosedRange<UInt64>)
  func programsMeanTheChains(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed &* 104_729)
    var source = RandomPolicy(seed: seed &+ 500)
    var decided = 0
    var entered = 0
    var dispatched = 0
    for _ in 0..<60 {
      let hook = random.pick(Self.hooks)
      let closed = random.pick(
        [ChainPolicy.accept, .drop, .reject].filter { $0 != .reject || hook == .input })
      let regular = source.chains(hook: hook)
      let isNAT = hook != .forward && random.chance(35)
      let policy = isNAT ? .accept : closed
      let rules = (0..<6).map { index in
        isNAT
          ? source.natRule(hook: hook, name: "r\(index)")
          : source.rule(hook: hook, name: "r\(index)", targets: regular.map(\.name))
      }
      var chain = Samples.chain(hook, policy: policy, rules)
      chain.rules = rules
      chain.isNAT = isNAT
      if isNAT { chain.priority = hook == .prerouting || hook == .output ? -105 : 95 }
      let ruleset = Lowering.lower(RandomPolicy.policy([chain], regular: regular), digest: [])
      let table = try #require(ruleset.tables.first)
      for _ in 0..<60 {
        let packet = Packet(&random)
        let empty = random.next()
        let kernel = Kernel(choices: empty)
        let trace = KernelMachine(table: table, hasTokens: kernel.hasTokens, hasRoom: kernel.hasRoom).run(
          chain: table.chains[0].name, packet)
        var expected = Expected(packet: packet)
        _ = Self.run(rules, policy: policy, in: regular, kernel: kernel, &expected)
        if expected.outcome != nil { decided += 1 }
        entered += expected.entered
        dispatched += expected.dispatched
        guard
          Self.isSame(trace.outcome, expected.outcome, packet), trace.asked == expected.asked,
          Set(trace.effects) == Set(expected.effects), trace.effects.count == expected.effects.count,
          Self.left(trace.packet) == Self.left(expected.packet), trace.packet.sets == expected.packet.sets
        else {
          Issue.record("\(rules)\n\(regular)\n\(packet)\nkernel: \(trace)\nlanguage: \(expected)")
          return
        }
      }
    }
    #expect(
      decided > 500 && entered > 200 && dispatched > 100,
      "\(decided) decided, \(entered) chains entered, \(dispatched) looked up")
  }

  /// What the state of the kernel decides, the same way for whoever asks.
  private struct Kernel {
    var choices: UInt64

    func hasTokens(_ budget: KernelMachine.Budget) -> Bool {
      let key = budget.key.reduce(UInt64(0)) { $0 &* 131 &+ UInt64($1) }
      return
        (choices ^ budget.rate &* 31 ^ UInt64(budget.burst) &* 17 ^ budget.seconds ^ key &* 7
        ^ (budget.isConnections ? 5 : 0)) % 7 < 4
    }

    func hasRoom(_ set: String, _ key: [UInt8]) -> Bool {
      let sum = (Array(set.utf8) + key).reduce(UInt64(11)) { $0 &* 131 &+ UInt64($1) }
      return (choices ^ sum) % 5 < 4
    }
  }

  private enum End {
    case decided
    case returned
  }

  /// One chain; `policy` is nil in a regular one.
  private static func run(
    _ rules: [Rule], policy: ChainPolicy?, in chains: [RegularChain],
    kernel: Kernel, _ expected: inout Expected
  ) -> End {
    func ofPolicy(_ expected: inout Expected) -> End {
      guard let policy else { return .returned }
      expected.outcome = policy == .accept ? .accept : policy == .drop ? .drop : .reject(.automatic)
      return .decided
    }
    for rule in rules {
      let packet = expected.packet
      guard act(rule, kernel: kernel, &expected) else { continue }
      var verdict = rule.verdict
      if case .dispatch(let map) = verdict {
        guard let found = Meaning.verdict(of: map, packet) else { continue }
        expected.dispatched += 1
        verdict = found
      }
      switch verdict {
      case .continue, .dispatch: continue
      case .notrack: expected.packet.untrack()
      case .accept, .drop, .reject, .translate:
        expected.outcome = verdict
        return .decided
      case .return: return ofPolicy(&expected)
      case .jump(let name), .goto(let name):
        expected.entered += 1
        let target = chains.first { $0.name == name }
        let end = run(
          target?.rules ?? [], policy: target?.policy, in: chains, kernel: kernel, &expected)
        if end == .decided { return .decided }
        if case .goto = verdict { return ofPolicy(&expected) }
      }
    }
    return .returned
  }

  private struct Expected {
    var effects: [KernelMachine.Effect] = []
    var asked: [KernelMachine.Budget: Int] = [:]
    var outcome: Verdict?
    /// As the rules so far have left it.
    var packet: Packet
    /// Regular chains entered.
    var entered = 0
    /// Look-ups in verdict maps.
    var dispatched = 0
  }

  /// What a rule may change.
  private static func left(_ packet: Packet) -> [UInt32?] {
    [
      packet.mark, packet.connectionMark, UInt32(packet.dscp), packet.segmentSize.map { UInt32($0) },
      packet.state.rawValue,
    ]
  }

  private static func budget(_ rate: Rate, burst: UInt32) -> KernelMachine.Budget {
    KernelMachine.Budget(rate: rate.amount, seconds: rate.seconds, burst: burst, isBytes: rate.isBytes)
  }

  private static func expected(
    _ rule: Rule, _ packet: Packet, policy: ChainPolicy, kernel: Kernel
  ) -> Expected {
    var expected = Expected(packet: packet)
    _ = run([rule], policy: policy, in: [], kernel: kernel, &expected)
    return expected
  }

  /// LANGUAGE.md §4.1: matches, connections, limit, quota, changes, count, log. Whether the verdict is then reached.
  private static func act(
    _ rule: Rule, kernel: Kernel, _ expected: inout Expected
  ) -> Bool {
    let packet = expected.packet
    guard Meaning.holds(rule, packet) else { return false }
    func asks(_ budget: KernelMachine.Budget, isOver: Bool) -> Bool {
      expected.asked[budget, default: 0] += 1
      return kernel.hasTokens(budget) != isOver
    }
    if let limiter = rule.connections {
      // Of a full set new keys are none, whatever is asked.
      let key = limiter.key.map { bytes(of: $0, packet) } ?? [0, 0, 0, 0]
      guard kernel.hasRoom("connections", key) else { return false }
      let budget = KernelMachine.Budget(
        rate: UInt64(limiter.count), seconds: 0, burst: 0, isBytes: false, key: key, isConnections: true)
      guard asks(budget, isOver: limiter.isOver) else { return false }
    }
    if let limit = rule.limit {
      var budget = budget(limit.rate, burst: limit.burst)
      if let key = limit.key {
        budget.key = bytes(of: key, packet)
        guard kernel.hasRoom("limit", budget.key) else { return false }
      }
      guard asks(budget, isOver: limit.isOver) else { return false }
    }
    if let quota = rule.quota {
      let budget = KernelMachine.Budget(rate: quota.bytes, seconds: 0, burst: 0, isBytes: true)
      guard asks(budget, isOver: quota.isOver) else { return false }
    }
    let changes = rule.changes
    if changes.restoresMark, let mark = packet.connectionMark { expected.packet.mark = mark }
    if let mark = changes.connectionMark, packet.connectionMark != nil {
      expected.packet.connectionMark = mark
    }
    if let code = changes.dscp { expected.packet.dscp = code }
    if let mark = changes.mark { expected.packet.mark = mark }
    if let size = packet.segmentSize {
      switch changes.segmentSize {
      case nil: break
      case .pathMTU: expected.packet.segmentSize = min(size, Packet.pathSegmentSize)
      case .bytes(let bytes): expected.packet.segmentSize = min(size, bytes)
      }
    }
    if changes.savesMark, packet.connectionMark != nil {
      expected.packet.connectionMark = expected.packet.mark
    }
    for update in changes.setUpdates {
      let address = RandomPolicy.key(
        of: update.key.side == .source ? packet.source : packet.destination, in: update.set)
      let operation: Expression.SetOperation
      switch update.operation {
      case .delete:
        operation = .delete
        expected.packet.sets[update.set]?.remove(address)
      case .add, .update:
        operation = update.operation == .add ? .add : .update
        let isThere = expected.packet.sets[update.set]?.contains(address) ?? false
        guard isThere || kernel.hasRoom(update.set, address) else { continue }
        expected.packet.sets[update.set]?.insert(address)
      }
      expected.effects.append(
        .write(operation, set: update.set, key: address, timeout: update.timeout.map { $0 * 1000 }))
    }
    switch rule.counter {
    case .anonymous?: expected.effects.append(.count(nil))
    // `limit` is a keyword of nft: ten characters of base32 of its SHA-256 stand for it.
    case .named(let name)?: expected.effects.append(.count(name == "limit" ? "x_kxvatzlrlu" : name))
    case nil: break
    }
    if let log = rule.log {
      let mayLog = log.atMost.map { asks(budget($0, burst: $0.isBytes ? 0 : 5), isOver: false) } ?? true
      if mayLog {
        expected.effects.append(
          .log(prefix: log.prefix, level: log.level.map(UInt32.init), group: log.group))
      }
    }
    return true
  }

  /// The leading bits of an address, the others 0.
  private static func bytes(of key: AddressKey, _ packet: Packet) -> [UInt8] {
    let address = key.side == .source ? packet.source : packet.destination
    let bits = Int(packet.isV6 ? key.ipv6Bits : key.ipv4Bits)
    return address.indices.map { index in
      (0..<8).reduce(0) { index * 8 + $1 < bits ? $0 | address[index] & (0x80 >> UInt8($1)) : $0 }
    }
  }

  private static func isSame(_ outcome: KernelMachine.Outcome?, _ verdict: Verdict?, _ packet: Packet) -> Bool
  {
    switch (outcome, verdict) {
    case (nil, nil), (.accept?, .accept?), (.drop?, .drop?): true
    case (.reject(let type, let code)?, .reject(let kind)?): answer(type, code, packet) == answer(kind)
    case (.translate(let isSource, let values, let flags)?, .translate(let translation)?):
      translated(translation, packet) == Translated(isSource: isSource, values: values, flags: flags)
    default: false
    }
  }

  private struct Translated: Equatable {
    var isSource: Bool?
    var values: [[UInt8]]
    /// NF_NAT_RANGE_* of linux/netfilter/nf_nat.h.
    var flags: UInt32
  }

  private static func translated(_ translation: Translation, _ packet: Packet) -> Translated? {
    func bytes(_ port: UInt16) -> [UInt8] { [UInt8(port >> 8), UInt8(port & 255)] }
    func bytes(_ addresses: NATAddresses) -> [[UInt8]] {
      switch addresses {
      case .ipv4(let range): [range.lower, range.upper].map(Packet.bytes)
      case .ipv6(let range):
        [range.lower, range.upper].map { value in
          (0..<16).map { UInt8(truncatingIfNeeded: value >> UInt128(8 * (15 - $0))) }
        }
      }
    }
    func target(_ target: NATTarget, isSource: Bool) -> Translated {
      let ports = target.ports.map { [bytes($0.lower), bytes($0.upper)] } ?? []
      return Translated(
        isSource: isSource, values: bytes(target.addresses) + ports,
        flags: 1 | (ports.isEmpty ? 0 : 2) | (target.isPrefix ? 0x40 : 0))
    }
    switch translation {
    case .masquerade: return Translated(isSource: nil, values: [], flags: 0)
    case .redirect(let port):
      return Translated(
        isSource: nil, values: port.map { [bytes($0), bytes($0)] } ?? [], flags: port == nil ? 0 : 2)
    case .source(let wanted): return target(wanted, isSource: true)
    case .destination(let wanted): return target(wanted, isSource: false)
    case .destinationByPort(let targets):
      guard packet.transport.count >= 4,
        let wanted = targets.first(where: { bytes($0.port) == Array(packet.transport[2..<4]) })
      else { return nil }
      let port = bytes(wanted.targetPort)
      return Translated(isSource: false, values: bytes(wanted.address) + [port, port], flags: 3)
    }
  }

  /// What the sender is told.
  private static func answer(_ type: UInt32, _ code: UInt8?, _ packet: Packet) -> String {
    switch (type, code) {
    case (1, nil): "reset"
    case (0, 3?) where !packet.isV6, (0, 4?) where packet.isV6, (2, 1?): "port"
    case (2, 0?): "route"
    case (2, 2?): "host"
    case (2, 3?): "prohibited"
    default: "wrong: type \(type) code \(String(describing: code))"
    }
  }

  private static func answer(_ kind: RejectKind) -> String {
    switch kind {
    case .automatic, .portUnreachable: "port"
    case .tcpReset: "reset"
    case .hostUnreachable: "host"
    case .adminProhibited: "prohibited"
    case .noRoute: "route"
    // No policy says these.
    case .protocolUnreachable, .networkProhibited, .hostProhibited, .policyFail, .rejectRoute: "other"
    }
  }

  /// A rule with a limit has one bucket, however many kernel rules it becomes.
  @Test func oneBucketEach() throws {
    var rules = RandomPolicy(seed: 99)
    var random = SeededGenerator(seed: 99)
    var split = 0
    for index in 0..<400 {
      let hook = random.pick(Self.hooks)
      let rule = rules.rule(hook: hook, name: "r\(index)")
      var chain = Samples.chain(hook, policy: .accept, [rule])
      chain.rules = [rule]
      let ruleset = Lowering.lower(RandomPolicy.policy([chain]), digest: [])
      let statements = try #require(ruleset.tables.first).chains.flatMap(\.rules).flatMap(\.statements)
      guard !statements.isEmpty else { continue }
      if statements.contains(where: { if case .verdict(.jump) = $0 { true } else { false } }) { split += 1 }
      let limits = statements.count { if case .limit = $0 { true } else { false } }
      let quotas = statements.count { if case .quota = $0 { true } else { false } }
      let hasBucket = rule.limit.map { $0.key == nil } ?? false
      #expect(limits == (hasBucket ? 1 : 0) + (rule.log?.atMost == nil ? 0 : 1), "\(rule)")
      #expect(quotas == (rule.quota == nil ? 0 : 1), "\(rule)")
    }
    #expect(split > 60)
  }
}
