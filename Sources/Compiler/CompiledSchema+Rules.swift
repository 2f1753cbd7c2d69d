internal import CanonicalJSON
internal import PolicyModel

extension CompiledSchema {
  static var ruleDefinitions: [(String, JSONValue)] {
    [
      ("chain", chain), ("rate", rate), ("address-list", addressList), ("dispatch", dispatch),
      ("map-verdict", words(mapVerdicts)),
      ("prefixes", described("The fewest prefixes that are these addresses.", list(text, from: 1))),
      ("rule", rule), ("key", key), ("match", match),
    ]
  }

  private static let mapVerdicts = ["accept", "drop", "continue", "return", "jump", "goto"]
  private static let policies = ChainPolicy.allCases.map(\.rawValue)
  private static let port = integer(from: 0, to: 65535)
  private static let octet = integer(from: 0, to: 255)
  private static let mark = integer(from: 0, to: Int(UInt32.max))
  /// `22` or `80-90`.
  private static let range = text(pattern: "^[0-9]+(-[0-9]+)?$")
  /// As text beyond 2^53 − 1.
  private static let amount = oneOf([integer(from: 0), text(pattern: "^[0-9]+$")])

  private static var chain: JSONValue {
    object([
      .required("id", text),
      .optional(
        "name",
        described("Its name below `chains`; absent for the chain that is named by its hook.", text)),
      .required("hook", words(Hook.allCases.map(\.rawValue))),
      .required("type", words(["filter", "nat", "route"])), .required("priority", ["type": "integer"]),
      .required("policy", words(policies)), .required("rules", list(reference("rule"))),
    ])
  }

  static var regularChain: JSONValue {
    object([
      .required("id", described("The kernel's name of it.", text)), .required("name", text),
      .optional(
        "policy",
        described("Of a pair of zones: what happens to a packet that no rule decides.", words(policies))),
      .required("rules", list(reference("rule"))),
    ])
  }

  private static var rate: JSONValue {
    object([
      .required("amount", amount), .required("unit", words(["packets", "bytes"])),
      .required("seconds", ["enum": [1, 60, 3600, 86400]]),
    ])
  }

  // MARK: Rules

  private static var rule: JSONValue {
    object(
      ruleHead + ruleActions + ruleVerdict + [
        .optional("comment", text), .optional("owner", text), .optional("because", text),
        .optional("until", until), .required("controls", list(text)),
      ],
      [
        (
          "allOf",
          [
            only("reject-with", if: "verdict", is: ["const": "reject"]),
            only("chain", if: "verdict", is: words(["jump", "goto"])),
            only("expanded-from", if: "origin", is: ["const": "expanded"]),
          ]
        )
      ])
  }

  /// A member that is there in one case and in no other.
  private static func only(_ member: String, if key: String, is value: JSONValue) -> JSONValue {
    [
      "if": ["properties": .object(present: [(key, value)])], "then": ["required": [.string(member)]],
      "else": ["not": ["required": [.string(member)]]],
    ]
  }

  private static var ruleHead: [SchemaMember] {
    [
      .required("id", text), .optional("name", text),
      .required("text", described("Canonical text; names of definitions stand as written.", text)),
      .required(
        "origin",
        described(
          "`closing`: the visible end of a chain that closes, because a chain is hooked with policy accept until its transaction ends. `expanded`: made of the item in `expanded-from`.",
          words(["written", "closing", "expanded"]))),
      .optional("expanded-from", text),
      .required("enabled", described("False: checked and listed, not enforced.", bool)),
      .required("families", reference("families")),
      .required("matches", described("All of them hold.", list(reference("match")))),
    ]
  }

