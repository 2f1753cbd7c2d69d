package import Diagnostics

/// The packet filter: base chains in the order of their hooks, each closed visibly, and regular chains.
package struct Firewall: Sendable {
  package var baseChains: [BaseChain]
  /// Sorted by name; each `jump` and `goto` names one of them, and none leads back to itself.
  package var regularChains: [RegularChain]
  package var span: SourceSpan

  package init(baseChains: [BaseChain], regularChains: [RegularChain] = [], span: SourceSpan) {
    self.baseChains = baseChains
    self.regularChains = regularChains
    self.span = span
  }

  /// Whether rules of a chain, or of one that it leads to, change what an own packet is routed by: the kernel
  /// then asks the routing table again behind the chain, which must be of type `route` (LANGUAGE.md §4.11).
  package func reroutes(_ chain: BaseChain) -> Bool {
    guard chain.hook == .output, !chain.isNAT else { return false }
    var seen: Set<String> = []
    var waiting = [chain.rules]
    while let rules = waiting.popLast() {
      for rule in rules where rule.isEnabled {
        if rule.changes.countInRouting { return true }
        for target in rule.verdict.targets where seen.insert(target).inserted {
          waiting += regularChains.filter { $0.name == target }.map(\.rules)
        }
      }
    }
    return false
  }

  /// All rules, in the order of all outputs.
  package var rules: [Rule] { baseChains.flatMap(\.rules) + regularChains.flatMap(\.rules) }

  package var ruleCount: Int {
    baseChains.reduce(0) { $0 + $1.rules.count } + regularChains.reduce(0) { $0 + $1.rules.count }
  }

  /// The same one by one: a list of thousands is not copied for one question about each.
  package func forEachRule(_ body: (Rule) -> Void) {
    _ = containsRule { rule in
      body(rule)
      return false
    }
  }

  package func containsRule(where holds: (Rule) -> Bool) -> Bool {
    baseChains.contains { Self.contains($0.rules, holds) }
      || regularChains.contains { Self.contains($0.rules, holds) }
  }

  /// Lends the rules out: an iterator would count a reference to each, which takes longer than most questions.
  private static func contains(_ rules: [Rule], _ holds: (Rule) -> Bool) -> Bool {
    let rules = rules.span
    for index in rules.indices where holds(rules[index]) { return true }
    return false
  }

  package var firstRule: Rule? {
    baseChains.lazy.compactMap(\.rules.first).first ?? regularChains.lazy.compactMap(\.rules.first).first
  }
}

/// A place in the kernel's packet path. The order of cases is the order of all outputs.
package enum Hook: String, Sendable, CaseIterable {
  case ingress
  case prerouting
  case input
  case forward
  case output
  case postrouting
}

package enum ChainPolicy: String, Sendable, CaseIterable {
  case accept
  case drop
  case reject
}

package struct BaseChain: Sendable {
  /// Its name below `chains`; nil for the chain that is named by its hook.
  package var name: String?
  package var hook: Hook
  /// Of the kernel's type nat: it translates, and sees the packets that open a connection only.
  package var isNAT: Bool
  /// Netfilter priority, signed; lower runs first.
  package var priority: Int32
  package var policy: ChainPolicy
  /// Whose packets it sees; a policy's chains see both.
  package var families = Families.both
  /// Of an ingress chain: the devices whose packets it sees, sorted; none elsewhere.
  package var devices: [String]
  package var rules: [Rule]
  package var span: SourceSpan

  package init(
    name: String? = nil, hook: Hook, isNAT: Bool = false, priority: Int32, policy: ChainPolicy,
    devices: [String] = [], rules: [Rule], span: SourceSpan
  ) {
    self.name = name
    self.hook = hook
    self.isNAT = isNAT
    self.priority = priority
    self.policy = policy
    self.devices = devices
    self.rules = rules
    self.span = span
  }

  /// The place of its rules' ids.
  package var place: String { isNAT ? "nat.\(hook.rawValue)" : name ?? hook.rawValue }

  /// The id of the rule that leads a device's packets to this chain; no written name begins with `_`.
  package func deviceRuleID(_ device: String) -> String { "\(place)/_\(device)" }
}

