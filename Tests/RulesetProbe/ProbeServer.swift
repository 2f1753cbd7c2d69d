import Glibc
import HostState
import NFTables

/// Answers requests on standard input until it ends: one process, and one network namespace, for thousands of
/// rulesets.
///
/// A request is a letter, the length of its content (4 bytes, little-endian) and the content; an answer the same, with
/// `y` or, for an error, `n`.
struct ProbeServer: ~Copyable {
  private let nft: StockNFT
  private var socket: NetlinkSocket

  init() throws {
    let nft = try StockNFT()
    let socket = try NetlinkSocket()
    self.nft = nft
    self.socket = socket
  }

  mutating func run() throws {
    while let (letter, content) = try Self.request() {
      do {
        try Self.answer("y", Array(answer(letter, content).utf8))
      } catch {
        try Self.answer("n", Array("\(error)".utf8))
      }
    }
  }

  /// What the kernel then says, or nothing.
  private mutating func answer(_ letter: Character, _ content: [UInt8]) throws -> String {
    switch letter {
    case "t": return try nft.run(String(decoding: content, as: UTF8.self))
    case "b": try socket.commit(RulesetProbe.messages(in: content))
    case "d": return try HostState.dump(showsLabels: false)
    case "l": return try nft.run("list ruleset")
    case "f": return try nft.run("flush ruleset")
    case "i": try Self.addInterface(String(decoding: content, as: UTF8.self))
    default: throw StockNFT.Failure(description: "no request is called \(letter)")
    }
    return ""
  }

  /// One that stays for all rulesets.
  private static func addInterface(_ name: String) throws {
    guard if_nametoindex(name) == 0 else { return }
    let words = ["ip", "link", "add", "name", name, "type", "veth"]
    var arguments = words.map { strdup($0) } + [nil]
    defer { for case let argument? in arguments { free(argument) } }
    var child: pid_t = 0
    var status: Int32 = 0
    guard posix_spawnp(&child, "ip", nil, nil, &arguments, environ) == 0, waitpid(child, &status, 0) == child,
      status == 0
    else {
      throw StockNFT.Failure(description: "cannot add the interface \(name)")
    }
  }

  // MARK: Frames

  private static func request() throws -> (Character, [UInt8])? {
    guard let head = try read(5) else { return nil }
    let length = head.dropFirst().reversed().reduce(0) { $0 << 8 | Int($1) }
    guard let content = try read(length) else { return nil }
    return (Character(UnicodeScalar(head[0])), content)
  }

  /// Nil: the other end is gone.
  private static func read(_ count: Int) throws -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      let got = bytes.withUnsafeMutableBytes {
        Glibc.read(STDIN_FILENO, $0.baseAddress.map { $0 + done }, count - done)
      }
      if got < 0, errno == EINTR { continue }
      guard got >= 0 else { throw NFTablesError.system(call: "read", errorNumber: errno) }
      if got == 0 { return nil }
      done += got
    }
    return bytes
  }

  private static func answer(_ letter: Character, _ content: [UInt8]) throws {
    let length = (0..<4).map { UInt8(truncatingIfNeeded: content.count >> ($0 * 8)) }
    let bytes = Array(String(letter).utf8) + length + content
    var done = 0
    while done < bytes.count {
      let written = bytes.withUnsafeBytes {
        write(STDOUT_FILENO, $0.baseAddress.map { $0 + done }, bytes.count - done)
      }
      if written < 0, errno == EINTR { continue }
      guard written > 0 else { throw NFTablesError.system(call: "write", errorNumber: errno) }
      done += written
    }
  }
}
