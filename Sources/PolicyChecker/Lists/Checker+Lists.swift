import Diagnostics
import PolicyModel
import PolicySyntax
import SHA2

/// `{file: PATH, sha256: HEX}` (LANGUAGE.md §2).
extension Checker {
  /// A list of 5,000,000 IPv6 prefixes has about 200 MB.
  private static let maximumListLength = 256 << 20

  mutating func list(
    of entry: SyntaxEntry, _ entries: [SyntaxEntry], _ definition: Definitions.Definition
  ) -> Definitions.Value {
    if let other = entries.first(where: { !["file", "sha256"].contains($0.key.text) }) {
      let help =
        other.key.text == "except"
        ? "give the list a name of its own, and write `{addresses: [$name], except: […]}`"
        : "a list file holds addresses; what else there is needs a definition of its own"
      error(
        .mixedKinds, other.key.span, "a list file has a `sha256` and nothing else", help: [help],
        related: [Diagnostic.Label(entry.key.span, "a list file by this")])
      return .damaged
    }
    guard let path = entry.value.scalar, let place = resolvePath(path) else { return .damaged }
    guard let list = listFile(path, at: place.path, name: place.name) else { return .damaged }
    if let wanted = entries.first(where: { $0.key.text == "sha256" })?.value.scalar {
      let found = String(decoding: SHA256.hex(list.digest), as: UTF8.self)
      guard wanted.text == found else {
        error(
          .listDigest, wanted.span, "`\(path.text)` is not the file that this digest names",
          help: ["its SHA-256 is `\(found)`: look at what has changed in it, then write that"],
          fixIts: [FixIt("take the file as it is", replace: wanted.span, with: "\"\(found)\"")])
        return .damaged
      }
    }
    guard let addresses = list.addresses else { return .damaged }
    return addresses.isEmpty ? .empty : .addresses(AddressMatch(addresses: addresses))
  }

  /// Each file is read once, however many definitions name it.
  private mutating func listFile(_ path: SyntaxScalar, at place: String, name: String) -> ListFile? {
    if let known = lists[place] { return known }
    guard let bytes = readBytes(path, at: place, limit: Self.maximumListLength) else { return nil }
    let file = sources.add(path: place, name: name, bytes: bytes, namedAt: path.span)
    let list = ListFile(
      digest: SHA256.hash(bytes), addresses: AddressList.read(file, diagnostics: &diagnostics)?.addresses)
    lists[place] = list
    return list
  }
}

/// A list file that was read.
struct ListFile {
  var digest: [UInt8]
  /// Nil: damaged, and reported.
  var addresses: AddressSet?
}
