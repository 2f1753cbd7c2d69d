package import CanonicalJSON
internal import SHA2

/// The name of a policy by its content (LANGUAGE.md §7).
package final class PolicyDigest {
  /// Members of `policy.json` that the digest leaves out: itself, and of a set what its SHA-256 stands for.
  static let leftOut: Set<String> = ["digest", "elements", "file"]

  /// SHA-256 over `lockdown policy 1`, a line feed and the canonical form of the policy's value; 32 bytes.
  ///
  /// - Parameter value: the document of `policy.json`, whole or without the members left out.
  package static func compute(of value: JSONValue) -> [UInt8] {
    let digest = PolicyDigest()
    digest.update(value.canonical(leavingOut: leftOut).span)
    return digest.finish()
  }

  /// Nil when it is finished.
  private var hasher: SHA256?

  init() {
    var hasher = SHA256()
    hasher.update("lockdown policy 1\n".utf8)
    self.hasher = consume hasher
  }

  /// - Parameter bytes: of the canonical form without the members left out, what comes next.
  func update(_ bytes: Span<UInt8>) { hasher?.update(bytes) }

  func finish() -> [UInt8] { hasher.take()?.finish() ?? [] }

  /// `sha256:` and 64 digits, as `policy.json` writes it.
  package static func text(_ digest: [UInt8]) -> String {
    "sha256:" + String(decoding: SHA256.hex(digest), as: UTF8.self)
  }
}
