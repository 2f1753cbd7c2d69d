internal import CanonicalJSON
internal import PolicyModel
internal import Ruleset

extension CanonicalPolicy {
  static func chain(
    _ chain: BaseChain, reroutes: Bool, _ sets: inout CanonicalSets, to json: inout JSONStream
  ) {
    json.member("devices", ifPresent: chain.devices.isEmpty ? nil : JSONValue(chain.devices))
    json.member("hook", chain.hook.rawValue)
    json.member(
      "id",
      KernelName.baseChain(hook: chain.hook, isNAT: chain.isNAT, priority: chain.priority, reroutes: reroutes)
    )
    json.member("name", ifPresent: chain.name)
    json.member("policy", chain.policy.rawValue)
    json.member("priority", JSONValue(chain.priority))
    rules(chain.rules, &sets, to: &json)
    json.member("type", chain.isNAT ? "nat" : reroutes ? "route" : "filter")
  }

  /// Nothing where there are none.
  static func regularChains(
    _ chains: [RegularChain], _ sets: inout CanonicalSets, to json: inout JSONStream
  ) {
    guard !chains.isEmpty else { return }
    json.list("regular-chains") { json in
      for chain in chains {
        json.element { json in
          json.member("id", KernelName.chain(chain.name))
          json.member("name", chain.name)
          json.member("policy", ifPresent: chain.policy?.rawValue)
          rules(chain.rules, &sets, to: &json)
        }
      }
    }
  }

  private static func rules(_ rules: [Rule], _ sets: inout CanonicalSets, to json: inout JSONStream) {
    json.longList("rules") { json in
      for rule in rules { json.element { self.rule(rule, &sets, to: &$0) } }
    }
  }

  static func rule(_ rule: Rule, _ sets: inout CanonicalSets, to json: inout JSONStream) {
    let (origin, item): (String, String?) =
      switch rule.origin {
      case .written: ("written", nil)
      case .closing: ("closing", nil)
      case .expanded(let item): ("expanded", item)
      }
    json.member("because", ifPresent: rule.because)
    json.member("comment", ifPresent: rule.comment)
    json.member("connections", ifPresent: rule.connections.map(connections))
    json.member("controls", texts: sorted(rule.controls))
    json.member("count", ifPresent: rule.counter.map(counter))
    json.member("enabled", .bool(rule.isEnabled))
    json.member("expanded-from", ifPresent: item)
    families(rule.families, to: &json)
    json.member("id", rule.id)
    json.member("limit", ifPresent: rule.limit.map(limit))
    json.member("log", ifPresent: rule.log.map(log))
    matches(rule.matches, &sets, to: &json)
    json.member("name", ifPresent: rule.name)
    json.member("origin", origin)
    json.member("owner", ifPresent: rule.owner)
    json.member(
      "quota", ifPresent: rule.quota.map { ["bytes": JSONValue($0.bytes), "over": .bool($0.isOver)] })
    let changes = rule.changes
    json.member("restore-mark", ifPresent: changes.restoresMark ? true : nil)
    json.member("save-mark", ifPresent: changes.savesMark ? true : nil)
    if !changes.isEmpty {
      json.member("set", ifPresent: self.changes(changes))
      if !changes.setUpdates.isEmpty {
        json.member("set-updates", .array(changes.setUpdates.map(setUpdate)))
      }
    }
    json.member("text", rule.text)
    json.member("until", ifPresent: rule.until)
    verdict(rule.verdict, &sets, to: &json)
  }

  private static func verdict(
    _ verdict: Verdict, _ sets: inout CanonicalSets, to json: inout JSONStream
  ) {
    switch verdict {
    case .accept: json.member("verdict", "accept")
    case .drop: json.member("verdict", "drop")
    case .reject(let kind):
      json.member("reject-with", kind.rawValue)
      json.member("verdict", "reject")
    case .continue: json.member("verdict", "continue")
    case .return: json.member("verdict", "return")
    case .jump(let chain):
      json.member("chain", chain)
      json.member("verdict", "jump")
    case .goto(let chain):
      json.member("chain", chain)
      json.member("verdict", "goto")
    case .dispatch(let map):
      json.object("dispatch") { dispatch(map, &sets, to: &$0) }
      json.member("verdict", "dispatch")
    case .translate(let translation): self.translation(translation, to: &json)
    case .notrack: json.member("verdict", "notrack")
    }
  }

