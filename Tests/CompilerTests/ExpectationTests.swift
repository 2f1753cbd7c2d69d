import CanonicalJSON
import Compiler
import Diagnostics
import Foundation
import PolicyModel
import PolicySamples
import Testing

/// Files of expectations asked of a policy: `expectations.cos` and `policy.cos` in a folder, and what is reported.
@Suite struct ExpectationTests {
  private func file(_ name: String, in folder: URL, of asked: String?) throws -> ExpectationFile {
    func bytes(_ name: String) throws -> [UInt8] {
      Array(try Data(contentsOf: folder.appending(path: name)))
    }
    return PolicyCompiler.expectations(
      path: name, bytes: try bytes(name), of: try asked.map { ($0, try bytes($0)) },
      reader: FolderReader(folder, as: name))
  }

  private func text(_ file: ExpectationFile) -> String {
    PlainRenderer(files: file.sources).render(file.diagnostics.all)
  }

  @Test func goldenFolders() throws {
    let folders = try CaseFolder.all(in: "Expectations")
    #expect(folders.count >= 4)
    for folder in folders {
      let path = "policy.cos"
      let checked = PolicyCompiler.check(
        path: path, bytes: try folder.input(), reader: FolderReader(folder.url, as: path))
      let policy = try #require(checked.policy, "\(folder.name)")
      var files = [try file("expectations.cos", in: folder.url, of: path)]
      var outputs: [String: [UInt8]] = [:]
      if let run = ExpectationRun(&files, of: .policy(policy), withCoverage: true) {
        let report = ExpectationReport(run, of: (path, checked.sources))
        outputs["report.txt"] = Array("\(report.text)exit \(run.exitCode)\n".utf8)
        outputs["report.json"] = report.json.pretty()
      }
      if !files[0].diagnostics.all.isEmpty { outputs["findings.txt"] = Array(text(files[0]).utf8) }
      try folder.expect(outputs)
    }
  }

  /// A bundle does what its policy expects of it, and is judged as the policy is.
  @Test func aBundleStandsForItsPolicy() throws {
    var count = 0
    for folder in try CaseFolder.all(in: "Cases") {
      guard let compiled = try folder.compile().policy,
        let bundle = compiled.files.first(where: { $0.name == "policy.bundle" })
      else { continue }
      var files = [
        PolicyCompiler.expectations(
          path: "policy.cos", bytes: try folder.input(), of: nil,
          reader: FolderReader(folder.url, as: "policy.cos"))
      ]
      // Most expect nothing.
      guard let expectations = files[0].expectations else {
        let messages = files[0].diagnostics.all.map(\.message)
        #expect(messages.contains("this file expects nothing"), "\(folder.name)")
        continue
      }
      let policy = try #require(expectations.policy)
      let lifted = try LiftedPolicy(path: "policy.bundle", bytes: bundle.bytes, like: policy)
      let run = try #require(ExpectationRun(&files, of: .lifted(lifted), withCoverage: true))
      for result in run.files.flatMap(\.results) {
        switch result.decision {
        case .holds: count += 1
        case .unknown(let reason): #expect(reason.hasPrefix("a bundle "), "\(folder.name): \(reason)")
        case .empty, .fails: Issue.record("\(folder.name): \(result.statement.text): \(result.decision)")
        }
      }
    }
    #expect(count >= 20)
  }
}
