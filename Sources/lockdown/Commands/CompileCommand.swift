import ArgumentParser
import CanonicalJSON
import Compiler
import SideThread

struct CompileCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compile",
    abstract: "Compile a policy into a bundle and into text for stock tools.",
    discussion: """
      Writes a directory, `NAME.compiled` here unless -o names one: policy.bundle for the applier, \
      and closed.bundle, the firewall before it, for an initramfs; policy.json and its source map for people and \
      tools; and nftables.nft, nftables-late.nft, nftables-closed.nft, sysctl.conf, modprobe.conf, mounts.fstab, \
      seccomp.json and cmdline.txt for hosts without our applier. The directory is there whole or not at all. The same policy gives the same bytes on every machine.
      """)

  @Argument(help: ArgumentHelp("The policy; - is standard input.", valueName: "file"))
  var file: String

  @Option(name: [.short, .long], help: ArgumentHelp("The directory to write.", valueName: "directory"))
  var output: String?

  @Option(help: ArgumentHelp("How to print: text or json.", valueName: "format"))
  var format = OutputFormat.text

  @Option(
    help: ArgumentHelp(
      "Judge exceptions on that day, YYYY-MM-DD, too; the output does not depend on it.", valueName: "date"))
  var asOf: String?

  func validate() throws {
    if let asOf, Expiry.Day(asOf) == nil { throw ValidationError("`\(asOf)` is no day: write YYYY-MM-DD") }
    if file == "-", output == nil { throw ValidationError("standard input has no name: say -o DIRECTORY") }
  }

  func run() throws {
    let directory = OutputDirectory(path: output ?? defaultOutput)
    let compilation = CompileRun.run(file, judgedOn: asOf.flatMap(Expiry.Day.init)) {
      directory.take($0)
    }
    if format == .text { CompileRun.report(compilation) }
    guard let policy = compilation.policy else {
      directory.discard()
      if format == .json {
        StandardOutput.write(["findings": CompileRun.findings(compilation), "output": .null, "policy": .null])
      }
      throw ExitCode(CompileRun.exitCode(compilation))
    }
    let finishing = SideThread { Result { () throws(FileError) in try directory.finish() } }
    // Beside the disk.
    let summary =
      switch format {
      case .text: CompileSummary(policy).text(output: directory.path)
      case .json:
        JSONValue.object([
          .init("findings", CompileRun.findings(compilation)), .init("output", .string(directory.path)),
          .init("policy", CompileSummary(policy).json),
        ]).pretty()
      }
    try finishing.wait().get()
    StandardOutput.write(summary)
    Self.exit(keeping: compilation)
  }

  /// What a policy of many thousand rules has become need not be given back piece by piece. A value that was used for
  /// the last time would be; this one is the caller's until the end.
  @inline(never)
  private static func exit(keeping compilation: Compilation) -> Never { exit() }

  /// `policies/cos.cos` → `cos.compiled`, in the working directory as with other compilers.
  private var defaultOutput: String {
    let name = file.lastIndex(of: "/").map { file[file.index(after: $0)...] } ?? file[...]
    return (name.hasSuffix(".cos") ? name.dropLast(4) : name) + ".compiled"
  }
}
