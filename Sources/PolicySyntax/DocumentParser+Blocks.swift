import Diagnostics

/// What a node belongs to, and with it how deep its further lines must be indented.
enum NodeOwner {
  case document
  case dash(column: Int)
  case key(column: Int, name: String)

  var column: Int {
    switch self {
    case .document: -1
    case .dash(let column), .key(let column, _): column
    }
  }

  /// Whether `\n` and `\t` may stand behind an escape: in text for people only.
  var allowsBreaks: Bool {
    if case .key(_, let name) = self { name == "description" || name == "comment" } else { false }
  }
}

extension DocumentParser {
  /// `-` as a word of its own.
  func isDash(_ offset: Int) -> Bool { byte(offset) == 0x2d && isBlankOrBreak(offset + 1) }

  /// A node that starts a line. Afterwards the position is at the next content that is not its own.
  mutating func parseBlockNode(parent: Int, owner: NodeOwner) -> SyntaxNode? {
    while true {
      if isDash(position) { return parseSequence(column: column, parent: parent) }
      if isComplexKey(position) || blockKey(position) != nil {
        return parseMapping(column: column, parent: parent)
      }
      guard skipProperties() else { return parseInline(owner: owner) }
      guard isBreak(position) || byte(position) == 0x23 else { return parseInline(owner: owner) }
      finishLine()
      guard advance(), column > parent else { return nil }
    }
  }

  // MARK: Sequences

  /// - Parameter isAtKey: the dashes stand at the column of the key the list belongs to.
  mutating func parseSequence(column own: Int, parent: Int, isAtKey: Bool = false) -> SyntaxNode? {
    guard enter() else { return skipTooDeep(parent: parent, isAtKey: isAtKey) }
    defer { depth -= 1 }
    let start = position
    var items: [SyntaxNode] = []
    while true {
      if isDash(position) {
        if column != own { reportIndentation(expected: own, of: "list item") }
        if let item = parseItem() { items.append(item) }
      } else {
        reportMissingDash(own)
        if let item = parseBlockNode(parent: max(parent, min(own, column - 1)), owner: .dash(column: own)) {
          items.append(item)
        }
      }
      if atEnd || column <= parent { break }
      if isAtKey, column == own, !isDash(position) { break }
    }
    // All damaged and reported: no list is not the same as an empty one.
    if items.isEmpty { return nil }
    return SyntaxNode(.sequence(items), span: span(start, max(start, contentEnd)), isFlow: false)
  }

  private mutating func parseItem() -> SyntaxNode? {
    let dash = column
    let start = position
    let owner = NodeOwner.dash(column: dash)
    emit(.dash, to: position + 1)
    skipBlanks()
    let hasProperties = skipProperties()
    if isBreak(position) || byte(position) == 0x23 {
      finishLine()
      if advance(), column > dash { return parseBlockNode(parent: dash, owner: owner) }
      report(
        .emptyValue, start, start + 1, "a list item without value", help: ["remove the dash or write an item"]
      )
      return nil
    }
    if isDash(position) {
      let inner = position
      let list = parseSequence(column: column, parent: dash)
      report(
        .nestedDash, start, inner + 1, "a dash behind a dash",
        help: ["a list inside a list is written `- [a, b]`, or with the inner list on its own lines"],
        fixIts: list?.sequence?.count == 1
          ? [FixIt("remove one dash", replace: span(start, inner), with: "")] : [])
      return list
    }
    if isComplexKey(position) || !hasProperties && blockKey(position) != nil {
      return parseMapping(column: column, parent: dash)
    }
    return parseInline(owner: owner)
  }

  private mutating func reportMissingDash(_ own: Int) {
    guard reportedLine != lineStart else { return }
    reportedLine = lineStart
    let end = trimmedEnd(position, lineEnd(from: position))
    if column == own, blockKey(position) == nil {
      report(
        .unexpected, position, end, "a list item without its dash",
        fixIts: [FixIt("add a dash", replace: span(position, position), with: "- ")])
    } else {
      report(
        .indentation, position, end, "this line belongs to no item of the list",
        help: ["an item starts with `- `; further lines of an item start below its first word"])
    }
  }

