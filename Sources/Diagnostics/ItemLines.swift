/// The lines of a source file that one entry of a block list or a block mapping takes, so that it can be taken out or
/// put elsewhere.
package struct ItemLines: Equatable {
  /// From the first byte of its first line to behind the end of its last one.
  package let span: SourceSpan
  /// Spaces before it.
  package let indentation: Int
  private let isListed: Bool

  private static let space = UInt8(ascii: " ")
  private static let dash = UInt8(ascii: "-")

  /// Nil: something else stands on its first line, as in `rules: [accept tcp 22]`.
  ///
  /// - Parameter content: what the entry says, behind its dash, or its key.
  package init?(of content: SourceSpan, in file: SourceFile) {
    guard content.source == file.id, content.end <= file.bytes.count else { return nil }
    let first = file.lineIndex(of: content.start)
    let before = file.bytes[file.lineStarts[first]..<content.start]
    indentation = before.prefix { $0 == Self.space }.count
    let rest = before.dropFirst(indentation)
    isListed = rest.first == Self.dash
    guard rest.isEmpty || isListed && rest.count > 1 && rest.dropFirst().allSatisfy({ $0 == Self.space })
    else {
      return nil
    }
    var last = file.lineIndex(of: max(content.start, content.end - 1))
    for index in last + 1..<max(last + 1, file.lineStarts.count) {
      let line = file.line(index)
      let depth = line.prefix { $0 == Self.space }.count
      if depth == line.count { continue }
      // The list of a key may stand as deep as the key.
      let isOwnList = !isListed && depth == indentation && Self.isListed(line.dropFirst(depth))
      guard depth > indentation || isOwnList else { break }
      if line.dropFirst(depth).first != UInt8(ascii: "#") { last = index }
    }
    let end = last + 1 < file.lineStarts.count ? file.lineStarts[last + 1] : file.bytes.count
    span = SourceSpan(content.source, file.lineStarts[first], end)
  }

  private static func isListed(_ line: ArraySlice<UInt8>) -> Bool {
    line.first == dash && line.dropFirst().first.map { $0 == space } ?? true
  }

  /// Whether another entry stands before it or behind it: a list without any is no list.
  package func hasNeighbour(in file: SourceFile) -> Bool {
    func isNeighbour(_ lines: some Sequence<Int>) -> Bool {
      for index in lines {
        let line = file.line(index)
        let depth = line.prefix { $0 == Self.space }.count
        if depth == line.count || line.dropFirst(depth).first == UInt8(ascii: "#") || depth > indentation {
          continue
        }
        return depth == indentation && Self.isListed(line.dropFirst(depth)) == isListed
      }
      return false
    }
    let (first, end) = (file.lineIndex(of: span.start), file.lineIndex(of: span.end))
    return isNeighbour((0..<first).reversed())
      || span.end < file.bytes.count && isNeighbour(end..<file.lineStarts.count)
  }

  /// Takes the entry out. Nil: its list would be empty, or it has no lines of its own.
  package static func removal(of content: SourceSpan, in file: SourceFile) -> FixIt? {
    guard let lines = ItemLines(of: content, in: file), lines.hasNeighbour(in: file) else { return nil }
    return FixIt("delete it", replace: lines.span, with: "")
  }

  /// Puts the entry before another one of its list. Nil: they do not stand one behind the other in one list.
  package static func move(
    of content: SourceSpan, before other: SourceSpan, named name: String, in file: SourceFile
  ) -> FixIt? {
    guard let own = ItemLines(of: content, in: file), let first = ItemLines(of: other, in: file),
      own.isListed, first.isListed, own.indentation == first.indentation, first.span.end <= own.span.start,
      file.bytes[own.span.end - 1] == 0x0a
    else { return nil }
    let moved = file.bytes[own.span.start..<own.span.end] + file.bytes[first.span.start..<own.span.start]
    return FixIt(
      "put it before `\(name)`", replace: first.span.union(own.span),
      with: String(decoding: moved, as: UTF8.self))
  }
}
