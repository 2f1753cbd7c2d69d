import Diagnostics
import PolicyModel
import PolicySyntax

/// The pass that holds a document to the key table.
extension Checker {
  /// Reports what is wrong with the shape of a node; `what` names it in messages.
  mutating func checkShape(_ node: SyntaxNode, _ type: ValueType, what: String) {
    switch (type, node.content) {
    case (.anything, _):
      break
    case (.either(let types), _):
      guard let fitting = types.first(where: { $0.accepts(node) }) else {
        reportWrongKind(node, type, what: what)
        return
      }
      checkShape(node, fitting, what: what)
    case (.mapping(let table), .mapping(let entries)):
      checkKeys(entries, table, at: node, what: what)
    case (.dictionary(let key, let value), .mapping(let entries)):
      for entry in entries {
        checkDictionaryKey(entry.key, key)
        if isDamaged(entry.key.span) { continue }
        checkShape(entry.value, value, what: "`\(entry.key.text)`")
      }
    case (.list(let element), .sequence(let items)):
      for item in items { checkShape(item, element, what: "an item of \(what)") }
    case (.ruleItem, _), (.statement, _), (.region, _):
      break  // the rule grammar reads all of it
    case (_, .scalar(let scalar)) where type.accepts(node):
      checkScalar(scalar, type, what: what)
    default:
      reportWrongKind(node, type, what: what)
    }
  }

  private mutating func checkKeys(
    _ entries: [SyntaxEntry], _ table: KeyTable, at node: SyntaxNode, what: String
  ) {
    for entry in entries where !isDamaged(entry.key.span) {
      guard let key = table[entry.key.text] else {
        if let foreign = ForeignKey.named(entry.key.text, in: table) {
          reportForeign(entry.key, foreign)
          continue
        }
        error(
          .unknownKey, entry.key.span, "\(table.name) has no key `\(entry.key.text)`",
          help: suggestion(
            for: entry.key.text, among: table.keys.map(\.name),
            otherwise: "its keys are \(table.keys.map { "`\($0.name)`" }.joined(separator: ", "))"),
          fixIts: correction(of: entry.key.span, word: entry.key.text, among: table.keys.map(\.name)))
        continue
      }
      if key.name == "hook", let hook = entry.value.scalar, hook.text == "egress" {
        reportForeign(hook, .egress)
      } else if key.name == "extends", let paths = entry.value.sequence {
        error(
          .languageNotIn1, entry.value.span, "several bases are not in language 1",
          help: [
            paths.count == 1 ? "write the path alone" : "extend one of them, and `include` what is a fragment"
          ])
      } else {
        checkShape(entry.value, key.type, what: "`\(key.name)`")
      }
    }
    guard isComplete else { return }
    for key in table.keys where !entries.contains(where: { $0.key.text == key.name }) {
      switch key.requirement {
      case .optional: continue
      case .requiredInRoot: if isExtending { continue }
      case .required: break
      }
      // Of a flow mapping the whole is short; of a block mapping the first key is the place people know.
      let place = node.isFlow ? node.span : entries.first?.key.span ?? node.span
      error(
        .missingKey, place, "\(what) needs the key `\(key.name)`",
        help: [key.requirementHelp])
    }
  }

  private mutating func reportForeign(_ word: SyntaxScalar, _ foreign: ForeignKey) {
    error(
      .languageNotIn1, word.span, "`\(word.text)` is not in language 1: \(foreign.feature)",
      help: [foreign.help])
  }

  private mutating func checkDictionaryKey(_ key: SyntaxScalar, _ kind: DictionaryKey) {
    switch kind {
    case .name:
      checkString(key)
      checkName(key)
    case .port:
      checkString(key, allowed: [.int])
      checkLeadingZero(key)
    case .sysctl, .mountPath, .pair:
      checkString(key)  // their domains judge the rest
    }
  }

