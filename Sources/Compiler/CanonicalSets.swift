internal import CanonicalJSON
internal import PolicyModel

/// Address sets in the canonical value, and the files of those too large for it.
///
/// A set is its counts and the SHA-256 of its netset text, whatever its size. What stands beside them for
/// readers (`elements` or `file`) is no part of the digest, so that the limit changes nothing.
struct CanonicalSets {
  /// Prefixes that `policy.json` still lists.
  static let listedLimit = 256

  private(set) var large: [CanonicalPolicy.LargeSet] = []

  mutating func named(_ set: NamedAddressSet) -> JSONValue {
    var members = members(of: set.addresses, fileName: set.name)
    members.append(.init("id", .string(ItemID.set(set))))
    members.append(.init("name", .string(set.name)))
    return .object(members)
  }

  /// A set without a name of its own is named after its content; no definition's name begins so.
  mutating func unnamed(_ addresses: AddressSet) -> JSONValue {
    .object(members(of: addresses, fileName: nil))
  }

  private mutating func members(of addresses: AddressSet, fileName: String?) -> [JSONValue.Member] {
    let netset = Netset(addresses)
    let sha256 = netset.sha256
    var members: [JSONValue.Member] = [
      .init("count-v4", JSONValue(netset.ipv4Count)), .init("count-v6", JSONValue(netset.ipv6Count)),
      .init("sha256", .string(sha256)),
    ]
    guard netset.ipv4Count + netset.ipv6Count > Self.listedLimit else {
      members.append(.init("elements", JSONValue(netset.prefixes)))
      return members
    }
    let file = "\(CompiledPolicy.setDirectory)/\(fileName ?? "_" + sha256.prefix(16)).netset"
    members.append(.init("file", .string(file)))
    if !large.contains(where: { $0.fileName == file }) {
      large.append(CanonicalPolicy.LargeSet(fileName: file, netset: netset))
    }
    return members
  }
}
