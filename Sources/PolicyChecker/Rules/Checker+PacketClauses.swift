import Diagnostics
import PolicyModel
import PolicySyntax

/// Clauses about the packet beyond addresses and ports: marks, flags, link layer, numbers, time, routing; and
/// what a rule changes (LANGUAGE.md §4.10). False means reported.
extension Checker {
  // MARK: Marks

  mutating func resolveMark(
    _ kind: PolicySyntax.MarkKind, _ isNegated: Bool, _ value: Spanned<NumberSyntax>, _ mask: UInt32?,
    _ span: SourceSpan,
    at place: Place, _ resolved: inout ResolvedClauses
  ) -> Bool {
    if kind == .connmark, !hasConnectionState(place, "`connmark`", span) { return false }
    let ranges: [AddressRange<UInt32>]
    switch value.value {
    case .value(let number): ranges = [AddressRange(number, number)]
    case .reference(let name):
      guard let numbers = numbers(name, at: value.span, upTo: .max, "marks") else { return false }
      ranges = numbers
    }
    guard !ranges.isEmpty else {
      if isNegated { resolved.alwaysHolds.append(span) } else { resolved.neverHolds.append(span) }
      return true
    }
    resolved.matches.append(
      Match(
        .mark(PolicyModel.MarkKind(kind), MarkValues(ranges.merged, mask: mask ?? .max)), isNegated: isNegated
      )
    )
    return true
  }

  // MARK: The link layer

  mutating func resolveEther(
    _ direction: Direction, _ isNegated: Bool, _ list: [Spanned<String>], _ span: SourceSpan, at place: Place,
    _ resolved: inout ResolvedClauses
  ) -> Bool {
    if let origin = place.origin(without: \.hasInputInterface) {
      error(
        .wrongHook, span, "packets of `\(origin.name)` have no link-layer header yet",
        help: ["`ether` holds in \(Hook.list(where: \.hasInputInterface))"], related: place.path(from: origin)
      )
      return false
    }
    let addresses = Set(list.compactMap { LinkAddress($0.value) }).sorted()
    resolved.matches.append(
      Match(
        .linkAddresses(direction == .from ? .source : .destination, addresses), isNegated: isNegated))
    return true
  }

  mutating func resolvePacketType(
    _ isNegated: Bool, _ words: [Spanned<String>], _ span: SourceSpan, _ resolved: inout ResolvedClauses
  ) -> Bool {
    let types = PacketTypes(
      rawValue: words.reduce(0) { bits, word in
        PacketTypes.names.firstIndex(of: word.value).map { bits | 1 << UInt8($0) } ?? bits
      })
    guard types != .all else { return everything(isNegated, "type", span) }
    resolved.matches.append(Match(.packetTypes(types), isNegated: isNegated))
    return true
  }

  // MARK: Numbers

  /// INVARIANT: small enough for the count of parts of a rule (`RuleLowering`).
  private static let lengthLimit = 4

  mutating func resolveNumeric(
    _ field: NumericField, _ isNegated: Bool, _ list: [Spanned<NumericRangeSyntax>], _ span: SourceSpan,
    _ resolved: inout ResolvedClauses
  ) -> Bool {
    // The rule grammar has refused ranges that run downwards, and numbers over the bound.
    let ranges = IntervalSet(
      list.filter { $0.value.lower <= $0.value.upper }.map { AddressRange($0.value.lower, $0.value.upper) }
    ).ranges
    guard !ranges.isEmpty else { return false }
    let bytes = ranges.map { AddressRange(UInt8(clamping: $0.lower), UInt8(clamping: $0.upper)) }
    let condition: Match.Condition
    switch field {
    case .dscp:
      guard bytes != [AddressRange(0, 63)] else { return everything(isNegated, "code point", span) }
      condition = .dscp(bytes)
    case .ttl:
      guard bytes != [AddressRange(0, .max)] else { return everything(isNegated, "ttl", span) }
      condition = .timeToLive(bytes)
    case .length:
      // Ranges become kernel rules each: nft has no set of lengths with ranges in it.
      guard ranges.count <= Self.lengthLimit || ranges.allSatisfy({ $0.lower == $0.upper }) else {
        error(
          .ruleBadValue, span,
          "\(ranges.count) separate ranges of lengths; \(Self.lengthLimit) fit into a rule",
          help: ["make rules of them, or list single lengths, of which any number fits"])
        return false
      }
      condition = .length(ranges)
    }
    resolved.matches.append(Match(condition, isNegated: isNegated))
    return true
  }

  /// A list of all there is: it says nothing, and its negation never holds.
  private mutating func everything(_ isNegated: Bool, _ what: String, _ span: SourceSpan) -> Bool {
    guard isNegated else { return true }
    error(.neverMatches, span, "every \(what) is in this list, so its negation never holds")
    return false
  }

  // MARK: Time

  mutating func resolveDays(_ words: [Spanned<String>], _ resolved: inout ResolvedClauses) {
    let days = Weekdays(
      rawValue: words.reduce(0) { bits, word in
        Weekdays.names.firstIndex(of: word.value).map { bits | 1 << UInt8($0) } ?? bits
      })
    if days != .all { resolved.matches.append(Match(.days(days))) }
  }

  // MARK: Single words

