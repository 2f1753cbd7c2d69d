import Diagnostics
import PolicyModel
import PolicySyntax

/// Clauses: from syntax to matches, with the checks of LANGUAGE.md §4 that need no verdict.
extension Checker {
  /// Nil if something was reported.
  mutating func resolve(_ clauses: [Spanned<ClauseSyntax>], at place: Place) -> ResolvedClauses? {
    var resolved = ResolvedClauses()
    // Negated address lists of one family: judged when the families of all other clauses are known.
    var negatedLists: [(families: Families, span: SourceSpan)] = []
    let protocols = clauses.compactMap { clause -> [UInt8]? in
      guard case .protocols(false, let list, _) = clause.value else { return nil }
      return list.compactMap { ProtocolNumbers.service($0.value)?.protocolNumber }
    }.first
    var isDamaged = false
    for clause in clauses
    where !resolve(clause, at: place, protocols: protocols, &resolved, &negatedLists) { isDamaged = true }
    guard !isDamaged, isPossible(clauses, resolved, at: place) else { return nil }
    if let contradiction = resolved.contradiction {
      let clause = clauses.last { $0.value.isNegation(of: contradiction) }
      error(
        .neverMatches, clause?.span ?? clauses[0].span, "this takes out all that another clause lets in",
        help: ["no packet meets both"])
      isDamaged = true
    }
    for list in negatedLists where resolved.families == .both {
      reportOneFamilyNot(list.families, list.span)
      isDamaged = true
    }
    return isDamaged ? nil : resolved
  }

  /// False if something was reported.
  private mutating func resolve(
    _ clause: Spanned<ClauseSyntax>, at place: Place, protocols: [UInt8]?, _ resolved: inout ResolvedClauses,
    _ negatedLists: inout [(families: Families, span: SourceSpan)]
  ) -> Bool {
    let span = clause.span
    switch clause.value {
    case .family(let family):
      return narrow(&resolved, to: Families(family), span)
    case .protocols(let isNegated, let list, let ports):
      return resolveProtocols(list, isNegated, ports, span, &resolved)
    case .icmp(let family, let isNegated, let types):
      guard let types = icmpTypes(family, types) else { return false }
      // Negated inside the protocol, so the family holds either way.
      guard narrow(&resolved, to: Families(family), span) else { return false }
      resolved.matches.append(
        Match(.icmp(family == .ipv4 ? .icmp : .icmpv6, types), isNegated: isNegated))
      return true
    case .services(let isNegated, let names):
      guard let services = services(names) else { return false }
      return resolveServices(services, isNegated, span, &resolved)
    case .states(let isNegated, let states):
      return resolveStates(states, isNegated, span, at: place, &resolved)
    case .anyState:
      resolved.hasStateClause = true
      return true
    case .status(let isNegated, let words):
      guard hasConnectionState(place, "`status`", span) else { return false }
      let status = ConntrackStatus(words.compactMap { Self.statuses[$0.value] })
      resolved.matches.append(Match(.status(status), isNegated: isNegated))
      return true
    case .endpoint(let direction, let isNegated, let addresses, let ports):
      return resolveEndpoint(
        direction, isNegated, addresses, ports, protocols: protocols, span, at: place, &resolved,
        &negatedLists)
    case .interfaces(let direction, let isNegated, let list):
      return resolveInterfaces(direction, isNegated, list, span, at: place, &resolved)
    case .owner(let kind, let isNegated, let list):
      return resolveOwner(kind, isNegated, list, span, at: place, &resolved)
    case .limit(let isOver, let rate, let burst, let key):
      resolved.limit = Limit(
        isOver: isOver, rate: Rate(rate.value), burst: burst?.value ?? (rate.value.isBytes ? 0 : 5),
        key: key.map { AddressKey($0) })
      return true
    case .connections(let isOver, let count, let key):
      guard hasConnectionState(place, "`connections`", span) else { return false }
      guard count.value > 0 else {
        error(
          .ruleBadValue, count.span, "the packet's own connection counts, so there is always one",
          help: ["write a number from 1 on"])
        return false
      }
      resolved.connections = ConnectionLimit(
        isOver: isOver, count: count.value, key: key.map { AddressKey($0) })
      return true
    case .quota(let isOver, let bytes):
      resolved.quota = Quota(isOver: isOver, bytes: bytes.value)
      return true
    case .count(let name):
      resolved.counter = name.map { .named($0.value) } ?? .anonymous
      return true
    case .log(let log):
      resolved.log = Spanned(log, span)
      return true
    case .with(let kind):
      resolved.with = Spanned(RejectKind(kind.value), span)
      return true
    case .mark(let kind, let isNegated, let value, let mask):
      return resolveMark(kind, isNegated, value, mask?.value, span, at: place, &resolved)
    case .tcpFlags(let isNegated, let value, let mask):
      resolved.matches.append(
        Match(.tcpFlags(value: TCPFlags(value), mask: TCPFlags(mask)), isNegated: isNegated))
      return true
    case .ether(let direction, let isNegated, let addresses):
      return resolveEther(direction, isNegated, addresses, span, at: place, &resolved)
    case .numeric(let field, let isNegated, let list):
      return resolveNumeric(field, isNegated, list, span, &resolved)
    case .packetType(let isNegated, let words):
      return resolvePacketType(isNegated, words, span, &resolved)
    case .hours(let hours):
      resolved.matches.append(
        Match(.hours(Hours(start: UInt32(hours.value.start) * 60, end: UInt32(hours.value.end) * 60))))
      return true
    case .days(let words):
      resolveDays(words, &resolved)
      return true
    case .flag(let flag, let isNegated):
      return resolveFlag(flag, isNegated, span, at: place, &resolved)
    case .restoreMark:
      guard hasConnectionState(place, "`restore mark`", span) else { return false }
      resolved.changes.restoresMark = true
      return true
    case .saveMark:
      guard hasConnectionState(place, "`save mark`", span) else { return false }
      resolved.changes.savesMark = true
      return true
    case .set(let key, let value):
      return resolveSet(key, value, span, at: place, &resolved)
    case .update(let operation, let key, let set, let timeout):
      return resolveUpdate(operation, key, set, timeout, span, &resolved)
    case .cgroup(let paths): return resolveControlGroups(paths, span, at: place, &resolved)
    }
  }

