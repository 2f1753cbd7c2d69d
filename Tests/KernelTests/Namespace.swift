import Foundation

/// Runs commands in a fresh network namespace that ends with them.
enum Namespace {
  struct Result {
    var status: Int32
    var output: String
    var errors: String
  }

  /// Set by whoever wants these tests: then they run or fail. Unset: they are skipped aloud.
  static var isRequested: Bool {
    ProcessInfo.processInfo.environment["LOCKDOWN_KERNEL_TESTS"] == "1"
  }

  /// The probe, built beside this test bundle.
  static let probe: String = {
    let bundle = Bundle.allBundles.first { $0.bundlePath.hasSuffix(".xctest") }
    let products = bundle?.bundleURL.deletingLastPathComponent() ?? Bundle.main.bundleURL
    return products.appendingPathComponent("ruleset-probe").path
  }()

  /// Runs a shell script in a network namespace of its own. `$PROBE` is the probe.
  static func run(_ script: String) throws -> Result {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    // The limit is for a hung kernel call: each of these takes milliseconds.
    process.arguments = ["timeout", "120", "unshare", "-n", "sh", "-euc", script]
    var environment = ProcessInfo.processInfo.environment
    environment["PROBE"] = probe
    environment["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    environment["LC_ALL"] = "C.UTF-8"
    process.environment = environment
    // Files, not pipes: a full pipe would stop the child before we come to read it.
    let directory = try TemporaryDirectory()
    let output = try directory.file("output", contents: Data())
    let errors = try directory.file("errors", contents: Data())
    process.standardOutput = try FileHandle(forWritingTo: output)
    process.standardError = try FileHandle(forWritingTo: errors)
    try process.run()
    process.waitUntilExit()
    return Result(
      status: process.terminationStatus,
      output: String(decoding: try Data(contentsOf: output), as: UTF8.self),
      errors: String(decoding: try Data(contentsOf: errors), as: UTF8.self))
  }
}

/// A directory that is removed with this value.
final class TemporaryDirectory {
  let url: URL

  init() throws {
    url = FileManager.default.temporaryDirectory.appendingPathComponent("lockdown-test-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit {
    try? FileManager.default.removeItem(at: url)
  }

  func file(_ name: String, contents: Data) throws -> URL {
    let file = url.appendingPathComponent(name)
    try contents.write(to: file)
    return file
  }
}
