/// Userdata of tables, sets, objects and rules: `{type, length, value}` records, opaque to the kernel.
///
/// Types below 0x80 are nft's (libnftnl/udata.h); 0x80 is ours and holds a label.
enum Userdata {
  static let labelType: UInt8 = 0x80

  // NFTNL_UDATA_RULE_COMMENT, NFTNL_UDATA_TABLE_COMMENT, NFTNL_UDATA_OBJ_COMMENT.
  static let commentType: UInt8 = 0
  // NFTNL_UDATA_SET_COMMENT.
  static let setCommentType: UInt8 = 7
  // NFTNL_UDATA_SET_KEYBYTEORDER.
  static let setKeyByteOrderType: UInt8 = 0

  // NFT_USERDATA_MAXLEN, linux/netfilter/nf_tables.h.
  private static let maximumLength = 256
  // NFTNL_UDATA_COMMENT_MAXLEN 128 counts the NUL.
  private static let maximumCommentLength = 127

  /// What a comment and a label take; either may be absent.
  static func records(comment: String?, commentType: UInt8 = commentType, label: [UInt8])
    throws(NFTablesError) -> [UInt8]
  {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(label.count + 2)
    if let comment {
      let text = Array(comment.utf8)
      guard text.count <= maximumCommentLength, !text.contains(0) else { throw .invalidText(comment) }
      bytes += [commentType, UInt8(text.count + 1)] + text + [0]
    }
    if !label.isEmpty {
      guard bytes.count + 2 + label.count <= maximumLength, label.count <= 255 else {
        throw .invalidData(owner: "label", length: label.count)
      }
      bytes.append(labelType)
      bytes.append(UInt8(label.count))
      bytes += label
    }
    return bytes
  }

  /// nft prints keys by this record: 1 host byte order, 2 network byte order, 0 neither.
  static func keyByteOrder(_ order: KeyByteOrder) -> [UInt8] {
    // Integers in nft's userdata are in host byte order.
    let value = unsafe withUnsafeBytes(of: order.rawValue) { unsafe Array($0) }
    return [setKeyByteOrderType, UInt8(value.count)] + value
  }

  /// The same for a map's data, and that no data is a range; nft sends both with every map.
  static func dataByteOrder(_ order: KeyByteOrder) -> [UInt8] {
    // NFTNL_UDATA_SET_DATABYTEORDER, NFTNL_UDATA_SET_DATA_INTERVAL.
    record(1, order.rawValue) + record(6, 0)
  }

  private static func record(_ type: UInt8, _ value: UInt32) -> [UInt8] {
    unsafe [type, 4] + withUnsafeBytes(of: value) { unsafe Array($0) }
  }

  /// NFTNL_UDATA_SET_ELEM_FLAGS with nft's SET_ELEM_F_INTERVAL_OPEN: the element begins a range without an end.
  static let openInterval: [UInt8] = {
    let flag: UInt32 = 1
    return unsafe [1, 4] + withUnsafeBytes(of: flag) { unsafe Array($0) }
  }()

  enum KeyByteOrder: UInt32 {
    case none = 0
    case host = 1
    case network = 2
  }

  /// The comment and label in `bytes`. Nil where records do not add up: then it is not ours, nor nft's.
  static func read(_ bytes: some Collection<UInt8>, commentType: UInt8 = commentType)
    -> (comment: String?, label: [UInt8])?
  {
    var comment: String?
    var label: [UInt8] = []
    var rest = Array(bytes)[...]
    while !rest.isEmpty {
      guard rest.count >= 2 else { return nil }
      let type = rest[rest.startIndex]
      let length = Int(rest[rest.startIndex + 1])
      rest = rest.dropFirst(2)
      guard rest.count >= length else { return nil }
      let value = rest.prefix(length)
      rest = rest.dropFirst(length)
      if type == commentType {
        guard value.last == 0 else { return nil }
        comment = String(decoding: value.dropLast(), as: UTF8.self)
      } else if type == labelType {
        label = Array(value)
      }
    }
    return (comment, label)
  }
}