  // MARK: Families

  /// Meets the families of one more clause; false and reported if none is left.
  mutating func narrow(_ resolved: inout ResolvedClauses, to families: Families, _ span: SourceSpan)
    -> Bool
  {
    guard families != .both else { return true }
    let meet = resolved.families.intersection(families)
    guard !meet.isEmpty else {
      error(
        .neverMatches, span, "this is \(families.word), and another clause is \(resolved.families.word)",
        help: ["no packet is both"],
        related: resolved.familySpan.map { [Diagnostic.Label($0, "\(resolved.families.word) by this")] } ?? []
      )
      return false
    }
    if meet != resolved.families { resolved.familySpan = span }
    resolved.families = meet
    return true
  }

  private mutating func reportOneFamilyNot(_ families: Families, _ span: SourceSpan) {
    let word = families == .ipv4 ? "ipv4" : "ipv6"
    let other = families == .ipv4 ? "IPv6" : "IPv4"
    error(
      .oneFamilyNot, span, "this list is \(families.word), so its negation holds for every \(other) packet",
      help: [
        "write `\(word)` too if only \(families.word) is meant, or add the \(other) prefixes to the list"
      ],
      fixIts: [
        FixIt(
          "only \(families.word)", replace: SourceSpan(span.source, span.start, span.start), with: "\(word) ")
      ])
  }

  // MARK: Protocols and services