  private static func translation(_ translation: Translation, to json: inout JSONStream) {
    switch translation {
    case .masquerade: json.member("verdict", "masquerade")
    case .redirect(let port):
      json.member("port", ifPresent: port.map { JSONValue($0) })
      json.member("verdict", "redirect")
    case .source(let target):
      json.member("target", self.target(target))
      json.member("verdict", "snat")
    case .destination(let target):
      json.member("target", self.target(target))
      json.member("verdict", "dnat")
    case .destinationByPort(let targets):
      json.list("targets") { json in
        for target in targets {
          json.element { json in
            json.member("address", JSONValue(Netset(target.address.set).prefixes))
            json.member("port", JSONValue(target.port))
            json.member("target-port", JSONValue(target.targetPort))
          }
        }
      }
      json.member("verdict", "dnat")
    }
  }

  private static func target(_ target: NATTarget) -> JSONValue {
    .object(present: [
      ("addresses", JSONValue(Netset(target.addresses.set).prefixes)),
      ("keeps-host-bits", .bool(target.isPrefix)),
      ("ports", target.ports.map { ranges([$0]) }),
    ])
  }

  private static func dispatch(_ map: VerdictMap, _ sets: inout CanonicalSets, to json: inout JSONStream) {
    json.object("else") { verdict(map.otherwise, &sets, to: &$0) }
    json.member("fields", .array(map.fields.map(field)))
    json.list("table") { json in
      for entry in map.entries {
        json.element { json in
          json.list("keys") { json in
            for key in entry.keys {
              json.listElement { json in
                for part in key { json.element { self.part(part, &sets, to: &$0) } }
              }
            }
          }
          verdict(entry.verdict, &sets, to: &json)
        }
      }
    }
  }

  private static func field(_ field: VerdictMap.Field) -> JSONValue {
    switch field {
    case .port(let number): ["field": "port", "protocol": JSONValue(number)]
    case .interface(let side): ["field": "interface", "side": .string(side.rawValue)]
    case .address(let side): ["field": "address", "side": .string(side.rawValue)]
    case .mark: ["field": "mark"]
    }
  }

  private static func part(_ part: VerdictMap.Part, _ sets: inout CanonicalSets, to json: inout JSONStream) {
    switch part {
    case .ports(let ports): ranges("ports", ports.ranges, to: &json)
    case .interfaces(let patterns): names(patterns, to: &json)
    case .addresses(let addresses): json.object("addresses") { sets.write(addresses, to: &$0) }
    case .marks(let marks): ranges("marks", marks, to: &json)
    }
  }

  private static func names(_ patterns: [InterfacePattern], to json: inout JSONStream) {
    json.member("names", texts: sorted(patterns.filter { !$0.isPrefix }.map(\.name)))
    json.member("prefixes", texts: sorted(patterns.filter(\.isPrefix).map(\.name)))
  }

  static func families(_ families: Families, to json: inout JSONStream) {
    switch families {
    case .ipv4: json.member("families", texts: ["ipv4"])
    case .ipv6: json.member("families", texts: ["ipv6"])
    default: json.member("families", texts: ["ipv4", "ipv6"])
    }
  }

  private static func families(_ families: Families) -> JSONValue {
    var names: [JSONValue] = []
    if families.contains(.ipv4) { names.append("ipv4") }
    if families.contains(.ipv6) { names.append("ipv6") }
    return .array(names)
  }

  // MARK: Matches

  static func matches(_ matches: [Match], _ sets: inout CanonicalSets, to json: inout JSONStream) {
    json.list("matches") { json in
      for match in matches {
        json.element { json in
          // Their members stand on both sides of these two.
          if case .addresses(_, let addresses) = match.condition {
            self.addresses(addresses, &sets, to: &json)
          }
          json.member("match", word(of: match.condition))
          json.member("not", .bool(match.isNegated))
          condition(match.condition, to: &json)
        }
      }
    }
  }

  private static func word(of condition: Match.Condition) -> String {
    switch condition {
    case .protocols: "protocol"
    case .ports: "ports"
    case .icmp(let family, _): family.rawValue
    case .services: "services"
    case .states: "state"
    case .status: "status"
    case .addresses: "addresses"
    case .interfaces: "interfaces"
    case .user: "user"
    case .group: "group"
    case .controlGroups: "cgroup"
    case .mark(let kind, _): kind.rawValue
    case .tcpFlags: "flags"
    case .linkAddresses: "ether"
    case .dscp: "dscp"
    case .timeToLive: "ttl"
    case .length: "length"
    case .packetTypes: "type"
    case .hours: "hours"
    case .days: "days"
    case .fragment: "fragment"
    case .spoofed: "spoofed"
    case .ipsec: "ipsec"
    }
  }

