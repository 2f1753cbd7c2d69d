import Diagnostics
import Foundation
import PolicySyntax
import Testing

struct DocumentFile: CustomTestStringConvertible, Sendable {
  var path: String
  var bytes: [UInt8]

  var testDescription: String { URL(filePath: path).lastPathComponent }
}

/// The files documents are tested with.
enum DocumentCorpus {
  static let repository = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// Third-party data and examples beside the repository; absent in a bare clone.
  static let shared = repository.deletingLastPathComponent().appending(path: "shared")

  static func data(_ name: String) -> URL { shared.appending(path: "data").appending(path: name) }

  static let hasData = FileManager.default.fileExists(atPath: data("yaml-test-suite").path())

  /// Every policy of the repository, damaged test cases too, and the examples beside it, sorted by path.
  static func all() throws -> [DocumentFile] {
    try [
      repository.appending(path: "policies"), repository.appending(path: "Tests"),
      shared.appending(path: "examples"),
    ]
    .flatMap { try files(below: $0) { $0.pathExtension == "cos" } }
  }

  /// The ones that are not there to be refused.
  static func policies() throws -> [DocumentFile] {
    try all().filter { !hasFindings(URL(filePath: $0.path)) }
  }

  /// A case whose golden is what the compiler says may be damaged on purpose.
  private static func hasFindings(_ file: URL) -> Bool {
    FileManager.default.fileExists(
      atPath: file.deletingLastPathComponent().appending(path: "findings.txt").path())
  }

  static func files(below folder: URL, where matches: (URL) -> Bool) throws -> [DocumentFile] {
    guard let walk = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil) else {
      return []
    }
    let urls = walk.compactMap { $0 as? URL }.filter(matches)
    return try urls.sorted { $0.path() < $1.path() }.map {
      DocumentFile(path: $0.path(), bytes: Array(try Data(contentsOf: $0)))
    }
  }
}

func parseDocument(_ bytes: [UInt8], path: String = "test.cos") -> (tree: SyntaxTree, problems: [Diagnostic])
{
  var list = DiagnosticList()
  let tree = SyntaxTree.parse(
    SourceFile(id: SourceID(0), path: path, bytes: bytes), diagnostics: &list)
  return (tree, list.all)
}

func parseDocument(_ text: String) -> (tree: SyntaxTree, problems: [Diagnostic]) {
  parseDocument(Array(text.utf8))
}

/// The tokens tile the input, and printing them gives it back.
func expectLossless(_ tree: SyntaxTree, _ bytes: [UInt8], _ name: @autoclosure () -> String) {
  let starts = tree.tokens.starts
  let isTiling =
    starts.count == tree.tokens.kinds.count && starts.isEmpty == bytes.isEmpty
    && (starts.first ?? 0) == 0 && zip(starts, starts.dropFirst()).allSatisfy { $0 < $1 }
    && (starts.last.map { Int($0) < bytes.count } ?? true)
  if !isTiling || tree.printed() != bytes {
    Issue.record("not lossless: \(name()): \(String(decoding: bytes.prefix(500), as: UTF8.self))")
  }
}