  private static var ruleActions: [SchemaMember] {
    let changes: [SchemaMember] = [
      .optional("connmark", mark), .optional("dscp", integer(from: 0, to: 63)), .optional("mark", mark),
      .optional("mss", oneOf([["const": "pmtu"], integer(from: 1, to: 65535)])),
    ]
    let log: [SchemaMember] = [
      .required("prefix", text),
      .optional("level", described("8: the audit system, without prefix.", integer(from: 0, to: 8))),
      .optional("group", port), .optional("at-most", reference("rate")),
    ]
    return [
      .optional(
        "connections",
        object([
          .required("count", integer(from: 1, to: Int(UInt32.max))), .required("over", bool),
          .optional("per", reference("key")),
        ])),
      .optional(
        "limit",
        object([
          .required("rate", reference("rate")), .required("burst", integer(from: 0)), .required("over", bool),
          .optional("per", reference("key")),
        ])),
      .optional("quota", object([.required("bytes", amount), .required("over", bool)])),
      .optional(
        "restore-mark",
        described("The packet takes its connection's mark, before anything is set.", ["const": true])),
      .optional("set", object(changes, [("minProperties", 1)])),
      .optional(
        "save-mark",
        described("The connection takes the packet's mark, after everything is set.", ["const": true])),
      .optional("set-updates", list(setUpdate, from: 1, to: 3)),
      .optional("count", oneOf([["const": true], text])),
      .optional("log", object(log)),
    ]
  }

  private static var ruleVerdict: [SchemaMember] {
    let verdicts = ["accept", "drop", "reject", "continue", "return", "jump", "goto", "dispatch"]
    let target: [SchemaMember] = [
      .required("addresses", reference("prefixes")),
      .required(
        "keeps-host-bits",
        described("The addresses are a prefix; the bits behind it stay the packet's.", bool)),
      .optional("ports", list(range, from: 1, to: 1)),
    ]
    let byPort: [SchemaMember] = [
      .required("port", port), .required("address", reference("prefixes")), .required("target-port", port),
    ]
    return [
      .required(
        "verdict", words(verdicts + ["masquerade", "redirect", "snat", "dnat", "notrack"])),
      .optional("port", described("Of `redirect`; absent: the packet's own.", port)),
      .optional("target", object(target)),
      .optional(
        "targets", described("Of `dnat` by the packet's destination port.", list(object(byPort), from: 1))),
      .optional("chain", described("The regular chain that `jump` and `goto` lead to.", text)),
      .optional("dispatch", reference("dispatch")),
      .optional("reject-with", words(RejectKind.written.map(\.rawValue))),
    ]
  }

  private static var dispatch: JSONValue {
    let field = object([
      .required("field", words(["port", "interface", "address", "mark"])), .optional("protocol", octet),
      .optional("side", words(["source", "destination", "input", "output"])),
    ])
    let part = object([
      .optional("ports", list(range)), .optional("names", list(text)), .optional("prefixes", list(text)),
      .optional("addresses", reference("set")), .optional("marks", list(range)),
    ])
    let verdict: [SchemaMember] = [
      .required("verdict", reference("map-verdict")), .optional("chain", text),
    ]
    let keys = described(
      "Each has one part for each field. No packet meets two.", list(list(part, from: 1, to: 2)))
    return described(
      "A verdict by a look-up.",
      object([
        .required("fields", list(field, from: 1, to: 2)),
        .required("table", list(object([.required("keys", keys)] + verdict))),
        .required("else", described("For a packet that has the fields and meets no key.", object(verdict))),
      ]))
  }

  // MARK: Matches

  private static var match: JSONValue {
    described(
      "`not`: holds exactly when the clause without it does not; ports, ICMP types and flags are negated inside their protocol.",
      oneOf(transportMatches + connectionMatches + placeMatches + headerMatches + timeMatches))
  }

  private static func match(
    _ kinds: [String], _ members: [SchemaMember] = [], _ more: [(String, JSONValue)] = []
  ) -> JSONValue {
    let kind: JSONValue = kinds.count == 1 ? ["const": .string(kinds[0])] : words(kinds)
    return object([.required("match", kind), .required("not", bool)] + members, more)
  }

