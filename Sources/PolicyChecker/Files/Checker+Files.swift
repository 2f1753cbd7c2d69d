import Diagnostics
import PolicySyntax
import SHA2

/// Reading a policy's file and all it names (LANGUAGE.md §5.1).
extension Checker {
  /// Files on the way from the first to the one that is read, and how each names the next.
  struct ReadingStep {
    var file: SourceID
    var naming: SourceSpan?
  }

  /// Files that include each other without a cycle could still be nested without end.
  private static let nestingLimit = 64

  /// Nil if the file, or one that it names, cannot be used; that was reported.
  mutating func load(_ source: SourceFile) -> PolicyFile? {
    let digest = SHA256.hash(source.bytes)
    reading.remember(source, digest)
    return load(source, after: [])
  }

  private mutating func load(_ source: SourceFile, after steps: [ReadingStep]) -> PolicyFile? {
    let errors = diagnostics.errorCount
    guard let root = SyntaxTree.parse(source, diagnostics: &diagnostics).root else { return nil }
    guard root.mapping != nil else {
      error(.emptyDocument, root.span, "a policy is a mapping of keys, and this is \(root.kindWithArticle)")
      return nil
    }
    if let newer = Self.newerLanguage(root) {
      // Whatever else is wrong with it may be right in that language (LANGUAGE.md, top).
      diagnostics = diagnostics.leavingOut(source.id)
      report(newer)
      return nil
    }
    if let entry = root.entry("benchmark"), root.entry("policy") == nil, root.entry("fragment") == nil {
      error(
        .benchmarkAlone, entry.key.span, "this is a benchmark, and a policy is wanted",
        help: ["a policy is held to it by `lockdown audit POLICY --against BENCHMARK`"])
      return nil
    }
    // A document that was read with errors may have lost what is then missed.
    isComplete = diagnostics.errorCount == errors
    if !isComplete { areAllComplete = false }
    let kind = kind(of: root)
    isExtending = root.entry("extends") != nil || kind == .fragment
    if kind == .fragment { checkFragmentKeys(root) }
    checkShape(root, .mapping(PolicyKeys.root), what: kind == .policy ? "a policy" : "a fragment")
    if root.entry("policy") == nil, kind == .policy, isComplete {
      error(
        .missingKey, SourceSpan(root.span.source, root.span.start, root.span.start),
        "this file has no name", help: ["write `policy: NAME` as its first line"])
    }
    if root.entry("extends") == nil { reportEditsWithoutBase(in: root.entry("firewall")?.value) }
    var file = PolicyFile(source: source, root: root, kind: kind, base: nil, includes: [])
    let isWhole = readNamings(&file, after: steps + [ReadingStep(file: source.id, naming: nil)])
    files.add(file)
    return isWhole ? file : nil
  }

  private mutating func kind(of root: SyntaxNode) -> PolicyFile.Kind {
    guard let fragment = root.entry("fragment") else { return .policy }
    guard let name = root.entry("policy") else { return .fragment }
    error(
      .unknownKey, fragment.key.span, "a file is a policy or a fragment, not both",
      related: [Diagnostic.Label(name.key.span, "`policy` is here")])
    return .policy
  }

  /// What only a policy may say.
  private mutating func checkFragmentKeys(_ root: SyntaxNode) {
    func forbidden(_ entries: [SyntaxEntry]?, _ table: KeyTable) -> [SyntaxEntry] {
      (entries ?? []).filter { table[$0.key.text]?.isAllowedInFragment == false }
    }
    for entry in forbidden(root.mapping, PolicyKeys.root) where entry.key.text != "policy" {
      error(
        .fragmentForbiddenKey, entry.key.span, "a fragment has no `\(entry.key.text)`",
        help: ["it belongs to the policies that include the fragment"])
    }
    for chain in root.entry("firewall")?.value.entry("chains")?.value.mapping ?? [] {
      guard let hook = chain.value.entry("hook") else { continue }
      error(
        .fragmentForbiddenKey, hook.key.span, "a chain of a fragment has no `hook`",
        help: ["a fragment holds chains that rules jump to; base chains are the policy's"])
    }
    for entry in forbidden(root.entry("firewall")?.value.mapping, PolicyKeys.firewall) {
      error(
        .fragmentForbiddenKey, entry.key.span, "the firewall of a fragment has no `\(entry.key.text)`",
        help: ["a fragment holds chains that rules jump to, under `chains`; base chains are the policy's"])
    }
  }

  // MARK: Files that the file names

