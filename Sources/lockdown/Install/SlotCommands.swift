import ArgumentParser
import BundleFormat
import CanonicalJSON
import Installation

struct StageCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stage",
    abstract: "Let the next boot try a bundle; without a health mark the host falls back by itself.",
    discussion: """
      The bundle becomes the slot `next`. Each boot that begins with it counts; when one reaches boot-complete.target, \
      it becomes `current`, and what was current `previous`. After --boots boots without that, or once it cannot be \
      applied, it is given up, and the host boots with `current` again.

      Where the host was installed with a key, the bundle's signature must stand beside it, as `sign` writes it.

      Without a bundle it prints the slots.

      Exit codes: 0 done; 1 refused, nothing is changed; 3 a file cannot be read or written.
      """)

  @Option(help: ArgumentHelp("The directory that is the host's root.", valueName: "directory"))
  var root = "/"

  @Option(help: ArgumentHelp("How many boots may begin with it, 1 to 9.", valueName: "number"))
  var boots: UInt8 = SlotState.defaultLimit

  @Option(help: ArgumentHelp("How to print: text or json.", valueName: "format"))
  var format = OutputFormat.text

  @Argument(help: ArgumentHelp("The bundle to try.", valueName: "bundle"))
  var bundle: String?

  func validate() throws {
    guard boots >= 1, boots <= SlotState.maximumLimit else {
      throw ValidationError("--boots takes a number from 1 to \(SlotState.maximumLimit)")
    }
  }

  func run() throws {
    let read = try bundle.map { path in
      let bytes = try FileBytes.read(path)
      return (
        path: path, bytes: bytes, closed: try BundleFile.decodePolicy(bytes, path: path).closedStage.encoded()
      )
    }
    let host = try SlotReport.installedHost(root)
    var state = try host.slots()
    if let read {
      let signature = try host.key().map {
        try BundleSignature.read(
          beside: read.path, of: read.bytes, by: $0, named: host.root.name(InstalledPath.key))
      }
      let name = try host.write(bundle: read.bytes, closed: read.closed, signature: signature)
      if !state.stage(name, limit: boots) {
        printError("lockdown: that bundle is the current slot: nothing is tried next")
      }
      try host.write(state)
    }
    SlotReport.print(state, format)
  }
}

struct RollbackCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rollback",
    abstract: "Take back what is staged, else go back to the slot before the current one.",
    discussion: """
      With a slot `next`, that one is not tried. Without, `current` and `previous` change places, so that a second \
      rollback undoes the first. It is about the next boot; `lockdown apply` on the bundle that is printed goes back \
      at once.

      Exit codes: 0 done; 1 there is nothing to go back to; 3 a file cannot be read or written.
      """)

  @Option(help: ArgumentHelp("The directory that is the host's root.", valueName: "directory"))
  var root = "/"

  @Option(help: ArgumentHelp("How to print: text or json.", valueName: "format"))
  var format = OutputFormat.text

  func run() throws {
    let host = try SlotReport.installedHost(root)
    var state = try host.slots()
    guard state.rollBack() != .nothingToGoBackTo else {
      printError("lockdown: nothing is staged, and there is no slot before the current one")
      throw ExitCode(1)
    }
    try host.write(state)
    SlotReport.print(state, format)
  }
}

/// Prints the slots.
enum SlotReport {
  /// A root that has an installation; else exit code 1.
  static func installedHost(_ root: String) throws -> InstalledHost {
    let host = try InstalledHost(RootDirectory(root))
    guard try host.manifest() != nil else {
      printError("lockdown: nothing is installed below \(root): `lockdown install` comes first")
      throw ExitCode(1)
    }
    return host
  }

  static func print(_ state: SlotState, _ format: OutputFormat) {
    let slots = [
      ("current", state.current), ("next", state.next), ("previous", state.previous),
      ("failed", state.failed),
    ]
    switch format {
    case .text:
      var lines: [String] = []
      for (word, name) in slots where !name.isEmpty {
        let padding = String(repeating: " ", count: 9 - word.utf8.count)
        var line = word + padding + String(decoding: name, as: UTF8.self)
        if word == "next" { line += ", \(state.attempts) of \(state.limit) boots" }
        lines.append(line)
      }
      StandardOutput.write(lines.map { $0 + "\n" }.joined())
    case .json:
      var members = slots.map { word, name in
        JSONValue.Member(word, name.isEmpty ? .null : .string(String(decoding: name, as: UTF8.self)))
      }
      members.append(.init("boots", state.next.isEmpty ? .null : JSONValue(Int(state.attempts))))
      members.append(.init("limit", state.next.isEmpty ? .null : JSONValue(Int(state.limit))))
      StandardOutput.write(.object(members))
    }
  }
}
