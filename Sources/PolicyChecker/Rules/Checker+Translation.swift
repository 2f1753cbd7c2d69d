import Diagnostics
import PolicyModel
import PolicySyntax

/// Verdicts that translate addresses (LANGUAGE.md §4.7, §4.10).
extension Checker {
  /// Whether every base chain that reaches the rule may translate so; else reported.
  mutating func holdsHere(
    _ verdict: String, in hooks: Set<Hook>, at place: Place, _ span: SourceSpan
  ) -> Bool {
    guard let origin = place.origins.first(where: { !$0.isNAT || !hooks.contains($0.hook) }) else {
      return true
    }
    let chains = Hook.allCases.filter(hooks.contains).map { "`nat.\($0.rawValue)`" }.joined(separator: ", ")
    error(
      .wrongHook, span, "`\(verdict)` cannot translate in `\(origin.name)`", help: ["it holds in \(chains)"],
      related: place.path(from: origin))
    return false
  }

  /// Whether no nat chain reaches the rule, in which a refusal has no place; else reported.
  mutating func mayRefuse(_ verdict: String, at place: Place, _ span: SourceSpan) -> Bool {
    guard let origin = place.origins.first(where: \.isNAT) else { return true }
    error(
      .wrongHook, span, "`\(verdict)` in `\(origin.name)`, which sees the first packet of a connection only",
      help: ["refuse it in a chain that filters: they see every packet"], related: place.path(from: origin))
    return false
  }

  /// The translation with the families it leaves; nil if something was reported.
  mutating func translation(
    _ verdict: Spanned<VerdictSyntax>, _ syntax: RuleSyntax, _ clauses: ResolvedClauses
  ) -> (Translation, Families)? {
    for clause in syntax.clauses {
      let word: String
      switch clause.value {
      case .limit: word = "limit"
      case .quota: word = "quota"
      case .connections: word = "connections"
      default: continue
      }
      error(
        .ruleNotHere, clause.span, "a rule that translates takes no `\(word)`",
        help: ["what exceeds it would pass without translation: bound it in a chain that filters"])
      return nil
    }
    guard let translation = translation(verdict, hasPorts: clauses.hasPortsOnly) else { return nil }
    let families = clauses.families.intersection(translation.families)
    if families.isEmpty {
      error(
        .neverMatches, verdict.span,
        "the target is \(translation.families.word), and another clause is \(clauses.families.word)",
        help: ["no packet is both"],
        related: clauses.familySpan.map { [Diagnostic.Label($0, "\(clauses.families.word) by this")] } ?? [])
      return nil
    }
    guard families != .both else {
      let end = SourceSpan(verdict.span.source, verdict.span.end, verdict.span.end)
      error(
        .natFamily, verdict.span, "this translates IPv4 and IPv6 alike",
        help: ["write `ipv4` or `ipv6`, or a rule for each"],
        fixIts: [FixIt("only IPv4", replace: end, with: " ipv4")])
      return nil
    }
    return (translation, families)
  }

  private mutating func translation(_ verdict: Spanned<VerdictSyntax>, hasPorts: Bool) -> Translation? {
    switch verdict.value {
    case .masquerade: return .masquerade
    case .redirect(let port):
      if let port, !hasPorts {
        needsPorts(port.span)
        return nil
      }
      return .redirect(port?.value)
    case .snat(let target): return self.target(target, hasPorts: hasPorts).map { .source($0) }
    case .dnat(let target):
      guard case .reference(let name) = target.value.address,
        case .targets(let targets) = definition(name, at: target.span)
      else { return self.target(target, hasPorts: hasPorts).map { .destination($0) } }
      guard hasPorts else {
        needsPorts(target.span)
        return nil
      }
      return .destinationByPort(targets)
    default: return nil
    }
  }

  private mutating func needsPorts(_ span: SourceSpan) {
    error(
      .rulePortsWithoutProtocol, span, "a port of a target without a protocol that has any",
      help: ["add `tcp` or `udp`, or `tcp, udp` for both"])
  }

