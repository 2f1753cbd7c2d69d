import PolicyModel

/// A cube in the words of the language, as far as it has words for it.
struct RegionText {
  private let meaning: Meaning
  /// By field: the classes of each definition's addresses.
  private var names: [Int: [(classes: [UInt32], name: String)]] = [:]

  /// How many elements of a list are shown.
  private let shown: Int

  /// - Parameter listsInFull: else of long lists the first few stand for all.
  init(_ meaning: Meaning, _ definitions: [NamedAddressSet], listsInFull: Bool) {
    self.meaning = meaning
    shown = listsInFull ? .max : 6
    let isIPv4 = meaning.family == .ipv4
    for field in [PacketBox.Field.sourceAddress, .destinationAddress] {
      var seen: Set<String> = []
      for definition in definitions {
        let values =
          isIPv4
          ? IntervalSet(definition.addresses.ipv4.map { AddressRange(UInt128($0.lower), UInt128($0.upper)) })
          : IntervalSet(definition.addresses.ipv6)
        guard !values.isEmpty, let number = meaning.diagram.atoms.number(of: values, field.rawValue),
          seen.insert(definition.name).inserted
        else { continue }
        names[field.rawValue, default: []].append(
          (meaning.diagram.atoms.classes(of: number, field.rawValue), definition.name))
      }
    }
  }

  /// What is asked about dynamic and external sets.
  private func sets(_ side: AddressSide, _ word: String, _ classes: [Int: [UInt32]]) -> [String] {
    meaning.diagram.atoms.dynamicSets.enumerated().compactMap { slot, set in
      let field = DiagramField.membership(slot, side)
      guard let members = classes[field] else { return nil }
      let isMember = meaning.diagram.atoms.values(field, where: members.contains).contains(1)
      return "\(word) \(isMember ? "" : "not ")$\(set)"
    }
  }

  /// What is asked about the sender's control group; who is in one is in no other, which then need not be said.
  private func senders(_ classes: [Int: [UInt32]]) -> [String] {
    let atoms = meaning.diagram.atoms.controlGroups
    var (inside, outside): ([ControlGroup], [ControlGroup]) = ([], [])
    for (slot, group) in atoms.enumerated() {
      let field = DiagramField.controlGroup(slot)
      guard let members = classes[field] else { continue }
      if meaning.diagram.atoms.values(field, where: members.contains).contains(1) {
        inside.append(group)
      } else {
        outside.append(group)
      }
    }
    outside.removeAll { group in inside.contains { !$0.overlaps(group) } }
    return inside.sorted().map { "cgroup \($0.path)" } + outside.sorted().map { "not cgroup \($0.path)" }
  }

  /// Each cube in the words of the language. That a mark is not one value is a cube for each of its bits; these are
  /// told as one, in the place of the first.
  func texts(of cubes: [Cube]) -> [String] {
    var others: [(words: [String], field: Int, mask: UInt32, value: UInt32, place: Int)] = []
    var texts: [String] = []
    for cube in cubes {
      let words = words(of: cube)
      guard let (field, mask, isSet) = onlyMarkBit(cube) else {
        texts.append(words.joined(separator: " "))
        continue
      }
      if let index = others.firstIndex(where: {
        $0.words == words && $0.field == field && $0.mask & mask == 0
      }) {
        others[index].mask |= mask
        if !isSet { others[index].value |= mask }
        continue
      }
      others.append((words, field, mask, isSet ? 0 : mask, texts.count))
      texts.append("")
    }
    for other in others {
      let mark = Self.mark(other.field, isNegated: true, other.value, other.mask)
      texts[other.place] = (other.words + [mark]).joined(separator: " ")
    }
    return texts
  }

  /// The one bit that a cube asks of marks, where it asks no more of them.
  private func onlyMarkBit(_ cube: Cube) -> (field: Int, mask: UInt32, isSet: Bool)? {
    guard cube.bits.count == 1, let literal = cube.bits.first else { return nil }
    let (field, bit) = meaning.diagram.layout.meaning(literal.variable)
    guard [DiagramLayout.mark, DiagramLayout.connectionMark].contains(field) else { return nil }
    return (field, 1 << UInt32(31 - bit), literal.isSet)
  }

  private static func mark(_ field: Int, isNegated: Bool, _ value: UInt32, _ mask: UInt32) -> String {
    (field == DiagramLayout.mark ? "mark" : "connmark") + (isNegated ? " not" : "")
      + " 0x\(String(value, radix: 16))"
      + (mask == .max ? "" : "/0x\(String(mask, radix: 16))")
  }

