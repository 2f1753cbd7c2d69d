import Diagnostics

/// Nodes that start behind a key or dash, on its line or on the next one.
extension DocumentParser {
  /// Scalars, flow collections and block scalars. Afterwards the position is at the next line with content.
  mutating func parseInline(owner: NodeOwner) -> SyntaxNode? {
    switch byte(position) {
    case 0x22, 0x27:
      let scalar = parseQuotedOrUnclosed(owner: owner, allowsBreaks: owner.allowsBreaks)
      reportColonBehind(scalar.span.start)
      finishInline(owner: owner, isPlain: false)
      return SyntaxNode(.scalar(scalar), span: scalar.span, isFlow: false)
    case 0x5b, 0x7b:
      let start = position
      let node = parseFlowCollection(parent: owner.column)
      if flowStopped {
        flowStopped = false
        return node
      }
      reportColonBehind(start)
      finishInline(owner: owner, isPlain: false)
      return node
    case 0x7c, 0x3e:
      if let header = blockHeader(position) { return parseBlockScalar(header, owner: owner) }
    case 0x2d where isDash(position):
      report(
        .unexpected, position, trimmedEnd(position, lineEnd(from: position)),
        "a list item on the line of its key", help: ["the first dash starts a line of its own"])
      skipItem(deeperThan: owner.column)
      return nil
    case 0x3f where isComplexKey(position):
      report(
        .complexKey, position, position + 1, "`?` starts a key over several lines",
        help: ["write `key: value`; in quotes it is text"])
      skipItem(deeperThan: owner.column)
      return nil
    default: break
    }
    let scalar = parseBlockPlain()
    finishInline(owner: owner, isPlain: true)
    return SyntaxNode(.scalar(scalar), span: scalar.span, isFlow: false)
  }

  private mutating func parseBlockPlain() -> SyntaxScalar {
    let start = position
    var (stop, reason) = plainEnd(start, inFlow: false)
    if reason == .colon {
      let colon = stop
      while reason == .colon { (stop, reason) = plainEnd(stop + 1, inFlow: false) }
      let end = trimmedEnd(start, stop)
      report(
        .accidentalMapping, start, end, "`: ` makes this text a second key",
        related: [Diagnostic.Label(span(colon, colon + 1), "this colon")],
        help: ["put the text in single quotes, or start a mapping on the next line"],
        fixIts: [quoteFix(start, end)])
      emit(.plain, to: end)
      return plainScalar(start, end)
    }
    var end = trimmedEnd(start, stop)
    if reason == .comment, let cut = accidentalComment(start, cutAt: stop) {
      reportAccidentalComment(start, stop, cut)
      end = cut.end
    }
    return parsePlain(to: end, inFlow: false)
  }

  /// `a: "b": c`, `{a}: b`
  private mutating func reportColonBehind(_ start: Int) {
    var colon = position
    while isBlank(colon) { colon += 1 }
    guard byte(colon) == 0x3a, isBlankOrBreak(colon + 1) else { return }
    let isCollection = byte(start) == 0x5b || byte(start) == 0x7b
    let end = trimmedEnd(colon, lineEnd(from: colon))
    if isCollection {
      report(.complexKey, start, colon + 1, "a collection as a key", help: ["a key is a word or quoted text"])
    } else {
      report(.accidentalMapping, colon, end, "a second key on one line")
    }
    skip(to: end)
  }

  /// Ends the line of a node and takes the lines that would belong to it: they are errors.
  private mutating func finishInline(owner: NodeOwner, isPlain: Bool) {
    finishLine()
    advance()
    while !atEnd, column > owner.column {
      let isItem = isDash(position)
      if !isItem, isComplexKey(position) || blockKey(position) != nil { return }
      if isItem, !isPlain { return }
      let end = trimmedEnd(position, lineEnd(from: position))
      var fixIts: [FixIt] = []
      if case .dash(let dash) = owner {
        fixIts = [
          FixIt(
            isItem ? "indent it like its neighbours" : "add a dash", replace: span(lineStart, position),
            with: spaces(dash) + (isItem ? "" : "- "))
        ]
      } else if isPlain, !isItem, case .key(_, let name) = owner, Self.keysOfTexts.contains(name) {
        fixIts = [FixIt("add a dash", replace: span(position, position), with: "- ")]
      } else if isPlain, !isItem, case .key = owner, isOneBreak(contentEnd, position) {
        fixIts = [FixIt("join the lines", replace: span(contentEnd, position), with: " ")]
      }
      if isPlain {
        report(
          .multiLinePlain, position, end, "a second line of unquoted text",
          help: ["YAML would join it with the line above; long text goes behind `>`"], fixIts: fixIts)
      } else {
        report(
          .indentation, position, end, "a line behind a finished value, but indented like a part of it",
          fixIts: fixIts)
      }
      if isItem {
        reportedLine = lineStart
        return
      }
      skipLine()
    }
  }

  /// Keys of lists of rules, statements and regions, of which each is a line.
  private static let keysOfTexts: Set<String> = ["rules", "expect", "guarantee", "delegate", "management"]

