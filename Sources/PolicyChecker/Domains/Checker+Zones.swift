import Diagnostics
import PolicyModel
import PolicySyntax

/// A zone: the packets of some interfaces, or of some addresses, or of both (LANGUAGE.md §2).
struct Zone {
  var name: String
  var span: SourceSpan
  /// Nil: any interface.
  var interfaces: [InterfacePattern]?
  /// Nil: any address.
  var addresses: AddressSet?

  /// `from` or `to` this zone, as matches of a rule.
  func matches(_ direction: Direction) -> [Match] {
    var matches: [Match] = []
    if let interfaces {
      matches.append(Match(.interfaces(direction == .from ? .input : .output, interfaces)))
    }
    if let addresses {
      matches.append(
        Match(
          .addresses(
            direction == .from ? .source : .destination, AddressMatch(addresses: addresses))))
    }
    return matches
  }

  var families: Families {
    guard let addresses else { return .both }
    var families: Families = []
    if !addresses.ipv4.isEmpty { families.insert(.ipv4) }
    if !addresses.ipv6.isEmpty { families.insert(.ipv6) }
    return families
  }
}

/// One side of a pair.
enum ZoneSide: Equatable {
  /// The machine itself, with `lo`.
  case host
  /// Every zone, and the host.
  case any
  case zone(String)

  init(_ name: String) {
    self = name == "host" ? .host : name == "any" ? .any : .zone(name)
  }

  var name: String {
    switch self {
    case .host: "host"
    case .any: "any"
    case .zone(let name): name
    }
  }
}

/// `zones` and what statements say of them.
extension Checker {
  mutating func readZones(_ node: SyntaxNode?) {
    for entry in node?.mapping ?? [] {
      if ["host", "any"].contains(entry.key.text) || RuleKeyword(rawValue: entry.key.text) != nil {
        error(
          .badName, entry.key.span, "`\(entry.key.text)` can be no zone: the word has a meaning of its own")
        continue
      }
      if let zone = zone(entry) { zones.append(zone) }
    }
    reportOverlaps()
  }

  private mutating func zone(_ entry: SyntaxEntry) -> Zone? {
    var zone = Zone(name: entry.key.text, span: entry.key.span)
    let definition = Definitions.Definition(name: zone.name, span: zone.span, node: entry.value)
    let lists = [
      ("interfaces", entry.value.sequence ?? entry.value.entry("interfaces")?.value.sequence),
      ("addresses", entry.value.entry("addresses")?.value.sequence),
    ]
    guard lists.contains(where: { $0.1 != nil }) else {
      if entry.value.mapping != nil, isComplete {
        error(
          .missingKey, entry.key.span, "`\(zone.name)` does not say what belongs to it",
          help: ["write `interfaces` or `addresses`, or both"])
      }
      return nil
    }
    for case (let kind, let items?) in lists {
      switch elements(items, as: kind == "interfaces" ? .interfaces : .addresses, of: definition) {
      case .interfaces(let patterns):
        if let own = patterns.first(where: Self.holdsLoopback) {
          error(
            .zonesOverlap, zone.span,
            "`\(own.name)\(own.isPrefix ? "*" : "")` holds `lo`, which is the host's",
            help: ["`host` is the machine itself, with `lo`"])
          return nil
        }
        zone.interfaces = patterns
      case .addresses(let match):
        guard match.isStatic else {
          let help =
            match.allSets.isEmpty
            ? "`local` and `broadcast` are asked of the routing table, packet by packet"
            : "a dynamic or external set holds other addresses each time"
          error(
            .definitionKind, zone.span, "the addresses of a zone are prefixes and ranges", help: [help])
          return nil
        }
        zone.addresses = match.addresses
      case .damaged: return nil
      default:
        error(
          .badValue, zone.span, "the \(kind) of `\(zone.name)` are none",
          help: ["no packet is of such a zone"])
        return nil
      }
    }
    return zone
  }

  private static func holdsLoopback(_ pattern: InterfacePattern) -> Bool {
    pattern.isPrefix ? "lo".hasPrefix(pattern.name) : pattern.name == "lo"
  }

  /// A packet is of one zone at most.
  private mutating func reportOverlaps() {
    for (index, zone) in zones.enumerated() {
      for earlier in zones.prefix(index) {
        let areApart =
          Self.areApart(zone.interfaces, earlier.interfaces)
          || Self.areApart(zone.addresses, earlier.addresses)
        guard !areApart else { continue }
        error(
          .zonesOverlap, zone.span, "a packet may be of `\(zone.name)` and of `\(earlier.name)`",
          help: ["two zones share no interface, or both state addresses and share none"],
          related: [Diagnostic.Label(earlier.span, "`\(earlier.name)` is here")])
      }
    }
  }

  private static func areApart(_ a: [InterfacePattern]?, _ b: [InterfacePattern]?) -> Bool {
    guard let a, let b else { return false }
    return !meets(a, b) && !meets(b, a)
  }

  /// Whether the other list has a pattern of the one, or all names that one stands for.
  private static func meets(_ list: [InterfacePattern], _ other: [InterfacePattern]) -> Bool {
    let (patterns, prefixes) = (Set(other), InterfacePrefixes(of: other))
    return list.contains { patterns.contains($0) || prefixes.cover($0) }
  }

  private static func areApart(_ a: AddressSet?, _ b: AddressSet?) -> Bool {
    guard let a, let b else { return false }
    let rest = a.subtracting(b)
    return rest.ipv4 == a.ipv4 && rest.ipv6 == a.ipv6
  }

  /// Nil and reported if there is no such zone.
  mutating func side(_ name: String, at span: SourceSpan) -> ZoneSide? {
    let side = ZoneSide(name)
    guard case .zone = side, !zones.contains(where: { $0.name == name }) else { return side }
    let known = zones.map(\.name) + ["host", "any"]
    error(
      .unknownZone, span, "there is no zone `\(name)`",
      help: suggestion(for: name, among: known, otherwise: "write it below `zones`"))
    return nil
  }

  /// What makes a packet come from a side, or go to it; nothing for `any`.
  func matches(_ direction: Direction, _ side: ZoneSide) -> [Match] {
    switch side {
    case .host, .any: []
    case .zone(let name): zones.first { $0.name == name }?.matches(direction) ?? []
    }
  }

  func families(of side: ZoneSide) -> Families {
    guard case .zone(let name) = side else { return .both }
    return zones.first { $0.name == name }?.families ?? .both
  }

  /// The place of a statement about a pair, and the packets of the pair.
  mutating func place(of pair: (from: String, to: String), at span: SourceSpan) -> (Place, [Match], Families)?
  {
    guard let from = side(pair.from, at: span), let to = side(pair.to, at: span) else { return nil }
    let hook: Hook
    switch (from, to) {
    case (.host, .host), (.any, .host), (.zone, .host): hook = .input
    case (.host, _): hook = .output
    case (.zone, .zone): hook = .forward
    case (.any, _), (_, .any):
      error(
        .ruleNotHere, span, "`\(pair.from) to \(pair.to)` is more than one place",
        help: ["a statement is about one: name the zones, or write `input`, `forward` or `output`"])
      return nil
    }
    var matches = self.matches(.from, from) + self.matches(.to, to)
    if from == .host, to == .host { matches.append(Match(.interfaces(.input, [InterfacePattern("lo")]))) }
    return (
      Place(name: "\(pair.from) to \(pair.to)", hook: hook), matches,
      families(of: from).intersection(families(of: to))
    )
  }
}
