import Diagnostics

/// A parser of the document layer: one pass over the bytes, at most one line of look-ahead.
///
/// Whatever it steps over becomes a token. Each block collection takes every line that is indented deeper
/// than its parent, so that an error never ends more than the item it stands in.
struct DocumentParser {
  let bytes: [UInt8]
  let source: SourceID
  /// The first byte that is in no token yet.
  private(set) var position = 0
  /// The start of the line that `position` is in.
  private(set) var lineStart = 0
  /// The end of the last token that can end a node.
  private(set) var contentEnd = 0
  private(set) var tokens = DocumentTokens()
  var problems = DocumentProblems()
  /// Open collections. INVARIANT: at most `DocumentLimits.depth`, which bounds the recursion.
  var depth = 0
  /// Offsets of the open brackets.
  var openBrackets: [Int] = []
  /// Set when a flow collection ended without its bracket: the position is then at the start of a line's content.
  var flowStopped = false
  /// The start of the last line whose indentation was reported, so that it is reported once.
  var reportedLine = -1
  /// Whether the file has tabs and question marks at all; most have none, and nothing need look for them.
  var hasTabs = false
  var hasQuestionMarks = false
  private var sawContent = false

  init(_ file: SourceFile) {
    bytes = file.bytes
    source = file.id
  }

  // MARK: Bytes

  var atEnd: Bool { position >= bytes.count }

  /// The byte at an offset; behind the end of the file there is a line feed.
  @inline(__always)
  func byte(_ offset: Int) -> UInt8 { offset < bytes.count ? bytes[offset] : 0x0a }

  @inline(__always)
  func isBlank(_ offset: Int) -> Bool { byte(offset) == 0x20 || byte(offset) == 0x09 }

  /// LF, CRLF or the end of the file; a lone CR too, which is an error already and is a line end in YAML.
  @inline(__always)
  func isBreak(_ offset: Int) -> Bool { byte(offset) == 0x0a || byte(offset) == 0x0d }

  /// The offset behind a line end that is not the end of the file.
  func behindBreak(_ offset: Int) -> Int {
    byte(offset) == 0x0d && offset + 1 < bytes.count && bytes[offset + 1] == 0x0a ? offset + 2 : offset + 1
  }

  @inline(__always)
  func isBlankOrBreak(_ offset: Int) -> Bool { isBlank(offset) || isBreak(offset) }

  /// 0-based, in bytes.
  var column: Int { position - lineStart }

  func lineEnd(from offset: Int) -> Int {
    var end = offset
    while !isBreak(end) { end += 1 }
    return end
  }

  func trimmedEnd(_ start: Int, _ end: Int) -> Int {
    var end = end
    while end > start, isBlank(end - 1) { end -= 1 }
    return end
  }

  func text(_ start: Int, _ end: Int) -> String { String(decoding: bytes[start..<end], as: UTF8.self) }

  func span(_ start: Int, _ end: Int) -> SourceSpan { SourceSpan(source, start, end) }

  // MARK: Tokens

  /// Makes the bytes up to an offset a token.
  @inline(__always)
  mutating func emit(_ kind: DocumentTokenKind, to end: Int) {
    guard end > position else { return }
    tokens.append(kind, start: position)
    if kind.isContent { contentEnd = end }
    position = end
  }

  /// Makes bytes over several lines one token; `start` is the start of the last of these lines.
  mutating func emitLines(_ kind: DocumentTokenKind, to end: Int, lastLine start: Int) {
    emit(kind, to: end)
    lineStart = start
  }

  mutating func emitBreak() {
    guard !atEnd else { return }
    emit(.lineBreak, to: behindBreak(position))
    lineStart = position
  }

  // MARK: Diagnostics

  mutating func report(
    _ id: DiagnosticID, _ start: Int, _ end: Int, _ message: String, label: String = "",
    related: [Diagnostic.Label] = [], help: [String] = [], fixIts: [FixIt] = []
  ) {
    problems.report(
      Diagnostic(
        id, at: span(start, end), message, label: label, related: related, help: help, fixIts: fixIts))
  }

  // MARK: Between nodes

  /// Steps over spaces; a tab among them is an error.
  mutating func skipBlanks() {
    var end = position
    while isBlank(end) { end += 1 }
    if hasTabs { reportTabs(position, end) }
    emit(.blank, to: end)
  }

  mutating func reportTabs(_ start: Int, _ end: Int) {
    guard let first = (start..<end).first(where: { bytes[$0] == 0x09 }) else { return }
    let last = (first..<end).last { bytes[$0] == 0x09 } ?? first
    // In front of a line's content a tab stands for a level, elsewhere for a space.
    let isIndentation = (lineStart..<first).allSatisfy { isBlank($0) }
    let replacement = (first...last).reduce(into: "") { text, offset in
      text += bytes[offset] == 0x09 && isIndentation ? "  " : " "
    }
    report(
      .tab, first, last + 1, isIndentation ? "a tab in the indentation" : "a tab between words",
      help: ["YAML readers do not agree on tabs; use spaces"],
      fixIts: (first...last).allSatisfy { isBlank($0) }
        ? [FixIt("use spaces", replace: span(first, last + 1), with: replacement)] : [])
  }

