package import Diagnostics
package import PolicyModel
import PolicySyntax

extension PolicyChecker {
  /// A benchmark with those that it includes, or nil if there are errors, here or in `diagnostics` already.
  ///
  /// Its statements are about any policy, so they name nothing of one: no zones, and definitions of their own file.
  ///
  /// - Parameter sources: Holds the file already; those that it names are added.
  package static func benchmark(
    _ file: SourceFile, in sources: inout SourceFiles, reader: any SourceReader = SourceDictionary(),
    diagnostics: inout DiagnosticList
  ) -> Benchmark? {
    var checker = Checker(diagnostics: diagnostics, sources: sources, reader: reader)
    var collection = BenchmarkCollection()
    let benchmark = checker.benchmark(file, &collection, after: [])
    diagnostics = checker.diagnostics
    sources = checker.sources
    return diagnostics.hasErrors ? nil : benchmark
  }
}

/// What has been read of a benchmark and those that it includes.
private struct BenchmarkCollection {
  /// By path; a file is read once.
  var known: Set<String> = []
  var controls: [Benchmark.Control] = []
  var places: [String: SourceSpan] = [:]
}

extension Checker {
  /// Reads one file; its controls go behind those of the files that it includes.
  ///
  /// - Parameter steps: paths on the way to it.
  fileprivate mutating func benchmark(
    _ source: SourceFile, _ collection: inout BenchmarkCollection, after steps: [String]
  ) -> Benchmark? {
    collection.known.insert(source.path)
    let errors = diagnostics.errorCount
    guard let root = SyntaxTree.parse(source, diagnostics: &diagnostics).root else { return nil }
    guard root.mapping != nil else {
      error(
        .emptyDocument, root.span, "a benchmark is a mapping of keys, and this is \(root.kindWithArticle)")
      return nil
    }
    if let newer = Self.newerLanguage(root) {
      diagnostics = diagnostics.leavingOut(source.id)
      report(newer)
      return nil
    }
    for kind in ["policy", "fragment"] where root.entry("benchmark") == nil {
      guard let entry = root.entry(kind) else { continue }
      error(
        .benchmarkWanted, entry.key.span, "this is a \(kind), and a benchmark is wanted",
        help: ["whether a policy permits no more than another is asked by `lockdown refines`"])
      return nil
    }
    isComplete = diagnostics.errorCount == errors
    checkShape(root, .mapping(BenchmarkKeys.root), what: "a benchmark")
    includeBenchmarks(root.entry("include")?.value, &collection, after: steps + [source.path])
    // Each file has its own words.
    definitions = Definitions()
    for entry in root.entry("define")?.value.mapping ?? [] {
      definitions.add(name: entry.key.text, span: entry.key.span, node: entry.value)
    }
    resolveDefinitions()
    for definition in definitions.all where definition.dynamicSet != nil {
      error(
        .definitionKind, definition.span, "a benchmark is about any policy, and knows no set that one fills",
        help: ["define the addresses themselves"])
    }
    for item in root.entry("controls")?.value.sequence ?? [] {
      guard let control = control(item) else { continue }
      if let earlier = collection.places[control.id] {
        error(
          .benchmarkControlTwice, control.span, "a second control `\(control.id)`",
          help: ["what a control asks for stands in one list: a report has one line for it"],
          related: [Diagnostic.Label(earlier, "the first is here")])
        continue
      }
      collection.places[control.id] = control.span
      collection.controls.append(control)
    }
    reportUnusedDefinitions(of: source.id)
    return Benchmark(
      name: root.entry("benchmark")?.value.scalar?.text ?? "",
      description: root.entry("description")?.value.scalar?.text,
      source: root.entry("source")?.value.scalar?.text ?? "", controls: collection.controls)
  }

