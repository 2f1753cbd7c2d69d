import PolicyModel

/// Which variables of a diagram stand for which field: the bits of its class's number, the highest first.
struct DiagramLayout {
  /// Pseudo-fields behind those of ``DiagramField``.
  static let mark = DiagramField.count
  static let connectionMark = mark + 1

  private(set) var first = [UInt32](repeating: 0, count: DiagramField.count)
  private(set) var bits = [Int](repeating: 0, count: DiagramField.count)
  private(set) var classCount = [Int](repeating: 1, count: DiagramField.count)
  private let firstMark: UInt32
  private var fields: [UInt8] = []
  private var places: [UInt8] = []

  init(_ atoms: borrowing AtomTable, order: [Int]) {
    for field in order {
      classCount[field] = atoms.classCount(field)
      var bits = 0
      while 1 << bits < classCount[field] { bits += 1 }
      first[field] = UInt32(fields.count)
      self.bits[field] = bits
      for bit in 0..<bits {
        fields.append(UInt8(field))
        places.append(UInt8(bit))
      }
    }
    firstMark = UInt32(fields.count)
    // A mark is copied to the other one, bit by bit.
    for bit in 0..<32 {
      fields += [UInt8(Self.connectionMark), UInt8(Self.mark)]
      places += [UInt8(bit), UInt8(bit)]
    }
  }

  var variableCount: Int { fields.count }

  /// The first variable behind a field.
  func end(_ field: Int) -> UInt32 { first[field] + UInt32(bits[field]) }

  /// Bit 0 is the highest.
  func connectionMarkBit(_ bit: Int) -> UInt32 { firstMark + UInt32(bit) * 2 }

  func markBit(_ bit: Int) -> UInt32 { firstMark + 1 + UInt32(bit) * 2 }

  /// The first variable that an alteration gives another value; larger than any, if none.
  func firstAltered(by alteration: PacketAlteration) -> UInt32 {
    var result = UInt32.max
    for written in alteration.written { result = min(result, first[written.field]) }
    if alteration.dscp != nil { result = min(result, first[PacketBox.Field.dscp.rawValue]) }
    if alteration.mark != .packet || alteration.connectionMark != .connection {
      result = min(result, connectionMarkBit(0))
    }
    return result
  }

  func meaning(_ variable: UInt32) -> (field: Int, bit: Int) {
    (Int(fields[Int(variable)]), Int(places[Int(variable)]))
  }
}
