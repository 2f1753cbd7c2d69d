internal import CanonicalJSON

/// Strings in nft's text. Its grammar has no escapes but one, for a `*` at the end of an interface name.
enum NFTString {
  /// What nft always refuses to load: better no rules than other rules.
  static let inexpressible = "<not expressible in nft>"

  static func quoted(_ text: String) -> String {
    text.utf8.contains(UInt8(ascii: "\"")) ? inexpressible : "\"\(text)\""
  }

  /// A log prefix; nft would read `$` in it as a variable.
  static func logPrefix(_ text: String) -> String {
    text.utf8.contains(UInt8(ascii: "$")) ? inexpressible : quoted(text)
  }

  /// An interface's whole name.
  static func interface(_ name: [UInt8]) -> String {
    let text = String(decoding: name, as: UTF8.self)
    return name.last == UInt8(ascii: "*") ? quoted(String(text.dropLast()) + "\\*") : quoted(text)
  }

  /// All interfaces whose names start so.
  static func interfacePrefix(_ name: [UInt8]) -> String {
    // `\*` at the end means a name that ends in a star.
    if name.last == UInt8(ascii: "\\") { return inexpressible }
    return quoted(String(decoding: name, as: UTF8.self) + "*")
  }

  /// A time; nft reads eight digits at most of one unit.
  static func duration(_ seconds: UInt64) -> String {
    let day: UInt64 = 86_400
    return seconds < 100_000_000 ? "\(seconds)s" : "\(seconds / day)d\(seconds % day)s"
  }

  /// In a comment a line end would end the comment.
  static func comment(_ text: String) -> String {
    if !text.utf8.contains(where: { $0 < 0x20 }) { return text }
    return String(decoding: text.utf8.map { $0 < 0x20 ? UInt8(ascii: " ") : $0 }, as: UTF8.self)
  }
}

extension ByteBuffer {
  static func += (bytes: inout ByteBuffer, text: String) { bytes.append(text) }
}
