import Diagnostics
import PolicySyntax

/// One file of a policy: read, and held to the table of keys.
struct PolicyFile {
  enum Kind: String {
    case policy
    case fragment
  }

  /// An `extends`, or an item of `include`.
  struct Naming {
    var file: SourceID
    /// Of the path.
    var span: SourceSpan
    /// `with`.
    var parameters: [SyntaxEntry]
  }

  var source: SourceFile
  var root: SyntaxNode
  var kind: Kind
  var base: Naming?
  var includes: [Naming]

  var id: SourceID { source.id }
  /// What it includes and extends.
  var namings: [Naming] { (base.map { [$0] } ?? []) + includes }
}

/// The files of one policy, each read once (LANGUAGE.md §5.1).
struct PolicyFiles {
  /// A file stands behind all it names.
  private(set) var inOrder: [PolicyFile] = []
  private var indexes: [SourceID: Int] = [:]
  /// For each file itself and all it names, directly or not.
  private var reach: [SourceID: Set<SourceID>] = [:]

  subscript(id: SourceID) -> PolicyFile? { indexes[id].map { inOrder[$0] } }

  /// Adds a file; all it names must be there.
  mutating func add(_ file: PolicyFile) {
    indexes[file.id] = inOrder.count
    inOrder.append(file)
    reach[file.id] = file.namings.reduce(into: [file.id]) { $0.formUnion(reach[$1.file] ?? []) }
  }

  /// Whether a file sees the definitions of another: its own, and those of what it includes and extends (§5.2).
  func sees(_ file: SourceID, _ other: SourceID) -> Bool {
    file == other || reach[file]?.contains(other) == true
  }

  /// Lets a file, or a text that stands in none, see what another file and those that it names define.
  mutating func show(_ file: SourceID, to question: SourceID) {
    reach[question] = (reach[question] ?? []).union(reach[file] ?? []).union([file])
  }

  /// The policies from the root to a file, each the base of the next.
  func line(to file: PolicyFile) -> [PolicyFile] {
    var line = [file]
    while let base = line.last?.base, let file = self[base.file] { line.append(file) }
    return line.reversed()
  }
}
