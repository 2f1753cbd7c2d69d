/// The source lines of one file that a diagnostic points at, with what it points at underlined.
struct Snippet {
  struct Mark {
    var span: SourceSpan
    var label: String
    var isPrimary: Bool
  }

  var file: SourceFile
  /// Never empty; of this file.
  var marks: [Mark]

  // A span of more lines shows only its first and last: what is between says little and hides the labels.
  private static let wholeLines = 4
  // Longer lines are cut around the span; terminals wrap them, and a wrapped line loses its carets.
  private static let maximumWidth = 140
  private static let context = 40

  /// 1-based number of the last line shown.
  var lastLine: Int { (marks.map { lines(of: $0).upperBound }.max() ?? 0) + 1 }

  /// 0-based lines that a mark touches.
  private func lines(of mark: Mark) -> ClosedRange<Int> {
    let first = file.lineIndex(of: mark.span.start)
    // A line end belongs to the line it ends.
    return first...max(first, file.lineIndex(of: max(mark.span.start, mark.span.end - 1)))
  }

  private func shownLines(of mark: Mark) -> [Int] {
    let lines = lines(of: mark)
    return lines.count <= Self.wholeLines ? Array(lines) : [lines.lowerBound, lines.upperBound]
  }

  func rendered(_ gutter: Gutter, isFirst: Bool, severity: Severity) -> [String] {
    var result: [String] = []
    if let first = marks.first {
      result.append(gutter.place(file.path, file.position(of: first.span.start), isFirst: isFirst))
    }
    result.append(gutter.separator)
    var last: Int?
    for index in Set(marks.flatMap(shownLines)).sorted() {
      if let last, index > last + 1 { result.append(gutter.gap) }
      last = index
      result += rendered(line: index, gutter, severity: severity)
    }
    return result
  }

  private func rendered(line index: Int, _ gutter: Gutter, severity: Severity) -> [String] {
    let line = DisplayLine(file.line(index))
    let here = marks.filter { shownLines(of: $0).contains(index) }
      .map { (mark: $0, columns: columns(of: $0, line: index, in: line)) }
      .sorted { $0.columns.lowerBound < $1.columns.lowerBound }
    let window = window(on: line, around: here.first { $0.mark.isPrimary }?.columns ?? here.first?.columns)
    var text = line.text(from: window.lowerBound, to: window.upperBound)
    let isCutBefore = window.lowerBound > 0
    if isCutBefore { text = "…" + text }
    if window.upperBound < line.width { text += "…" }
    var result = [gutter.source(number: index + 1, text)]
    for (mark, columns) in here {
      let columns = columns.clamped(to: window.lowerBound..<max(window.upperBound, window.lowerBound) + 1)
      let indent = columns.lowerBound - window.lowerBound + (isCutBefore ? 1 : 0)
      let underline = String(repeating: mark.isPrimary ? "^" : "-", count: max(1, columns.count))
      let isLast = index == lines(of: mark).upperBound
      let label = isLast && !mark.label.isEmpty ? " " + DisplayLine.printable(mark.label) : ""
      let part = mark.isPrimary ? severity.part : .related
      result.append(
        gutter.mark(String(repeating: " ", count: indent) + gutter.style(part, underline + label)))
    }
    return result
  }

  /// The display columns of a mark on one of its lines; of a further line without its indentation.
  private func columns(of mark: Mark, line index: Int, in line: DisplayLine) -> Range<Int> {
    let bytes = file.line(index)
    let lineStart = file.lineStarts[index]
    let lines = lines(of: mark)
    let indentation = bytes.prefix { $0 == 0x20 }.count
    let start = index == lines.lowerBound ? mark.span.start - lineStart : indentation
    let end = index == lines.upperBound ? mark.span.end - lineStart : bytes.count
    let lower = line.column(of: start)
    return lower..<max(lower, line.column(of: end))
  }

  private func window(on line: DisplayLine, around columns: Range<Int>?) -> Range<Int> {
    guard line.width > Self.maximumWidth else { return 0..<line.width }
    let lower = max(0, (columns?.lowerBound ?? 0) - Self.context)
    return lower..<min(line.width, lower + Self.maximumWidth)
  }
}
