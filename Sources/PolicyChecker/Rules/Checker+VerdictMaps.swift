import Diagnostics
import PolicyModel
import PolicySyntax

/// Verdict maps: form 5 of a rule item (LANGUAGE.md §3).
extension Checker {
  /// Nil if something was reported.
  mutating func dispatchRule(
    _ syntax: VerdictMapSyntax, _ item: RuleItemSyntax, id: String, at place: Place
  ) -> Rule? {
    guard let fields = dispatchFields(syntax.dispatch, at: place) else { return nil }
    var entries: [VerdictMap.Entry] = []
    var boxes: [KeyBox] = []
    var isDamaged = false
    for entry in syntax.entries {
      let verdict = mapVerdict(entry.verdict, at: place)
      var keys: [[VerdictMap.Part]] = []
      for key in entry.keys {
        guard let parts = mapKey(key) else {
          isDamaged = true
          continue
        }
        keys.append(parts)
        boxes += KeyBox.all(of: parts, key.span)
      }
      if let verdict { entries.append(VerdictMap.Entry(keys: keys, verdict: verdict)) }
    }
    guard let otherwise = mapVerdict(syntax.otherwise, at: place), !isDamaged,
      fields.count > 1 || !holdsEverything(boxes), areApart(&boxes)
    else { return nil }
    let map = VerdictMap(fields: fields, entries: entries, otherwise: otherwise)
    guard hasRoom(map, item.span, at: place) else { return nil }
    var rule = Rule(
      id: id, name: item.name?.value, text: syntax.canonicalText, verdict: .dispatch(map), span: item.span)
    rule.isEnabled = item.enabled
    return rule
  }

  // MARK: Fields

  private mutating func dispatchFields(
    _ list: [Spanned<VerdictMapSyntax.Field>], at place: Place
  ) -> [VerdictMap.Field]? {
    var fields: [VerdictMap.Field] = []
    for field in list {
      switch field.value {
      case .port(let name):
        guard let number = ProtocolNumbers.service(.named(name))?.protocolNumber else { return nil }
        fields.append(.port(number))
      case .interface(let direction):
        guard hasInterface(direction, at: place, field.span) else { return nil }
        fields.append(.interface(direction == .in ? .input : .output))
      case .address(let direction): fields.append(.address(direction == .from ? .source : .destination))
      case .mark: fields.append(.mark)
      }
    }
    guard fields.count == 2 else { return fields }
    if fields[0] == fields[1] {
      error(
        .ruleSecondClause, list[1].span, "the map looks up this field twice", help: ["one look-up is enough"],
        related: [Diagnostic.Label(list[0].span, "the first is here")])
      return nil
    }
    if case .port = fields[0], case .port = fields[1] {
      error(
        .neverMatches, list[1].span, "no packet has a port of both protocols",
        help: ["make a map for each"], related: [Diagnostic.Label(list[0].span, "the other protocol")])
      return nil
    }
    return fields
  }

  private mutating func mapVerdict(_ verdict: Spanned<VerdictSyntax>, at place: Place) -> Verdict? {
    switch verdict.value {
    case .accept: .accept
    case .drop: mayRefuse("drop", at: place, verdict.span) ? .drop : nil
    case .continue: .continue
    case .return: .return
    // Whether there is such a chain has been checked, with all others.
    case .jump(let chain): .jump(chain.value)
    case .goto(let chain): .goto(chain.value)
    // The rule grammar has refused the others.
    case .reject, .notrack, .masquerade, .dnat, .snat, .redirect, .containers: nil
    }
  }

  // MARK: Keys

  private mutating func mapKey(_ key: Spanned<[VerdictMapSyntax.Key]>) -> [VerdictMap.Part]? {
    var parts: [VerdictMap.Part] = []
    for part in key.value {
      switch part {
      case .port(let port):
        guard let ports = ports([Spanned(port, key.span)]) else { return nil }
        parts.append(.ports(ports))
      case .interface(let interface):
        guard let patterns = interfaces([Spanned(interface, key.span)]) else { return nil }
        parts.append(.interfaces(patterns))
      case .address(let address):
        guard let match = self.address(Spanned(address, key.span)) else { return nil }
        guard match.allSets.isEmpty else {
          error(
            .ruleNotHere, key.span,
            "a map looks up addresses, and a dynamic or external set holds others each time",
            help: ["write a rule for the set before the map"])
          return nil
        }
        guard match.isStatic else {
          error(
            .ruleNotHere, key.span, "a map looks up addresses, and `local` and `broadcast` are none",
            help: ["the routing table knows those: write a rule for them before the map"])
          return nil
        }
        parts.append(.addresses(match.addresses))
      case .mark(let range):
        guard range.lower <= range.upper else { return nil }
        parts.append(.marks([AddressRange(range.lower, range.upper)]))
      }
    }
    return parts
  }

  /// A key as ranges of numbers, one for each field, in one family.
  private struct KeyBox {
    var family: Families
    var ranges: [AddressRange<UInt128>]
    var span: SourceSpan

