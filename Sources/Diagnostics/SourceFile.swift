/// Names one source file of a compilation. Ids are dense and start at 0, in order of reading.
package struct SourceID: Hashable, Sendable, Comparable {
  package let index: UInt32

  package init(_ index: UInt32) { self.index = index }

  package static func < (a: SourceID, b: SourceID) -> Bool { a.index < b.index }
}

/// A half-open range of bytes in one source file; offsets are 0-based UTF-8 byte offsets.
package struct SourceSpan: Hashable, Sendable {
  package var source: SourceID
  package var start: Int
  package var end: Int

  package init(_ source: SourceID, _ start: Int, _ end: Int) {
    self.source = source
    self.start = start
    self.end = end
  }

  /// The smallest span that holds both; both must be of one file.
  package func union(_ other: SourceSpan) -> SourceSpan {
    precondition(source == other.source, "spans of two files have no union")
    return SourceSpan(source, min(start, other.start), max(end, other.end))
  }
}

/// A place as people and editors write it: both numbers are 1-based, the column counts Unicode scalars.
package struct SourcePosition: Hashable, Sendable {
  package var line: Int
  package var column: Int

  package init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }
}

/// The bytes of one source file, as read, and where its lines start.
package struct SourceFile: Sendable {
  package let id: SourceID
  /// As the user wrote it, relative paths relative to the working directory.
  package let path: String
  /// As outputs name it, so that they do not depend on where the compiler was started: relative to the directory of
  /// the first file.
  package let name: String
  package let bytes: [UInt8]
  /// Where the file is named that made the compiler read it first; nil for the file that is compiled.
  package let namedAt: SourceSpan?
  /// Offset of the first byte of each line; lines end in LF.
  package let lineStarts: [Int]

  /// - Parameter name: Nil: the last component of the path.
  package init(
    id: SourceID, path: String, name: String? = nil, bytes: [UInt8], namedAt: SourceSpan? = nil
  ) {
    self.id = id
    self.path = path
    self.namedAt = namedAt
    let last = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
    self.name = name ?? String(path[last...])
    self.bytes = bytes
    var starts = [0]
    for (offset, byte) in bytes.enumerated() where byte == 0x0a { starts.append(offset + 1) }
    lineStarts = starts
  }

  /// The 0-based line that holds the byte offset.
  package func lineIndex(of offset: Int) -> Int {
    var low = 0
    var high = lineStarts.count
    while low + 1 < high {
      let middle = (low + high) / 2
      if lineStarts[middle] <= offset { low = middle } else { high = middle }
    }
    return low
  }

  package func position(of offset: Int) -> SourcePosition {
    let line = lineIndex(of: offset)
    let start = lineStarts[line]
    let end = min(max(offset, start), bytes.count)
    // Continuation bytes do not start a scalar, so damaged UTF-8 still gets a column.
    let scalars = bytes[start..<end].count { $0 & 0xc0 != 0x80 }
    return SourcePosition(line: line + 1, column: scalars + 1)
  }

  /// The bytes of a 0-based line, without its line end.
  package func line(_ index: Int) -> ArraySlice<UInt8> {
    let start = lineStarts[index]
    var end = index + 1 < lineStarts.count ? lineStarts[index + 1] - 1 : bytes.count
    if end > start, bytes[end - 1] == 0x0d { end -= 1 }
    return bytes[start..<end]
  }
}

/// All source files of one compilation.
package struct SourceFiles: Sendable {
  package private(set) var files: [SourceFile] = []

  package init() {}

  /// Adds a file and returns it with its id.
  package mutating func add(
    path: String, name: String? = nil, bytes: [UInt8], namedAt: SourceSpan? = nil
  ) -> SourceFile {
    let file = SourceFile(
      id: SourceID(UInt32(files.count)), path: path, name: name, bytes: bytes, namedAt: namedAt)
    files.append(file)
    return file
  }

  package subscript(id: SourceID) -> SourceFile { files[Int(id.index)] }
}