  /// What it asks.
  private static func condition(_ condition: Match.Condition, to json: inout JSONStream) {
    switch condition {
    case .protocols(let numbers): json.member("protocols", numbers: numbers)
    case .ports(let side, let protocols, let ports):
      ranges("ports", ports.ranges, to: &json)
      json.member("protocols", numbers: protocols)
      json.member("side", side.rawValue)
    case .icmp(_, let types):
      let list = types.map { type -> JSONValue in
        .object(present: [("code", type.code.map { JSONValue($0) }), ("type", JSONValue(type.type))])
      }
      json.member("types", .array(list))
    case .services(let services): json.member("services", .array(services.map(service)))
    case .states(let states): json.member("states", texts: self.states(states))
    case .status(let status): json.member("status", texts: self.status(status))
    case .addresses(let side, let match):
      json.member("set", ifPresent: match.name)
      json.member("side", side.rawValue)
      if match.tree == nil { json.member("special", texts: special(match.specials)) }
    case .interfaces(let side, let patterns):
      names(patterns, to: &json)
      json.member("side", side.rawValue)
    case .user(let ids), .group(let ids): ranges("ids", ids, to: &json)
    case .controlGroups(let groups): json.member("paths", JSONValue(groups.map(\.path)))
    case .mark(_, let values):
      ranges("marks", values.ranges, to: &json)
      json.member("mask", ifPresent: values.mask == .max ? nil : JSONValue(values.mask))
    case .tcpFlags(let value, let mask):
      json.member("mask", JSONValue(mask.words))
      json.member("value", JSONValue(value.words))
    case .linkAddresses(let side, let addresses):
      json.member("addresses", JSONValue(addresses.map(linkAddress)))
      json.member("side", side.rawValue)
    case .dscp(let values), .timeToLive(let values): ranges("values", values, to: &json)
    case .length(let values): ranges("values", values, to: &json)
    case .packetTypes(let types):
      json.member("types", JSONValue(types.numbers.map { PacketTypes.names[Int($0)] }))
    case .hours(let hours):
      json.member("from", timeOfDay(hours.start))
      json.member("until", timeOfDay(hours.end))
    case .days(let days): json.member("days", JSONValue(days.numbers.map { Weekdays.names[Int($0)] }))
    case .fragment, .spoofed, .ipsec: break
    }
  }

  /// `any-of`, or `of` and `except`, or a list.
  private static func tree(_ tree: AddressTree, _ sets: inout CanonicalSets, to json: inout JSONStream) {
    switch tree {
    case .list(let match):
      addresses(match, &sets, to: &json)
      json.member("set", ifPresent: match.name)
      json.member("special", texts: special(match.specials))
    case .union(let parts):
      json.list("any-of") { json in
        for part in parts { json.element { self.tree(part, &sets, to: &$0) } }
      }
    case .difference(let included, let excepted):
      json.object("except") { self.tree(excepted, &sets, to: &$0) }
      json.object("of") { self.tree(included, &sets, to: &$0) }
    }
  }

  /// All but `set` and `special`.
  private static func addresses(
    _ match: AddressMatch, _ sets: inout CanonicalSets, to json: inout JSONStream
  ) {
    if let tree = match.tree {
      json.object("list") { self.tree(tree, &sets, to: &$0) }
      return
    }
    if match.name == nil {
      if match.addresses == .all {
        json.member("any", true)
      } else {
        json.object("addresses") { sets.write(match.addresses, to: &$0) }
      }
    }
    json.member("dynamic-sets", ifPresent: names(match.sets))
    if let except = match.exception {
      json.object("except") { json in
        if except.name == nil { json.object("addresses") { sets.write(except.addresses, to: &$0) } }
        json.member("dynamic-sets", ifPresent: names(except.sets))
        json.member("set", ifPresent: except.name)
        json.member("special", texts: special(except.specials))
      }
    }
  }

  private static func special(_ specials: [AddressMatch.Special]) -> [String] {
    sorted(specials.map(\.rawValue))
  }

  /// Nil where there are none.
  private static func names(_ sets: [String]) -> JSONValue? {
    sets.isEmpty ? nil : JSONValue(sorted(sets))
  }

  private static func service(_ service: Service) -> JSONValue {
    .object(present: [
      ("protocol", JSONValue(service.protocolNumber)), ("ports", service.ports.map { ranges($0.ranges) }),
      ("families", families(service.families)),
    ])
  }

  private static func states(_ states: ConntrackStates) -> [String] {
    let names: [(ConntrackStates, String)] = [
      (.established, "established"), (.invalid, "invalid"), (.new, "new"), (.related, "related"),
      (.untracked, "untracked"),
    ]
    return names.filter { states.contains($0.0) }.map(\.1)
  }