  private mutating func reportWrongKind(_ node: SyntaxNode, _ type: ValueType, what: String) {
    let wanted = type.nodeKinds.map(\.rawValue)
    let cure = cure(of: node, type)
    error(
      .wrongType, node.span,
      "\(what) takes \(wanted.joined(separator: " or ")), and this is \(node.kindWithArticle)",
      help: cure.help, fixIts: cure.fixIts)
  }

  // MARK: Scalars

  /// The scalars of a rule item, whose shape the rule grammar has checked.
  mutating func checkRuleItemScalars(_ node: SyntaxNode) {
    guard let entries = node.mapping else { return }
    let isForm3 = entries.contains { $0.key.text == "rule" || $0.key.text == "verdict" }
    for entry in entries {
      if !isForm3 { checkString(entry.key) }
      if isForm3, let annotation = PolicyKeys.annotations[entry.key.text] {
        checkShape(entry.value, annotation.type, what: "`\(entry.key.text)`")
      } else {
        checkTerms(entry.value)
      }
    }
  }

  /// A named statement, whose shape the grammar has checked.
  mutating func checkStatementName(_ node: SyntaxNode) {
    for entry in node.mapping ?? [] { checkString(entry.key) }
  }

  /// Values of clauses: numbers, `true` and `false`, and text that every reader takes for text.
  private mutating func checkTerms(_ node: SyntaxNode) {
    switch node.content {
    case .scalar(let scalar):
      if scalar.text != "true", scalar.text != "false" { checkString(scalar, allowed: [.int]) }
    case .sequence(let items):
      for item in items { checkTerms(item) }
    case .mapping(let entries):
      for entry in entries { checkTerms(entry.value) }
    }
  }

  private mutating func checkScalar(_ scalar: SyntaxScalar, _ type: ValueType, what: String) {
    switch type {
    case .text(let limit):
      checkString(scalar)
      if let limit, scalar.text.utf8.count > limit {
        error(
          .textTooLong, scalar.span, "\(what) is \(scalar.text.utf8.count) bytes long; \(limit) is the limit")
      }
    case .path:
      checkString(scalar)
    case .digest:
      checkString(scalar)
      if scalar.text.utf8.count != 64
        || !scalar.text.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
      {
        error(
          .badValue, scalar.span, "`\(scalar.text)` is no SHA-256",
          help: ["write the 64 lower-case hexadecimal digits that `sha256sum` prints"])
      }
    case .name:
      checkString(scalar)
      checkName(scalar)
    case .bool:
      guard scalar.text != "true", scalar.text != "false" else { return }
      error(
        .wrongType, scalar.span, "\(what) takes `true` or `false`, not `\(scalar.text)`")
    case .integer(let range):
      checkInteger(scalar, range, what: what)
    case .version:
      checkString(scalar)
      if KernelVersion(text: scalar.text) == nil {
        error(.badTarget, scalar.span, "`\(scalar.text)` is no kernel version", help: ["write it as \"6.1\""])
      }
    case .lifetime where scalar.text == "never":
      break
    case .duration, .lifetime:
      checkString(scalar, allowed: [.int])
      if Self.duration(scalar) == nil {
        error(
          .badValue, scalar.span, "`\(scalar.text)` is no duration",
          help: ["write days, hours, minutes and seconds in this order, such as 120s or 1h30m"])
      }
    case .words(let words, let fault):
      checkString(scalar)
      guard !words.contains(scalar.text) else { return }
      let lower = scalar.text.lowercased()
      if words.contains(lower) {
        error(
          fault, scalar.span, "\(what) takes \(words.alternatives), not `\(scalar.text)`",
          help: ["write `\(lower)`: words are in lower case"],
          fixIts: [FixIt("write `\(lower)`", replace: scalar.span, with: lower)])
        return
      }
      error(
        fault, scalar.span, "\(what) takes \(words.alternatives), not `\(scalar.text)`",
        help: suggestion(for: scalar.text, among: words),
        fixIts: correction(of: scalar.span, word: scalar.text, among: words))
    case .element:
      // A leading zero is refused by the grammar of elements, which has no negative numbers.
      checkString(scalar, allowed: scalar.text.utf8.first == UInt8(ascii: "-") ? [] : [.int])
    case .sysctlValue, .priority:
      checkString(scalar, allowed: [.int])
      checkLeadingZero(scalar)
    case .until:
      checkString(scalar, allowed: [.timestamp])
    case .ruleItem, .statement, .region, .list, .mapping, .dictionary, .either, .anything:
      break
    }
  }

