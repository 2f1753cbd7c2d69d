import NFTables
import PolicyModel
import Ruleset

/// The attributes of an expression that nothing of ours has: bytes by their numbers.
struct NetlinkAttributes {
  private var values: [UInt8: [UInt8]] = [:]

  /// Nil: they are cut off.
  init?(_ data: [UInt8]) {
    var offset = 0
    while offset + 4 <= data.count {
      // Length and type of `struct nlattr` are in host order, which is that of x86 and arm64.
      let length = Int(data[offset]) | Int(data[offset + 1]) << 8
      guard length >= 4, offset + length <= data.count else { return nil }
      values[data[offset + 2]] = Array(data[(offset + 4)..<(offset + length)])
      offset += (length + 3) & ~3
    }
    guard offset >= data.count else { return nil }
  }

  /// - Parameter type: of the attribute.
  subscript(_ type: UInt8) -> [UInt8]? { values[type] }

  /// A number in network order, as all of nf_tables.
  func number(_ type: UInt8) -> UInt32? {
    values[type].map { UInt32(truncatingIfNeeded: ConditionLift.number($0)) }
  }

  /// NFTA_META_DREG with NFTA_META_KEY NFT_META_PROTOCOL.
  var loadsLinkProtocol: Bool { number(2) == 1 && values[1] != nil }
}

extension Expression {
  /// Whether it only asks, or loads what is asked: then it ends the rule for some packets and does nothing else.
  var isQuestion: Bool {
    switch self {
    case .meta, .payload, .conntrack, .fib, .extensionHeader, .route, .socketControlGroup, .immediate,
      .bitwise,
      .byteOrder, .compare, .range, .lookup:
      true
    case .unknown(let name, _):
      name == "match" || name == "cmp" || name == "range" || name == "lookup" || loads
    default: false
    }
  }

  /// Whether a register has another value behind it.
  var loads: Bool {
    switch self {
    case .meta, .payload, .conntrack, .fib, .extensionHeader, .route, .socketControlGroup, .immediate,
      .bitwise,
      .byteOrder:
      return true
    case .unknown(let name, let data):
      switch name {
      // NFTA_META_DREG, NFTA_CT_DREG, NFTA_PAYLOAD_DREG, NFTA_EXTHDR_DREG: else they write into the packet.
      case "meta", "ct", "payload", "exthdr": return NetlinkAttributes(data)?[1] != nil
      case "bitwise", "byteorder", "fib", "hash", "numgen", "osf", "rt", "socket", "tunnel", "xfrm":
        return true
      default: return false
      }
    default: return false
    }
  }

  /// Whether it changes nothing that a rule of the model asks for, and never ends the rule: counters, logs, copies, and
  /// marks for others.
  var onlyTells: Bool {
    switch self {
    // NFT_OBJECT_COUNTER, _CT_HELPER, _CT_TIMEOUT, _SECMARK, _CT_EXPECT.
    case .counter, .log, .objectReference(type: 1, _), .objectReference(type: 3, _),
      .objectReference(type: 7, _),
      .objectReference(type: 8, _), .objectReference(type: 9, _):
      return true
    case .unknown(let name, let data):
      let attributes = NetlinkAttributes(data)
      switch name {
      case "dup", "last", "log": return true
      // NFTA_META_SREG with NFT_META_PRIORITY, _NFTRACE, _SECMARK.
      case "meta": return attributes?[3] != nil && [2, 12, 14].contains(attributes?.number(2))
      // NFTA_CT_SREG: all but marks, which the model has.
      case "ct": return attributes?[4] != nil && attributes?.number(2) != 3
      default: return false
      }
    default: return false
    }
  }
}

extension RuleLift {
  /// What is nothing to ask of others' programs.
  func tellsOthers(_ expression: Expression) -> Bool {
    guard !context.isStrict else { return false }
    switch expression {
    // Nobody compares them; those that the model has are kept as they are.
    case .counter, .objectReference(type: 1, _): return rule.counter != nil || endsEarly
    case .log: return rule.log != nil || endsEarly
    default: return expression.onlyTells
    }
  }

  /// What no expression of ours says.
  mutating func actForeign(_ name: String, _ data: [UInt8]) throws(LiftError) {
    let attributes = NetlinkAttributes(data)
    guard !context.isStrict, !Expression.unknown(name: name, data).loads, let attributes else {
      throw LiftError("the expression `\(name)`, which the model has no word for")
    }
    switch name {
    case "connlimit":
      // NFTA_CONNLIMIT_COUNT, _FLAGS: NFT_CONNLIMIT_F_INV.
      guard let count = attributes.number(1) else { throw LiftError("a number of connections that is none") }
      try enter(.connections)
      rule.connections = ConnectionLimit(isOver: (attributes.number(2) ?? 0) & 1 == 1, count: count)
    // Which port is taken is not asked: any may be.
    case "masq": verdict = .translate(.masquerade)
    // It sets a path for the packets behind, and ends the rule for a flow that gets none.
    case "flow_offload": mayEnd(behind: "a flowtable that may not take the flow")
    // A TCP option is taken out, or written where it is.
    case "exthdr": mayEnd(behind: "a TCP option that may be missing")
    default: throw LiftError("the expression `\(name)`, which the model has no word for")
    }
  }

  /// A limit or a quota that has a name: rules that share it share its tokens, and each of them holds sometimes.
  mutating func refer(_ type: UInt32, _ name: String) throws(LiftError) {
    let object = context.objects.first { $0.type == type && $0.name == name }
    guard !context.isStrict, let meaning = object?.expression else {
      throw LiftError("an object that the model has no word for")
    }
    try act(meaning)
    guard context.sharedObjects.contains((type == 2 ? "quota " : "limit ") + name) else { return }
    let shared = context.setPrefix + name
    if type == 2 { rule.quota?.shared = shared } else { rule.limit?.shared = shared }
  }
}
