internal import CNFTables

/// Attributes written in place, as libmnl's `mnl_attr_put` and its relatives do.
extension MessageBuffer {
  /// Begins an attribute that holds others; ``endNest(_:)`` takes what is returned.
  mutating func beginNest(_ attribute: some RawRepresentable<UInt32>) -> Int {
    let start = count
    putHeader(UInt16(truncatingIfNeeded: attribute.rawValue) | UInt16(NLA_F_NESTED), length: 0)
    return start
  }

  mutating func endNest(_ start: Int) { setLength(of: start, to: count - start) }

  /// A number, most significant byte first.
  mutating func put(_ attribute: some RawRepresentable<UInt32>, number: UInt32) {
    putHeader(UInt16(truncatingIfNeeded: attribute.rawValue), length: 4)
    put(number.bigEndian)
  }

  mutating func put(_ attribute: some RawRepresentable<UInt32>, bytes: [UInt8]) {
    putHeader(UInt16(truncatingIfNeeded: attribute.rawValue), length: bytes.count)
    unsafe bytes.withUnsafeBytes { unsafe put($0, terminator: 0) }
  }

  /// A text and its NUL.
  mutating func put(_ attribute: some RawRepresentable<UInt32>, string: String) {
    var string = string
    string.withUTF8 { text in
      putHeader(UInt16(truncatingIfNeeded: attribute.rawValue), length: text.count + 1)
      unsafe put(UnsafeRawBufferPointer(text), terminator: 1)
    }
  }
}
