import CanonicalJSON
import Compiler
import Diagnostics
import Foundation
import PolicyModel
import PolicySamples
import Testing

/// Policies held to benchmarks: those of `policies/benchmarks`, and made up ones with every class of control and of
/// fault.
@Suite struct AuditTests {
  private struct NotChecked: Error, CustomStringConvertible {
    var description: String
  }

  private static let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  private static let audits = tests.appending(path: "Audits")
  private static let policies = tests.appending(path: "../../policies").standardizedFileURL

  private func benchmark(
    _ name: String, in folder: URL
  ) throws -> (sources: SourceFiles, diagnostics: DiagnosticList, benchmark: Benchmark?) {
    PolicyCompiler.benchmark(
      path: name, bytes: Array(try Data(contentsOf: folder.appending(path: name))),
      reader: FolderReader(folder, as: name))
  }

  private func checked(_ name: String, in folder: URL) throws -> CheckedPolicy {
    PolicyCompiler.check(
      path: name, bytes: Array(try Data(contentsOf: folder.appending(path: name))),
      reader: FolderReader(folder, as: name))
  }

  private func text(_ diagnostics: DiagnosticList, _ sources: SourceFiles) -> String {
    PlainRenderer(files: sources).render(diagnostics.all)
  }

  private func report(
    of policy: (name: String, folder: URL), against name: String, in folder: URL
  ) throws -> (audit: Audit, report: AuditReport) {
    let checked = try checked(policy.name, in: policy.folder)
    let read = try benchmark(name, in: folder)
    guard let asked = checked.policy, let benchmark = read.benchmark else {
      throw NotChecked(
        description: text(checked.diagnostics, checked.sources) + text(read.diagnostics, read.sources))
    }
    var diagnostics = DiagnosticList()
    guard let audit = Audit(of: .policy(asked), against: benchmark, diagnostics: &diagnostics) else {
      throw NotChecked(description: text(diagnostics, read.sources))
    }
    return (
      audit,
      AuditReport(audit, of: (policy.name, checked.sources), against: (name, read.sources))
    )
  }

  private static let shipped = ["cis-cos-level-1", "cis-cos-level-2", "kspp"]

  @Test func shippedBenchmarks() throws {
    let folder = Self.policies.appending(path: "benchmarks")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    #expect(names == Self.shipped.map { $0 + ".cos" })
    var outputs: [String: [UInt8]] = [:]
    for name in Self.shipped {
      let read = try benchmark(name + ".cos", in: folder)
      #expect(text(read.diagnostics, read.sources) == "")
      let result = try report(of: ("cos.cos", Self.policies), against: name + ".cos", in: folder)
      outputs["\(name).txt"] = Array(result.report.text.utf8)
    }
    try CaseFolder(url: Self.audits.appending(path: "shipped")).expect(outputs)
  }

  @Test func everyClassOfControl() throws {
    let folder = Self.audits.appending(path: "classes")
    let result = try report(of: ("policy.cos", folder), against: "benchmark.cos", in: folder)
    let findings = try benchmark("benchmark.cos", in: folder)
    try CaseFolder(url: folder).expect([
      "audit.txt": Array(result.report.text.utf8), "audit.json": result.report.json.pretty(),
      "audit.sarif": result.report.sarif(version: "1.0.0", exitCode: 1).pretty(),
      "findings.txt": Array(text(findings.diagnostics, findings.sources).utf8),
    ])
    #expect(Set(result.audit.results.map(\.verdict)) == Set(Audit.Verdict.allCases))
    #expect(AuditReport.Threshold.allCases.map(result.report.exitCode) == [1, 1, 0])
  }

  /// Whatever a bundle holds is judged as in its policy; of the rest it could not be told.
  @Test func aBundleStandsForItsPolicy() throws {
    for (policy, folder, name, place) in [
      (
        "cos.cos", Self.policies, "cis-cos-level-2.cos", Self.policies.appending(path: "benchmarks")
      ),
      (
        "policy.cos", Self.audits.appending(path: "classes"), "benchmark.cos",
        Self.audits.appending(path: "classes")
      ),
    ] {
      let expected = try report(of: (policy, folder), against: name, in: place).audit
      let bytes = Array(try Data(contentsOf: folder.appending(path: policy)))
      let compiled = try #require(PolicyCompiler.compile(path: policy, bytes: bytes).policy)
      let file = try #require(compiled.files.first { $0.name == "policy.bundle" })
      let bundle = try LiftedPolicy(path: "policy.bundle", bytes: file.bytes)
      let benchmark = try #require(try benchmark(name, in: place).benchmark)
      var diagnostics = DiagnosticList()
      let audit = try #require(Audit(of: .lifted(bundle), against: benchmark, diagnostics: &diagnostics))
      var known = 0
      for (mine, other) in zip(audit.results, expected.results) {
        let isHeld = !mine.findings.contains { $0.reason.hasPrefix("a bundle ") }
        // The parameters of the kernel, and the machines, are not in it either.
        guard isHeld, other.verdict != .inapplicable else { continue }
        #expect(mine.verdict == other.verdict, "\(mine.control.id)")
        known += 1
      }
      #expect(known >= 10)
    }
  }

  @Test func badBenchmarks() throws {
    let folder = Self.audits.appending(path: "bad")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    #expect(names.count >= 8)
    var ids: Set<String> = []
    for name in names {
      let place = folder.appending(path: name)
      let read = try benchmark("benchmark.cos", in: place)
      ids.formUnion(read.diagnostics.all.map(\.id.rawValue))
      var diagnostics = read.diagnostics
      if let benchmark = read.benchmark {
        let policy = try #require(
          try checked("policy.cos", in: Self.audits.appending(path: "classes")).policy)
        #expect(Audit(of: .policy(policy), against: benchmark, diagnostics: &diagnostics) == nil, "\(name)")
      }
      #expect(diagnostics.hasErrors, "\(name)")
      try CaseFolder(url: place).expect(["findings.txt": Array(text(diagnostics, read.sources).utf8)])
    }
    #expect(ids.isSuperset(of: ["benchmark/wanted", "benchmark/control-twice"]))
  }
}
