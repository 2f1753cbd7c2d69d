import Diagnostics
import PolicyModel
import PolicySyntax

/// The state of one check. Extensions hold one domain each.
///
/// A shape pass over the key table comes first and reports every unknown key and wrong kind of node; the
/// domains then read what is well-shaped and pass over the rest in silence.
struct Checker {
  var diagnostics: DiagnosticList
  /// The file that is read is based on another, which may hold what this one does not.
  var isExtending = false
  /// Nothing of the document was lost before the check, so what is not there was not written.
  var isComplete = true
  /// The same of all files that were read.
  var areAllComplete = true
  var definitions = Definitions()
  /// In the order written.
  var zones: [Zone] = []
  /// Whether a rule of the policy asks for what the kernel tracks connections for.
  var tracksConnections = false
  var target = Target(kernel: KernelVersion(6, 1))
  /// Of `target.kernel`.
  var targetKernelSpan: SourceSpan?
  /// Ids of all items of the policy, with their places, for the collision check.
  var items: [Item] = []

  /// All files read so far; the first is the policy itself.
  var sources: SourceFiles
  /// The policies and fragments among them.
  var files = PolicyFiles()
  var reading = ReadingList()
  /// List files by path.
  var lists: [String: ListFile] = [:]
  /// The policy that is checked: the file itself, or one that it extends.
  var policyFile: SourceID?
  /// Values that `with` gives to parameters, and the files that give them.
  var arguments: [String: [(file: SourceID, argument: Argument)]] = [:]
  /// Trees of ``merged(_:)``.
  var mergedTrees: [SourceID: SyntaxNode] = [:]
  let reader: any SourceReader
  /// Policies that statements compare this one with, by path; nil: it has errors.
  var comparedPolicies: [String: HostPolicy?] = [:]
  /// Another policy is compared with this one.
  var isComparedWith = false
  /// Whether what the policy claims of its settings is judged. Who only asks it does not ask that.
  var judgesFacts = true
  /// Claims that do not hold: errors, and nothing of the policy is lost to them.
  var failedFacts = 0
  /// The length from which on the halves of a list are worked on side by side; 2 at least.
  var longList = 1_000

  init(diagnostics: DiagnosticList, sources: SourceFiles, reader: any SourceReader) {
    self.diagnostics = diagnostics
    self.sources = sources
    self.reader = reader
  }

  /// Reads a file that a value of type *path* names, or reports at the value why it cannot.
  ///
  /// - Parameter limit: Bytes; a larger file is refused.
  mutating func readFile(_ path: SyntaxScalar, limit: Int) -> SourceFile? {
    guard let place = resolvePath(path), let bytes = readBytes(path, at: place.path, limit: limit) else {
      return nil
    }
    return sources.add(path: place.path, name: place.name, bytes: bytes, namedAt: path.span)
  }

  /// What a path means in the file it stands in: how to open it, and how outputs name it.
  mutating func resolvePath(_ path: SyntaxScalar) -> (path: String, name: String)? {
    let naming = sources[path.span.source]
    do {
      return (
        try SourcePath.resolve(path.text, from: naming.path),
        try SourcePath.resolve(path.text, from: naming.name)
      )
    } catch {
      self.error(.badValue, path.span, "`\(path.text)` is no path of a file", help: [error.help])
      return nil
    }
  }

  mutating func readBytes(_ path: SyntaxScalar, at place: String, limit: Int) -> [UInt8]? {
    do {
      return try reader.read(place, limit: limit)
    } catch {
      self.error(.fileUnreadable, path.span, "`\(path.text)` cannot be read: \(error)")
      return nil
    }
  }

  /// Reports a finding, unless an error stands at its place already: one fault, one message. The same finding about
  /// a part that several policies share is one too.
  mutating func report(_ diagnostic: Diagnostic) {
    if let span = diagnostic.span, isDamaged(span) { return }
    if files.inOrder.count > 1, diagnostics.all.contains(diagnostic) { return }
    diagnostics.report(diagnostic)
  }

