internal import CanonicalJSON
internal import PolicyModel

/// A policy as the one value that its digest names (LANGUAGE.md §7): ids, resolved rules and all defaults,
/// without file names, positions and description.
///
/// Names that reference data give to numbers (protocols, ICMP types) stay out: a table that grows must not
/// change the digest of a policy.
struct CanonicalPolicy {
  let digest: [UInt8]
  /// Sets that are too large for `policy.json`.
  let largeSets: [LargeSet]

  struct LargeSet {
    /// Relative to the output directory.
    var fileName: String
    var netset: Netset
  }

  /// - Parameter outputs: take `policy.json`: the value, with what the digest leaves out, and the digest.
  init(_ policy: HostPolicy, _ outputs: OutputCollection) {
    var sets = CanonicalSets()
    let digest = PolicyDigest()
    let name = "policy.json"
    let value = JSONStream(
      leavingOut: PolicyDigest.leftOut, canonical: digest.update,
      before: "digest", pretty: { outputs.add(name, $0) },
      { Self.write(policy, &sets, to: &$0) })
    self.digest = digest.finish()
    outputs.add(name, value.pieces(adding: "digest", PolicyDigest.text(self.digest)))
    largeSets = sets.large
  }

  /// In the order of keys, as everywhere here where many are written.
  private static func write(_ policy: HostPolicy, _ sets: inout CanonicalSets, to json: inout JSONStream) {
    boot(policy.boot, &sets, to: &json)
    json.list("chains") { json in
      for chain in policy.firewall?.baseChains ?? [] {
        let reroutes = policy.firewall?.reroutes(chain) ?? false
        json.element { self.chain(chain, reroutes: reroutes, &sets, to: &$0) }
      }
    }
    statements("delegations", policy.delegations, place: "delegate", &sets, to: &json)
    json.member("dynamic-sets", ifPresent: dynamicSets(policy.dynamicSets))
    exceptions(policy.allExceptions, &sets, to: &json)
    statements("expectations", policy.expectations, place: "expect", &sets, to: &json)
    statements("guarantees", policy.guarantees, place: "guarantee", &sets, to: &json)
    json.member("kernel", kernel(policy.kernel))
    json.member("language", 1)
    management(policy.management, &sets, to: &json)
    json.member("modules", modules(policy.modules))
    json.member("mounts", .array(policy.mounts.map(mount)))
    json.member("opened-by-delegation", ifPresent: openings(policy.openings))
    json.member("owner", ifPresent: policy.owner)
    json.member("policy", policy.name)
    regularChains(policy.firewall?.regularChains ?? [], &sets, to: &json)
    json.longList("sets") { json in
      for set in policy.addressSets { json.element { sets.write(set, to: &$0) } }
    }
    json.member("syscalls", ifPresent: policy.systemCalls.map(systemCalls))
    json.member("sysctls", .array(policy.sysctls.map(sysctl)))
    json.member("target", target(policy.target))
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
      "architectures": JSONValue(sorted(target.architectures.map(\.rawValue))),
    ]
  }

  /// Texts without order, by their bytes.
  static func sorted(_ texts: [String]) -> [String] {
    texts.count < 2 ? texts : texts.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }
}
