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
    /// The bits of a mask have a value; the others are as they came.
    case bits(UInt32, mask: UInt32, of: MarkKind)

    /// This one, with some bits set to a value.
    func setting(_ value: UInt32, _ mask: UInt32) -> Mark {
      func bits(_ value: UInt32, _ mask: UInt32, _ kind: MarkKind) -> Mark {
        mask == .max ? .value(value) : mask == 0 ? self : .bits(value & mask, mask: mask, of: kind)
      }
      switch self {
      case .packet: return bits(value, mask, .mark)
      case .connection: return bits(value, mask, .connmark)
      case .value(let old): return .value(old & ~mask | value & mask)
      case .bits(let old, let known, let kind): return bits(old & ~mask | value & mask, known | mask, kind)
      }
    }
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
      case .bits(let bits, let mask, let kind):
        (kind == .mark ? self.mark : connectionMark).setting(bits, mask)
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
    if let value = changes.connectionMark, hasConnection {
      connectionMark = connectionMark.setting(value, changes.connectionMarkMask)
    }
    dscp = changes.dscp
    if let value = changes.mark { mark = mark.setting(value, changes.markMask) }
    if changes.savesMark, hasConnection { connectionMark = mark }
  }

  init() {}
}
