import Ruleset

/// A ruleset's kernel programs in the short form of a golden file.
///
/// `th(2,2) → eq(0016)`: `meta`, `nh`, `th`, `ct` and `fib` load register 1; a comparison's bytes are the
/// register's.
enum ProgramText {
  static func print(_ ruleset: Ruleset) -> String {
    var lines: [String] = []
    for table in ruleset.tables {
      for set in table.sets { lines.append("set \(text(set))") }
      for chain in table.chains {
        lines.append("chain \(chain.name)")
        for rule in chain.rules {
          lines.append("  \(rule.id) #\(rule.part) [\(hex(rule.label))]")
          lines.append(
            "    " + rule.expressions.map { text($0, rule.anonymousSets) }.joined(separator: " → "))
        }
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func text(_ state: ElementState) -> String {
    switch state {
    case .limit(let rate, let seconds, let burst, let isBytes, let isOver):
      "limit(\(isOver ? "over " : "")\(rate)\(isBytes ? "B" : "")/\(seconds)s,\(burst))"
    case .connections(let count, let isOver): "connections(\(isOver ? "over " : "")\(count))"
    }
  }

  private static func text(_ expression: Expression, _ sets: [KernelSet]) -> String {
    switch expression {
    case .meta(let key, let register): return "meta(\(key))\(register == 1 ? "" : "@\(register)")"
    case .payload(let base, let offset, let length, let register):
      let name = base == .network ? "nh" : base == .transport ? "th" : "ll"
      return "\(name)(\(offset),\(length))\(register == 1 ? "" : "@\(register)")"
    case .compare(_, let comparison, let data):
      let names: [Expression.Comparison: String] = [
        .equal: "eq", .notEqual: "ne", .greaterOrEqual: "ge", .lessOrEqual: "le",
      ]
      return "\(names[comparison] ?? "?")(\(hex(data)))"
    case .range(_, let isNegated, let lower, let upper):
      return "\(isNegated ? "outside" : "inside")(\(hex(lower)),\(hex(upper)))"
    case .bitwise(_, _, let mask, let xor):
      return "and(\(hex(mask)))" + (xor.allSatisfy { $0 == 0 } ? "" : " xor(\(hex(xor)))")
    case .byteOrder(_, _, _, let length, let size): return "hton(\(length),\(size))"
    case .lookup(_, .named(let name), let isNegated): return "\(isNegated ? "not " : "")in @\(name)"
    case .lookup(_, .anonymous(let index), let isNegated):
      return "\(isNegated ? "not " : "")in {\(text(sets[index]))}"
    case .mapLookup(_, .anonymous(let index), let destination):
      return "map {\(text(sets[index]))}\(destination == 0 ? "" : "@\(destination)")"
    case .mapLookup(_, .named(let name), _): return "map @\(name)"
    case .conntrack(let key, _): return "ct(\(key))"
    case .socketControlGroup(let level, _): return "cgroup(\(level))"
    case .fib(.outputInterface, _, _): return "fib(route back)"
    case .extensionHeader(let type, let offset, let length, _): return "exthdr\(type)(\(offset),\(length))"
    case .route(let key, _): return "rt(\(key))"
    case .setMeta(let key, _): return "set meta(\(key))"
    case .setConntrack(let key, _): return "set ct(\(key))"
    case .setPayload(let base, let offset, let length, _, let checksum):
      return "set \(base == .network ? "nh" : "th")(\(offset),\(length))"
        + (checksum.map { " sum(\($0))" } ?? "")
    case .setTCPOption(let kind, let offset, let length, _): return "set tcpopt\(kind)(\(offset),\(length))"
    case .notrack: return "notrack"
    case .fib(_, let flags, _): return "fib(\(flags == 1 ? "saddr" : "daddr"))"
    case .counter: return "counter"
    case .objectReference(_, let name): return "counter(\(name))"
    case .limit(let rate, let seconds, let burst, let isBytes, let isOver):
      return "limit(\(isOver ? "over " : "")\(rate)\(isBytes ? "B" : "")/\(seconds)s,\(burst))"
    case .quota(let bytes, let isOver): return "quota(\(isOver ? "over " : "")\(bytes))"
    case .dynamicSet(_, let set, let operation, let timeout, let state):
      let parts = [timeout.map { "\($0)ms" }, state.map(text)].compactMap { $0 }
      return "\(operation) @\(set)" + (parts.isEmpty ? "" : " {\(parts.joined(separator: " "))}")
    case .log(let prefix, let level, let group):
      let parts =
        ["\"\(prefix)\""] + (level.map { ["level \($0)"] } ?? []) + (group.map { ["group \($0)"] } ?? [])
      return "log(\(parts.joined(separator: ",")))"
    case .reject(let type, let code): return "reject(\(type),\(code.map(String.init) ?? "-"))"
    case .verdict(.jump(let chain)): return "jump \(chain)"
    case .verdict(let verdict): return "\(verdict)"
    case .immediate(let register, let data): return "imm(\(hex(data)))@\(register)"
    case .nat(let isSource, let family, let addresses, let ports, let flags):
      let place = ports.map { ",ports \($0)" } ?? ""
      return "\(isSource ? "snat" : "dnat")(\(family == 2 ? "ip" : "ip6"),\(addresses)\(place),\(flags))"
    case .masquerade: return "masq"
    case .redirect(let ports, let flags):
      return ports.map { "redir(\($0),\(flags))" } ?? "redir"
    case .unknown(let name, _): return "unknown(\(name))"
    }
  }

  private static func text(_ set: KernelSet) -> String {
    let shown = set.elements.prefix(8).map { element in
      let keys =
        element.lower == element.upper ? hex(element.lower) : "\(hex(element.lower))-\(hex(element.upper))"
      return switch element.data {
      case nil: keys
      case .verdict(let verdict)?: "\(keys):\(verdict)"
      case .value(let bytes)?: "\(keys):\(hex(bytes))"
      }
    }
    let rest = set.elements.count > 8 ? " … \(set.elements.count)" : ""
    let head = "\(set.name.map { $0 + " " } ?? "")\(set.keyType)\(set.isInterval ? " interval" : ""):"
    return head + " " + shown.joined(separator: " ") + rest
  }

  private static func hex(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }
}
