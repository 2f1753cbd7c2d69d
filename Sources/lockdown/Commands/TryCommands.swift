import ArgumentParser

struct ConfirmCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "confirm",
    abstract: "Keep the policy that `apply --try` has loaded for a time.",
    discussion: """
      From a shell over SSH: that connection must have begun under the tried policy, which proves that one can still \
      be made. At the machine itself --console says that nobody needs to. Then the bundle is applied as by `apply`, \
      with what waited for this.

      Exit codes are those of `apply`; 1 also where nothing is tried, the connection is older than the try, or less \
      than two seconds are left. Otherwise the kernel goes back by itself.
      """)

  @Flag(help: "Confirm at the machine, without proof that a connection can be made.")
  var console = false

  func run() throws { try Applier.become(["--confirm"] + (console ? ["--console"] : [])) }
}

struct RevertCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "revert",
    abstract: "End a try at once, or an opening: the firewall from before rules again.",
    discussion: """
      Without it the kernel does the same when the time of the try, or of `lockdown open`, is over.

      Exit codes: 0 reverted; 1 nothing is tried or open; 2 could not tell; 75 another applier is at work.
      """)

  func run() throws { try Applier.become(["--revert"]) }
}
