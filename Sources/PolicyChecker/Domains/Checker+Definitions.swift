import Diagnostics
import PolicyModel
import PolicySyntax

/// `define` (LANGUAGE.md §2).
extension Checker {
  /// Definitions of all files: one name means one thing in a whole policy, so one table holds them (§5.2).
  ///
  /// - Parameter part: nil: all files.
  mutating func readDefinitions(of part: [PolicyFile]? = nil) {
    let part = part ?? files.inOrder
    for file in part {
      for entry in file.root.entry("define")?.value.mapping ?? [] {
        if let earlier = definitions[entry.key.text] {
          reportRedefined(entry.key, earlier.span, in: file)
        } else {
          definitions.add(name: entry.key.text, span: entry.key.span, node: entry.value)
        }
      }
    }
    readArguments(of: part)
    resolveDefinitions()
  }

  /// All of them, so that a fault is found whether or not they are used.
  mutating func resolveDefinitions() {
    for name in definitions.names { _ = value(of: name) }
  }

  private mutating func reportRedefined(_ key: SyntaxScalar, _ earlier: SourceSpan, in file: PolicyFile) {
    // In one file the document layer has reported the duplicate.
    guard earlier.source != file.id else { return }
    error(
      .redefined, key.span, "`\(key.text)` is defined in `\(sources[earlier.source].name)` too",
      help: [
        files.sees(file.id, earlier.source)
          ? "this file sees that definition: use it, or choose another name"
          : "a policy that is made of both files sees both definitions: rename one"
      ],
      related: [Diagnostic.Label(earlier, "the other definition")])
  }

  /// What a use of `$name` stands for; reports a name that is not defined.
  mutating func definition(_ name: String, at span: SourceSpan) -> Definitions.Value {
    guard let found = definitions[name] else {
      let seen = definitions.all.filter { files.sees(span.source, $0.span.source) }.map(\.name)
      error(
        .unknownDefinition, span, "`$\(name)` is not defined",
        help: suggestion(for: name, among: seen, otherwise: "define it under `define`"),
        fixIts: Spelling.closest(to: name, among: seen).map {
          [FixIt("write `$\($0)`", replace: span, with: "$\($0)")]
        } ?? [])
      return .damaged
    }
    guard files.sees(span.source, found.span.source) else {
      error(
        .hiddenDefinition, span, "`$\(name)` is defined in a file that this one does not include or extend",
        help: ["a file must mean the same wherever it is used: define it here, or include what defines it"],
        related: [Diagnostic.Label(found.span, "defined here")])
      return .damaged
    }
    definitions[name]?.isUsed = true
    return value(of: name, usedAt: span)
  }

  private mutating func value(of name: String, usedAt span: SourceSpan? = nil) -> Definitions.Value {
    guard let definition = definitions[name] else { return .damaged }
    if let value = definition.value { return value }
    if definition.isBeingResolved {
      error(
        .definitionCycle, span ?? definition.span, "`$\(name)` is defined by itself",
        related: [Diagnostic.Label(definition.span, "defined here")])
      return .damaged
    }
    definitions[name]?.isBeingResolved = true
    let value = resolve(definition)
    definitions[name]?.value = value
    definitions[name]?.isBeingResolved = false
    return value
  }

  /// Those of the policy's own file: what other files define is there for whoever needs it.
  mutating func reportUnusedDefinitions(of file: SourceID) {
    // What was lost to an error may have used them.
    guard !diagnostics.hasErrors else { return }
    for definition in definitions.all where !definition.isUsed && definition.span.source == file {
      if case .damaged? = definition.value { continue }
      let removal = ItemLines.removal(of: definition.span, in: sources[file])
      warning(
        .unusedDefinition, definition.span, "`\(definition.name)` is defined and not used",
        fixIts: removal.map { [$0] } ?? [])
    }
  }

  // MARK: Forms

