/// How parts of a rendered diagnostic look on a terminal; ECMA-48 SGR numbers.
package struct Style: Sendable {
  package enum Part: String, Sendable {
    case error = "1;31"
    case warning = "1;33"
    case note = "1;36"
    case strong = "1"
    case gutter = "1;34"
    case related = "34"
    case fix = "32"
  }

  package var isColored: Bool

  package init(isColored: Bool) { self.isColored = isColored }

  package func callAsFunction(_ part: Part, _ text: String) -> String {
    isColored && !text.isEmpty ? "\u{1b}[\(part.rawValue)m\(text)\u{1b}[0m" : text
  }
}

extension Severity {
  /// The colour of its word and carets.
  var part: Style.Part {
    switch self {
    case .error: .error
    case .warning: .warning
    case .note: .note
    }
  }
}
