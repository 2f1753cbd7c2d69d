import Compiler
import Diagnostics
import Foundation
import Testing

/// `policies/examples`, and the examples of the language's description where those are beside the repository.
@Suite struct ExampleTests {
  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(
    path: "../..")
  private static let own = root.appending(path: "policies/examples")
  private static let shared = root.appending(path: "../shared/examples")

  private func policies(in folder: URL) -> [URL] {
    let files =
      (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? []
    return files.filter { $0.pathExtension == "cos" }.sorted { $0.path < $1.path }
  }

  /// With what stands beside it, and our lists.
  private func compile(_ policy: URL) throws -> Compilation {
    var files: [String: [UInt8]] = [:]
    for url in policies(in: policy.deletingLastPathComponent()) {
      files[url.lastPathComponent] = [UInt8](try Data(contentsOf: url))
    }
    let lists = Self.own.appending(path: "lists")
    for name in try FileManager.default.contentsOfDirectory(atPath: lists.path) {
      files["lists/\(name)"] = [UInt8](try Data(contentsOf: lists.appending(path: name)))
    }
    return PolicyCompiler.compile(
      path: policy.lastPathComponent, bytes: try #require(files[policy.lastPathComponent]),
      reader: SourceDictionary(files))
  }

  @Test func everyExampleCompiles() throws {
    let policies = policies(in: Self.own)
    #expect(policies.count == 6)
    for url in policies {
      let compilation = try compile(url)
      let text = PlainRenderer(files: compilation.sources).render(compilation.diagnostics.all)
      #expect(text == "" && compilation.policy != nil, "\(url.lastPathComponent)\n\(text)")
    }
  }

  /// The order of their rules is meant.
  @Test func noneHasConflicts() throws {
    let policies =
      policies(in: Self.own) + policies(in: Self.own.appending(path: "..")) + policies(in: Self.shared)
    #expect(policies.count >= 8)
    for url in policies {
      let compilation = try compile(url)
      guard let policy = compilation.policy else { continue }
      let conflicts = PolicyCompiler.lint(policy, in: compilation.sources).filter {
        $0.id == .lintConflicting
      }
      #expect(conflicts.map(\.message) == [], "\(url.lastPathComponent)")
    }
  }

  /// With our lists beside them they compile too.
  @Test func theSharedExamplesAreOurs() throws {
    let examples = policies(in: Self.shared)
    if examples.isEmpty {
      print("skipped: no ../shared/examples")
      return
    }
    #expect(examples.map(\.lastPathComponent) == policies(in: Self.own).map(\.lastPathComponent))
    for url in examples {
      let name = url.lastPathComponent
      let compilation = try compile(url)
      #expect(compilation.policy != nil && !compilation.diagnostics.hasErrors, "\(name)")
      #expect(try Data(contentsOf: url) == Data(contentsOf: Self.own.appending(path: name)), "\(name)")
    }
  }
}
