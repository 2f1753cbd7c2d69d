import Diagnostics
import Foundation
import PolicyChecker
import PolicyModel
import PolicySamples

/// The files the tests read, found from this file's own place.
enum Corpus {
  /// `RECORD_GOLDENS=1`: goldens are written, and the run is red.
  static let isRecording = ProcessInfo.processInfo.environment["RECORD_GOLDENS"] == "1"

  static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  /// Folders of bad policies, each with what the compiler says about it.
  static let cases = folders(below: root.appendingPathComponent("Tests/CompilerTests/Findings"))
  static let policies = root.appendingPathComponent("policies")
  static let examples = root.appendingPathComponent("../shared/examples")
  static let schema = root.appendingPathComponent("schema/policy.schema.json")
  static let benchmarkSchema = root.appendingPathComponent("schema/benchmark.schema.json")

  /// Those that hold a `policy.cos`, sorted.
  private static func folders(below folder: URL) -> [URL] {
    guard let walk = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil) else {
      return []
    }
    return walk.compactMap { $0 as? URL }.filter { $0.lastPathComponent == "policy.cos" }
      .map { $0.deletingLastPathComponent() }.sorted { $0.path < $1.path }
  }

  /// Files with an ending in a folder, sorted; empty if there is no folder.
  static func files(in folder: URL, ending: String) -> [URL] {
    let found =
      (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? []
    return found.filter { $0.lastPathComponent.hasSuffix(ending) }.sorted {
      $0.lastPathComponent < $1.lastPathComponent
    }
  }

  /// Every policy of the cases, the shipped policies and the examples.
  static var all: [URL] {
    cases.map { $0.appendingPathComponent("policy.cos") }
      + files(in: policies, ending: ".cos") + files(in: examples, ending: ".cos")
  }
}

/// One run of parser and checker.
struct Checked {
  var policy: HostPolicy?
  var diagnostics: [Diagnostic]
  var files: SourceFiles

  init(
    _ bytes: [UInt8], path: String = "policy.cos", reader: any SourceReader = SourceDictionary(),
    longList: Int = 1_000
  ) {
    var files = SourceFiles()
    let file = files.add(path: path, bytes: bytes)
    var list = DiagnosticList()
    policy = PolicyChecker.check(
      file, in: &files, reader: reader, longList: longList, diagnostics: &list)
    list.sortByPlace()
    diagnostics = list.all
    self.files = files
  }

  /// A file on the disk; what it names is read from its folder.
  init(contentsOf url: URL, longList: Int = 1_000) throws {
    self.init(
      [UInt8](try Data(contentsOf: url)), path: url.lastPathComponent,
      reader: FolderReader(url.deletingLastPathComponent()), longList: longList)
  }

  init(_ text: String) { self.init(Array(text.utf8)) }

  var ids: [String] { diagnostics.map(\.id.rawValue) }
  var errors: [String] { diagnostics.filter { $0.severity == .error }.map(\.id.rawValue) }
  var rendered: String { PlainRenderer(files: files).render(diagnostics) }
}
