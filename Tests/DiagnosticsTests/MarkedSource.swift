import Diagnostics

/// A source whose places are marked in its text: `«` and `»` enclose each span, in the order of their starts.
struct MarkedSource {
  var files = SourceFiles()
  var spans: [SourceSpan] = []

  init(path: String, _ marked: String) { add(path: path, marked) }

  mutating func add(path: String, _ marked: String) {
    let id = SourceID(UInt32(files.files.count))
    var bytes: [UInt8] = []
    var open: [Int] = []
    for scalar in marked.unicodeScalars {
      switch scalar {
      case "«":
        open.append(spans.count)
        spans.append(SourceSpan(id, bytes.count, bytes.count))
      case "»": spans[open.removeLast()].end = bytes.count
      default: bytes += Array(String(scalar).utf8)
      }
    }
    precondition(open.isEmpty, "each « has its »")
    _ = files.add(path: path, bytes: bytes)
  }

  func render(_ diagnostics: Diagnostic..., isColored: Bool = false) -> String {
    PlainRenderer(files: files, isColored: isColored).render(diagnostics)
  }
}
