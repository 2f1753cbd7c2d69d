/// Writes expected bytes by hand, one kernel structure a call. Shares nothing with the encoder.
enum Wire {
  static func host16(_ value: Int) -> [UInt8] { [UInt8(value & 255), UInt8(value >> 8)] }
  static func host32(_ value: Int) -> [UInt8] { host16(value & 0xffff) + host16(value >> 16) }
  static func big32(_ value: Int) -> [UInt8] { host32(value).reversed() }
  static func big64(_ value: Int) -> [UInt8] { big32(value >> 32) + big32(value & 0xffff_ffff) }

  /// struct nlattr {nla_len, nla_type}, payload, padding to 4 bytes.
  static func attribute(_ type: Int, _ payload: [UInt8]) -> [UInt8] {
    let padding = [UInt8](repeating: 0, count: (4 - payload.count % 4) % 4)
    return host16(4 + payload.count) + host16(type) + payload + padding
  }

  /// The same with NLA_F_NESTED.
  static func nest(_ type: Int, _ parts: [UInt8]...) -> [UInt8] {
    attribute(type | 0x8000, Array(parts.joined()))
  }

  static func string(_ type: Int, _ text: String) -> [UInt8] {
    attribute(type, Array(text.utf8) + [0])
  }

  /// struct nlmsghdr {len, type, flags, seq, pid}, struct nfgenmsg {family, version, res_id}, attributes.
  static func message(_ type: Int, flags: Int, sequence: Int = 0, family: UInt8 = 1, _ attributes: [UInt8]...)
    -> [UInt8]
  {
    let body: [UInt8] = [family, 0, 0, 0] + attributes.joined()
    var bytes = host32(16 + body.count)
    bytes += host16(type) + host16(flags)
    bytes += host32(sequence) + host32(0)
    return bytes + body
  }
}
