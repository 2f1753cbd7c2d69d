import Diagnostics

/// Bounds of a document. They keep every cost linear and every reader's own limits out of reach.
package enum DocumentLimits {
  package static let bytes = 16 << 20
  /// Collections inside each other, the top mapping counted; libfyaml's own limit.
  static let depth = 64
  /// From the first byte of a key to its colon: what YAML 1.1 and 1.2 allow an implicit key.
  static let key = 1024
  /// Of a line, without its line end.
  static let line = 64 << 10
  /// Diagnostics of one file; more help nobody, and each one costs memory.
  static let problems = 200
}

/// The errors of one document, in whatever order they are found.
struct DocumentProblems {
  private var all: [Diagnostic] = []
  private var dropped = 0

  mutating func report(_ problem: Diagnostic) {
    if all.count < DocumentLimits.problems { all.append(problem) } else { dropped += 1 }
  }

  /// In the order of the file.
  func sorted() -> [Diagnostic] {
    var sorted = all.enumerated().sorted { a, b in
      let (first, second) = (a.element.span?.start ?? 0, b.element.span?.start ?? 0)
      return first == second ? a.offset < b.offset : first < second
    }.map(\.element)
    if dropped > 0, let last = sorted.last {
      sorted.append(
        Diagnostic(
          .limit, at: last.span, "more than \(DocumentLimits.problems) errors, \(dropped) are not shown",
          help: ["is this a policy?"]))
    }
    return sorted
  }
}
