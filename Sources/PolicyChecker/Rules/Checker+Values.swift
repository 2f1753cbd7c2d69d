import Diagnostics
import PolicyModel
import PolicySyntax

/// Lists of values, with their names resolved. Nil means reported.
extension Checker {
  // MARK: Addresses

  /// A resolved list; `isEmptyByReference`: nothing is left, and references are why, which is legal.
  struct ResolvedAddresses {
    var value: AddressMatch
    var isEmptyByReference: Bool
    /// Whether a definition may be why it holds every address.
    var isByReference: Bool
  }

  mutating func addresses(_ list: AddressListSyntax) -> ResolvedAddresses? {
    guard var match = union(list.included), let excluded = union(list.excluded) else { return nil }
    if list.included.count == 1, case .reference(let name) = list.included[0].value, match.isStatic,
      !match.addresses.isEmpty
    {
      match.name = name
    }
    if let first = list.excluded.first {
      guard let difference = difference(match, excluded, at: first.span) else { return nil }
      match = difference
      if list.excluded.count == 1, case .reference(let name) = first.value, excluded.isStatic {
        match.exception?.name = name
      }
    }
    let isEmpty = match.families.isEmpty
    if isEmpty, !list.hasReference {
      let span = list.included[0].span
      error(
        .neverMatches, span, "no address is left in this list",
        help: ["what is taken out holds all that was put in"])
      return nil
    }
    return ResolvedAddresses(
      value: match, isEmptyByReference: isEmpty,
      isByReference: list.hasReference && !list.included.contains { $0.value == .any })
  }

  /// The addresses of `match` that are not in `excluded`; nil if reported.
  mutating func difference(
    _ match: AddressMatch, _ excluded: AddressMatch, at span: SourceSpan
  ) -> AddressMatch? {
    guard match.tree == nil, excluded.tree == nil, excluded.exception == nil else {
      return asked(.difference(match.asTree, excluded.asTree), at: span)
    }
    var result = match
    result.addresses = match.addresses.subtracting(excluded.addresses)
    if result.addresses != match.addresses { result.name = nil }
    result.specials.removeAll(where: excluded.specials.contains)
    result.sets.removeAll(where: excluded.sets.contains)
    var exception = match.exception ?? AddressMatch.Exception()
    // Of a static list they are out already.
    if !result.specials.isEmpty || !result.sets.isEmpty {
      exception.addresses = exception.addresses.union(excluded.addresses)
      exception.name = nil
    }
    exception.specials = Set(exception.specials + excluded.specials).sorted { $0.rawValue < $1.rawValue }
    exception.sets = Set(exception.sets + excluded.sets).sorted()
    let isNothing = result.addresses.isEmpty && result.specials.isEmpty && result.sets.isEmpty
    result.exception = isNothing || exception == AddressMatch.Exception() ? nil : exception
    return result
  }

  private mutating func union(_ addresses: [Spanned<AddressSyntax>]) -> AddressMatch? {
    if addresses.count == 1 { return address(addresses[0]) }
    let matches = addresses.map { address in self.address(address).map { Spanned($0, address.span) } }
    let known = matches.compactMap(\.self)
    let sum = union(known)
    return known.count == matches.count ? sum : nil
  }

  /// Nil if reported.
  mutating func union(_ matches: [Spanned<AddressMatch>]) -> AddressMatch? {
    if matches.count == 1 { return matches[0].value }
    // All that are known together are sorted once; one by one a long list would be copied for each of its elements.
    let known = matches.filter(\.value.isStatic)
    var sum: AddressMatch? = AddressMatch(
      addresses: AddressSet(
        ipv4: known.flatMap(\.value.addresses.ipv4), ipv6: known.flatMap(\.value.addresses.ipv6)))
    for match in matches where !match.value.isStatic {
      sum = sum.flatMap { union($0, match.value, at: match.span) }
    }
    return sum
  }

  /// Nil if reported.
  private mutating func union(_ a: AddressMatch, _ b: AddressMatch, at span: SourceSpan) -> AddressMatch? {
    if a == b { return a }
    if a.families.isEmpty { return b }
    if b.families.isEmpty { return a }
    guard a.tree == nil, b.tree == nil, a.exception == nil, b.exception == nil else {
      return asked(.union([a.asTree, b.asTree]), at: span)
    }
    return a.union(b)
  }

  /// Each question doubles what there is to decide.
  private static let questionLimit = 6
  /// Each part is looked at for each of their answers.
  private static let partLimit = 64

