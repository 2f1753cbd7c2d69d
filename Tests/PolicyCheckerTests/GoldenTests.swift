import Diagnostics
import Foundation
import Testing

/// Bad policies and what is said about them. `RECORD_GOLDENS=1` writes the goldens, and the run is red.
@Suite struct GoldenTests {
  static let isRecording = ProcessInfo.processInfo.environment["RECORD_GOLDENS"] == "1"

  @Test func everyCaseHasItsDiagnostics() throws {
    let cases = Corpus.files(in: Corpus.cases, ending: "")
    try #require(cases.count >= 60)
    for folder in cases {
      let name = folder.lastPathComponent
      let rendered = try Checked(contentsOf: folder.appendingPathComponent("policy.cos")).rendered
      let golden = folder.appendingPathComponent("diagnostics.txt")
      if Self.isRecording {
        try rendered.write(to: golden, atomically: true, encoding: .utf8)
        continue
      }
      let expected = try? String(contentsOf: golden, encoding: .utf8)
      #expect(expected == rendered, "\(name)")
    }
    #expect(!Self.isRecording, "goldens recorded")
  }

  /// Every fault the checker can find has a case.
  @Test func everyIdOfTheCheckerHasACase() throws {
    var seen: Set<String> = []
    for folder in Corpus.files(in: Corpus.cases, ending: "") {
      seen.formUnion(try Checked(contentsOf: folder.appendingPathComponent("policy.cos")).ids)
    }
    // Given by the parts named, or not to be provoked by a file.
    let elsewhere: Set<DiagnosticID> = [
      .extendsNoEffect, .extendsUnproved,  // the analyser
      .loosenExpired, .loosenEnding,  // judged on a day that is given
      .notEncodable,  // the encoder of messages
      .managementMissing, .managementUnreachable, .managementUnproved, .expectUnproved,  // the analyser
      .lintShadowed, .lintRedundant,  // the analyser
      .syscallTooLong,  // the compiler of filters
      .idCollision,  // 56 bits of SHA-256; tested with a shorter hash
    ]
    let missing = DiagnosticID.allCases.filter { !elsewhere.contains($0) && !seen.contains($0.rawValue) }
    #expect(missing.map(\.rawValue) == [])
  }
}
