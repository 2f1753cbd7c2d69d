import ArgumentParser
import CLinux
import Compiler
import Glibc
import HostState
import Lift
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

  /// What a network namespace holds.
  struct Contents: Sendable {
    var tables: [DumpedTable]
    /// By their numbers.
    var interfaces: [UInt32: String]
    /// How the rules of a file are written.
    var texts: [Lift.RulePlace: KernelRuleText] = [:]
  }

  /// Nil: it is another kind of source.
  static func contents(_ path: String, _ scope: TableScope = .host) throws -> Contents? {
    if path == live {
      if scope == .host { try refuseLegacyTables() }
      return try read(path, scope)
    }
    guard let loader = try loader(of: path) else { return nil }
    let command = loader.command
    do throws(SandboxError) {
      try Sandbox.enterNetwork()
      guard try Sandbox.spawn(command + [path], output: .error) == 0 else {
        throw SandboxError(doing: "\(command[0]) refuses `\(path)`", code: 0)
      }
    } catch {
      throw FileError("\(error)")
    }
    var contents = try read(path, scope)
    contents.texts = try texts(of: path, loader.family)
    return contents
  }

  /// - Parameter family: of a file of iptables; nil: it is one of nft.
  private static func texts(
    of path: String, _ family: Families?
  ) throws(FileError) -> [Lift.RulePlace: KernelRuleText] {
    let bytes = try FileBytes.read(path)
    if let family { return RuleTexts.ofSavedRules(bytes, isIPv6: family == .ipv6) }
    do throws(SandboxError) {
      return RuleTexts.ofFile(bytes, listing: try Sandbox.output(of: ["nft", "-s", "list", "ruleset"]))
    } catch {
      throw FileError("\(error)")
    }
  }

  /// Who loads a file into the kernel, and how; nil: it is no file of rules for the kernel.
  private static func loader(of path: String) throws -> (command: [String], family: Families?)? {
    if path.hasSuffix(".nft") {
      // Whoever cannot read it learns it from us and not from nft.
      _ = try FileBytes.read(path)
      return (["nft", "-f"], nil)
    }
    guard path != "-", let start = FileBytes.start(of: path) else { return nil }
    return SavedRules.family(start).map { family in
      ([family == .ipv4 ? "iptables-nft-restore" : "ip6tables-nft-restore"], family)
    }
  }

  /// Rules of iptables-legacy stand beside those of nf_tables, and nobody reads them here.
  private static func refuseLegacyTables() throws {
    do throws(HostStateError) {
      let tables = try HostState.legacyTables()
      guard !tables.isEmpty else { return }
      let names = tables.map { "`\($0)`" }.joined(separator: ", ")
      printError("lockdown: `\(live)`: could not tell: iptables-legacy has \(names) here, which is not read")
    } catch {
      throw FileError("\(error)")
    }
    throw ExitCode(2)
  }

  private static func read(_ path: String, _ scope: TableScope) throws(FileError) -> Contents {
    do throws(NFTablesError) {
      var socket = try NetlinkSocket()
      return Contents(
        tables: try LiveRuleset.read(&socket, isOwn: scope.holds).tables, interfaces: HostState.interfaces())
    } catch {
      throw FileError("cannot read the rules of `\(path)`: \(error)")
    }
  }

  /// Nil: it is another kind of source. Of what it holds and nobody looks at, a line tells.
  static func policy(_ path: String) throws -> LiftedPolicy? {
    guard let contents = try contents(path) else { return nil }
    let lifted = try policy(path, contents, like: nil)
    if !lifted.leftOut.isEmpty {
      printError("lockdown: `\(path)`: not looked at: \(lifted.leftOut.joined(separator: ", "))")
    }
    return lifted
  }

  static func policy(
    _ name: String, _ contents: Contents, like other: HostPolicy?
  ) throws -> LiftedPolicy {
    do throws(LiftedPolicy.Failure) {
      return try LiftedPolicy(
        name: name, tables: contents.tables, interfaces: contents.interfaces, texts: contents.texts,
        like: other)
    } catch .damaged(let reason) {
      throw FileError("`\(name)`: \(reason)")
    } catch .unreadable(let error) {
      printError("lockdown: `\(name)`: could not tell: \(error)")
      throw ExitCode(2)
    }
  }
}
