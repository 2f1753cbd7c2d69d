/// Which policy the kernel holds, by its label: the comment of the counter `policy_digest`.
enum LoadedIdentity {
  // NFTA_OBJ_USERDATA; NFT_OBJECT_COUNTER; NFTNL_UDATA_OBJ_COMMENT.
  private static let userdata: UInt16 = 8
  private static let counter: UInt32 = 1
  private static let comment: UInt8 = 0

  /// Text for a person.
  static func read() -> [UInt8] {
    do {
      var socket = try NetlinkSocket()
      return try label(of: .policy, &socket) ?? Array("no policy")
    } catch {
      var text = Text("could not tell: ")
      text.add(errorNumber: error.errorNumber)
      return text.bytes
    }
  }

  /// Nil: there is no such table, or none of a policy.
  static func label(of table: OwnTable, _ socket: inout NetlinkSocket) throws(NetlinkSocket.Failure)
    -> [UInt8]?
  {
    var request = NetlinkSocket.request(Wire.getObject, table)
    request.append(2, text: Wire.digestName)
    request.append(3, number: counter)
    var bytes: [UInt8] = []
    guard let attributes = try socket.get(request, into: &bytes) else { return nil }
    return label(bytes, attributes) ?? Array("could not tell: no label")
  }

  /// The one that a bundle's table has.
  static func label(of reader: BundleReader) -> [UInt8] {
    var text = Text()
    text.add(reader.bytes, reader.policyName)
    text.add(" sha256:")
    text.addHex(reader.bytes, reader.policyDigest)
    return text.bytes
  }

  /// The label among a live table's objects; nil: none.
  static func label(of live: LiveTable) -> [UInt8]? {
    for object in live.objects where live.bytes.holds(Wire.digestName, at: object.name) {
      return label(live.bytes, object.attributes)
    }
    return nil
  }

  /// Userdata is records of {type, length, value}.
  private static func label(_ bytes: [UInt8], _ attributes: Range<Int>) -> [UInt8]? {
    guard let records = bytes.attribute(userdata, in: attributes) else { return nil }
    var offset = records.lowerBound
    while offset + 2 <= records.upperBound {
      let value = (offset + 2)..<(offset + 2 + Int(bytes[offset + 1]))
      guard value.upperBound <= records.upperBound else { return nil }
      if bytes[offset] == comment {
        var text = Text()
        text.addForeign(bytes, bytes.withoutZeros(value))
        return text.bytes
      }
      offset = value.upperBound
    }
    return nil
  }
}