  /// Whether there is nothing but one line end and blanks between two offsets.
  func isOneBreak(_ start: Int, _ end: Int) -> Bool {
    var breaks = 0
    for offset in start..<max(start, end) {
      switch bytes[offset] {
      case 0x0a: breaks += 1
      case 0x20, 0x0d: break
      default: return false
      }
    }
    return breaks == 1
  }

  // MARK: Properties

  /// Steps over anchors and tags in front of a node; each is an error.
  @discardableResult
  mutating func skipProperties() -> Bool {
    var found = false
    while byte(position) == 0x26 || byte(position) == 0x21 {
      var end = position + 1
      while !isBlankOrBreak(end), !(depthOfFlow > 0 && isFlowDelimiter(byte(end))) { end += 1 }
      if byte(position) == 0x26 {
        report(
          .anchor, position, end, "`&` starts a YAML anchor",
          help: ["give the value a name in `define`; in quotes it is text"])
      } else {
        report(
          .tag, position, end, "`!` starts a YAML tag",
          help: ["the key says what type a value has; in quotes it is text"])
      }
      skip(to: end)
      skipBlanks()
      found = true
    }
    return found
  }

  private var depthOfFlow: Int { openBrackets.count }

  // MARK: Quotes over several lines

  mutating func parseQuotedOrUnclosed(owner: NodeOwner, allowsBreaks: Bool) -> SyntaxScalar {
    if let end = quotedEnd(position) { return parseQuoted(to: end, allowsBreaks: allowsBreaks) }
    let start = position
    let isDouble = byte(start) == 0x22
    let kind: DocumentTokenKind = isDouble ? .doubleQuoted : .singleQuoted
    let firstEnd = lineEnd(from: start)
    guard let (close, lines) = quotedEndBelow(from: firstEnd, quote: byte(start), parent: owner.column) else {
      let end = trimmedEnd(start, firstEnd)
      report(
        .unclosed, start, end, "a quote that is not closed",
        fixIts: plainEnd(start, inFlow: depthOfFlow > 0).end >= end
          ? [FixIt("close it", replace: span(end, end), with: text(start, start + 1))] : [])
      emit(kind, to: end)
      return damaged(start, end, isDouble)
    }
    var fixIts: [FixIt] = []
    if let line = lines.first, lines.count == 1, bytes[firstEnd - 1] != 0x5c {
      var content = line
      while isBlank(content) { content += 1 }
      fixIts = [
        FixIt("join the lines", replace: span(trimmedEnd(start, firstEnd), content), with: " ")
      ]
    }
    report(
      .multiLineQuoted, start, close, "quoted text over several lines",
      help: ["long text goes behind `>` or `|`"], fixIts: fixIts)
    emitLines(kind, to: close, lastLine: lines.last ?? lineStart)
    return damaged(start, close, isDouble)
  }

  private func damaged(_ start: Int, _ end: Int, _ isDouble: Bool) -> SyntaxScalar {
    SyntaxScalar(
      text: text(start + 1, max(start + 1, end - 1)), style: isDouble ? .doubleQuoted : .singleQuoted,
      span: span(start, end), runs: [SyntaxScalar.Run(decodedStart: 0, sourceStart: start + 1)])
  }

  /// Looks for a closing quote in the lines below that are indented deeper than a column.
  private func quotedEndBelow(from end: Int, quote: UInt8, parent: Int) -> (close: Int, lines: [Int])? {
    var lines: [Int] = []
    var offset = end
    while offset < bytes.count {
      offset = behindBreak(offset)
      lines.append(offset)
      var content = offset
      while byte(content) == 0x20 { content += 1 }
      if content >= bytes.count { return nil }
      if !isBreak(content), content - offset <= parent || isMarker(offset) { return nil }
      while !isBreak(offset) {
        let value = bytes[offset]
        if value == quote {
          if quote == 0x22 || byte(offset + 1) != 0x27 { return (offset + 1, lines) }
          offset += 2
        } else if value == 0x5c, quote == 0x22, !isBreak(offset + 1) {
          offset += 2
        } else {
          offset += 1
        }
      }
    }
    return nil
  }

  // MARK: Block scalars

  struct BlockHeader {
    var end: Int
    var isFolded: Bool
    var isStripped: Bool
  }

  /// A header is `|` or `>` with `-`, `+` and digits, and then nothing or a comment; else it is damaged text.
  private func blockHeader(_ start: Int) -> BlockHeader? {
    var end = start + 1
    var isStripped = false
    while true {
      switch byte(end) {
      case 0x2d: isStripped = true
      case 0x2b, 0x30...0x39: break
      default:
        var next = end
        while isBlank(next) { next += 1 }
        guard isBreak(next) || byte(next) == 0x23 && next > end else { return nil }
        return BlockHeader(end: end, isFolded: byte(start) == 0x3e, isStripped: isStripped)
      }
      end += 1
    }
  }

