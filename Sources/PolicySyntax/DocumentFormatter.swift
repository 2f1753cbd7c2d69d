import Diagnostics

/// Prints a document anew in the one layout of `lockdown fmt`: comments, blank lines, the order of keys, the choice
/// between blocks and brackets and the line breaks inside brackets are the author's; indentation, spaces and quotes
/// are not.
///
/// Two spaces a level, list items one level below their key, `[a, b]`, `{ a: b }`, double quotes unless the text holds
/// `"` or `\`, line feeds, one blank line at most between two others.
struct DocumentFormatter {
  /// A block collection: the column it stood at, and the one it is printed at.
  struct Column {
    var source: Int
    var output: Int
  }

  /// What stands between two pieces of content.
  struct Trivia {
    enum Line {
      case blank
      case comment(FormattedComment)
    }

    /// On the line of the content before.
    var comment: FormattedComment?
    var lines: [Line] = []
    var hasBreak = false

    var hasComments: Bool {
      comment != nil || lines.contains { if case .comment = $0 { true } else { false } }
    }
  }

  let bytes: [UInt8]
  let tokens: DocumentTokens
  /// New texts of scalars, by the offset each starts at; decoded, quotes and escapes are put around them here.
  let texts: [Int: String]
  /// The token that comes next.
  var next = 0
  var lines = FormattedLines()
  /// What stands behind the content printed last.
  var pending = Trivia()
  /// The block collections that are open, outermost first.
  private var open: [Column] = []
  /// Those that were open at the content printed last: a comment between two entries can belong to any that ended there.
  private var lastOpen: [Column] = []

  /// - Parameter tree: Of a document without errors.
  init(_ tree: SyntaxTree, texts: [Int: String]) {
    bytes = tree.bytes
    tokens = tree.tokens
    self.texts = texts
  }

  mutating func format(_ root: SyntaxNode) -> [UInt8] {
    if kind == .documentStart {
      lines.start(indent: 0)
      lines.append("---")
      next += 1
      pending = trivia()
    } else {
      pending = trivia(atLineStart: true)
    }
    let top = Column(source: column(of: root.span.start), output: 0)
    if root.isFlow {
      flush(before: top, level: 0)
      lines.start(indent: 0)
      printFlow(base: 0, parent: -1)
      finishContent()
    } else {
      printBlock(root, at: top, isCompact: false)
    }
    flush(before: Column(source: 0, output: 0), level: 0)
    return lines.printed()
  }

  // MARK: Tokens

  /// Of the next token; nil at the end of the file.
  var kind: DocumentTokenKind? { next < tokens.kinds.count ? tokens.kinds[next] : nil }

  /// The next token's place in the file.
  var range: Range<Int> {
    let end = next + 1 < tokens.starts.count ? Int(tokens.starts[next + 1]) : bytes.count
    return Int(tokens.starts[next])..<end
  }

  /// In Unicode scalars from the start of the line.
  private func column(of offset: Int) -> Int {
    var start = offset
    while start > 0, bytes[start - 1] != 0x0a { start -= 1 }
    return bytes[start..<offset].count { $0 & 0xc0 != 0x80 }
  }

  /// Steps to the next content.
  mutating func trivia(atLineStart: Bool = false) -> Trivia {
    var trivia = Trivia(hasBreak: atLineStart)
    var isEmptyLine = atLineStart
    while let kind, !kind.isContent {
      switch kind {
      case .lineBreak:
        if trivia.hasBreak, isEmptyLine { trivia.lines.append(.blank) }
        trivia.hasBreak = true
        isEmptyLine = true
      case .comment:
        var end = range.upperBound
        while bytes[end - 1] == 0x20 || bytes[end - 1] == 0x09 { end -= 1 }
        let comment = FormattedComment(
          column: column(of: range.lowerBound), text: bytes[range.lowerBound..<end])
        if trivia.hasBreak { trivia.lines.append(.comment(comment)) } else { trivia.comment = comment }
        isEmptyLine = false
      default: break
      }
      next += 1
    }
    return trivia
  }

  // MARK: Between content

  private mutating func finishContent() {
    lastOpen = open
    pending = trivia()
  }

  /// Prints what is pending in front of an entry of a collection, or of the end of the file.
  ///
  /// - Parameter level: the collection's index among the open ones.
  private mutating func flush(before own: Column, level: Int) {
    if let comment = pending.comment { lines.attach(comment) }
    for line in pending.lines {
      switch line {
      case .blank: lines.blank()
      case .comment(let comment):
        // A comment deeper than what follows closes a collection that ended here: the deepest one it reaches.
        var owner = own
        for column in lastOpen.dropFirst(level + 1)
        where column.source <= comment.column && column.source > owner.source {
          owner = column
        }
        lines.comment(comment, indent: owner.output)
      }
    }
    pending = Trivia()
  }

