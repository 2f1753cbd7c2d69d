import CanonicalJSON
import Compiler
import Foundation
import Testing

@Suite struct CompiledSchemaTests {
  /// `LOCKDOWN_RECORD=1` writes the file, and the run is red. A validator holds compiled policies to it
  /// (`Tests/kernel/test_stock_tools.py`).
  @Test func theCommittedSchemaIsTheCode() throws {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appending(path: "../../schema/compiled.schema.json")
    let text = String(decoding: CompiledSchema.schema.pretty(), as: UTF8.self)
    if CaseFolder.isRecording {
      try text.write(to: file, atomically: true, encoding: .utf8)
      Issue.record("schema recorded")
      return
    }
    #expect(try String(contentsOf: file, encoding: .utf8) == text)
  }
}
