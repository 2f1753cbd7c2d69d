import Foundation
import Testing

/// Debian's nft in a fresh network namespace: nothing here touches the host.
struct StockNFT {
  struct Result {
    var status: Int32
    var output: String
  }

  static let isWanted = ProcessInfo.processInfo.environment["LOCKDOWN_KERNEL_TESTS"] == "1"

  /// Runs a shell script in a namespace of its own, with the files in its working directory.
  static func run(_ script: String, files: [String: String]) throws -> Result {
    let directory = FileManager.default.temporaryDirectory.appending(path: "lockdown-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    for (name, text) in files {
      try Data(text.utf8).write(to: directory.appending(path: name))
    }
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["unshare", "--net", "--", "sh", "-c", script + " 2>&1"]
    process.currentDirectoryURL = directory
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return Result(status: process.terminationStatus, output: String(decoding: data, as: UTF8.self))
  }
}
