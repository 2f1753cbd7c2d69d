import Diagnostics
import PolicyModel
import PolicySyntax

/// Sets that are filled while the policy is in force, and the clauses that fill them (LANGUAGE.md §2, §4.5).
extension Checker {
  /// `{dynamic: addresses, size: 4096, timeout: 30s}`, `{external: addresses, size: 4096}`.
  mutating func dynamicSet(
    of kind: SyntaxEntry, _ entries: [SyntaxEntry], _ definition: Definitions.Definition
  ) -> Definitions.Value {
    if let other = entries.first(where: {
      $0.key.text != kind.key.text && $0.key.text != "size" && $0.key.text != "timeout"
    }) {
      error(
        .mixedKinds, other.key.span, "`\(definition.name)` is \(kind.key.text) and \(other.key.text)",
        help: ["make two definitions of it"],
        related: [Diagnostic.Label(kind.key.span, "the first kind")])
      return .damaged
    }
    let filler: DynamicSet.Filler = kind.key.text == "dynamic" ? .rules : .others
    guard let size = entries.first(where: { $0.key.text == "size" })?.value.scalar else {
      error(
        .missingKey, definition.span, "`\(definition.name)` needs the key `size`",
        help: [
          "how many addresses of each family it can hold, such as `size: 4096`: the kernel takes no more"
        ])
      return .damaged
    }
    let timeout = entries.first { $0.key.text == "timeout" }
    if timeout == nil, filler == .rules {
      error(
        .missingKey, definition.span, "`\(definition.name)` needs the key `timeout`",
        help: ["how long an address stays, such as `timeout: 1h`; `never` where it stays for good"])
      return .damaged
    }
    var seconds: UInt64?
    if let scalar = timeout?.value.scalar, scalar.text != "never" {
      guard let given = Self.duration(scalar) else { return .damaged }
      guard isPossible(given, scalar.span) else { return .damaged }
      seconds = given
    }
    // Both have been looked at with the shape of the document.
    guard let number = Integer.parse(size.text).flatMap({ UInt32(exactly: $0) }), number > 0 else {
      return .damaged
    }
    definitions[definition.name]?.dynamicSet = DynamicSet(
      name: definition.name, filler: filler, size: number, timeout: seconds, span: definition.span)
    return .addresses(AddressMatch(addresses: AddressSet(), sets: [definition.name]))
  }

  private mutating func isPossible(_ seconds: UInt64, _ span: SourceSpan) -> Bool {
    if seconds == 0 {
      error(
        .badValue, span, "an address would be gone as soon as it is there",
        help: ["write how long it stays, such as 1h"])
    }
    return seconds > 0
  }

  /// `add`, `update`, `delete`; false means reported.
  mutating func resolveUpdate(
    _ operation: SetOperation, _ key: KeySyntax, _ name: Spanned<String>, _ timeout: Spanned<DurationSyntax>?,
    _ span: SourceSpan, _ resolved: inout ResolvedClauses
  ) -> Bool {
    let value = definition(name.value, at: name.span)
    if case .damaged = value { return false }
    let definition = definitions[name.value]
    guard let set = definition?.dynamicSet else {
      error(
        .definitionKind, name.span,
        "`$\(name.value)` is \(value.kindName) that do not change, and rules fill dynamic sets only",
        help: ["define it as `{dynamic: addresses, size: 4096, timeout: 1h}`"],
        related: definition.map { [Diagnostic.Label($0.span, "defined here")] } ?? [])
      return false
    }
    guard set.filler == .rules else {
      error(
        .definitionKind, name.span, "`$\(name.value)` is filled by other programs, not by rules",
        help: ["define it as `dynamic` if rules fill it"],
        related: [Diagnostic.Label(set.span, "external by this")])
      return false
    }
    if let timeout {
      guard operation != .delete else {
        error(
          .ruleNotHere, timeout.span, "what is taken out has no time to stay",
          help: ["leave `timeout` out"])
        return false
      }
      guard set.timeout != nil else {
        error(
          .timeoutOfNever, timeout.span, "`$\(name.value)` keeps its addresses for good, and has no times",
          help: ["define it with a time, such as `timeout: 1h`, or leave the clause's out"],
          related: [Diagnostic.Label(set.span, "defined with `timeout: never`")])
        return false
      }
      guard isPossible(timeout.value.seconds, timeout.span) else { return false }
    }
    let bits = AddressKey(key)
    guard holds(set, bits, key.span, since: definition?.updateSpan) else { return false }
    if definition?.updateSpan == nil {
      definitions[name.value]?.updateSpan = key.span
      definitions[name.value]?.dynamicSet?.ipv4Bits = bits.ipv4Bits
      definitions[name.value]?.dynamicSet?.ipv6Bits = bits.ipv6Bits
    }
    definitions[name.value]?.isNamedSet = true
    resolved.changes.setUpdates.append(
      SetUpdate(
        operation: SetUpdate.Operation(operation), key: bits, set: name.value,
        timeout: timeout?.value.seconds))
    return true
  }

