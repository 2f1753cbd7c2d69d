internal import CanonicalJSON
internal import Ruleset

/// The text of one rule.
enum NFTRule {
  static func append(_ rule: KernelRule, to text: inout ByteBuffer) {
    var isFirst = true
    for statement in rule.statements {
      if !isFirst { text += " " }
      isFirst = false
      switch statement {
      case .match(let field, let comparison, let operand):
        append(field, comparison, operand, sets: rule.anonymousSets, to: &text)
      case .verdict(.accept): text += "accept"
      case .verdict(.drop): text += "drop"
      default: text += self.text(statement, sets: rule.anonymousSets)
      }
    }
    if let comment = rule.comment {
      if !isFirst { text += " " }
      text += "comment "
      text += NFTString.quoted(comment)
    }
  }

  /// Of all but comparisons.
  private static func text(_ statement: RuleStatement, sets: [KernelSet]) -> String {
    switch statement {
    // INVARIANT: the caller has parted them off.
    case .match: return NFTString.inexpressible
    case .counter(let name):
      return name.map { "counter name \(NFTString.quoted($0))" } ?? "counter"
    case .limit(let rate, let seconds, let burst, let isBytes, let isOver):
      return text(
        ElementState.limit(rate: rate, seconds: seconds, burst: burst, isBytes: isBytes, isOver: isOver))
    case .quota(let bytes, let isOver):
      return "quota \(isOver ? "over " : "")\(bytes) bytes"
    case .log(let prefix, let level, let group):
      var text = "log"
      if !prefix.isEmpty { text += " prefix \(NFTString.logPrefix(prefix))" }
      if let level { text += " level \(name(ofLevel: level))" }
      if let group { text += " group \(group)" }
      return text
    case .reject(let reject): return text(reject)
    case .change(let change): return text(change)
    case .setUpdate(let update): return text(update)
    case .notrack: return "notrack"
    case .verdict(let verdict): return text(verdict)
    case .verdictMap(let field, let map):
      guard case .anonymous(let index) = map else { return NFTString.inexpressible }
      let set = sets[index]
      let entries = zip(NFTKey.elements(of: set), set.elements).map { key, element in
        guard case .verdict(let verdict)? = element.data else { return NFTString.inexpressible }
        return "\(key) : \(text(verdict))"
      }
      return "\(NFTKey.name(of: field)) vmap { \(entries.joined(separator: ", ")) }"
    case .masquerade: return "masquerade"
    case .redirect(let port): return port.map { "redirect to :\(NFTKey.port($0))" } ?? "redirect"
    case .nat(let nat): return text(nat)
    case .natMap(let isV6, let field, let map):
      guard case .anonymous(let index) = map else { return NFTString.inexpressible }
      let set = sets[index]
      let entries = zip(NFTKey.elements(of: set), set.elements).map { key, element in
        "\(key) : \(NFTKey.data(of: element, set))"
      }
      let table = entries.joined(separator: ", ")
      return "dnat \(isV6 ? "ip6" : "ip") addr . port to \(NFTKey.name(of: field)) map { \(table) }"
    }
  }

  private static func append(
    _ field: RuleStatement.Field, _ comparison: RuleStatement.Operator, _ operand: RuleStatement.Operand,
    sets: [KernelSet], to text: inout ByteBuffer
  ) {
    switch field {
    case .sourcePort(let header):
      text += header
      text += " sport"
    case .destinationPort(let header):
      text += header
      text += " dport"
    default: text += NFTKey.name(of: field)
    }
    // `anyBit` is what nft means by a bare list of flags.
    text += comparison == .notEqual ? " != " : NFTKey.needsOperator(field) ? " == " : " "
    switch operand {
    case .value(let bytes): NFTKey.append(bytes, of: field, to: &text)
    case .prefix(let bytes): text += NFTString.interfacePrefix(bytes)
    case .network(let bytes, let bits):
      NFTKey.append(bytes, of: field, to: &text)
      text += "/"
      text += String(bits)
    case .range(let lower, let upper):
      text += NFTKey.ordered(lower, of: field) + "-" + NFTKey.ordered(upper, of: field)
    case .set(.named(let name), _):
      text += "@"
      text += name
    case .set(.anonymous(let index), _):
      // INVARIANT: a rule's references index its own list.
      text += "{ " + NFTKey.elements(of: sets[index]).joined(separator: ", ") + " }"
    }
  }

