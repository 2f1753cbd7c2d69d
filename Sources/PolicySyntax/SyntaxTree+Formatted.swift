extension SyntaxTree {
  /// The document in the layout of `lockdown fmt`; nil if it has no root.
  ///
  /// - Parameter texts: New texts of scalars, by the offset each starts at.
  package func formatted(texts: [Int: String]) -> [UInt8]? {
    guard let root else { return nil }
    var formatter = DocumentFormatter(self, texts: texts)
    return formatter.format(root)
  }
}
