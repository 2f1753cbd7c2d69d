import Diagnostics

/// Collections in brackets.
extension DocumentParser {
  /// A collection from its open bracket; every further line must be indented deeper than `parent`.
  ///
  /// If `flowStopped` is set afterwards, the collection ended without its bracket.
  mutating func parseFlowCollection(parent: Int) -> SyntaxNode? {
    let start = position
    let isMapping = byte(start) == 0x7b
    guard enter() else {
      skipFlowCollection(parent: parent)
      return nil
    }
    openBrackets.append(start)
    defer {
      openBrackets.removeLast()
      depth -= 1
    }
    emit(.openBracket, to: start + 1)
    var items: [SyntaxNode] = []
    var entries: [SyntaxEntry] = []
    var keys = KeySet()
    // Whether an item or its separator must come first.
    var needsComma = false
    while skipFlowSpace(parent: parent) {
      let value = byte(position)
      if value == 0x5d || value == 0x7d {
        if (value == 0x7d) != isMapping {
          report(
            .unexpected, position, position + 1,
            "`\(text(position, position + 1))` closes `\(text(start, start + 1))`",
            related: [Diagnostic.Label(span(start, start + 1), "opened here")],
            fixIts: [FixIt("close it", replace: span(position, position + 1), with: isMapping ? "}" : "]")])
        }
        emit(.closeBracket, to: position + 1)
        break
      }
      if value == 0x2c {
        if !needsComma {
          report(
            .unexpected, position, position + 1, "a comma without an item in front of it",
            fixIts: [FixIt("remove it", replace: span(position, position + 1), with: "")])
        }
        emit(.comma, to: position + 1)
        needsComma = false
        continue
      }
      if needsComma { reportMissingComma() }
      needsComma = true
      if isMapping {
        if let entry = parseFlowEntry(parent: parent), isNew(entry.key, &keys) { entries.append(entry) }
      } else if let item = parseFlowItem(parent: parent) {
        items.append(item)
      }
      if flowStopped { break }
    }
    return SyntaxNode(
      isMapping ? .mapping(entries) : .sequence(items), span: span(start, max(start + 1, contentEnd)),
      isFlow: true)
  }

  private mutating func reportMissingComma() {
    let end = contentEnd
    let isPlain = tokens.lastContent == .plain
    if lineStart > end, isPlain, !isQuoteOrBracket(byte(position)) {
      report(
        .multiLinePlain, position, plainEndTrimmed(position), "a second line of unquoted text",
        help: ["YAML would join it with the line above"],
        fixIts: [FixIt("add a comma", replace: span(end, end), with: ",")])
    } else {
      report(
        .unexpected, position, position + 1, "a comma is missing in front of this",
        fixIts: [
          FixIt("add a comma", replace: span(end, end), with: lineStart > end || isBlank(end) ? "," : ", ")
        ])
    }
  }

  private func isQuoteOrBracket(_ value: UInt8) -> Bool {
    value == 0x22 || value == 0x27 || value == 0x5b || value == 0x7b
  }

  private func plainEndTrimmed(_ start: Int) -> Int {
    max(start + 1, trimmedEnd(start, plainEnd(start, inFlow: true).end))
  }

  // MARK: Items and entries

  private mutating func parseFlowItem(parent: Int) -> SyntaxNode? {
    let start = position
    let line = lineStart
    guard let node = parseFlowNode(parent: parent, allowsBreaks: false), !flowStopped else { return nil }
    guard let colon = flowColon(behind: node) else { return node }
    guard line == lineStart, let key = node.scalar else {
      report(.complexKey, start, colon + 1, "a collection as a key", help: ["a key is a word or quoted text"])
      skipBlanks()
      emit(.colon, to: colon + 1)
      return skipFlowValue(parent: parent)
    }
    skipBlanks()
    emit(.colon, to: colon + 1)
    let value = parseFlowValue(key, parent: parent)
    report(
      .flowPair, start, max(start, contentEnd), "a `key: value` pair in a list",
      help: ["a mapping in a list has its own braces"],
      fixIts: value == nil || flowStopped
        ? [] : [FixIt("add braces", replace: span(start, contentEnd), with: "{ \(text(start, contentEnd)) }")]
    )
    guard let value else { return nil }
    return SyntaxNode(
      .mapping([SyntaxEntry(key: key, value: value)]), span: span(start, contentEnd), isFlow: true)
  }

