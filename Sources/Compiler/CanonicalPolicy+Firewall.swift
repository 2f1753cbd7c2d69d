internal import CanonicalJSON
internal import PolicyModel
internal import Ruleset

extension CanonicalPolicy {
  static func chain(_ chain: BaseChain, reroutes: Bool, _ sets: inout CanonicalSets) -> JSONValue {
    .object(present: [
      (
        "id",
        .string(
          KernelName.baseChain(
            hook: chain.hook, isNAT: chain.isNAT, priority: chain.priority, reroutes: reroutes))
      ),
      ("name", chain.name.map(JSONValue.string)),
      ("hook", .string(chain.hook.rawValue)),
      ("type", chain.isNAT ? "nat" : reroutes ? "route" : "filter"),
      ("priority", JSONValue(chain.priority)),
      ("policy", .string(chain.policy.rawValue)),
      ("devices", chain.devices.isEmpty ? nil : JSONValue(chain.devices)),
      ("rules", .array(chain.rules.map { rule($0, &sets) })),
    ])
  }

  /// Nil where there are none.
  static func regularChains(_ chains: [RegularChain], _ sets: inout CanonicalSets) -> JSONValue? {
    guard !chains.isEmpty else { return nil }
    return .array(
      chains.map { chain in
        .object(present: [
          ("id", .string(KernelName.chain(chain.name))), ("name", .string(chain.name)),
          ("policy", chain.policy.map { .string($0.rawValue) }),
          ("rules", .array(chain.rules.map { rule($0, &sets) })),
        ])
      })
  }

  static func rule(_ rule: Rule, _ sets: inout CanonicalSets) -> JSONValue {
    let (origin, item): (String, String?) =
      switch rule.origin {
      case .written: ("written", nil)
      case .closing: ("closing", nil)
      case .expanded(let item): ("expanded", item)
      }
    let members: [(String, JSONValue?)] = [
      ("id", .string(rule.id)),
      ("name", rule.name.map(JSONValue.string)),
      ("text", .string(rule.text)),
      ("origin", .string(origin)),
      ("expanded-from", item.map(JSONValue.string)),
      ("enabled", .bool(rule.isEnabled)),
      ("families", families(rule.families)),
      ("matches", matches(rule.matches, &sets)),
      ("connections", rule.connections.map(connections)),
      ("limit", rule.limit.map(limit)),
      ("quota", rule.quota.map { ["bytes": JSONValue($0.bytes), "over": .bool($0.isOver)] }),
      ("restore-mark", rule.changes.restoresMark ? true : nil),
      ("set", changes(rule.changes)),
      ("save-mark", rule.changes.savesMark ? true : nil),
      (
        "set-updates",
        rule.changes.setUpdates.isEmpty ? nil : .array(rule.changes.setUpdates.map(setUpdate))
      ),
      ("count", rule.counter.map(counter)),
      ("log", rule.log.map(log)),
      ("comment", rule.comment.map(JSONValue.string)),
      ("owner", rule.owner.map(JSONValue.string)),
      ("because", rule.because.map(JSONValue.string)),
      ("until", rule.until.map(JSONValue.string)),
      ("controls", sorted(rule.controls)),
    ]
    return .object(present: members + verdict(rule.verdict, &sets))
  }

  private static func verdict(
    _ verdict: Verdict, _ sets: inout CanonicalSets
  ) -> [(String, JSONValue?)] {
    switch verdict {
    case .accept: [("verdict", "accept")]
    case .drop: [("verdict", "drop")]
    case .reject(let kind): [("verdict", "reject"), ("reject-with", .string(kind.rawValue))]
    case .continue: [("verdict", "continue")]
    case .return: [("verdict", "return")]
    case .jump(let chain): [("verdict", "jump"), ("chain", .string(chain))]
    case .goto(let chain): [("verdict", "goto"), ("chain", .string(chain))]
    case .dispatch(let map): [("verdict", "dispatch"), ("dispatch", dispatch(map, &sets))]
    case .translate(let translation): self.translation(translation)
    case .notrack: [("verdict", "notrack")]
    }
  }

