import Diagnostics

/// What may stand under a key. The one source of the shape check and of `schema/policy.schema.json`.
indirect enum ValueType: Sendable {
  /// Any text; `limit` in bytes.
  case text(limit: Int?)
  /// `[a-z][a-z0-9]*(-[a-z0-9]+)*`, at most 40 bytes.
  case name
  case bool
  /// `YYYY-MM-DD` or `never`.
  case until
  /// Relative to the file, `/`-separated.
  case path
  /// A SHA-256: 64 lower-case hexadecimal digits.
  case digest
  case integer(ClosedRange<Int>)
  /// `"M.N"`; a number would lose the last digit of 6.10.
  case version
  /// `1d2h3m4s`, or `0s`.
  case duration
  /// A duration, or `never`.
  case lifetime
  /// One of these; `fault` is the id of anything else.
  case words([String], fault: DiagnosticID = .badValue)
  /// An integer, or text.
  case sysctlValue
  /// An element of `define`: an integer, or text whose form says what it is.
  case element
  /// `raw - 5`, or a number.
  case priority
  /// A rule item of any of the five forms; read by the rule grammar.
  case ruleItem
  /// A statement or a fact as text; `isNamed`: also `NAME: STATEMENT`.
  case statement(isNamed: Bool)
  /// A region as text.
  case region
  case list(ValueType)
  case mapping(KeyTable)
  /// Any keys of one form.
  case dictionary(DictionaryKey, ValueType)
  /// Alternatives of different kinds of node, at most one of each kind.
  case either([ValueType])
  /// Not read by this version; anything goes.
  case anything

  enum NodeKind: String {
    case scalar = "text"
    case sequence = "a list"
    case mapping = "a mapping"
  }

  /// The kinds of node this type takes, in the order of a message.
  var nodeKinds: [NodeKind] {
    switch self {
    case .text, .name, .bool, .until, .path, .digest, .integer, .version, .duration, .lifetime, .words,
      .sysctlValue,
      .element, .priority, .region:
      [.scalar]
    case .ruleItem: [.scalar, .mapping]
    case .statement(let isNamed): isNamed ? [.scalar, .mapping] : [.scalar]
    case .list: [.sequence]
    case .mapping, .dictionary: [.mapping]
    case .either(let types): types.flatMap(\.nodeKinds)
    case .anything: [.scalar, .sequence, .mapping]
    }
  }
}

/// What the keys of an open mapping are.
enum DictionaryKey: Sendable {
  case name
  case port
  case pair
  case sysctl
  case mountPath
}

/// One key of the language.
struct PolicyKey: Sendable {
  enum Requirement: Sendable {
    case optional
    case required
    /// Required in a policy that extends no other: there the base has it.
    case requiredInRoot
  }

  var name: String
  var type: ValueType
  var requirement: Requirement
  /// Whether a `fragment` may hold it.
  var isAllowedInFragment: Bool
  /// One line for people; the description in the schema.
  var documentation: String

  init(
    _ name: String, _ type: ValueType, _ documentation: String, _ requirement: Requirement = .optional,
    inFragment: Bool = false
  ) {
    self.name = name
    self.type = type
    self.requirement = requirement
    isAllowedInFragment = inFragment
    self.documentation = documentation
  }
}

extension PolicyKey {
  /// What to write where the key is missing.
  var requirementHelp: String {
    switch type {
    case .words(let words, _): "write `\(name):` and \(words.alternatives)"
    case .integer(let range): "write `\(name): \(range.lowerBound)`"
    case .version: "write `\(name): \"6.1\"`, the oldest kernel to load on"
    case .mapping(let table) where table.name == "`target`": "write `target: { kernel: \"6.1\" }`"
    case .mapping(let table): "write `\(name): { \(table.keys.first.map { "\($0.name): …" } ?? "") }`"
    default: "write `\(name): …`"
    }
  }
}

/// The keys of one mapping, in the order of documentation.
struct KeyTable: Sendable {
  /// What the mapping is, in the words of a message.
  var name: String
  var keys: [PolicyKey]

  init(_ name: String, _ keys: [PolicyKey]) {
    self.name = name
    self.keys = keys
  }

  subscript(key: String) -> PolicyKey? { keys.first { $0.name == key } }
}
