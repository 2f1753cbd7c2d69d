import Ruleset

/// Expressions in the notation of `nft --debug=netlink`, written apart from the encoder.
enum NetlinkNotation {
  static func line(_ expression: Expression, sets: [KernelSet]) -> String {
    "[ " + body(expression, sets: sets) + " ]"
  }

  private static func state(_ state: ElementState) -> String {
    switch state {
    case .limit(let rate, let seconds, let burst, let isBytes, let isOver):
      let units: [UInt64: String] = [1: "second", 60: "minute", 3600: "hour", 86400: "day"]
      return
        "limit rate \(rate)/\(units[seconds] ?? "?") burst \(burst) type \(isBytes ? "bytes" : "packets") "
        + "flags 0x\(isOver ? 1 : 0)"
    case .connections(let count, let isOver): return "connlimit count \(count) flags \(isOver ? 1 : 0)"
    }
  }

  private static func body(_ expression: Expression, sets: [KernelSet]) -> String {
    switch expression {
    case .meta(let key, let register): return "meta load \(name(key)) => reg \(register)"
    case .payload(let base, let offset, let length, let register):
      return "payload load \(length)b @ \(name(base)) header + \(offset) => reg \(register)"
    case .compare(let register, let comparison, let data):
      return "cmp \(name(comparison)) reg \(register) \(words(data))"
    case .range(let register, let isNegated, let lower, let upper):
      return "range \(isNegated ? "neq" : "eq") reg \(register) \(words(lower)) \(words(upper))"
    case .bitwise(let register, let destination, let mask, let xor):
      return "bitwise reg \(destination) = ( reg \(register) & \(words(mask)) ) ^ \(words(xor))"
    case .byteOrder(let register, let destination, let toNetwork, let length, let size):
      return
        "byteorder reg \(destination) = \(toNetwork ? "hton" : "ntoh")(reg \(register), \(size), \(length))"
    case .lookup(let register, let reference, let isNegated):
      var name = "__set%d"
      if case .named(let own) = reference { name = own }
      return "lookup reg \(register) set \(name)\(isNegated ? " 0x1" : "")"
    case .mapLookup(let register, let reference, let destination):
      var name = "__map%d"
      if case .named(let own) = reference { name = own }
      return "lookup reg \(register) set \(name) dreg \(destination)"
    case .conntrack(let key, let register):
      return "ct load \(name(key)) => reg \(register)"
    case .extensionHeader(let type, let offset, let length, let register):
      return "exthdr load ipv6 \(length)b @ \(type) + \(offset) => reg \(register)"
    case .route(_, let register): return "rt load tcpmss => reg \(register)"
    case .setMeta(let key, let register): return "meta set \(name(key)) with reg \(register)"
    case .setConntrack(let key, let register): return "ct set \(name(key)) with reg \(register)"
    case .setPayload(let base, let offset, let length, let register, let checksum):
      return "payload write reg \(register) => \(length)b @ \(name(base)) header + \(offset) "
        + "csum_type \(checksum == nil ? 0 : 1) csum_off \(checksum ?? 0) csum_flags 0x0"
    case .setTCPOption(let kind, let offset, let length, let register):
      return "exthdr write tcpopt reg \(register) => \(length)b @ \(kind) + \(offset)"
    case .notrack: return "notrack"
    case .socketControlGroup(_, let register): return "socket load cgroupv2 => reg \(register)"
    case .fib(.outputInterface, _, let register):
      return "fib saddr . iif oif present => reg \(register)"
    case .fib(_, let flags, let register):
      return "fib \(flags == 1 ? "saddr" : "daddr") type => reg \(register)"
    case .counter: return "counter pkts 0 bytes 0"
    case .objectReference(let type, let name): return "objref type \(type) name \(name)"
    case .limit(let rate, let seconds, let burst, let isBytes, let isOver):
      return state(.limit(rate: rate, seconds: seconds, burst: burst, isBytes: isBytes, isOver: isOver))
    case .dynamicSet(let register, let set, let operation, let timeout, let state):
      var text = "dynset \(operation) reg_key \(register) set \(set)"
      if let timeout { text += " timeout \(timeout)ms" }
      if let state { text += " expr [ \(self.state(state)) ]" }
      return text
    case .quota(let bytes, let isOver): return "quota bytes \(bytes) consumed 0 flags \(isOver ? 1 : 0)"
    case .log(let prefix, let level, let group):
      var text = "log"
      if !prefix.isEmpty { text += " prefix \(prefix)" }
      if let level { text += " level \(level)" }
      if let group { text += " group \(group) snaplen 0 qthreshold 0" }
      return text
    case .reject(let type, let code): return "reject type \(type) code \(code ?? 0)"
    case .verdict(let verdict): return "immediate reg 0 \(name(verdict))"
    case .immediate(let register, let data): return "immediate reg \(register) \(words(data))"
    case .nat(let isSource, let family, let addresses, let ports, let flags):
      var text = "nat \(isSource ? "snat" : "dnat") \(family == 2 ? "ip" : "ip6") "
      text += "addr_min reg \(addresses.lowerBound)"
      if addresses.count > 1 { text += " addr_max reg \(addresses.upperBound)" }
      if let ports {
        text += " proto_min reg \(ports.lowerBound)"
        if ports.count > 1 { text += " proto_max reg \(ports.upperBound)" }
      }
      // That there are addresses nft leaves to the kernel, and behind a map that there are ports.
      let isMap = ports.map { $0.lowerBound == 9 || $0.lowerBound == addresses.lowerBound + 1 } ?? false
      let shown = flags & ~1 & (isMap && sets.contains { $0.dataType != nil } ? ~2 : ~0)
      return shown == 0 ? text : text + " flags 0x\(String(shown, radix: 16))"
    case .masquerade: return "masq"
    case .redirect(let ports, let flags):
      var text = "redir"
      if let ports { text += " proto_min reg \(ports.lowerBound)" }
      return flags == 0 ? text : text + " flags 0x\(String(flags, radix: 16))"
    case .unknown(let name, _): return "unknown \(name)"
    }
  }

