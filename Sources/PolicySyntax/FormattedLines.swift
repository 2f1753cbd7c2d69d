/// A comment of a document that is being printed anew.
struct FormattedComment {
  /// Where it stood, in Unicode scalars from the start of its line.
  var column: Int
  /// With its `#`, without blanks at its end.
  var text: ArraySlice<UInt8>
}

/// The lines of a printed document, each with the comment behind its content apart.
struct FormattedLines {
  private struct Line {
    var text: [UInt8]
    var comment: FormattedComment?
  }

  private var lines: [Line] = []

  /// Starts a line; what is appended afterwards stands on it.
  mutating func start(indent: Int) {
    lines.append(Line(text: [UInt8](repeating: 0x20, count: indent), comment: nil))
  }

  mutating func append(_ bytes: some Sequence<UInt8>) { lines[lines.count - 1].text += bytes }

  mutating func append(_ text: String) { append(text.utf8) }

  /// Whether the last line is a dash yet without its item.
  var endsWithDash: Bool { lines.last.map { $0.text.suffix(2) == [0x2d, 0x20] } ?? false }

  /// An empty line, but none at the start of the file and no second one.
  mutating func blank() {
    if lines.last.map({ !$0.text.isEmpty || $0.comment != nil }) ?? false { start(indent: 0) }
  }

  mutating func attach(_ comment: FormattedComment) { lines[lines.count - 1].comment = comment }

  /// A comment on a line of its own.
  mutating func comment(_ comment: FormattedComment, indent: Int) {
    start(indent: indent)
    append(comment.text)
  }

  /// All of it, each line ended by a line feed, without empty lines at the end.
  ///
  /// A comment keeps its column. Where content has grown into it, it moves, and with it the ones that stood in the same
  /// column on the lines directly above and below.
  func printed() -> [UInt8] {
    var output: [UInt8] = []
    var index = 0
    let count = lines.lastIndex { !$0.text.isEmpty }.map { $0 + 1 } ?? 0
    while index < count {
      var end = index + 1
      var column = 0
      if let comment = lines[index].comment {
        while end < count, lines[end].comment?.column == comment.column { end += 1 }
        column = lines[index..<end].reduce(comment.column) { max($0, Self.width($1.text) + 1) }
      }
      for line in lines[index..<end] {
        output += line.text
        if let comment = line.comment {
          output += repeatElement(0x20, count: column - Self.width(line.text))
          output += comment.text
        }
        output.append(0x0a)
      }
      index = end
    }
    return output
  }

  /// In Unicode scalars.
  private static func width(_ text: [UInt8]) -> Int { text.count { $0 & 0xc0 != 0x80 } }
}
