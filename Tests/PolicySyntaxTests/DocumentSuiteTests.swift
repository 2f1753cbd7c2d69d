import Diagnostics
import Foundation
import PolicySyntax
import Testing

/// The official suites: each case gives the documented result or a refusal with an id.
@Suite("documents: official suites", .enabled(if: DocumentCorpus.hasData, "no ../shared/data"))
struct DocumentSuiteTests {
  @Test("yaml-test-suite: the same events, or refused")
  func yaml() throws {
    let cases = try DocumentCorpus.files(below: DocumentCorpus.data("yaml-test-suite")) {
      $0.lastPathComponent == "in.yaml" && !$0.pathComponents.contains("tags")
        && !$0.pathComponents.contains("name")
    }
    #expect(cases.count > 350)
    var accepted = 0
    for document in cases {
      let (path, bytes) = (document.path, document.bytes)
      let folder = URL(filePath: path).deletingLastPathComponent()
      let (tree, problems) = parseDocument(bytes, path: path)
      expectLossless(tree, bytes, path)
      guard problems.isEmpty else { continue }
      accepted += 1
      #expect(
        !FileManager.default.fileExists(atPath: folder.appending(path: "error").path()),
        "\(path): no YAML, yet accepted")
      let expected = try String(contentsOf: folder.appending(path: "test.event"), encoding: .utf8)
      #expect(tree.events().map(\.line) == normalized(expected), "\(path)")
    }
    print("yaml-test-suite: \(cases.count) cases, \(accepted) accepted, \(cases.count - accepted) refused")
    #expect(accepted >= 34)
  }

  /// Events without styles, document and stream marks.
  private func normalized(_ events: String) -> [String] {
    events.split(separator: "\n").compactMap { line in
      if line.hasPrefix("+MAP") { return "+MAP" }
      if line.hasPrefix("+SEQ") { return "+SEQ" }
      if line.hasPrefix("=VAL ") { return "=VAL " + line.dropFirst(6) }
      return line.hasPrefix("-MAP") || line.hasPrefix("-SEQ") ? String(line.prefix(4)) : nil
    }
  }

  @Test("JSONTestSuite: objects have the same value, or are refused; what is no JSON may be YAML")
  func json() throws {
    let cases = try DocumentCorpus.files(below: DocumentCorpus.data("json-test-suite")) {
      $0.pathExtension == "json"
    }
    var accepted = 0
    var refused: [String] = []
    for document in cases {
      let (path, bytes) = (document.path, document.bytes)
      let name = URL(filePath: path).lastPathComponent
      let (tree, problems) = parseDocument(bytes, path: path)
      expectLossless(tree, bytes, path)
      guard name.hasPrefix("y_"),
        let value = try? JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any]
      else { continue }
      if let problem = problems.first {
        refused.append("\(name): \(problem.id.rawValue)")
      } else {
        accepted += 1
        let root = try #require(tree.root)
        #expect(isEqual(root, value), "\(path)")
      }
    }
    print(
      "JSONTestSuite: \(accepted) objects accepted, \(refused.count) refused: \(refused.joined(separator: ", "))"
    )
    #expect(accepted >= 8)
    #expect(refused.allSatisfy { !$0.hasSuffix("unexpected") })
  }

  private func isEqual(_ node: SyntaxNode, _ value: Any) -> Bool {
    switch node.content {
    case .mapping(let entries):
      guard let object = value as? [String: Any], object.count == entries.count else { return false }
      return entries.allSatisfy { entry in object[entry.key.text].map { isEqual(entry.value, $0) } ?? false }
    case .sequence(let items):
      guard let array = value as? [Any], array.count == items.count else { return false }
      return zip(items, array).allSatisfy { isEqual($0, $1) }
    case .scalar(let scalar):
      if scalar.style == .doubleQuoted { return value as? String == scalar.text }
      switch scalar.text {
      case "true", "false": return value as? Bool == (scalar.text == "true")
      case "null": return value is NSNull
      default: return (value as? NSNumber)?.doubleValue == Double(scalar.text)
      }
    }
  }
}
