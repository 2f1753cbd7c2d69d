import Diagnostics
import PolicySyntax

/// The document layer: every input gives a tree that prints as it was read; what is accepted has one layout, with the
/// same events.
package func checkDocument(_ bytes: [UInt8]) throws(BrokenPromise) {
  var files = SourceFiles()
  let file = files.add(path: "fuzz.cos", bytes: bytes)
  var problems = DiagnosticList()
  let tree = SyntaxTree.parse(file, diagnostics: &problems)
  try promise(tree.printed() == bytes, "not lossless")
  try promise(tree.root != nil || problems.hasErrors, "no root and no error")
  for problem in problems.all {
    let spans = [problem.span].compactMap(\.self) + problem.related.map(\.span) + problem.fixIts.map(\.span)
    try promise(
      spans.allSatisfy { $0.start >= 0 && $0.start <= $0.end && $0.end <= bytes.count }, "a wild span")
  }
  _ = PlainRenderer(files: files).render(problems.all)
  guard problems.isEmpty, let output = tree.formatted(texts: [:]) else { return }
  var faults = DiagnosticList()
  let again = SyntaxTree.parse(
    SourceFile(id: SourceID(0), path: "again.cos", bytes: output), diagnostics: &faults)
  // Two more spaces can make a line too long.
  if faults.all.allSatisfy({ $0.id == .limit }), !faults.isEmpty { return }
  try promise(faults.isEmpty, "the layout is refused")
  try promise(again.events() == tree.events(), "the layout says something else")
  try promise(again.formatted(texts: [:]) == output, "the layout is not the last one")
}
