import PolicyModel

@testable import Analysis

/// What packets are wanted of one policy.
struct SampleRequest: Decodable {
  /// The path of a `.cos` file.
  var policy: String
  var seed: UInt64
  var cases: [SampleCase]
}

/// A region of packets that whoever asks can send: values as the analyser numbers them (`PacketBox.Field`).
struct SampleCase: Decodable {
  /// Comes back with each packet.
  var tag: Int
  var hook: String
  /// 4 or 6.
  var family: Int
  var count: Int
  var input: String?
  var output: String?
  /// Ranges of numbers, in decimal, by field; a field that is not there may have any value.
  var fields: [String: [[String]]]
  var mark: UInt32
  /// Nil: the packet has no connection.
  var connectionMark: UInt32?

  func region(_ family: Families, _ firewall: Firewall) throws -> PacketBox {
    var box = PacketBox(all: family)
    for (name, ranges) in fields {
      guard let field = PacketBox.Field.allCases.first(where: { "\($0)" == name }) else {
        throw SampleError(description: "no field is called \(name)")
      }
      box[field] = IntervalSet(
        try ranges.map { bounds in
          guard bounds.count == 2, let lower = UInt128(bounds[0]), let upper = UInt128(bounds[1]),
            lower <= upper
          else { throw SampleError(description: "no range of \(name): \(bounds)") }
          return AddressRange(lower, upper)
        })
    }
    if let input { box.inputInterface = .exactly(input) }
    if let output { box.outputInterface = .exactly(output) }
    box.mark = MarkSet(MarkValues([AddressRange(mark, mark)]))
    box.connectionMark =
      connectionMark.map { MarkSet(MarkValues([AddressRange($0, $0)])) } ?? .absent
    for group in firewall.controlGroups { box.controlGroups[group] = false }
    return box
  }
}