  private mutating func resolveProtocols(
    _ list: [Spanned<ProtocolSyntax>], _ isNegated: Bool, _ ports: PortListSyntax?, _ span: SourceSpan,
    _ resolved: inout ResolvedClauses
  ) -> Bool {
    let services = list.compactMap { ProtocolNumbers.service($0.value) }.merged
    guard services.count > 0 else { return false }
    guard let ports else { return resolveServices(services, isNegated, span, &resolved) }
    let numbers = services.map(\.protocolNumber)
    guard let set = self.ports(ports.ports) else { return false }
    if set.isEmpty {
      if ports.negated {
        resolved.alwaysHolds.append(span)
        resolved.matches.append(Match(.protocols(numbers)))
      } else {
        resolved.neverHolds.append(span)
      }
      return true
    }
    if ports.negated, set.ranges == [AddressRange(0, .max)] {
      error(.neverMatches, span, "every port is in this list, so its negation never holds")
      return false
    }
    resolved.matches.append(Match(.ports(.destination, protocols: numbers, set), isNegated: ports.negated))
    return true
  }

  /// The simplest match for a list: a plain list of protocols where the families allow it, else services.
  private mutating func resolveServices(
    _ services: [Service], _ isNegated: Bool, _ span: SourceSpan, _ resolved: inout ResolvedClauses
  ) -> Bool {
    guard !services.isEmpty else {
      if isNegated { resolved.alwaysHolds.append(span) } else { resolved.neverHolds.append(span) }
      return true
    }
    let numbers = services.map(\.protocolNumber)
    let isWhole = services.allSatisfy { $0.ports == nil }
    if isNegated {
      // A protocol of one family does not exist in the other, so there its negation holds.
      let isEverywhere = services.allSatisfy { $0.families == .both }
      resolved.matches.append(
        Match(isWhole && isEverywhere ? .protocols(numbers) : .services(services), isNegated: true))
      return true
    }
    let families = services.reduce(into: Families()) { $0.formUnion($1.families) }
    guard narrow(&resolved, to: families, span) else { return false }
    guard services.allSatisfy({ $0.families == families }) else {
      resolved.matches.append(Match(.services(services)))
      return true
    }
    if isWhole {
      resolved.matches.append(Match(.protocols(numbers)))
    } else if services.count == 1, let ports = services[0].ports {
      resolved.matches.append(Match(.ports(.destination, protocols: numbers, ports)))
    } else {
      resolved.matches.append(Match(.services(services)))
    }
    return true
  }

  // MARK: Connection tracking

  mutating func hasConnectionState(_ place: Place, _ what: String, _ span: SourceSpan) -> Bool {
    guard let origin = place.origins.first(where: { !$0.hasConnectionState }) else { return true }
    error(
      .noStateHere, span, "\(what) in `\(origin.name)`, before connection tracking",
      help: [
        origin.hook == .ingress
          ? "devices deliver packets before any connection is looked up"
          : "connections are looked up at priority -200, and this chain runs at \(origin.priority ?? 0)"
      ], related: place.path(from: origin))
    return false
  }

  private mutating func resolveStates(
    _ list: [Spanned<StateSyntax>], _ isNegated: Bool, _ span: SourceSpan, at place: Place,
    _ resolved: inout ResolvedClauses
  ) -> Bool {
    guard hasConnectionState(place, "a state", span) else { return false }
    let states = ConntrackStates(list.map { ConntrackStates($0.value) })
    if isNegated, states == .all {
      error(
        .neverMatches, span, "all five states are negated",
        help: ["exactly one of them holds for every packet"])
      return false
    }
    resolved.hasStateClause = true
    resolved.matches.append(Match(.states(states), isNegated: isNegated))
    return true
  }

  /// The rule grammar has checked the words.
  private static let statuses: [String: ConntrackStatus] = [
    "expected": .expected, "seen-reply": .seenReply, "assured": .assured, "confirmed": .confirmed,
    "snat": .snat,
    "dnat": .dnat, "dying": .dying,
  ]

  // MARK: Addresses, interfaces, owners

  private mutating func resolveEndpoint(
    _ direction: Direction, _ isNegated: Bool, _ list: AddressListSyntax?, _ portList: PortListSyntax?,
    protocols: [UInt8]?, _ span: SourceSpan, at place: Place, _ resolved: inout ResolvedClauses,
    _ negatedLists: inout [(families: Families, span: SourceSpan)]
  ) -> Bool {
    var isGood = true
    if let list {
      if let addresses = addresses(list) {
        isGood = resolveAddresses(
          addresses, direction, isNegated, span, at: place, &resolved, &negatedLists)
      } else {
        isGood = false
      }
    }
    if let portList {
      isGood = resolvePorts(portList, direction, protocols: protocols, span, &resolved) && isGood
    }
    return isGood
  }

