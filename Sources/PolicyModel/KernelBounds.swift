// What the kernel's 64-bit arithmetic can hold. Newer kernels refuse more (EOVERFLOW), older ones, 6.1 among
// them, compute a wrong limit without a word.

extension Rate {
  /// Whether a token bucket of this rate and burst keeps its numbers (`nft_limit_init` of net/netfilter/nft_limit.c).
  ///
  /// A bucket of packets holds nanoseconds: those of one packet times the burst. One of bytes multiplies the
  /// unit's nanoseconds with the rate and the burst.
  package func isRepresentable(burst: UInt32) -> Bool {
    let (nanoseconds, isLong) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    guard !isLong, amount > 0 else { return false }
    if isBytes {
      let (bytes, isLarge) = amount.addingReportingOverflow(UInt64(burst))
      return !isLarge && !nanoseconds.multipliedReportingOverflow(by: bytes).overflow
    }
    return !(nanoseconds / amount).multipliedReportingOverflow(by: UInt64(burst)).overflow
  }
}

extension Quota {
  /// Whether the kernel counts so far: it keeps what is used in a signed number (`nft_quota_do_init`).
  package var isRepresentable: Bool { bytes <= UInt64(Int64.max) }
}