  private static func name(_ key: Expression.MetaKey) -> String {
    switch key {
    case .family: "nfproto"
    case .transportProtocol: "l4proto"
    case .inputInterfaceName: "iifname"
    case .outputInterfaceName: "oifname"
    case .socketUser: "skuid"
    case .socketGroup: "skgid"
    case .mark: "mark"
    case .length: "len"
    case .inputInterfaceType: "iiftype"
    case .packetType: "pkttype"
    case .securityPath: "secpath"
    case .hour: "hour"
    case .day: "day"
    default: "?"
    }
  }

  private static func name(_ key: Expression.ConntrackKey) -> String {
    switch key {
    case .state: "state"
    case .status: "status"
    case .mark: "mark"
    case .direction: "?"
    }
  }

  private static func name(_ base: Expression.PayloadBase) -> String {
    switch base {
    case .linkLayer: "link"
    case .network: "network"
    case .transport: "transport"
    }
  }

  private static func name(_ comparison: Expression.Comparison) -> String {
    switch comparison {
    case .equal: "eq"
    case .notEqual: "neq"
    case .less: "lt"
    case .lessOrEqual: "lte"
    case .greater: "gt"
    case .greaterOrEqual: "gte"
    }
  }

  private static func name(_ verdict: KernelVerdict) -> String {
    switch verdict {
    case .accept: "accept"
    case .drop: "drop"
    case .continue: "continue"
    case .return: "return"
    case .jump(let chain): "jump -> \(chain)"
    case .goto(let chain): "goto -> \(chain)"
    }
  }

  /// Register bytes as host-order words of 32 bits, the last one filled up with zeros.
  static func words(_ bytes: [UInt8]) -> String {
    stride(from: 0, to: bytes.count, by: 4).map { start in
      let word = (0..<4).reduce(UInt32(0)) { word, index in
        start + index < bytes.count ? word | UInt32(bytes[start + index]) << UInt32(8 * index) : word
      }
      let digits = String(word, radix: 16)
      return "0x" + String(repeating: "0", count: 8 - digits.count) + digits
    }.joined(separator: " ")
  }