  private mutating func resolveAddresses(
    _ addresses: ResolvedAddresses, _ direction: Direction, _ isNegated: Bool, _ span: SourceSpan,
    at place: Place, _ resolved: inout ResolvedClauses,
    _ negatedLists: inout [(families: Families, span: SourceSpan)]
  ) -> Bool {
    if addresses.isEmptyByReference {
      if isNegated { resolved.alwaysHolds.append(span) } else { resolved.neverHolds.append(span) }
      return true
    }
    var match = addresses.value
    if let special = match.allSpecials.first,
      let origin = place.origin(without: \.knowsAddressType)
    {
      error(
        .wrongHook, span, "in `\(origin.name)` the routing table is not asked what `\(special.rawValue)` is",
        help: ["`\(special.rawValue)` holds in \(Hook.list(where: \.knowsAddressType))"],
        related: place.path(from: origin))
      return false
    }
    if !place.hasNamedSets {
      match.name = nil
      match.exception?.name = nil
    }
    if match.addresses == .all, match.exception == nil {
      guard !isNegated else {
        error(.neverMatches, span, "every address is in this list, so its negation never holds")
        return false
      }
      if addresses.isByReference { resolved.coversAll.append(span) }
      return true  // holds for every packet
    }
    if isNegated {
      if match.families != .both { negatedLists.append((match.families, span)) }
    } else {
      guard narrow(&resolved, to: match.families, span) else { return false }
    }
    if let name = match.name { definitions[name]?.isNamedSet = true }
    if let name = match.exception?.name { definitions[name]?.isNamedSet = true }
    for name in match.allSets { definitions[name]?.isNamedSet = true }
    resolved.matches.append(
      Match(.addresses(direction == .from ? .source : .destination, match), isNegated: isNegated))
    return true
  }

  private mutating func resolvePorts(
    _ list: PortListSyntax, _ direction: Direction, protocols: [UInt8]?, _ span: SourceSpan,
    _ resolved: inout ResolvedClauses
  ) -> Bool {
    guard let set = ports(list.ports) else { return false }
    // The rule grammar allows source ports behind services too, whose protocols then say which.
    var numbers = protocols ?? []
    if numbers.isEmpty {
      for match in resolved.matches {
        if case .services(let services) = match.condition { numbers += services.map(\.protocolNumber) }
        if case .protocols(let plain) = match.condition { numbers += plain }
        if case .ports(_, let plain, _) = match.condition { numbers += plain }
      }
    }
    numbers = Array(Set(numbers)).sorted()
    guard !numbers.isEmpty, numbers.allSatisfy(ProtocolNumbers.hasPorts) else {
      error(
        .rulePortsWithoutProtocol, span, "ports without a protocol that has any",
        help: ["add `tcp` or `udp`, or `tcp, udp` for both"])
      return false
    }
    if set.isEmpty {
      if list.negated { resolved.alwaysHolds.append(span) } else { resolved.neverHolds.append(span) }
      return true
    }
    resolved.matches.append(
      Match(
        .ports(direction == .from ? .source : .destination, protocols: numbers, set), isNegated: list.negated)
    )
    return true
  }

  private mutating func resolveInterfaces(
    _ direction: InterfaceDirection, _ isNegated: Bool, _ list: [Spanned<InterfaceSyntax>],
    _ span: SourceSpan,
    at place: Place, _ resolved: inout ResolvedClauses
  ) -> Bool {
    guard hasInterface(direction, at: place, span) else { return false }
    guard let patterns = interfaces(list) else { return false }
    guard !patterns.isEmpty else {
      if isNegated { resolved.alwaysHolds.append(span) } else { resolved.neverHolds.append(span) }
      return true
    }
    if !isNegated, patterns.contains(InterfacePattern("lo")) { resolved.namesLoopback = true }
    resolved.matches.append(
      Match(.interfaces(direction == .in ? .input : .output, patterns), isNegated: isNegated))
    return true
  }

