import Diagnostics
import PolicySyntax

/// SplitMix64 (Steele, Lea and Flood, 2014): the same values for the same seed, everywhere.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}

/// Random trees of rules and statements, every one of them legal.
struct RuleGenerator {
  var random: SeededGenerator
  private let nowhere = SourceSpan(SourceID(0), 0, 0)

  init(seed: UInt64) { random = SeededGenerator(seed: seed) }

  mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

  mutating func pick<Value>(_ values: [Value]) -> Value {
    values[Int.random(in: 0..<values.count, using: &random)]
  }

  private func at<Value>(_ value: Value) -> Spanned<Value> { Spanned(value, nowhere) }

  private mutating func list<Value>(_ element: (inout RuleGenerator) -> Value) -> [Spanned<Value>] {
    (0..<pick([1, 1, 1, 2, 3])).map { _ in at(element(&self)) }
  }

  mutating func name() -> String {
    let alphabet = Array("abcdefghijklmnopqrstuvwxyz0123456789")
    while true {
      var text = String(alphabet[Int.random(in: 0..<26, using: &random)])
      for _ in 0..<Int.random(in: 0...6, using: &random) { text.append(pick(alphabet)) }
      if chance(30) { text += "-" + String(pick(alphabet)) }
      if RuleKeyword.named(text) == nil { return text }
    }
  }

  private mutating func number(_ limit: UInt32) -> UInt32 {
    chance(20) ? pick([0, limit]) : UInt32.random(in: 0...limit, using: &random)
  }

  private mutating func range(_ limit: UInt32) -> (UInt32, UInt32) {
    let lower = number(limit)
    return chance(60) ? (lower, lower) : (lower, UInt32.random(in: lower...limit, using: &random))
  }

  // MARK: - Rules

  mutating func rule() -> RuleSyntax {
    let verdict = self.verdict()
    if case .containers = verdict { return RuleSyntax(verdict: at(verdict), clauses: [], span: nowhere) }
    var clauses = matches()
    clauses += actions()
    if verdict == .reject, chance(50) { clauses.append(.with(at(pick(RejectKindSyntax.allCases)))) }
    return RuleSyntax(verdict: at(verdict), clauses: clauses.map { at($0) }, span: nowhere)
  }

  private mutating func verdict() -> VerdictSyntax {
    switch Int.random(in: 0..<16, using: &random) {
    case 0...3: .accept
    case 4, 5: .drop
    case 6: .continue
    case 7: .return
    case 8, 9: .reject
    case 10: .jump(at(name()))
    case 11: .goto(at(name()))
    case 12: .dnat(at(target()))
    case 13: .snat(at(target()))
    case 14: chance(50) ? .redirect(nil) : .redirect(at(UInt16(number(65535))))
    default: pick([.notrack, .masquerade, .containers(at(pick(["docker", "podman", "kubernetes"])))])
    }
  }

  private mutating func target() -> TargetSyntax {
    if chance(20) { return TargetSyntax(address: .reference(name()), ports: nil) }
    let ports = range(65535)
    return TargetSyntax(
      address: .range(addressRange()),
      ports: chance(50) ? .range(UInt16(ports.0), UInt16(ports.1)) : nil)
  }