  private static func translation(_ translation: Translation) -> [(String, JSONValue?)] {
    switch translation {
    case .masquerade: [("verdict", "masquerade")]
    case .redirect(let port): [("verdict", "redirect"), ("port", port.map { JSONValue($0) })]
    case .source(let target): [("verdict", "snat"), ("target", self.target(target))]
    case .destination(let target): [("verdict", "dnat"), ("target", self.target(target))]
    case .destinationByPort(let targets):
      [
        ("verdict", "dnat"),
        (
          "targets",
          .array(
            targets.map { target in
              [
                "port": JSONValue(target.port), "address": JSONValue(Netset(target.address.set).prefixes),
                "target-port": JSONValue(target.targetPort),
              ]
            })
        ),
      ]
    }
  }

  private static func target(_ target: NATTarget) -> JSONValue {
    .object(present: [
      ("addresses", JSONValue(Netset(target.addresses.set).prefixes)),
      ("keeps-host-bits", .bool(target.isPrefix)),
      ("ports", target.ports.map { ranges([$0]) }),
    ])
  }

  private static func dispatch(_ map: VerdictMap, _ sets: inout CanonicalSets) -> JSONValue {
    let table = map.entries.map { entry -> JSONValue in
      let keys = entry.keys.map { JSONValue.array($0.map { part($0, &sets) }) }
      return .object(present: [("keys", .array(keys))] + verdict(entry.verdict, &sets))
    }
    return [
      "fields": .array(map.fields.map(field)), "table": .array(table),
      "else": .object(present: verdict(map.otherwise, &sets)),
    ]
  }

  private static func field(_ field: VerdictMap.Field) -> JSONValue {
    switch field {
    case .port(let number): ["field": "port", "protocol": JSONValue(number)]
    case .interface(let side): ["field": "interface", "side": .string(side.rawValue)]
    case .address(let side): ["field": "address", "side": .string(side.rawValue)]
    case .mark: ["field": "mark"]
    }
  }

  private static func part(_ part: VerdictMap.Part, _ sets: inout CanonicalSets) -> JSONValue {
    switch part {
    case .ports(let ports): ["ports": ranges(ports.ranges)]
    case .interfaces(let patterns): .object(present: names(patterns))
    case .addresses(let addresses): ["addresses": sets.unnamed(addresses)]
    case .marks(let marks): ["marks": ranges(marks)]
    }
  }

  private static func names(_ patterns: [InterfacePattern]) -> [(String, JSONValue?)] {
    [
      ("names", sorted(patterns.filter { !$0.isPrefix }.map(\.name))),
      ("prefixes", sorted(patterns.filter(\.isPrefix).map(\.name))),
    ]
  }

  static func families(_ families: Families) -> JSONValue {
    var names: [JSONValue] = []
    if families.contains(.ipv4) { names.append("ipv4") }
    if families.contains(.ipv6) { names.append("ipv6") }
    return .array(names)
  }

  // MARK: Matches

  static func matches(_ matches: [Match], _ sets: inout CanonicalSets) -> JSONValue {
    .array(
      matches.map { match in
        var members = condition(match.condition, &sets)
        members.append(("not", .bool(match.isNegated)))
        return .object(present: members)
      })
  }

