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
  /// Compiles one policy.
  ///
  /// - Parameters:
  ///   - path: As findings name the file. Outputs hold its last component alone, so that they do not depend on
  ///     the directory.
  ///   - reader: Where the files come from that the policy names, their paths relative to the same directory as
  ///     `path`.
  ///   - take: Is given each output once, as soon as it is finished, on whatever thread; some perhaps though there
  ///     is no policy in the end.
  package static func compile(
    path: String, bytes: [UInt8], reader: any SourceReader = SourceDictionary(),
    take: @escaping @Sendable (CompiledPolicy.OutputFile) -> Void = { _ in }
  ) -> Compilation {
    var sources = SourceFiles()
    var diagnostics = DiagnosticList()
    let file = sources.add(path: path, bytes: bytes)
    let policy = compile(file, in: &sources, reader, diagnostics: &diagnostics, take)
    diagnostics.sortByPlace()
    return Compilation(sources: sources, diagnostics: diagnostics, policy: policy)
  }

  private static func compile(
    _ file: SourceFile, in sources: inout SourceFiles, _ reader: any SourceReader,
    diagnostics: inout DiagnosticList, _ take: @escaping @Sendable (CompiledPolicy.OutputFile) -> Void
  ) -> CompiledPolicy? {
    guard
      var policy = PolicyChecker.check(file, in: &sources, reader: reader, diagnostics: &diagnostics),
      !diagnostics.hasErrors
    else { return nil }
    for index in policy.ancestors.indices.dropFirst() {
      let base = policy.ancestors[index - 1]
      Refinement.check(&policy.ancestors[index], from: base, diagnostics: &diagnostics)
    }
    if let base = policy.ancestors.last { Refinement.check(&policy, from: base, diagnostics: &diagnostics) }
    judgeComparisons(&policy, diagnostics: &diagnostics)
    let proofs: ProofSummary
    let (canonical, ruleset): (CanonicalPolicy, Ruleset)
    let listing: SideThread<Listing>
    if policy.allExceptions.isEmpty {
      let lowering = SideThread { [policy] in lower(policy) }
      listing = list(policy, sources, take)
      proofs = Analysis.prove(&policy, diagnostics: &diagnostics)
      (canonical, ruleset) = lowering.wait()
    } else {
      listing = list(policy, sources, take)
      // The proofs note at an exception what it lets through, which is a part of the policy's value.
      proofs = Analysis.prove(&policy, diagnostics: &diagnostics)
      (canonical, ruleset) = lower(policy)
    }
    guard !diagnostics.hasErrors else { return nil }
    let document = CompiledPolicy.OutputFile(name: "policy.json", pieces: canonical.document)
    let writing = SideThread { take(document) }

    let digest = canonical.digest
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
    let closed = Lowering.lowerClosedStage(of: policy, digest: digest)
    let items = listing.wait().items
    let sourceIndex: @Sendable (String) -> UInt32 = { items.index(of: $0) }
    let messages: [EncodedMessage]
    let closedMessages: [EncodedMessage]
    let deviceChains: [DeviceBatch]
    let controlGroups: [ControlGroupElement]
    do {
      messages = try MessageSection.encode(ruleset, sourceIndex: sourceIndex)
      closedMessages = try MessageSection.encode(closed, sourceIndex: sourceIndex)
      deviceChains = try BatchEncoder.encodeDeviceChains(of: ruleset, sourceIndex: sourceIndex)
      controlGroups = try BatchEncoder.encodeControlGroups(of: ruleset, sourceIndex: sourceIndex)
    } catch {
      // The checker refuses what the kernel cannot hold; what it has missed must not become a bundle.
      diagnostics.report(
        Diagnostic(
          .notEncodable, at: policy.firewall?.span ?? policy.span, "the firewall cannot be encoded: \(error)",
          help: ["this is a fault of the compiler, and nothing was written"]))
      return nil
    }

    let isReadBack = policy.firewall?.ruleCount ?? 0 <= TranslationCheck.limit
    let translation = SideThread { [policy, items] in
      isReadBack
        ? TranslationCheck.mismatches(
          policy, ruleset, messages: messages, deviceChains: deviceChains, controlGroups: controlGroups, items
        )
        : []
    }

    // Beside what is made of the messages.
    let text = SideThread {
      let text = CompiledPolicy.OutputFile(name: "nftables.nft", pieces: NFTText.pieces(ruleset))
      take(text)
      return text
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

    let notEnforced = NotEnforced.list(policy)
    let bundle = BundleAssembly.bundle(
      policy, digest: digest, messages: messages, closed: closedMessages, deviceChains: deviceChains,
      controlGroups: controlGroups,
      items: items, filter: filter, isManagementProved: proofs.isManagementProved, notEnforced: notEnforced,
      sourceMap: listing.wait().sourceMap.bytes)
    var files: [CompiledPolicy.OutputFile] = [
      .init(name: "policy.bundle", pieces: bundle.encodedPieces()),
      .init(name: "closed.bundle", bytes: bundle.closedStage.encoded()),
      .init(name: "nftables-late.nft", bytes: Array(NFTText.printLate(ruleset).utf8)),
      .init(name: "nftables-closed.nft", bytes: Array(NFTText.printClosedStage(closed).utf8)),
      .init(name: "sysctl.conf", bytes: Array(SysctlText.print(policy).utf8)),
      .init(name: "modprobe.conf", bytes: Array(ModprobeText.print(policy).utf8)),
      .init(name: "mounts.fstab", bytes: Array(FstabText.print(policy).utf8)),
      .init(name: "seccomp.json", bytes: Array(SeccompText.print(policy).utf8)),
      .init(name: "cmdline.txt", bytes: Array(CommandLineText.print(policy).utf8)),
    ]
    files += canonical.largeSets.map { .init(name: $0.fileName, bytes: $0.netset.text) }
    if let mismatch = translation.wait().first {
      let rule = mismatch.ruleID.flatMap { id in policy.firewall?.rules.first { $0.id == id } }
      diagnostics.report(
        Diagnostic(
          .mistranslated, at: rule?.span ?? policy.firewall?.span ?? policy.span,
          "the kernel's rules would not mean this: \(mismatch.reason)",
          help: ["this is a fault of the compiler, and nothing was written"]))
      return nil
    }
    files.forEach(take)
    writing.wait()
    files += [document, listing.wait().sourceMap, text.wait()]
    files.sort { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    return CompiledPolicy(
      policy: policy, digest: digest, proofs: proofs, notEnforced: notEnforced, isReadBack: isReadBack,
      files: files, ruleset: ruleset)
  }

  /// What the policy is as one value, and what the kernel gets, which the value names.
  private static func lower(_ policy: HostPolicy) -> (CanonicalPolicy, Ruleset) {
    let canonical = CanonicalPolicy(policy)
    return (canonical, Lowering.lower(policy, digest: canonical.digest))
  }

  /// The items of a policy, and `policy.map.json`.
  private struct Listing {
    var items: ItemList
    var sourceMap: CompiledPolicy.OutputFile
  }

  private static func list(
    _ policy: HostPolicy, _ sources: SourceFiles,
    _ take: @escaping @Sendable (CompiledPolicy.OutputFile) -> Void
  ) -> SideThread<Listing> {
    SideThread {
      let items = ItemList(policy, sources: sources)
      let sourceMap = CompiledPolicy.OutputFile(name: "policy.map.json", pieces: items.sourceMap)
      take(sourceMap)
      return Listing(items: items, sourceMap: sourceMap)
    }
  }
}
