import Diagnostics
import PolicySyntax

/// The document layer: every input gives a tree that prints as it was read; what is accepted has one layout, with the
/// same events.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzDocument(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  var files = SourceFiles()
  let file = files.add(path: "fuzz.cos", bytes: bytes)
  var problems = DiagnosticList()
  let tree = SyntaxTree.parse(file, diagnostics: &problems)
  precondition(tree.printed() == bytes, "not lossless")
  precondition(tree.root != nil || problems.hasErrors, "no root and no error")
  for problem in problems.all {
    let spans = [problem.span].compactMap(\.self) + problem.related.map(\.span) + problem.fixIts.map(\.span)
    precondition(spans.allSatisfy { $0.start >= 0 && $0.start <= $0.end && $0.end <= count }, "a wild span")
  }
  _ = PlainRenderer(files: files).render(problems.all)
  guard problems.isEmpty, let output = tree.formatted(texts: [:]) else { return 0 }
  var faults = DiagnosticList()
  let again = SyntaxTree.parse(
    SourceFile(id: SourceID(0), path: "again.cos", bytes: output), diagnostics: &faults)
  // Two more spaces can make a line too long.
  if faults.all.allSatisfy({ $0.id == .limit }), !faults.isEmpty { return 0 }
  precondition(faults.isEmpty, "the layout is refused")
  precondition(again.events() == tree.events(), "the layout says something else")
  precondition(again.formatted(texts: [:]) == output, "the layout is not the last one")
  return 0
}