  private mutating func parseFlowEntry(parent: Int) -> SyntaxEntry? {
    let start = position
    guard let node = parseFlowNode(parent: parent, allowsBreaks: false, isKey: true), !flowStopped else {
      return nil
    }
    let colon = flowColon(behind: node)
    if let colon, node.scalar?.style == .plain, byte(colon + 1) == 0x5b || byte(colon + 1) == 0x7b {
      reportMissingSpace(behind: colon)
    }
    guard let key = node.scalar else {
      report(
        .complexKey, start, max(start + 1, contentEnd), "a collection where a key is expected",
        help: ["a key is a word or quoted text"])
      guard let colon else { return nil }
      skipBlanks()
      emit(.colon, to: colon + 1)
      _ = skipFlowValue(parent: parent)
      return nil
    }
    guard let colon else {
      let end = node.span.end
      guard skipFlowSpace(parent: parent) else { return nil }
      if byte(position) == 0x3a, !isFlowDelimiter(byte(position + 1)) || key.style != .plain {
        report(
          .unexpected, position, position + 1, "a colon on another line than its key",
          help: ["YAML 1.1 readers refuse it"],
          fixIts: isOneBreak(end, position)
            ? [FixIt("move it to its key", replace: span(end, position + 1), with: ":")] : [])
        emit(.colon, to: position + 1)
        return parseFlowValue(key, parent: parent).map { SyntaxEntry(key: key, value: $0) }
      }
      reportFlowPair(key)
      return nil
    }
    if colon - start > DocumentLimits.key {
      report(.limit, start, colon, "a key of \(colon - start) bytes; the limit is \(DocumentLimits.key)")
    }
    if key.style == .plain, key.text == "<<" {
      report(
        .mergeKey, start, node.span.end, "`<<` is a merge key to some readers",
        help: ["shared settings go into a fragment"])
    }
    skipBlanks()
    emit(.colon, to: colon + 1)
    return parseFlowValue(key, parent: parent).map { SyntaxEntry(key: key, value: $0) }
  }

  /// `key:[`: YAML 1.2 sees a key, libyaml an error.
  private mutating func reportMissingSpace(behind colon: Int) {
    report(
      .unexpected, colon, colon + 1, "a colon without a space behind it",
      fixIts: [FixIt("add a space", replace: span(colon + 1, colon + 1), with: " ")])
  }

  private mutating func reportFlowPair(_ key: SyntaxScalar) {
    if key.style == .plain, let colon = (key.span.start..<key.span.end).first(where: { bytes[$0] == 0x3a }) {
      report(
        .flowPair, key.span.start, key.span.end, "a key without value in braces",
        label: "no space behind the colon",
        fixIts: [FixIt("add a space", replace: span(colon + 1, colon + 1), with: " ")])
    } else {
      report(
        .flowPair, key.span.start, key.span.end, "a key without value in braces",
        help: ["braces hold `key: value` pairs; a list stands in `[ ]`"])
    }
  }

  /// The colon behind a key on its line: with white space behind it, or directly behind a quoted key.
  private func flowColon(behind node: SyntaxNode) -> Int? {
    var offset = position
    while isBlank(offset) { offset += 1 }
    guard byte(offset) == 0x3a else { return nil }
    if node.scalar?.style == .plain {
      return isBlankOrBreak(offset + 1) || isFlowDelimiter(byte(offset + 1)) ? offset : nil
    }
    return offset
  }

  /// Behind the colon of an entry.
  private mutating func parseFlowValue(_ key: SyntaxScalar, parent: Int) -> SyntaxNode? {
    guard skipFlowSpace(parent: parent) else { return nil }
    switch byte(position) {
    case 0x2c, 0x5d, 0x7d:
      report(
        .emptyValue, key.span.start, max(key.span.end, contentEnd), "the key `\(key.text)` has no value",
        help: ["write `[]`, `{}` or `\"\"` if that is what is meant"])
      return nil
    default:
      let owner = NodeOwner.key(column: parent, name: key.text)
      guard let node = parseFlowNode(parent: parent, allowsBreaks: owner.allowsBreaks) else { return nil }
      if !flowStopped, let colon = flowColon(behind: node) {
        report(
          .accidentalMapping, node.span.start, colon + 1, "a second key in one entry",
          help: ["put text with `: ` in single quotes"])
        skipBlanks()
        emit(.skipped, to: colon + 1)
        return skipFlowValue(parent: parent)
      }
      return node
    }
  }

  /// Steps over a value that belongs to nothing.
  private mutating func skipFlowValue(parent: Int) -> SyntaxNode? {
    if skipFlowSpace(parent: parent), byte(position) != 0x2c, byte(position) != 0x5d, byte(position) != 0x7d {
      _ = parseFlowNode(parent: parent, allowsBreaks: false)
    }
    return nil
  }