  // MARK: Mappings

  mutating func parseMapping(column own: Int, parent: Int) -> SyntaxNode? {
    guard enter() else { return skipTooDeep(parent: parent, isAtKey: false) }
    defer { depth -= 1 }
    let start = position
    var entries: [SyntaxEntry] = []
    var keys = KeySet()
    while true {
      if column != own { reportIndentation(expected: own, of: "key") }
      if let entry = parseEntry(previous: entries.last), isNew(entry.key, &keys) { entries.append(entry) }
      if atEnd || column <= parent { break }
    }
    // All damaged and reported: no mapping is not the same as an empty one.
    if entries.isEmpty { return nil }
    return SyntaxNode(.mapping(entries), span: span(start, max(start, contentEnd)), isFlow: false)
  }

  mutating func isNew(_ key: SyntaxScalar, _ keys: inout KeySet) -> Bool {
    // A colon without a key is an error already.
    if key.style == .plain, key.text.isEmpty { return false }
    guard let first = keys.insert(key) else { return true }
    report(
      .duplicateKey, key.span.start, key.span.end, "the key `\(key.text)` stands here twice",
      related: [Diagnostic.Label(first, "first here")], help: ["readers disagree on which one counts"])
    return false
  }

  private mutating func parseEntry(previous: SyntaxEntry?) -> SyntaxEntry? {
    let column = column
    let start = position
    if isComplexKey(position) {
      report(
        .complexKey, position, position + 1, "`?` starts a key over several lines",
        help: ["write `key: value`"])
      skipItem(deeperThan: column)
      // Its value.
      if !atEnd, self.column == column, byte(position) == 0x3a, isBlankOrBreak(position + 1) {
        skipItem(deeperThan: column)
      }
      return nil
    }
    if isDash(position) {
      if reportedLine != lineStart {
        report(
          .unexpected, position, trimmedEnd(position, lineEnd(from: position)),
          "a list item where a `key: value` is expected")
      }
      skipItem(deeperThan: column)
      return nil
    }
    skipProperties()
    guard let extent = blockKey(position) else {
      reportNoKey(previous: previous)
      skipItem(deeperThan: column)
      return nil
    }
    let key = parseKey(extent)
    let owner = NodeOwner.key(column: column, name: key.text)
    skipBlanks()
    emit(.colon, to: extent.colon + 1)
    skipBlanks()
    skipProperties()
    if !isBreak(position), byte(position) != 0x23 {
      return parseInline(owner: owner).map { SyntaxEntry(key: key, value: $0) }
    }
    finishLine()
    if advance() {
      if self.column > column {
        return parseBlockNode(parent: column, owner: owner).map { SyntaxEntry(key: key, value: $0) }
      }
      if self.column == column, isDash(position) {
        return parseSequence(column: column, parent: column - 1, isAtKey: true)
          .map { SyntaxEntry(key: key, value: $0) }
      }
    }
    let first = key.text.split(separator: " ").first.map(String.init)
    if key.style == .plain, first != key.text, RuleKeyword.verdicts.contains(first ?? "") {
      // An address that ends in `::` keeps its colon.
      let quoted = "'" + key.text.replacing("'", with: "''") + ":'"
      let isAddress = key.text.utf8.last == UInt8(ascii: ":")
      let whole = span(start, extent.colon + 1)
      report(
        .accidentalMapping, start, extent.colon + 1, "the colon makes a key of `\(key.text)`",
        help: ["put the whole text in single quotes" + (isAddress ? "" : ", or leave the colon out")],
        fixIts: [
          isAddress
            ? FixIt("quote it", replace: whole, with: quoted)
            : FixIt("leave the colon out", replace: span(extent.colon, extent.colon + 1), with: "")
        ])
      return nil
    }
    report(
      .emptyValue, start, extent.colon + 1, "the key `\(key.text)` has no value",
      help: ["write `[]`, `{}` or `\"\"` if that is what is meant"])
    return nil
  }