  /// The elements that nft sends for a set, sorted: keys without `0x`, and `+` before the end of a range.
  static func elements(_ set: KernelSet) -> [String] {
    func key(_ bytes: [UInt8]) -> String { words(bytes).replacing("0x", with: "") }
    func data(_ element: KernelSet.Element) -> String {
      switch element.data {
      case nil: ""
      case .verdict(let verdict)?: " : \(name(verdict))"
      case .value(let bytes)?: " : \(key(bytes))"
      }
    }
    if case .concatenation = set.keyType {
      return set.elements.map {
        (set.isInterval ? "\(key($0.lower)) - \(key($0.upper))" : key($0.lower)) + data($0)
      }.sorted()
    }
    guard set.isInterval else { return set.elements.map { key($0.lower) + data($0) }.sorted() }
    var items: [String] = []
    if let first = set.elements.first, first.lower.contains(where: { $0 != 0 }) {
      items.append("+" + key([UInt8](repeating: 0, count: first.lower.count)))
    }
    for element in set.elements {
      items.append(key(element.lower))
      var next = element.upper
      var index = next.count - 1
      while index >= 0, next[index] == 0xff {
        next[index] = 0
        index -= 1
      }
      guard index >= 0 else { continue }
      next[index] += 1
      items.append("+" + key(next))
    }
    return items.sorted()
  }
}

extension NetlinkNotation {
  /// What `nft --debug=netlink -f` says about a file: each rule's expressions, and each set's elements
  /// behind its name.
  struct Program: Equatable {
    var rules: [String] = []
    var sets: [[String]] = []

    /// From our own expressions and sets.
    init(of ruleset: Ruleset) {
      for table in ruleset.tables {
        // Nothing is sent into a set that rules or others fill.
        for set in table.sets where !set.elements.isEmpty {
          sets.append(["\(set.name ?? "")"] + NetlinkNotation.elements(set))
        }
        for rule in table.chains.flatMap(\.rules) {
          for set in rule.anonymousSets {
            sets.append([set.dataType == nil ? "__set%d" : "__map%d"] + NetlinkNotation.elements(set))
          }
          rules.append(
            rule.expressions.map { NetlinkNotation.line($0, sets: rule.anonymousSets) }.joined(
              separator: "\n"))
        }
      }
    }

    init(parsing output: String) {
      var rule: [String] = []
      var setName: String?
      for line in output.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
        let trimmed = String(line.drop { $0 == " " || $0 == "\t" })
        if line.hasPrefix("  [ ") {
          rule.append(trimmed)
          continue
        }
        if !rule.isEmpty {
          rules.append(rule.joined(separator: "\n"))
          rule = []
        }
        if line.hasPrefix("\telement "), let name = setName {
          sets.append([name] + Self.elements(trimmed))
        } else if let name = line.split(separator: " ").first, line.contains(" lockdown ") {
          setName = String(name)
        }
      }
      if !rule.isEmpty { rules.append(rule.joined(separator: "\n")) }
    }

    /// `element 0000000a  : 0 [end]	element 0000000b  : 1 [end]`, where 1 is the flag of a range's end; of a
    /// map `element 00001600  : jump -> ssh 0 [end]`.
    private static func elements(_ line: String) -> [String] {
      line.split(separator: "element ").map { item in
        let parts = item.split(separator: ":", maxSplits: 1)
        let key = parts[0].split(separator: " ").joined(separator: " ")
        let tail = parts.count > 1 ? parts[1].split(whereSeparator: \.isWhitespace) : []
        let words = tail.prefix { $0 != "[end]" }
        let data = words.dropLast().joined(separator: " ")
        return (words.last == "1" ? "+" : "") + key + (data.isEmpty ? "" : " : \(data)")
      }.sorted()
    }
  }
}