  private static func condition(
    _ condition: Match.Condition, _ sets: inout CanonicalSets
  ) -> [(String, JSONValue?)] {
    switch condition {
    case .protocols(let numbers):
      [("match", "protocol"), ("protocols", self.numbers(numbers))]
    case .ports(let side, let protocols, let ports):
      [
        ("match", "ports"), ("side", .string(side.rawValue)), ("protocols", numbers(protocols)),
        ("ports", ranges(ports.ranges)),
      ]
    case .icmp(let family, let types):
      [
        ("match", .string(family.rawValue)),
        (
          "types",
          .array(
            types.map { type in
              .object(present: [("type", JSONValue(type.type)), ("code", type.code.map { JSONValue($0) })])
            })
        ),
      ]
    case .services(let services):
      [("match", "services"), ("services", .array(services.map(service)))]
    case .states(let states): [("match", "state"), ("states", self.states(states))]
    case .status(let status): [("match", "status"), ("status", self.status(status))]
    case .addresses(let side, let match):
      [("match", "addresses"), ("side", .string(side.rawValue))] + addresses(match, &sets)
    case .interfaces(let side, let patterns):
      [("match", "interfaces"), ("side", .string(side.rawValue))] + names(patterns)
    case .user(let ids): [("match", "user"), ("ids", ranges(ids))]
    case .group(let ids): [("match", "group"), ("ids", ranges(ids))]
    case .controlGroups(let groups):
      [("match", "cgroup"), ("paths", JSONValue(groups.map(\.path)))]
    case .mark(let kind, let values):
      [
        ("match", .string(kind.rawValue)), ("marks", ranges(values.ranges)),
        ("mask", values.mask == .max ? nil : JSONValue(values.mask)),
      ]
    case .tcpFlags(let value, let mask):
      [("match", "flags"), ("value", JSONValue(value.words)), ("mask", JSONValue(mask.words))]
    case .linkAddresses(let side, let addresses):
      [
        ("match", "ether"), ("side", .string(side.rawValue)),
        ("addresses", JSONValue(addresses.map(linkAddress))),
      ]
    case .dscp(let codes): [("match", "dscp"), ("values", ranges(codes))]
    case .timeToLive(let values): [("match", "ttl"), ("values", ranges(values))]
    case .length(let values): [("match", "length"), ("values", ranges(values))]
    case .packetTypes(let types):
      [("match", "type"), ("types", JSONValue(types.numbers.map { PacketTypes.names[Int($0)] }))]
    case .hours(let hours):
      [
        ("match", "hours"), ("from", .string(timeOfDay(hours.start))),
        ("until", .string(timeOfDay(hours.end))),
      ]
    case .days(let days):
      [("match", "days"), ("days", JSONValue(days.numbers.map { Weekdays.names[Int($0)] }))]
    case .fragment: [("match", "fragment")]
    case .spoofed: [("match", "spoofed")]
    case .ipsec: [("match", "ipsec")]
    }
  }

  /// `any-of`, or `of` and `except`, or a list.
  private static func tree(_ tree: AddressTree, _ sets: inout CanonicalSets) -> JSONValue {
    switch tree {
    case .list(let match): return .object(present: addresses(match, &sets))
    case .union(let parts): return ["any-of": .array(parts.map { self.tree($0, &sets) })]
    case .difference(let included, let excepted):
      return ["of": self.tree(included, &sets), "except": self.tree(excepted, &sets)]
    }
  }

  private static func addresses(
    _ match: AddressMatch, _ sets: inout CanonicalSets
  ) -> [(String, JSONValue?)] {
    if let tree = match.tree { return [("list", self.tree(tree, &sets))] }
    let except = match.exception
    let rest: [(String, JSONValue?)] = [
      ("special", sorted(match.specials.map(\.rawValue))),
      ("dynamic-sets", names(match.sets)),
      (
        "except",
        except.map { except in
          .object(present: [
            ("set", except.name.map(JSONValue.string)),
            ("addresses", except.name == nil ? sets.unnamed(except.addresses) : nil),
            ("special", sorted(except.specials.map(\.rawValue))), ("dynamic-sets", names(except.sets)),
          ])
        }
      ),
    ]
    if let name = match.name { return [("set", .string(name))] + rest }
    if match.addresses == .all { return [("any", true)] + rest }
    return [("addresses", sets.unnamed(match.addresses))] + rest
  }

  /// Nil where there are none.
  private static func names(_ sets: [String]) -> JSONValue? { sets.isEmpty ? nil : sorted(sets) }

  private static func service(_ service: Service) -> JSONValue {
    .object(present: [
      ("protocol", JSONValue(service.protocolNumber)), ("ports", service.ports.map { ranges($0.ranges) }),
      ("families", families(service.families)),
    ])
  }

  private static func states(_ states: ConntrackStates) -> JSONValue {
    let names: [(ConntrackStates, String)] = [
      (.established, "established"), (.invalid, "invalid"), (.new, "new"), (.related, "related"),
      (.untracked, "untracked"),
    ]
    return JSONValue(names.filter { states.contains($0.0) }.map(\.1))
  }

  private static func status(_ status: ConntrackStatus) -> JSONValue {
    let names: [(ConntrackStatus, String)] = [
      (.assured, "assured"), (.confirmed, "confirmed"), (.dnat, "dnat"), (.dying, "dying"),
      (.expected, "expected"), (.seenReply, "seen-reply"), (.snat, "snat"),
    ]
    return JSONValue(names.filter { status.contains($0.0) }.map(\.1))
  }

  private static func numbers(_ numbers: [UInt8]) -> JSONValue { .array(numbers.map { JSONValue($0) }) }

  /// `22` or `80-90`, ascending.
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
