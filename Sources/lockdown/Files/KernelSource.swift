import ArgumentParser
import CLinux
import Compiler
import Glibc
import NFTables
import PolicyModel
import Ruleset

/// Which tables of a kernel a question is about.
enum TableScope: String, CaseIterable, ExpressibleByArgument {
  /// Those that the applier makes.
  case own
  /// All of them: what one drops no other lets in.
  case host

  func holds(_ table: LiveRuleset.TableName) -> Bool {
    switch self {
    case .own: KernelName.ownTables.contains(table.name)
    case .host: true
    }
  }
}

/// Rules that a kernel has read: those of this network namespace, or those of an nft file, which stock nft loads into a
/// fresh namespace that nobody else sees.
enum KernelSource {
  /// How the rules of the network namespace are named that the command runs in.
  static let live = "live"

  /// Nil: it is another kind of source.
  static func tables(_ path: String, _ scope: TableScope = .host) throws -> [DumpedTable]? {
    if path == live { return try read(path, scope) }
    guard let command = try loader(of: path) else { return nil }
    do throws(SandboxError) {
      try Sandbox.enterNetwork()
      guard try Sandbox.spawn(command + [path], output: .error) == 0 else {
        throw SandboxError(doing: "\(command[0]) refuses `\(path)`", code: 0)
      }
    } catch {
      throw FileError("\(error)")
    }
    return try read(path, scope)
  }

  /// Who loads a file into the kernel, and how; nil: it is no file of rules for the kernel.
  private static func loader(of path: String) throws -> [String]? {
    if path.hasSuffix(".nft") {
      // Whoever cannot read it learns it from us and not from nft.
      _ = try FileBytes.read(path)
      return ["nft", "-f"]
    }
    guard path != "-", let start = FileBytes.start(of: path) else { return nil }
    return SavedRules.family(start).map { [$0 == .ipv4 ? "iptables-nft-restore" : "ip6tables-nft-restore"] }
  }

  private static func read(_ path: String, _ scope: TableScope) throws(FileError) -> [DumpedTable] {
    do throws(NFTablesError) {
      var socket = try NetlinkSocket()
      return try LiveRuleset.read(&socket, isOwn: scope.holds).tables
    } catch {
      throw FileError("cannot read the rules of `\(path)`: \(error)")
    }
  }

  /// Nil: it is another kind of source.
  static func policy(_ path: String) throws -> LiftedPolicy? {
    try tables(path).map { try policy(path, $0, like: nil) }
  }

  static func policy(_ name: String, _ tables: [DumpedTable], like other: HostPolicy?) throws -> LiftedPolicy
  {
    do throws(LiftedPolicy.Failure) {
      return try LiftedPolicy(name: name, tables: tables, like: other)
    } catch .damaged(let reason) {
      throw FileError("`\(name)`: \(reason)")
    } catch .unreadable(let error) {
      printError("lockdown: `\(name)`: could not tell: \(error)")
      throw ExitCode(2)
    }
  }
}