  /// Matches, at most one of a kind and polarity.
  mutating func matches(anyState: Bool = false) -> [ClauseSyntax] {
    var clauses: [ClauseSyntax] = []
    if chance(20) { clauses.append(.family(pick([.ipv4, .ipv6]))) }
    var hasPorts = false
    if chance(70) {
      let clause = protocolClause()
      if case .protocols(false, let protocols, _) = clause {
        hasPorts = protocols.allSatisfy { isPortProtocol($0.value) }
      }
      clauses.append(clause)
    }
    if chance(30) {
      clauses.append(.states(negated: chance(30), list { $0.pick(StateSyntax.allCases) }))
    } else if anyState, chance(30) {
      clauses.append(.anyState)
    }
    var sourcePorts = hasPorts && chance(30) ? portList() : nil
    for direction in [Direction.from, .to] {
      for negated in [false, true] where chance(negated ? 15 : 35) {
        let ports = direction == .from ? sourcePorts : nil
        if direction == .from { sourcePorts = nil }
        clauses.append(.endpoint(direction, negated: negated, addresses: addressList(), ports: ports))
      }
      if direction == .from, let ports = sourcePorts {
        clauses.append(.endpoint(.from, negated: false, addresses: nil, ports: ports))
      }
    }
    for negated in [false, true] {
      if chance(negated ? 10 : 25) {
        clauses.append(.interfaces(.in, negated: negated, list { $0.interface() }))
      }
      if chance(negated ? 10 : 20) {
        clauses.append(.interfaces(.out, negated: negated, list { $0.interface() }))
      }
      if chance(8) { clauses.append(.owner(.user, negated: negated, list { $0.id() })) }
      if chance(8) { clauses.append(.owner(.group, negated: negated, list { $0.id() })) }
      if chance(6) {
        clauses.append(
          .status(
            negated: negated,
            list { $0.pick(["expected", "seen-reply", "assured", "confirmed", "snat", "dnat", "dying"]) }))
      }
      if chance(6) { clauses.append(mark(.mark, negated)) }
      if chance(6) { clauses.append(mark(.connmark, negated)) }
      if chance(6) { clauses.append(tcpFlags(negated)) }
      if chance(5) { clauses.append(.ether(.from, negated: negated, list { $0.linkAddress() })) }
      if chance(5) { clauses.append(.ether(.to, negated: negated, list { $0.linkAddress() })) }
      if chance(5) { clauses.append(.numeric(.dscp, negated: negated, list { $0.numeric(63) })) }
      if chance(5) { clauses.append(.numeric(.ttl, negated: negated, list { $0.numeric(255) })) }
      if chance(5) { clauses.append(.numeric(.length, negated: negated, list { $0.numeric(65535) })) }
      if chance(5) {
        clauses.append(
          .packetType(negated: negated, list { $0.pick(["unicast", "broadcast", "multicast", "other"]) }))
      }
    }
    if chance(6) { clauses.append(.cgroup(list { $0.path() })) }
    if chance(6) {
      let start = Int.random(in: 0..<1440, using: &random)
      clauses.append(
        .hours(at(HoursSyntax(start: start, end: (start + Int.random(in: 1..<1440, using: &random)) % 1440))))
    }
    if chance(6) {
      clauses.append(
        .days(
          list { $0.pick(["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]) }))
    }
    for flag in [PacketFlag.fragment, .spoofed, .ipsec] where chance(8) {
      clauses.append(.flag(flag, negated: chance(40)))
    }
    return clauses
  }

  private func isPortProtocol(_ value: ProtocolSyntax) -> Bool {
    if case .named(let name) = value {
      ["tcp", "udp", "sctp", "dccp", "udplite"].contains(name)
    } else {
      false
    }
  }

  private mutating func protocolClause() -> ClauseSyntax {
    switch Int.random(in: 0..<10, using: &random) {
    case 0...4:
      let protocols = list { ProtocolSyntax.named($0.pick(["tcp", "udp", "sctp", "dccp", "udplite"])) }
      return .protocols(negated: false, protocols, ports: chance(80) ? portList() : nil)
    case 5, 6:
      let protocols = list { generator -> ProtocolSyntax in
        generator.chance(25)
          ? .number(UInt8(generator.number(255)))
          : .named(generator.pick(RuleKeyword.protocols.filter { $0 != "protocol" }))
      }
      return .protocols(negated: chance(40), protocols, ports: nil)
    case 7:
      return .icmp(pick([.ipv4, .ipv6]), negated: chance(30), list { $0.icmpType() })
    default:
      return .services(negated: chance(30), list { $0.name() })
    }
  }

  private mutating func icmpType() -> ICMPTypeSyntax {
    if chance(50) {
      return .named(pick(["echo-request", "redirect", "packet-too-big", "neighbour-discovery"]))
    }
    return .number(type: UInt8(number(255)), code: chance(40) ? UInt8(number(255)) : nil)
  }

  private mutating func portList() -> PortListSyntax {
    PortListSyntax(
      negated: chance(25),
      ports: list { generator in
        switch Int.random(in: 0..<4, using: &generator.random) {
        case 0: return .service(generator.pick(["ssh", "http", "x11-1", "3com", "domain"]))
        case 1: return .reference(generator.name())
        default:
          let range = generator.range(65535)
          return .range(UInt16(range.0), UInt16(range.1))
        }
      })
  }

  mutating func addressRange() -> AddressRangeSyntax {
    let family: IPFamily = pick([.ipv4, .ipv6])
    let width = family == .ipv4 ? 32 : 128
    let all = UInt128.max >> UInt128(128 - width)
    var value: UInt128
    repeat {
      value = (UInt128(random.next()) << 64 | UInt128(random.next())) & all
      // Runs of zeros, for `::`.
      if chance(60) { value &= UInt128.max << UInt128(Int.random(in: 0...width, using: &random)) }
      if chance(30) { value &= all >> UInt128(Int.random(in: 0..<width, using: &random)) }
    } while family == .ipv6 && value >> 32 == 0xffff
    switch Int.random(in: 0..<3, using: &random) {
    case 0: return AddressRangeSyntax(family: family, lower: value, upper: value, prefix: nil)
    case 1:
      let bits = Int.random(in: 0...width, using: &random)
      let host = bits == width ? 0 : all >> UInt128(bits)
      if family == .ipv6, (value & ~host) >> 32 == 0xffff {
        return AddressRangeSyntax(family: family, lower: 0, upper: all, prefix: 0)
      }
      return AddressRangeSyntax(family: family, lower: value & ~host, upper: value | host, prefix: bits)
    default:
      var upper = value + min(all - value, UInt128(random.next() >> 32) + 1)
      if family == .ipv6, upper >> 32 == 0xffff { upper = value }
      return AddressRangeSyntax(family: family, lower: value, upper: upper, prefix: nil)
    }
  }

  private mutating func address() -> AddressSyntax {
    switch Int.random(in: 0..<6, using: &random) {
    case 0: pick([.any, .local, .broadcast, .multicast])
    case 1: .reference(name())
    default: .range(addressRange())
    }
  }

  mutating func addressList() -> AddressListSyntax {
    AddressListSyntax(
      included: list { $0.address() }, excluded: chance(20) ? list { $0.address() } : [])
  }

  private mutating func interface() -> InterfaceSyntax {
    let alphabet = Array("abclo0123456789.-_@,\"\\$#é{}[]'")
    switch Int.random(in: 0..<8, using: &random) {
    case 0: return .reference(name())
    case 1: return .exact(pick(["in", "not", "tcp", "any", "0", "established", "$x"]))
    case 2, 3:
      var text = ""
      for _ in 0..<Int.random(in: 1...6, using: &random) { text.append(pick(alphabet)) }
      if text == "." { text = "x" }
      return chance(50) ? .prefix(text) : .exact(text == ".." ? "y" : text)
    default: return .exact(pick(["eth0", "lo", "wg0", "br-lan", "eth0.100"]))
    }
  }

  private mutating func id() -> IDSyntax {
    if chance(25) { return .reference(name()) }
    let range = range(4_294_967_294)
    return .range(range.0, range.1)
  }

  private mutating func path() -> String {
    let alphabet = Array("ab/.-_ ,\"\\$é*")
    var text = pick(["system.slice/x.service", "log", "a"])
    for _ in 0..<Int.random(in: 0...5, using: &random) { text.append(pick(alphabet)) }
    return text
  }

  private mutating func mark(_ kind: MarkKind, _ negated: Bool) -> ClauseSyntax {
    if chance(20) { return .mark(kind, negated: negated, value: at(.reference(name())), mask: nil) }
    let mask = number(.max)
    if chance(50) {
      return .mark(kind, negated: negated, value: at(.value(number(.max) & mask)), mask: at(mask))
    }
    return .mark(kind, negated: negated, value: at(.value(number(.max))), mask: nil)
  }

  private mutating func tcpFlags(_ negated: Bool) -> ClauseSyntax {
    let mask = list { $0.pick(["fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"]) }
    let value = chance(30) ? [at("none")] : [pick(mask)]
    return .tcpFlags(negated: negated, value: value, mask: mask)
  }

  private mutating func linkAddress() -> String {
    (0..<6).map { _ in
      let byte = String(UInt8.random(in: 0...255, using: &random), radix: 16)
      return byte.count == 1 ? "0" + byte : byte
    }.joined(separator: ":")
  }

  private mutating func numeric(_ limit: UInt32) -> NumericRangeSyntax {
    let range = range(limit)
    return NumericRangeSyntax(lower: range.0, upper: range.1)
  }

  // MARK: - Stateful clauses and actions

  private mutating func key() -> KeySyntax {
    let ipv4 = chance(50) ? UInt8(number(32)) : nil
    return KeySyntax(
      field: pick([.from, .to]), ipv4Bits: ipv4,
      ipv6Bits: ipv4 != nil && chance(50) ? UInt8(number(128)) : nil,
      span: nowhere)
  }

  private mutating func rate() -> Spanned<RateSyntax> {
    let isBytes = chance(30)
    let factor: UInt64 = isBytes ? pick([1, 1 << 10, 1 << 20, 1 << 30]) : 1
    return at(
      RateSyntax(
        amount: (UInt64(number(.max - 1)) + 1) * factor, isBytes: isBytes, unit: pick(RateUnit.allCases)))
  }

  private mutating func actions() -> [ClauseSyntax] {
    var clauses: [ClauseSyntax] = []
    if chance(10) {
      clauses.append(.connections(over: chance(50), count: at(number(.max)), per: chance(50) ? key() : nil))
    }
    if chance(15) {
      clauses.append(
        .limit(
          over: chance(50), rate: rate(), burst: chance(50) ? at(number(.max)) : nil,
          per: chance(50) ? key() : nil))
    }
    if chance(8) {
      clauses.append(
        .quota(over: chance(50), bytes: at(random.next() >> UInt64.random(in: 0..<64, using: &random))))
    }
    if chance(5) { clauses.append(.restoreMark) }
    if chance(5) { clauses.append(.saveMark) }
    if chance(5) { clauses.append(.set(.mark, value: at(.number(number(.max))))) }
    if chance(5) {
      clauses.append(.set(.connmark, value: at(chance(50) ? .reference(name()) : .number(number(.max)))))
    }
    if chance(5) { clauses.append(.set(.dscp, value: at(.number(number(63))))) }
    if chance(5) { clauses.append(.set(.mss, value: at(chance(50) ? .pathMTU : .number(number(65534) + 1)))) }
    for operation in [SetOperation.add, .update, .delete] where chance(6) {
      let timeout = chance(50) ? at(DurationSyntax(seconds: UInt64(number(9_000_000)))) : nil
      clauses.append(.update(operation, key(), set: at(name()), timeout: timeout))
    }
    if chance(20) { clauses.append(.count(name: chance(40) ? at(name()) : nil)) }
    if chance(25) { clauses.append(.log(log())) }
    return clauses
  }

  private mutating func log() -> LogSyntax {
    var log = LogSyntax()
    if chance(70) {
      let alphabet = Array("ab ,\"\\$#:é€😀{}'%")
      if chance(50) {
        log.label = at(.tag(name()))
      } else {
        var text = ""
        for _ in 0..<Int.random(in: 0...8, using: &random) { text.append(pick(alphabet)) }
        log.label = at(.text(text))
      }
    }
    if chance(30) {
      log.level = at(pick(["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug", "audit"]))
    }
    if chance(20) { log.nflog = at(UInt16(number(65535))) }
    if chance(40) { log.atMost = rate() }
    return log
  }

  // MARK: - Statements

  mutating func statement() -> StatementSyntax {
    if chance(30) { return .fact(fact()) }
    let place: PlaceSyntax =
      chance(50)
      ? .hook(pick(["input", "output", "forward", "prerouting", "postrouting", "ingress"]))
      : .pair(from: zone(), to: zone())
    let verdict = pick([StatementVerdictSyntax.accept, .drop, .reject])
    let mode = verdict == .accept && chance(40) ? pick([StatementModeSyntax.always, .sometimes, .may]) : nil
    let region = RegionSyntax(clauses: matches(anyState: true).map { at($0) }, span: nowhere)
    var assumptions: [AssumptionSyntax] = []
    for _ in 0..<pick([0, 0, 1, 2]) {
      assumptions.append(AssumptionSyntax(set: at(name()), within: chance(50) ? addressList() : nil))
    }
    return .packets(
      PacketStatementSyntax(
        place: at(place), mode: mode, verdict: at(verdict), region: region, assumptions: assumptions))
  }

  private mutating func zone() -> String { chance(30) ? pick(["host", "any"]) : name() }

  private mutating func fact() -> FactSyntax {
    func value(_ generator: inout RuleGenerator) -> FactSyntax.Comparison {
      let text = generator.pick([
        "0", "1", "32768 60999", "|/bin/false", "", "a,b", "integrity", "\"\\", "is", "drop",
      ])
      switch Int.random(in: 0..<3, using: &generator.random) {
      case 0: return .mentioned
      case 1: return .equal(generator.at(text))
      default: return .atLeast(generator.at(text))
      }
    }
    switch Int.random(in: 0..<6, using: &random) {
    case 0:
      return .sysctl(
        at(pick(["kernel.kptr_restrict", "net.ipv4.conf.*.rp_filter", "net.ipv4.conf.eth0/1.x"])),
        value(&self))
    case 1: return .kernel(at(pick(["lockdown", "init_on_alloc"])), value(&self))
    case 2: return .module(at(pick(["sctp", "usb-storage", "can*"])), denied: chance(50))
    case 3: return .syscall(at(pick(["bpf", "@obsolete"])), denied: chance(50))
    case 4:
      return .mount(
        at(pick(["/tmp", "/a b", "/x,y", "/\"q\""])), negated: chance(50),
        flags: list { $0.pick(["noexec", "nodev"]) })
    default: return .refines(at(pick(["base.cos", "../a b.cos", "any"])))
    }
  }
}
