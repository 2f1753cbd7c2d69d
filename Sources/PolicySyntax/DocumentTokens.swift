/// What a stretch of source bytes is. Together the tokens are the file: nothing is left out.
package enum DocumentTokenKind: UInt8, Sendable {
  case blank
  case lineBreak
  case comment
  case documentStart
  case dash
  case colon
  case comma
  case openBracket
  case closeBracket
  case plain
  case singleQuoted
  case doubleQuoted
  case blockHeader
  /// The lines of a block scalar, their indentation and inner line breaks included.
  case blockText
  /// Bytes that are in no node because of an error.
  case skipped

  /// Whether the token can be the end of a node's span.
  var isContent: Bool {
    switch self {
    case .blank, .lineBreak, .comment: false
    default: true
    }
  }
}

/// The tokens of one file as two parallel arrays: kinds, and 0-based byte offsets of their starts.
package struct DocumentTokens: Sendable {
  package private(set) var kinds: [DocumentTokenKind] = []
  // INVARIANT: starts with 0 (unless there are no tokens) and strictly ascends: a token ends where the
  // next one starts, the last one at the end of the file, so the tokens tile the bytes.
  package private(set) var starts: [UInt32] = []

  package init() {}

  mutating func reserve(_ count: Int) {
    kinds.reserveCapacity(count)
    starts.reserveCapacity(count)
  }

  /// The kind of the last token that is no blank, line break or comment.
  var lastContent: DocumentTokenKind? { kinds.last { $0.isContent } }

  mutating func append(_ kind: DocumentTokenKind, start: Int) {
    kinds.append(kind)
    starts.append(UInt32(truncatingIfNeeded: start))
  }
}
