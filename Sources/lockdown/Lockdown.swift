import ArgumentParser

@main
struct Lockdown: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lockdown", abstract: "Compile host-lockdown policies.")
}
