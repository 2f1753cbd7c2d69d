import Diagnostics
import Foundation
import PolicySyntax
import Testing
import Yams

/// A document that we accept must be read with the same events by libfyaml (YAML 1.2), PyYAML and Yams (1.1).
@Suite("documents: other YAML readers", .serialized)
struct DocumentOracleTests {
  @Test("mutated documents")
  func mutated() throws {
    var mutator = DocumentMutator(
      seed: 42, seeds: (try DocumentCorpus.policies() + DocumentSeeds.documents).map(\.bytes))
    var documents: [(String, [UInt8])] = (0..<20_000).map { ("mutation \($0)", mutator.next()) }
    var generator = DocumentGenerator(seed: 43, isHazardous: true)
    documents += (0..<4_000).map { ("generated \($0)", generator.next()) }
    try compare(documents, "mutated documents", atLeastAccepted: 6_000)
  }

  /// The other direction: what the grammar allows is not refused.
  @Test("generated documents are all accepted")
  func safe() throws {
    var generator = DocumentGenerator(seed: 44, isHazardous: false)
    let documents = (0..<4_000).map { ("generated \($0)", generator.next()) }
    for (name, bytes) in documents {
      let (_, problems) = parseDocument(bytes)
      if let problem = problems.first {
        Issue.record(
          "\(name): \(problem.id.rawValue) at \(problem.span?.start ?? 0) \(problem.message): \(String(decoding: bytes, as: UTF8.self).debugDescription)"
        )
      }
    }
    try compare(documents, "generated documents", atLeastAccepted: documents.count)
  }

  @Test("the corpus")
  func corpus() throws {
    let documents = try DocumentCorpus.all() + DocumentSeeds.documents
    try compare(
      documents.map { ($0.path, $0.bytes) }, "corpus", atLeastAccepted: try DocumentCorpus.policies().count)
  }

  /// Our limits are inside of theirs.
  @Test("documents at the limits")
  func limits() throws {
    let key = String(repeating: "k", count: 1022)
    let nested = (0..<64).map { String(repeating: " ", count: $0) + "a:\n" }.joined()
    let documents = [
      "\(key)kk: a\n", "\(key)k : a\n", "'\(key)': a\n", "\"\(key)\": a\n", "a: {\(key)kk: b}\n",
      "a: {\"\(key)\":b}\n",
      "a: {'\(String(repeating: "\u{e9}", count: 511))': b}\n",
      "- \(key)\n".replacing("- ", with: "a:\n  - "),
      "a: " + String(repeating: "[", count: 63) + "b" + String(repeating: "]", count: 63) + "\n",
      String(repeating: "{a: ", count: 64) + "b" + String(repeating: "}", count: 64) + "\n",
      nested + String(repeating: " ", count: 64) + "b\n",
      "a:\n" + (0..<63).map { String(repeating: " ", count: $0) + "-\n" }.joined()
        + String(repeating: " ", count: 63) + "b\n",
      "a: " + String(repeating: "b", count: (64 << 10) - 3) + "\n",
      "a: |\n  " + String(repeating: "b", count: (64 << 10) - 2) + "\n",
      "a: [" + String(repeating: "b, ", count: 20_000) + "b]\n",
      "a:\n" + String(repeating: "  - b: [c, {d: e}]\n", count: 5_000),
    ]
    try compare(
      documents.enumerated().map { ("limit \($0)", Array($1.utf8)) }, "documents at the limits",
      atLeastAccepted: documents.count)
  }

  @Test("the official test suites, by the readers", .enabled(if: DocumentCorpus.hasData, "no ../shared/data"))
  func suites() throws {
    let cases =
      try DocumentCorpus.files(below: DocumentCorpus.data("yaml-test-suite")) {
        $0.lastPathComponent == "in.yaml"
      } + DocumentCorpus.files(below: DocumentCorpus.data("json-test-suite")) { $0.pathExtension == "json" }
    try compare(cases.map { ($0.path, $0.bytes) }, "official suites", atLeastAccepted: 20)
  }

  // MARK: Comparison

  private func compare(_ documents: [(name: String, bytes: [UInt8])], _ title: String, atLeastAccepted: Int)
    throws
  {
    var accepted: [(name: String, bytes: [UInt8], events: [String])] = []
    var refusals: [String: Int] = [:]
    for (name, bytes) in documents {
      let (tree, problems) = parseDocument(bytes)
      expectLossless(tree, bytes, name)
      if problems.isEmpty {
        accepted.append((name, bytes, tree.events().map(\.line)))
      } else {
        for id in Set(problems.map(\.id)) { refusals[id.rawValue, default: 0] += 1 }
      }
    }
    print("\(title): \(accepted.count) accepted, \(documents.count - accepted.count) refused")
    for (id, count) in refusals.sorted(by: { $0.key < $1.key }) { print("  \(id): \(count)") }
    #expect(accepted.count >= atLeastAccepted)

    for document in accepted {
      let events = yamsEvents(document.bytes)
      if events != document.events {
        disagree("Yams", document.name, document.bytes, document.events, events)
      }
    }
    for disagreement in try PythonReaders.compare(accepted.map { ($0.bytes, $0.events) }) {
      let document = accepted[disagreement.index]
      disagree(disagreement.oracle, document.name, document.bytes, document.events, disagreement.events)
    }
  }