  /// Clauses in the order of canonical text but for those about marks, which stand behind; none for all packets.
  private func words(of cube: Cube) -> [String] {
    var words: [String] = []
    var classes: [Int: [UInt32]] = [:]
    for literal in cube.members { classes[literal.field] = literal.classes }
    func clause(_ field: PacketBox.Field, _ text: (IntervalSet<UInt128>, Bool) -> String?) {
      guard let members = classes[field.rawValue] else { return }
      let (values, isNegated) = values(members, field.rawValue)
      if let text = text(values, isNegated) { words.append(text) }
    }
    let protocols = classes[PacketBox.Field.transportProtocol.rawValue].map {
      values($0, PacketBox.Field.transportProtocol.rawValue)
    }
    if let (numbers, isNegated) = protocols {
      words.append(
        (isNegated ? "not " : "")
          + list(numbers) { range in
            range.lower == range.upper
              ? Self.protocolName(range.lower) : "protocol \(range.lower)-\(range.upper)"
          })
    }
    let hasSingleProtocol = protocols.map { !$0.isNegated } ?? false
    if hasSingleProtocol { clause(.destinationPort) { ports($0, $1) } }
    clause(.icmp) { (hasSingleProtocol ? "" : "type ") + types($0, $1) }
    clause(.state) { values, isNegated in
      let names = ["invalid", "established", "related", "new", "untracked"]
      return (isNegated ? "not " : "")
        + names.indices.filter { values.contains(UInt128($0)) }.map { names[$0] }.joined(separator: ", ")
    }
    /// Ports stand behind the addresses of the same side, if there are such.
    func side(_ word: String, _ addresses: [String], _ port: PacketBox.Field?) {
      words += addresses
      guard let port else { return }
      let behind = addresses.isEmpty ? nil : words.popLast()
      let count = words.count
      clause(port) { "\(behind ?? word) port " + ports($0, $1) }
      if let behind, words.count == count { words.append(behind) }
    }
    side("from", address(.sourceAddress, "from", classes) + sets(.source, "from", classes), .sourcePort)
    side(
      "to", address(.destinationAddress, "to", classes) + sets(.destination, "to", classes),
      hasSingleProtocol ? nil : .destinationPort)
    for (field, word) in [(PacketBox.Field.sourceType, "from"), (.destinationType, "to")] {
      clause(field) { values, isNegated in
        let names = ["local", "broadcast", "neither local nor broadcast"]
        return "\(word) \(isNegated ? "not " : "")"
          + names.indices.filter { values.contains(UInt128($0)) }.map { names[$0] }.joined(separator: ", ")
      }
    }
    for (field, word) in [(DiagramField.input, "in"), (DiagramField.output, "out")] {
      guard let members = classes[field] else { continue }
      let (values, isNegated) = values(members, field)
      words.append("\(word) \(isNegated ? "not " : "")" + self.names(values))
    }
    for (field, word) in [(PacketBox.Field.user, "user"), (.group, "group")] {
      clause(field) { values, isNegated in
        "\(word) \(isNegated ? "not " : "")"
          + list(values) {
            $0.upper == PacketBox.absentID && $0.lower == $0.upper ? "none" : Self.range($0)
          }
      }
    }
    words += senders(classes)
    clause(.status) { Self.status($0, $1) }
    clause(.tcpFlags) { Self.flags($0, $1) }
    for (field, word) in [
      (PacketBox.Field.dscp, "dscp"), (.timeToLive, "ttl"), (.length, "length"), (.hour, "second of the day"),
    ] {
      clause(field) { "\(word) \($1 ? "not " : "")" + list($0, Self.range) }
    }
    clause(.packetType) { values, isNegated in
      "type \(isNegated ? "not " : "")" + Self.named(values, PacketTypes.names)
    }
    clause(.day) { values, isNegated in "days \(isNegated ? "not " : "")" + Self.named(values, Weekdays.names)
    }
    for (field, word) in [(PacketBox.Field.sourceLink, "from"), (.destinationLink, "to")] {
      clause(field) { values, isNegated in
        "ether \(word) \(isNegated ? "not " : "")"
          + list(values, Self.links)
      }
    }
    for (field, word) in [(PacketBox.Field.fragment, "fragment"), (.spoofed, "spoofed"), (.ipsec, "ipsec")] {
      clause(field) { values, isNegated in values.contains(1) != isNegated ? word : "not \(word)" }
    }
    if onlyMarkBit(cube) == nil { words += marks(cube) }
    return words
  }