  private mutating func resolve(_ definition: Definitions.Definition) -> Definitions.Value {
    switch definition.node.content {
    case .sequence(let items):
      return elements(items, as: nil, of: definition)
    case .scalar(let scalar):
      // One element, or `$a, $b except $c`.
      let words = scalar.text.split(separator: " ")
      if scalar.text.contains(",") || words.contains("except") {
        if reportListAsText(scalar, definition) { return .damaged }
        guard let list = AddressListSyntax.parse(scalar, diagnostics: &diagnostics),
          let match = addresses(list)
        else { return .damaged }
        return .addresses(match.value)
      }
      return elements([definition.node], as: nil, of: definition)
    case .mapping(let entries):
      return explicit(entries, definition)
    }
  }

  /// Whether what stands with commas in a text is no addresses: then it was to be a list, and that is reported.
  private mutating func reportListAsText(
    _ scalar: SyntaxScalar, _ definition: Definitions.Definition
  ) -> Bool {
    let parts = scalar.text.split(separator: ",").map { part in
      part.split(separator: " ").joined(separator: " ")
    }
    var unheard = DiagnosticList()
    let isList =
      !parts.isEmpty
      && parts.allSatisfy { part in
        let item = SyntaxScalar(text: part, style: .doubleQuoted, span: scalar.span, runs: [])
        switch DefinitionElementSyntax.parse(item, as: nil, diagnostics: &unheard)?.value {
        case .number, .service, .interface: return true
        case .address, .reference, nil: return false
        }
      }
    guard isList else { return false }
    let list = "[\(parts.joined(separator: ", "))]"
    error(
      .wrongType, scalar.span, "a text with commas is of addresses, and `\(definition.name)` is a list",
      help: ["write `\(list)`"], fixIts: [FixIt("make it a list", replace: scalar.span, with: list)])
    return true
  }

  /// `{addresses: […], except: […]}`, `{numbers: […]}` and the like.
  private mutating func explicit(
    _ entries: [SyntaxEntry], _ definition: Definitions.Definition
  ) -> Definitions.Value {
    if let entry = entries.first(where: { $0.key.text == "parameter" }) {
      return parameter(of: entry, entries, definition)
    }
    if let map = entries.first(where: { $0.key.text == "map" }) {
      if let other = entries.first(where: { $0.key.text != "map" }) {
        error(
          .mixedKinds, other.key.span, "`\(definition.name)` is a map and \(other.key.text)",
          help: ["make two definitions of it"], related: [Diagnostic.Label(map.key.span, "the first kind")])
        return .damaged
      }
      return map.value.mapping == nil ? .damaged : targets(map.value, of: definition)
    }
    if let entry = entries.first(where: { $0.key.text == "dynamic" || $0.key.text == "external" }) {
      return dynamicSet(of: entry, entries, definition)
    }
    if let other = entries.first(where: { $0.key.text == "size" || $0.key.text == "timeout" }) {
      error(
        .definitionKind, other.key.span,
        "`\(other.key.text)` is of a set that is filled, and `\(definition.name)` does not say by whom",
        help: ["write `dynamic: addresses` for a set that rules fill, `external: addresses` for others"])
      return .damaged
    }
    if let entry = entries.first(where: { $0.key.text == "file" }) {
      return list(of: entry, entries, definition)
    }
    let kinds = entries.compactMap { entry in
      DefinitionElementSyntax.Kind(rawValue: entry.key.text).map { (kind: $0, entry: entry) }
    }
    guard let (kind, entry) = kinds.first else {
      error(
        .missingKey, definition.span, "`\(definition.name)` does not say what it defines",
        help: ["write one of `addresses`, `numbers`, `interfaces`, `services` and `file`"])
      return .damaged
    }
    if kinds.count > 1 {
      error(
        .mixedKinds, kinds[1].entry.key.span,
        "`\(definition.name)` is \(kind.rawValue) and \(kinds[1].kind.rawValue)",
        help: ["make two definitions of it"], related: [Diagnostic.Label(entry.key.span, "the first kind")])
      return .damaged
    }
    let except = entries.first { $0.key.text == "except" }
    if let except, kind != .addresses {
      error(
        .definitionKind, except.key.span,
        "`except` takes addresses out, and `\(definition.name)` is \(kind.rawValue)")
      return .damaged
    }
    guard let items = entry.value.sequence else { return .damaged }
    let included = elements(items, as: kind, of: definition)
    guard let except else { return included }
    guard let exceptItems = except.value.sequence else { return .damaged }
    switch (included, elements(exceptItems, as: .addresses, of: definition)) {
    case (.damaged, _), (_, .damaged): return .damaged
    case (_, .empty): return included
    case (.addresses(let match), .addresses(let excluded)):
      guard let rest = difference(match, excluded, at: except.key.span) else { return .damaged }
      return rest.families.isEmpty ? .empty : .addresses(rest)
    default: return included
    }
  }

