import PolicyModel

/// One concrete packet of a box, in the words of the language: what a message shows as proof.
struct Witness {
  let text: String

  /// Picks the values a reader would expect: TCP before others, low ports, documentation addresses.
  init(from box: PacketBox, hook: Hook) {
    var words: [String] = []
    let protocols = box[.transportProtocol]
    let number = [6, 17, 1, 58].first { protocols.contains($0) } ?? protocols.ranges.first?.lower ?? 0
    let isICMP = number == 1 || number == 58
    if number == PacketBox.absentProtocol {
      words.append("\(box.family == .ipv4 ? "ipv4" : "ipv6") without a transport protocol")
    } else {
      words.append(Self.protocolName(number))
    }
    if isICMP, let icmp = box[.icmp].ranges.first?.lower, icmp < PacketBox.absentPort {
      words.append("\(icmp >> 8)/\(icmp & 0xff)")
    }
    words.append("from " + Self.address(box[.sourceAddress], box.family, preferring: Self.outside))
    let hasPorts = [6, 17, 33, 132, 136].contains(number)
    if hasPorts, let port = Self.port(box[.sourcePort], preferring: [40_000]) {
      words.append("port \(port)")
    }
    words.append("to " + Self.address(box[.destinationAddress], box.family, preferring: Self.inside))
    if hasPorts, let port = Self.port(box[.destinationPort], preferring: [22, 80, 443, 8080]) {
      words.append("port \(port)")
    }
    if hook != .output, hook != .postrouting,
      let name = box.inputInterface.sample()
    {
      words.append("in \(name)")
    }
    if hook != .input, hook != .prerouting,
      let name = box.outputInterface.sample()
    {
      words.append("out \(name)")
    }
    if hook == .output || hook == .postrouting, !box[.user].contains(0),
      let user = box[.user].ranges.first?.lower
    {
      words.append(user == PacketBox.absentID ? "without a socket" : "user \(user)")
    }
    words += Self.remarkable(box, isTCP: number == 6)
    for membership in box.memberships.filter(\.value).keys.sorted() {
      words.append("\(membership.side.rawValue) in $\(membership.set)")
    }
    words.append(Self.stateName(box[.state]))
    text = words.joined(separator: " ")
  }

  /// What is not as usual about it.
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
      let names = TCPFlags(rawValue: UInt8(truncatingIfNeeded: flags)).words
      words.append("flags " + (names.isEmpty ? "none" : names.joined(separator: ", ")))
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
      let parts = [second / 3600, second / 60 % 60].map { ($0 < 10 ? "0" : "") + String($0) }
      words.append("at \(parts.joined(separator: ":")) UTC")
    }
    if let day = value(.day, unless: 1), day < Weekdays.names.count {
      words.append("on \(Weekdays.names[Int(day)])")
    }
    if value(.fragment, unless: 0) != nil { words.append("fragment") }
    if value(.spoofed, unless: 0) != nil { words.append("spoofed") }
    if value(.ipsec, unless: 0) != nil { words.append("ipsec") }
    return words
  }

  /// The values of a field that a reader would expect, the first one first.
  static func usual(_ field: PacketBox.Field, _ family: Families) -> [UInt128] {
    switch field {
    case .transportProtocol: [6, 17, 1, 58]
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

  private static func address(
    _ set: IntervalSet<UInt128>, _ family: Families, preferring usual: [UInt128]
  ) -> String {
    let value =
      usual.first { set.contains($0) && (family == .ipv6) == ($0 > UInt128(UInt32.max)) }
      ?? set.ranges.first?.lower ?? 0
    return address(value, family)
  }

  static func address(_ value: UInt128, _ family: Families) -> String {
    family == .ipv4 ? ipv4Text(UInt32(truncatingIfNeeded: value)) : ipv6Text(value)
  }

  static func link(_ value: UInt128) -> String {
    LinkAddress(UInt64(truncatingIfNeeded: value)).bytes
      .map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
  }

  private static func port(_ set: IntervalSet<UInt128>, preferring usual: [UInt128]) -> UInt128? {
    if let port = usual.first(where: { set.contains($0) }) { return port }
    guard let first = set.ranges.first, first.lower < PacketBox.absentPort else { return nil }
    return first.lower == 0 && first.upper > 0 ? 1 : first.lower
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
