import Glibc
import HostState
import NFTables
import Ruleset

/// What the kernel tests run inside a network namespace of their own, which a test process must not enter.
///
/// `send FILE` commits a file of messages as one batch; `dump` prints our table without labels, `dump-labels`
/// with them; `digest` prints the loaded policy; `foreign` the base chains of other tables; `serve` answers requests.
@main
struct RulesetProbe {
  static func main() {
    do {
      try run()
    } catch {
      // A trap would print a page of registers instead.
      let line = Array("\(error)\n".utf8)
      write(STDERR_FILENO, line, line.count)
      exit(1)
    }
  }

  private static func run() throws {
    let arguments = CommandLine.arguments
    switch (arguments.count > 1 ? arguments[1] : "", arguments.count) {
    case ("send", 3): try send(arguments[2])
    case ("dump", 2): print(try HostState.dump(showsLabels: false), terminator: "")
    case ("dump-labels", 2): print(try HostState.dump(showsLabels: true), terminator: "")
    case ("digest", 2):
      let policy = try HostState.readDigest()
      print(policy.map { "\($0.name ?? "?") \($0.policyDigest ?? "?") \($0.messageDigest.count)" } ?? "none")
    case ("foreign", 2):
      for chain in try HostState.readRuleset().foreignBaseChains {
        print(
          chain.table.family, chain.table.name, chain.name,
          chain.base.map { "\($0.hook) \($0.priority)" } ?? "?")
      }
    case ("serve", 2):
      var server = try ProbeServer()
      try server.run()
    default:
      print("usage: ruleset-probe send FILE | dump | dump-labels | digest | foreign | serve")
      exit(64)
    }
  }

  /// The file holds finished messages back to back.
  private static func send(_ path: String) throws {
    var content: [UInt8] = []
    let descriptor = open(path, O_RDONLY)
    guard descriptor >= 0 else { throw NFTablesError.system(call: "open", errorNumber: errno) }
    var chunk = [UInt8](repeating: 0, count: 1 << 20)
    while true {
      let count = read(descriptor, &chunk, chunk.count)
      guard count > 0 else { break }
      content += chunk.prefix(count)
    }
    close(descriptor)
    var socket = try NetlinkSocket()
    try socket.commit(messages(in: content))
  }

  /// Finished messages that lie back to back.
  static func messages(in content: [UInt8]) -> [[UInt8]] {
    var messages: [[UInt8]] = []
    var rest = content[...]
    while rest.count >= 16 {
      let length = rest.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
      messages.append(Array(rest.prefix(length)))
      rest = rest.dropFirst(length)
    }
    return messages
  }
}
