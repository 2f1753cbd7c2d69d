import Foundation
import Glibc

/// The probe as a server in a network namespace of its own, which ends with this value: thousands of rulesets cost one
/// process.
final class ProbeChild {
  struct Failure: Error, CustomStringConvertible {
    var description: String
  }

  private let process = Process()
  private let descriptor: Int32
  private var interfaces: Set<String> = []

  init() throws {
    var ends: [Int32] = [-1, -1]
    guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
      throw Failure(description: "socketpair: error \(errno)")
    }
    descriptor = ends[0]
    // The limit is for a hung kernel call: an answer takes milliseconds.
    var limit = timeval(tv_sec: 60, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["unshare", "-n", Namespace.probe, "serve"]
    process.environment = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"]
    let end = FileHandle(fileDescriptor: ends[1], closeOnDealloc: true)
    process.standardInput = end
    process.standardOutput = end
    try process.run()
    try end.close()
  }

  deinit {
    // The child reads the end of its input and leaves.
    close(descriptor)
    process.waitUntilExit()
  }

  // MARK: Requests

  /// Loads nft text as stock nft does.
  func load(text: String) throws { _ = try ask("t", Array(text.utf8)) }

  /// Commits messages as one batch.
  func load(messages: [[UInt8]]) throws {
    var content: [UInt8] = []
    // Not `joined`: without optimiser it takes longer than the kernel.
    for message in messages { content += message }
    _ = try ask("b", content)
  }

  /// Decoded expressions, one per line.
  func dump() throws -> String { try ask("d") }

  /// `nft -s list ruleset`.
  func listing() throws -> String { try ask("l") }

  func flush() throws { _ = try ask("f") }

  /// Makes the interface, unless it is there.
  func addInterface(_ name: String) throws {
    guard interfaces.insert(name).inserted else { return }
    _ = try ask("i", Array(name.utf8))
  }

  private func ask(_ letter: Character, _ content: [UInt8] = []) throws -> String {
    let length = (0..<4).map { UInt8(truncatingIfNeeded: content.count >> ($0 * 8)) }
    try send(Array(String(letter).utf8) + length + content)
    let head = try receive(5)
    let count = head.dropFirst().reversed().reduce(0) { $0 << 8 | Int($1) }
    let answer = String(decoding: try receive(count), as: UTF8.self)
    guard head[0] == UInt8(ascii: "y") else { throw Failure(description: answer) }
    return answer
  }

  private func send(_ bytes: [UInt8]) throws {
    var done = 0
    while done < bytes.count {
      let sent = bytes.withUnsafeBytes {
        Glibc.send(
          descriptor, $0.baseAddress.map { $0 + done }, bytes.count - done, Int32(MSG_NOSIGNAL))
      }
      if sent < 0, errno == EINTR { continue }
      guard sent > 0 else { throw Failure(description: "the probe is gone: error \(errno)") }
      done += sent
    }
  }

  private func receive(_ count: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      let got = bytes.withUnsafeMutableBytes {
        recv(descriptor, $0.baseAddress.map { $0 + done }, count - done, 0)
      }
      if got < 0, errno == EINTR { continue }
      guard got > 0 else { throw Failure(description: "the probe does not answer: error \(errno)") }
      done += got
    }
    return bytes
  }
}
