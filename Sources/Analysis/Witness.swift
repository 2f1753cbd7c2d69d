import PolicyModel

/// One concrete packet of a box, in the words of the language: what a message shows as proof.
struct Witness {
  let text: String
  let sample: PacketSample
  /// Why it cannot arrive on a host with the kernel's own settings; nil: it can.
  let cannotArrive: String?

  /// Picks the values a reader would expect: TCP before others, low ports, documentation addresses.
  init(from box: PacketBox, hook: Hook) {
    let sample = PacketSample(box, hook: hook)
    var words: [String] = []
    if let number = sample.transportProtocol {
      words.append(Self.protocolName(UInt128(number)))
    } else {
      words.append("\(box.family == .ipv4 ? "ipv4" : "ipv6") without a transport protocol")
    }
    if let icmp = sample.icmp { words.append("\(icmp >> 8)/\(icmp & 0xff)") }
    words += Self.place("from", sample.source, .sourceAddress, .sourceType, box)
    if let port = sample.sourcePort { words.append("port \(port)") }
    words += Self.place("to", sample.destination, .destinationAddress, .destinationType, box)
    if let port = sample.destinationPort { words.append("port \(port)") }
    if let name = sample.inputInterface { words.append("in \(name)") }
    if let name = sample.outputInterface { words.append("out \(name)") }
    for (field, word) in [(PacketBox.Field.user, "user"), (.group, "group")] {
      let usual = Self.usual(field, box.family, at: hook)[0]
      guard !box[field].contains(usual), let id = box[field].ranges.first?.lower else { continue }
      let text = id == PacketBox.absentID ? "without a socket" : "\(word) \(id)"
      if !words.contains(text) { words.append(text) }
    }
    let groups = box.controlGroups.filter(\.value).keys.sorted().map(\.path)
    if !groups.isEmpty { words.append("cgroup \(groups.joined(separator: ", "))") }
    words += Self.remarkable(box, isTCP: sample.transportProtocol == 6)
    for membership in box.memberships.filter(\.value).keys.sorted() {
      words.append("\(membership.side.rawValue) in $\(membership.set)")
    }
    words.append(Self.stateName(box[.state]))
    text = words.joined(separator: " ")
    self.sample = sample
    cannotArrive = Martian.reason(sample, hook, isOwnSource: !box[.sourceType].contains(2))
  }

  /// An address, and what the routing table says of it where that is not as usual. A word for that alone stands where
  /// the usual address will do.
  private static func place(
    _ word: String, _ address: UInt128, _ field: PacketBox.Field, _ type: PacketBox.Field, _ box: PacketBox
  ) -> [String] {
    let address = "\(word) \(Self.address(address, box.family))"
    guard !usual(type, box.family).contains(where: { box[type].contains($0) }),
      let value = box[type].ranges.first
    else { return [address] }
    let names = ["local", "broadcast", "not local, broadcast"]
    let kind = "\(word) \(names[Int(value.lower)])"
    return usual(field, box.family).contains(where: { box[field].contains($0) }) ? [kind] : [address, kind]
  }

  /// What is not as usual about it, as clauses of a region that a packet is asked by.
  private static func remarkable(_ box: PacketBox, isTCP: Bool) -> [String] {
    var words: [String] = []
    func value(_ field: PacketBox.Field, unless usual: UInt128) -> UInt128? {
      box[field].contains(usual) ? nil : box[field].ranges.first?.lower
    }
    if box.mark.sample != 0, let mark = box.mark.sample { words.append("mark 0x\(String(mark, radix: 16))") }
    if !box.connectionMark.includesAbsent, let mark = box.connectionMark.sample, mark != 0 {
      words.append("connmark 0x\(String(mark, radix: 16))")
    }
    if isTCP, let flags = value(.tcpFlags, unless: 2), flags < PacketBox.absentFlags {
      words.append("flags \(Self.flags(flags)) of \(Self.flags(0xff))")
    }
    if let status = value(.status, unless: 0) {
      let names = PacketBox.statusNames.enumerated().filter { status >> UInt128($0.offset) & 1 == 1 }
      words.append("status " + names.map(\.element).joined(separator: ", "))
    }
    if let code = value(.dscp, unless: 0) { words.append("dscp \(code)") }
    if let ttl = value(.timeToLive, unless: 64) { words.append("ttl \(ttl)") }
    if let length = value(.length, unless: 60) { words.append("length \(length)") }
    if let type = value(.packetType, unless: 0), type < PacketTypes.names.count {
      words.append("type \(PacketTypes.names[Int(type)])")
    }
    for (field, word) in [(PacketBox.Field.sourceLink, "from"), (.destinationLink, "to")] {
      if let link = value(field, unless: PacketBox.absentLink) {
        words.append("ether \(word) \(Self.link(link))")
      }
    }
    if let second = value(.hour, unless: 43_200) {
      words.append("hours \(Self.minute(second))-\(Self.minute((second + 60) % 86_400))")
    }
    if let day = value(.day, unless: 1), day < Weekdays.names.count {
      words.append("days \(Weekdays.names[Int(day)])")
    }
    if value(.fragment, unless: 0) != nil { words.append("fragment") }
    if value(.spoofed, unless: 0) != nil { words.append("spoofed") }
    if value(.ipsec, unless: 0) != nil { words.append("ipsec") }
    return words
  }