  /// Whether an error has been reported that covers the start of the span.
  func isDamaged(_ span: SourceSpan) -> Bool {
    diagnostics.all.contains { earlier in
      guard earlier.severity == .error, let covered = earlier.span else { return false }
      return covered.source == span.source && covered.start <= span.start && span.start < covered.end
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
    related: [Diagnostic.Label] = [], fixIts: [FixIt] = []
  ) {
    report(Diagnostic(id, .warning, at: span, message, related: related, help: help, fixIts: fixIts))
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

  // MARK: The policy as a whole

  mutating func policy(_ source: SourceFile) -> HostPolicy? {
    guard let file = load(source) else { return nil }
    guard file.kind == .policy else {
      let key = file.root.entry("fragment")?.key.span
      error(
        .fragmentAlone, key ?? file.root.span, "this is a fragment, and a policy is wanted",
        help: ["a fragment is checked with each policy that includes it"])
      return nil
    }
    // Each policy on the way from the root is checked as merged: what is wrong with one is wrong with all behind it.
    var ancestors: [HostPolicy] = []
    for step in files.line(to: file) {
      guard var policy = check(step) else { return nil }
      // Facts are judged over a whole policy only: a part lost to an error would fail them falsely.
      if !diagnostics.hasErrors {
        if let base = ancestors.last { refine(&policy, from: base) }
        judgeFacts(policy.expectations, failure: .expectFailed, what: "expectation", policy)
        judgeGuarantees(&policy)
      }
      policy.ancestors = ancestors
      ancestors.append(policy)
    }
    return ancestors.last
  }

  /// A policy as merged with all that it names.
  private mutating func check(_ file: PolicyFile) -> HostPolicy? {
    policyFile = file.id
    definitions = Definitions()
    arguments = [:]
    zones = []
    items = []
    target = Target(kernel: KernelVersion(6, 1))
    // Of the files one by one; the policy as merged has all its parts.
    isExtending = false
    isComplete = areAllComplete
    let root = merged(file)
    readTarget(root)
    readDefinitions()
    checkParts(of: file)

    let name = root.entry("policy")?.value.scalar
    var policy = HostPolicy(
      name: name?.text ?? "", target: target, span: name?.span ?? root.span)
    policy.description = root.entry("description")?.value.scalar?.text
    policy.owner = root.entry("owner")?.value.scalar?.text
    readZones(root.entry("zones")?.value)
    policy.firewall = firewall(root.entry("firewall"))
    policy.sysctls = sysctls(root.entry("sysctl")?.value)
    policy.mounts = mounts(root.entry("mounts")?.value)
    policy.modules = modules(root.entry("modules")?.value)
    policy.kernel = kernel(root.entry("kernel")?.value, modules: policy.modules)
    policy.systemCalls = systemCalls(root.entry("syscalls"), modules: policy.modules)
    policy.boot = boot(root.entry("boot")?.value)
    checkRoot(of: policy)
    checkModuleNeeds(policy, root.entry("modules")?.value)
    policy.management = management(root.entry("management")?.value)
    policy.expectations = statements(root.entry("expect")?.value, in: .expect)
    policy.guarantees = statements(root.entry("guarantee")?.value, in: .guarantee)
    policy.delegations = statements(root.entry("delegate")?.value, in: .delegate)
    policy.exceptions = exceptions(file.root.entry("loosen"), of: file, policy)
    policy.addressSets = definitions.usedAddressSets
    policy.dynamicSets = definitions.usedDynamicSets
    reportUnusedDefinitions(of: file.id)
    checkIdentities()
    return policy
  }

  /// The values of each file by themselves: one that another file replaces must be good too.
  private mutating func checkParts(of file: PolicyFile) {
    guard !file.namings.isEmpty else { return }
    let items = self.items
    for part in files.inOrder where part.id == file.id || files.sees(file.id, part.id) {
      _ = sysctls(part.root.entry("sysctl")?.value)
      _ = mounts(part.root.entry("mounts")?.value)
      let modules = modules(part.root.entry("modules")?.value)
      _ = kernel(part.root.entry("kernel")?.value, modules: modules)
      checkSystemCallItems(part.root.entry("syscalls")?.value)
    }
    self.items = items
  }

  /// The finding about a file in a later language than 1; nothing else in it can be judged.
  static func newerLanguage(_ root: SyntaxNode) -> Diagnostic? {
    guard let scalar = root.entry("language")?.value.scalar, !["", "1"].contains(scalar.text),
      scalar.text.utf8.first != UInt8(ascii: "0"), scalar.text.utf8.allSatisfy({ (0x30...0x39).contains($0) })
    else { return nil }
    return Diagnostic(
      .languageNewer, at: scalar.span,
      "this file is written in language \(scalar.text), and this compiler knows language 1",
      help: ["use a newer compiler"])
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
      targetKernelSpan = scalar.span
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
  func leavingOut(_ source: SourceID) -> DiagnosticList {
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