  private mutating func includeBenchmarks(
    _ node: SyntaxNode?, _ collection: inout BenchmarkCollection, after steps: [String]
  ) {
    for item in node?.sequence ?? [] {
      guard let path = item.scalar, !isDamaged(path.span), let place = resolvePath(path) else { continue }
      if steps.contains(place.path) {
        error(
          .extendsCycle, path.span, "`\(path.text)` leads back to itself",
          help: ["a benchmark is made of what it includes, and cannot be a part of itself"])
        continue
      }
      guard !collection.known.contains(place.path),
        let file = readFile(path, limit: DocumentLimits.bytes)
      else { continue }
      _ = benchmark(file, &collection, after: steps)
    }
  }

  // MARK: Controls

  private mutating func control(_ node: SyntaxNode) -> Benchmark.Control? {
    guard let id = node.entry("id")?.value.scalar, !isDamaged(id.span) else { return nil }
    guard !id.text.isEmpty, id.text.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
      error(
        .badValue, id.span, "`\(id.text)` is no id of a control",
        help: ["an id is one word of ASCII, as in `3.1.1` or `tmp-nodev`"])
      return nil
    }
    var control = Benchmark.Control(
      id: id.text, title: node.entry("title")?.value.scalar?.text ?? "", span: id.span)
    let claims = node.entry("expect")?.value
    for item in claims?.sequence ?? [] { control.claims += self.claims(item) }
    if let claims, claims.sequence?.isEmpty == true {
      error(
        .badValue, claims.span, "a control that asks for nothing always holds and proves nothing",
        help: ["leave it out, and say in the description that it is not covered"])
    }
    for item in node.entry("unless")?.value.sequence ?? [] {
      guard let statement = statement(item) else { continue }
      if case .packets = statement.body {
        error(
          .ruleNotHere, statement.span, "whether a control applies is no matter of packets",
          help: ["write a fact, as in `kernel ipv6.disable is 1`"])
        continue
      }
      control.exclusions.append(statement)
    }
    if let list = node.entry("architectures")?.value.sequence {
      let named = list.compactMap { $0.scalar.flatMap { Target.Architecture(rawValue: $0.text) } }
      control.architectures = Target.Architecture.allCases.filter(named.contains)
    }
    control.rest = node.entry("besides")?.value.scalar?.text
    return control
  }

  private mutating func claims(_ node: SyntaxNode) -> [Benchmark.Claim] {
    guard let entries = node.mapping else {
      return statement(node).map { [.anyOf([$0])] } ?? []
    }
    let (alternatives, places) = (node.entry("any"), node.entry("closed"))
    guard (alternatives == nil) != (places == nil) else {
      error(
        .badValue, entries.first?.key.span ?? node.span,
        "a claim is `any` of several statements, or `closed` places",
        help: ["write `any: [STATEMENT, …]` or `closed: [input, …]`, and each claim with a dash of its own"])
      return []
    }
    if let alternatives {
      if let family = node.entry("family") {
        error(
          .badValue, family.key.span, "`family` belongs to `closed`",
          help: ["a statement names its family itself, as in `input drop ipv4 udp`"])
      }
      let statements = (alternatives.value.sequence ?? []).compactMap { statement($0) }
      return statements.isEmpty ? [] : [.anyOf(statements)]
    }
    let families: Families =
      switch node.entry("family")?.value.scalar?.text {
      case "ipv4": .ipv4
      case "ipv6": .ipv6
      default: .both
      }
    return (places?.value.sequence ?? []).compactMap { item in
      guard let scalar = item.scalar, let hook = Hook(rawValue: scalar.text) else { return nil }
      return .closed(hook, families, scalar.span)
    }
  }

  private mutating func statement(_ node: SyntaxNode) -> Statement? {
    guard let syntax = StatementItemSyntax.parse(node, diagnostics: &diagnostics) else { return nil }
    if let name = syntax.name {
      error(
        .ruleForm, name.span, "a statement of a control has no name",
        help: ["it is reported by the id of its control"])
      return nil
    }
    guard let body = body(syntax.statement, syntax.span, in: .expect) else { return nil }
    return Statement(name: nil, body: body, text: syntax.statement.canonicalText, span: syntax.span)
  }
}
