import Ruleset

/// What a register holds: bytes of a packet or of what the kernel knows about it, or a constant.
enum RegisterContent: Equatable {
  case field(LoadedField)
  case constant([UInt8])
}

/// A value as loaded, before it is compared.
struct LoadedField: Equatable {
  enum Source: Equatable {
    case meta(Expression.MetaKey)
    case payload(Expression.PayloadBase, offset: Int)
    case conntrack(Expression.ConntrackKey)
    case fib(Expression.FIBResult, flags: UInt32)
    case extensionHeader(type: UInt8, offset: Int)
    case route(Expression.RouteKey)
  }

  var source: Source
  /// Bytes.
  var length: Int
  /// Of the bits that were kept; nil: all.
  var mask: [UInt8]?
  /// Bits that were turned over behind the mask; nil: none.
  var flipped: [UInt8]?
  /// Whether bytes of a number in host order were turned round, so that greater numbers are greater bytes.
  var isTurned = false

  init(_ source: Source, length: Int) {
    self.source = source
    self.length = length
  }

  /// Whether the register holds the number with its least byte first.
  var isLittleEndian: Bool {
    guard !isTurned, length > 1 else { return false }
    return switch source {
    case .meta(.inputInterfaceName), .meta(.outputInterfaceName), .payload, .extensionHeader, .route: false
    case .meta, .conntrack, .fib: true
    }
  }
}

/// The registers of one rule, in words of 4 bytes.
struct Registers {
  private var words: [Int: RegisterContent] = [:]

  // Registers 1–4 are 16 bytes, 8–23 are 4 (linux/netfilter/nf_tables.h); 0 takes a verdict.
  private static func word(_ register: UInt32) -> Int {
    register < 8 ? (Int(register) - 1) * 4 : Int(register) - 8
  }

  subscript(_ register: UInt32) -> RegisterContent? {
    get { words[Self.word(register)] }
    set { words[Self.word(register)] = newValue }
  }

  /// The fields that a key of so many bytes is made of.
  func key(_ register: UInt32, length: Int) throws(LiftError) -> [LoadedField] {
    var fields: [LoadedField] = []
    var word = Self.word(register)
    var left = length
    while left > 0 {
      guard case .field(let field)? = words[word] else {
        throw LiftError("a look-up of what no expression has loaded")
      }
      fields.append(field)
      let count = (field.length + 3) / 4
      word += count
      // A key of one field has no padding.
      left -= fields.count == 1 && field.length == length ? length : count * 4
    }
    return fields
  }
}