  mutating func resolveFlag(
    _ flag: PacketFlag, _ isNegated: Bool, _ span: SourceSpan, at place: Place,
    _ resolved: inout ResolvedClauses
  ) -> Bool {
    switch flag {
    case .fragment:
      resolved.matches.append(Match(.fragment, isNegated: isNegated))
    case .spoofed, .ipsec:
      if let origin = place.origin(without: \.knowsReverseRoute) {
        error(
          .wrongHook, span, "`\(origin.name)` does not know how a packet came in",
          help: ["`\(flag.rawValue)` holds in \(Hook.list(where: \.knowsReverseRoute))"],
          related: place.path(from: origin))
        return false
      }
      if flag == .spoofed, place.origins.contains(where: { $0.hook != .prerouting }),
        !isInTarget(.reverseRouteBehindRouting, at: place, span)
      {
        return false
      }
      resolved.matches.append(Match(flag == .spoofed ? .spoofed : .ipsec, isNegated: isNegated))
    }
    return true
  }

  // MARK: What a rule changes

  mutating func resolveSet(
    _ key: SetKey, _ value: Spanned<SetValueSyntax>, _ span: SourceSpan, at place: Place,
    _ resolved: inout ResolvedClauses
  ) -> Bool {
    if key == .connmark, !hasConnectionState(place, "`set connmark`", span) { return false }
    if key == .mss, let origin = place.origin(without: \.canSetSegmentSize) {
      error(
        .wrongHook, span, "the way out is not known in `\(origin.name)`",
        help: ["`set mss` holds in \(Hook.list(where: \.canSetSegmentSize))"],
        related: place.path(from: origin))
      return false
    }
    let number: UInt32
    switch value.value {
    case .number(let given): number = given
    case .pathMTU:
      resolved.changes.segmentSize = .pathMTU
      return true
    case .reference(let name):
      guard let single = singleNumber(name, for: key, at: value.span) else { return false }
      number = single
    }
    switch key {
    case .mark: resolved.changes.mark = number
    case .connmark: resolved.changes.connectionMark = number
    case .dscp: resolved.changes.dscp = UInt8(clamping: number)
    case .mss: resolved.changes.segmentSize = .bytes(UInt16(clamping: number))
    }
    return true
  }

  private mutating func singleNumber(_ name: String, for key: SetKey, at span: SourceSpan) -> UInt32? {
    let (limit, what): (UInt32, String) =
      switch key {
      case .mark, .connmark: (.max, "marks")
      case .dscp: (63, "code points")
      case .mss: (65_535, "segment sizes")
      }
    guard let ranges = numbers(name, at: span, upTo: limit, what) else { return nil }
    guard let range = ranges.first, ranges.count == 1, range.lower == range.upper else {
      error(
        .definitionKind, span, "`$\(name)` is not one number, and one is set",
        help: ["define it as a single number: `\(name): 1`"],
        related: definitions[name].map { [Diagnostic.Label($0.span, "defined here")] } ?? [])
      return nil
    }
    if key == .mss, range.lower == 0 {
      error(.badRange, span, "`$\(name)` is 0, and a segment has at least one byte")
      return nil
    }
    return range.lower
  }

  // MARK: Together

  /// What clauses say about each other, once all are known.
  mutating func isPossible(
    _ clauses: [Spanned<ClauseSyntax>], _ resolved: ResolvedClauses, at place: Place
  ) -> Bool {
    for clause in clauses {
      switch clause.value {
      case .tcpFlags where resolved.isWithoutTCP:
        error(
          .neverMatches, clause.span, "only TCP has these flags, and another clause leaves TCP out",
          help: ["no packet meets both"])
        return false
      case .flag(.fragment, negated: false) where resolved.needsTransportHeader:
        error(
          .neverMatches, clause.span, "a later fragment has no ports, types or flags to look at",
          help: ["they stand in the first fragment only; leave one of both out"])
        return false
      case .flag(.fragment, _):
        if let origin = place.origins.first(where: { $0.seesReassembled(tracksConnections) }) {
          warning(
            .reassembled, clause.span,
            "fragments are put together before `\(origin.name)`, and this looks for them",
            help: ["they are seen in `prerouting` at a priority below -400"],
            related: place.path(from: origin))
        }
      case .set(.mss, _) where !resolved.isTCPOnly:
        error(
          .mssNeedsTCP, clause.span, "only TCP has a segment size, and this rule is about more",
          help: ["add `tcp`"])
        return false
      default: break
      }
    }
    return true
  }
}

extension PolicyModel.MarkKind {
  fileprivate init(_ kind: PolicySyntax.MarkKind) { self = kind == .mark ? .mark : .connmark }
}

extension TCPFlags {
  /// The rule grammar has checked the words; `none` is none.
  init(_ words: [Spanned<String>]) {
    self.init(
      rawValue: words.reduce(0) { bits, word in
        Self.names.firstIndex(of: word.value).map { bits | 1 << UInt8($0) } ?? bits
      })
  }
}

extension LinkAddress {
  /// Nil unless the text is six bytes in hexadecimal with colons.
  fileprivate init?(_ text: String) {
    let bytes = text.split(separator: ":", omittingEmptySubsequences: false).compactMap {
      UInt8($0, radix: 16)
    }
    guard bytes.count == 6 else { return nil }
    self.init(bytes.reduce(0) { $0 << 8 | UInt64($1) })
  }
}
