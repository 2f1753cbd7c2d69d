import ArgumentParser
import CanonicalJSON
import Compiler
import HostState

struct DigestCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "digest",
    abstract: "Print the digest of a policy, of what was compiled from it, or of what the kernel holds.",
    discussion: """
      A file may be a policy, which is compiled; a policy.json, whose digest and sets are computed anew; a bundle, \
      which is checked as the applier checks it; or a directory of a compile, whose parts must agree. --live reads \
      the label in the kernel of this network namespace: it names the policy and proves nothing.

      Exit codes: 0 all are the same policy; 1 they differ, the policy has errors, or a file is not what it says; \
      2 the kernel's label cannot be told; 3 a file or the kernel cannot be read.
      """)

  @Argument(
    help: ArgumentHelp(
      "Policies, bundles, policy.json or directories; - is standard input.", valueName: "file"))
  var files: [String] = []

  @Flag(help: "Also the kernel's own, first; it is none where no policy is loaded.")
  var live = false

  @Option(help: ArgumentHelp("How to print: text or json.", valueName: "format"))
  var format = OutputFormat.text

  func validate() throws {
    if files.isEmpty, !live { throw ValidationError("name a file, or say --live") }
    if files.count(where: { $0 == "-" }) > 1 { throw ValidationError("standard input can be read once") }
  }

  func run() throws {
    var found: [PolicyIdentity] = []
    var code: Int32 = 0
    if live {
      let identity = try PolicyIdentity.live()
      if identity.isUnknown { code = 2 }
      found.append(identity)
    }
    for file in files { found.append(try PolicyIdentity(file)) }
    switch format {
    case .text: StandardOutput.write(found.map { "\($0.digest ?? "none")  \($0.source)\n" }.joined())
    case .json: StandardOutput.write(.array(found.map(\.json)))
    }
    let digests = Set(found.filter { !$0.isUnknown }.map(\.digest))
    if digests.count > 1 || digests == [nil] { code = 1 }
    if code != 0 { throw ExitCode(code) }
  }
}
