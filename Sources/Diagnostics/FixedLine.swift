/// A fix-it, and the line it makes where it is one line.
struct FixedLine {
  struct Line {
    /// 1-based.
    var number: Int
    var text: String
    /// Display columns of what is new; empty if something was only removed.
    var new: Range<Int>
  }

  var message: String
  var line: Line?

  // A line longer than this is not shown again: the message says enough.
  private static let maximumWidth = 140

  init(_ fixIt: FixIt, in file: SourceFile) {
    message = fixIt.message
    let index = file.lineIndex(of: fixIt.span.start)
    guard index == file.lineIndex(of: fixIt.span.end), !fixIt.replacement.utf8.contains(0x0a) else { return }
    let start = file.lineStarts[index]
    let bytes = file.line(index)
    guard fixIt.span.end - start <= bytes.count else { return }
    let replacement = Array(fixIt.replacement.utf8)
    let before = file.bytes[start..<fixIt.span.start]
    let shown = DisplayLine(before + replacement + file.bytes[fixIt.span.end..<start + bytes.count])
    guard shown.width <= Self.maximumWidth else { return }
    line = Line(
      number: index + 1, text: shown.text(),
      new: shown.column(of: before.count)..<shown.column(of: before.count + replacement.count))
  }

  func rendered(_ gutter: Gutter) -> [String] {
    var result = [gutter.note("fix", message)]
    guard let line else { return result }
    result.append(gutter.separator)
    result.append(gutter.source(number: line.number, line.text))
    if !line.new.isEmpty {
      let underline = String(repeating: "+", count: line.new.count)
      result.append(
        gutter.mark(String(repeating: " ", count: line.new.lowerBound) + gutter.style(.fix, underline)))
    }
    return result
  }
}
