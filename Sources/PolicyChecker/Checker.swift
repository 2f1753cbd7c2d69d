import Diagnostics
import PolicyModel
import PolicySyntax

/// The state of one check. Extensions hold one domain each.
///
/// A shape pass over the key table comes first and reports every unknown key and wrong kind of node; the
/// domains then read what is well-shaped and pass over the rest in silence.
struct Checker {
  var diagnostics: DiagnosticList
  /// The policy is based on another, which may hold what this one does not.
  var isExtending = false
  /// Nothing of the document was lost before the check, so what is not there was not written.
  var isComplete = true
  var definitions = Definitions()
  var target = Target(kernel: KernelVersion(6, 1))
  /// Ids of all items of the policy, with their places, for the collision check.
  var items: [(id: String, span: SourceSpan)] = []

  /// All files read so far; the first is the policy itself.
  var sources: SourceFiles
  private let reader: any SourceReader

  init(diagnostics: DiagnosticList, sources: SourceFiles, reader: any SourceReader) {
    self.diagnostics = diagnostics
    self.sources = sources
    self.reader = reader
  }

  /// Reads a file that a value of type *path* names, or reports at the value why it cannot.
  ///
  /// - Parameter limit: Bytes; a larger file is refused.
  mutating func readFile(_ path: SyntaxScalar, limit: Int) -> SourceFile? {
    let naming = sources[path.span.source]
    do {
      let resolved = try SourcePath.resolve(path.text, from: naming.path)
      let name = try SourcePath.resolve(path.text, from: naming.name)
      let bytes = try reader.read(resolved, limit: limit)
      return sources.add(path: resolved, name: name, bytes: bytes)
    } catch let fault as SourcePath.Fault {
      error(.badValue, path.span, "`\(path.text)` is no path of a file", help: [fault.help])
    } catch {
      self.error(.fileUnreadable, path.span, "`\(path.text)` cannot be read: \(error)")
    }
    return nil
  }

  /// Reports a finding, unless an error stands at its place already: one fault, one message.
  mutating func report(_ diagnostic: Diagnostic) {
    if let span = diagnostic.span, isDamaged(span) { return }
    diagnostics.report(diagnostic)
  }

  /// Whether an error has been reported that covers the start of the span.
  func isDamaged(_ span: SourceSpan) -> Bool {
    diagnostics.all.contains { earlier in
      guard earlier.severity == .error, let covered = earlier.span else { return false }
      return covered.start <= span.start && span.start < covered.end
    }
  }

  mutating func error(
    _ id: DiagnosticID, _ span: SourceSpan, _ message: String, help: [String] = [],
    related: [Diagnostic.Label] = [], fixIts: [FixIt] = []
  ) {
    report(Diagnostic(id, at: span, message, related: related, help: help, fixIts: fixIts))
  }

  mutating func warning(
    _ id: DiagnosticID, _ span: SourceSpan, _ message: String, help: [String] = [],
    related: [Diagnostic.Label] = []
  ) {
    report(Diagnostic(id, .warning, at: span, message, related: related, help: help))
  }

  /// A part of language 1 that this version does not compile.
  mutating func notSupportedYet(_ span: SourceSpan, _ what: String) {
    error(
      .notSupportedYet, span, "\(what) is not supported yet",
      help: ["it is part of language 1; this version of the compiler refuses it rather than leave it out"])
  }

  /// ``did you mean `x`?`` if a candidate is near, else `otherwise`.
  func suggestion(
    for word: String, among candidates: some Sequence<String>, otherwise: String? = nil
  ) -> [String] {
    if let near = Spelling.closest(to: word, among: candidates) { return ["did you mean `\(near)`?"] }
    return otherwise.map { [$0] } ?? []
  }

  /// A fix-it and its help for a word that is nearly right.
  func correction(
    of span: SourceSpan, word: String, among candidates: some Sequence<String>
  ) -> [FixIt] {
    guard let near = Spelling.closest(to: word, among: candidates) else { return [] }
    return [FixIt("write `\(near)`", replace: span, with: near)]
  }

  // MARK: The file as a whole