  private static var transportMatches: [JSONValue] {
    let protocols = list(octet, from: 1)
    let side = words(["source", "destination"])
    let types = list(object([.required("type", octet), .optional("code", octet)]))
    let service = object([
      .required("protocol", octet), .optional("ports", list(range)),
      .required("families", reference("families")),
    ])
    return [
      match(["protocol"], [.required("protocols", protocols)]),
      match(
        ["ports"],
        [.required("side", side), .required("protocols", protocols), .required("ports", list(range))]),
      match(["icmp"], [.required("types", types)]),
      match(["icmpv6"], [.required("types", types)]),
      match(["services"], [.required("services", list(service))]),
    ]
  }

  private static var connectionMatches: [JSONValue] {
    let states = ["established", "invalid", "new", "related", "untracked"]
    let status = ["assured", "confirmed", "dnat", "dying", "expected", "seen-reply", "snat"]
    return [
      match(["state"], [.required("states", list(words(states)))]),
      match(["status"], [.required("status", list(words(status)))]),
    ]
  }

  private static var placeMatches: [JSONValue] {
    let side = SchemaMember.required("side", words(["source", "destination"]))
    return [
      match(["addresses"], [side] + addressMembers, addressAlternatives),
      match(
        ["addresses"],
        [
          side,
          .required(
            "list", described("What is no plain list less another one.", reference("address-list"))),
        ]),
      match(
        ["interfaces"],
        [
          .required("side", words(["input", "output"])), .required("names", list(text)),
          .required("prefixes", list(text)),
        ]),
      match(["user"], [.required("ids", list(range))]),
      match(["group"], [.required("ids", list(range))]),
      match(
        ["cgroup"],
        [.required("paths", described("Below the root; ascending, none below another.", list(text, from: 1)))]
      ),
    ]
  }

  private static let addressAlternatives: [(String, JSONValue)] = [
    ("oneOf", [["required": ["set"]], ["required": ["any"]], ["required": ["addresses"]]])
  ]

  private static var addressMembers: [SchemaMember] {
    let specials = AddressMatch.Special.allCases.map(\.rawValue).sorted()
    return [
      .required("special", list(words(specials))), .optional("set", name),
      .optional("any", ["const": true]), .optional("addresses", reference("set")),
      .optional(
        "dynamic-sets",
        described("Dynamic and external sets; an address in one of them is meant too.", list(name, from: 1))),
      .optional("except", exceptedAddresses),
    ]
  }

  private static var addressList: JSONValue {
    let part = reference("address-list")
    return oneOf([
      object(addressMembers, addressAlternatives), object([.required("any-of", list(part, from: 2))]),
      object([.required("of", part), .required("except", part)]),
    ])
  }

  private static var headerMatches: [JSONValue] {
    let flag = words(TCPFlags.names)
    let linkAddress = text(pattern: "^[0-9a-f]{2}(:[0-9a-f]{2}){5}$")
    return [
      match(
        ["mark", "connmark"],
        [.required("marks", list(range, from: 1)), .optional("mask", described("Absent: all bits.", mark))]),
      match(["flags"], [.required("value", list(flag)), .required("mask", list(flag, from: 1))]),
      match(
        ["ether"],
        [
          .required("side", words(["source", "destination"])),
          .required("addresses", list(linkAddress, from: 1)),
        ]),
      match(["dscp", "ttl", "length"], [.required("values", list(range, from: 1))]),
      match(["type"], [.required("types", list(words(PacketTypes.names), from: 1))]),
      match(["fragment", "spoofed", "ipsec"]),
    ]
  }

  private static var timeMatches: [JSONValue] {
    let time = text(pattern: "^[0-2][0-9]:[0-5][0-9]$")
    return [
      match(
        ["hours"],
        [
          .required("from", described("UTC.", time)),
          .required("until", described("Exclusive; before `from`: past midnight.", time)),
        ]),
      match(["days"], [.required("days", list(words(Weekdays.names), from: 1))]),
    ]
  }
}