  private mutating func parseFlowNode(parent: Int, allowsBreaks: Bool, isKey: Bool = false) -> SyntaxNode? {
    if skipProperties() {
      guard skipFlowSpace(parent: parent), byte(position) != 0x2c, byte(position) != 0x5d,
        byte(position) != 0x7d
      else { return nil }
    }
    switch byte(position) {
    case 0x5b, 0x7b: return parseFlowCollection(parent: parent)
    case 0x22, 0x27:
      let scalar = parseQuotedOrUnclosed(
        owner: .key(column: parent, name: ""), allowsBreaks: allowsBreaks)
      return SyntaxNode(.scalar(scalar), span: scalar.span, isFlow: true)
    case 0x3f where isBlankOrBreak(position + 1):
      report(
        .complexKey, position, position + 1, "`?` starts a key over several lines",
        help: ["write `key: value`"])
      skip(to: position + 1)
      return skipFlowValue(parent: parent)
    case 0x3a where isKey && isBlankOrBreak(position + 1):
      report(.unexpected, position, position + 1, "a colon without a key")
      skip(to: position + 1)
      return skipFlowValue(parent: parent)
    case 0x2d where isBlankOrBreak(position + 1):
      report(
        .unexpected, position, position + 1, "a dash in brackets",
        help: ["in brackets items are separated by commas; as text it needs quotes"],
        fixIts: [FixIt("remove it", replace: span(position, position + 1), with: "")])
      skip(to: position + 1)
      guard skipFlowSpace(parent: parent), byte(position) != 0x2c, byte(position) != 0x5d,
        byte(position) != 0x7d
      else { return nil }
      return parseFlowNode(parent: parent, allowsBreaks: allowsBreaks, isKey: isKey)
    default:
      let scalar = parseFlowPlain(isKey: isKey)
      return SyntaxNode(.scalar(scalar), span: scalar.span, isFlow: true)
    }
  }

  private mutating func parseFlowPlain(isKey: Bool) -> SyntaxScalar {
    let start = position
    var (stop, reason) = plainEnd(start, inFlow: true)
    // A colon in front of a comma or bracket ends a key without value, which nobody means.
    if reason == .colon, !isKey, !isBlankOrBreak(stop + 1) {
      while reason == .colon, !isBlankOrBreak(stop + 1) { (stop, reason) = (stop + 1, .delimiter) }
      let end = stop
      reportFlowColon(start, end)
      emit(.plain, to: end)
      return plainScalar(start, end)
    }
    if stop == start {
      // A colon alone.
      reportFlowColon(start, start + 1)
      emit(.plain, to: start + 1)
      return plainScalar(start, start + 1)
    }
    var end = trimmedEnd(start, stop)
    if reason == .comment, let cut = accidentalComment(start, cutAt: stop), cut.isClosed {
      // Without a fix-it: what the quotes should hold may end at a comma.
      reportAccidentalComment(start, stop, (cut.end, false))
      end = trimmedEnd(start, stop)
    }
    if bytes[end - 1] == 0x3a, end - start > 1 || reason != .colon {
      reportFlowColon(start, end)
      emit(.plain, to: end)
      return plainScalar(start, end)
    }
    return parsePlain(to: end, inFlow: true)
  }

  // MARK: Space, lines, recovery

  /// Steps over blanks, comments and line ends to the next byte of the collection.
  ///
  /// Returns false, with `flowStopped` set, where the collection must have ended.
  mutating func skipFlowSpace(parent: Int) -> Bool {
    if flowStopped { return false }
    var isNewLine = false
    while true {
      skipBlanks()
      if atEnd {
        reportUnclosed()
        return false
      }
      if isBreak(position) {
        emitBreak()
        isNewLine = true
        continue
      }
      if bytes[position] == 0x23, position == lineStart || isBlank(position - 1) {
        emit(.comment, to: lineEnd(from: position))
        continue
      }
      guard isNewLine else { return true }
      if column == 0, isMarker(position) {
        reportUnclosed()
        return false
      }
      return column > parent || continueShallow(parent: parent)
    }
  }

  private mutating func reportUnclosed() {
    flowStopped = true
    guard let start = openBrackets.last else { return }
    report(
      .unclosed, start, start + 1, "`\(text(start, start + 1))` is not closed",
      help: ["lines inside brackets are indented deeper than their key"])
  }

  /// Decides what a line that is not deep enough is: a part of the collection, or the next item outside.
  private mutating func continueShallow(parent: Int) -> Bool {
    let isInMapping = openBrackets.last.map { byte($0) == 0x7b } ?? false
    let first = byte(position)
    let isOutside =
      if first == 0x5d || first == 0x7d {
        false
      } else if isDash(position) {
        true
      } else if blockKey(position) != nil {
        !isInMapping || tokens.lastContent != .comma && tokens.lastContent != .openBracket
      } else {
        false
      }
    if isOutside {
      reportUnclosed()
      return false
    }
    if reportedLine != lineStart {
      reportedLine = lineStart
      report(
        .flowIndent, position, trimmedEnd(position, lineEnd(from: position)),
        "a line inside brackets that is not indented deeper than the key it belongs to",
        fixIts: [
          FixIt(
            "indent it", replace: span(lineStart, position),
            with: spaces(parent + (first == 0x5d || first == 0x7d ? 1 : 2)))
        ])
    }
    return true
  }

  /// Steps over a collection that is too deep, without recursion.
  private mutating func skipFlowCollection(parent: Int) {
    openBrackets.append(position)
    defer { openBrackets.removeLast() }
    var open = 0
    while skipFlowSpace(parent: parent) {
      switch byte(position) {
      case 0x5b, 0x7b: open += 1
      case 0x5d, 0x7d: open -= 1
      case 0x22, 0x27:
        skip(to: quotedEnd(position) ?? lineEnd(from: position))
        continue
      default: break
      }
      skip(to: position + 1)
      if open == 0 { return }
    }
  }
}
