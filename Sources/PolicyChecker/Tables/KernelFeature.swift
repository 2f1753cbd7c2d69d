import Diagnostics
import PolicyModel

/// What the firewall may ask of the kernel and the oldest kernels that are written for do not have.
///
/// A kernel that does not know an attribute ignores it, and enforces another rule than the one that was sent; so what is
/// newer than the target is refused here. Everything else that is ever sent is there in the oldest of them (5.10): inet
/// ingress and userdata of objects since 5.10, prefixes as NAT targets 5.8, ranges in concatenations 5.6, times of day
/// and deletions from dynamic sets 5.4, NAT and route chains of family inet 5.2.
enum KernelFeature: CaseIterable {
  /// NFT_SOCKET_CGROUPV2: commit e0bb96db96f8.
  case controlGroup
  /// nft_fib_validate allows the way back to be asked for behind the routing decision: commit be8be04e5ddb.
  case reverseRouteBehindRouting

  var since: KernelVersion {
    switch self {
    case .controlGroup: KernelVersion(5, 13)
    case .reverseRouteBehindRouting: KernelVersion(5, 19)
    }
  }

  /// As the subject of a sentence.
  var text: String {
    switch self {
    case .controlGroup: "`cgroup`"
    case .reverseRouteBehindRouting: "`spoofed` outside of `prerouting`"
    }
  }
}

extension Checker {
  /// False, and reported, if a rule at the place cannot have what older kernels than the target lack.
  mutating func isInTarget(_ feature: KernelFeature, at place: Place, _ span: SourceSpan) -> Bool {
    guard place.isOfRules, target.kernel < feature.since else { return true }
    error(
      .newerThanTarget, span, "\(feature.text) needs Linux \(feature.since), the target is \(target.kernel)",
      help: ["raise `target.kernel` if no host runs an older one, or leave it out"],
      related: targetKernelSpan.map { [Diagnostic.Label($0, "the target")] } ?? [])
    return false
  }
}
