/// Collections in brackets: their line breaks stay where they are, commas go to the end of their item.
extension DocumentFormatter {
  /// A bracket that is open.
  private struct Bracket {
    var isBrace: Bool
    /// The indentation of the line it stands on.
    var indent: Int
  }

  /// Prints a collection from its bracket to the closing one.
  ///
  /// Items are indented by two more than the line their bracket stands on, the closing bracket like that line.
  ///
  /// - Parameters:
  ///   - base: The indentation of the line the first bracket stands on, or its own column behind a dash.
  ///   - parent: The column of the key or dash; YAML wants every line deeper than that, the last bracket too.
  mutating func printFlow(base: Int, parent: Int) {
    var brackets: [Bracket] = []
    var line = base
    while true {
      switch kind {
      case .openBracket:
        brackets.append(Bracket(isBrace: bytes[range.lowerBound] == 0x7b, indent: line))
        printToken()
        printOpening(brackets, parent: parent, &line)
        continue
      case .closeBracket:
        brackets.removeLast()
        printToken()
        if brackets.isEmpty { return }
      default: printScalar()
      }
      printSeparator(brackets, parent: parent, &line)
    }
  }

  private mutating func printToken() {
    lines.append(bytes[range])
    next += 1
  }

  private static func inside(_ brackets: [Bracket]) -> Int { (brackets.last?.indent ?? 0) + 2 }

  private static func closing(_ brackets: [Bracket], parent: Int) -> Int {
    let indent = brackets.last?.indent ?? 0
    return indent > parent ? indent : parent + 2
  }

  /// What stands behind an open bracket.
  private mutating func printOpening(_ brackets: [Bracket], parent: Int, _ line: inout Int) {
    let between = trivia()
    let inside = Self.inside(brackets)
    if kind != .closeBracket {
      place(
        between, comments: inside, next: inside, otherwise: brackets.last?.isBrace == true ? " " : "", &line)
    } else if between.hasComments {
      let closing = Self.closing(brackets, parent: parent)
      place(between, comments: inside, next: closing, otherwise: "", &line)
    }
  }

  /// What stands between a key, an item or a bracket and what follows.
  private mutating func printSeparator(_ brackets: [Bracket], parent: Int, _ line: inout Int) {
    let inside = Self.inside(brackets)
    var between = trivia()
    if kind == .colon {
      printToken()
      between = trivia()
      if !between.hasComments { between = Trivia() }
      place(between, comments: inside + 2, next: inside + 2, otherwise: " ", &line)
      return
    }
    let hasComma = kind == .comma
    if hasComma {
      next += 1
      between.append(trivia())
    }
    guard kind == .closeBracket else {
      lines.append(",")
      place(between, comments: inside, next: inside, otherwise: " ", &line)
      return
    }
    // A comma behind the last item serves those who add a line.
    if hasComma, between.hasBreak { lines.append(",") }
    while case .blank? = between.lines.last { between.lines.removeLast() }
    let closing = Self.closing(brackets, parent: parent)
    place(
      between, comments: inside, next: closing, otherwise: brackets.last?.isBrace == true ? " " : "", &line)
  }

  /// Prints comments and blank lines and starts the line of what follows; on one line, the text `otherwise`.
  private mutating func place(
    _ between: Trivia, comments: Int, next: Int, otherwise: String, _ line: inout Int
  ) {
    guard between.hasBreak else { return lines.append(otherwise) }
    if let comment = between.comment { lines.attach(comment) }
    for line in between.lines {
      switch line {
      case .blank: lines.blank()
      case .comment(let comment): lines.comment(comment, indent: comments)
      }
    }
    lines.start(indent: next)
    line = next
  }
}

extension DocumentFormatter.Trivia {
  /// Takes in what stands behind the comma that ended this.
  fileprivate mutating func append(_ other: Self) {
    if let behind = other.comment {
      if hasBreak { lines.append(.comment(behind)) } else { comment = behind }
    }
    lines += other.lines
    hasBreak = hasBreak || other.hasBreak
  }
}
