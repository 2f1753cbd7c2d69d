import Diagnostics
import PolicyModel
import PolicySyntax

/// `management`, `expect`, `guarantee` and `delegate` (LANGUAGE.md §6).
extension Checker {
  enum StatementList: String {
    case expect
    case guarantee
    case delegate
    case loosen
  }

  // MARK: Management

  mutating func management(_ node: SyntaxNode?) -> Management {
    guard let node else { return .unstated }
    guard let items = node.sequence else { return .none }
    if items.isEmpty {
      error(
        .badValue, node.span, "an empty list does not say what must stay reachable",
        help: ["write `management: none` for a console-only host"])
    }
    var regions: [Region] = []
    for item in items {
      guard let scalar = item.ruleText("a region", diagnostics: &diagnostics),
        let parsed = RegionSyntax.parseManagement(scalar, diagnostics: &diagnostics),
        let (place, matches, families) = place(parsed.place ?? Spanned(.hook("input"), scalar.span))
      else { continue }
      if let state = parsed.region.clauses.first(where: { $0.value.isAboutState }) {
        error(
          .ruleNotHere, state.span, "a region of `management` takes no state",
          help: ["it is proved for the packets that open a connection, and for the replies to them"])
        continue
      }
      guard var region = region(parsed.region, at: place, matches, families) else { continue }
      if let place = parsed.place?.value.text, place != Hook.input.rawValue { region.place = place }
      regions.append(region)
    }
    return .regions(regions)
  }

  /// A region that may name its place; else that is `input`.
  mutating func region(_ scalar: SyntaxScalar) -> Region? {
    guard let parsed = RegionSyntax.parseManagement(scalar, diagnostics: &diagnostics),
      let (place, matches, families) = place(parsed.place ?? Spanned(.hook("input"), scalar.span))
    else { return nil }
    return region(parsed.region, at: place, matches, families)
  }

  // MARK: Statements

  mutating func statements(_ node: SyntaxNode?, in list: StatementList) -> [Statement] {
    var statements: [Statement] = []
    var names: [String: SourceSpan] = [:]
    for item in node?.sequence ?? [] {
      guard let syntax = StatementItemSyntax.parse(item, diagnostics: &diagnostics) else { continue }
      checkStatementName(item)
      let name = syntax.name
      if let name {
        if list == .delegate {
          error(
            .ruleForm, name.span, "an entry of `delegate` has no name",
            help: ["a permission is not proved, so nothing is reported by its name"])
          continue
        }
        if let earlier = names[name.value] {
          error(
            .duplicateRuleName, name.span, "a second statement `\(name.value)` in `\(list.rawValue)`",
            related: [Diagnostic.Label(earlier, "the first is here")])
        }
        names[name.value] = name.span
        items.append(Item(ItemID.named(list.rawValue, name.value), name.span))
      }
      guard let body = body(syntax.statement, syntax.span, in: list) else { continue }
      statements.append(
        Statement(name: name?.value, body: body, text: syntax.statement.canonicalText, span: syntax.span))
    }
    return statements
  }

  mutating func body(
    _ syntax: StatementSyntax, _ span: SourceSpan, in list: StatementList
  ) -> Statement.Body? {
    switch syntax {
    case .packets(let statement): packets(statement, in: list)
    case .fact(let fact): self.fact(fact, span, in: list)
    }
  }

  mutating func packets(
    _ statement: PacketStatementSyntax, in list: StatementList
  ) -> Statement.Body? {
    if list == .delegate || list == .loosen, statement.verdict.value != .accept || statement.mode != nil {
      error(
        .ruleNotHere, statement.verdict.span, "`\(list.rawValue)` lists what may be accepted",
        help: ["write `\(statement.place.value.text) accept …`; closing more needs no permission"])
      return nil
    }
    guard let (place, matches, families) = place(statement.place),
      var region = region(statement.region, at: place, matches, families),
      let assumptions = assumptions(statement.assumptions, in: list)
    else {
      return nil
    }
    region.assumptions = assumptions
    let mode: Statement.Mode =
      switch statement.mode {
      case nil: .plain
      case .always: .always
      case .sometimes: .sometimes
      case .may: .may
      }
    let outcome: Statement.Outcome =
      switch statement.verdict.value {
      case .accept: .accept
      case .drop: .drop
      case .reject: .reject
      }
    return .packets(region, mode, outcome)
  }

