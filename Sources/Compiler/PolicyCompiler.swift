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
  package static func compile(
    path: String, bytes: [UInt8], reader: any SourceReader = SourceDictionary()
  ) -> Compilation {
    var sources = SourceFiles()
    var diagnostics = DiagnosticList()
    let file = sources.add(path: path, bytes: bytes)
    let policy = compile(file, in: &sources, reader, diagnostics: &diagnostics)
    diagnostics.sortByPlace()
    return Compilation(sources: sources, diagnostics: diagnostics, policy: policy)
  }

  private static func compile(
    _ file: SourceFile, in sources: inout SourceFiles, _ reader: any SourceReader,
    diagnostics: inout DiagnosticList
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
    let named: NamedPolicy
    if policy.allExceptions.isEmpty {
      let naming = SideThread { [policy] in NamedPolicy(policy) }
      proofs = Analysis.prove(&policy, diagnostics: &diagnostics)
      named = naming.wait()
    } else {
      // The proofs note at an exception what it lets through, which is a part of the policy's value.
      proofs = Analysis.prove(&policy, diagnostics: &diagnostics)
      named = NamedPolicy(policy)
    }
    guard !diagnostics.hasErrors else { return nil }

    let digest = named.digest
    let items = ItemList(policy, sources: sources)
    let documents = SideThread {
      (policy: named.canonical.document(digest: digest).pretty(), sourceMap: items.sourceMap.pretty())
    }
    let ruleset = Lowering.lower(policy, digest: digest)
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
    let text = SideThread {
      (
        now: Array(NFTText.print(ruleset).utf8), late: Array(NFTText.printLate(ruleset).utf8),
        closed: Array(NFTText.printClosedStage(closed).utf8)
      )
    }
    let messages: [EncodedMessage]
    let closedMessages: [EncodedMessage]
    let deviceChains: [DeviceBatch]
    let controlGroups: [ControlGroupElement]
    do {
      messages = try MessageSection.encode(ruleset, sourceIndex: items.index)
      closedMessages = try MessageSection.encode(closed, sourceIndex: items.index)
      deviceChains = try BatchEncoder.encodeDeviceChains(of: ruleset, sourceIndex: items.index)
      controlGroups = try BatchEncoder.encodeControlGroups(of: ruleset, sourceIndex: items.index)
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
    let sourceMap = documents.wait().sourceMap
    let bundle = BundleAssembly.bundle(
      policy, digest: digest, messages: messages, closed: closedMessages, deviceChains: deviceChains,
      controlGroups: controlGroups,
      items: items, filter: filter, isManagementProved: proofs.isManagementProved, notEnforced: notEnforced,
      sourceMap: sourceMap)
    var files: [CompiledPolicy.OutputFile] = [
      .init(name: "policy.bundle", bytes: bundle.encoded()),
      .init(name: "closed.bundle", bytes: bundle.closedStage.encoded()),
      .init(name: "policy.json", bytes: documents.wait().policy),
      .init(name: "policy.map.json", bytes: sourceMap),
      .init(name: "nftables.nft", bytes: text.wait().now),
      .init(name: "nftables-late.nft", bytes: text.wait().late),
      .init(name: "nftables-closed.nft", bytes: text.wait().closed),
      .init(name: "sysctl.conf", bytes: Array(SysctlText.print(policy).utf8)),
      .init(name: "modprobe.conf", bytes: Array(ModprobeText.print(policy).utf8)),
      .init(name: "mounts.fstab", bytes: Array(FstabText.print(policy).utf8)),
      .init(name: "seccomp.json", bytes: Array(SeccompText.print(policy).utf8)),
      .init(name: "cmdline.txt", bytes: Array(CommandLineText.print(policy).utf8)),
    ]
    files += named.canonical.largeSets.map { .init(name: $0.fileName, bytes: $0.netset.text) }
    if let mismatch = translation.wait().first {
      let rule = mismatch.ruleID.flatMap { id in policy.firewall?.rules.first { $0.id == id } }
      diagnostics.report(
        Diagnostic(
          .mistranslated, at: rule?.span ?? policy.firewall?.span ?? policy.span,
          "the kernel's rules would not mean this: \(mismatch.reason)",
          help: ["this is a fault of the compiler, and nothing was written"]))
      return nil
    }
    files.sort { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    return CompiledPolicy(
      policy: policy, digest: digest, proofs: proofs, notEnforced: notEnforced, isReadBack: isReadBack,
      files: files)
  }
}

/// A policy's value with its digest.
private struct NamedPolicy {
  let canonical: CanonicalPolicy
  let digest: [UInt8]

  init(_ policy: HostPolicy) {
    canonical = CanonicalPolicy(policy)
    digest = PolicyDigest.compute(of: canonical.value)
  }
}