  /// Whether the packets of the place have come in, or will go out, by an interface; else reported.
  mutating func hasInterface(_ direction: InterfaceDirection, at place: Place, _ span: SourceSpan) -> Bool {
    guard
      let origin = place.origin(without: direction == .in ? \.hasInputInterface : \.hasOutputInterface)
    else { return true }
    let hooks = Hook.list { direction == .in ? $0.hasInputInterface : $0.hasOutputInterface }
    error(
      .wrongHook, span,
      direction == .in
        ? "packets of `\(origin.name)` come in by no interface"
        : "packets of `\(origin.name)` have no interface to leave by yet",
      help: ["`\(direction.rawValue)` holds in \(hooks)"], related: place.path(from: origin))
    return false
  }

  private mutating func resolveOwner(
    _ kind: OwnerKind, _ isNegated: Bool, _ list: [Spanned<IDSyntax>], _ span: SourceSpan, at place: Place,
    _ resolved: inout ResolvedClauses
  ) -> Bool {
    if let origin = place.origin(without: \.hasSocketOwner) {
      error(
        .wrongHook, span, "packets of `\(origin.name)` have no sending socket here",
        help: ["`\(kind.rawValue)` holds in \(Hook.list(where: \.hasSocketOwner))"],
        related: place.path(from: origin))
      return false
    }
    guard let ranges = ids(list, kind == .user ? "user ids" : "group ids") else { return false }
    guard !ranges.isEmpty else {
      if isNegated { resolved.alwaysHolds.append(span) } else { resolved.neverHolds.append(span) }
      return true
    }
    resolved.matches.append(Match(kind == .user ? .user(ranges) : .group(ranges), isNegated: isNegated))
    return true
  }
}

extension Families {
  init(_ family: IPFamily) { self = family == .ipv4 ? .ipv4 : .ipv6 }

  var word: String {
    switch self {
    case .ipv4: "IPv4"
    case .ipv6: "IPv6"
    default: "IPv4 and IPv6"
    }
  }
}

extension ConntrackStates {
  init(_ state: StateSyntax) {
    switch state {
    case .new: self = .new
    case .established: self = .established
    case .related: self = .related
    case .invalid: self = .invalid
    case .untracked: self = .untracked
    }
  }
}

extension RejectKind {
  init(_ kind: RejectKindSyntax) {
    switch kind {
    case .tcpReset: self = .tcpReset
    case .portUnreachable: self = .portUnreachable
    case .hostUnreachable: self = .hostUnreachable
    case .adminProhibited: self = .adminProhibited
    case .noRoute: self = .noRoute
    }
  }
}

extension Rate {
  init(_ rate: RateSyntax) {
    let seconds: UInt64 =
      switch rate.unit {
      case .second: 1
      case .minute: 60
      case .hour: 3600
      case .day: 86_400
      }
    self.init(amount: rate.amount, isBytes: rate.isBytes, seconds: seconds)
  }
}

extension ClauseSyntax {
  /// Whether the clause is the negated one of a pair.
  fileprivate func isNegation(of twin: ResolvedClauses.Twin) -> Bool {
    switch (self, twin) {
    case (.endpoint(let direction, negated: true, _, _), .addresses(let side)):
      (direction == .from) == (side == .source)
    case (.interfaces(let direction, negated: true, _), .interfaces(let side)):
      (direction == .in) == (side == .input)
    case (.owner(let kind, negated: true, _), .user): kind == .user
    case (.owner(let kind, negated: true, _), .group): kind == .group
    case (.status(negated: true, _), .status): true
    case (_, .word(let word)): negatedWord == word
    default: false
    }
  }

  /// The keyword of a negated clause with no case of its own in ``ResolvedClauses/Twin``.
  private var negatedWord: String? {
    switch self {
    case .mark(let kind, negated: true, _, _): kind.rawValue
    case .tcpFlags(negated: true, _, _): "flags"
    case .ether(let direction, negated: true, _): "ether \(direction.rawValue)"
    case .numeric(let field, negated: true, _): field.rawValue
    case .packetType(negated: true, _): "type"
    case .flag(let flag, negated: true): flag.rawValue
    default: nil
    }
  }
}
