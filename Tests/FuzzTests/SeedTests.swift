import Foundation
import FuzzChecks
import Testing

/// The seeds of `make fuzz`, and what fuzzing has found, in every run of the tests.
@Suite struct SeedTests {
  private func seeds(_ name: String) throws -> [(name: String, bytes: [UInt8])] {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Fuzz/Seeds/\(name)")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    try #require(!names.isEmpty)
    return try names.map { ($0, [UInt8](try Data(contentsOf: folder.appending(path: $0)))) }
  }

  private func run(_ name: String, _ check: ([UInt8]) throws(BrokenPromise) -> Void) throws {
    for seed in try seeds(name) {
      do throws(BrokenPromise) {
        try check(seed.bytes)
      } catch {
        Issue.record("\(name)/\(seed.name): \(error)")
      }
    }
  }

  @Test func document() throws { try run("document", checkDocument) }
  @Test func rules() throws { try run("rules", checkRules) }
  @Test func lists() throws { try run("lists", checkList) }
  @Test func bundles() throws { try run("bundles", checkBundle) }
  @Test func policies() throws { try run("policies", checkPolicy) }
}
