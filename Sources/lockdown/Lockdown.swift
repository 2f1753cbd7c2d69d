import ArgumentParser

@main
struct Lockdown: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lockdown",
    abstract: "Compile, apply and inspect host-lockdown policies.",
    discussion: """
      One reviewed file says what a host may do. `compile` turns it into a bundle for the applier and into text \
      for stock tools; `sandbox` shows what a bundle does without touching the host.

      Exit codes: 0 clean, 1 the policy has errors or does not hold, 2 could not tell, 3 could not run, 64 usage.
      """,
    version: "lockdown \(Version.text)",
    subcommands: [
      CompileCommand.self, CheckCommand.self, DiffCommand.self, RefinesCommand.self, AuditCommand.self,
      TestCommand.self, QueryCommand.self, ExplainCommand.self, FormatCommand.self, ApplyCommand.self,
      VerifyCommand.self, ConfirmCommand.self, RevertCommand.self, OpenCommand.self, SignCommand.self,
      InspectCommand.self, SandboxCommand.self, DigestCommand.self,
      SchemaCommand.self, InstallCommand.self, UninstallCommand.self, StageCommand.self, RollbackCommand.self,
    ])

  /// Parses and runs; DESIGN §8 fixes the exit codes, 64 for a wrong command line among them.
  static func main() {
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch let error as NoAnswer {
      error.tell()
      exit(withError: ExitCode(error.code))
    } catch let error as FileError {
      printError("lockdown: \(error)")
      exit(withError: ExitCode(3))
    } catch {
      exit(withError: error)
    }
  }
}

enum Version {
  /// Of the command line and the compiler; never part of a compiled policy.
  static let text = "0.1.0"
}
