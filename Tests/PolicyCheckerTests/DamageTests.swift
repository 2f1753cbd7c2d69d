import Diagnostics
import Foundation
import Testing

/// Every prefix and every deletion of one byte of every file of the corpus: no trap, a policy exactly when
/// there is no error, and every finding inside the file.
@Suite struct DamageTests {
  /// How many places of each file: 25, with `LOCKDOWN_ORACLE_TESTS=1` 200, with `LOCKDOWN_EXHAUSTIVE_TESTS=1`
  /// all, which takes a minute in a release build and a quarter of an hour in a debug build.
  private static let places: Int = {
    let environment = ProcessInfo.processInfo.environment
    if environment["LOCKDOWN_EXHAUSTIVE_TESTS"] == "1" { return .max }
    return environment["LOCKDOWN_ORACLE_TESTS"] == "1" ? 200 : 25
  }()

  @Test func damagedFilesAreRefusedInGoodOrder() async throws {
    let files = Corpus.all
    try #require(files.count > 100)
    await withTaskGroup(of: Void.self) { group in
      for (index, url) in files.enumerated() {
        group.addTask {
          guard let data = try? Data(contentsOf: url) else {
            Issue.record("cannot read \(url.path)")
            return
          }
          let bytes = [UInt8](data)
          // Another part of each file.
          let stride = max(1, bytes.count / Self.places)
          for offset in Swift.stride(from: index % stride, to: bytes.count, by: stride) {
            Self.check(Array(bytes[..<offset]), "\(url.lastPathComponent) up to \(offset)")
            var damaged = bytes
            damaged.remove(at: offset)
            Self.check(damaged, "\(url.lastPathComponent) without \(offset)")
          }
        }
      }
    }
  }

  private static func check(_ bytes: [UInt8], _ what: String) {
    let checked = Checked(bytes)
    let hasErrors = checked.diagnostics.contains { $0.severity == .error }
    #expect((checked.policy == nil) == hasErrors, "\(what)")
    for diagnostic in checked.diagnostics {
      guard let span = diagnostic.span else { continue }
      #expect(0 <= span.start && span.start <= span.end && span.end <= bytes.count, "\(what): \(diagnostic)")
    }
  }
}
