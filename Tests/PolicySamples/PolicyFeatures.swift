package import PolicyModel

/// What of the language a policy uses, by name: so that a test sees what its random policies are made of.
package struct PolicyFeatures {
  package private(set) var counts: [String: Int] = [:]

  package init() {}

  /// Every name that can be counted.
  package static let all: [String] = {
    var names = clauses.map { "clause \($0)" }
    names += clauses.filter { !neverNegated.contains($0) }.map { "clause not \($0)" }
    names += forms.map { "form \($0)" }
    names += verdicts.map { "verdict \($0)" }
    names += actions.map { "action \($0)" }
    names += containers
    return names
  }()

  private static let clauses = [
    "protocols", "source ports", "destination ports", "icmp", "icmpv6", "services", "states", "status",
    "source addresses", "destination addresses", "in", "out", "user", "group", "mark", "connmark", "flags",
    "source mac", "destination mac", "dscp", "ttl", "length", "packet type", "hours", "days", "fragment",
    "spoofed", "ipsec", "cgroup",
  ]
  private static let neverNegated = ["hours", "days", "cgroup"]
  private static let forms = [
    "ports of several protocols", "icmp code", "service of one family", "service without ports", "named set",
    "local", "broadcast", "sets filled meanwhile", "except addresses", "except a named set", "except local",
    "except sets filled meanwhile", "interface prefix", "interface list", "mask of a mark",
    "nested exceptions", "hours over midnight", "several ranges", "one family",
  ]
  private static let verdicts =
    [
      "accept", "drop", "continue", "return", "jump", "goto", "notrack", "map of one field",
      "map of two fields",
      "map to chains", "map of marks", "masquerade", "redirect", "redirect to a port", "snat", "dnat",
      "nat prefix",
      "nat range",
      "nat ports", "dnat by port",
    ] + RejectKind.written.map { "reject \($0.rawValue)" }
  private static let actions = [
    "limit", "limit over", "limit of bytes", "limit per key", "limit per prefix", "connections over",
    "connections up to", "connections per key", "quota", "quota over", "count", "named counter", "log",
    "log level", "log audit", "log group", "log at most", "comment", "restore mark", "set connmark",
    "set dscp",
    "set mark", "set mss", "set mss of the path", "save mark", "add", "update", "delete",
    "time of an element", "element of a prefix",
  ]
  private static let containers =
    Hook.allCases.map { "chain \($0.rawValue)" } + [
      "chain nat", "chain with a name", "chain of several devices", "chain of type route", "regular chain",
      "chain of a pair of zones", "policy accept", "policy drop", "policy reject", "rule disabled",
      "set of thousands",
    ]

  private mutating func count(_ name: String) { counts[name, default: 0] += 1 }

  package mutating func count(_ policy: HostPolicy) {
    guard let firewall = policy.firewall else { return }
    for chain in firewall.baseChains {
      count("chain \(chain.hook.rawValue)")
      count("policy \(chain.policy.rawValue)")
      if chain.isNAT { count("chain nat") }
      if chain.name != nil { count("chain with a name") }
      if chain.devices.count > 1 { count("chain of several devices") }
      if firewall.reroutes(chain) { count("chain of type route") }
    }
    for chain in firewall.regularChains {
      count(chain.policy == nil ? "regular chain" : "chain of a pair of zones")
    }
    for rule in firewall.rules { count(rule) }
    if policy.addressSets.contains(where: { $0.addresses.ipv4.count > 2000 }) { count("set of thousands") }
  }

  private mutating func count(_ rule: Rule) {
    guard rule.isEnabled else { return count("rule disabled") }
    if rule.families != .both { count("form one family") }
    for match in rule.matches { count(match) }
    if let limit = rule.limit {
      count(limit.isOver ? "action limit over" : "action limit")
      if limit.rate.isBytes { count("action limit of bytes") }
      if let key = limit.key {
        count(key == AddressKey(side: key.side) ? "action limit per key" : "action limit per prefix")
      }
    }
    if let connections = rule.connections {
      count(connections.isOver ? "action connections over" : "action connections up to")
      if connections.key != nil { count("action connections per key") }
    }
    if let quota = rule.quota { count(quota.isOver ? "action quota over" : "action quota") }
    switch rule.counter {
    case nil: break
    case .anonymous: count("action count")
    case .named: count("action named counter")
    }
    if let log = rule.log {
      count("action log")
      if let level = log.level { count(level == 8 ? "action log audit" : "action log level") }
      if log.group != nil { count("action log group") }
      if log.atMost != nil { count("action log at most") }
    }
    if rule.comment != nil { count("action comment") }
    count(rule.changes)
    count(rule.verdict)
  }

  private mutating func count(_ changes: Changes) {
    if changes.restoresMark { count("action restore mark") }
    if changes.connectionMark != nil { count("action set connmark") }
    if changes.dscp != nil { count("action set dscp") }
    if changes.mark != nil { count("action set mark") }
    switch changes.segmentSize {
    case nil: break
    case .bytes: count("action set mss")
    case .pathMTU: count("action set mss of the path")
    }
    if changes.savesMark { count("action save mark") }
    for update in changes.setUpdates {
      count("action \(update.operation.rawValue)")
      if update.timeout != nil { count("action time of an element") }
      if update.key != AddressKey(side: update.key.side) { count("action element of a prefix") }
    }
  }

  private mutating func count(_ verdict: Verdict) {
    switch verdict {
    case .accept: count("verdict accept")
    case .drop: count("verdict drop")
    case .reject(let kind): count("verdict reject \(kind.rawValue)")
    case .continue: count("verdict continue")
    case .return: count("verdict return")
    case .jump: count("verdict jump")
    case .goto: count("verdict goto")
    case .notrack: count("verdict notrack")
    case .dispatch(let map):
      count(map.fields.count == 1 ? "verdict map of one field" : "verdict map of two fields")
      if map.verdicts.contains(where: { $0.target != nil }) { count("verdict map to chains") }
      if map.fields.contains(.mark) { count("verdict map of marks") }
    case .translate(let translation): count(translation)
    }
  }

  private mutating func count(_ translation: Translation) {
    switch translation {
    case .masquerade: count("verdict masquerade")
    case .redirect(let port): count(port == nil ? "verdict redirect" : "verdict redirect to a port")
    case .source(let target), .destination(let target):
      if case .source = translation { count("verdict snat") } else { count("verdict dnat") }
      if target.isPrefix { count("verdict nat prefix") }
      if !target.isPrefix, !target.addresses.isSingle { count("verdict nat range") }
      if target.ports != nil { count("verdict nat ports") }
    case .destinationByPort: count("verdict dnat by port")
    }
  }

  private mutating func count(_ match: Match) {
    func name(_ side: AddressSide, _ what: String) -> String { "\(side.rawValue) \(what)" }
    let clause: String
    var ranges = 0
    switch match.condition {
    case .protocols: clause = "protocols"
    case .ports(let side, let protocols, let ports):
      clause = "\(side.rawValue) ports"
      if protocols.count > 1 { count("form ports of several protocols") }
      ranges = ports.ranges.count
    case .icmp(let family, let types):
      clause = family.rawValue
      if types.contains(where: { $0.code != nil }) { count("form icmp code") }
    case .services(let services):
      clause = "services"
      if services.contains(where: { $0.families != .both }) { count("form service of one family") }
      if services.contains(where: { $0.ports == nil }) { count("form service without ports") }
    case .states: clause = "states"
    case .status: clause = "status"
    case .addresses(let side, let addresses):
      clause = name(side, "addresses")
      count(addresses)
      ranges = addresses.addresses.ipv4.count
    case .interfaces(let side, let patterns):
      clause = side == .input ? "in" : "out"
      if patterns.contains(where: \.isPrefix) { count("form interface prefix") }
      if patterns.count > 1 { count("form interface list") }
    case .user(let ids):
      clause = "user"
      ranges = ids.count
    case .group(let ids):
      clause = "group"
      ranges = ids.count
    case .mark(let kind, let values):
      clause = kind.rawValue
      if values.mask != .max { count("form mask of a mark") }
    case .tcpFlags: clause = "flags"
    case .linkAddresses(let side, _): clause = name(side, "mac")
    case .dscp(let values):
      clause = "dscp"
      ranges = values.count
    case .timeToLive(let values):
      clause = "ttl"
      ranges = values.count
    case .length(let values):
      clause = "length"
      ranges = values.count
    case .packetTypes: clause = "packet type"
    case .hours(let hours):
      clause = "hours"
      if hours.ranges.count > 1 { count("form hours over midnight") }
    case .days: clause = "days"
    case .fragment: clause = "fragment"
    case .spoofed: clause = "spoofed"
    case .ipsec: clause = "ipsec"
    case .controlGroups: clause = "cgroup"
    }
    if ranges > 1 { count("form several ranges") }
    count(match.isNegated ? "clause not \(clause)" : "clause \(clause)")
  }

  private mutating func count(_ addresses: AddressMatch) {
    if addresses.tree != nil { return count("form nested exceptions") }
    if addresses.name != nil { count("form named set") }
    for special in addresses.specials { count("form \(special.rawValue)") }
    if !addresses.sets.isEmpty { count("form sets filled meanwhile") }
    guard let exception = addresses.exception else { return }
    if exception.name != nil {
      count("form except a named set")
    } else if !exception.addresses.isEmpty {
      count("form except addresses")
    }
    if exception.specials.contains(.local) { count("form except local") }
    if !exception.sets.isEmpty { count("form except sets filled meanwhile") }
  }

  /// The names and how often each was met, in columns; the rarest first.
  package var table: String {
    let rows = Self.all.map { ($0, counts[$0] ?? 0) }.sorted { ($0.1, $0.0) < ($1.1, $1.0) }
      .map { name, count in
        String(repeating: " ", count: max(0, 6 - "\(count)".count)) + "\(count) "
          + name + String(repeating: " ", count: max(1, 34 - name.count))
      }
    return stride(from: 0, to: rows.count, by: 3).map { start in
      rows[start..<min(start + 3, rows.count)].joined().trimmedEnd
    }.joined(separator: "\n")
  }

  package mutating func merge(_ other: PolicyFeatures) { counts.merge(other.counts, uniquingKeysWith: +) }
}

extension String {
  fileprivate var trimmedEnd: String {
    var text = self[...]
    while text.last == " " { text.removeLast() }
    return String(text)
  }
}
