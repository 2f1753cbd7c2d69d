/// What the kernel says about the policy it holds: the userdata of the counter `policy_digest`.
package struct LoadedPolicy: Sendable, Equatable {
  /// What `nft list` shows, `NAME sha256:HEX`.
  package var comment: String
  /// SHA-256 of the bundle's messages; empty if the rules were loaded as text, which cannot carry it.
  package var messageDigest: [UInt8]

  private static let separator = " sha256:"
  private static let digestDigits = 64

  package init(comment: String, messageDigest: [UInt8]) {
    self.comment = comment
    self.messageDigest = messageDigest
  }

  /// The policy's name; nil if the comment is not of our form.
  package var name: String? { parts?.name }

  /// SHA-256 of the canonical policy, 64 lower-case hexadecimal digits; nil if the comment is not of our form.
  package var policyDigest: String? { parts?.digest }

  private var parts: (name: String, digest: String)? {
    let bytes = Array(comment.utf8)
    let start = bytes.count - Self.digestDigits
    let separator = Array(Self.separator.utf8)
    guard start > separator.count, bytes[..<start].suffix(separator.count).elementsEqual(separator) else {
      return nil
    }
    let digest = bytes[start...]
    guard
      digest.allSatisfy({
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
          || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
      })
    else { return nil }
    return (
      String(decoding: bytes[..<(start - separator.count)], as: UTF8.self),
      String(decoding: digest, as: UTF8.self)
    )
  }
}
