import ArgumentParser
import CLinux
import Compiler
import Glibc
import NFTables
import PolicyModel

/// Rules that a kernel has read: those of this network namespace, or those of an nft file, which stock nft loads into a
/// fresh namespace that nobody else sees.
enum KernelSource {
  /// How the rules of the network namespace are named that the command runs in.
  static let live = "live"

  /// Nil: it is another kind of source.
  static func tables(_ path: String) throws -> [DumpedTable]? {
    if path == live { return try read(path) }
    guard path.hasSuffix(".nft") else { return nil }
    // Whoever cannot read it learns it from us and not from nft.
    _ = try FileBytes.read(path)
    do throws(SandboxError) {
      try Sandbox.enterNetwork()
      guard try Sandbox.spawn(["nft", "-f", path], outputToError: true) == 0 else {
        throw SandboxError(doing: "nft refuses `\(path)`", code: 0)
      }
    } catch {
      throw FileError("\(error)")
    }
    return try read(path)
  }

  private static func read(_ path: String) throws(FileError) -> [DumpedTable] {
    do throws(NFTablesError) {
      var socket = try NetlinkSocket()
      return try LiveRuleset.read(&socket) { _ in true }.tables
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
