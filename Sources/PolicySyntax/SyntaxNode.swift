package import Diagnostics

/// A node of the representation graph under the failsafe schema: mapping, sequence or scalar.
package struct SyntaxNode: Sendable {
  package enum Content: Sendable {
    case scalar(SyntaxScalar)
    case sequence([SyntaxNode])
    case mapping([SyntaxEntry])
  }

  package var content: Content
  /// From the first byte of the node to behind its last one, without trailing blanks and comments.
  package var span: SourceSpan
  /// Whether the node was written inside `[ ]` or `{ }`, or is such a collection itself.
  package var isFlow: Bool

  package init(_ content: Content, span: SourceSpan, isFlow: Bool) {
    self.content = content
    self.span = span
    self.isFlow = isFlow
  }

  package var scalar: SyntaxScalar? {
    if case .scalar(let scalar) = content { scalar } else { nil }
  }

  package var sequence: [SyntaxNode]? {
    if case .sequence(let items) = content { items } else { nil }
  }

  package var mapping: [SyntaxEntry]? {
    if case .mapping(let entries) = content { entries } else { nil }
  }

  /// What the node is, in the words of a message.
  package var kindName: String {
    switch content {
    case .scalar: "text"
    case .sequence: "list"
    case .mapping: "mapping"
    }
  }
}

/// One `key: value` of a mapping, in the order written.
package struct SyntaxEntry: Sendable {
  package var key: SyntaxScalar
  package var value: SyntaxNode

  package init(key: SyntaxScalar, value: SyntaxNode) {
    self.key = key
    self.value = value
  }
}

/// How a scalar was written. Style never changes meaning.
package enum ScalarStyle: Sendable {
  case plain
  case singleQuoted
  case doubleQuoted
  case literal
  case folded
}

/// A scalar and where each part of its text came from.
package struct SyntaxScalar: Sendable {
  /// Decoded text: escapes resolved, block scalars folded and chomped. Its UTF-8 view is what is parsed.
  package var text: String
  package var style: ScalarStyle
  /// With its quotes; for block scalars from the header to the last content line.
  package var span: SourceSpan
  /// Runs of decoded bytes that stand unchanged in the source, ascending in both.
  package var runs: [Run]

  /// `decodedStart…` of the text stand at `sourceStart…` of the file, up to the next run.
  package struct Run: Sendable {
    package var decodedStart: Int
    package var sourceStart: Int

    package init(decodedStart: Int, sourceStart: Int) {
      self.decodedStart = decodedStart
      self.sourceStart = sourceStart
    }
  }

  package init(text: String, style: ScalarStyle, span: SourceSpan, runs: [Run]) {
    self.text = text
    self.style = style
    self.span = span
    self.runs = runs
  }

  /// The source bytes of a range of the decoded text; offsets are 0-based UTF-8 offsets.
  package func span(_ start: Int, _ end: Int) -> SourceSpan {
    SourceSpan(span.source, sourceOffset(of: start), max(sourceOffset(of: start), sourceOffset(of: end)))
  }

  private func sourceOffset(of decoded: Int) -> Int {
    if runs.count == 1, decoded >= runs[0].decodedStart {
      return min(runs[0].sourceStart + decoded - runs[0].decodedStart, span.end)
    }
    // The last run that starts at or before the offset.
    var low = 0
    var high = runs.count
    while low < high {
      let middle = (low + high) / 2
      if runs[middle].decodedStart <= decoded { low = middle + 1 } else { high = middle }
    }
    guard low > 0 else { return span.start }
    return min(runs[low - 1].sourceStart + decoded - runs[low - 1].decodedStart, span.end)
  }
}

/// A value and where it was written.
package struct Spanned<Value: Sendable>: Sendable {
  package var value: Value
  package var span: SourceSpan

  package init(_ value: Value, _ span: SourceSpan) {
    self.value = value
    self.span = span
  }
}

extension Spanned: Equatable where Value: Equatable {
  /// Places do not count: two texts that say the same are equal.
  package static func == (a: Spanned, b: Spanned) -> Bool { a.value == b.value }
}
