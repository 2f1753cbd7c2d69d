import ArgumentParser
import BundleFormat
import Glibc
import HostState

struct SandboxCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sandbox",
    abstract: "Apply a bundle in fresh network and mount namespaces and look at it, or run a command there.",
    discussion: """
      Nothing reaches the host: everything is gone with the last process inside. What has no namespace (most \
      sysctls, modules, the lockdown level) is left out, and listed.

      Root needs nothing else; an ordinary user needs unprivileged user namespaces.
      """)

  @Argument(help: ArgumentHelp("The bundle to apply.", valueName: "bundle"))
  var bundle: String

  @Flag(help: "Send real packets from a neighbour namespace and list the ports that answer.")
  var probe = false

  @Option(help: ArgumentHelp("The applier to run.", valueName: "path"))
  var applier: String?

  @Argument(parsing: .postTerminator, help: ArgumentHelp("A command to run inside.", valueName: "command"))
  var command: [String] = []

  func run() throws {
    let bytes = try FileBytes.read(bundle)
    let contents = try BundleFile.decode(bytes, path: bundle)
    let program = try Applier.locate(applier)
    let code: Int32
    do throws(SandboxError) {
      code = try Sandbox.run { () throws(SandboxError) -> Int32 in
        try inside(bytes, contents, program)
      }
    } catch {
      printError("lockdown: sandbox: \(error)")
      throw ExitCode(3)
    }
    if code != 0 { throw ExitCode(code) }
  }

  /// In the child, inside the namespaces.
  private func inside(
    _ bytes: [UInt8], _ contents: BundleContents, _ program: String
  ) throws(SandboxError) -> Int32 {
    let path = "\(Sandbox.directory)/policy.bundle"
    try Sandbox.writeFile(path, bytes, flags: O_WRONLY | O_CREAT | O_EXCL)
    // 3: applied, with gaps that the applier names; here the global domains are always such a gap.
    var words = [program, path]
    if !contents.isManagementProved { words.append("--force") }
    let applied = try Sandbox.spawn(words, outputToError: true)
    guard applied == 0 || applied == 3 else {
      printError("lockdown: sandbox: the applier ended with \(applied)")
      return applied
    }
    if !command.isEmpty { return try Sandbox.spawn(command) }
    return try SandboxReport.print(contents: contents, probe: probe) ? 0 : 1
  }
}
