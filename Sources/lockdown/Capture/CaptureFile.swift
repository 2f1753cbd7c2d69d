import Analysis

/// Packets in the format of capture programs, each with a comment (pcapng, draft-ietf-opsawg-pcapng).
///
/// The same packets give the same bytes: their times are in the first week of 1970, on the day and hour they need.
struct CaptureFile {
  private var bytes: [UInt8] = []
  private var interfaces: [String] = []

  // Block types and options of the draft; LINKTYPE_ETHERNET.
  private static let sectionHeader: UInt32 = 0x0a0d_0d0a
  private static let interfaceDescription: UInt32 = 1
  private static let enhancedPacket: UInt32 = 6
  private static let byteOrder: UInt32 = 0x1a2b_3c4d
  private static let comment: UInt16 = 1
  private static let interfaceName: UInt16 = 2
  private static let application: UInt16 = 4
  private static let ethernet: UInt16 = 1

  init(version: String) {
    var body: [UInt8] = []
    Self.append(Self.byteOrder, &body)
    Self.append(UInt16(1), &body)
    Self.append(UInt16(0), &body)
    // The section's length is not said.
    Self.append(UInt64.max, &body)
    Self.option(Self.application, "lockdown \(version)", &body)
    Self.append(UInt32(0), &body)
    add(Self.sectionHeader, body)
  }

  /// The whole file. One without packets has an interface all the same: tcpdump refuses a file that has none.
  var contents: [UInt8] {
    guard interfaces.isEmpty else { return bytes }
    var copy = self
    _ = copy.number(of: "eth0")
    return copy.bytes
  }

  mutating func add(_ sample: PacketSample, comment: String) {
    let interface = number(of: sample.inputInterface ?? sample.outputInterface ?? "eth0")
    let frame = PacketBytes(sample).frame
    var body: [UInt8] = []
    Self.append(UInt32(interface), &body)
    let time = Self.microseconds(sample)
    Self.append(UInt32(truncatingIfNeeded: time >> 32), &body)
    Self.append(UInt32(truncatingIfNeeded: time), &body)
    Self.append(UInt32(frame.count), &body)
    Self.append(UInt32(frame.count), &body)
    Self.appendPadded(frame, &body)
    Self.option(Self.comment, comment, &body)
    Self.append(UInt32(0), &body)
    add(Self.enhancedPacket, body)
  }

  /// The first day of 1970 was a Thursday.
  private static func microseconds(_ sample: PacketSample) -> UInt64 {
    let day = (sample.weekday + 3) % 7
    return UInt64(day * 86_400 + sample.secondOfDay) * 1_000_000
  }

  private mutating func number(of interface: String) -> Int {
    if let known = interfaces.firstIndex(of: interface) { return known }
    var body: [UInt8] = []
    Self.append(Self.ethernet, &body)
    Self.append(UInt16(0), &body)
    // No limit to a packet's length.
    Self.append(UInt32(0), &body)
    Self.option(Self.interfaceName, interface, &body)
    Self.append(UInt32(0), &body)
    add(Self.interfaceDescription, body)
    interfaces.append(interface)
    return interfaces.count - 1
  }

  // MARK: Blocks

  private mutating func add(_ type: UInt32, _ body: [UInt8]) {
    let length = UInt32(12 + body.count)
    Self.append(type, &bytes)
    Self.append(length, &bytes)
    bytes += body
    Self.append(length, &bytes)
  }

  private static func option(_ code: UInt16, _ text: String, _ body: inout [UInt8]) {
    // A length has 16 bits; what is cut off is behind the last whole character.
    var text = text
    while text.utf8.count > Int(UInt16.max) { text.removeLast() }
    append(code, &body)
    append(UInt16(text.utf8.count), &body)
    appendPadded(Array(text.utf8), &body)
  }

  private static func appendPadded(_ content: [UInt8], _ body: inout [UInt8]) {
    body += content
    body += [UInt8](repeating: 0, count: (4 - content.count % 4) % 4)
  }

  /// Little-endian, as the byte-order mark then says.
  private static func append<Number: FixedWidthInteger>(_ value: Number, _ body: inout [UInt8]) {
    for index in 0..<(Number.bitWidth / 8) { body.append(UInt8(truncatingIfNeeded: value >> (8 * index))) }
  }
}