  private static func status(_ status: ConntrackStatus) -> [String] {
    let names: [(ConntrackStatus, String)] = [
      (.assured, "assured"), (.confirmed, "confirmed"), (.dnat, "dnat"), (.dying, "dying"),
      (.expected, "expected"), (.seenReply, "seen-reply"), (.snat, "snat"),
    ]
    return names.filter { status.contains($0.0) }.map(\.1)
  }

  /// `22` or `80-90`, ascending.
  private static func ranges(
    _ key: StaticString, _ ranges: [AddressRange<UInt16>], to json: inout JSONStream
  ) {
    json.member(key, rangeCount: ranges.count) { (Int(ranges[$0].lower), Int(ranges[$0].upper)) }
  }

  private static func ranges(
    _ key: StaticString, _ ranges: [AddressRange<UInt32>], to json: inout JSONStream
  ) {
    json.member(key, rangeCount: ranges.count) { (Int(ranges[$0].lower), Int(ranges[$0].upper)) }
  }

  private static func ranges(
    _ key: StaticString, _ ranges: [AddressRange<UInt8>], to json: inout JSONStream
  ) {
    json.member(key, rangeCount: ranges.count) { (Int(ranges[$0].lower), Int(ranges[$0].upper)) }
  }

  private static func ranges<Value>(_ ranges: [AddressRange<Value>]) -> JSONValue {
    JSONValue(
      ranges.map { $0.lower == $0.upper ? String($0.lower) : "\(String($0.lower))-\(String($0.upper))" })
  }

  private static func linkAddress(_ address: LinkAddress) -> String {
    address.bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
  }

  /// `hh:mm`, UTC.
  private static func timeOfDay(_ seconds: UInt32) -> String {
    [seconds / 3600, seconds / 60 % 60].map { ($0 < 10 ? "0" : "") + String($0) }.joined(separator: ":")
  }

  // MARK: Limits and actions

  private static func changes(_ changes: Changes) -> JSONValue? {
    let size: JSONValue? =
      switch changes.segmentSize {
      case nil: nil
      case .pathMTU: "pmtu"
      case .bytes(let bytes): JSONValue(bytes)
      }
    let members: [(String, JSONValue?)] = [
      ("connmark", changes.connectionMark.map { JSONValue($0) }),
      ("dscp", changes.dscp.map { JSONValue($0) }),
      ("mark", changes.mark.map { JSONValue($0) }), ("mss", size),
    ]
    return members.contains { $0.1 != nil } ? .object(present: members) : nil
  }

  private static func limit(_ limit: Limit) -> JSONValue {
    .object(present: [
      ("rate", rate(limit.rate)), ("burst", JSONValue(limit.burst)), ("over", .bool(limit.isOver)),
      ("per", limit.key.map { key($0, timeout: limit.keptFor) }),
    ])
  }

  private static func connections(_ limit: ConnectionLimit) -> JSONValue {
    .object(present: [
      ("count", JSONValue(limit.count)), ("over", .bool(limit.isOver)),
      ("per", limit.key.map { key($0, timeout: nil) }),
    ])
  }

  /// With the set of the kernel that holds the keys, one for each family.
  private static func key(_ key: AddressKey, timeout: UInt64?) -> JSONValue {
    .object(present: [
      ("side", .string(key.side.rawValue)), ("ipv4-bits", JSONValue(key.ipv4Bits)),
      ("ipv6-bits", JSONValue(key.ipv6Bits)), ("size", JSONValue(DynamicSet.limiterSize)),
      ("timeout", timeout.map { JSONValue($0) }),
    ])
  }

  private static func setUpdate(_ update: SetUpdate) -> JSONValue {
    .object(present: [
      ("operation", .string(update.operation.rawValue)), ("side", .string(update.key.side.rawValue)),
      ("set", .string(update.set)), ("timeout", update.timeout.map { JSONValue($0) }),
    ])
  }

  private static func rate(_ rate: Rate) -> JSONValue {
    [
      "amount": JSONValue(rate.amount), "unit": rate.isBytes ? "bytes" : "packets",
      "seconds": JSONValue(rate.seconds),
    ]
  }

  private static func counter(_ counter: Counter) -> JSONValue {
    switch counter {
    case .anonymous: true
    case .named(let name): .string(name)
    }
  }

  private static func log(_ log: Log) -> JSONValue {
    // What the kernel takes where neither is said: LOGLEVEL_WARNING, nft_log_init() of nft_log.c.
    let level = log.level ?? (log.group == nil ? 4 : nil)
    return .object(present: [
      ("prefix", .string(log.prefix)), ("level", level.map { JSONValue($0) }),
      ("group", log.group.map { JSONValue($0) }), ("at-most", log.atMost.map(rate)),
    ])
  }
}
