import ArgumentParser

struct OpenCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "open",
    abstract: "Let everything pass the firewall of this host for a time, which the kernel itself ends.",
    discussion: """
      TIME is a clock time of this host's time zone, as 18:30, of today or else of tomorrow; a time as RFC 3339 writes \
      it, 2026-11-26T18:30:00+01:00; or how long, as 2h, 30m or 1h30m. At most 24 hours.

      The chains of this firewall that close are opened, be it a policy's or the closed one: everything passes them, and \
      nothing else changes. Tables of others are not opened. Open already, it is open until the new time. `lockdown \
      revert` ends it early, and so does every run that applies something; `lockdown apply BUNDLE --check` says that \
      the host is open, and for how long.

      Exit codes: 0 open; 1 refused and unchanged, for there is no firewall that closes anything; 2 could not tell, or \
      no privilege; 64 usage; 75 a policy is tried, or another applier is at work.
      """)

  @Option(help: ArgumentHelp("When it ends.", valueName: "time"))
  var until: String

  func run() throws {
    let now = Clock.now()
    let end: Int
    do throws(OpeningEnd.Failure) {
      end = try OpeningEnd.parse(until, now: now)
    } catch {
      throw ValidationError("--until: \(error.text)")
    }
    let code = try Applier.run(["--open", String(end - now)])
    guard code == 0 else { throw ExitCode(code) }
    StandardOutput.write("open until \(Clock.text(end))\n")
  }
}
