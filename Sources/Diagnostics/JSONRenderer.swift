package import CanonicalJSON

/// Renders diagnostics for programs; nothing is left out.
package struct JSONRenderer: Sendable {
  package var files: SourceFiles

  package init(files: SourceFiles) { self.files = files }

  /// An array in the order given.
  package func render(_ diagnostics: [Diagnostic]) -> JSONValue { .array(diagnostics.map(render)) }

  package func render(_ diagnostic: Diagnostic) -> JSONValue {
    .object([
      .init("id", .string(diagnostic.id.rawValue)),
      .init("severity", .string(diagnostic.severity.rawValue)),
      .init("message", .string(diagnostic.message)),
      .init("label", .string(diagnostic.label)),
      .init("place", diagnostic.span.map(render) ?? .null),
      .init(
        "related",
        .array(
          diagnostic.related.map { ["message": .string($0.message), "place": render($0.span)] })),
      .init("help", JSONValue(diagnostic.help)),
      .init(
        "fix-its",
        .array(
          diagnostic.fixIts.map {
            [
              "message": .string($0.message), "place": render($0.span),
              "replacement": .string($0.replacement),
            ]
          })),
    ])
  }

  /// Lines and columns are 1-based, columns count Unicode scalars; offsets are 0-based and count bytes; the
  /// end is exclusive.
  private func render(_ span: SourceSpan) -> JSONValue {
    let file = files[span.source]
    let start = file.position(of: span.start)
    let end = file.position(of: span.end)
    return [
      "file": .string(file.path), "line": JSONValue(start.line), "column": JSONValue(start.column),
      "end-line": JSONValue(end.line), "end-column": JSONValue(end.column),
      "start-offset": JSONValue(span.start), "end-offset": JSONValue(span.end),
    ]
  }
}
