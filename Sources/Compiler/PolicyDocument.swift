package import CanonicalJSON
internal import SHA2

/// A `policy.json` as it was read: what it says of itself, and whether that holds.
package struct PolicyDocument: Sendable {
  /// Why a document is not what a compile writes.
  package enum Fault: Error, Equatable, Sendable {
    /// No object with a policy, a language and a digest.
    case notAPolicy
    /// It names another digest than it has.
    case otherDigest(stated: String)
    /// The elements of a set are not those of its SHA-256; the set's name or digest.
    case otherElements(String)
  }

  /// A set whose prefixes stand in a file of their own.
  package struct SetFile: Sendable, Equatable {
    /// Relative to the document.
    package var name: String
    /// Lower-case hexadecimal.
    package var sha256: String
  }

  package let name: String
  /// SHA-256 of the canonical value, 32 bytes, computed.
  package let digest: [UInt8]
  package private(set) var setFiles: [SetFile] = []

  /// Recomputes the digest of a document, and those of the sets it lists.
  package init(_ value: JSONValue) throws(Fault) {
    guard case .string(let name)? = value["policy"], case .integer? = value["language"],
      case .string(let stated)? = value["digest"]
    else { throw .notAPolicy }
    self.name = name
    digest = PolicyDigest.compute(of: value)
    guard PolicyDigest.text(digest) == stated else { throw .otherDigest(stated: stated) }
    try visit(value)
  }

  private mutating func visit(_ value: JSONValue) throws(Fault) {
    switch value {
    case .array(let elements):
      for element in elements { try visit(element) }
    case .object(let members):
      if case .string(let sha256)? = value["sha256"] { try check(value, sha256) }
      for member in members { try visit(member.value) }
    case .null, .bool, .integer, .string: break
    }
  }

  private mutating func check(_ set: JSONValue, _ sha256: String) throws(Fault) {
    if case .string(let file)? = set["file"] {
      setFiles.append(SetFile(name: file, sha256: sha256))
    } else if case .array(let elements)? = set["elements"] {
      var text: [UInt8] = []
      for case .string(let prefix) in elements { text += prefix.utf8 + [0x0a] }
      guard SHA256.hex(SHA256.hash(text)) == Array(sha256.utf8) else {
        if case .string(let name)? = set["name"] { throw .otherElements(name) }
        throw .otherElements(sha256)
      }
    }
  }
}