  /// False if one of them cannot be used.
  private mutating func readNamings(_ file: inout PolicyFile, after steps: [ReadingStep]) -> Bool {
    var isWhole = true
    if file.kind == .policy, let entry = file.root.entry("extends"), let path = entry.value.scalar {
      file.base = read(path, as: .policy, with: file.root.entry("with")?.value, after: steps)
      if file.base == nil { isWhole = false }
    } else if let with = file.root.entry("with"), file.kind == .policy {
      error(
        .missingKey, with.key.span, "`with` sets parameters of a base, and this policy extends none",
        help: ["parameters of a fragment stand at the fragment: `include: [{ file: PATH, with: { … } }]`"])
    }
    for item in file.root.entry("include")?.value.sequence ?? [] {
      guard let path = item.scalar ?? item.entry("file")?.value.scalar else { continue }
      guard let naming = read(path, as: .fragment, with: item.entry("with")?.value, after: steps) else {
        isWhole = false
        continue
      }
      if let earlier = file.includes.first(where: { $0.file == naming.file }) {
        warning(
          .includeRepeated, naming.span, "`\(path.text)` is included twice",
          help: ["a file is read once; leave one of both out"],
          related: [Diagnostic.Label(earlier.span, "first here")])
      }
      file.includes.append(naming)
    }
    return isWhole
  }

  private mutating func read(
    _ path: SyntaxScalar, as kind: PolicyFile.Kind, with parameters: SyntaxNode?, after steps: [ReadingStep]
  ) -> PolicyFile.Naming? {
    guard !isDamaged(path.span), let place = resolvePath(path) else { return nil }
    var steps = steps
    steps[steps.count - 1].naming = path.span
    var id = reading.id(at: place.path)
    if id == nil {
      guard let bytes = readBytes(path, at: place.path, limit: DocumentLimits.bytes) else { return nil }
      let digest = SHA256.hash(bytes)
      if let known = reading.id(of: digest, at: place.path, files) {
        reading.remember(known, at: place.path)
        id = known
      } else {
        guard steps.count < Self.nestingLimit else {
          error(
            .limit, path.span, "files are nested more than \(Self.nestingLimit) deep",
            help: ["include the fragments in the policy itself"])
          return nil
        }
        let source = sources.add(path: place.path, name: place.name, bytes: bytes, namedAt: path.span)
        reading.remember(source, digest)
        guard load(source, after: steps) != nil else {
          reading.damaged.insert(source.id)
          return nil
        }
        id = source.id
      }
    }
    guard let id else { return nil }
    if let start = steps.firstIndex(where: { $0.file == id }) {
      reportCycle(path, steps[start...])
      return nil
    }
    guard let file = files[id], !reading.damaged.contains(id) else { return nil }
    guard file.kind == kind else {
      reportWrongKind(path, file)
      return nil
    }
    return PolicyFile.Naming(file: id, span: path.span, parameters: parameters?.mapping ?? [])
  }

  private mutating func reportCycle(_ path: SyntaxScalar, _ cycle: ArraySlice<ReadingStep>) {
    let labels = cycle.dropLast().compactMap { step in
      step.naming.map { Diagnostic.Label($0, "by way of this") }
    }
    error(
      .extendsCycle, path.span,
      cycle.count == 1 ? "this file names itself" : "`\(path.text)` leads back to itself",
      help: ["a file is made of what it includes and extends, and cannot be a part of itself"],
      related: labels)
  }

  private mutating func reportWrongKind(_ path: SyntaxScalar, _ file: PolicyFile) {
    let name = file.root.entry(file.kind.rawValue)
    let related = name.map { [Diagnostic.Label($0.key.span, "a \(file.kind.rawValue) by this")] } ?? []
    switch file.kind {
    case .fragment:
      error(
        .extendsFragment, path.span, "`\(path.text)` is a fragment, and only a policy can be extended",
        help: ["name it under `include`"], related: related)
    case .policy:
      error(
        .includePolicy, path.span, "`\(path.text)` is a policy, and only fragments can be included",
        help: ["a policy is extended: `extends: \(path.text)`"], related: related)
    }
  }
}

/// Which files have been read, by path and by content.
struct ReadingList {
  private var byPath: [String: SourceID] = [:]
  private var byDigest: [[UInt8]: [SourceFile]] = [:]
  /// Files that cannot be used; what is wrong was reported once.
  var damaged: Set<SourceID> = []

  func id(at path: String) -> SourceID? { byPath[path] }

  /// A file with the same bytes at another path is the same file, unless its bytes name files that are others there.
  func id(of digest: [UInt8], at path: String, _ files: PolicyFiles) -> SourceID? {
    byDigest[digest]?.first { known in
      guard let file = files[known.id] else { return true }  // still being read: a cycle
      return file.namings.isEmpty && !file.namesLists
        || SourcePath.directory(of: known.path) == SourcePath.directory(of: path)
    }?.id
  }

  mutating func remember(_ source: SourceFile, _ digest: [UInt8]) {
    byPath[source.path] = source.id
    byDigest[digest, default: []].append(source)
  }

  mutating func remember(_ id: SourceID, at path: String) { byPath[path] = id }
}

extension PolicyFile {
  /// Whether it defines sets by list files, whose paths are relative to it.
  fileprivate var namesLists: Bool {
    (root.entry("define")?.value.mapping ?? []).contains { $0.value.entry("file") != nil }
  }
}