  /// A string-typed scalar that a reader which knows types would take for something else. `allowed` are the
  /// types the key takes besides.
  private mutating func checkString(_ scalar: SyntaxScalar, allowed: Set<YAMLType> = []) {
    let types = scalar.yamlTypes
    guard !types.isString else { return }
    if allowed.contains(.int), Self.isPlainInteger(scalar.text) { return }
    if allowed.contains(.timestamp), types.other == .timestamp { return }
    // Reported with its own id and cure.
    if allowed.contains(.int), scalar.hasLeadingZero { return }
    error(
      .needsQuotes, scalar.span,
      "`\(scalar.text)` needs quotes: other YAML readers take it for \(types.other?.withArticle ?? "something else")",
      fixIts: [FixIt("quote it", replace: scalar.span, with: "\"\(scalar.text)\"")])
  }

  /// As both YAML versions and this language read it: decimal, or `0x` and lower-case digits.
  private static func isPlainInteger(_ text: String) -> Bool {
    Integer.parse(text.utf8.first == UInt8(ascii: "-") ? String(text.dropFirst()) : text) != nil
  }

  private mutating func checkLeadingZero(_ scalar: SyntaxScalar) {
    guard scalar.hasLeadingZero else { return }
    error(
      .leadingZero, scalar.span, "`\(scalar.text)` has a leading zero: some YAML readers take it for octal",
      help: ["write the number without it, or in quotes where text is meant"],
      fixIts: [FixIt("quote it", replace: scalar.span, with: "\"\(scalar.text)\"")])
  }

  private mutating func checkInteger(_ scalar: SyntaxScalar, _ range: ClosedRange<Int>, what: String) {
    if scalar.hasLeadingZero {
      error(.leadingZero, scalar.span, "`\(scalar.text)` has a leading zero")
    } else if let number = Integer.parse(scalar.text) {
      if !range.contains(number) {
        let bounds =
          range.lowerBound == range.upperBound
          ? "\(range.lowerBound)" : "\(range.lowerBound) to \(range.upperBound)"
        error(.badValue, scalar.span, "\(what) takes \(bounds), not \(number)")
      }
    } else {
      error(.wrongType, scalar.span, "\(what) takes an integer, not `\(scalar.text)`")
    }
  }

  /// LANGUAGE.md §2, names.
  mutating func checkName(_ scalar: SyntaxScalar) {
    guard !Name.isValid(scalar.text) else { return }
    error(
      .badName, scalar.span, "`\(scalar.text)` is no name",
      help: [
        "a name is lower-case letters and digits in words joined by `-`, beginning with a letter, at most 40 bytes"
      ])
  }
}

extension [String] {
  /// `a` or `b`; of three and more one of a list.
  var alternatives: String {
    let quoted = map { "`\($0)`" }
    return count <= 2 ? quoted.joined(separator: " or ") : "one of " + quoted.joined(separator: ", ")
  }
}

extension YAMLType {
  fileprivate var withArticle: String {
    switch self {
    case .string: "text"
    case .null: "null"
    case .bool: "a boolean"
    case .int, .float: "a number"
    case .timestamp: "a date"
    case .merge: "a merge key"
    case .value: "a default value"
    }
  }
}

extension ValueType {
  /// Whether the kind of the node fits; not whether its content does.
  func accepts(_ node: SyntaxNode) -> Bool {
    let kind: NodeKind =
      switch node.content {
      case .scalar: .scalar
      case .sequence: .sequence
      case .mapping: .mapping
      }
    return nodeKinds.contains(kind)
  }
}
