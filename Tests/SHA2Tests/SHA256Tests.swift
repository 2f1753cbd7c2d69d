import Foundation
import SHA2
import Testing

private func hex(_ bytes: [UInt8]) -> String {
  String(decoding: SHA256.hex(SHA256.hash(bytes)), as: UTF8.self)
}

@Test(
  "the examples of FIPS 180-4",
  arguments: [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
  ])
func examples(text: String, digest: String) {
  #expect(hex(Array(text.utf8)) == digest)
}

@Test func aMillionTimesTheLetterA() {
  #expect(
    hex([UInt8](repeating: 0x61, count: 1_000_000))
      == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
}

/// Every length around the block and padding edges, against coreutils.
@Test func agreesWithSHA256Sum() throws {
  let directory = FileManager.default.temporaryDirectory.appendingPathComponent(
    "lockdown-sha-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: directory) }
  let lengths = Array(0...130) + [4095, 4096, 4097]
  var expected: [String: String] = [:]
  for length in lengths {
    let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 167 &+ length) }
    try Data(bytes).write(to: directory.appendingPathComponent("\(length)"))
    expected["\(length)"] = hex(bytes)
  }
  let process = Process()
  process.executableURL = URL(fileURLWithPath: "/usr/bin/sha256sum")
  process.arguments = lengths.map(String.init)
  process.currentDirectoryURL = directory
  let pipe = Pipe()
  process.standardOutput = pipe
  try process.run()
  let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  process.waitUntilExit()
  #expect(process.terminationStatus == 0)
  let lines = output.split(separator: "\n")
  #expect(lines.count == lengths.count)
  for line in lines {
    let words = line.split(separator: " ")
    #expect(expected[String(words[1])] == String(words[0]), "length \(words[1])")
  }
}