  /// Whether a set holds as much of each address as a clause gives it; else reported. All clauses say the same: who
  /// asks the set looks for that much.
  private mutating func holds(
    _ set: DynamicSet, _ key: AddressKey, _ span: SourceSpan, since first: SourceSpan?
  ) -> Bool {
    guard let first, set.ipv4Bits != key.ipv4Bits || set.ipv6Bits != key.ipv6Bits else { return true }
    error(
      .ruleBadValue, span,
      "`$\(set.name)` holds /\(set.ipv4Bits):\(set.ipv6Bits) of each address, and this is /\(key.ipv4Bits):\(key.ipv6Bits)",
      help: ["write the same bits in every rule that fills or empties it, or make two sets"],
      related: [Diagnostic.Label(first, "first here")])
    return false
  }

  // MARK: Kernel rules

  /// INVARIANT: small enough for the count of parts of a rule (`Parts`).
  static let alternativesLimit = 12

  /// Whether the lists of a rule come to so few kernel rules that they can be numbered; else reported.
  mutating func fitsAlternatives(_ syntax: RuleSyntax, _ clauses: ResolvedClauses) -> Bool {
    var hasGroups = false
    let count = clauses.matches.reduce(1) { product, match in
      switch match.condition {
      case .addresses(_, let addresses): return product * addresses.alternatives(isNegated: match.isNegated)
      case .controlGroups(let groups):
        hasGroups = true
        return product * Set(groups.map(\.level)).count
      default: return product
      }
    }
    guard count > Self.alternativesLimit else { return true }
    error(
      .ruleBadValue, syntax.span,
      "the lists of this rule come to \(count) questions; \(Self.alternativesLimit) fit into a rule",
      help: [
        "each `local`, `broadcast`, dynamic or external set beside others is asked apart: make rules of them"
      ] + (hasGroups ? ["control groups of one level are one question"] : []))
    return false
  }
}

extension AddressMatch {
  /// The ways to meet it, each of which becomes a kernel rule.
  fileprivate func alternatives(isNegated: Bool) -> Int {
    if let tree { return max(tree.decisions(in: .ipv4).count, tree.decisions(in: .ipv6).count) }
    func terms(_ addresses: AddressSet, _ specials: [Special], _ sets: [String]) -> Int {
      (addresses.isEmpty ? 0 : 1) + (specials.isEmpty ? 0 : 1) + sets.count
    }
    let included = addresses == .all ? 0 : terms(addresses, specials, sets)
    let excepted = exception.map { terms($0.addresses, $0.specials, $0.sets) } ?? 0
    guard isNegated else { return max(1, included) }
    return max(1, (included > 0 ? 1 : 0) + max(1, included) * excepted)
  }
}

extension SetUpdate.Operation {
  fileprivate init(_ operation: SetOperation) {
    switch operation {
    case .add: self = .add
    case .update: self = .update
    case .delete: self = .delete
    }
  }
}

extension AddressKey {
  init(_ key: KeySyntax) {
    self.init(
      side: key.field == .from ? .source : .destination, ipv4Bits: key.ipv4Bits ?? 32,
      ipv6Bits: key.ipv6Bits ?? 128)
  }
}

extension Rule {
  /// Dynamic and external sets that it asks or fills.
  var dynamicSets: [String] {
    matches.flatMap { match -> [String] in
      guard case .addresses(_, let addresses) = match.condition else { return [] }
      return addresses.allSets
    } + changes.setUpdates.map(\.set)
  }
}