/// A chain that rules jump to. Its name is the place of its rules' ids.
package struct RegularChain: Sendable {
  package var name: String
  /// Of a pair of zones, which decides every packet that comes to it: what happens to the rest, which its last
  /// rule says too. Nil: the rest goes back to the caller.
  package var policy: ChainPolicy?
  package var rules: [Rule]
  package var span: SourceSpan

  package init(name: String, rules: [Rule], span: SourceSpan) {
    self.name = name
    self.rules = rules
    self.span = span
  }
}

/// A set of IP families.
package struct Families: OptionSet, Sendable, Hashable {
  package let rawValue: UInt8

  package init(rawValue: UInt8) { self.rawValue = rawValue }

  package static let ipv4 = Families(rawValue: 1)
  package static let ipv6 = Families(rawValue: 2)
  package static let both: Families = [.ipv4, .ipv6]
}

package enum Verdict: Sendable, Equatable {
  case accept
  case drop
  case reject(RejectKind)
  case `continue`
  /// Goes on behind the `jump` that led here; in a base chain the chain's policy (LANGUAGE.md §4.12).
  case `return`
  /// Into a regular chain, and on with the next rule when that ends.
  case jump(String)
  /// Into a regular chain, whose end is the end of this one.
  case goto(String)
  /// A verdict by a look-up. Such a rule has no matches and no actions.
  indirect case dispatch(VerdictMap)
  indirect case translate(Translation)
  /// Takes the packet out of connection tracking; the next rule follows.
  case notrack

  /// The regular chain it leads to.
  package var target: String? {
    switch self {
    case .jump(let name), .goto(let name): name
    default: nil
    }
  }

  /// The regular chains it may lead to; several only from a map.
  package var targets: [String] {
    if case .dispatch(let map) = self { map.verdicts.compactMap(\.target) } else { target.map { [$0] } ?? [] }
  }
}

/// What a rule changes about a packet, its connection and sets of addresses, in this order (LANGUAGE.md §4.1).
package struct Changes: Sendable, Equatable {
  package enum SegmentSize: Sendable, Equatable {
    /// What the path lets through, as far as the routing table knows it.
    case pathMTU
    case bytes(UInt16)
  }

  /// `restore mark`: the packet takes its connection's mark.
  package var restoresMark = false
  package var connectionMark: UInt32?
  /// The bits that it sets; the others stay. A policy's marks set all.
  package var connectionMarkMask: UInt32 = .max
  /// 0–63.
  package var dscp: UInt8?
  package var mark: UInt32?
  /// As of the connection's.
  package var markMask: UInt32 = .max
  /// The largest segment that a SYN offers; it is never raised.
  package var segmentSize: SegmentSize?
  /// `save mark`: the connection takes the packet's mark.
  package var savesMark = false
  /// `add`, `update`, `delete`: at most one of each, in this order.
  package var setUpdates: [SetUpdate] = []

  package init() {}

  package var isEmpty: Bool {
    !restoresMark && connectionMark == nil && dscp == nil && mark == nil && segmentSize == nil && !savesMark
      && setUpdates.isEmpty
  }

  /// Whether the routing table may answer otherwise afterwards.
  package var countInRouting: Bool { restoresMark || mark != nil || dscp != nil }
}

/// `automatic` is what a bare `reject` sends: port-unreachable of the packet's family.
package enum RejectKind: String, Sendable, CaseIterable {
  case automatic
  case tcpReset = "tcp-reset"
  case portUnreachable = "port-unreachable"
  case hostUnreachable = "host-unreachable"
  case adminProhibited = "admin-prohibited"
  case noRoute = "no-route"
  // In a kernel's rules only.
  case protocolUnreachable = "protocol-unreachable"
  case networkProhibited = "net-prohibited"
  case hostProhibited = "host-prohibited"
  case policyFail = "policy-fail"
  case rejectRoute = "reject-route"

  /// Those that the language has words for.
  package static let written: [RejectKind] = [
    .automatic, .tcpReset, .portUnreachable, .hostUnreachable, .adminProhibited, .noRoute,
  ]
}

