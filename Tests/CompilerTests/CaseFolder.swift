import Compiler
import Foundation
import PolicySamples
import Testing

/// Golden folders: an input next to every expected output.
///
/// With LOCKDOWN_RECORD set, outputs are written instead of compared, and the run fails, so that nobody takes a
/// recording for a pass.
struct CaseFolder {
  let url: URL

  static let isRecording = ProcessInfo.processInfo.environment["LOCKDOWN_RECORD"] != nil

  /// Of this test target, beside this file.
  static func all(in name: String, file: StaticString = #filePath) throws -> [CaseFolder] {
    let root = URL(fileURLWithPath: "\(file)").deletingLastPathComponent().appending(path: name)
    let enumerator = FileManager.default.enumerator(at: root, includingPropertiesForKeys: nil)
    var folders: [CaseFolder] = []
    while let url = enumerator?.nextObject() as? URL {
      if url.lastPathComponent == "policy.cos" {
        folders.append(CaseFolder(url: url.deletingLastPathComponent()))
      }
    }
    return folders.sorted { $0.url.path < $1.url.path }
  }

  /// The last two parts of its path: `SECTION/FAULT`.
  var name: String { url.path.split(separator: "/").suffix(2).joined(separator: "/") }

  /// Compiles the folder's policy with the files beside it.
  ///
  /// - Parameter bytes: In place of the file's.
  func compile(as path: String = "policy.cos", _ bytes: [UInt8]? = nil) throws -> Compilation {
    PolicyCompiler.compile(path: path, bytes: try bytes ?? input(), reader: FolderReader(url, as: path))
  }

  func input() throws -> [UInt8] { Array(try Data(contentsOf: url.appending(path: "policy.cos"))) }

  /// Policies, fragments and lists; the lists that a compile writes lie below `sets`.
  private static func isInput(_ name: String) -> Bool {
    name.hasSuffix(".cos") || (name.hasSuffix(".netset") && !name.hasPrefix("sets/"))
  }

  /// Names of expected outputs, relative to the folder.
  func expectedNames() -> Set<String> {
    let enumerator = FileManager.default.enumerator(atPath: url.path)
    var names: Set<String> = []
    while let name = enumerator?.nextObject() as? String {
      var isDirectory: ObjCBool = false
      let exists = FileManager.default.fileExists(
        atPath: url.appending(path: name).path, isDirectory: &isDirectory)
      if exists, !isDirectory.boolValue, !Self.isInput(name) { names.insert(name) }
    }
    return names
  }

  /// Compares outputs with the folder; what is missing on either side is a failure.
  func expect(_ outputs: [String: [UInt8]], sourceLocation: SourceLocation = #_sourceLocation) throws {
    if Self.isRecording {
      for name in expectedNames() { try FileManager.default.removeItem(at: url.appending(path: name)) }
      for (name, bytes) in outputs {
        let file = url.appending(path: name)
        try FileManager.default.createDirectory(
          at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(bytes).write(to: file)
      }
      Issue.record("recorded \(url.lastPathComponent)", sourceLocation: sourceLocation)
      return
    }
    #expect(expectedNames() == Set(outputs.keys), "\(url.path)", sourceLocation: sourceLocation)
    for (name, bytes) in outputs {
      guard let expected = try? Data(contentsOf: url.appending(path: name)) else { continue }
      guard Array(expected) != bytes else { continue }
      Issue.record(
        "\(url.lastPathComponent)/\(name) differs:\n\(Self.difference(expected, bytes))",
        sourceLocation: sourceLocation)
    }
  }

  /// The lines from the first that differs on.
  private static func difference(_ expected: Data, _ actual: [UInt8]) -> String {
    let old = String(decoding: expected, as: UTF8.self).split(
      separator: "\n", omittingEmptySubsequences: false)
    let new = String(decoding: actual, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
    let common = zip(old, new).prefix { $0 == $1 }.count
    return
      (old.dropFirst(common).prefix(8).map { "- \($0)" } + new.dropFirst(common).prefix(8).map { "+ \($0)" })
      .joined(separator: "\n")
  }
}
