import Diagnostics
import Foundation
import PolicyChecker
import PolicySamples
import Ruleset
import Testing
import TextBackends

/// A policy each, and what becomes of it: nft's text and the kernel programs. `RECORD_GOLDENS=1` writes the
/// goldens, and the run is red.
struct LoweringGoldenTests {
  private static let isRecording = ProcessInfo.processInfo.environment["RECORD_GOLDENS"] == "1"
  private static let cases = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("Cases")

  private static func folders() -> [URL] {
    let all = try? FileManager.default.contentsOfDirectory(at: cases, includingPropertiesForKeys: nil)
    return (all ?? []).sorted { $0.path < $1.path }
  }

  @Test func everyCaseHasItsTextAndPrograms() throws {
    let folders = Self.folders()
    try #require(folders.count >= 20)
    for folder in folders {
      let path = folder.appendingPathComponent("policy.cos")
      var sources = SourceFiles()
      let file = sources.add(path: "policy.cos", bytes: Array(try Data(contentsOf: path)))
      var diagnostics = DiagnosticList()
      let policy = PolicyChecker.check(
        file, in: &sources, reader: FolderReader(folder), diagnostics: &diagnostics)
      #expect(!diagnostics.hasErrors, "\(folder.lastPathComponent): \(diagnostics)")
      let ruleset = Lowering.lower(try #require(policy), digest: [UInt8](repeating: 0xd1, count: 32))
      try check(NFTText.print(ruleset), folder.appendingPathComponent("nftables.nft"))
      try check(ProgramText.print(ruleset), folder.appendingPathComponent("programs.txt"))
    }
    #expect(!Self.isRecording, "goldens recorded")
  }

  private func check(_ text: String, _ golden: URL) throws {
    if Self.isRecording {
      try text.write(to: golden, atomically: true, encoding: .utf8)
      return
    }
    let expected = try? String(contentsOf: golden, encoding: .utf8)
    #expect(expected == text, "\(golden.path)")
  }
}
