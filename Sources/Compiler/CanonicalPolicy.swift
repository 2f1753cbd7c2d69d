internal import CanonicalJSON
internal import PolicyModel

/// A policy as the one value that its digest names (LANGUAGE.md §7): ids, resolved rules and all defaults,
/// without file names, positions and description.
///
/// Names that reference data give to numbers (protocols, ICMP types) stay out: a table that grows must not
/// change the digest of a policy.
struct CanonicalPolicy {
  /// V, and beside it the members that the digest leaves out.
  let value: JSONValue
  /// Sets that are too large for `policy.json`.
  let largeSets: [LargeSet]

  struct LargeSet {
    /// Relative to the output directory.
    var fileName: String
    var netset: Netset
  }

  init(_ policy: HostPolicy) {
    var sets = CanonicalSets()
    let value: JSONValue = .object(present: [
      ("policy", .string(policy.name)),
      ("language", 1),
      ("owner", policy.owner.map(JSONValue.string)),
      ("target", Self.target(policy.target)),
      ("sets", .array(policy.addressSets.map { sets.named($0) })),
      ("dynamic-sets", Self.dynamicSets(policy.dynamicSets)),
      (
        "chains",
        .array(
          (policy.firewall?.baseChains ?? []).map { chain in
            Self.chain(chain, reroutes: policy.firewall?.reroutes(chain) ?? false, &sets)
          })
      ),
      ("regular-chains", Self.regularChains(policy.firewall?.regularChains ?? [], &sets)),
      ("sysctls", .array(policy.sysctls.map(Self.sysctl))),
      ("mounts", .array(policy.mounts.map(Self.mount))),
      ("modules", Self.modules(policy.modules)),
      ("kernel", Self.kernel(policy.kernel)),
      ("syscalls", policy.systemCalls.map(Self.systemCalls)),
      ("boot", Self.boot(policy.boot, &sets)),
      ("management", Self.management(policy.management, &sets)),
      ("expectations", Self.statements(policy.expectations, place: "expect", &sets)),
      ("guarantees", Self.statements(policy.guarantees, place: "guarantee", &sets)),
      ("delegations", Self.statements(policy.delegations, place: "delegate", &sets)),
      ("opened-by-delegation", Self.openings(policy.openings)),
      ("exceptions", Self.exceptions(policy.allExceptions, &sets)),
    ])
    self.value = value
    largeSets = sets.large
  }

  /// The document of `policy.json`: the value and its digest.
  func document(digest: [UInt8]) -> JSONValue {
    guard case .object(let members) = value else { return value }
    return .object(members + [.init("digest", .string(PolicyDigest.text(digest)))])
  }

  /// Without what they hold, which is no part of the policy. Nil where there are none.
  private static func dynamicSets(_ sets: [DynamicSet]) -> JSONValue? {
    guard !sets.isEmpty else { return nil }
    return .array(
      sets.map { set in
        .object(present: [
          ("id", .string(ItemID.set(set))), ("name", .string(set.name)),
          ("filled-by", .string(set.filler.rawValue)), ("size", JSONValue(set.size)),
          ("timeout", set.timeout.map { JSONValue($0) }),
          ("ipv4-bits", set.ipv4Bits == 32 ? nil : JSONValue(set.ipv4Bits)),
          ("ipv6-bits", set.ipv6Bits == 128 ? nil : JSONValue(set.ipv6Bits)),
        ])
      })
  }

  private static func target(_ target: Target) -> JSONValue {
    [
      "kernel": .string(target.kernel.description),
      "architectures": sorted(target.architectures.map(\.rawValue)),
    ]
  }

  /// Texts without order, by their bytes.
  static func sorted(_ texts: some Sequence<String>) -> JSONValue {
    JSONValue(texts.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
  }
}