  private mutating func assumptions(
    _ list: [AssumptionSyntax], in statements: StatementList
  ) -> [Assumption]? {
    var assumptions: [Assumption] = []
    for assumption in list {
      guard statements == .expect || statements == .guarantee else {
        error(
          .ruleNotHere, assumption.set.span, "`\(statements.rawValue)` permits packets, whatever sets hold",
          help: ["leave `assuming` out"])
        return nil
      }
      let name = assumption.set
      let value = definition(name.value, at: name.span)
      if case .damaged = value { return nil }
      let definition = definitions[name.value]
      guard definition?.dynamicSet != nil else {
        error(
          .definitionKind, name.span, "`$\(name.value)` is known, and nothing of it can be assumed",
          help: ["assumptions are about dynamic and external sets"],
          related: definition.map { [Diagnostic.Label($0.span, "defined here")] } ?? [])
        return nil
      }
      var within = AddressSet()
      if let list = assumption.within {
        guard let addresses = addresses(list) else { return nil }
        guard addresses.value.isStatic else {
          error(
            .ruleNotHere, list.included.first?.span ?? name.span,
            "what `$\(name.value)` holds is assumed by addresses that are known",
            help: ["`local`, `broadcast`, dynamic and external sets differ from host to host"])
          return nil
        }
        within = addresses.value.addresses
      }
      assumptions.append(Assumption(set: name.value, within: within))
    }
    return assumptions
  }

  /// The place, and what is true of its packets besides.
  private mutating func place(_ syntax: Spanned<PlaceSyntax>) -> (Place, [Match], Families)? {
    switch syntax.value {
    case .hook(let word):
      guard let hook = Hook(rawValue: word) else { return nil }
      return (Place(name: word, hook: hook), [], .both)
    case .pair(let from, let to):
      return place(of: (from, to), at: syntax.span)
    }
  }

  private mutating func region(
    _ syntax: RegionSyntax, at place: Place, _ matches: [Match], _ families: Families
  ) -> Region? {
    guard let hook = place.origins.first?.hook, let clauses = resolve(syntax.clauses, at: place) else {
      return nil
    }
    if let span = clauses.neverHolds.first {
      error(
        .expectEmptyRegion, span, "this list is empty, so no packet is in the region",
        help: ["a statement about nothing always holds and proves nothing"])
      return nil
    }
    return Region(
      hook: hook, families: clauses.families.intersection(families), matches: matches + clauses.matches,
      hasStateClause: clauses.hasStateClause,
      includesLoopback: clauses.namesLoopback || place.name == "host to host",
      text: syntax.canonicalText, span: syntax.span)
  }

  // MARK: Facts

  private mutating func fact(
    _ fact: FactSyntax, _ span: SourceSpan, in list: StatementList
  ) -> Statement.Body? {
    switch fact {
    case .sysctl(let key, let comparison):
      guard let parsed = sysctlKey(key.value, key.span),
        isFitting(comparison, span, in: list, "sysctl \(key.value)")
      else { return nil }
      if case .atLeast(let value) = comparison { guard hasOrder(parsed, value, key.span) else { return nil } }
      return .sysctl(parsed.text, Statement.Comparison(comparison))
    case .kernel(let key, let comparison):
      guard isFitting(comparison, span, in: list, "kernel \(key.value)") else { return nil }
      if case .atLeast(let value) = comparison {
        guard hasKernelOrder(key, value) else { return nil }
      }
      return .kernel(key.value, Statement.Comparison(comparison))
    case .module(let name, let isDenied):
      if list == .delegate, isDenied { return closingNeedsNoPermission(span) }
      let module = String(name.value.map { $0 == "-" ? "_" : $0 })
      if !ModulePattern(module, span: name.span).isGlob { reportMisspelledModule(module, name.span) }
      return .module(module, denied: isDenied)
    case .mount(let path, let isNegated, let flags):
      if let fault = MountPath.fault(of: path.value) {
        error(.mountBadPath, path.span, "`\(path.value)` is no path of a mount point", help: [fault])
        return nil
      }
      var named: [MountFlag] = []
      for flag in flags {
        guard let known = MountFlag(rawValue: flag.value) else {
          error(
            .mountUnknownFlag, flag.span, "`\(flag.value)` is no flag of a mount",
            help: suggestion(for: flag.value, among: MountFlag.allCases.map(\.rawValue)))
          return nil
        }
        named.append(known)
      }
      return .mount(path.value, isNegated: isNegated, named)
    case .syscall(let name, let isDenied):
      if list == .delegate, isDenied { return closingNeedsNoPermission(span) }
      guard isSystemCall(name.value, name.span) else { return nil }
      return .systemCall(name.value, denied: isDenied)
    case .refines(let path): return refines(path, span, in: list)
    }
  }

