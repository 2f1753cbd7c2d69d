import Diagnostics
import Foundation
import Testing

/// Bad policies and what the checker alone says about them: a part of what the compiler says (FindingTests).
@Suite struct GoldenTests {
  @Test func theCompilerSaysWhatTheCheckerFinds() throws {
    try #require(Corpus.cases.count >= 300)
    for folder in Corpus.cases {
      let checked = try Checked(contentsOf: folder.appendingPathComponent("policy.cos"))
      let golden = try String(contentsOf: folder.appendingPathComponent("findings.txt"), encoding: .utf8)
      let renderer = PlainRenderer(files: checked.files)
      var rest = golden[...]
      for diagnostic in checked.diagnostics {
        // In the same order.
        guard let found = rest.firstRange(of: renderer.render(diagnostic)) else {
          Issue.record("\(folder.path): \(renderer.render(diagnostic))")
          break
        }
        rest = rest[found.upperBound...]
      }
      #expect(checked.errors.isEmpty == (checked.policy != nil), "\(folder.path)")
    }
  }

  /// Every fault the checker can find has a case.
  @Test func everyIdOfTheCheckerHasACase() throws {
    var seen: Set<String> = []
    for folder in Corpus.cases {
      seen.formUnion(try Checked(contentsOf: folder.appendingPathComponent("policy.cos")).ids)
    }
    // Given by the parts named, or not to be provoked by a file.
    let elsewhere: Set<DiagnosticID> = [
      .extendsNoEffect, .extendsUnproved,  // the analyser
      .loosenExpired, .loosenEnding,  // judged on a day that is given
      .benchmarkWanted, .benchmarkControlTwice,  // about a benchmark, which is no policy
      .notEncodable,  // the encoder of messages
      .mistranslated,  // what the messages mean
      .managementMissing, .managementUnreachable, .managementUnproved, .expectUnproved,  // the analyser
      .lintShadowed, .lintRedundant, .lintConflicting, .lintUntold, .lintNeighbours,  // the analyser
      .syscallTooLong,  // the compiler of filters
      .idCollision,  // 56 bits of SHA-256; tested with a shorter hash
    ]
    let missing = DiagnosticID.allCases.filter { !elsewhere.contains($0) && !seen.contains($0.rawValue) }
    #expect(missing.map(\.rawValue) == [])
  }
}
