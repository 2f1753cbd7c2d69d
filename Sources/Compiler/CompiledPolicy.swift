package import Analysis
package import Diagnostics
package import PolicyModel
package import Ruleset

/// All that one compile makes.
package struct CompiledPolicy: Sendable {
  package struct OutputFile: Sendable {
    /// Relative to the output directory.
    package var name: String
    /// One behind the other they are its contents.
    package var pieces: [[UInt8]]
    /// Where an output is given away in parts, whether it is known that this is the last one.
    package var isWhole: Bool
    /// Where it replaces what was given away; nil: it comes behind that.
    package var place: Int?

    package init(name: String, pieces: [[UInt8]], isWhole: Bool = false, place: Int? = nil) {
      self.name = name
      self.pieces = pieces
      self.isWhole = isWhole
      self.place = place
    }

    package init(name: String, bytes: [UInt8]) { self.init(name: name, pieces: [bytes]) }

    package var bytes: [UInt8] {
      if pieces.count == 1 { return pieces[0] }
      var bytes: [UInt8] = []
      bytes.reserveCapacity(pieces.reduce(0) { $0 + $1.count })
      for piece in pieces { bytes += piece }
      return bytes
    }
  }

  /// Names of the files of a compile, but for those of sets.
  package static let outputNames: Set<String> = [
    "policy.bundle", "policy.json", "policy.map.json", "closed.bundle", "nftables.nft", "nftables-late.nft",
    "nftables-closed.nft", "sysctl.conf", "modprobe.conf", "mounts.fstab", "seccomp.json", "cmdline.txt",
  ]
  /// The directory of the files of large sets, `NAME.netset`.
  package static let setDirectory = "sets"

  package var policy: HostPolicy
  /// SHA-256 of the canonical policy, 32 bytes.
  package var digest: [UInt8]
  package var proofs: ProofSummary
  /// What the policy states and this version does not enforce, one line each, with the reason.
  package var notEnforced: [String]
  /// Ids of rules whose messages to the kernel nobody can tell to mean them; all others do.
  package var untold: [String]
  /// Every output file of DESIGN §5 (`policy.bundle`, `policy.json`, …), sorted by name; without contents where these
  /// were given away as they were made.
  package var files: [OutputFile]
  /// What the kernel gets. Of many thousand rules it would take long to give it back piece by piece, so that goes with
  /// the rest.
  package var ruleset: Ruleset
  /// For the same reason.
  private let items: ItemList

  init(
    policy: HostPolicy, digest: [UInt8], proofs: ProofSummary, notEnforced: [String],
    untold: [String], files: [OutputFile], ruleset: Ruleset, items: ItemList
  ) {
    self.policy = policy
    self.digest = digest
    self.proofs = proofs
    self.notEnforced = notEnforced
    self.untold = untold
    self.files = files
    self.ruleset = ruleset
    self.items = items
  }
}

/// The result of one run of the compiler: findings always, a policy only if none is an error.
package struct Compilation: Sendable {
  package var sources: SourceFiles
  package var diagnostics: DiagnosticList
  package var policy: CompiledPolicy?
  /// Warnings about rules that do nothing, if they were asked for and there is a policy.
  package var lint: [Diagnostic]

  package init(
    sources: SourceFiles, diagnostics: DiagnosticList, policy: CompiledPolicy?, lint: [Diagnostic] = []
  ) {
    self.sources = sources
    self.diagnostics = diagnostics
    self.policy = policy
    self.lint = lint
  }
}
