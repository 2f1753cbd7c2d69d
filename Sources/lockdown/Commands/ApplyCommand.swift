import ArgumentParser
import BundleFormat
import CLinux
import CanonicalJSON
import Compiler
import Glibc
import NFTables
import PolicyModel
import SHA2

struct ApplyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "apply",
    abstract: "Apply a bundle to this host, and list established flows that its policy denies.",
    usage: "lockdown apply <bundle> [--cut-flows] [<applier options> ...]",
    discussion: """
      What follows `apply` goes to the applier, lockdown-apply, as it is, but for --cut-flows; `lockdown apply` alone \
      prints its options. Its exit codes are its own (docs/apply.md): 0 the host equals the bundle, 1 refused and \
      unchanged, 2 could not tell, 3 applied with gaps that are named, 4 the one known to be good is live, 5 closed, \
      for no policy could be applied, 64 usage, 75 busy.

      A new policy does not end what is established. Behind a run that has applied a policy (0 or 3) each connection \
      that the kernel tracks is judged as a new packet, and those that the policy denies are listed with the line that \
      decides. --cut-flows makes the kernel forget exactly these; where one is not certain to be gone, the exit code \
      is 3.
      """)

  @Argument(
    parsing: .captureForPassthrough,
    help: ArgumentHelp("The bundle, and options of the applier.", valueName: "argument"))
  var arguments: [String] = []

  private static let cutFlows = "--cut-flows"
  /// Behind these nothing was applied for good, or something else runs in the applier's place.
  private static let otherRuns: Set<String> = ["--check", "--try", "--stage", "--follow", "--"]

  func run() throws {
    if arguments == ["--help"] || arguments == ["-h"] { throw CleanExit.helpRequest(Self.self) }
    let own = arguments.prefix { $0 != "--" }
    let cuts = own.contains(Self.cutFlows)
    let passed = own.filter { $0 != Self.cutFlows } + arguments.dropFirst(own.count)
    let other = passed.first { Self.otherRuns.contains($0) }
    if cuts, let other {
      printError(
        "lockdown: \(Self.cutFlows) does not go with \(other): flows are judged when a policy is applied for good"
      )
      throw ExitCode(64)
    }
    guard let bundle = passed.first, !bundle.hasPrefix("-"), other == nil else {
      return try Applier.become(Array(passed))
    }
    let code = try Applier.run(Array(passed))
    guard code == 0 || code == 3, appliesFirewall(passed) else { throw ExitCode(code) }
    throw ExitCode(try judgeFlows(bundle, cuts: cuts) ? code : 3)
  }

  /// `--only` may leave the firewall as it was.
  private func appliesFirewall(_ arguments: [String]) -> Bool {
    guard let index = arguments.lastIndex(of: "--only"), index + 1 < arguments.count else { return true }
    return arguments[index + 1].split(separator: ",").contains("firewall")
  }

  /// - Returns: whether there is nothing more to name than what was not asked to be cut.
  private func judgeFlows(_ bundle: String, cuts: Bool) throws -> Bool {
    let bytes = try FileBytes.read(bundle)
    let digest = SHA256.hex(try BundleFile.decode(bytes, path: bundle).policyDigest)
    guard let policy = try BundleFile.policy(bytes, path: bundle), policy.policy.firewall != nil else {
      return true
    }
    guard try PolicyIdentity.live().digest == "sha256:" + String(decoding: digest, as: UTF8.self) else {
      printError("lockdown: the established flows: the kernel holds another policy than `\(bundle)` by now")
      return !cuts
    }
    do throws(NFTablesError) {
      var socket = try NetlinkSocket()
      guard let flows = try EstablishedFlows(judgedBy: policy, &socket) else { return true }
      if flows.unknownCount > 0 {
        StandardOutput.write(
          "established flows of which could not be told whether the policy denies them: \(flows.unknownCount)\n"
        )
      }
      var cut: EstablishedFlows.Cut?
      if flows.deniedCount > 0 {
        StandardOutput.write(
          "established flows that the policy denies: \(flows.deniedCount)\n" + Self.list(flows.lines))
        if cuts {
          let done = try flows.cut(&socket)
          StandardOutput.write(Self.list(done.lines))
          cut = done
        }
      }
      note(flows, cut, digest)
      return cut?.isCertain ?? true
    } catch {
      printError("lockdown: the established flows: \(error)")
      return !cuts
    }
  }

  private static func list(_ lines: [String]) -> String { lines.map { "  \($0)\n" }.joined() }

  /// Adds them to the status file that the applier has just written for this policy. As there, nothing depends on it.
  private func note(_ flows: EstablishedFlows, _ cut: EstablishedFlows.Cut?, _ digest: [UInt8]) {
    let named = arguments.lastIndex(of: "--status").flatMap { index in
      index + 1 < arguments.count ? arguments[index + 1] : nil
    }
    let path = named ?? "/run/lockdown/status.json"
    guard let bytes = try? FileBytes.read(path), let status = try? JSONValue(parsing: bytes),
      case .object(var members) = status, status["digest"] == .string(String(decoding: digest, as: UTF8.self))
    else { return }
    members.append(
      JSONValue.Member(
        "flows",
        .object(present: [
          ("denied", JSONValue(flows.lines)), ("unknown", JSONValue(flows.unknownCount)),
          ("cut", cut.map { JSONValue($0.lines) }), ("certain", cut.map { .bool($0.isCertain) }),
        ])))
    do throws(FileError) {
      try ReplacedFile.write(path, JSONValue.object(members).canonical() + Array("\n".utf8))
    } catch {
      printError("lockdown: the established flows: \(error)")
    }
  }
}

/// Finds the applier: named, beside this program, or along PATH.
enum Applier {
  static let name = "lockdown-apply"

  /// Runs it in this process's place.
  static func become(_ arguments: [String]) throws {
    let program = try locate(nil)
    var words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) }
    words.append(nil)
    execv(program, words)
    throw FileError(doing: "cannot run", path: program, code: errno)
  }

  /// Runs it and waits for its end.
  ///
  /// - Returns: its exit code, 128 + N for signal N.
  static func run(_ arguments: [String]) throws -> Int32 {
    let program = try locate(nil)
    do throws(SandboxError) {
      return try Sandbox.spawn([program] + arguments)
    } catch {
      throw FileError("\(error)")
    }
  }

  static func locate(_ named: String?) throws(FileError) -> String {
    if let named { return try usable(named) }
    var buffer = [CChar](repeating: 0, count: 4096)
    let count = readlink("/proc/self/exe", &buffer, buffer.count)
    if count > 0 {
      let own = String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
      if let slash = own.lastIndex(of: "/") {
        let beside = own[...slash] + name
        if access(String(beside), X_OK) == 0 { return String(beside) }
      }
    }
    let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/sbin:/usr/bin:/sbin:/bin"
    for directory in path.split(separator: ":") {
      let candidate = "\(directory)/\(name)"
      if access(candidate, X_OK) == 0 { return candidate }
    }
    throw FileError(doing: "cannot find the applier", path: name, code: ENOENT)
  }

  private static func usable(_ path: String) throws(FileError) -> String {
    guard access(path, X_OK) == 0 else { throw FileError(doing: "cannot run", path: path, code: errno) }
    return path
  }
}