  /// Nil if reported.
  private mutating func asked(_ tree: AddressTree, at span: SourceSpan) -> AddressMatch? {
    let parts = tree.partCount
    guard parts <= Self.partLimit else {
      error(
        .ruleBadValue, span,
        "this list is put together from \(parts) lists with exceptions of their own; \(Self.partLimit) fit into one",
        help: ["take the exception out once, of the whole list"])
      return nil
    }
    guard tree.questions.count <= Self.questionLimit else {
      error(
        .ruleBadValue, span,
        "this list asks \(tree.questions.count) questions about an address; \(Self.questionLimit) fit into one with exceptions of its parts",
        help: ["`local`, `broadcast`, dynamic and external sets are asked: make rules of them"])
      return nil
    }
    // Where no answer changes anything, nothing is asked.
    let (ipv4, ipv6) = (tree.decisions(in: .ipv4), tree.decisions(in: .ipv6))
    if ipv4.count == 1, ipv6.count == 1 {
      return AddressMatch(
        addresses: AddressSet(ipv4: ipv4[0].addresses.ipv4, ipv6: ipv6[0].addresses.ipv6))
    }
    return AddressMatch(tree)
  }

  mutating func address(_ address: Spanned<AddressSyntax>) -> AddressMatch? {
    switch address.value {
    case .range(let range): AddressMatch(addresses: AddressSet(range))
    case .any: AddressMatch(addresses: .all)
    case .local: AddressMatch(addresses: AddressSet(), specials: [.local])
    case .broadcast: AddressMatch(addresses: AddressSet(), specials: [.broadcast])
    case .multicast: AddressMatch(addresses: .multicast)
    case .reference(let name):
      switch definition(name, at: address.span) {
      case .addresses(let match): match
      case .empty: AddressMatch(addresses: AddressSet())
      case .damaged: nil
      case let other: wrongKind(name, other, "addresses", address.span)
      }
    }
  }

  private mutating func wrongKind<T>(
    _ name: String, _ value: Definitions.Value, _ wanted: String, _ span: SourceSpan
  ) -> T? {
    error(
      .definitionKind, span, "`$\(name)` is \(value.kindName), and \(wanted) stand here",
      related: definitions[name].map { [Diagnostic.Label($0.span, "defined here")] } ?? [])
    return nil
  }

  // MARK: Ports, numbers, interfaces, services

  /// An empty set only by references.
  mutating func ports(_ list: [Spanned<PortSyntax>]) -> PortSet? {
    var ranges: [AddressRange<UInt16>] = []
    var isDamaged = false
    for port in list {
      switch port.value {
      case .range(let lower, let upper):
        if lower <= upper { ranges.append(AddressRange(lower, upper)) } else { isDamaged = true }
      case .service(let name):
        guard let number = ServiceNames.port(of: name) else {
          reportUnknownService(name, port.span)
          isDamaged = true
          continue
        }
        ranges.append(AddressRange(number, number))
      case .reference(let name):
        guard let numbers = numbers(name, at: port.span, upTo: 65535, "ports") else {
          isDamaged = true
          continue
        }
        ranges += numbers.map { AddressRange(UInt16($0.lower), UInt16($0.upper)) }
      }
    }
    return isDamaged ? nil : PortSet(ranges)
  }

  private mutating func reportUnknownService(_ name: String, _ span: SourceSpan) {
    func shown(_ services: [String]) -> String {
      services.map { "`\($0)` (\(ServiceNames.port(of: $0) ?? 0))" }.joined(separator: " or ")
    }
    var help: [String] = []
    var meant: String?
    if definitions[name] != nil {
      help = ["a definition is written with a `$`: `$\(name)`"]
    } else if let known = ServiceNames.otherNames[name] {
      help = ["it is called \(shown([known])) here"]
      meant = known
    } else {
      var near = Spelling.near(name, among: ServiceNames.names)
      // A wrong guess would open another port: only a word that can be nothing else is put in place.
      if near.count == 1, name.utf8.count > 4 { meant = near[0] }
      if near.isEmpty, let closest = Spelling.closest(to: name, among: ServiceNames.names) {
        near = [closest]
      }
      help = [near.isEmpty ? "write the number of the port" : "did you mean \(shown(near))?"]
    }
    error(
      .unknownService, span, "unknown service `\(name)`", help: help,
      fixIts: meant.map { [FixIt("write `\($0)`", replace: span, with: $0)] } ?? [])
  }

  mutating func numbers(
    _ name: String, at span: SourceSpan, upTo limit: UInt32, _ what: String
  ) -> [AddressRange<UInt32>]? {
    switch definition(name, at: span) {
    case .numbers(let ranges):
      if let large = ranges.first(where: { $0.upper > limit }) {
        error(
          .badRange, span, "`$\(name)` holds \(large.upper), and \(what) end at \(limit)",
          related: definitions[name].map { [Diagnostic.Label($0.span, "defined here")] } ?? [])
        return nil
      }
      return ranges
    case .empty: return []
    case .damaged: return nil
    case let other: return wrongKind(name, other, "numbers", span)
    }
  }

