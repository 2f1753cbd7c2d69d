/// One step of a walk through a document, as YAML readers report it: kind and text, no style, no tag.
package enum SyntaxEvent: Hashable, Sendable {
  case mappingStart
  case mappingEnd
  case sequenceStart
  case sequenceEnd
  case scalar(String)

  /// One line in the manner of the official YAML test suite, line breaks and backslashes escaped.
  package var line: String {
    switch self {
    case .mappingStart: return "+MAP"
    case .mappingEnd: return "-MAP"
    case .sequenceStart: return "+SEQ"
    case .sequenceEnd: return "-SEQ"
    case .scalar(let text):
      var line = "=VAL "
      for scalar in text.unicodeScalars {
        switch scalar {
        case "\\": line += "\\\\"
        case "\n": line += "\\n"
        case "\r": line += "\\r"
        case "\t": line += "\\t"
        default: line.unicodeScalars.append(scalar)
        }
      }
      return line
    }
  }
}

extension SyntaxTree {
  /// The document as events; empty if there is no root.
  package func events() -> [SyntaxEvent] {
    var events: [SyntaxEvent] = []
    if let root { Self.append(root, to: &events) }
    return events
  }

  // The depth is at most `DocumentLimits.depth`.
  private static func append(_ node: SyntaxNode, to events: inout [SyntaxEvent]) {
    switch node.content {
    case .scalar(let scalar): events.append(.scalar(scalar.text))
    case .sequence(let items):
      events.append(.sequenceStart)
      for item in items { append(item, to: &events) }
      events.append(.sequenceEnd)
    case .mapping(let entries):
      events.append(.mappingStart)
      for entry in entries {
        events.append(.scalar(entry.key.text))
        append(entry.value, to: &events)
      }
      events.append(.mappingEnd)
    }
  }
}