  private mutating func target(_ syntax: Spanned<TargetSyntax>, hasPorts: Bool) -> NATTarget? {
    let addresses: NATAddresses
    var isPrefix = false
    switch syntax.value.address {
    case .range(let range):
      addresses = NATAddresses(range)
      isPrefix = range.prefix != nil && !addresses.isSingle
    case .reference(let name):
      switch definition(name, at: syntax.span) {
      case .damaged: return nil
      case .addresses(let match):
        let ranges =
          match.addresses.ipv4.map { NATAddresses.ipv4($0) }
          + match.addresses.ipv6.map { NATAddresses.ipv6($0) }
        guard let only = ranges.first, ranges.count == 1, match.isStatic else {
          error(
            .definitionKind, syntax.span, "`$\(name)` is not one address, range or prefix of one family",
            help: ["a target of several is a range, or a map of ports"])
          return nil
        }
        addresses = only
      case let other:
        error(
          .definitionKind, syntax.span,
          "`$\(name)` is \(other.kindName), and an address or a map stands here",
          related: definitions[name].map { [Diagnostic.Label($0.span, "defined here")] } ?? [])
        return nil
      }
    }
    var ports: AddressRange<UInt16>?
    if case .range(let lower, let upper)? = syntax.value.ports {
      guard hasPorts else {
        needsPorts(syntax.span)
        return nil
      }
      guard !isPrefix else {
        error(
          .ruleBadValue, syntax.span, "a prefix as target keeps each packet's port",
          help: ["write a range of addresses, or leave the port out"])
        return nil
      }
      guard lower <= upper else { return nil }
      guard lower > 0 else {
        reportPortZero(syntax.span)
        return nil
      }
      // nft lists such a range as a prefix with ports, and does not read that back.
      guard addresses.isSingle || addresses.prefixLength == nil else {
        error(
          .ruleBadValue, syntax.span,
          "no nft file can hold these addresses with ports: their range is a prefix",
          help: ["make the range longer or shorter by one address, or two rules of it"])
        return nil
      }
      ports = AddressRange(lower, upper)
    }
    return NATTarget(addresses: addresses, isPrefix: isPrefix, ports: ports)
  }

  private mutating func reportPortZero(_ span: SourceSpan) {
    error(
      .badRange, span, "no connection leads to port 0",
      help: ["leave the port out to keep that of each packet"])
  }

  // MARK: Maps of targets

  /// `{map: {8080: "10.0.0.2:80"}}` (LANGUAGE.md §2).
  mutating func targets(_ node: SyntaxNode, of definition: Definitions.Definition) -> Definitions.Value {
    var targets: [PortTarget] = []
    var isDamaged = false
    for entry in node.mapping ?? [] {
      guard let port = Integer.parse(entry.key.text).flatMap({ UInt16(exactly: $0) }) else {
        error(
          .badRange, entry.key.span, "`\(entry.key.text)` is no port",
          help: ["the keys are ports, 0 to 65535"])
        isDamaged = true
        continue
      }
      guard let scalar = entry.value.scalar,
        let target = TargetSyntax.parse(scalar, diagnostics: &diagnostics)
      else {
        isDamaged = true
        continue
      }
      guard case .range(let range) = target.address, NATAddresses(range).isSingle else {
        error(
          .badAddress, scalar.span, "a target of a map is one address",
          help: ["as in `10.0.0.2`, `10.0.0.2:80` or `[2001:db8::1]:443`"])
        isDamaged = true
        continue
      }
      var targetPort = port
      if case .range(let lower, let upper)? = target.ports {
        guard lower == upper else {
          error(.badRange, scalar.span, "a target of a map has one port", help: ["the key is one port too"])
          isDamaged = true
          continue
        }
        targetPort = lower
      }
      guard targetPort > 0 else {
        reportPortZero(scalar.span)
        isDamaged = true
        continue
      }
      let made = PortTarget(port: port, address: NATAddresses(range), targetPort: targetPort)
      if let first = targets.first, first.address.families != made.address.families {
        error(
          .mixedKinds, scalar.span, "`\(definition.name)` holds targets of both families",
          help: ["make a map for each"])
        isDamaged = true
      }
      targets.append(made)
    }
    if isDamaged { return .damaged }
    return targets.isEmpty ? .empty : .targets(targets.sorted { $0.port < $1.port })
  }
}

extension NATAddresses {
  /// The length in bits of the prefix that the range is, if it is one.
  fileprivate var prefixLength: Int? {
    let (lower, upper, width): (UInt128, UInt128, Int) =
      switch self {
      case .ipv4(let range): (UInt128(range.lower), UInt128(range.upper), 32)
      case .ipv6(let range): (range.lower, range.upper, 128)
      }
    let host = lower ^ upper
    guard host & (host &+ 1) == 0, lower & host == 0 else { return nil }
    return width - (128 - host.leadingZeroBitCount)
  }

  /// The bounds are those of the family, as the address grammar made them.
  init(_ range: AddressRangeSyntax) {
    self =
      switch range.family {
      case .ipv4:
        .ipv4(IPv4Range(UInt32(truncatingIfNeeded: range.lower), UInt32(truncatingIfNeeded: range.upper)))
      case .ipv6: .ipv6(IPv6Range(range.lower, range.upper))
      }
  }
}

extension ResolvedClauses {
  /// Whether every packet that meets the matches is of a protocol with ports.
  var hasPortsOnly: Bool { !portProtocols.isEmpty }

  /// The protocols of such a rule, ascending; none if packets without ports meet it too.
  var portProtocols: [UInt8] {
    for match in matches {
      let numbers: [UInt8]
      switch match.condition {
      case .protocols(let list) where !match.isNegated: numbers = list
      case .ports(_, let list, _): numbers = list
      case .services(let services) where !match.isNegated: numbers = services.map(\.protocolNumber)
      default: continue
      }
      if !numbers.isEmpty, numbers.allSatisfy(ProtocolNumbers.hasPorts) { return Set(numbers).sorted() }
    }
    return []
  }
}