  mutating func policy(_ root: SyntaxNode, file: SourceFile) -> HostPolicy? {
    guard root.mapping != nil else {
      error(.emptyDocument, root.span, "a policy is a mapping of keys, and this is \(root.kindWithArticle)")
      return nil
    }
    if let newer = newerLanguage(root) {
      // Whatever else is wrong with it may be right in that language (LANGUAGE.md, top).
      diagnostics = diagnostics.leavingOut(newer.span.source)
      error(
        .languageNewer, newer.span,
        "this file is written in language \(newer.value), and this compiler knows language 1",
        help: ["use a newer compiler"])
      return nil
    }
    // A document that was read with errors may have lost what is then missed.
    isComplete = !diagnostics.hasErrors
    if let name = root.entry("policy"), let fragment = root.entry("fragment") {
      error(
        .unknownKey, fragment.key.span, "a file is a policy or a fragment, not both",
        related: [Diagnostic.Label(name.key.span, "`policy` is here")])
    }
    isExtending = root.entry("extends") != nil || root.entry("fragment") != nil
    checkShape(root, .mapping(PolicyKeys.root), what: "a policy")
    let nameEntry = root.entry("policy")
    if nameEntry == nil, root.entry("fragment") == nil, isComplete {
      error(
        .missingKey, SourceSpan(root.span.source, root.span.start, root.span.start),
        "this file has no name", help: ["write `policy: NAME` as its first line"])
    }
    readTarget(root)
    readDefinitions(root.entry("define")?.value)

    let name = nameEntry?.value.scalar
    var policy = HostPolicy(
      name: name?.text ?? "", target: target, span: name?.span ?? root.span)
    policy.description = root.entry("description")?.value.scalar?.text
    policy.owner = root.entry("owner")?.value.scalar?.text
    policy.firewall = firewall(root.entry("firewall"))
    policy.sysctls = sysctls(root.entry("sysctl")?.value)
    policy.mounts = mounts(root.entry("mounts")?.value)
    policy.modules = modules(root.entry("modules")?.value)
    policy.kernel = kernel(root.entry("kernel")?.value, modules: policy.modules)
    policy.boot = boot(root.entry("boot")?.value)
    policy.management = management(root.entry("management")?.value)
    policy.expectations = statements(root.entry("expect")?.value, in: .expect)
    policy.guarantees = statements(root.entry("guarantee")?.value, in: .guarantee)
    policy.delegations = statements(root.entry("delegate")?.value, in: .delegate)
    policy.addressSets = definitions.usedAddressSets
    reportUnusedDefinitions()
    checkIdentities()
    // Facts are judged over a whole policy only: a part lost to an error would fail them falsely.
    if !diagnostics.hasErrors {
      judgeFacts(policy.expectations, failure: .expectFailed, what: "expectation", policy)
      judgeFacts(policy.guarantees, failure: .guaranteeFailed, what: "guarantee", policy)
    }
    return policy
  }

  /// The version a file states, if it is a larger one than 1.
  private func newerLanguage(_ root: SyntaxNode) -> Spanned<String>? {
    guard let scalar = root.entry("language")?.value.scalar, let number = Int(scalar.text), number > 1,
      scalar.text.utf8.first != UInt8(ascii: "0"), scalar.text.utf8.allSatisfy({ (0x30...0x39).contains($0) })
    else { return nil }
    return Spanned(scalar.text, scalar.span)
  }

  private mutating func readTarget(_ root: SyntaxNode) {
    guard let entry = root.entry("target") else { return }
    if let scalar = entry.value.entry("kernel")?.value.scalar, let version = KernelVersion(text: scalar.text)
    {
      if version < Self.oldestKernel {
        error(
          .badTarget, scalar.span, "kernel \(version) is older than any this compiler writes for",
          help: [
            "\(Self.oldestKernel) is the oldest: before it, objects carry no label, so no loaded policy has a name"
          ])
      }
      target.kernel = version
    }
    if let list = entry.value.entry("architectures")?.value.sequence {
      let named = list.compactMap { $0.scalar.flatMap { Target.Architecture(rawValue: $0.text) } }
      if list.isEmpty {
        error(.badTarget, entry.value.span, "a policy for no architecture can be loaded nowhere")
      }
      target.architectures = Target.Architecture.allCases.filter(named.contains)
    }
  }

  /// Userdata of named objects exists since 5.10 (LANGUAGE.md §7, labels in the kernel).
  private static let oldestKernel = KernelVersion(5, 10)
}

extension DiagnosticList {
  /// The findings about all files but one.
  fileprivate func leavingOut(_ source: SourceID) -> DiagnosticList {
    var list = DiagnosticList()
    for diagnostic in all where diagnostic.span?.source != source { list.report(diagnostic) }
    return list
  }
}

extension KernelVersion {
  /// Nil unless the text is `M.N` in decimal without leading zeros.
  init?(text: String) {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 2 else { return nil }
    let numbers = parts.compactMap { part -> Int? in
      guard !part.isEmpty, part.utf8.count <= 4, part.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
        part == "0" || part.utf8.first != 0x30
      else { return nil }
      return Int(part)
    }
    guard numbers.count == 2 else { return nil }
    self.init(numbers[0], numbers[1])
  }
}

extension SyntaxNode {
  /// The first entry of a mapping with that key; nil for other kinds of node.
  func entry(_ key: String) -> SyntaxEntry? { mapping?.first { $0.key.text == key } }

  var kindWithArticle: String {
    switch content {
    case .scalar: "text"
    case .sequence: "a list"
    case .mapping: "a mapping"
    }
  }
}