  private mutating func parseBlockScalar(_ header: BlockHeader, owner: NodeOwner) -> SyntaxNode? {
    let start = position
    let before = contentEnd
    if (lineStart..<start).allSatisfy({ bytes[$0] == 0x20 }) {
      report(
        .blockScalar, start, header.end, "a block scalar header on a line of its own",
        help: ["it stands behind its key or dash; readers do not agree how deep its text must be here"],
        fixIts: isOneBreak(before, start) && before > 0
          ? [FixIt("move it up", replace: span(before, start), with: " ")] : [])
    }
    if header.end - start > (header.isStripped ? 2 : 1) {
      let cure = text(start, start + 1) + (header.isStripped ? "-" : "")
      report(
        .blockScalar, start, header.end, "the block scalar header `\(text(start, header.end))`",
        help: ["the headers are `|`, `|-`, `>` and `>-`; the first line sets the indentation"],
        fixIts: [FixIt("write `\(cure)`", replace: span(start, header.end), with: cure)])
    }
    emit(.blockHeader, to: header.end)
    skipBlanks()
    if !isBreak(position) {
      let end = lineEnd(from: position)
      report(
        .blockScalar, position, trimmedEnd(position, end), "a comment behind a block scalar header",
        help: ["the header stands alone; put the comment on the line above"])
      emit(.comment, to: end)
    }
    emitBreak()
    let lines = blockLines(parent: owner.column)
    guard let first = lines.first else {
      report(
        .blockScalar, start, header.end, "a block scalar without text",
        help: ["its text is indented deeper than its key"])
      advance()
      return nil
    }
    if first.blanksAbove > 0 {
      report(
        .blockScalar, position, position, "a blank line at the start of a block scalar",
        fixIts: [FixIt("remove it", replace: span(position, first.lineStart), with: "")])
    }
    let scalar = blockText(lines, header, start: start)
    advance()
    while !atEnd, column > owner.column {
      report(
        .blockScalar, position, trimmedEnd(position, lineEnd(from: position)),
        "a line that is indented less than the first line of its block scalar")
      skipLine()
    }
    return SyntaxNode(.scalar(scalar), span: scalar.span, isFlow: false)
  }

  private struct BlockLine {
    var lineStart: Int
    /// Behind the indentation.
    var start: Int
    var end: Int
    var blanksAbove: Int
  }

  /// The lines of a block scalar from the position on; all are indented at least like the first one.
  private func blockLines(parent: Int) -> [BlockLine] {
    var lines: [BlockLine] = []
    var indent = Int.max
    var blanks = 0
    var line = position
    while line < bytes.count {
      var content = line
      while byte(content) == 0x20, content - line < indent { content += 1 }
      let end = lineEnd(from: content)
      if content == end {
        blanks += 1
      } else {
        if lines.isEmpty { indent = content - line }
        guard content - line > parent, content - line >= indent else { break }
        lines.append(BlockLine(lineStart: line, start: content, end: end, blanksAbove: blanks))
        blanks = 0
      }
      if end >= bytes.count { break }
      line = behindBreak(end)
    }
    return lines
  }

  private mutating func blockText(_ lines: [BlockLine], _ header: BlockHeader, start: Int) -> SyntaxScalar {
    var decoded: [UInt8] = []
    var runs: [SyntaxScalar.Run] = []
    runs.reserveCapacity(lines.count)
    for (index, line) in lines.enumerated() {
      if index > 0 {
        if header.isFolded {
          decoded.append(0x20)
          reportFolded(line)
        } else {
          decoded += repeatElement(0x0a, count: 1 + line.blanksAbove)
        }
      }
      runs.append(SyntaxScalar.Run(decodedStart: decoded.count, sourceStart: line.start))
      decoded += bytes[line.start..<line.end]
      if hasTabs, let tab = (line.start..<line.end).first(where: { bytes[$0] == 0x09 }) {
        report(
          .tab, tab, tab + 1, "a tab in a block scalar",
          fixIts: [FixIt("use spaces", replace: span(tab, tab + 1), with: "  ")])
      }
    }
    let last = lines[lines.count - 1]
    emitLines(.blockText, to: last.end, lastLine: last.lineStart)
    if !header.isStripped {
      if last.end >= bytes.count {
        report(
          .blockScalar, last.end, last.end,
          "a block scalar at the end of the file, and no line end behind it",
          help: ["YAML readers do not agree whether its text ends in one"],
          fixIts: [FixIt("add a line end", replace: span(last.end, last.end), with: "\n")])
      }
      decoded.append(0x0a)
    }
    return SyntaxScalar(
      text: String(decoding: decoded, as: UTF8.self), style: header.isFolded ? .folded : .literal,
      span: span(start, last.end), runs: runs)
  }

  private mutating func reportFolded(_ line: BlockLine) {
    if line.blanksAbove > 0 {
      report(
        .blockScalar, line.lineStart, line.lineStart, "a blank line above this one in a `>` text",
        help: ["`|` keeps lines as they are"])
    }
    if bytes[line.start] == 0x20 {
      report(
        .blockScalar, line.start, line.end, "a line indented deeper than the first one of its `>` text",
        help: ["`|` keeps lines as they are"])
    }
  }
}