  private static func flags(_ bits: UInt128) -> String {
    let names = TCPFlags(rawValue: UInt8(truncatingIfNeeded: bits)).words
    return names.isEmpty ? "none" : names.joined(separator: ", ")
  }

  /// `hh:mm`, UTC.
  private static func minute(_ second: UInt128) -> String {
    [second / 3600, second / 60 % 60].map { ($0 < 10 ? "0" : "") + String($0) }.joined(separator: ":")
  }

  /// The values of a field that a reader would expect, the first one first.
  ///
  /// - Parameter hook: where it is met; what comes in has no socket yet, or one that delivery has found.
  static func usual(
    _ field: PacketBox.Field, _ family: Families, at hook: Hook = .input
  ) -> [UInt128] {
    switch field {
    case .user, .group: hook.isOfSocket ? [0, PacketBox.absentID] : [PacketBox.absentID, 0]
    case .transportProtocol: [6, 17, family == .ipv4 ? 1 : 58]
    case .sourceAddress: outside.filter { ($0 > UInt128(UInt32.max)) == (family == .ipv6) }
    case .destinationAddress: inside.filter { ($0 > UInt128(UInt32.max)) == (family == .ipv6) }
    case .sourcePort: [40_000, 1]
    case .destinationPort: [22, 80, 443, 8080, 1]
    case .state: [3, 4, 1, 2, 0]
    case .tcpFlags: [2]
    case .timeToLive: [64]
    case .length: [60]
    case .sourceLink, .destinationLink: [PacketBox.absentLink]
    case .hour: [43_200]
    case .day: [1]
    case .sourceType: [2]
    default: [0]
    }
  }

  // Documentation prefixes: RFC 5737 TEST-NET-3 and TEST-NET-1, RFC 3849.
  static let outside: [UInt128] = [0xcb00_7109, 0x2001_0db8_0000_0000_0000_0000_0000_0009]
  static let inside: [UInt128] = [0xc000_0201, 0x2001_0db8_0001_0000_0000_0000_0000_0001]

  static func address(_ value: UInt128, _ family: Families) -> String {
    family == .ipv4 ? ipv4Text(UInt32(truncatingIfNeeded: value)) : ipv6Text(value)
  }

  static func link(_ value: UInt128) -> String {
    LinkAddress(UInt64(truncatingIfNeeded: value)).bytes
      .map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
  }

  private static func stateName(_ set: IntervalSet<UInt128>) -> String {
    let order: [(UInt128, String)] = [
      (3, "new"), (4, "untracked"), (1, "established"), (2, "related"), (0, "invalid"),
    ]
    return order.first { set.contains($0.0) }?.1 ?? ""
  }

  static func protocolName(_ number: UInt128) -> String {
    switch number {
    case 1: "icmp"
    case 6: "tcp"
    case 17: "udp"
    case 33: "dccp"
    case 47: "gre"
    case 50: "esp"
    case 51: "ah"
    case 58: "icmpv6"
    case 132: "sctp"
    case 136: "udplite"
    default: "protocol \(number)"
    }
  }

  private static func ipv4Text(_ value: UInt32) -> String {
    [24, 16, 8, 0].map { String(value >> $0 & 0xff) }.joined(separator: ".")
  }

  /// RFC 5952: the longest run of at least two zero groups becomes `::`, the first of equals.
  private static func ipv6Text(_ value: UInt128) -> String {
    let groups = (0..<8).map { UInt16(truncatingIfNeeded: value >> UInt128((7 - $0) * 16)) }
    var best = 0..<0
    var start = 0
    while start < 8 {
      var end = start
      while end < 8, groups[end] == 0 { end += 1 }
      if end - start >= 2, end - start > best.count { best = start..<end }
      start = max(end, start + 1)
    }
    let text = { (range: Range<Int>) in
      range.map { String(groups[$0], radix: 16) }.joined(separator: ":")
    }
    if best.isEmpty { return text(0..<8) }
    return text(0..<best.lowerBound) + "::" + text(best.upperBound..<8)
  }
}