  /// Ascending; empty only by references.
  mutating func interfaces(_ list: [Spanned<InterfaceSyntax>]) -> [InterfacePattern]? {
    var patterns: Set<InterfacePattern> = []
    var isDamaged = false
    for interface in list {
      guard case .reference(let name) = interface.value else {
        if let pattern = pattern(interface.value, at: interface.span) {
          patterns.insert(pattern)
        } else {
          isDamaged = true
        }
        continue
      }
      switch definition(name, at: interface.span) {
      case .interfaces(let defined): patterns.formUnion(defined)
      case .empty: break
      case .damaged: isDamaged = true
      case let other:
        let nothing: Int? = wrongKind(name, other, "interfaces", interface.span)
        isDamaged = isDamaged || nothing == nil
      }
    }
    return isDamaged ? nil : patterns.sorted()
  }

  mutating func ids(_ list: [Spanned<IDSyntax>], _ what: String) -> [AddressRange<UInt32>]? {
    var ranges: [AddressRange<UInt32>] = []
    var isDamaged = false
    for id in list {
      switch id.value {
      case .range(let lower, let upper):
        if lower <= upper { ranges.append(AddressRange(lower, upper)) } else { isDamaged = true }
      case .reference(let name):
        // (uid_t)-1 is no id.
        guard let numbers = numbers(name, at: id.span, upTo: .max - 1, what) else {
          isDamaged = true
          continue
        }
        ranges += numbers
      }
    }
    return isDamaged ? nil : ranges.merged
  }

  mutating func services(_ names: [Spanned<String>]) -> [Service]? {
    var services: [Service] = []
    var isDamaged = false
    for name in names {
      switch definition(name.value, at: name.span) {
      case .services(let defined): services += defined
      case .empty: break
      case .damaged: isDamaged = true
      case let other:
        var help = "a clause of its own is a definition of services, such as `[tcp 80, udp 443]`"
        if case .numbers = other { help = "numbers stand behind a protocol: `tcp $\(name.value)`" }
        if case .addresses = other { help = "addresses stand behind `from` or `to`" }
        if case .interfaces = other { help = "interfaces stand behind `in` or `out`" }
        error(
          .definitionKind, name.span, "`$\(name.value)` is \(other.kindName), and services stand here",
          help: [help],
          related: definitions[name.value].map { [Diagnostic.Label($0.span, "defined here")] } ?? [])
        isDamaged = true
      }
    }
    return isDamaged ? nil : services.merged
  }

  mutating func icmpTypes(_ family: IPFamily, _ list: [Spanned<ICMPTypeSyntax>]) -> [ICMPType]? {
    var types: Set<ICMPType> = []
    var isDamaged = false
    for type in list {
      switch type.value {
      case .number(let number, let code): types.insert(ICMPType(type: number, code: code))
      case .named(let name):
        if let named = ICMPTypeNames.types(of: name, family) {
          types.formUnion(named)
        } else {
          reportUnknownType(name, family, type.span)
          isDamaged = true
        }
      }
    }
    // A type without a code holds all of its codes.
    let whole = Set(types.filter { $0.code == nil }.map(\.type))
    return isDamaged ? nil : types.filter { $0.code == nil || !whole.contains($0.type) }.sorted()
  }

  private mutating func reportUnknownType(_ name: String, _ family: IPFamily, _ span: SourceSpan) {
    let other: IPFamily = family == .ipv4 ? .ipv6 : .ipv4
    let word = family == .ipv4 ? "icmp" : "icmpv6"
    let isOther = ICMPTypeNames.types(of: name, other) != nil
    if let known = ICMPTypeNames.otherNames[name] {
      error(
        .unknownICMPType, span, "`\(word)` has no type `\(name)`", help: ["it is called `\(known)` here"],
        fixIts: [FixIt("write `\(known)`", replace: span, with: known)])
      return
    }
    error(
      .unknownICMPType, span, "`\(word)` has no type `\(name)`",
      help: isOther
        ? ["`\(family == .ipv4 ? "icmpv6" : "icmp")` has one of that name"]
        : suggestion(
          for: name, among: ICMPTypeNames.names(family),
          otherwise: "write its number, or one of \(ICMPTypeNames.names(family).joined(separator: ", "))"),
      fixIts: isOther ? [] : correction(of: span, word: name, among: ICMPTypeNames.names(family)))
  }
}

extension AddressListSyntax {
  fileprivate var hasReference: Bool {
    (included + excluded).contains { if case .reference = $0.value { true } else { false } }
  }
}

extension AddressSet {
  /// 224.0.0.0/4 and ff00::/8.
  static var multicast: AddressSet {
    AddressSet(
      ipv4: [IPv4Range(0xe000_0000, 0xefff_ffff)], ipv6: [IPv6Range(UInt128(0xff) << 120, .max)])
  }

  /// The bounds are those of the family, as the address grammar made them.
  init(_ range: AddressRangeSyntax) {
    guard range.lower <= range.upper else {
      self.init()
      return
    }
    switch range.family {
    case .ipv4:
      self.init(ipv4: [
        IPv4Range(UInt32(truncatingIfNeeded: range.lower), UInt32(truncatingIfNeeded: range.upper))
      ])
    case .ipv6:
      self.init(ipv6: [IPv6Range(range.lower, range.upper)])
    }
  }
}
