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

  /// A source as it was read: rules of a kernel, or the bytes of another file.
  struct Read: Sendable {
    /// Nil: it is none of a kernel.
    var contents: Contents?
    var bytes: [UInt8] = []
  }

  /// Rules are told by their content, and by the name `.nft`.
  static func read(_ path: String, _ scope: TableScope = .host) throws -> Read {
    if path == live {
      if scope == .host { try refuseLegacyTables() }
      return Read(contents: try rules(of: path, scope))
    }
    if let start = path == "-" ? nil : FileBytes.start(of: path) {
      guard let loader = Loader(path, start) else { return Read(bytes: try FileBytes.readSource(path)) }
      return Read(contents: try load(path, try FileBytes.read(path), from: path, loader, scope))
    }
    // Standard input and pipes can be read once.
    let bytes = try FileBytes.readRules(path)
    guard let loader = Loader(path, bytes) else { return Read(bytes: bytes) }
    let copy = try FileBytes.reopened(bytes)
    defer { FileBytes.close(copy) }
    return Read(
      contents: try load(CheckedSource.name(path), bytes, from: "/dev/fd/\(copy)", loader, scope))
  }

  /// Who loads a file into the kernel.
  private enum Loader {
    case nft
    case iptables(Families)

    /// Nil: it is no file of rules for the kernel.
    init?(_ path: String, _ start: [UInt8]) {
      if let family = SavedRules.family(start) {
        self = .iptables(family)
      } else if path.hasSuffix(".nft") || NFTWords.begin(start) {
        self = .nft
      } else {
        return nil
      }
    }

    var command: [String] {
      switch self {
      case .nft: ["nft", "-f"]
      case .iptables(let family): [family == .ipv4 ? "iptables-nft-restore" : "ip6tables-nft-restore"]
      }
    }
  }

  /// - Parameter file: where the program finds the bytes.
  private static func load(
    _ name: String, _ bytes: [UInt8], from file: String, _ loader: Loader, _ scope: TableScope
  ) throws -> Contents {
    let command = loader.command
    do throws(SandboxError) {
      try Sandbox.enterNetwork()
      let (code, words) = try Sandbox.words(of: command + [file], isWhole: true)
      if !words.isEmpty { printError(said(words, of: file, name)) }
      guard code == 0 else { throw SandboxError(doing: "\(command[0]) refuses `\(name)`", code: 0) }
    } catch {
      throw FileError("\(error)")
    }
    var contents = try rules(of: name, scope)
    switch loader {
    case .iptables(let family): contents.texts = RuleTexts.ofSavedRules(bytes, isIPv6: family == .ipv6)
    case .nft:
      do throws(SandboxError) {
        contents.texts = RuleTexts.ofFile(
          bytes, listing: try Sandbox.output(of: ["nft", "-s", "list", "ruleset"]))
      } catch {
        throw FileError("\(error)")
      }
    }
    return contents
  }

  /// A program's words about a file, which it may know by another name.
  private static func said(_ words: [UInt8], of file: String, _ name: String) -> String {
    var text = String(decoding: words, as: UTF8.self)
    if text.hasSuffix("\n") { text.removeLast() }
    return file == name ? text : text.replacing(file, with: name)
  }

  /// Rules of iptables-legacy stand beside those of nf_tables, and nobody reads them here.
  private static func refuseLegacyTables() throws {
    let legacy: String
    do throws(HostStateError) {
      let tables = try HostState.legacyTables()
      guard !tables.isEmpty else { return }
      let names = tables.map { "`\($0)`" }.joined(separator: ", ")
      legacy = names
    } catch {
      throw FileError("\(error)")
    }
    throw NoAnswer.unknown(live, "iptables-legacy has \(legacy) here, which is not read")
  }

  private static func rules(of path: String, _ scope: TableScope) throws(FileError) -> Contents {
    do throws(NFTablesError) {
      var socket = try NetlinkSocket()
      return Contents(
        tables: try LiveRuleset.read(&socket, isOwn: scope.holds).tables, interfaces: HostState.interfaces())
    } catch .refused(errorNumber: EPERM, _, _) {
      throw FileError(
        "cannot read the rules of `\(path)`: that needs CAP_NET_ADMIN in this network namespace, which root has"
      )
    } catch {
      throw FileError("cannot read the rules of `\(path)`: \(error)")
    }
  }

  /// Of what it holds and nobody looks at, a line tells.
  static func toldPolicy(
    _ name: String, _ contents: Contents, like other: HostPolicy? = nil
  ) throws -> LiftedPolicy {
    let lifted = try policy(name, contents, like: other)
    if !lifted.leftOut.isEmpty {
      printError("lockdown: `\(name)`: not looked at: \(lifted.leftOut.joined(separator: ", "))")
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
      throw NoAnswer.unknown(name, "\(error)")
    }
  }
}