    static func all(of parts: [VerdictMap.Part], _ span: SourceSpan) -> [KeyBox] {
      [Families.ipv4, .ipv6].flatMap { family in
        var boxes = [KeyBox(family: family, ranges: [], span: span)]
        for part in parts {
          let ranges = ranges(of: part, family)
          boxes = boxes.flatMap { box in
            ranges.map { KeyBox(family: family, ranges: box.ranges + [$0], span: span) }
          }
        }
        return boxes
      }
    }

    private static func ranges(
      of part: VerdictMap.Part, _ family: Families
    ) -> [AddressRange<UInt128>] {
      switch part {
      case .ports(let ports): ports.ranges.map { AddressRange(UInt128($0.lower), UInt128($0.upper)) }
      case .addresses(let set):
        family == .ipv4 ? set.ipv4.map { AddressRange(UInt128($0.lower), UInt128($0.upper)) } : set.ipv6
      case .marks(let ranges): ranges.map { AddressRange(UInt128($0.lower), UInt128($0.upper)) }
      case .interfaces(let patterns):
        patterns.map { AddressRange(number($0, filler: 0), number($0, filler: $0.isPrefix ? 0xff : 0)) }
      }
    }

    /// The name as 16 bytes, IFNAMSIZ of linux/if.h.
    private static func number(_ pattern: InterfacePattern, filler: UInt8) -> UInt128 {
      let name = Array(pattern.name.utf8.prefix(16))
      return (name + [UInt8](repeating: filler, count: 16 - name.count)).reduce(0) { $0 << 8 | UInt128($1) }
    }

    func meets(_ other: KeyBox) -> Bool {
      family == other.family
        && zip(ranges, other.ranges).allSatisfy { $0.lower <= $1.upper && $1.lower <= $0.upper }
    }
  }

  /// Whether one key of a map of one field is all there is, and reported.
  private mutating func holdsEverything(_ boxes: [KeyBox]) -> Bool {
    for box in boxes {
      guard let range = box.ranges.first, range.lower == 0,
        range.upper == (box.family == .ipv4 ? UInt128(UInt32.max) : .max) || range.upper == .max
      else { continue }
      error(
        .ruleBadValue, box.span, "every packet that has the field meets this key",
        help: ["leave it out: that is what `else` is for"])
      return true
    }
    return false
  }

  /// Whether no packet meets two keys.
  private mutating func areApart(_ boxes: inout [KeyBox]) -> Bool {
    // By the first field, so that each is compared only with those that begin inside of it.
    boxes.sort { ($0.family.rawValue, $0.ranges[0].lower) < ($1.family.rawValue, $1.ranges[0].lower) }
    for (index, box) in boxes.enumerated() {
      for other in boxes[(index + 1)...] {
        if other.family != box.family || other.ranges[0].lower > box.ranges[0].upper { break }
        // Of one key, patterns that cover each other are one look-up.
        guard box.span != other.span, box.meets(other) else { continue }
        let (first, second) = box.span.start <= other.span.start ? (box, other) : (other, box)
        error(
          .mapOverlap, second.span, "a packet may meet this key and another one",
          help: ["a map has no order: make the keys apart, or write rules"],
          related: [Diagnostic.Label(first.span, "the other key")])
        return false
      }
    }
    return true
  }

  /// Whether the map's kernel rules can be told apart: their number is a byte of the label.
  private mutating func hasRoom(_ map: VerdictMap, _ span: SourceSpan, at place: Place) -> Bool {
    let isOfFamilies = map.fields.contains { if case .address = $0 { true } else { false } }
    var withRanges: [Verdict] = []
    for entry in map.entries where entry.keys.contains(where: { $0.contains(where: \.holdsRanges) }) {
      if !withRanges.contains(entry.verdict) { withRanges.append(entry.verdict) }
    }
    var gotos: Set<String> = []
    if !place.isRegular {
      for case .goto(let name) in map.verdicts { gotos.insert(name) }
    }
    // For each family the singles and the rest, and a helper's two rules for each `goto`; one for `return`.
    let rules = (withRanges.count + 2) * (isOfFamilies ? 2 : 1) + 2 * gotos.count + 1
    guard rules > Self.maximumParts else { return true }
    error(
      .ruleForm, span, "this map needs \(rules) rules in the kernel, and \(Self.maximumParts) fit",
      help: ["ranges take one for each verdict, and `goto` in a base chain two: split the map"])
    return false
  }

  private static let maximumParts = 250
}

extension VerdictMap.Part {
  fileprivate var holdsRanges: Bool {
    switch self {
    case .ports(let ports): ports.ranges.contains { $0.lower != $0.upper }
    case .addresses(let set):
      set.ipv4.contains { $0.lower != $0.upper } || set.ipv6.contains { $0.lower != $0.upper }
    case .interfaces(let patterns): patterns.contains(where: \.isPrefix)
    case .marks(let ranges): ranges.contains { $0.lower != $0.upper }
    }
  }
}
