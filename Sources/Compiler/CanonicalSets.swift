internal import CanonicalJSON
internal import PolicyModel
internal import SHA2

/// Address sets in the canonical value, and the files of those too large for it.
///
/// A set is its counts and the SHA-256 of its netset text, whatever its size. What stands beside them for
/// readers (`elements` or `file`) is no part of the digest, so that the limit changes nothing.
struct CanonicalSets {
  /// Prefixes that `policy.json` still lists.
  static let listedLimit = 256

  private(set) var large: [CanonicalPolicy.LargeSet] = []

  mutating func write(_ set: NamedAddressSet, to json: inout JSONStream) {
    write(set.addresses, fileName: set.name, to: &json)
    json.member("id", ItemID.set(set))
    json.member("name", set.name)
  }

  /// A set without a name of its own is named after its content; no definition's name begins so.
  mutating func write(_ addresses: AddressSet, to json: inout JSONStream) {
    write(addresses, fileName: nil, to: &json)
  }

  private mutating func write(_ addresses: AddressSet, fileName: String?, to json: inout JSONStream) {
    let netset = Netset(addresses)
    let sha256 = netset.sha256
    json.member("count-v4", JSONValue(netset.ipv4Count))
    json.member("count-v6", JSONValue(netset.ipv6Count))
    if netset.ipv4Count + netset.ipv6Count <= Self.listedLimit {
      json.member("elements", lines: netset.text)
    } else {
      let file =
        "\(CompiledPolicy.setDirectory)/\(fileName ?? "_" + String(decoding: SHA256.hex(sha256).prefix(16), as: UTF8.self)).netset"
      json.member("file", file)
      if !large.contains(where: { $0.fileName == file }) {
        large.append(CanonicalPolicy.LargeSet(fileName: file, netset: netset))
      }
    }
    json.member("sha256", hexadecimal: sha256)
  }
}
