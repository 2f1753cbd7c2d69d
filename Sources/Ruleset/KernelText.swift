internal import PolicyModel

/// Text that the kernel keeps for people.
enum KernelText {
  /// NFTNL_UDATA_COMMENT_MAXLEN counts the NUL.
  static let maximumLength = 127

  /// The comment of a rule's kernel rules.
  ///
  /// nft cannot write a `"` inside a string, and reads one cut in two lines otherwise: such a listing would
  /// not parse again. A comment means nothing, so it is told in other characters.
  static func comment(of rule: Rule) -> String? {
    if let comment = rule.comment { return written(comment) }
    guard rule.origin == .closing else { return nil }
    return rule.verdict == .drop ? "closing: policy drop" : "closing: policy reject"
  }

  private static func written(_ text: String) -> String {
    var bytes: [UInt8] = []
    for scalar in text.unicodeScalars {
      let replaced: Unicode.Scalar =
        switch scalar {
        case "\"": "'"
        case "\n", "\t", "\r": " "
        default: scalar
        }
      let encoded = Array(UTF8.encode(replaced).map { Array($0) } ?? [])
      guard bytes.count + encoded.count <= maximumLength else { break }
      bytes += encoded
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