  /// From the end of a node to the end of its line; only a comment may stand there.
  mutating func finishLine() {
    skipBlanks()
    if isBreak(position) { return }
    let end = lineEnd(from: position)
    if bytes[position] == 0x23, position == lineStart || isBlank(position - 1) {
      emit(.comment, to: end)
      return
    }
    let content = trimmedEnd(position, end)
    if bytes[position] == 0x23 {
      report(
        .unexpected, position, content, "`#` without a space in front of it",
        label: "a comment needs a space",
        fixIts: [FixIt("add a space", replace: span(position, position), with: " ")])
    } else {
      report(.unexpected, position, content, "text behind the end of a value")
    }
    let node = contentEnd
    emit(.skipped, to: end)
    contentEnd = node
  }

  /// Steps over a line end, empty lines and comment lines to the first byte of the next line with content.
  ///
  /// The position must be at a line's end or start. Returns false at the end of the document.
  @discardableResult
  mutating func advance() -> Bool {
    while true {
      if isBreak(position), !atEnd {
        emitBreak()
        continue
      }
      skipBlanks()
      if atEnd { return false }
      if isBreak(position) { continue }
      if bytes[position] == 0x23 {
        emit(.comment, to: lineEnd(from: position))
        continue
      }
      if column == 0, skipMarker() { continue }
      sawContent = true
      return true
    }
  }

  /// Whether the bytes at the offset are `---` or `...` as a word of its own.
  func isMarker(_ offset: Int) -> Bool {
    let first = byte(offset)
    return (first == 0x2d || first == 0x2e) && byte(offset + 1) == first && byte(offset + 2) == first
      && isBlankOrBreak(offset + 3)
  }

  /// Reports a directive or document marker at the start of a line and steps over it.
  private mutating func skipMarker() -> Bool {
    let start = position
    let end = lineEnd(from: start)
    let content = trimmedEnd(start, end)
    if bytes[start] == 0x25 {
      report(
        .directive, start, content, "a YAML directive", help: ["a policy has none; remove the line"])
    } else if isMarker(start) {
      if bytes[start] == 0x2e {
        report(.multipleDocuments, start, start + 3, "`...` ends a YAML document", help: ["remove the line"])
      } else if sawContent {
        report(
          .multipleDocuments, start, start + 3, "a second document in one file",
          help: ["put each policy into its own file"])
      } else {
        report(
          .multipleDocuments, start, start + 3, "`---` may only stand alone on line 1", help: ["remove it"])
      }
    } else {
      return false
    }
    // Behind a marker in the middle nothing belongs to this document.
    let node = contentEnd
    emit(.skipped, to: sawContent && bytes[start] != 0x25 ? bytes.count : end)
    contentEnd = node
    return true
  }

  /// Steps over the rest of the line, and over all lines that are indented deeper than a column.
  mutating func skipItem(deeperThan parent: Int) {
    let node = contentEnd
    repeat { emit(.skipped, to: lineEnd(from: position)) } while advance() && column > parent
    contentEnd = node
  }

  mutating func skipLine() {
    let node = contentEnd
    emit(.skipped, to: lineEnd(from: position))
    contentEnd = node
    advance()
  }

  mutating func skip(to end: Int) {
    let node = contentEnd
    emit(.skipped, to: end)
    contentEnd = node
  }

  // MARK: The document

  mutating func parseDocument() -> SyntaxNode? {
    guard bytes.count <= DocumentLimits.bytes else {
      report(
        .limit, 0, 0, "the file is longer than \(DocumentLimits.bytes) bytes",
        help: ["put long address lists into their own files"])
      skip(to: bytes.count)
      return nil
    }
    tokens.reserve(bytes.count / 8 + 16)
    checkCharacters()
    if bytes.starts(with: [0xef, 0xbb, 0xbf]) {
      // Already reported; stepped over, so that it does not shift the first line.
      skip(to: 3)
      lineStart = 3
    }
    if isMarker(position), byte(position) == 0x2d, isBreak(trimmedBlanks(position + 3)) {
      emit(.documentStart, to: position + 3)
      skipBlanks()
    }
    guard advance() else {
      report(
        .emptyDocument, position, position, "there is no policy in this file",
        help: ["a policy starts with `policy: NAME` and `language: 1`"])
      return nil
    }
    let start = position
    let node = parseBlockNode(parent: -1, owner: .document)
    if !atEnd, node?.mapping != nil {
      report(
        .unexpected, position, trimmedEnd(position, lineEnd(from: position)),
        "text behind the end of the policy",
        help: ["the closing bracket at the top ends it"])
    }
    while !atEnd { skipLine() }
    guard let node else { return nil }
    guard node.mapping != nil else {
      report(
        .emptyDocument, start, max(start, node.span.end),
        "the top of a policy is a mapping, not a \(node.kindName)",
        help: ["a policy starts with `policy: NAME` and `language: 1`"])
      return nil
    }
    return node
  }

  private func trimmedBlanks(_ start: Int) -> Int {
    var end = start
    while byte(end) == 0x20 { end += 1 }
    return end
  }
}
