internal import CNFTables
package import Ruleset

/// Prints decoded tables, one expression per line: for people, and to compare two rulesets in full.
///
/// Equal text means equal rules. Handles, counts of packets and the kernel's names of anonymous sets are not
/// printed; neither is a label or a source, unless asked for, because nft text cannot carry them.
package struct DumpText {
  package var showsLabels: Bool
  package var showsSources: Bool
  private var lines: [String] = []

  package init(showsLabels: Bool, showsSources: Bool = false) {
    self.showsLabels = showsLabels
    self.showsSources = showsSources
  }

  /// The tables as lines, each with its newline.
  package func print(_ tables: [DumpedTable]) -> String {
    var printer = self
    for table in tables { printer.add(table) }
    return printer.lines.map { $0 + "\n" }.joined()
  }

  private mutating func add(_ depth: Int, _ words: [String?]) {
    let indent = String(repeating: "  ", count: depth)
    lines.append(indent + words.compactMap { $0 }.joined(separator: " "))
  }

  private func labelWord(_ label: [UInt8]) -> String? {
    showsLabels && !label.isEmpty ? "label \(Self.hexadecimal(label))" : nil
  }

  private func commentWord(_ comment: String?) -> String? {
    comment.map { "comment \(Self.quoted($0))" }
  }

  // MARK: Tables

  private mutating func add(_ table: DumpedTable) {
    add(0, ["table", "\(table.family)", table.name, "flags \(table.flags)", commentWord(table.comment)])
    for object in table.objects {
      let type = object.type == UInt32(NFT_OBJECT_COUNTER) ? "counter" : "type \(object.type)"
      let data = object.data.isEmpty ? nil : "data \(Self.hexadecimal(object.data))"
      add(1, ["object", type, object.name, data, commentWord(object.comment), labelWord(object.label)])
    }
    for set in table.sets { add(1, set, title: "set \(set.name ?? "")") }
    for chain in table.chains { add(chain) }
  }

  private mutating func add(_ depth: Int, _ set: DumpedSet, title: String) {
    let type = set.keyType.map(Self.name) ?? "type \(set.keyTypeNumber)"
    let other = set.otherAttributes.isEmpty ? nil : "other attributes \(set.otherAttributes)"
    add(
      depth,
      [
        title, type, "length \(set.keyLength)", set.dataTypeNumber.map { "to 0x\(String($0, radix: 16))" },
        set.dataLength.map { "data length \($0)" }, "flags 0x\(String(set.flags, radix: 16))",
        set.size.map { "size \($0)" }, set.timeout.map { "timeout \($0) ms" }, commentWord(set.comment),
        labelWord(set.label), other,
      ])
    for element in set.elements { add(depth + 1, [Self.text(element, type: set.keyType)]) }
    for bytes in set.otherElements { add(depth + 1, ["unknown", Self.hexadecimal(bytes)]) }
  }

  private mutating func add(_ chain: DumpedChain) {
    if let base = chain.base {
      let policy = base.accepts ? "accept" : "drop"
      add(
        1,
        [
          "chain", chain.name, base.type.rawValue,
          "hook \(base.hook) priority \(base.priority) policy \(policy)",
          base.device.map { "device \($0)" },
        ])
    } else {
      add(1, ["chain", chain.name, chain.isBase ? "unknown hook" : nil])
    }
    for rule in chain.rules {
      let source = showsSources && rule.source != 0 ? "source \(rule.source)" : nil
      add(2, ["rule", commentWord(rule.comment), labelWord(rule.label), source])
      for (index, set) in rule.anonymousSets.enumerated() { add(3, set, title: "set #\(index)") }
      for expression in rule.expressions { add(3, [Self.text(expression)]) }
    }
  }

  // MARK: Expressions

  /// One expression in the kernel's terms.
  package static func text(_ expression: Expression) -> String {
    switch expression {
    case .meta(let key, let register): "meta \(key) => reg \(register)"
    case .payload(let base, let offset, let length, let register):
      "payload \(base) offset \(offset) length \(length) => reg \(register)"
    case .conntrack(let key, let register): "ct \(key) => reg \(register)"
    case .socketControlGroup(let level, let register): "socket cgroupv2 level \(level) => reg \(register)"
    case .fib(let result, let flags, let register):
      "fib \(result) flags 0x\(String(flags, radix: 16)) => reg \(register)"
    case .extensionHeader(let type, let offset, let length, let register):
      "exthdr \(type) offset \(offset) length \(length) => reg \(register)"
    case .route(let key, let register): "rt \(key) => reg \(register)"
    case .setMeta(let key, let register): "meta \(key) <= reg \(register)"
    case .setConntrack(let key, let register): "ct \(key) <= reg \(register)"
    case .setPayload(let base, let offset, let length, let register, let checksum):
      "payload \(base) offset \(offset) length \(length)\(checksum.map { " checksum \($0)" } ?? "") <= reg \(register)"
    case .setTCPOption(let kind, let offset, let length, let register):
      "tcp option \(kind) offset \(offset) length \(length) <= reg \(register)"
    case .notrack: "notrack"
    case .compare(let register, let comparison, let data):
      "cmp reg \(register) \(comparison) \(hexadecimal(data))"
    case .range(let register, let isNegated, let lower, let upper):
      "range reg \(register)\(isNegated ? " not" : "") \(hexadecimal(lower)) - \(hexadecimal(upper))"
    case .bitwise(let register, let destination, let mask, let xor):
      "bitwise reg \(register) & \(hexadecimal(mask)) ^ \(hexadecimal(xor)) => reg \(destination)"
    case .byteOrder(let register, let destination, let toNetwork, let length, let size):
      "byteorder reg \(register) \(toNetwork ? "hton" : "ntoh") length \(length) size \(size) => reg \(destination)"
    case .lookup(let register, let set, let isNegated):
      "lookup reg \(register)\(isNegated ? " not" : "") in \(name(set))"
    case .mapLookup(let register, let set, let destination):
      "lookup reg \(register) in \(name(set)) => reg \(destination)"
    case .counter: "counter"
    case .objectReference(let type, let name): "objref type \(type) \(name)"
    case .limit(let rate, let seconds, let burst, let isBytes, let isOver):
      text(
        ElementState.limit(rate: rate, seconds: seconds, burst: burst, isBytes: isBytes, isOver: isOver))
    case .dynamicSet(let register, let set, let operation, let timeout, let state):
      [
        "dynset \(operation) reg \(register) in @\(set)", timeout.map { "timeout \($0) ms" },
        state.map { "{ \(text($0)) }" },
      ].compactMap { $0 }.joined(separator: " ")
    case .quota(let bytes, let isOver): "quota\(isOver ? " over" : "") \(bytes) bytes"
    case .log(let prefix, let level, let group):
      ["log prefix \(quoted(prefix))", level.map { "level \($0)" }, group.map { "group \($0)" }]
        .compactMap { $0 }.joined(separator: " ")
    case .reject(let type, let code): "reject type \(type)" + (code.map { " code \($0)" } ?? "")
    case .verdict(let verdict): text(verdict)
    case .immediate(let register, let data): "immediate \(hexadecimal(data)) => reg \(register)"
    case .nat(let isSource, let family, let addresses, let ports, let flags):
      [
        "\(isSource ? "snat" : "dnat") family \(family) reg \(addresses)", ports.map { "ports reg \($0)" },
        "flags 0x\(String(flags, radix: 16))",
      ].compactMap { $0 }.joined(separator: " ")
    case .masquerade: "masquerade"
    case .redirect(let ports, let flags):
      (["redirect"] + (ports.map { ["ports reg \($0)"] } ?? []) + ["flags 0x\(String(flags, radix: 16))"])
        .joined(separator: " ")
    case .unknown(let name, let data): "unknown \(quoted(name)) \(hexadecimal(data))"
    }
  }

  static func text(_ state: ElementState) -> String {
    switch state {
    case .limit(let rate, let seconds, let burst, let isBytes, let isOver):
      "limit\(isOver ? " over" : "") \(rate) \(isBytes ? "bytes" : "packets") per \(seconds) s burst \(burst)"
    case .connections(let count, let isOver): "connections\(isOver ? " over" : " up to") \(count)"
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

  private static func name(_ set: SetReference) -> String {
    switch set {
    case .named(let name): "@\(name)"
    case .anonymous(let index): "#\(index)"
    }
  }

  // MARK: Keys

  private static func name(_ type: KernelSet.KeyType) -> String {
    switch type {
    case .family: "nf_proto"
    case .ipv4Address: "ipv4_addr"
    case .ipv6Address: "ipv6_addr"
    case .inetProtocol: "inet_proto"
    case .inetService: "inet_service"
    case .interfaceName: "ifname"
    case .conntrackState: "ct_state"
    case .icmpType: "icmp_type"
    case .icmpCode: "icmp_code"
    case .icmpv6Type: "icmpv6_type"
    case .icmpv6Code: "icmpv6_code"
    case .uid: "uid"
    case .gid: "gid"
    case .fibAddressType: "fib_addrtype"
    case .mark: "mark"
    case .dscp, .ipv6DSCP: "dscp"
    case .timeToLive, .packetLength: "integer"
    case .packetType: "pkt_type"
    case .linkAddress: "ether_addr"
    case .day: "day"
    case .controlGroup: "cgroupsv2"
    case .concatenation(let fields): fields.map(name).joined(separator: " . ")
    }
  }

  private static func text(_ element: KernelSet.Element, type: KernelSet.KeyType?) -> String {
    let lower = text(element.lower, type: type)
    let keys = element.lower == element.upper ? lower : "\(lower)-\(text(element.upper, type: type))"
    return switch element.data {
    case nil: keys
    case .verdict(let verdict)?: "\(keys) : \(text(verdict))"
    case .value(let bytes)?: "\(keys) : \(hexadecimal(bytes))"
    }
  }

  private static func text(_ key: [UInt8], type: KernelSet.KeyType?) -> String {
    switch type {
    case .ipv4Address where key.count == 4: key.map { String($0) }.joined(separator: ".")
    case .inetService where key.count == 2: String(key.reduce(0) { $0 << 8 | Int($1) })
    case .inetProtocol, .icmpType, .icmpCode, .icmpv6Type, .icmpv6Code:
      key.map { String($0) }.joined(separator: ".")
    default: hexadecimal(key)
    }
  }

  static func hexadecimal(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = Array("0x".utf8)
    for byte in bytes {
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// In double quotes, with whatever could end the line or the quotes escaped.
  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": result += "\\\(scalar)"
      case _ where scalar.value < 0x20 || scalar.value == 0x7f:
        result += "\\u{\(String(scalar.value, radix: 16))}"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
