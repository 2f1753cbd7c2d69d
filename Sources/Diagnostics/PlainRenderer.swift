/// Renders diagnostics for people: place, source line, carets, help (`DESIGN.md` §8).
package struct PlainRenderer: Sendable {
  package var files: SourceFiles
  package var style: Style

  /// - Parameter isColored: with terminal colours.
  package init(files: SourceFiles, isColored: Bool = false) {
    self.files = files
    style = Style(isColored: isColored)
  }

  /// All diagnostics, an empty line between two. Empty for none.
  package func render(_ diagnostics: [Diagnostic]) -> String {
    diagnostics.map(render).joined(separator: "\n")
  }

  /// One diagnostic; ends in a line feed.
  package func render(_ diagnostic: Diagnostic) -> String {
    let head = style(diagnostic.severity.part, "\(diagnostic.severity.rawValue)[\(diagnostic.id.rawValue)]")
    var lines = [head + style(.strong, ": " + DisplayLine.printable(diagnostic.message))]
    let snippets = snippets(of: diagnostic)
    let fixes = diagnostic.fixIts.map { FixedLine($0, in: files[$0.span.source]) }
    let lastLine = (snippets.map(\.lastLine) + fixes.compactMap { $0.line?.number }).max() ?? 0
    // A diagnostic without a place has no numbers, and its help stands as if they had one digit.
    let gutter = Gutter(width: max(1, String(lastLine).utf8.count), style: style)
    for (index, snippet) in snippets.enumerated() {
      lines += snippet.rendered(gutter, isFirst: index == 0, severity: diagnostic.severity)
    }
    for help in diagnostic.help { lines.append(gutter.note("help", help)) }
    for fix in fixes { lines += fix.rendered(gutter) }
    return lines.joined(separator: "\n") + "\n"
  }

  /// The places of a diagnostic by file: that of its span first.
  private func snippets(of diagnostic: Diagnostic) -> [Snippet] {
    var marks: [Snippet.Mark] = []
    if let span = diagnostic.span {
      marks.append(Snippet.Mark(span: span, label: diagnostic.label, isPrimary: true))
    }
    marks += diagnostic.related.map { Snippet.Mark(span: $0.span, label: $0.message, isPrimary: false) }
    var snippets: [Snippet] = []
    for mark in marks {
      if let index = snippets.firstIndex(where: { $0.file.id == mark.span.source }) {
        snippets[index].marks.append(mark)
      } else {
        snippets.append(Snippet(file: files[mark.span.source], marks: [mark]))
      }
    }
    return snippets
  }
}

/// The column of line numbers, and the lines that hang on it.
struct Gutter {
  let width: Int
  let style: Style

  private var blank: String { String(repeating: " ", count: width) }

  /// `  --> FILE:LINE:COLUMN`; `:::` for a further file.
  func place(_ path: String, _ position: SourcePosition, isFirst: Bool) -> String {
    blank + style(.gutter, isFirst ? "-->" : ":::")
      + " \(DisplayLine.printable(path)):\(position.line):\(position.column)"
  }

  var separator: String { blank + style(.gutter, " |") }

  /// Lines were left out.
  var gap: String { style(.gutter, "...") }

  func source(number: Int, _ text: String) -> String {
    let digits = String(number)
    let line = style(.gutter, String(repeating: " ", count: width - digits.utf8.count) + digits + " |")
    return text.isEmpty ? line : line + " " + text
  }

  func mark(_ text: String) -> String { separator + " " + text }

  func note(_ kind: String, _ text: String) -> String {
    // Further lines of a note stand below its first word.
    let indent = "\n" + blank + String(repeating: " ", count: kind.utf8.count + 5)
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map {
      DisplayLine.printable(String($0))
    }
    return blank + style(.gutter, " = ") + style(.strong, kind + ":") + " " + lines.joined(separator: indent)
  }
}