  /// The policy that this one is to be no weaker than, with all that it names itself.
  private mutating func refines(
    _ path: Spanned<String>, _ span: SourceSpan, in list: StatementList
  ) -> Statement.Body? {
    guard list == .expect || list == .guarantee else {
      error(
        .ruleNotHere, span, "`\(list.rawValue)` lists what may be opened",
        help: ["`refines` is a claim: write it under `expect` or `guarantee`"])
      return nil
    }
    // A policy that is compared with makes no comparisons of its own, which could lead back here.
    guard !isComparedWith else { return nil }
    let scalar = SyntaxScalar(text: path.value, style: .plain, span: path.span, runs: [])
    guard let place = resolvePath(scalar) else { return nil }
    if let known = comparedPolicies[place.path] { return known.map { .refines(path.value, $0) } }
    comparedPolicies[place.path] = .some(nil)
    guard let bytes = readBytes(scalar, at: place.path, limit: DocumentLimits.bytes) else { return nil }
    let file = sources.add(path: place.path, name: place.name, bytes: bytes, namedAt: path.span)
    let (policy, first) = checked(file)
    guard let policy else {
      error(
        list == .expect ? .expectFailed : .guaranteeFailed, path.span,
        "`\(path.value)` has errors, so nothing can be compared with it",
        help: ["`lockdown check` of that file says all that is wrong with it"],
        related: first.flatMap { finding in
          finding.span.map { [Diagnostic.Label($0, finding.message)] }
        } ?? [])
      return nil
    }
    comparedPolicies[place.path] = policy
    return .refines(path.value, policy)
  }

  /// Another policy, by itself; and the first of its errors.
  private mutating func checked(_ file: SourceFile) -> (policy: HostPolicy?, error: Diagnostic?) {
    var other = Checker(diagnostics: DiagnosticList(), sources: sources, reader: reader)
    other.isComparedWith = true
    let policy = other.policy(file)
    sources = other.sources
    let first = other.diagnostics.all.first { $0.severity == .error }
    return (first == nil ? policy : nil, first)
  }

  private mutating func closingNeedsNoPermission(_ span: SourceSpan) -> Statement.Body? {
    error(
      .ruleNotHere, span, "`delegate` lists what may be opened", help: ["closing more needs no permission"])
    return nil
  }

  /// `sysctl KEY` alone is a permission; `is` and `at least` are claims.
  private mutating func isFitting(
    _ comparison: FactSyntax.Comparison, _ span: SourceSpan, in list: StatementList, _ what: String
  ) -> Bool {
    if case .mentioned = comparison {
      guard list != .delegate else { return true }
      error(
        .ruleNotHere, span, "`\(what)` claims nothing",
        help: ["write `\(what) is VALUE` or `\(what) at least VALUE`; the key alone stands in `delegate`"])
      return false
    }
    guard list == .delegate else { return true }
    error(
      .ruleNotHere, span, "`delegate` takes the key alone", help: ["write `\(what)`"])
    return false
  }

  private mutating func hasOrder(_ key: SysctlKey, _ value: Spanned<String>, _ span: SourceSpan) -> Bool {
    let row = SysctlTable.row(for: key)
    guard let row, row.isOrdered else {
      let near = row == nil ? suggestion(for: key.pattern, among: SysctlTable.rows.map(\.key)) : []
      error(
        .expectUnknownOrder, span, "which value of `\(key.text)` is stronger is not known",
        help: near + ["write `is` in place of `at least`"])
      return false
    }
    guard row.normalized(value.value) != nil else {
      error(.sysctlBadValue, value.span, "`\(key.text)` takes \(row.valueDescription), not `\(value.value)`")
      return false
    }
    return true
  }

  private mutating func hasKernelOrder(_ key: Spanned<String>, _ value: Spanned<String>) -> Bool {
    let order =
      key.value == "lockdown"
      ? KernelSettings.Lockdown.allCases.map(\.rawValue)
      : KernelParameter.order(of: KernelParameter.name(key.value))
    guard let order else {
      error(
        .expectUnknownOrder, key.span, "which value of `\(key.value)` is stronger is not known",
        help: ["write `is` in place of `at least`"])
      return false
    }
    guard order.contains(value.value) else {
      error(
        .kernelBadParameter, value.span,
        "`\(key.value)` takes \(order.map { "`\($0)`" }.joined(separator: ", ")), not `\(value.value)`",
        help: suggestion(for: value.value, among: order))
      return false
    }
    return true
  }
}

extension Statement.Comparison {
  init(_ syntax: FactSyntax.Comparison) {
    switch syntax {
    case .mentioned: self = .mentioned
    case .equal(let value): self = .equal(value.value)
    case .atLeast(let value): self = .atLeast(value.value)
    }
  }
}

extension ClauseSyntax {
  fileprivate var isAboutState: Bool {
    switch self {
    case .states, .anyState: true
    default: false
    }
  }
}

extension PlaceSyntax {
  fileprivate var text: String {
    switch self {
    case .hook(let name): name
    case .pair(let from, let to): "\(from) to \(to)"
    }
  }
}
