import PolicyModel

/// What the way has made of a packet: its mark, its connection's mark, its code point, and what a translation writes.
///
/// Everything is in terms of the packet as it came, so that two alterations, one behind the other, are one.
struct PacketAlteration: Hashable {
  enum Mark: Hashable {
    /// The packet's own, as it came.
    case packet
    /// That of its connection, as it came.
    case connection
    case value(UInt32)
  }

  /// A field that has some value of a set, and which one is not known.
  struct Written: Hashable {
    var field: Int
    /// In the diagram's numbers of sets; nil: any value.
    var set: UInt32?
  }

  var mark = Mark.packet
  /// Where there is a connection.
  var connectionMark = Mark.connection
  var dscp: UInt8?
  /// Ascending by field.
  var written: [Written] = []
  /// Whether the new destination may be routed otherwise.
  var mayBeElsewhere = false

  /// This one, and then another.
  func followed(by next: PacketAlteration) -> PacketAlteration {
    func value(_ mark: Mark) -> Mark {
      switch mark {
      case .packet: self.mark
      case .connection: connectionMark
      case .value: mark
      }
    }
    var result = PacketAlteration()
    result.mark = value(next.mark)
    result.connectionMark = value(next.connectionMark)
    result.dscp = next.dscp ?? dscp
    result.written = written.filter { old in !next.written.contains { $0.field == old.field } } + next.written
    result.written.sort { $0.field < $1.field }
    result.mayBeElsewhere = mayBeElsewhere || next.mayBeElsewhere
    return result
  }

  /// What a rule does, in the order of LANGUAGE.md §4.1.
  init(_ changes: Changes, hasConnection: Bool) {
    // Without a connection nothing is restored, saved or kept with it.
    if changes.restoresMark, hasConnection { mark = .connection }
    if let value = changes.connectionMark, hasConnection { connectionMark = .value(value) }
    dscp = changes.dscp
    if let value = changes.mark { mark = .value(value) }
    if changes.savesMark, hasConnection { connectionMark = mark }
  }

  init() {}
}
