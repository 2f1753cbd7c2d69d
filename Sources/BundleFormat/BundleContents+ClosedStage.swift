extension BundleContents {
  /// What an initramfs carries: the closed stage alone, with the sources of its messages.
  package var closedStage: BundleContents {
    var stage = BundleContents(
      policyName: policyName, policyDigest: policyDigest, minimumKernel: minimumKernel)
    stage.isManagementProved = isManagementProved
    stage.hasNetworkRoot = hasNetworkRoot
    stage.staysUnprotected = staysUnprotected
    stage.haltsOnFailure = haltsOnFailure
    var numbers: [UInt32: UInt32] = [:]
    for var message in closed {
      let source = message.source
      if source > 0, Int(source) <= sources.count {
        if numbers[source] == nil {
          stage.sources.append(sources[Int(source) - 1])
          numbers[source] = UInt32(stage.sources.count)
        }
        message.source = numbers[source] ?? 0
      }
      stage.closed.append(message)
    }
    return stage
  }

  /// Whether it is such a one: every policy has messages, for its table names it.
  package var isClosedStageAlone: Bool { messages.isEmpty }
}

extension BundleMessage {
  // nlmsg_seq of struct nlmsghdr.
  private static var sequence: Range<Int> { 8..<12 }

  /// Index into the bundle's sources, 1-based; 0: none.
  fileprivate var source: UInt32 {
    get { bytes[Self.sequence].reversed().reduce(0) { $0 << 8 | UInt32($1) } }
    set {
      bytes.replaceSubrange(
        Self.sequence, with: (0..<4).map { UInt8(truncatingIfNeeded: newValue >> (8 * $0)) })
    }
  }
}
