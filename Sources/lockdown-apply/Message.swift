/// Numbers of linux/netlink.h, linux/netfilter/nfnetlink.h and nf_tables.h.
enum Wire {
  static let subsystem: UInt16 = 10 << 8
  static let batchBegin: UInt16 = 0x10
  static let batchEnd: UInt16 = 0x11
  static let errorMessage: UInt16 = 2
  static let done: UInt16 = 3

  static let request: UInt16 = 0x1
  static let acknowledge: UInt16 = 0x4
  static let interrupted: UInt16 = 0x10
  static let acknowledgeRecords: UInt16 = 0x200
  static let exclusive: UInt16 = 0x200
  static let dump: UInt16 = 0x300
  static let create: UInt16 = 0x400

  static let newTable: UInt16 = 0
  static let getTable: UInt16 = 1
  static let deleteTable: UInt16 = 2
  static let newChain: UInt16 = 3
  static let getChain: UInt16 = 4
  static let deleteChain: UInt16 = 5
  static let newRule: UInt16 = 6
  static let getRule: UInt16 = 7
  static let deleteRule: UInt16 = 8
  static let newSet: UInt16 = 9
  static let getSet: UInt16 = 10
  static let deleteSet: UInt16 = 11
  static let newElements: UInt16 = 12
  static let getElements: UInt16 = 13
  static let deleteElements: UInt16 = 14
  static let getGeneration: UInt16 = 16
  static let newObject: UInt16 = 18
  static let getObject: UInt16 = 19
  static let deleteObject: UInt16 = 20

  static let anyFamily: UInt8 = 0
  static let inet: UInt8 = 1

  static let tableName: Literal = "lockdown"
  static let digestName: Literal = "policy_digest"
  /// Sequence numbers from here on are removals; below they are sources of the policy.
  static let firstRemoval: UInt32 = 0xffff_0000
}

/// Messages written one behind the other.
struct MessageWriter {
  private(set) var bytes: [UInt8] = []
  private var start = 0

  var count: Int { bytes.count }

  @inline(never)
  mutating func begin(_ type: UInt16, flags: UInt16, sequence: UInt32, family: UInt8, resource: UInt16 = 0) {
    start = bytes.count
    append(0, count: 4)
    append(UInt32(type), count: 2)
    append(UInt32(flags), count: 2)
    append(sequence, count: 4)
    append(0, count: 4)
    bytes.append(family)
    bytes.append(0)
    // be16.
    bytes.append(UInt8(truncatingIfNeeded: resource >> 8))
    bytes.append(UInt8(truncatingIfNeeded: resource))
    finish()
  }

  mutating func append(_ number: UInt16, text: Literal) {
    append(number, payload: Array(text).terminated())
  }

  mutating func append(_ number: UInt16, name bytes: [UInt8], _ range: Range<Int>) {
    append(number, payload: bytes.terminated(range))
  }

  mutating func append(_ number: UInt16, number value: UInt32) {
    var payload: [UInt8] = []
    for shift in [24, 16, 8, 0] { payload.append(UInt8(truncatingIfNeeded: value >> UInt32(shift))) }
    append(number, payload: payload)
  }

  @inline(never)
  mutating func append(_ number: UInt16, payload: [UInt8]) {
    append(UInt32(NetlinkAttribute.headerLength + payload.count), count: 2)
    append(UInt32(number), count: 2)
    for byte in payload { bytes.append(byte) }
    while bytes.count % 4 != 0 { bytes.append(0) }
    finish()
  }

  /// A finished message of the bundle, as it is.
  mutating func append(finished wanted: WantedTable, _ message: Int) {
    append(finished: wanted.bytes, wanted.range(message))
  }

  @inline(never)
  mutating func append(finished bundle: [UInt8], _ message: Range<Int>) {
    start = bytes.count
    bytes.append(contentsOf: bundle[message])
  }

  /// A finished message with one element, whose key of 8 bytes in host order is its end.
  mutating func append(element message: Range<Int>, of bundle: [UInt8], key: UInt64) {
    append(finished: bundle, message)
    for index in 0..<8 {
      bytes[bytes.count - 8 + index] = UInt8(truncatingIfNeeded: key >> UInt64(8 * index))
    }
  }

  mutating func append(_ other: MessageWriter) {
    if other.count > 0 { start = bytes.count + other.start }
    for byte in other.bytes { bytes.append(byte) }
  }

  /// Sets flags of the message begun last, or of the one that `append(finished:)` took.
  mutating func setFlags(_ flags: UInt16) {
    bytes[start + 6] |= UInt8(truncatingIfNeeded: flags)
    bytes[start + 7] |= UInt8(truncatingIfNeeded: flags >> 8)
  }

  mutating func clearFlags(_ flags: UInt16) {
    bytes[start + 6] &= ~UInt8(truncatingIfNeeded: flags)
    bytes[start + 7] &= ~UInt8(truncatingIfNeeded: flags >> 8)
  }

  @inline(never)
  private mutating func append(_ value: UInt32, count: Int) {
    for index in 0..<count { bytes.append(UInt8(truncatingIfNeeded: value >> UInt32(8 * index))) }
  }

  private mutating func finish() {
    let length = UInt32(truncatingIfNeeded: bytes.count - start)
    for index in 0..<4 { bytes[start + index] = UInt8(truncatingIfNeeded: length >> UInt32(8 * index)) }
  }
}

extension [UInt8] {
  /// The first attribute of this number in `range`; nil where there is none, or attributes do not add up.
  @inline(never)
  func attribute(_ number: UInt16, in range: Range<Int>) -> Range<Int>? {
    var offset = range.lowerBound
    while let attribute = NetlinkAttribute(self, at: offset, end: range.upperBound) {
      if attribute.number == number { return attribute.payload }
      offset = attribute.next
    }
    return nil
  }

  /// A string attribute without the zero bytes at its end.
  @inline(never)
  func name(_ number: UInt16, in range: Range<Int>) -> Range<Int>? {
    guard let payload = attribute(number, in: range) else { return nil }
    return withoutZeros(payload)
  }

  @inline(never)
  func withoutZeros(_ range: Range<Int>) -> Range<Int> {
    var end = range.upperBound
    while end > range.lowerBound, self[end - 1] == 0 { end -= 1 }
    return range.lowerBound..<end
  }

  /// A be32 attribute.
  @inline(never)
  func number(_ number: UInt16, in range: Range<Int>) -> UInt32? {
    guard let payload = attribute(number, in: range), payload.count == 4 else { return nil }
    return bigEndian(payload.lowerBound)
  }

  @inline(never)
  func bigEndian(_ offset: Int) -> UInt32 {
    UInt32(self[offset]) << 24 | UInt32(self[offset + 1]) << 16 | UInt32(self[offset + 2]) << 8
      | UInt32(self[offset + 3])
  }

  func littleEndian(_ offset: Int) -> UInt32 { bigEndian(offset).byteSwapped }
}