  /// The values of classes, or of the others if those are fewer.
  private func values(_ members: [UInt32], _ field: Int) -> (values: IntervalSet<UInt128>, isNegated: Bool) {
    let isMember = Set(members)
    let inside = meaning.diagram.atoms.values(field) { isMember.contains($0) }
    let outside = meaning.diagram.atoms.values(field) { !isMember.contains($0) }
    return outside.ranges.count < inside.ranges.count ? (outside, true) : (inside, false)
  }

  private func address(_ field: PacketBox.Field, _ word: String, _ classes: [Int: [UInt32]]) -> [String] {
    guard let members = classes[field.rawValue] else { return [] }
    let count = UInt32(meaning.diagram.layout.classCount[field.rawValue])
    for (known, name) in names[field.rawValue] ?? [] {
      if known == members { return ["\(word) $\(name)"] }
      let others = Set(known)
      if known.count + members.count == Int(count), members.allSatisfy({ !others.contains($0) }) {
        return ["\(word) not $\(name)"]
      }
    }
    let (values, isNegated) = values(members, field.rawValue)
    return ["\(word) \(isNegated ? "not " : "")" + addresses(values)]
  }

  private func marks(_ cube: Cube) -> [String] {
    var words: [String] = []
    for field in [DiagramLayout.mark, DiagramLayout.connectionMark] {
      var (value, mask): (UInt32, UInt32) = (0, 0)
      for literal in cube.bits {
        let meaning = meaning.diagram.layout.meaning(literal.variable)
        guard meaning.field == field else { continue }
        mask |= 1 << UInt32(31 - meaning.bit)
        if literal.isSet { value |= 1 << UInt32(31 - meaning.bit) }
      }
      guard mask != 0 else { continue }
      words.append(Self.mark(field, isNegated: false, value, mask))
    }
    return words
  }

  // MARK: Lists

  private func list(
    _ values: IntervalSet<UInt128>, _ text: (AddressRange<UInt128>) -> String
  ) -> String {
    let ranges = values.ranges
    let text = ranges.prefix(shown).map(text).joined(separator: ", ")
    return ranges.count > shown ? text + " … and \(ranges.count - shown) more" : text
  }

  static func range(_ range: AddressRange<UInt128>) -> String {
    range.lower == range.upper ? "\(range.lower)" : "\(range.lower)-\(range.upper)"
  }

  /// The language has no ranges of link-layer addresses: a few are told one by one.
  private static func links(_ range: AddressRange<UInt128>) -> String {
    let last = min(range.upper, PacketBox.absentLink - 1)
    var words: [String] = []
    if range.lower <= last {
      words =
        last - range.lower < 16
        ? (range.lower...last).map(Witness.link) : ["\(Witness.link(range.lower))-\(Witness.link(last))"]
    }
    if range.upper == PacketBox.absentLink { words.append("none") }
    return words.joined(separator: ", ")
  }

  private static func named(_ values: IntervalSet<UInt128>, _ names: [String]) -> String {
    names.indices.filter { values.contains(UInt128($0)) }.map { names[$0] }.joined(separator: ", ")
  }

  private func ports(_ values: IntervalSet<UInt128>, _ isNegated: Bool) -> String {
    let absent = IntervalSet([AddressRange(PacketBox.absentPort, PacketBox.absentPort)])
    // A clause about ports is about packets that have one, so "not" and "none" say the rest.
    let present = values.subtracting(absent)
    if present.isEmpty { return isNegated ? "known" : "unknown" }
    let text = (isNegated ? "not " : "") + list(present, Self.range)
    guard values.contains(PacketBox.absentPort) else { return text }
    return text + (isNegated ? " and known" : " or unknown")
  }

  private func types(_ values: IntervalSet<UInt128>, _ isNegated: Bool) -> String {
    let absent = IntervalSet([AddressRange(PacketBox.absentPort, PacketBox.absentPort)])
    let present = values.subtracting(absent)
    if present.isEmpty { return isNegated ? "known" : "unknown" }
    let text =
      (isNegated ? "not " : "")
      + list(present) { range in
        let (first, last) = (range.lower >> 8, range.upper >> 8)
        if range.lower & 0xff == 0, range.upper & 0xff == 0xff {
          return first == last ? "\(first)" : "\(first)-\(last)"
        }
        return range.lower == range.upper
          ? "\(first)/\(range.lower & 0xff)" : "\(first)/\(range.lower & 0xff)-\(last)/\(range.upper & 0xff)"
      }
    guard values.contains(PacketBox.absentPort) else { return text }
    return text + (isNegated ? " and known" : " or unknown")
  }