  /// `{parameter: KIND, default: …}` with the value that it has in the policy.
  private mutating func parameter(
    of entry: SyntaxEntry, _ entries: [SyntaxEntry], _ definition: Definitions.Definition
  ) -> Definitions.Value {
    if let other = entries.first(where: { !["parameter", "default"].contains($0.key.text) }) {
      error(
        .definitionKind, other.key.span, "a parameter has a `default` and nothing else",
        help: ["who includes or extends this file gives its value by `with`"],
        related: [Diagnostic.Label(entry.key.span, "a parameter by this")])
      return .damaged
    }
    guard let kind = entry.value.scalar.flatMap({ DefinitionElementSyntax.Kind(rawValue: $0.text) }) else {
      return .damaged
    }
    guard let node = argument(definition) else {
      reportUnset(definition)
      return .damaged
    }
    var given = definition
    given.node = node
    let isList = node.scalar.map { !$0.text.contains(",") && !$0.text.contains(" except ") } ?? false
    let value =
      isList || node.sequence != nil
      ? elements(node.sequence ?? [node], as: kind, of: definition) : resolve(given)
    if case .damaged = value { return .damaged }
    if value.kindName != kind.rawValue, value.kindName != Definitions.Value.empty.kindName {
      error(
        .definitionKind, node.span,
        "`\(definition.name)` takes \(kind.rawValue), and this is \(value.kindName)",
        related: [Diagnostic.Label(definition.span, "the parameter")])
      return .damaged
    }
    return value
  }

  // MARK: Elements

  mutating func elements(
    _ items: [SyntaxNode], as kind: DefinitionElementSyntax.Kind?, of definition: Definitions.Definition
  ) -> Definitions.Value {
    // Of the kind of the first, so that they are put together once and not one by one.
    var values: [Spanned<Definitions.Value>] = []
    var isDamaged = false
    for item in items {
      guard let scalar = item.scalar, let value = element(scalar, as: kind) else {
        isDamaged = true
        continue
      }
      if case .empty = value { continue }
      if let first = values.first, !first.value.canUnite(with: value) {
        isDamaged = true
        error(
          .mixedKinds, scalar.span,
          "`\(definition.name)` mixes \(first.value.kindName) and \(value.kindName)",
          help: [
            "make a definition of each kind; quotes do not change a kind, `{\(first.value.kindName): […]}` says it"
          ],
          related: [
            Diagnostic.Label(first.span, "the first element is of the kind \(first.value.kindName)")
          ])
        continue
      }
      values.append(Spanned(value, scalar.span))
    }
    let sum = union(values)
    return isDamaged ? .damaged : sum
  }

  /// - Parameter values: of one kind, and none empty.
  private mutating func union(_ values: [Spanned<Definitions.Value>]) -> Definitions.Value {
    guard let first = values.first else { return .empty }
    if values.count == 1 { return first.value }
    switch first.value {
    case .addresses:
      var matches: [Spanned<AddressMatch>] = []
      for value in values {
        if case .addresses(let match) = value.value { matches.append(Spanned(match, value.span)) }
      }
      return union(matches).map { .addresses($0) } ?? .damaged
    case .numbers:
      var all: [AddressRange<UInt32>] = []
      for value in values { if case .numbers(let ranges) = value.value { all += ranges } }
      return .numbers(all.merged)
    case .interfaces:
      var all: Set<InterfacePattern> = []
      for value in values { if case .interfaces(let patterns) = value.value { all.formUnion(patterns) } }
      return .interfaces(all.sorted())
    case .services:
      var all: [Service] = []
      for value in values { if case .services(let services) = value.value { all += services } }
      return .services(all.merged)
    case .targets, .empty, .damaged:
      return first.value
    }
  }

