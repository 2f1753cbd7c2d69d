import ArgumentParser
import CLinux
import Glibc

struct ApplyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "apply",
    abstract: "Apply a bundle to this host: runs the applier, lockdown-apply, in this process's place.",
    discussion: """
      All options are the applier's; its exit codes are its own (docs/apply.md): 0 the host equals the bundle, 1 \
      refused and unchanged, 2 could not tell, 3 applied with gaps that are named, 75 busy.
      """)

  @Flag(help: "Compare only; change nothing.")
  var check = false

  @Option(help: ArgumentHelp("Only these, with commas: firewall, sysctl, mounts.", valueName: "domains"))
  var only: String?

  @Option(help: ArgumentHelp("Where to write the status report.", valueName: "file"))
  var status: String?

  @Flag(help: "Apply although management was not proved reachable.")
  var force = false

  @Option(help: ArgumentHelp("The applier to run.", valueName: "path"))
  var applier: String?

  @Argument(help: ArgumentHelp("The bundle.", valueName: "bundle"))
  var bundle: String

  func run() throws {
    let program = try Applier.locate(applier)
    var words = [program, bundle]
    if check { words.append("--check") }
    if force { words.append("--force") }
    if let only { words += ["--only", only] }
    if let status { words += ["--status", status] }
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
    arguments.append(nil)
    execv(program, arguments)
    throw FileError(doing: "cannot run", path: program, code: errno)
  }
}

/// Finds the applier: named, beside this program, or along PATH.
enum Applier {
  static let name = "lockdown-apply"

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