  private static func status(_ values: IntervalSet<UInt128>, _ isNegated: Bool) -> String {
    let words = PacketBox.statusNames
    let all = UInt128(1 << words.count)
    let set = Set((0..<all).filter { values.contains($0) })
    for isInside in [true, false] {
      let wanted = isInside ? set : Set((0..<all).filter { !set.contains($0) })
      let bits = words.indices.filter { wanted.contains(1 << UInt128($0)) }
      let mask = bits.reduce(UInt128(0)) { $0 | 1 << UInt128($1) }
      if !bits.isEmpty, wanted == Set((0..<all).filter { $0 & mask != 0 }) {
        let negation = isInside == isNegated ? "not " : ""
        return "status \(negation)" + bits.map { words[$0] }.joined(separator: ", ")
      }
    }
    return "status in \(isNegated ? Int(all) - set.count : set.count) of \(all) combinations"
  }

  private static func flags(_ values: IntervalSet<UInt128>, _ isNegated: Bool) -> String {
    func words(_ bits: UInt128) -> String {
      let names = TCPFlags(rawValue: UInt8(truncatingIfNeeded: bits)).words
      return names.isEmpty ? "none" : names.joined(separator: ", ")
    }
    /// `VALUE of MASK`, if that is what these are.
    func test(_ flags: [UInt128]) -> String? {
      guard let first = flags.first else { return nil }
      let same = flags.reduce(UInt128(0xff)) { $0 & ~($1 ^ first) }
      guard same != 0, flags.count == 1 << (8 - same.nonzeroBitCount) else { return nil }
      return "\(words(first & same)) of \(words(same))"
    }
    let known = (UInt128(0)...255).filter { values.contains($0) != isNegated }
    let hasUnknown = values.contains(PacketBox.absentFlags) != isNegated
    if let test = test(known) { return "flags \(test)" + (hasUnknown ? " or unknown" : "") }
    if known.isEmpty { return "flags unknown" }
    if known.count == 256 { return "flags known" }
    if let test = test((UInt128(0)...255).filter { values.contains($0) == isNegated }) {
      return "flags not \(test)" + (hasUnknown ? "" : " and known")
    }
    return "flags in \(known.count) of 256 combinations"
  }

  private static func protocolName(_ number: UInt128) -> String {
    number == PacketBox.absentProtocol ? "without a transport protocol" : Witness.protocolName(number)
  }

  /// Patterns, as far as the intervals are such.
  private func names(_ values: IntervalSet<UInt128>) -> String {
    let names = NameSet(numbers: values).intervals.map { interval -> String in
      let lower = String(decoding: interval.lower.filter { $0 != 0 }, as: UTF8.self)
      if let upper = interval.upper, upper == interval.lower + [0] { return lower }
      var next = interval.lower
      if let last = next.popLast() { next.append(last &+ 1) }
      if interval.upper == next || interval.lower.isEmpty && interval.upper == nil { return lower + "*" }
      let upper = interval.upper.map { String(decoding: $0.filter { $0 != 0 }, as: UTF8.self) }
      let after = interval.lower.last == 0 ? "after \(lower)" : "\(lower)"
      return upper.map { "names \(after) to before \($0)" } ?? "names \(after) and later"
    }
    let text = names.prefix(shown).joined(separator: ", ")
    return names.count > shown ? text + " … and \(names.count - shown) more" : text
  }

  private func addresses(_ values: IntervalSet<UInt128>) -> String {
    var texts: [String] = []
    var rest = 0
    for range in values.ranges {
      guard texts.count < shown else {
        rest += 1
        continue
      }
      texts += Self.prefixes(range, meaning.family)
    }
    if texts.count > shown {
      rest += texts.count - shown
      texts = Array(texts.prefix(shown))
    }
    return texts.joined(separator: ", ") + (rest > 0 ? " … and \(rest) more" : "")
  }

  /// As prefixes where those are few, else as a range.
  static func prefixes(_ range: AddressRange<UInt128>, _ family: Families) -> [String] {
    let width: UInt128 = family == .ipv4 ? 32 : 128
    var result: [String] = []
    var start = range.lower
    while true {
      var bits = min(width, start == 0 ? width : UInt128(start.trailingZeroBitCount))
      while bits > 0 {
        let last = bits == 128 ? UInt128.max : start + ((1 << bits) - 1)
        if last <= range.upper { break }
        bits -= 1
      }
      let last = bits == 128 ? UInt128.max : start + ((1 << bits) - 1)
      let address = Witness.address(start, family)
      result.append(bits == 0 ? address : "\(address)/\(width - bits)")
      if last >= range.upper { return result }
      if result.count == 3 {
        return ["\(Witness.address(range.lower, family))-\(Witness.address(range.upper, family))"]
      }
      start = last + 1
    }
  }
}
