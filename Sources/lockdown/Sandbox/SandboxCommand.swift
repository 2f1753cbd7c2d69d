import ArgumentParser
import BundleFormat
import Glibc

struct SandboxCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sandbox",
    abstract: "Apply a bundle in fresh network and mount namespaces and look at it, or run a command there.",
    discussion: """
      Nothing reaches the host: everything is gone with the last process inside. What has no namespace (most \
      sysctls, modules, the lockdown level) is left out, and listed.

      Without a command it prints what the kernel then holds. --probe adds what really gets in: a packet to every \
      TCP and UDP port, sent by a neighbour over a network interface made before the policy is applied. A port is \
      open when its packet reaches the host's sockets, whether or not somebody listens.

      Root needs nothing else; an ordinary user needs unprivileged user namespaces.
      """)

  @Argument(help: ArgumentHelp("The bundle to apply.", valueName: "bundle"))
  var bundle: String

  @Flag(help: "Send real packets from a neighbour and list the ports they reach.")
  var probe = false

  @Option(
    help: ArgumentHelp(
      "Where the packets come from: an IPv4 or IPv6 address, one of each at most.", valueName: "address"))
  var from: [String] = []

  @Option(help: ArgumentHelp("The interface the packets come in by.", valueName: "name"))
  var interface = "eth0"

  @Option(help: ArgumentHelp("How to print: text or json.", valueName: "format"))
  var format = OutputFormat.text

  @Option(help: ArgumentHelp("The applier to run.", valueName: "path"))
  var applier: String?

  @Argument(parsing: .postTerminator, help: ArgumentHelp("A command to run inside.", valueName: "command"))
  var command: [String] = []

  func validate() throws {
    for address in from where NumericAddress.bytes(address) == nil {
      throw ValidationError("`\(address)` is no IPv4 or IPv6 address")
    }
    if Set(from.compactMap { NumericAddress.bytes($0)?.count }).count < from.count {
      throw ValidationError("--from takes one address of each family")
    }
    // IFNAMSIZ of linux/if.h, with its NUL.
    if interface.isEmpty || interface.utf8.count > 15 || interface.contains("/") || interface == "lo" {
      throw ValidationError("`\(interface)` is no name for the interface")
    }
    if !command.isEmpty, probe || format == .json {
      throw ValidationError("a command takes the place of the report: no --probe and no --format")
    }
  }

  func run() throws {
    let contents = try BundleFile.decode(try FileBytes.read(bundle), path: bundle)
    let program = try Applier.locate(applier)
    let code: Int32
    do throws(SandboxError) {
      code = try Sandbox.run { () throws(SandboxError) -> Int32 in try inside(contents, program) }
    } catch {
      printError("lockdown: sandbox: \(error)")
      throw ExitCode(3)
    }
    if code != 0 { throw ExitCode(code) }
  }

  /// In the child, inside the namespaces.
  private func inside(_ contents: BundleContents, _ program: String) throws(SandboxError) -> Int32 {
    // Before the policy, which then meets the interface as at a boot.
    let neighbour = probe ? try neighbour() : nil
    let bound = try SandboxMounts.prepare(contents)
    let (applicable, absent) = SandboxContents.split(contents)
    var leftOut = absent
    if !bound.isEmpty {
      leftOut.append(
        "no mount points here, so bound to themselves to have flags: \(bound.joined(separator: ", "))")
    }
    // The report has them too; a command prints only its own output.
    if !command.isEmpty { for line in leftOut { printError("lockdown: sandbox: left out: \(line)") } }
    let applied = try apply(applicable, program)
    // 3: applied, with gaps that the applier has named.
    guard applied == 0 || applied == 3 else {
      printError("lockdown: sandbox: the applier ended with \(applied), so there is nothing to show")
      return 3
    }
    if !command.isEmpty { return try Sandbox.spawn(command) }
    var report = try SandboxReport(contents: contents, leftOut: leftOut, hasGaps: applied == 3)
    if let neighbour {
      Terminal.progress(
        "sending a packet to each of \(ProbeReport.portCount) ports, TCP and UDP, IPv4 and IPv6")
      do throws(ProbeError) {
        report.probe = try PacketProbe.run(neighbour)
      } catch {
        throw SandboxError(doing: "probing: \(error.doing)", code: error.code)
      }
    }
    switch format {
    case .text: StandardOutput.write(report.text)
    case .json: StandardOutput.write(report.json)
    }
    return report.isSamePolicy ? 0 : 1
  }

  private func neighbour() throws(SandboxError) -> Neighbour {
    do throws(ProbeError) {
      return try Neighbour(interface: interface, sources: from.compactMap(NumericAddress.bytes))
    } catch {
      throw SandboxError(doing: error.doing, code: error.code)
    }
  }

  private func apply(_ contents: BundleContents, _ program: String) throws(SandboxError) -> Int32 {
    let path = "\(Sandbox.directory)/policy.bundle"
    try Sandbox.writeFile(path, contents.encoded(), flags: O_WRONLY | O_CREAT | O_EXCL)
    var words = [program, path, "--status", "\(Sandbox.directory)/status.json"]
    if !contents.isManagementProved { words.append("--force") }
    return try Sandbox.spawn(words, output: .error)
  }
}