  /// Nil if reported, here or already.
  private mutating func element(
    _ scalar: SyntaxScalar, as kind: DefinitionElementSyntax.Kind?
  ) -> Definitions.Value? {
    guard let element = DefinitionElementSyntax.parse(scalar, as: kind, diagnostics: &diagnostics) else {
      return nil
    }
    switch element.value {
    case .reference(let name):
      let value = definition(name, at: scalar.span)
      if case .damaged = value { return nil }
      if let kind, value.kindName != kind.rawValue, value.kindName != "nothing" {
        error(
          .definitionKind, scalar.span, "`$\(name)` is \(value.kindName), and \(kind.rawValue) stand here")
        return nil
      }
      return value
    case .address(let address):
      return self.address(Spanned(address, scalar.span)).map { .addresses($0) }
    case .number(let lower, let upper):
      return .numbers([AddressRange(lower, upper)])
    case .service(let name, let port):
      return service(name, port).map { .services([$0]) }
    case .interface(let interface):
      if kind == nil, case .exact(let name) = interface, let other = Self.otherMeaning(of: name) {
        error(
          .ambiguousKind, scalar.span, "`\(name)` could be an interface or \(other.meaning)",
          help: ["say which: `{interfaces: [\"\(name)\"]}`\(other.form)"])
        return nil
      }
      return pattern(interface, at: scalar.span).map { .interfaces([$0]) }
    }
  }

  private static func otherMeaning(of name: String) -> (meaning: String, form: String)? {
    if ["any", "local", "broadcast", "multicast"].contains(name) {
      return ("a kind of addresses", ", or `{addresses: [\(name)]}`")
    }
    if let port = ServiceNames.port(of: name) {
      return ("the service of port \(port)", ", or the number \(port)")
    }
    // As other languages write them.
    let number = name.lowercased().replacing("_", with: "")
    if number != name, Integer.parse(number) != nil { return ("a number", ", or the number \(number)") }
    return nil
  }

  private mutating func service(_ name: Spanned<ProtocolSyntax>, _ port: Spanned<PortSyntax>?) -> Service? {
    guard var service = ProtocolNumbers.service(name.value) else { return nil }
    guard let port else { return service }
    guard let set = ports([port]) else { return nil }
    service.ports = set
    return service
  }
}

extension Definitions.Value {
  /// Whether both are of one kind, and that kind has unions.
  fileprivate func canUnite(with other: Definitions.Value) -> Bool {
    switch (self, other) {
    case (.addresses, .addresses), (.numbers, .numbers), (.interfaces, .interfaces), (.services, .services):
      true
    default: false
    }
  }
}

extension AddressMatch {
  /// Without a name: a union is none's definition. Neither has an exception.
  func union(_ other: AddressMatch) -> AddressMatch {
    AddressMatch(
      addresses: addresses.union(other.addresses),
      specials: Set(specials + other.specials).sorted { $0.rawValue < $1.rawValue },
      sets: Set(sets + other.sets).sorted())
  }
}

extension [AddressRange<UInt32>] {
  /// Ascending, disjoint; adjacent ranges are one.
  var merged: [AddressRange<UInt32>] {
    var merged: [AddressRange<UInt32>] = []
    for range in sorted(by: { ($0.lower, $0.upper) < ($1.lower, $1.upper) }) {
      if let last = merged.last, last.upper == .max || range.lower <= last.upper + 1 {
        merged[merged.count - 1].upper = Swift.max(last.upper, range.upper)
      } else {
        merged.append(range)
      }
    }
    return merged
  }
}