/// `limit [over] N/UNIT [burst M] [per KEY]`, a token bucket, or one for each key.
package struct Limit: Sendable, Equatable {
  /// True: holds for what exceeds the rate.
  package var isOver: Bool
  package var rate: Rate
  /// Packets, or bytes for a byte rate.
  package var burst: UInt32
  /// Nil: one bucket for all packets.
  package var key: AddressKey?
  /// The bucket, where several rules take from one: an object of a kernel's table. The language has none.
  package var shared: String?

  package init(isOver: Bool, rate: Rate, burst: UInt32, key: AddressKey? = nil) {
    self.isOver = isOver
    self.rate = rate
    self.burst = burst
    self.key = key
  }

  /// How long a bucket of a key is kept after its last packet, in seconds: until it would be full again, and a
  /// minute at least.
  package var keptFor: UInt64 {
    // A bucket of bytes holds those of one unit besides (nft_limit_init).
    let full = rate.isBytes ? rate.amount.addingReportingOverflow(UInt64(burst)).partialValue : UInt64(burst)
    let (product, overflow) = full.multipliedReportingOverflow(by: rate.seconds)
    let refill = overflow ? .max : product / rate.amount + (product % rate.amount == 0 ? 0 : 1)
    return min(max(refill, 60), DynamicSet.longestTimeout)
  }
}

/// `connections over N`, `connections up to N`, of all or of each key.
package struct ConnectionLimit: Sendable, Equatable {
  /// True: holds for a packet of one more connection than `count`.
  package var isOver: Bool
  package var count: UInt32
  /// Nil: all connections of the rule's packets together.
  package var key: AddressKey?

  package init(isOver: Bool, count: UInt32, key: AddressKey? = nil) {
    self.isOver = isOver
    self.count = count
    self.key = key
  }
}

/// A packet's address, or the prefix it is in.
package struct AddressKey: Sendable, Equatable {
  package var side: AddressSide
  /// Leading bits that count: 0–32 and 0–128.
  package var ipv4Bits: UInt8
  package var ipv6Bits: UInt8

  package init(side: AddressSide, ipv4Bits: UInt8 = 32, ipv6Bits: UInt8 = 128) {
    self.side = side
    self.ipv4Bits = ipv4Bits
    self.ipv6Bits = ipv6Bits
  }
}

/// What a rule does to a dynamic set with an address of its packet.
package struct SetUpdate: Sendable, Equatable {
  package enum Operation: String, Sendable {
    /// Nothing if the address is there.
    case add
    /// Like `add`, and the time of one that is there begins again.
    case update
    case delete
  }

  package var operation: Operation
  /// The bits that count are those of the set.
  package var key: AddressKey
  /// A dynamic set's.
  package var set: String
  /// Seconds; nil: as the set says.
  package var timeout: UInt64?

  package init(operation: Operation, key: AddressKey, set: String, timeout: UInt64? = nil) {
    self.operation = operation
    self.key = key
    self.set = set
    self.timeout = timeout
  }
}

package struct Rate: Sendable, Equatable {
  /// Packets, or bytes.
  package var amount: UInt64
  package var isBytes: Bool
  /// 1, 60, 3600 or 86400.
  package var seconds: UInt64

  package init(amount: UInt64, isBytes: Bool, seconds: UInt64) {
    self.amount = amount
    self.isBytes = isBytes
    self.seconds = seconds
  }
}

package struct Quota: Sendable, Equatable {
  package var isOver: Bool
  package var bytes: UInt64
  /// What counts, where several rules count together: an object of a kernel's table. The language has none.
  package var shared: String?

  package init(isOver: Bool, bytes: UInt64) {
    self.isOver = isOver
    self.bytes = bytes
  }
}

package enum Counter: Sendable, Equatable {
  case anonymous
  case named(String)
}

package struct Log: Sendable, Equatable {
  /// What is printed before the packet, at most 127 bytes.
  package var prefix: String
  /// 0 emerg … 7 debug, 8 audit, which has no prefix; nil: the kernel's default, 4 (warning). Not with `group`.
  package var level: UInt8?
  /// nflog group.
  package var group: UInt16?
  /// The log's own rate; the verdict does not depend on it.
  package var atMost: Rate?

  package init(prefix: String, level: UInt8? = nil, group: UInt16? = nil, atMost: Rate? = nil) {
    self.prefix = prefix
    self.level = level
    self.group = group
    self.atMost = atMost
  }
}