  // MARK: Blocks

  /// Prints a block collection.
  ///
  /// - Parameter isCompact: its first key stands behind a dash, on the dash's line.
  private mutating func printBlock(_ node: SyntaxNode, at own: Column, isCompact: Bool) {
    open.append(own)
    let level = open.count - 1
    switch node.content {
    case .mapping(let entries):
      for (index, entry) in entries.enumerated() {
        if index > 0 || !isCompact {
          flush(before: own, level: level)
          lines.start(indent: own.output)
        }
        printScalar()
        while kind == .blank { next += 1 }
        lines.append(":")
        next += 1
        finishContent()
        printValue(entry.value, of: own, level: level)
      }
    case .sequence(let items):
      for item in items {
        flush(before: own, level: level)
        lines.start(indent: own.output)
        lines.append("-")
        next += 1
        finishContent()
        if item.mapping != nil, !item.isFlow, !pending.hasComments {
          pending = Trivia()
          lines.append(" ")
          let inner = Column(source: column(of: item.span.start), output: own.output + 2)
          printBlock(item, at: inner, isCompact: true)
        } else {
          printValue(item, of: own, level: level)
        }
      }
    case .scalar: break  // a collection is asked for
    }
    open.removeLast()
  }

  /// Prints the value of a key or dash that is printed already.
  private mutating func printValue(_ node: SyntaxNode, of owner: Column, level: Int) {
    if !node.isFlow, node.scalar == nil {
      let inner = Column(source: column(of: node.span.start), output: owner.output + 2)
      printBlock(node, at: inner, isCompact: false)
      return
    }
    var base = owner.output
    if pending.hasComments {
      base += 2
      flush(before: Column(source: 0, output: base), level: lastOpen.count)
      lines.start(indent: base)
    } else {
      pending = Trivia()
      lines.append(" ")
    }
    switch kind {
    case .openBracket:
      // Behind a dash, items line up with the first one.
      let isItem = lines.endsWithDash
      printFlow(base: isItem ? base + 2 : base, parent: owner.output)
    case .blockHeader: printBlockScalar(indent: owner.output + 2)
    default: printScalar()
    }
    finishContent()
  }

  // MARK: Scalars

  /// Prints the next token, a scalar on one line.
  mutating func printScalar() {
    let range = range
    let source = bytes[range]
    let new = texts[range.lowerBound]
    switch kind {
    case .singleQuoted:
      let text = new.map { Array($0.utf8) } ?? Self.unquoted(source)
      if text.contains(UInt8(ascii: "\"")) || text.contains(UInt8(ascii: "\\")) {
        lines.append("'")
        lines.append(text.flatMap { $0 == UInt8(ascii: "'") ? [$0, $0] : [$0] })
        lines.append("'")
      } else {
        lines.append("\"")
        lines.append(text)
        lines.append("\"")
      }
    case .doubleQuoted:
      if let new { lines.append(Self.doubleQuoted(new)) } else { lines.append(source) }
    default:
      if let new { lines.append(new) } else { lines.append(source) }
    }
    next += 1
  }

  private static func unquoted(_ source: ArraySlice<UInt8>) -> [UInt8] {
    var text: [UInt8] = []
    var isSecond = false
    for byte in source.dropFirst().dropLast() {
      isSecond = byte == UInt8(ascii: "'") && !isSecond
      if !isSecond { text.append(byte) }
    }
    return text
  }

  /// With the escapes that must be; texts of rules hold no control characters.
  private static func doubleQuoted(_ text: String) -> [UInt8] {
    var quoted: [UInt8] = [UInt8(ascii: "\"")]
    for byte in text.utf8 {
      if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { quoted.append(UInt8(ascii: "\\")) }
      quoted.append(byte)
    }
    return quoted + [UInt8(ascii: "\"")]
  }

  /// Prints header and lines of a block scalar; what its lines have beyond the first one's indentation is text.
  private mutating func printBlockScalar(indent: Int) {
    lines.append(bytes[range])
    next += 1
    _ = trivia()
    var text = bytes[range]
    next += 1
    let depth = text.prefix { $0 == 0x20 }.count
    while !text.isEmpty {
      var line = text.prefix { $0 != 0x0a }
      text = text.dropFirst(line.count + 1)
      if line.last == 0x0d { line.removeLast() }
      line = line.dropFirst(min(depth, line.prefix { $0 == 0x20 }.count))
      lines.start(indent: line.isEmpty ? 0 : indent)
      lines.append(line)
    }
  }
}