  private func disagree(
    _ oracle: String, _ name: String, _ bytes: [UInt8], _ ours: [String], _ theirs: [String]
  ) {
    Issue.record(
      """
      \(oracle) reads \(name) otherwise: \(String(decoding: bytes, as: UTF8.self).debugDescription)
      ours:   \(ours.joined(separator: " "))
      theirs: \(theirs.joined(separator: " "))
      """)
  }

  private func yamsEvents(_ bytes: [UInt8]) -> [String] {
    do {
      guard let node = try Yams.compose(yaml: String(decoding: bytes, as: UTF8.self)) else { return [] }
      var events: [SyntaxEvent] = []
      append(node, to: &events)
      return events.map(\.line)
    } catch {
      return ["refused: \(error)"]
    }
  }

  private func append(_ node: Yams.Node, to events: inout [SyntaxEvent]) {
    switch node {
    case .scalar(let scalar): events.append(.scalar(scalar.string))
    case .sequence(let sequence):
      events.append(.sequenceStart)
      for item in sequence { append(item, to: &events) }
      events.append(.sequenceEnd)
    case .mapping(let mapping):
      events.append(.mappingStart)
      for (key, value) in mapping {
        append(key, to: &events)
        append(value, to: &events)
      }
      events.append(.mappingEnd)
    case .alias(let alias): events.append(.scalar("alias \(alias.anchor)"))
    }
  }
}

/// PyYAML and libfyaml, in one process for all documents.
enum PythonReaders {
  struct Disagreement: Decodable {
    var index: Int
    var oracle: String
    var events: [String]
  }

  private struct Summary: Decodable {
    var documents: Int
    var versions: String
  }

  struct MissingError: Error {
    var output: String
  }

  /// Empty, said aloud, where the readers are not installed and `LOCKDOWN_ORACLE_TESTS` is not set.
  static func compare(_ documents: [(bytes: [UInt8], events: [String])]) throws -> [Disagreement] {
    var input = Data()
    for (bytes, events) in documents {
      for part in [Data(bytes), Data(events.joined(separator: "\n").utf8)] {
        withUnsafeBytes(of: UInt32(part.count).bigEndian) { input.append(contentsOf: $0) }
        input.append(part)
      }
    }
    let folder = FileManager.default.temporaryDirectory.appending(path: "lockdown-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appending(path: "documents")
    try input.write(to: file)
    guard let text = try run("yaml_events.py", [file.path()], folder: folder) else { return [] }
    let lines = text.split(separator: "\n").map { Data($0.utf8) }
    let summary = try lines.last.map { try JSONDecoder().decode(Summary.self, from: $0) }
    #expect(summary?.documents == documents.count)
    print("  read by \(summary?.versions ?? "nobody") and Yams")
    return try lines.dropLast().map { try JSONDecoder().decode(Disagreement.self, from: $0) }
  }

  /// What a script of `Tests/oracles` prints; nil, said aloud, where it cannot run and need not.
  static func run(_ script: String, _ arguments: [String], folder: URL) throws -> String? {
    let output = folder.appending(path: "output")
    let errors = folder.appending(path: "errors")
    for file in [output, errors] { try Data().write(to: file) }
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/python3")
    process.arguments =
      [DocumentCorpus.repository.appending(path: "Tests/oracles/\(script)").path()] + arguments
    // Files and not pipes: nobody waits for anybody. libfyaml talks about what it refuses even when asked to be quiet.
    process.standardOutput = try FileHandle(forWritingTo: output)
    process.standardError = try FileHandle(forWritingTo: errors)
    do { try process.run() } catch { return try missing("\(error)") }
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      return try missing(String(decoding: try Data(contentsOf: errors), as: UTF8.self))
    }
    return String(decoding: try Data(contentsOf: output), as: UTF8.self)
  }

  private static func missing(_ output: String) throws -> String? {
    if ProcessInfo.processInfo.environment["LOCKDOWN_ORACLE_TESTS"] == "1" {
      throw MissingError(output: output)
    }
    print("  SKIPPED: PyYAML and libfyaml (apt-get install python3-yaml libfyaml0): \(output.suffix(200))")
    return nil
  }
}