  private static func text(_ update: RuleStatement.SetUpdate) -> String {
    var words = ["\(update.operation)", "@\(update.set)", "{", NFTKey.name(of: update.key)]
    if let mask = update.mask { words += ["&", NFTKey.text(mask, of: update.key)] }
    if let timeout = update.timeout { words.append("timeout \(NFTString.duration(timeout))") }
    if let state = update.state { words.append(text(state)) }
    return words.joined(separator: " ") + " }"
  }

  private static func text(_ state: ElementState) -> String {
    switch state {
    case .limit(let rate, let seconds, let burst, let isBytes, let isOver):
      var text = "limit rate \(isOver ? "over " : "")\(rate)\(isBytes ? " bytes" : "")/\(unit(of: seconds))"
      if !isBytes {
        text += " burst \(burst) packets"
      } else if burst > 0 {
        text += " burst \(burst) bytes"
      }
      return text
    case .connections(let count, let isOver):
      return "ct count \(isOver ? "over " : "")\(count)"
    }
  }

  private static func text(_ change: RuleStatement.Change) -> String {
    switch change {
    case .packetMark(let mark): "meta mark set 0x\(String(mark, radix: 16))"
    case .connectionMark(let mark): "ct mark set 0x\(String(mark, radix: 16))"
    case .restoreMark: "meta mark set ct mark"
    case .saveMark: "ct mark set meta mark"
    case .ipv4DSCP(let code): "ip dscp set \(code)"
    case .ipv6DSCP(let code): "ip6 dscp set \(code)"
    case .segmentSize(let bytes): "tcp option maxseg size set \(bytes.map { String($0) } ?? "rt mtu")"
    }
  }

  private static func text(_ nat: RuleStatement.NAT) -> String {
    let verb = "\(nat.isSource ? "snat" : "dnat") \(nat.isV6 ? "ip6" : "ip")"
    if nat.isPrefix {
      let bits = KernelSet.Element(nat.lower, nat.upper).prefixLength ?? 0
      return "\(verb) prefix to \(NFTKey.address(nat.lower))/\(bits)"
    }
    // A port behind an IPv6 address wants brackets around that.
    let isBracketed = nat.isV6 && nat.ports != nil
    var text = [nat.lower, nat.upper].prefix(nat.lower == nat.upper ? 1 : 2).map { address in
      isBracketed ? "[\(NFTKey.address(address))]" : NFTKey.address(address)
    }.joined(separator: "-")
    if let ports = nat.ports {
      text += ":\(NFTKey.port(ports.lower))"
      if ports.lower != ports.upper { text += "-\(NFTKey.port(ports.upper))" }
    }
    return "\(verb) to \(text)"
  }

  private static func unit(of seconds: UInt64) -> String {
    switch seconds {
    case 1: "second"
    case 60: "minute"
    case 3600: "hour"
    case 86400: "day"
    case 604800: "week"
    default: NFTString.inexpressible
    }
  }

  /// Levels of syslog(3), as nft calls them.
  private static func name(ofLevel level: UInt8) -> String {
    let names = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug", "audit"]
    return Int(level) < names.count ? names[Int(level)] : NFTString.inexpressible
  }

  /// NFT_REJECT_* with its codes. Always written out: a bare `reject` means another type behind a family guard.
  private static func text(_ reject: RuleStatement.Reject) -> String {
    switch (reject.type, reject.code) {
    case (1, _): "reject with tcp reset"
    case (0, 3?): "reject with icmp port-unreachable"
    case (0, 4?): "reject with icmpv6 port-unreachable"
    case (2, 0?): "reject with icmpx no-route"
    case (2, 1?): "reject with icmpx port-unreachable"
    case (2, 2?): "reject with icmpx host-unreachable"
    case (2, 3?): "reject with icmpx admin-prohibited"
    default: NFTString.inexpressible
    }
  }

  private static func text(_ verdict: KernelVerdict) -> String {
    switch verdict {
    case .accept: "accept"
    case .drop: "drop"
    case .continue: "continue"
    case .return: "return"
    case .jump(let chain): "jump \(chain)"
    case .goto(let chain): "goto \(chain)"
    }
  }
}