  private mutating func reportNoKey(previous: SyntaxEntry?) {
    let end = trimmedEnd(position, lineEnd(from: position))
    if byte(position) == 0x5b || byte(position) == 0x7b {
      report(.complexKey, position, end, "a collection where a key is expected")
      return
    }
    if byte(position) == 0x22 || byte(position) == 0x27 {
      if quotedEnd(position) == nil {
        report(.unclosed, position, end, "a quote that is not closed on its line")
        return
      }
    }
    if let colon = (position..<end).first(where: { bytes[$0] == 0x3a }) {
      report(
        .unexpected, position, end, "a `key: value` is expected", label: "no space behind the colon",
        fixIts: [FixIt("add a space", replace: span(colon + 1, colon + 1), with: " ")])
      return
    }
    var fixIts: [FixIt] = []
    if let previous, previous.value.sequence != nil, !previous.value.isFlow {
      fixIts = [FixIt("add a dash", replace: span(position, position), with: "- ")]
    }
    report(.unexpected, position, end, "a `key: value` is expected", fixIts: fixIts)
  }

  // MARK: Depth and indentation

  /// Opens a collection, unless it would be too deep.
  mutating func enter() -> Bool {
    guard depth < DocumentLimits.depth else {
      report(
        .limit, position, position + 1, "more than \(DocumentLimits.depth) collections inside each other")
      return false
    }
    depth += 1
    return true
  }

  private mutating func skipTooDeep(parent: Int, isAtKey: Bool) -> SyntaxNode? {
    let own = column
    repeat { skipItem(deeperThan: own) } while !atEnd && column > parent && !(isAtKey && !isDash(position))
    return nil
  }

  private mutating func reportIndentation(expected: Int, of what: String) {
    guard reportedLine != lineStart else { return }
    reportedLine = lineStart
    let end = trimmedEnd(position, lineEnd(from: position))
    // With lines below it, moving this one alone would be no cure.
    let isAlone = !isKeyWithoutValue(end)
    report(
      .indentation, position, end, "a \(what) at column \(column + 1) among those at column \(expected + 1)",
      help: ["entries of one collection start at the same column"],
      fixIts: isAlone && lineStart + column == position
        ? [FixIt("indent it like its neighbours", replace: span(lineStart, position), with: spaces(expected))]
        : [])
  }

  private func isKeyWithoutValue(_ end: Int) -> Bool { end > position && bytes[end - 1] == 0x3a }

  func spaces(_ count: Int) -> String { String(repeating: " ", count: count) }
}

/// The keys of one mapping, compared as bytes: `String` takes canonically equivalent texts for equal.
struct KeySet {
  private struct Key: Hashable {
    let text: String

    static func == (a: Key, b: Key) -> Bool { a.text.utf8.elementsEqual(b.text.utf8) }

    func hash(into hasher: inout Hasher) {
      var text = text
      text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
  }

  private var few: [(text: String, span: SourceSpan)] = []
  private var many: [Key: SourceSpan] = [:]

  /// Returns where the key stood first, if it did.
  mutating func insert(_ key: SyntaxScalar) -> SourceSpan? {
    if many.isEmpty {
      if let first = few.first(where: { $0.text.utf8.elementsEqual(key.text.utf8) }) { return first.span }
      few.append((key.text, key.span))
      // Comparing pairs would be quadratic; most mappings never get here.
      if few.count > 8 { for key in few { many[Key(text: key.text)] = key.span } }
      return nil
    }
    let entry = Key(text: key.text)
    if let first = many[entry] { return first }
    many[entry] = key.span
    return nil
  }
}
