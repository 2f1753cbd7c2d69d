import ArgumentParser
import CLinux
import Glibc

struct ApplyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "apply",
    abstract: "Apply a bundle to this host: runs the applier, lockdown-apply, in this process's place.",
    usage: "lockdown apply <bundle> [<applier options> ...]",
    discussion: """
      What follows `apply` goes to the applier as it is; `lockdown apply` alone prints its options. Its exit codes \
      are its own (docs/apply.md): 0 the host equals the bundle, 1 refused and unchanged, 2 could not tell, 3 \
      applied with gaps that are named, 4 the one known to be good is live, 5 closed, for no policy \
      could be applied, 64 usage, 75 busy.
      """)

  @Argument(
    parsing: .captureForPassthrough,
    help: ArgumentHelp("The bundle, and options of the applier.", valueName: "argument"))
  var arguments: [String] = []

  func run() throws {
    if arguments == ["--help"] || arguments == ["-h"] { throw CleanExit.helpRequest(Self.self) }
    try Applier.become(arguments)
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
