internal import Analysis
internal import BundleFormat
internal import CanonicalJSON
package import Diagnostics
internal import NFTables
internal import PolicyChecker
internal import PolicyModel
internal import PolicySyntax
internal import Ruleset
internal import Seccomp
internal import SideThread
internal import TextBackends

/// From sources to findings or finished files: the one entry point. It opens no file and no socket, and reads no
/// clock and no environment, so the same bytes always give the same bytes.
package enum PolicyCompiler {
  /// Bytes of a policy's file; a longer one is refused, so that nobody need read more of it.
  package static let longestPolicy = DocumentLimits.bytes

  /// Compiles one policy.
  ///
  /// - Parameters:
  ///   - path: As findings name the file. Outputs hold its last component alone, so that they do not depend on
  ///     the directory.
  ///   - reader: Where the files come from that the policy names, their paths relative to the same directory as
  ///     `path`.
  ///   - lints: Whether warnings about rules that do nothing are wanted too.
  ///   - take: Is given the outputs as they are made, on whatever thread: a long one in several parts, one behind
  ///     the other; some perhaps though there is no policy in the end. Nil: the policy holds them.
  package static func compile(
    path: String, bytes: [UInt8], reader: any SourceReader = SourceDictionary(),
    lints: Bool = false, take: (@Sendable (CompiledPolicy.OutputFile) -> Void)? = nil
  ) -> Compilation {
    var sources = SourceFiles()
    var diagnostics = DiagnosticList()
    let file = sources.add(path: path, bytes: bytes)
    var lint: [Diagnostic] = []
    let policy = compile(
      file, in: &sources, reader, diagnostics: &diagnostics, lint: lints ? { lint = $0 } : nil,
      OutputCollection(take))
    diagnostics.sortByPlace()
    return Compilation(sources: sources, diagnostics: diagnostics, policy: policy, lint: lint)
  }

  private static func compile(
    _ file: SourceFile, in sources: inout SourceFiles, _ reader: any SourceReader,
    diagnostics: inout DiagnosticList, lint: (([Diagnostic]) -> Void)?, _ outputs: OutputCollection
  ) -> CompiledPolicy? {
    guard
      var policy = PolicyChecker.check(
        file, in: &sources, reader: reader, keepsRefuted: true, diagnostics: &diagnostics)
    else { return nil }
    // It takes longer than the rest, and needs nothing of it.
    let wantsLint = lint != nil
    let linting = SideThread { [policy, sources] in wantsLint ? Lint.check(policy, in: sources) : [] }
    for index in policy.ancestors.indices.dropFirst() {
      let base = policy.ancestors[index - 1]
      Refinement.check(&policy.ancestors[index], from: base, diagnostics: &diagnostics)
    }
    if let base = policy.ancestors.last { Refinement.check(&policy, from: base, diagnostics: &diagnostics) }
    judgeComparisons(&policy, diagnostics: &diagnostics)
    // The policy as one value, which its digest names, takes as long as the rest of these together.
    let naming: SideThread<CanonicalPolicy>
    let proofs: ProofSummary
    if policy.allExceptions.isEmpty {
      naming = SideThread { [policy] in CanonicalPolicy(policy, outputs) }
      proofs = Analysis.prove(&policy, diagnostics: &diagnostics)
    } else {
      // The proofs note at an exception what it lets through, which is a part of the policy's value.
      proofs = Analysis.prove(&policy, diagnostics: &diagnostics)
      naming = SideThread { [policy] in CanonicalPolicy(policy, outputs) }
    }
    guard !diagnostics.hasErrors else { return nil }
    var ruleset = Lowering.lower(policy)
    for excess in ChainDepth.excesses(in: ruleset) {
      let rule = policy.firewall?.rules.first { $0.id == excess.ruleID }
      diagnostics.report(
        Diagnostic(
          .chainDepth, at: rule?.span ?? policy.span,
          "this leads through more than \(ChainDepth.maximum) chains, and the kernel follows no further",
          help: [
            "the way is \(excess.path.map { "`\($0)`" }.joined(separator: " → "))",
            "a name that begins with `_` is a chain the compiler makes, for a negation or for `return` and `goto` that one rule cannot say",
          ]))
    }
    guard !diagnostics.hasErrors else { return nil }
    let canonical = naming.wait()
    let digest = canonical.digest
    ruleset.setDigest(digest, of: policy)
    // Beside the items and the messages. The disk is slower than the rest: it may have what is whole.
    let text = SideThread { [ruleset] in outputs.add("nftables.nft", NFTText.pieces(ruleset)) }
    let flushing = SideThread { outputs.finish("policy.json") }
    let items = ItemList(policy, sources: sources)
    let sourceMap = items.sourceMap
    outputs.add("policy.map.json", sourceMap)
    let closed = Lowering.lowerClosedStage(of: policy, digest: digest)
    let messages: KernelMessages
    do throws(NFTablesError) {
      messages = try KernelMessages(of: ruleset, closed: closed, items)
    } catch {
      // The checker refuses what the kernel cannot hold; what it has missed must not become a bundle.
      diagnostics.report(
        Diagnostic(
          .notEncodable, at: policy.firewall?.span ?? policy.span, "the firewall cannot be encoded: \(error)",
          help: ["this is a fault of the compiler, and nothing was written"]))
      return nil
    }

    let translation = SideThread { [policy, ruleset] in
      TranslationCheck.check(
        policy, ruleset, messages: messages.rules, deviceChains: messages.deviceChains,
        controlGroups: messages.controlGroups
      ) { items.id(of: $0) }
    }

    let filter = policy.systemCalls.map { FilterCompiler.compile($0, policy.target) }
    if let filter, filter.count > FilterCompiler.maximumLength {
      diagnostics.report(
        Diagnostic(
          .syscallTooLong, at: policy.systemCalls?.span ?? policy.span,
          "the filter of system calls has \(filter.count) instructions; \(FilterCompiler.maximumLength) is the kernel's limit",
          help: ["conditions on arguments cost most"]))
      return nil
    }

    let notEnforced = NotEnforced.list(policy, ruleset)
    let bundle = BundleAssembly.bundle(
      policy, digest: digest, messages, items: items, filter: filter,
      isManagementProved: proofs.isManagementProved, notEnforced: notEnforced, sourceMap: sourceMap)
    // The longest that is left: the disk is busy with it while the rest is made.
    let pieces = bundle.encodedPieces()
    let checksum = SideThread { BundleContents.checksum(of: pieces) }
    outputs.add("policy.bundle", pieces)
    outputs.replace("policy.bundle", at: BundleContents.checksumOffset, checksum.wait())
    outputs.add("closed.bundle", bundle.closedStage.encoded())
    outputs.add("nftables-late.nft", NFTText.printLate(ruleset))
    outputs.add("nftables-closed.nft", NFTText.printClosedStage(closed))
    outputs.add("sysctl.conf", SysctlText.print(policy))
    outputs.add("modprobe.conf", ModprobeText.print(policy))
    outputs.add("mounts.fstab", FstabText.print(policy))
    outputs.add("seccomp.json", SeccompText.print(policy))
    outputs.add("cmdline.txt", CommandLineText.print(policy))
    for set in canonical.largeSets { outputs.add(set.fileName, set.netset.text) }
    text.wait()
    flushing.wait()
    let flushingBundle = SideThread { outputs.finish("policy.bundle") }
    let translated = translation.wait()
    if let mismatch = translated.mismatch {
      let rule = mismatch.ruleID.flatMap { id in policy.firewall?.rules.first { $0.id == id } }
      diagnostics.report(
        Diagnostic(
          .mistranslated, at: rule?.span ?? policy.firewall?.span ?? policy.span,
          "the kernel's rules would not mean this: \(mismatch.reason)",
          help: ["this is a fault of the compiler, and nothing was written"]))
      return nil
    }
    flushingBundle.wait()
    lint?(linting.wait())
    return CompiledPolicy(
      policy: policy, digest: digest, proofs: proofs, notEnforced: notEnforced,
      untold: translated.untold, files: outputs.files, ruleset: ruleset, items: items)
  }
}
